"""Retraining by itself: switched on and off by a service, with its audit row."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.actors import Actor
from diagnostics.models import Institution, Retraining
from diagnostics.scans.access import Permission, institutions_where
from diagnostics.training import schedule
from diagnostics.training.recipe import NotTrainable
from portal.learning.forms import TrainForm
from portal.ui.fields import choose_from
from portal.ui.refusals import refusals_in_form

from .base import ReadOnlyModelAdmin


class PolicyForm(TrainForm):
    """When, of whose scans, and by which recipe."""

    enabled = forms.BooleanField(label=gettext_lazy("Retrain automatically"), required=False)
    new_labels = forms.IntegerField(
        label=gettext_lazy("New labels"),
        min_value=1,
        max_value=1_000_000,
        help_text=gettext_lazy("Number of new labels needed since the newest dataset of the lineage."),
    )
    lineage = forms.CharField(label=gettext_lazy("Lineage"), max_length=40)
    institutions = forms.ModelMultipleChoiceField(
        queryset=Institution.objects.none(),
        label=gettext_lazy("Institutions"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, by: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choose_from(self, "institutions", institutions_where(by, Permission.TRAIN))


_POLICY = ("enabled", "new_labels", "lineage", "institutions")


@admin.register(Retraining)
class RetrainingAdmin(ReadOnlyModelAdmin):
    """Whether a dataset is frozen and trained on when enough new labels wait: it makes candidates, no live model."""

    sees = Permission.TRAIN
    list_display = ("__str__", "enabled", "new_labels", "lineage", "set_by", "considered_at", "last_word")
    list_select_related = ("set_by",)
    fields = ("enabled", "new_labels", "lineage", "institutions", "recipe", "set_by", "considered_at", "last_word")
    change_list_template = "admin/diagnostics/retraining/change_list.html"

    def visible(self, user: Actor) -> "QuerySet[Retraining]":
        found = schedule.policy_for(user)
        return Retraining.objects.filter(pk=found.pk) if found is not None and found.pk else Retraining.objects.none()

    def get_urls(self) -> list[URLPattern]:
        own = [path("set/", self.admin_site.admin_view(self.set), name="diagnostics_retraining_set")]
        return own + super().get_urls()

    def set(self, request: HttpRequest) -> HttpResponse:
        """Switch it on or off."""
        self.needs(request, Permission.TRAIN)
        found = schedule.policy_for(request.user)
        if found is None:
            self.message_user(request, _("It includes institutions where you may not train."), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:diagnostics_retraining_changelist"))
        now = {name: getattr(found, name) for name in _POLICY if name != "institutions"}
        places = (
            list(found.institutions.all()) if found.pk else list(institutions_where(request.user, Permission.TRAIN))
        )
        form = PolicyForm(
            request.POST or None, by=request.user, initial={**found.recipe, **now, "institutions": places}
        )
        if request.method == "POST" and form.is_valid():
            given = dict(form.cleaned_data)
            policy = {name: given.pop(name) for name in _POLICY}
            with refusals_in_form(form, NotTrainable):
                schedule.set_policy(
                    by=request.user, **{**policy, "institutions": list(policy["institutions"])}, recipe=given
                )
                return HttpResponseRedirect(reverse("admin:diagnostics_retraining_changelist"))
        return self.act_page(
            request,
            title=_("Automatic retraining"),
            form=form,
            act=_("Keep this"),
            intro=_(
                "When enough new labels are available, it freezes a dataset and trains a candidate. People "
                "decide on promotion. You are responsible for what it starts."
            ),
            status=400 if form.errors else 200,
        )

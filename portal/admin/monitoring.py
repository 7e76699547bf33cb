"""Alerts, to look at, and their limits, set by a service."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.actors import Actor
from diagnostics.models import Alert, AlertRule
from diagnostics.monitoring import services
from diagnostics.monitoring.models import DEFAULT_LIMITS, Watched
from diagnostics.scans.access import Permission, institutions_where, may, roles_with
from portal.ui.fields import choose_from
from portal.ui.refusals import refusals_in_form

from .base import ReadOnlyModelAdmin, by_institution


@admin.register(Alert)
class AlertAdmin(ReadOnlyModelAdmin):
    """Limits that were passed. They are taken on in the lab, on the page of the monitor."""

    sees = Permission.SEE_MODELS
    list_display = (
        "__str__",
        "watched",
        "institution",
        "model_version",
        "value",
        "limit",
        "n",
        "owner",
        "opened_at",
        "closed_at",
    )
    list_select_related = ("institution", "model_version", "owner")
    list_filter = (
        by_institution("institution", Permission.SEE_MODELS),
        "watched",
        ("closed_at", admin.EmptyFieldListFilter),
        ("acknowledged_at", admin.EmptyFieldListFilter),
    )
    search_fields = ("note", "owner__username")

    def visible(self, user: Actor) -> "QuerySet[Alert]":
        return Alert.objects.visible_to(user)


class LimitForm(forms.Form):
    """One limit."""

    watched = forms.ChoiceField(label=gettext_lazy("Of"), choices=Watched.choices)
    limit = forms.FloatField(label=gettext_lazy("Limit"), min_value=0)
    on = forms.BooleanField(label=gettext_lazy("Open alerts"), required=False, initial=True)
    owner = forms.ModelChoiceField(
        queryset=get_user_model().objects.none(), label=gettext_lazy("Responsible person"), required=False
    )

    def __init__(self, *args: Any, by: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        places = institutions_where(by, Permission.ADMINISTER)
        people = get_user_model().objects.filter(
            memberships__institution__in=places, memberships__role__in=roles_with(Permission.SEE_MODELS)
        )
        choose_from(self, "owner", people.distinct())


@admin.register(AlertRule)
class AlertRuleAdmin(ReadOnlyModelAdmin):
    """Limits that somebody has set; the others have their defaults."""

    sees = Permission.ADMINISTER
    list_display = ("__str__", "limit", "on", "owner", "updated_at")
    list_select_related = ("owner",)
    change_list_template = "admin/diagnostics/alertrule/change_list.html"

    def visible(self, user: Actor) -> "QuerySet[AlertRule]":
        return AlertRule.objects.all() if may(user, Permission.ADMINISTER) else AlertRule.objects.none()

    def get_urls(self) -> list[URLPattern]:
        own = [path("set/", self.admin_site.admin_view(self.set), name="diagnostics_alertrule_set")]
        return own + super().get_urls()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        shown = {"may_set": may(request.user, Permission.SET_LIMITS)}
        return super().changelist_view(request, {**(extra_context or {}), **shown})

    def set(self, request: HttpRequest) -> HttpResponse:
        """Set a limit and who looks after it."""
        self.needs(request, Permission.SET_LIMITS)
        form = LimitForm(request.POST or None, by=request.user)
        if request.method == "POST" and form.is_valid():
            with refusals_in_form(form, services.AlertNotTaken):
                services.set_rule(by=request.user, **form.cleaned_data)
                return HttpResponseRedirect(reverse("admin:diagnostics_alertrule_changelist"))
        defaults = ", ".join(f"{Watched(code).label} {limit:g}" for code, limit in DEFAULT_LIMITS.items())
        return self.act_page(
            request,
            title=_("Set a limit"),
            form=form,
            act=_("Keep this"),
            intro=_("Default limits: %(defaults)s.") % {"defaults": defaults},
            status=400 if form.errors else 200,
        )

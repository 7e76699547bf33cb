"""DICOM peers: who may send images to an institution, what is sent to them, and what they were asked for."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from diagnostics.actors import Actor
from diagnostics.models import DicomPeer, PriorSearch, PriorStudy, Sending
from diagnostics.peers import outbox
from diagnostics.peers.services import save_peer
from diagnostics.scans.access import Permission, institutions_where, may, roles_with, within
from portal.ui.fields import choose_from

from .base import ReadOnlyModelAdmin, by_institution, fields_of


class PeerForm(ModelForm):
    """A peer; its institution and account are chosen among one's own."""

    class Meta:
        model = DicomPeer
        fields = (
            "institution",
            "name",
            "ae_title",
            "addresses",
            "account",
            "may_send",
            "host",
            "port",
            "is_asked_for_priors",
            "most_priors",
            "prior_years",
            "active",
        )


@admin.register(DicomPeer)
class DicomPeerAdmin(ReadOnlyModelAdmin):
    """Peers of the institutions that one administers. One that is no longer wanted is made inactive, not deleted."""

    sees = Permission.ADMINISTER
    form = PeerForm
    list_display = ("name", "ae_title", "institution", "may_send", "is_asked_for_priors", "active", "last_heard_at")
    list_select_related = ("institution",)
    list_filter = (by_institution("institution", Permission.ADMINISTER), "active")
    search_fields = ("name", "ae_title")

    def visible(self, user: Actor) -> "QuerySet[DicomPeer]":
        return DicomPeer.objects.filter(within(user, Permission.ADMINISTER))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Permission.ADMINISTER)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, Permission.ADMINISTER, obj.institution if obj else None)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> type[ModelForm]:
        places = institutions_where(request.user, Permission.ADMINISTER)
        accounts = get_user_model().objects.filter(
            memberships__institution__in=places, memberships__role__in=roles_with(Permission.SUBMIT_SCAN)
        )

        class OwnForm(PeerForm):
            def __init__(self, *args: Any, **fields: Any) -> None:
                super().__init__(*args, **fields)
                if "institution" in self.fields:
                    choose_from(self, "institution", places)
                    choose_from(self, "account", accounts.distinct())

        return super().get_form(request, obj, change, **{**kwargs, "form": OwnForm})

    def save_model(self, request: HttpRequest, obj: Any, form: object, change: bool) -> None:
        """Whatever the form says goes through the audited service."""
        save_peer(by=request.user, peer=obj)


@admin.register(Sending)
class SendingAdmin(ReadOnlyModelAdmin):
    """Files for peers, and what became of them. *Send again* tries one anew that was given up, or sent."""

    sees = Permission.ADMINISTER
    list_display = ("__str__", "peer", "study", "institution", "state", "tries", "failure", "due_at", "finished_at")
    list_select_related = ("peer", "study", "institution")
    list_filter = (by_institution("institution", Permission.ADMINISTER), "state")
    search_fields = ("=id", "=study__id", "=sha256", "peer__name")
    fields = fields_of(Sending, without=("fence", "original"))
    change_form_template = "admin/diagnostics/sending/change_form.html"

    def visible(self, user: Actor) -> "QuerySet[Sending]":
        return outbox.sendings_for(Sending.objects.filter(within(user, Permission.ADMINISTER)))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.again)
        return [path("<uuid:pk>/again/", view, name="diagnostics_sending_again"), *super().get_urls()]

    def again(self, request: HttpRequest, pk: object) -> HttpResponse:
        """Confirm, and try the file again."""
        self.needs(request, Permission.ADMINISTER)
        row = get_object_or_404(self.visible(request.user), pk=pk)
        form = forms.Form(request.POST if request.method == "POST" else None)
        if form.is_valid():
            outbox.send_again(by=request.user, row=row)
            messages.success(request, _("The file is sent again within seconds."))
            return HttpResponseRedirect(reverse("admin:diagnostics_sending_change", args=[row.pk]))
        return self.act_page(
            request, title=_("Send again"), form=form, act=_("Send again"), intro=f"{row.peer}: {row.failure}"
        )


@admin.register(PriorSearch)
class PriorSearchAdmin(ReadOnlyModelAdmin):
    """Which archives were asked for priors of which study, and what came of it."""

    sees = Permission.ADMINISTER
    list_display = ("__str__", "peer", "study", "institution", "state", "found", "requested", "failure", "created_at")
    list_select_related = ("peer", "study", "institution")
    list_filter = (by_institution("institution", Permission.ADMINISTER), "state")
    search_fields = ("=id", "=study__id", "peer__name")
    fields = fields_of(PriorSearch, without=("fence", "message"))

    def visible(self, user: Actor) -> "QuerySet[PriorSearch]":
        return PriorSearch.objects.filter(within(user, Permission.ADMINISTER))


@admin.register(PriorStudy)
class PriorStudyAdmin(ReadOnlyModelAdmin):
    """Studies that are here because they were requested as priors. They wait for no reader."""

    sees = Permission.ADMINISTER
    list_display = ("__str__", "study", "institution", "search", "created_at")
    list_select_related = ("study", "institution", "search")
    list_filter = (by_institution("institution", Permission.ADMINISTER),)
    search_fields = ("=study__id",)

    def visible(self, user: Actor) -> "QuerySet[PriorStudy]":
        return PriorStudy.objects.filter(within(user, Permission.ADMINISTER))

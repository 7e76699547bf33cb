"""DICOM peers: who may send images to an institution, and where its objects are sent."""

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from diagnostics.actors import Actor
from diagnostics.models import DicomPeer
from diagnostics.peers.services import save_peer
from diagnostics.scans.access import Permission, institutions_where, may, roles_with, within
from portal.ui.fields import choose_from

from .base import ReadOnlyModelAdmin, by_institution


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

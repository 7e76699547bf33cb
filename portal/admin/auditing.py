"""What was done, and the chains that tell whether anybody has changed it since. All of it to look at only."""

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.models import AuditChain, AuditEvent, AuditLink, Look
from diagnostics.scans.access import Permission, institutions_where, may
from diagnostics.scans.people import audit_events_for

from .base import ReadOnlyModelAdmin, by_institution, column


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyModelAdmin):
    """What was done. Written with the act, never edited."""

    sees = Permission.SEE_AUDIT
    list_display = ("at", "act", "actor", "target_type", "target_id", "institution")
    list_select_related = ("actor", "institution")
    list_filter = (by_institution("institution", Permission.SEE_AUDIT), "at")
    search_fields = ("=target_id", "act", "actor__username")

    def visible(self, user: Actor) -> "QuerySet[AuditEvent]":
        return audit_events_for(user)


@admin.register(AuditChain)
class AuditChainAdmin(ReadOnlyModelAdmin):
    """How far each chain of events has come."""

    sees = Permission.SEE_AUDIT
    list_display = ("id", "length", "hash")
    fields = ("length", "hash")

    def visible(self, user: Actor) -> "QuerySet[AuditChain]":
        rows = AuditChain.objects.all()
        return rows if may(user, Permission.SEE_AUDIT) else rows.none()

    @column(_("hash of the last link"))
    def hash(self, row: AuditChain) -> str:
        return bytes(row.head).hex()


@admin.register(Look)
class LookAdmin(ReadOnlyModelAdmin):
    """What keeps a look at an image from being told twice within the hour. The looks themselves are audit events."""

    sees = Permission.SEE_AUDIT
    list_display = ("hour", "person", "scan", "what")
    list_select_related = ("person", "scan")

    def visible(self, user: Actor) -> "QuerySet[Look]":
        return Look.objects.filter(scan__institution__in=institutions_where(user, Permission.SEE_AUDIT))


@admin.register(AuditLink)
class AuditLinkAdmin(ReadOnlyModelAdmin):
    """The place of each event in its chain."""

    sees = Permission.SEE_AUDIT
    list_display = ("event_id", "chain", "position", "sha256")
    fields = ("event_id", "chain", "position", "sha256")
    search_fields = ("=event_id",)
    ordering = ("-event_id",)

    def visible(self, user: Actor) -> "QuerySet[AuditLink]":
        events = audit_events_for(user).order_by().filter(pk=OuterRef("event_id"))
        return AuditLink.objects.filter(Exists(events))

    @column(_("hash"))
    def sha256(self, row: AuditLink) -> str:
        return bytes(row.hash).hex()

"""The audit: who did what to what, when."""

from typing import ClassVar

from django.db.models import QuerySet
from rest_framework import serializers

from diagnostics.models import AuditEvent
from diagnostics.scans.access import Permission, require
from diagnostics.scans.people import audit_events_for

from .resource import BaseViewSet
from .strict import Name, Page, Query


class AuditEventSerializer(serializers.Serializer[AuditEvent]):
    """One act. ``detail`` holds codes and ids, no patient data."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField(
        source="actor.username", default=None, allow_null=True, help_text="Null: the system."
    )
    institution = serializers.CharField(source="institution.code", default=None, allow_null=True)
    act = serializers.CharField()
    target_type = serializers.CharField()
    target_id = serializers.CharField()
    detail = serializers.DictField()


class AuditListing(Page):
    updated_since = serializers.DateTimeField(
        required=False, source="at__gte", help_text="Only what happened at or after this time (ISO 8601)."
    )
    institution = Name(required=False, source="institution__code_folded", help_text="Code.")
    actor = Name(required=False, source="actor__username_folded")
    act = serializers.CharField(required=False)
    target_type = serializers.CharField(required=False)
    target_id = serializers.CharField(required=False)


class AuditEventViewSet(BaseViewSet):
    """Acts in the institutions whose audit this person may see, and acts that concern the whole installation."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": AuditListing}
    ordered_by = "at"
    lookup_value_converter = "int"
    serializer_class = AuditEventSerializer

    def get_queryset(self) -> QuerySet[AuditEvent]:
        require(self.person, Permission.SEE_AUDIT)
        return audit_events_for(self.person)

"""The person who asks, and the institutions they belong to."""

from typing import Any, ClassVar

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics.models import Institution, Membership
from diagnostics.scans.access import Permission, Role, may
from diagnostics.scans.models import ReadingMode, WorklistOrder
from portal.accounts.models import ApiToken, Scope, User

from .resource import BaseViewSet
from .strict import Page, Query


class InstitutionSerializer(serializers.Serializer[Institution]):
    """A hospital or research group, and this person's roles in it."""

    code = serializers.CharField()
    name = serializers.CharField()
    reading_mode = serializers.ChoiceField(choices=ReadingMode.values)
    worklist_order = serializers.ChoiceField(choices=WorklistOrder.values)
    due_minutes = serializers.SerializerMethodField(help_text="By priority, from the moment a case is opened.")
    roles = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    @extend_schema_field(serializers.DictField(child=serializers.IntegerField()))
    def get_due_minutes(self, institution: Institution) -> dict[str, int]:
        return {"stat": institution.due_stat, "urgent": institution.due_urgent, "routine": institution.due_routine}

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(choices=Role.values)))
    def get_roles(self, institution: Any) -> list[str]:
        return sorted(membership.role for membership in institution.held)


class InstitutionViewSet(BaseViewSet):
    """The institutions that this person belongs to; to a superuser of the installation, all."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": Page}
    ordered_by = "created_at"
    lookup_field = "code"
    lookup_folded = "code_folded"
    lookup_value_converter = "slug"
    serializer_class = InstitutionSerializer

    def get_queryset(self) -> QuerySet[Institution]:
        held = Membership.objects.filter(user=self.person)
        institutions = Institution.objects.prefetch_related(Prefetch("memberships", held, to_attr="held"))
        return institutions if self.person.is_superuser else institutions.filter(pk__in=held.values("institution"))


class MembershipSerializer(serializers.Serializer[Membership]):
    """A role in an institution."""

    institution = serializers.CharField(source="institution.code")
    role = serializers.ChoiceField(choices=Role.values)


class MeSerializer(serializers.Serializer[User]):
    """The person whose token or session this is."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    name = serializers.CharField(source="get_full_name")
    email = serializers.CharField()
    superuser = serializers.BooleanField(source="is_superuser")
    memberships = serializers.SerializerMethodField()
    permissions = serializers.SerializerMethodField(help_text="What this person may do in some institution.")
    scopes = serializers.SerializerMethodField(help_text="Of the token; null for a session, which has no limits.")
    token_expires_at = serializers.SerializerMethodField()

    @extend_schema_field(MembershipSerializer(many=True))
    def get_memberships(self, user: User) -> Any:
        held: Any = user.memberships.select_related("institution")
        return MembershipSerializer(held, many=True).data

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(choices=[p.value for p in Permission])))
    def get_permissions(self, user: User) -> list[str]:
        return [permission.value for permission in Permission if may(user, permission)]

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(choices=Scope.values), allow_null=True))
    def get_scopes(self, user: User) -> list[str] | None:
        token = self.context["request"].auth
        return list(token.scopes) if isinstance(token, ApiToken) else None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_token_expires_at(self, user: User) -> str | None:
        token = self.context["request"].auth
        return serializers.DateTimeField().to_representation(token.expires_at) if isinstance(token, ApiToken) else None


class UserViewSet(BaseViewSet):
    """People: here only the one who asks."""

    serializer_class = MeSerializer

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.filter(pk=self.person.pk)

    @extend_schema(responses=MeSerializer)
    def me(self, request: Request) -> Response:
        """Who this is, and what they may do."""
        return Response(self.get_serializer(request.user).data)

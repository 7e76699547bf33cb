"""Webhooks: which addresses are told of events, and what each was told."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics.jobs.retried import JobState
from diagnostics.models import Webhook, WebhookDelivery
from diagnostics.scans.access import Permission, require
from diagnostics.scans.filing import institution_for
from diagnostics.webhooks import services
from diagnostics.webhooks.models import CHOSEN, EventType
from portal.accounts.models import Scope

from .resource import BaseViewSet
from .shapes import address
from .strict import Changes, InputSerializer, Name, Nothing, OneOf, Page, Query

EVENTS = [each.value for each in CHOSEN]


class WebhookSerializer(serializers.Serializer[Webhook]):
    """An address that is told of events."""

    id = serializers.UUIDField()
    institution = serializers.CharField(source="institution.code")
    url = serializers.CharField()
    description = serializers.CharField()
    events = serializers.ListField(child=serializers.ChoiceField(choices=EVENTS))
    with_patient = serializers.BooleanField(help_text="Its events carry pseudonym, accession number and study date.")
    active = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class SecretSerializer(serializers.Serializer[object]):
    """A secret, shown this once."""

    secret = serializers.CharField(
        allow_null=True, help_text="For your receiver. Null where the answer is repeated under an Idempotency-Key."
    )


class NewWebhookSerializer(WebhookSerializer):
    """A webhook with its secret, shown this once."""

    secret = serializers.CharField(
        allow_null=True, help_text="For your receiver. Null where the answer is repeated under an Idempotency-Key."
    )


class WebhookDeliverySerializer(serializers.Serializer[WebhookDelivery]):
    """One event for one webhook."""

    id = serializers.IntegerField()
    webhook = serializers.UUIDField(source="webhook_id")
    message_id = serializers.SerializerMethodField(help_text="The header `webhook-id`, the same at each try.")
    event = serializers.ChoiceField(choices=EventType.values)
    subject = serializers.CharField(help_text="Events of one subject are sent in order.")
    state = serializers.ChoiceField(choices=JobState.values)
    tries = serializers.IntegerField(help_text="Failed ones.")
    body = serializers.CharField(help_text="What is sent.")
    status = serializers.IntegerField(allow_null=True, help_text="HTTP status of the last answer.")
    answer = serializers.CharField(help_text="Beginning of the last answer.")
    failure = serializers.CharField(help_text="Why the last try failed.")
    due_at = serializers.DateTimeField(help_text="Of one that waits: when it is tried next.")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_message_id(self, row: WebhookDelivery) -> str:
        return f"msg_{row.event_id.hex}"


class WebhookListing(Changes):
    institution = Name(required=False, source="institution__code_folded", help_text="Code.")


class DeliveryListing(Page):
    webhook = serializers.UUIDField(required=False)
    event = OneOf(choices=EventType.values, required=False)
    state = OneOf(choices=JobState.values, required=False)


class WebhookChange(InputSerializer):
    """What is to change; what is left out stays."""

    url = serializers.CharField(max_length=500, required=False)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=EVENTS), required=False, min_length=1, max_length=len(EVENTS)
    )
    description = serializers.CharField(max_length=120, required=False, allow_blank=True)
    with_patient = serializers.BooleanField(required=False)
    active = serializers.BooleanField(required=False, help_text="An inactive one is told nothing.")


class NewWebhook(InputSerializer):
    """Where to send, and what."""

    url = serializers.CharField(max_length=500, help_text="https://, at a public address.")
    events = serializers.ListField(child=serializers.ChoiceField(choices=EVENTS), min_length=1, max_length=len(EVENTS))
    institution = serializers.CharField(
        required=False, allow_blank=True, help_text="Code; may be left out by those who belong to one only."
    )
    description = serializers.CharField(max_length=120, required=False, allow_blank=True, default="")
    with_patient = serializers.BooleanField(required=False, default=False)


class Once(Response):
    """An answer that shows a secret: repeated under an Idempotency-Key it shows it no more, and nobody keeps it."""

    @property
    def to_keep(self) -> dict[str, Any]:
        """What may be kept of it."""
        return {**dict(self.data), "secret": None}


class WebhookViewSet(BaseViewSet):
    """The webhooks of the institutions that this person administers."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": WebhookListing}
    serializer_class = WebhookSerializer
    scopes: ClassVar[dict[str, str]] = dict.fromkeys(["create", "change", "rotate_secret", "test"], Scope.MANAGE)

    def get_queryset(self) -> QuerySet[Webhook]:
        require(self.person, Permission.ADMINISTER)
        return services.webhooks_for(self.person)

    @extend_schema(request=NewWebhook, responses={201: NewWebhookSerializer})
    def create(self, request: Request) -> Response:
        """Add a webhook. Its secret is in this answer and never again."""
        given = self.body(NewWebhook)
        place = institution_for(self.person, Permission.ADMINISTER, given.pop("institution", "") or None)
        hook, secret = services.add_webhook(by=self.person, institution=place, **given)
        here = address({"request": request}, "webhook-detail", pk=hook.pk)
        shown = {**self.get_serializer(hook).data, "secret": secret}
        return Once(shown, status=status.HTTP_201_CREATED, headers={"Location": here})

    @extend_schema(request=WebhookChange, responses=WebhookSerializer)
    @action(detail=True, methods=["post"])
    def change(self, request: Request, **kwargs: object) -> Response:
        """Change an address, its events, or whether it is active."""
        given = self.body(WebhookChange)
        return Response(
            self.get_serializer(services.change_webhook(by=self.person, webhook=self.get_object(), **given)).data
        )

    @extend_schema(request=None, responses=SecretSerializer)
    @action(detail=True, methods=["post"], url_path="rotate-secret")
    def rotate_secret(self, request: Request, **kwargs: object) -> Response:
        """Another secret; for a day messages are signed by the former one too."""
        self.body(Nothing)
        return Once({"secret": services.rotate_secret(by=self.person, webhook=self.get_object())})

    @extend_schema(request=None, responses={202: WebhookDeliverySerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, **kwargs: object) -> Response:
        """Send a `webhook.test`; what came of it is in its delivery."""
        self.body(Nothing)
        row = services.send_test(by=self.person, webhook=self.get_object())
        return Response(WebhookDeliverySerializer(row).data, status=status.HTTP_202_ACCEPTED)


class WebhookDeliveryViewSet(BaseViewSet):
    """What these webhooks were told, oldest first."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": DeliveryListing}
    ordered_by = "created_at"
    lookup_value_converter = "int"
    serializer_class = WebhookDeliverySerializer
    scopes: ClassVar[dict[str, str]] = {"redeliver": Scope.MANAGE}

    def get_queryset(self) -> QuerySet[WebhookDelivery]:
        require(self.person, Permission.ADMINISTER)
        return services.deliveries_for(self.person)

    @extend_schema(request=None, responses={202: WebhookDeliverySerializer})
    @action(detail=True, methods=["post"])
    def redeliver(self, request: Request, **kwargs: object) -> Response:
        """Send it once more, under its old id."""
        self.body(Nothing)
        services.redeliver(by=self.person, delivery=self.get_object())
        return Response(self.get_serializer(self.get_object()).data, status=status.HTTP_202_ACCEPTED)

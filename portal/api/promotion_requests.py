"""Promotion requests: propose that a model goes into use; another administrator approves, or declines."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics.actors import Actor
from diagnostics.limits import LONGEST_TEXT
from diagnostics.models import ModelVersion, PromotionRequest
from diagnostics.predictions.analysis_status import cases_not_begun
from diagnostics.registry import gate, requests
from diagnostics.registry.exceptions import needed_for
from diagnostics.registry.models import RequestState
from diagnostics.registry.services import ExceptionMissing
from diagnostics.scans.access import Permission, require
from portal.accounts import freshness
from portal.accounts.models import ApiToken, Scope

from .problems import InvalidInput
from .resource import BaseViewSet
from .shapes import ModelName, address
from .strict import Changes, InputSerializer, Nothing, OneOf, Query


def fresh_token(request: Request) -> ApiToken | None:
    """The token that the request came with; None for a session."""
    return request.auth if isinstance(request.auth, ApiToken) else None


@contextmanager
def telling_what_is_needed(by: Actor, version: ModelVersion) -> Iterator[None]:
    """Let the refusal of an exception say what is needed, so that a program can show it: the name to be typed, how
    long the reason, what the gate said, how many waiting cases the model would analyse, and whether another
    administrator must approve."""
    try:
        yield
    except ExceptionMissing as refusal:
        needed = needed_for(by=by, version=version, stands=gate.standing(version))
        if needed is not None:
            refusal.details = {
                "needed": {
                    "name": needed.name,
                    "reason_characters": needed.least,
                    "gate": needed.failed,
                    "waiting_cases": cases_not_begun(),
                    "second_administrator": needed.second_administrator,
                }
            }
        raise


class PromotionRequestSerializer(serializers.Serializer[PromotionRequest]):
    """A wish to put a model into use, and what became of it."""

    id = serializers.UUIDField()
    model_version = ModelName(source="version")
    status = serializers.ChoiceField(choices=RequestState.values, source="state")
    proposed_by = serializers.CharField(source="proposed_by.username")
    reason = serializers.CharField()
    decided_by = serializers.CharField(source="decided_by.username", allow_null=True, default=None)
    decided_at = serializers.DateTimeField(allow_null=True)
    words = serializers.CharField(help_text="Why it was declined, or the written exception.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class PromotionRequestListing(Changes):
    status = OneOf(choices=RequestState.values, required=False, source="state")
    model_version = serializers.UUIDField(required=False, source="version")


class NewPromotionRequest(InputSerializer):
    """Which model, and why."""

    model_version = serializers.UUIDField()
    reason = serializers.CharField(max_length=LONGEST_TEXT, help_text="The next person will want to know.")


class Approval(InputSerializer):
    """What a second administrator adds."""

    exception = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=LONGEST_TEXT,
        help_text="Why it may go into use although the gate has not let it through, in at least 20 characters; needed "
        "only then.",
    )
    name = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=200,
        help_text="Of the model and its number, exactly; needed only where the gate has not let it through.",
    )
    password = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=4096,
        write_only=True,
        help_text="Where the token was made, or the session begun, too long ago; otherwise it is not looked at.",
    )


class Refusal(InputSerializer):
    """Why not."""

    reason = serializers.CharField(max_length=LONGEST_TEXT, help_text="Whoever proposed it will want to know.")


class PromotionRequestViewSet(BaseViewSet):
    """All requests, to whoever may see models."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": PromotionRequestListing}
    serializer_class = PromotionRequestSerializer
    scopes: ClassVar[dict[str, str]] = dict.fromkeys(["create", "approve", "decline", "withdraw"], Scope.LEARN)

    def get_queryset(self) -> QuerySet[PromotionRequest]:
        require(self.person, Permission.SEE_MODELS)
        return PromotionRequest.objects.select_related("version", "proposed_by", "decided_by")

    @extend_schema(request=NewPromotionRequest, responses={202: PromotionRequestSerializer})
    def create(self, request: Request) -> Response:
        """Propose that a model goes into use. Proposed again, the request that waits is given."""
        given = self.body(NewPromotionRequest)
        require(self.person, Permission.PROPOSE_PROMOTION)
        version = ModelVersion.objects.filter(pk=given["model_version"]).first()
        if version is None:
            raise InvalidInput({"model_version": [_("There is no such model version.")]})
        asked = requests.propose(by=self.person, version=version, reason=given["reason"])
        here = address({"request": request}, "promotionrequest-detail", pk=asked.pk)
        return Response(self._shown(asked), status=status.HTTP_202_ACCEPTED, headers={"Location": here})

    @extend_schema(request=Approval, responses=PromotionRequestSerializer)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, **kwargs: object) -> Response:
        """Put the model into use. Never one's own request."""
        asked, given = self._approval
        with telling_what_is_needed(self.person, asked.version):
            done = requests.approve(by=self.person, request=asked, exception=given["exception"], name=given["name"])
        return Response(self._shown(done))

    @extend_schema(request=Refusal, responses=PromotionRequestSerializer)
    @action(detail=True, methods=["post"])
    def decline(self, request: Request, **kwargs: object) -> Response:
        """Leave the model where it is, and say why."""
        asked, given = self.get_object(), self.body(Refusal)
        return Response(self._shown(requests.decline(by=self.person, request=asked, words=given["reason"])))

    @extend_schema(request=None, responses=PromotionRequestSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, **kwargs: object) -> Response:
        """Take back one's own request."""
        self.body(Nothing)
        return Response(self._shown(requests.withdraw(by=self.person, request=self.get_object())))

    def before_act(self) -> object:
        return self._approval if self.action == "approve" else None

    @cached_property
    def _approval(self) -> tuple[PromotionRequest, dict[str, Any]]:
        """The request and the body of an approval, once it is sure who approves; looked at once a request."""
        asked, given = self.get_object(), self.body(Approval)
        require(self.person, Permission.PROMOTE)
        freshness.require(self.request._request, given["password"], fresh_token(self.request))
        return asked, given

    def _shown(self, asked: PromotionRequest) -> Any:
        return PromotionRequestSerializer(asked, context=self.get_serializer_context()).data

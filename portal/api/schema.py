"""How the API describes itself: what drf-spectacular cannot read from the code by itself."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from rest_framework import serializers

from .problems import CONTENT_TYPE
from .strict import InputSerializer

PROBLEM = {
    "type": "object",
    "description": "An error (RFC 9457). `code` is the word to branch on, `detail` a sentence for a person.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {
            "type": "object",
            "description": "Sentences by field.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "accepted": {
            "type": "object",
            "description": "What each of the faulty fields would have taken.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "current": {"type": "object", "description": "The case as it is now, where a claim came too late."},
    },
}
ALWAYS = {
    "400": "A field or a parameter is not accepted.",
    "401": "No token, or one that is not valid (any more).",
    "403": "The role or the token's scope does not allow it.",
    "429": "Too many requests; `Retry-After` says when to come back.",
}
FOUND = {"404": "It is not there, or not for this person."}
POSTED = {
    "409": "Not possible in the present state.",
    "413": "The body is too large.",
    "415": "The content type is not accepted.",
    "422": "The Idempotency-Key came with another request before.",
}
BYTES = "application/octet-stream"
KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    "description": "A word of the client's choice. The same key again within a day gets the first answer again.",
}


class Schema(AutoSchema):
    """Adds each list's parameters, the problem documents, and the header of every POST."""

    def get_override_parameters(self) -> list[Any]:
        query = self.view.listings.get(getattr(self.view, "action", ""))
        return [query] if query is not None else []

    def _map_basic_serializer(self, serializer: Any, direction: str) -> dict[str, Any]:
        """Say of a body that takes no field beside its own that it takes none."""
        told: dict[str, Any] = super()._map_basic_serializer(serializer, direction)
        if direction == "request" and isinstance(serializer, InputSerializer):
            told["additionalProperties"] = False
        return told

    def _map_serializer_field(self, field: Any, direction: str, bypass_extensions: bool = False) -> dict[str, Any]:
        told: dict[str, Any] = super()._map_serializer_field(field, direction, bypass_extensions)
        if isinstance(field, serializers.ListField) and not field.allow_empty:
            told["minItems"] = max(1, field.min_length or 1)
        return told

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, object] | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        problem = ResolvedComponent(name="Problem", type=ResolvedComponent.SCHEMA, schema=PROBLEM, object="Problem")
        self.registry.register_on_missing(problem)
        expected = {**ALWAYS, **(FOUND if "{" in self.path else {}), **(POSTED if self.method == "POST" else {})}
        if self.view.action in self.view.may_conflict:
            expected["409"] = POSTED["409"]
        if self.view.action in self.view.may_miss:
            expected |= FOUND
        for status, description in expected.items():
            operation["responses"][status] = {
                "description": description,
                "content": {CONTENT_TYPE: {"schema": problem.ref}},
            }
        _told_as_bytes(operation)
        _never_blank(operation)
        if self.method == "POST":
            operation.setdefault("parameters", []).append(KEY)
        return operation


def _told_as_bytes(operation: dict[str, Any]) -> None:
    """Name ``application/octet-stream`` beside each kind of file.

    Generators of clients know few content types, and drop an answer of which they know none.
    """
    for answer in operation["responses"].values():
        content = answer.get("content", {})
        for told in list(content.values()):
            if told.get("schema", {}).get("format") == "binary":
                content.setdefault(BYTES, {"schema": told["schema"]})


def _never_blank(operation: dict[str, Any]) -> None:
    """Say of each parameter that is a text what :mod:`portal.api.strict` asks of it: a character at least."""
    for parameter in operation.get("parameters", []):
        told = parameter["schema"]
        if (
            parameter["in"] == "query"
            and told.get("type") == "string"
            and not {"enum", "format", "pattern"} & set(told)
        ):
            told.setdefault("minLength", 1)


class BearerScheme(OpenApiAuthenticationExtension):
    """The token of :mod:`portal.api.authentication`."""

    target_class = "portal.api.authentication.BearerTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, object]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token from the account page or `manage.py create_token`. "
            "Scopes: read (GET), submit (upload, retry), review (cases), learn (datasets, training, models).",
        }

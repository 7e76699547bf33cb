"""How the API describes itself: what drf-spectacular cannot read from the code by itself."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from .problems import CONTENT_TYPE

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
        if self.method == "POST":
            operation.setdefault("parameters", []).append(KEY)
        return operation


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

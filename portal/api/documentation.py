"""The API's description of itself, for programs (OpenAPI 3.1) and for people (Swagger UI, served from here)."""

from functools import cache
from typing import ClassVar

from csp.decorators import csp_update
from django.utils.decorators import method_decorator
from django.views.generic import TemplateView
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


@cache
def described() -> dict[str, object]:
    """The description. It is the same for everybody and holds no data, so it is made once a process."""
    made: dict[str, object] = SchemaGenerator().get_schema(request=None, public=True)
    return made


class SchemaView(APIView):
    """Open to everybody: it names no person, no scan and no institution."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    http_method_names: ClassVar[list[str]] = ["get", "head"]  # type: ignore[misc]
    renderer_classes = (OpenApiJsonRenderer, OpenApiJsonRenderer2, OpenApiYamlRenderer, OpenApiYamlRenderer2)
    schema = None

    def get(self, request: Request, **kwargs: object) -> Response:
        return Response(described(), headers={"Cache-Control": "public, max-age=300"})


# Swagger UI's sheet draws its arrows as data: images. No script, no style and no connection beyond our own.
@method_decorator(csp_update({"img-src": ["data:"]}), name="dispatch")
class DocsView(TemplateView):
    """The same for people: works offline, without any inline script or style, trying out included."""

    template_name = "api/docs.html"
    http_method_names: ClassVar[list[str]] = ["get", "head"]  # type: ignore[misc]

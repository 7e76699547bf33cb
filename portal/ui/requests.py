"""Requests as the middleware leaves them."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class HtmxRequest(HttpRequest):
    """A request with what htmx says of it: true where htmx asks for a part of the page."""

    htmx: HtmxDetails

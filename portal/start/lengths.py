"""Bodies without a declared length: Django reads as much as was declared, which of them is nothing."""

import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings

from portal.start.arrival import IN_MEMORY
from portal.start.web_worker import refusal

AT_ONCE = 65536
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def with_lengths(application: Application) -> Application:
    """The application, for which a chunked body has been read, measured and held to the limit."""

    def measured(asked: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if "HTTP_TRANSFER_ENCODING" not in asked or asked.get("CONTENT_LENGTH"):
            return application(asked, start_response)
        body = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  read by the application
        length = 0
        while piece := asked["wsgi.input"].read(AT_ONCE):
            length += len(piece)
            if length > settings.MAX_REQUEST_BYTES:
                most = settings.MAX_REQUEST_BYTES // (1024 * 1024)
                _head, _, content = refusal(413, f"The request is larger than {most} MB.").partition(b"\r\n\r\n")
                start_response("413 Content Too Large", [("Content-Type", "text/plain"), ("Connection", "close")])
                return [content]
            body.write(piece)
        body.seek(0)
        asked |= {"wsgi.input": body, "CONTENT_LENGTH": str(length)}
        del asked["HTTP_TRANSFER_ENCODING"]
        return application(asked, start_response)

    return measured

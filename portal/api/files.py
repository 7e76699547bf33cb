"""Files as answers of the API: streamed, never run, never kept by a shared cache."""

import io
from typing import Any

from django.core.files.storage import Storage, default_storage
from django.http import FileResponse, Http404, HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.request import Request

from diagnostics.scans.originals import packed

# The browser may keep its copy but must ask each time: who may see a file changes from minute to minute.
REVALIDATE = "private, max-age=0, must-revalidate"


def document(data: bytes, *, name: str, content_type: str = "application/pdf") -> FileResponse:
    """A document made for this answer: a download, kept by no cache."""
    response = FileResponse(io.BytesIO(data), as_attachment=True, filename=name, content_type=content_type)
    response["Cache-Control"] = "private, no-store"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def several_files(keys: list[str], *, suffix: str, name: str) -> FileResponse:
    """Stored files as one ZIP, made for this answer; 404 where one is missing."""
    try:
        made = packed(keys, suffix)
    except FileNotFoundError:
        raise Http404 from None
    response = FileResponse(made, as_attachment=True, filename=name, content_type="application/zip")
    response["Cache-Control"] = "private, no-store"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def file_answer(
    request: Request,
    *,
    key: str,
    name: str,
    content_type: str,
    etag: str = "",
    attachment: bool = False,
    storage: Storage = default_storage,
) -> Any:
    """The stored file under ``key``, or 304 where the client has it already; 404 where there is none."""
    quoted = f'"{etag}"' if etag else None
    response: HttpResponseBase | None = get_conditional_response(request._request, etag=quoted) if quoted else None
    if response is None:
        if not key:
            raise Http404
        try:
            file = storage.open(key)
        except FileNotFoundError:
            raise Http404 from None
        response = FileResponse(file, filename=name, as_attachment=attachment, content_type=content_type)
        if quoted:
            response["ETag"] = quoted
    response["Cache-Control"] = REVALIDATE if quoted else "private, no-store"
    # Opened as a page of its own it may do nothing at all.
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response

"""The files of a scan, streamed from the storage to whoever may have them: pixels, preview, original, heat map."""

import zlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from diagnostics.models import Image, Scan
from diagnostics.reviews.queries import predictions_for
from diagnostics.scans.access import Permission, may
from diagnostics.scans.looks import looked_at
from diagnostics.scans.originals import originals_of, packed

CHUNK = 256 * 1024
# A shared cache must never answer for us: who may see a scan, and an opinion, changes from minute to minute.
REVALIDATE = "private, max-age=0, must-revalidate"
# A file opened as a page of its own may do nothing at all.
SANDBOX = "default-src 'none'; sandbox"
SUFFIXES = {"dicom": "dcm", "jpeg": "jpg", "png": "png"}
TYPES = {"dicom": "application/dicom", "jpeg": "image/jpeg", "png": "image/png"}


def _opened(key: str) -> File:
    """The stored file; 404 where a row names none, or one that is gone."""
    if not key:
        raise Http404
    try:
        return default_storage.open(key)
    except FileNotFoundError:
        raise Http404(_("The stored file is missing.")) from None


def _dressed(response: HttpResponseBase, *, cache: str) -> Any:
    response["Cache-Control"] = cache
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = SANDBOX
    return response


def _answer(request: HttpRequest, *, key: str, etag: str, name: str, content_type: str) -> HttpResponseBase:
    """The file, or 304 where the browser has it."""
    unchanged = get_conditional_response(request, etag=etag)
    if unchanged is not None:
        return _dressed(unchanged, cache=REVALIDATE)
    response = FileResponse(_opened(key), filename=name, content_type=content_type)
    response["ETag"] = etag
    return _dressed(response, cache=REVALIDATE)


class Squeezed:
    """A file gzipped at level 1 while it is sent: a third smaller for a few milliseconds."""

    def __init__(self, file: File) -> None:
        self.file = file

    def __iter__(self) -> Iterator[bytes]:
        squeeze = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        for chunk in self.file.chunks(CHUNK):
            yield squeeze.compress(chunk)
        yield squeeze.flush()

    def close(self) -> None:
        """Called by the response, also where nothing was sent: a HEAD, or a browser that went away."""
        self.file.close()


def scan_of(request: HttpRequest, pk: UUID) -> Scan:
    return get_object_or_404(Scan.objects.visible_to(request.user), pk=pk)


@require_safe
@login_required
def pixels(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The true pixels without any metadata, in the container that the viewer reads."""
    scan = scan_of(request, pk)
    looked_at(by=request.user, scan_id=scan.pk)
    return _pixels(request, key=scan.pixels, content=scan.sha256, name=str(scan.pk))


@require_safe
@login_required
def image_pixels(request: HttpRequest, pk: UUID, index: int) -> HttpResponseBase:
    """The true pixels of one image of a stack, as of :func:`pixels`."""
    image = _image(request, pk, index)
    return _pixels(request, key=image.pixels, content=f"{image.sha256}-{image.frame}", name=f"{pk}-{index}")


@require_safe
@login_required
def image_preview(request: HttpRequest, pk: UUID, index: int) -> HttpResponseBase:
    """A small picture of one image of a stack, to show while its pixels are on their way."""
    image = _image(request, pk, index)
    return _answer(
        request,
        key=image.preview,
        etag=f'"{image.sha256}-{image.frame}-preview"',
        name=f"{pk}-{index}.png",
        content_type="image/png",
    )


def _image(request: HttpRequest, pk: UUID, index: int) -> Image:
    scan = scan_of(request, pk)
    image = get_object_or_404(Image, scan=scan, index=index)
    looked_at(by=request.user, scan_id=scan.pk)
    return image


def _pixels(request: HttpRequest, *, key: str, content: str, name: str) -> HttpResponseBase:
    """A pixel container, gzipped where the browser takes that."""
    squeeze = "gzip" in request.headers.get("Accept-Encoding", "")
    etag = f'"{content}-pixels{"-gzip" if squeeze else ""}"'
    if squeeze and get_conditional_response(request, etag=etag) is None:
        response: HttpResponseBase = StreamingHttpResponse(
            Squeezed(_opened(key)), content_type="application/octet-stream"
        )
        response["Content-Encoding"] = "gzip"
        response["Content-Disposition"] = f'inline; filename="{name}.ovrd"'
        response["ETag"] = etag
        _dressed(response, cache=REVALIDATE)
    else:
        response = _answer(request, key=key, etag=etag, name=f"{name}.ovrd", content_type="application/octet-stream")
    patch_vary_headers(response, ["Accept-Encoding"])
    return response


@require_safe
@login_required
def preview(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """A small picture for lists, made anew from the pixels."""
    scan = scan_of(request, pk)
    looked_at(by=request.user, scan_id=scan.pk)
    return _answer(
        request,
        key=scan.preview,
        etag=f'"{scan.sha256}-preview"',
        name=f"{scan.pk}.png",
        content_type="image/png",
    )


@require_safe
@login_required
def original(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The untouched original as a download; of a stack that came in several files, all of them as a ZIP.

    It may carry the patient's name. Whoever uploads scans of the institution has it anyway; a reader needs the
    pixels only, so readers get what is de-identified and nothing else.
    """
    scan = scan_of(request, pk)
    if not may(request.user, Permission.SUBMIT_SCAN, scan.institution_id):
        raise PermissionDenied(
            _(
                "The original may contain the patient's name. It is open to people who upload scans. Read from "
                "the image."
            )
        )
    looked_at(by=request.user, scan_id=scan.pk, what="original")
    suffix, keys = SUFFIXES.get(scan.format, "bin"), originals_of(scan)
    if len(keys) > 1:
        try:
            made = packed(keys, suffix)
        except FileNotFoundError:
            raise Http404 from None
        several = FileResponse(made, as_attachment=True, filename=f"{scan.pk}.zip", content_type="application/zip")
        return _dressed(several, cache="private, no-store")
    response = FileResponse(
        _opened(keys[0]),
        as_attachment=True,
        filename=f"{scan.pk}.{suffix}",
        content_type=TYPES.get(scan.format, "application/octet-stream"),
    )
    return _dressed(response, cache="private, no-store")


@require_safe
@login_required
def heatmap(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """A prediction's heat map. For a blinded reader it does not exist, as for a stranger."""
    prediction = get_object_or_404(predictions_for(request.user), pk=pk, blinded=False)
    looked_at(by=request.user, scan_id=prediction.scan_id)
    return _answer(
        request,
        key=prediction.heatmap,
        etag=f'"{prediction.pk}-heatmap"',
        name=f"{prediction.pk}.png",
        content_type="image/png",
    )

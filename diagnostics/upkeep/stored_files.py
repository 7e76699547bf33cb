"""Files of images and of objects kept beside them: there, and what was stored.

Several images may come from one original, the frames of a file. It is read once for all of them, and its frames are
taken out a few at a time.
"""

import hashlib
import io
import itertools
from collections.abc import Iterator, Sequence

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from PIL import Image as Picture

from diagnostics.scans import frames, intake
from diagnostics.scans.models import Scan
from diagnostics.scans.sealed import SealedOriginal
from diagnostics.scans.series import Image, KeptInstance, QuarantinedFile

from .faults import Fault, Tally

Made = dict[str, bytes]
MADE = ("pixels", "preview")


def read(storage: Storage, key: str) -> bytes | None:
    """The content of a file, None where there is none."""
    try:
        with storage.open(key, "rb") as file:
            content: bytes = file.read()
            return content
    except FileNotFoundError:
        return None


def is_png(content: bytes) -> bool:
    """Whether a program can show it."""
    try:
        with Picture.open(io.BytesIO(content), formats=("PNG",)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def of_images(known: set[str], tally: Tally, repair: bool) -> Iterator[Fault]:
    """What is wrong with the files of images; their keys are added to ``known``."""
    for keys in Scan.objects.values_list("original", "pixels", "preview").iterator(chunk_size=1000):
        known.update(keys)
    rows = Image.objects.select_related("scan__series").order_by("institution_id", "sha256", "frame")
    by_file = itertools.groupby(rows.iterator(chunk_size=500), key=lambda image: (image.original, image.sha256))
    for (key, sha256), some in by_file:
        yield from _of_one_file(key, sha256, list(some), known, tally, repair)


def _of_one_file(
    key: str, sha256: str, images: Sequence[Image], known: set[str], tally: Tally, repair: bool
) -> Iterator[Fault]:
    known.add(key)
    tally.files += 1
    tally.rows += len(images)
    original = read(storages["default"], key)
    whole = original is not None and hashlib.sha256(original).hexdigest() == sha256
    if not whole:
        kind = "missing" if original is None else "corrupt"
        yield Fault(kind, "original", "default", key, _whose(images[0]))
    for start in range(0, len(images), frames.AT_ONCE):
        few = images[start : start + frames.AT_ONCE]
        made = _made_anew(original, few) if whole and original is not None else {}
        for image in few:
            known.update(filter(None, (image.pixels, image.preview)))
            tally.files += bool(image.pixels) + bool(image.preview)
            yield from _of_one_image(image, made.get(image.frame), repair)


def _of_one_image(image: Image, made: Made | None, repair: bool) -> Iterator[Fault]:
    # Made by the same code from the same bytes, so what differs was changed since; after an upgrade of the imaging
    # library a preview may differ innocently, and making it anew does no harm.
    storage = storages["default"]
    for what in MADE:
        key = getattr(image, what)
        if not key:
            continue  # the frame was not taken out yet; a closed series without it is told by its rows
        kind = _fault_of(what, read(storage, key), made)
        if not kind:
            continue
        done = ""
        if repair and made is not None:
            storage.delete(key)
            storage.save(key, ContentFile(made[what]))
            done = "made anew from the original"
        yield Fault(kind, what, "default", key, _whose(image), done)


def _whose(image: Image) -> str:
    of_many = image.scan.image_count > 1
    return f"scan {image.scan_id} image {image.index}" if of_many else f"scan {image.scan_id}"


def _fault_of(what: str, stored: bytes | None, made: Made | None) -> str:
    """What is wrong with a file that was made from an original; nothing where it is whole."""
    if stored is None:
        return "missing"
    whole = stored == made[what] if made is not None else _plausible(what, stored)
    return "" if whole else "corrupt"


def _made_anew(original: bytes, images: Sequence[Image]) -> dict[int, Made]:
    """Pixels and preview by frame, made as at first: one at the door, others by a worker."""
    made: dict[int, Made] = {}
    later = [image.frame for image in images if image.frame and image.pixels]
    try:
        if images[0].frame == 0:
            first = intake.ingest(original)
            made[0] = {"pixels": first.pixels, "preview": first.preview}
        if later:
            made |= zip(later, frames.made_of(original, later), strict=True)
    except intake.FileRefused:
        pass  # an older decoder took what this one refuses
    return made


def _plausible(what: str, content: bytes) -> bool:
    return content.startswith(b"OVRD") if what == "pixels" else is_png(content)


def kept(known: set[str], tally: Tally) -> Iterator[Fault]:
    """What is wrong with files that are kept beside images, and with those in quarantine."""
    for model, name in (
        (KeptInstance, "kept instance"),
        (QuarantinedFile, "quarantined file"),
        (SealedOriginal, "sealed original"),
    ):
        rows = model._default_manager.order_by("pk").values_list("pk", "original", "sha256")
        for pk, key, sha256 in rows.iterator(chunk_size=1000):
            tally.rows += 1
            tally.files += 1
            known.add(key)
            content = read(storages["default"], key)
            if content is None or hashlib.sha256(content).hexdigest() != sha256:
                kind = "missing" if content is None else "corrupt"
                yield Fault(kind, "original", "default", key, f"{name} {pk}")

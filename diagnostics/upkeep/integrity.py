"""Hold the rows against the files: each row's files are there and are what was stored, and each file has a row; and
the audit against its chains and anchors.

Nothing that is found is ever deleted. What can be made anew from an untouched original is made anew; a file without
a row is moved below ``lost+found/``, for a database that was restored from yesterday's backup has rows missing, and
the originals of today are then the only ones there are.
"""

import hashlib
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, storages
from django.utils import timezone
from PIL import Image

from diagnostics.audit import anchors, checking
from diagnostics.datasets.models import DatasetVersion
from diagnostics.predictions.analysis_status import differing, differing_scans, put_right, put_scans_right
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry.artifacts import FILES, NEEDED, stored_whole
from diagnostics.registry.models import ModelVersion
from diagnostics.scans import intake
from diagnostics.scans.models import Scan
from mlcore.model.identity import WEIGHTS

LOST_AND_FOUND = "lost+found"
# An upload writes its files before its row: a file without one may be on its way.
YOUNG = timedelta(hours=1)
# Files that no row names and none should: probes of /readyz, and what a killed write left.
PASSING = ("readyz/",)


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it should be.

    ``kind``: ``missing | corrupt | orphaned | differs``, of the audit those of ``audit.checking.Break``; ``what``:
    ``original | pixels | preview | heatmap | model | manifest | file | analysis | audit``; ``whose``: the row, as
    ``scan <id>``, of the audit a sentence; empty for an orphan. ``repaired`` says what was done, if anything.
    """

    kind: str
    what: str
    store: str
    key: str
    whose: str = ""
    repaired: str = ""

    def __str__(self) -> str:
        said = " ".join(
            part for part in (f"{self.kind:8}", f"{self.what:8}", f"{self.store}:{self.key}", self.whose) if part
        )
        return f"{said} ({self.repaired})" if self.repaired else said


@dataclass
class Tally:
    """What was looked at."""

    rows: int = 0
    files: int = 0


def faults(*, repair: bool = False, young: timedelta = YOUNG, tally: Tally | None = None) -> Iterator[Fault]:
    """Every fault, as it is found.

    Parameters
    ----------
    repair
        Make previews and pixels anew where the original is whole, and move orphans below ``lost+found/``.
    young
        Files younger than this count as an upload on its way, not as orphans.
    tally
        Counts what was looked at.
    """
    tally = tally if tally is not None else Tally()
    known: dict[str, set[str]] = {"default": set(), "artifacts": set()}
    yield from _scans(known["default"], tally, repair)
    yield from _heatmaps(known["default"], tally)
    yield from _models(known["artifacts"], tally)
    yield from _manifests(known["artifacts"], tally)
    yield from _cases(repair)
    yield from _audit(tally)
    before = timezone.now() - young
    for store, keys in known.items():
        yield from _orphans(store, keys, before, repair)


def _read(storage: Storage, key: str) -> bytes | None:
    try:
        with storage.open(key, "rb") as file:
            content: bytes = file.read()
            return content
    except FileNotFoundError:
        return None


def _scans(known: set[str], tally: Tally, repair: bool) -> Iterator[Fault]:
    storage = storages["default"]
    for scan in Scan.objects.order_by("pk").iterator(chunk_size=500):
        tally.rows += 1
        tally.files += 3
        known.update((scan.original, scan.pixels, scan.preview))
        whose = f"scan {scan.pk}"
        original = _read(storage, scan.original)
        whole = original is not None and hashlib.sha256(original).hexdigest() == scan.sha256
        if not whole:
            yield Fault("missing" if original is None else "corrupt", "original", "default", scan.original, whose)
        # Made by the same code from the same bytes, so what differs was changed since; after an upgrade of the
        # imaging library a preview may differ innocently, and making it anew does no harm.
        made = _made_anew(original) if whole and original is not None else None
        for what, key in (("pixels", scan.pixels), ("preview", scan.preview)):
            kind = _fault_of(what, _read(storage, key), made)
            if not kind:
                continue
            done = ""
            if repair and made is not None:
                storage.delete(key)
                storage.save(key, ContentFile(made[what]))
                done = "made anew from the original"
            yield Fault(kind, what, "default", key, whose, done)


def _fault_of(what: str, stored: bytes | None, made: dict[str, bytes] | None) -> str:
    """What is wrong with a file that was made from an original; nothing where it is whole."""
    if stored is None:
        return "missing"
    whole = stored == made[what] if made is not None else _plausible(what, stored)
    return "" if whole else "corrupt"


def _made_anew(original: bytes) -> dict[str, bytes] | None:
    try:
        image = intake.ingest(original)
    except intake.FileRefused:
        return None  # an older decoder took what this one refuses
    return {"pixels": image.pixels, "preview": image.preview}


def _plausible(what: str, content: bytes) -> bool:
    return content.startswith(b"OVRD") if what == "pixels" else _is_png(content)


def _is_png(content: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def _heatmaps(known: set[str], tally: Tally) -> Iterator[Fault]:
    storage = storages["default"]
    rows = Prediction.objects.exclude(heatmap="").order_by("pk").values_list("pk", "state", "heatmap")
    for pk, state, key in rows.iterator(chunk_size=1000):
        tally.rows += 1
        tally.files += 1
        known.add(key)
        content = _read(storage, key)
        if content is None and state == PredictionState.READY:
            yield Fault("missing", "heatmap", "default", key, f"prediction {pk}")
        elif content is not None and not _is_png(content):
            yield Fault("corrupt", "heatmap", "default", key, f"prediction {pk}")


def _models(known: set[str], tally: Tally) -> Iterator[Fault]:
    storage = storages["artifacts"]
    for version in ModelVersion.objects.order_by("number"):
        tally.rows += 1
        known.update(f"{version.sha256}/{name}" for name in FILES)
        tally.files += len(NEEDED)
        missing = [name for name in NEEDED if not storage.exists(f"{version.sha256}/{name}")]
        for name in missing:
            yield Fault("missing", "model", "artifacts", f"{version.sha256}/{name}", f"model v{version.number}")
        if not missing and not stored_whole(version.sha256):
            # The hash covers both files: which of the two was changed it cannot tell.
            yield Fault("corrupt", "model", "artifacts", f"{version.sha256}/{WEIGHTS}", f"model v{version.number}")


def _manifests(known: set[str], tally: Tally) -> Iterator[Fault]:
    storage = storages["artifacts"]
    for version in DatasetVersion.objects.exclude(manifest="").order_by("number"):
        tally.rows += 1
        tally.files += 1
        known.add(version.manifest)
        content = _read(storage, version.manifest)
        if content is None:
            yield Fault("missing", "manifest", "artifacts", version.manifest, f"dataset v{version.number}")
        elif hashlib.sha256(content).hexdigest() != version.sha256:
            yield Fault("corrupt", "manifest", "artifacts", version.manifest, f"dataset v{version.number}")


def _cases(repair: bool) -> Iterator[Fault]:
    """Cases and scans that repeat wrongly how far the analysis is: their lists show them in a wrong place."""
    found = differing()
    for pk, said, should_be in found.iterator(chunk_size=1000):
        repaired = ""
        if repair:
            put_right([pk])
            repaired = "brought up to date"
        yield Fault("differs", "analysis", "database", f"{said}, not {should_be}", f"case {pk}", repaired)
    scans = differing_scans()
    for pk, said, should_be in scans.iterator(chunk_size=1000):
        repaired = ""
        if repair:
            put_scans_right([pk])
            repaired = "brought up to date"
        words = f"{said or 'nothing'}, not {should_be or 'nothing'}"
        yield Fault("differs", "analysis", "database", words, f"scan {pk}", repaired)


def _audit(tally: Tally) -> Iterator[Fault]:
    """What was done to audit events after they were written. Nothing of it can be put right by a program."""
    looked_at = checking.Count()
    for each in itertools.chain(checking.breaks(looked_at), anchors.breaks()):
        yield Fault(each.kind, "audit", "database", each.where, each.sentence)
    tally.rows += looked_at.events


def _orphans(store: str, known: set[str], before: datetime, repair: bool) -> Iterator[Fault]:
    storage = storages[store]
    for key in list(keys_in(storage)):
        if key in known or key.startswith((f"{LOST_AND_FOUND}/", *PASSING)):
            continue
        try:
            if storage.get_modified_time(key) > before:
                continue
            repaired = ""
            if repair:
                # The row of an upload that was on its way may have come since.
                with storage.open(key, "rb") as file:
                    storage.save(f"{LOST_AND_FOUND}/{key}", File(file))
                storage.delete(key)
                repaired = f"moved below {LOST_AND_FOUND}/"
        except FileNotFoundError:
            continue  # gone since the listing
        yield Fault("orphaned", "file", store, key, "", repaired)


def keys_in(storage: Storage, folder: str = "") -> Iterator[str]:
    """Every key of a storage below a folder."""
    try:
        folders, files = storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in sorted(files):
        yield f"{folder}{name}"
    for name in sorted(folders):
        if name:
            yield from keys_in(storage, f"{folder}{name}/")

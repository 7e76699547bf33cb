"""Hold the rows against the files: each row's files are there and are what was stored, and each file has a row; and
the audit against its chains and anchors.

Nothing that is found is ever deleted. What can be made anew from an untouched original is made anew; a file without
a row is moved below ``lost+found/``, for a database that was restored from yesterday's backup has rows missing, and
the originals of today are then the only ones there are.
"""

import hashlib
import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.core.files.base import File
from django.core.files.storage import Storage, storages
from django.utils import timezone

from diagnostics.audit import anchors, checking
from diagnostics.cases.models import OF_A_CASE, Case
from diagnostics.datasets.models import DatasetVersion
from diagnostics.predictions.analysis_status import differing, differing_scans, put_right, put_scans_right
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry.artifacts import FILES, NEEDED, stored_whole
from diagnostics.registry.models import ModelVersion
from mlcore.model.identity import WEIGHTS

from . import series_rows, stored_files
from .faults import Fault, Tally

LOST_AND_FOUND = "lost+found"
# An upload writes its files before its row: a file without one may be on its way.
YOUNG = timedelta(hours=1)
# Files that no row names and none should: probes of /readyz, and what a killed write left.
PASSING = ("readyz/",)


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
    yield from stored_files.of_images(known["default"], tally, repair)
    yield from stored_files.kept(known["default"], tally)
    yield from series_rows.contradictions(repair)
    yield from _heatmaps(known["default"], tally)
    yield from _models(known["artifacts"], tally)
    yield from _manifests(known["artifacts"], tally)
    yield from _cases(repair)
    yield from _audit(tally)
    before = timezone.now() - young
    for store, keys in known.items():
        yield from _orphans(store, keys, before, repair)


def _heatmaps(known: set[str], tally: Tally) -> Iterator[Fault]:
    storage = storages["default"]
    rows = Prediction.objects.exclude(heatmap="").order_by("pk").values_list("pk", "state", "heatmap")
    for pk, state, key in rows.iterator(chunk_size=1000):
        tally.rows += 1
        tally.files += 1
        known.add(key)
        content = stored_files.read(storage, key)
        if content is None and state == PredictionState.READY:
            yield Fault("missing", "heatmap", "default", key, f"prediction {pk}")
        elif content is not None and not stored_files.is_png(content):
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
        content = stored_files.read(storage, version.manifest)
        if content is None:
            yield Fault("missing", "manifest", "artifacts", version.manifest, f"dataset v{version.number}")
        elif hashlib.sha256(content).hexdigest() != version.sha256:
            yield Fault("corrupt", "manifest", "artifacts", version.manifest, f"dataset v{version.number}")


def _cases(repair: bool) -> Iterator[Fault]:
    """Cases and scans that repeat wrongly how far the analysis is: their lists show them in a wrong place."""
    found = differing()
    for pk, said, should_be in found.iterator(chunk_size=1000):
        repaired = ""
        if repair and should_be in OF_A_CASE:  # what a case cannot say, its scan is told of
            put_right([pk])
            repaired = "brought up to date"
        yield Fault("differs", "analysis", "database", f"{said}, not {should_be}", f"case {pk}", repaired)
    scans = differing_scans()
    for pk, said, should_be in scans.iterator(chunk_size=1000):
        repaired = ""
        if repair and (should_be in OF_A_CASE or not Case.objects.filter(scan=pk).exists()):
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

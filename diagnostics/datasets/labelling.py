"""Which scans have a label that may train, and where it comes from."""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diagnostics.reviews.queries import deciding_reads
from diagnostics.scans.models import Institution, Scan
from mlcore.labels import READABLE

from .models import DatasetItem

Source = DatasetItem.LabelSource


@dataclass(frozen=True)
class Labelled:
    """A scan with the label it has now."""

    scan: uuid.UUID
    institution: int
    patient: uuid.UUID
    sha256: str
    original: str
    fingerprint: bytes
    label: str
    source: str
    read: uuid.UUID | None


@dataclass(frozen=True)
class Ghost:
    """A scan that was in a test part once: it may be out of the set now, and still keeps its twins from training."""

    scan: uuid.UUID
    patient: uuid.UUID
    sha256: str
    fingerprint: bytes


def labelled(
    *, by: Any, institutions: Sequence[Institution], imported: bool, demo: bool
) -> tuple[list[Labelled], Counter[str]]:
    """Give the scans that have a label, and count by reason those that were left out.

    The final read decides. Where it says that the scan cannot be judged, or may not train, the label that came
    with an imported folder does not stand in for it.
    """
    reads = _final_reads(institutions)
    found: list[Labelled] = []
    left_out: Counter[str] = Counter()
    scans = Scan.objects.visible_to(by).filter(institution__in=institutions).order_by("sha256", "id")
    for row in scans.values_list(
        "id",
        "institution_id",
        "patient_id",
        "sha256",
        "original",
        "fingerprint",
        "reference_label",
        "source",
        "rejected_code",
    ).iterator(chunk_size=2000):
        scan, institution, patient, sha256, original, fingerprint, reference, source, rejected = row
        label, label_source, read, reason = "", "", None, ""
        if rejected:
            reason = "rejected"
        elif source == Scan.Source.DEMO and not demo:
            reason = "demo"
        elif scan in reads:
            read, label, may_train, adopted = reads[scan]
            label_source = Source.ADOPTED if adopted else Source.READ
            if not may_train:
                reason = "may_not_train"
            elif label not in READABLE:
                reason = "not_judged"
        elif imported and reference in READABLE:
            label, label_source = reference, Source.IMPORTED
        else:
            reason = "unlabelled"
        if reason:
            left_out[reason] += 1
            continue
        found.append(
            Labelled(scan, institution, patient, sha256, original, bytes(fingerprint), label, label_source, read)
        )
    return found, left_out


def _final_reads(institutions: Sequence[Institution]) -> dict[uuid.UUID, tuple[uuid.UUID, str, bool, bool]]:
    """The read that decides each scan's newest done case: id, label, whether it may train, whether it was adopted.

    Of two readers who agree both must let it train, and it is adopted only where neither came to it without the AI.
    """
    rows = (
        deciding_reads()
        .filter(case__institution__in=institutions)
        .order_by("case__done_at", "created_at", "id")
        .values_list("case__scan_id", "id", "label", "may_train", "withheld", "adopted", "sole")
    )
    return {
        scan: (read, label, may and not withheld, adopted and sole)
        for scan, read, label, may, withheld, adopted, sole in rows.iterator(chunk_size=2000)
    }


def ghosts(lineage: str) -> list[Ghost]:
    """Every scan that was in a test part of the lineage."""
    rows = (
        Scan.objects.filter(dataset_items__dataset__lineage=lineage, dataset_items__split="test")
        .distinct()
        .order_by("sha256", "id")
        .values_list("id", "patient_id", "sha256", "fingerprint")
    )
    return [Ghost(scan, patient, sha, bytes(picture)) for scan, patient, sha, picture in rows]

"""Which scans have a label that may train, and where it comes from."""

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q

from diagnostics.actors import Actor
from diagnostics.cases.models import Stage
from diagnostics.reviews.models import Read, ReadKind
from diagnostics.reviews.queries import deciding_reads
from diagnostics.reviews.reading import Door, through
from diagnostics.scans.models import Institution, Scan
from mlcore.data.labels import READABLE

from .models import DatasetItem, RuledOut
from .stack_images import image_for

Source = DatasetItem.LabelSource
BESIDE_LABEL = tuple(each for each in through(Door.MANIFEST) if each.name != "label")


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
    stated: dict[str, str] = field(default_factory=dict, hash=False)  # what its reader said besides the label
    image: int | None = None  # of a stack, the id of the image that the other fields are of
    number: int | None = None  # its number in the stack, from 1


@dataclass(frozen=True)
class FormerTestItem:
    """A scan that was in a test part once: it may be out of the set now, and still keeps its twins from training."""

    scan: uuid.UUID
    patient: uuid.UUID
    sha256: str
    fingerprint: bytes


def labelled(
    *,
    by: Actor,
    institutions: Sequence[Institution],
    imported: bool,
    demo: bool,
    only: Collection[uuid.UUID] | None = None,
) -> tuple[list[Labelled], Counter[str]]:
    """Give the scans that have a label, and count by reason those that were left out.

    The final read decides. Where it says that the scan cannot be judged, or may not train, the label that came
    with an imported folder does not stand in for it. With ``only``, of these scans.
    """
    reads = _final_reads(institutions)
    ruled_out = set(
        RuledOut.objects.standing().filter(scan__institution__in=institutions).values_list("scan", "label")
    )
    found: list[Labelled] = []
    left_out: Counter[str] = Counter()
    scans = Scan.objects.visible_to(by).filter(institution__in=institutions).order_by("sha256", "id")
    if only is not None:
        scans = scans.filter(pk__in=only)
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
        "image_count",
    ).iterator(chunk_size=2000):
        scan, institution, patient, sha256, original, fingerprint, reference, source, rejected, images = row
        given, reason = _NO_LABEL, ""
        if rejected:
            reason = "rejected"
        elif source == Scan.Source.DEMO and not demo:
            reason = "demo"
        else:
            given, reason = _label_of(reads.get(scan), reference if imported else "")
        if not reason and (scan, given.label) in ruled_out:
            reason = "ruled_out"
        image = None
        if not reason and images > 1:
            image, reason = image_for(
                scan, label=given.label, key_images=given.stated.get("key_images", ""), revision=given.revision
            )
        if reason:
            left_out[reason] += 1
            continue
        of_image: dict[str, Any] = {}
        if image is not None:
            sha256, original = image.sha256, image.original
            of_image = {"image": image.pk, "number": (image.index or 0) + 1}
        found.append(
            Labelled(
                scan=scan,
                institution=institution,
                patient=patient,
                sha256=sha256,
                original=original,
                fingerprint=bytes(fingerprint),
                label=given.label,
                source=given.source,
                read=given.read,
                stated=given.stated,
                **of_image,
            )
        )
    return found, left_out


class _Given(NamedTuple):
    """The label of a scan: where it comes from, its read if any, and what was said besides."""

    label: str
    source: str
    read: uuid.UUID | None
    stated: dict[str, str]
    revision: int = 1


_NO_LABEL = _Given("", "", None, {})


def _label_of(read: "_Deciding | None", reference: str) -> tuple[_Given, str]:
    """The label of a scan, or why it has none that may train."""
    if read is None:
        known = reference in READABLE
        return (_Given(reference, Source.IMPORTED, None, {}), "") if known else (_NO_LABEL, "unlabelled")
    if not read.may_train:
        return _NO_LABEL, "may_not_train"
    if read.label not in READABLE:
        return _NO_LABEL, "not_judged"
    return _Given(read.label, read.source, read.read, read.stated, read.revision), ""


class _Deciding(NamedTuple):
    """The read that decides a scan's newest done case."""

    read: uuid.UUID
    label: str
    may_train: bool
    source: str
    stated: dict[str, str]
    revision: int  # of the scan, that its reader had


def _final_reads(institutions: Sequence[Institution]) -> dict[uuid.UUID, _Deciding]:
    """The read that decides each scan's newest done case.

    Of two readers who agree both must let it train, and it is adopted only where neither came to it without the AI.
    """
    rows = (
        deciding_reads()
        .filter(case__institution__in=institutions)
        .order_by("case__done_at", "created_at", "id")
        .values_list(
            "case__scan_id",
            "id",
            "label",
            "may_train",
            "withheld",
            "adopted",
            "sole",
            "stage",
            "scan_revision",
            *(each.name for each in BESIDE_LABEL),
        )
    )
    return {
        scan: _Deciding(read, label, may and not withheld, _source(stage, adopted and sole), _stated(values), revision)
        for scan, read, label, may, withheld, adopted, sole, stage, revision, *values in rows.iterator(chunk_size=2000)
    }


def _stated(values: Sequence[str]) -> dict[str, str]:
    """What a reader said besides the label; a line of a manifest says nothing of what they left open."""
    pairs = zip(BESIDE_LABEL, values, strict=True)
    return {each.name: value for each, value in pairs if value != each.default}


def _source(stage: str, adopted: bool) -> str:
    if stage == Stage.ADJUDICATION:
        return Source.ADJUDICATED
    return Source.ADOPTED if adopted else Source.READ


def by_readers(readers: Sequence[Any], institutions: Sequence[Institution]) -> set[uuid.UUID]:
    """The scans in whose label one of these readers had a hand: they gave it, or agreed to it as the first of two.

    What an adjudicator settled is the adjudicator's alone.
    """
    if not readers:
        return set()
    agreed = Read.objects.filter(case=OuterRef("case"), kind=ReadKind.FINAL, stage=Stage.FIRST, reader__in=readers)
    rows = deciding_reads().filter(
        Q(reader__in=readers) | Q(stage=Stage.SECOND) & Q(Exists(agreed)), case__institution__in=institutions
    )
    return set(rows.values_list("case__scan_id", flat=True))


def former_test_items(lineage: str) -> list[FormerTestItem]:
    """Every scan that was in a test part of the lineage."""
    rows = (
        Scan.objects.filter(dataset_items__dataset__lineage=lineage, dataset_items__split="test")
        .distinct()
        .order_by("sha256", "id")
        .values_list("id", "patient_id", "sha256", "fingerprint")
    )
    return [FormerTestItem(scan, patient, sha, bytes(picture)) for scan, patient, sha, picture in rows]

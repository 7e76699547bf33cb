"""What a candidate made of its test part, scan by scan: of the scans whose AI opinion a person may know."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from diagnostics.actors import Actor
from diagnostics.datasets.models import DatasetItem
from diagnostics.registry.models import ModelVersion
from diagnostics.reviews.visible_scans import scans_for
from mlcore.data.labels import NO_TUMOUR, TUMOUR, TYPES
from mlcore.measure.agreement import Measured, share

from .tested import TestedScan

FEW = 30  # scans below which a subgroup's numbers carry a warning


def tested_for(user: Actor, version: ModelVersion) -> "QuerySet[TestedScan]":
    """The tested scans that ``user`` may open: a candidate's word is an AI's opinion like any other."""
    known = scans_for(user).filter(Q(blinded=False)).values("pk")
    return TestedScan.objects.filter(version=version, scan__in=known).select_related(
        "scan", "scan__institution", "scan__patient", "live"
    )


def behind_cell(user: Actor, version: ModelVersion, truth: str, opinion: str) -> "QuerySet[TestedScan]":
    """The scans behind a cell of the confusion matrix, the surest first."""
    binary = TUMOUR in version.spec.get("leaves", ())
    truths = (TUMOUR, *TYPES) if binary and truth == TUMOUR else (truth,)
    order = "tumour_probability" if opinion == NO_TUMOUR else "-tumour_probability"
    return tested_for(user, version).filter(truth__in=truths, label=opinion).order_by(order, "pk")


def changed(user: Actor, version: ModelVersion) -> "QuerySet[TestedScan]":
    """The scans of which the candidate says otherwise than the model that was in use beside it."""
    return (
        tested_for(user, version)
        .filter(live__isnull=False)
        .exclude(label=F("live_label"))
        .order_by("-tumour_probability", "pk")
    )


@dataclass(frozen=True)
class Subgroup:
    """How well the findings of one part of the test scans are told, by the candidate and by the live model."""

    kind: str
    name: str
    n: int
    mine: Measured
    live: Measured | None

    @property
    def few(self) -> bool:
        return self.n < FEW


def subgroups(user: Actor, version: ModelVersion) -> list[Subgroup]:
    """Accuracy of the finding by institution, file format, where the label comes from, and size of the image."""
    rows = list(tested_for(user, version))
    sources = dict(
        DatasetItem.objects.filter(
            dataset__training_runs__produced=version, scan__in=[row.scan_id for row in rows]
        ).values_list("scan", "label_source")
    )
    words = dict(DatasetItem.LabelSource.choices)
    kinds = (
        (_("Institution"), lambda row: row.scan.institution.name),
        (_("File"), lambda row: row.scan.format.upper()),
        (_("Label"), lambda row: str(words.get(sources.get(row.scan_id, ""), "–"))),
        (_("Image"), lambda row: _("512 pixels or more") if row.scan.width >= 512 else _("under 512 pixels wide")),
    )
    found = []
    for kind, name_of in kinds:
        parts: dict[str, list[TestedScan]] = {}
        for row in rows:
            parts.setdefault(name_of(row), []).append(row)
        if len(parts) > 1:
            found += [_subgroup(kind, name, part) for name, part in sorted(parts.items())]
    return found


def _subgroup(kind: str, name: str, rows: list[TestedScan]) -> Subgroup:
    beside = [row for row in rows if row.live_label]
    return Subgroup(
        kind,
        name,
        len(rows),
        share(_right((row.truth, row.label) for row in rows), len(rows)),
        share(_right((row.truth, row.live_label) for row in beside), len(beside)) if beside else None,
    )


def _right(pairs: Iterable[tuple[str, str]]) -> int:
    return sum((truth == NO_TUMOUR) == (label == NO_TUMOUR) for truth, label in pairs)

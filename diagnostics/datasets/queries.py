"""What may be asked about datasets without freezing one."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from diagnostics.actors import Actor
from diagnostics.reviews.models import Label, Read, ReadKind
from diagnostics.reviews.queries import deciding_reads
from diagnostics.scans.access import Permission, institutions_where
from diagnostics.scans.models import Scan
from mlcore.data.labels import READABLE

from .models import DatasetVersion, Split


def newest_for(user: Actor) -> DatasetVersion | None:
    """The newest dataset version that ``user`` may see."""
    return DatasetVersion.objects.visible_to(user).filter(frozen_at__isnull=False).order_by("-number").first()


def new_labels_since(user: Actor, version: DatasetVersion | None, institutions: Sequence[Any] | None = None) -> int:
    """How many labels that may train came after ``version`` (None: in all), where ``user`` may freeze datasets.

    With ``institutions``, of these alone. Synthetic phantoms do not count: nobody freezes them but on purpose.
    """
    theirs = institutions_where(user, Permission.FREEZE_DATASET)
    if institutions is not None:
        theirs = theirs.filter(pk__in=[place.pk for place in institutions])
    reads = deciding_reads().filter(
        Q(withheld=False), may_train=True, label__in=READABLE, case__institution__in=theirs
    )
    reads = reads.exclude(case__scan__source=Scan.Source.DEMO)
    imported = Scan.objects.filter(institution__in=theirs, reference_label__in=READABLE, rejected_code="").filter(
        # A scan that somebody read counts among the reads.
        ~Exists(Read.objects.filter(case__scan=OuterRef("pk"), kind=ReadKind.FINAL))
    )
    if version is not None and version.frozen_at is not None:
        reads = reads.filter(created_at__gt=version.frozen_at)
        imported = imported.filter(updated_at__gt=version.frozen_at).exclude(dataset_items__dataset=version)
    return reads.values("case__scan").distinct().count() + imported.distinct().count()


def readers_for(user: Actor) -> QuerySet[Any]:
    """Everybody who has given a final read where ``user`` may freeze datasets."""
    theirs = institutions_where(user, Permission.FREEZE_DATASET)
    given = Read.objects.filter(reader=OuterRef("pk"), kind=ReadKind.FINAL, case__institution__in=theirs)
    return get_user_model().objects.filter(Exists(given)).order_by("username")


def split_table(counts: Mapping[str, Any]) -> dict[str, Any]:
    """A dataset's counts, labels down and parts across."""
    table = counts.get("table", [])
    labels = [label for label, _words in Label.choices if any(row["label"] == label for row in table)]
    parts = [part for part, _words in Split.choices if any(row["split"] == part for row in table)]

    def total(**wanted: str) -> int:
        return sum(row["n"] for row in table if all(row[key] == value for key, value in wanted.items()))

    return {
        "parts": [dict(Split.choices)[part] for part in parts],
        "rows": [
            {
                "label": dict(Label.choices)[label],
                "numbers": [total(label=label, split=part) for part in parts],
                "total": total(label=label),
            }
            for label in labels
        ],
        "totals": [total(split=part) for part in parts],
        "total": total(),
        "institutions": list(counts.get("by_institution", {}).items()),
    }


def left_out(counts: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Why scans are not in a dataset, in words, with how many."""
    words = {
        "unlabelled": _("not labelled yet"),
        "may_not_train": _("read, but not for training"),
        "not_judged": _("not assessable or out of scope"),
        "rejected": _("not readable"),
        "no_key_images": _("a tumour in a stack, waiting for key images"),
        "frames_of_one_file": _("a stack within one file, which training cannot read yet"),
        "demo": _("synthetic phantoms"),
        "ruled_out": _("label excluded because near-duplicates contradict it"),
        "excluded": _("of excluded readers or institutions"),
        "held_back": _("of a test scan's patient or its near-duplicates: neither training nor test"),
    }
    return [(words.get(reason, reason), number) for reason, number in counts.get("left_out", {}).items()]


def by_label_source(counts: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Where labels come from, in words, with how many."""
    words = {
        "read": _("final reads"),
        "adjudicated": _("adjudicated"),
        "adopted": _("final reads changed to the AI's label"),
        "imported": _("imported reference labels"),
    }
    return [(words.get(source, source), number) for source, number in counts.get("by_label_source", {}).items()]

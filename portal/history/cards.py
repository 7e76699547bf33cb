"""A patient's scans as they stand in the time line: picture, what was said of each, what the AI says, as far as one
may know it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from diagnostics.actors import Actor
from diagnostics.models import Prediction, Scan, Study
from diagnostics.predictions.services import status_of
from diagnostics.reviews.queries import deciding_reads, own_statements
from diagnostics.reviews.visible_scans import VisibleScan, opinion_for
from diagnostics.reviews.words import label_in_words


@dataclass(frozen=True)
class Card:
    """One scan. ``label`` is the one that decided its case; ``own`` one's own word while the case is open."""

    scan: Scan
    status: str
    label: str
    own: str
    opinion: Prediction | None
    opinion_label: str


@dataclass(frozen=True)
class Visit:
    """The scans of one study."""

    study: Study
    cards: list[Card]


def cards_of(user: Actor, scans: Sequence[VisibleScan]) -> list[Card]:
    """Some scans of ``reviews.visible_scans.scans_for``, in their order, in a fixed number of queries."""
    here = [seen.scan.pk for seen in scans]
    # A done case is open to everybody who may see the scan.
    decided = {
        read.case.scan_id: read.label for read in deciding_reads().filter(case__scan__in=here).select_related("case")
    }
    own = {read.case.scan_id: read.label for read in own_statements(user).filter(case__scan__in=here)}
    found = []
    for seen in scans:
        scan, opinion = seen.scan, opinion_for(seen)
        label = decided.get(scan.pk, "")
        mine = "" if label else own.get(scan.pk, "")
        found.append(
            Card(
                scan=scan,
                status=status_of(scan),
                label=label_in_words(label) if label else "",
                own=label_in_words(mine) if mine else "",
                opinion=opinion,
                opinion_label=label_in_words(opinion.label) if opinion else "",
            )
        )
    return found


def visits_of(cards: Sequence[Card]) -> list[Visit]:
    """The cards by visit, the newest visit first; visits without a date by when their scans came."""

    def place(card: Card) -> tuple[Any, ...]:
        day = card.scan.study.date or card.scan.created_at.date()
        return (day, card.scan.study.created_at, str(card.scan.study_id))

    ordered = sorted(cards, key=place, reverse=True)
    return [
        Visit(study=together[0].scan.study, cards=together)
        for together in (list(group) for _study, group in groupby(ordered, key=lambda card: card.scan.study_id))
    ]

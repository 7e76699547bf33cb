"""What happened to a scan, as far as a person may know it: the rows of its history."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from diagnostics.actors import Actor
from diagnostics.cases.models import CaseState
from diagnostics.predictions.models import PredictionState
from diagnostics.reviews.models import Claim, ReadKind
from diagnostics.reviews.queries import oversees, reads_for
from diagnostics.reviews.visible_scans import VisibleScan
from diagnostics.reviews.words import label_in_words

from .sentences import sentence_of, time_of


@dataclass(frozen=True)
class TimelineEntry:
    """One thing that happened to a scan. ``kind``: ``handed_in | opinion | no_opinion | claim | read``."""

    at: datetime
    kind: str
    who: str
    sentence: str
    obj: Model
    scan_id: uuid.UUID


def timeline_of(user: Actor, scans: Sequence[VisibleScan]) -> list[TimelineEntry]:
    """What happened to some scans of :func:`scans_for`, oldest first, in a fixed number of queries."""
    entries = [entry for seen in scans for entry in _entries_on(seen)]
    places = {seen.scan.pk for seen in scans}
    reads = list(reads_for(user).filter(case__scan__in=places))
    first = {(read.claim_id, read.reader_id): read.seconds for read in reads if read.kind == ReadKind.BLIND}
    for read in reads:
        before = first.get((read.claim_id, read.reader_id)) if read.kind == ReadKind.FINAL else None
        said = sentence_of(read) + time_of(read.seconds, before)
        entries.append(TimelineEntry(read.created_at, "read", str(read.reader), said, read, read.case.scan_id))
    claims = _claims_for(user).filter(case__scan__in=places).select_related("holder", "case").exclude(release="done")
    for claim in claims:
        how = claim.get_release_display().lower() if claim.release else _("has claimed the case")
        said = str(_("Claimed the case (%(how)s)") % {"how": how})
        entries.append(TimelineEntry(claim.claimed_at, "claim", str(claim.holder), said, claim, claim.case.scan_id))
    return sorted(entries, key=lambda entry: entry.at)


def _claims_for(user: Actor) -> QuerySet[Claim]:
    """Claims that ``user`` may hear of: while two readers are at a case, nobody at work on it learns who they are."""
    return Claim.objects.filter(
        Q(holder=user) | Q(case__state=CaseState.DONE) | Q(case__second_read="") | oversees(user)
    )


def _entries_on(seen: VisibleScan) -> list[TimelineEntry]:
    """What the rows of :func:`scans_for` already hold."""
    scan: Any = seen.scan  # with its newest predictions
    entries = [TimelineEntry(scan.created_at, "handed_in", str(scan.uploaded_by), str(_("Uploaded")), scan, scan.pk)]
    for prediction in scan.newest_predictions:
        at = prediction.finished_at or prediction.created_at
        who = str(prediction.model_version)
        if prediction.state == PredictionState.FAILED:
            said = f"{_('No AI result')}: {prediction.failure}"
            entries.append(TimelineEntry(at, "no_opinion", who, said, prediction, scan.pk))
        elif prediction.state == PredictionState.READY and not seen.blinded:
            said = "{}: {}".format(_("AI result"), label_in_words(prediction.label))
            entries.append(TimelineEntry(at, "opinion", who, said, prediction, scan.pk))
    return entries

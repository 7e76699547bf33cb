"""What a case's report says to one person: what they may see on the pages at that moment, and no more.

Readers appear by their seat, never by name.
"""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from diagnostics.actors import Actor
from diagnostics.annotations.measure import measured
from diagnostics.annotations.queries import annotations_for, standing
from diagnostics.cases.models import Case, CaseState, Stage
from diagnostics.predictions.models import Prediction
from diagnostics.reviews.models import Read
from diagnostics.reviews.queries import deciding_reads, is_blinded, latest, reads_for
from diagnostics.reviews.reading import headline, lines
from diagnostics.reviews.visible_scans import opinion_for, visible_scan
from diagnostics.reviews.words import label_in_words

from .images import Chosen, images_to_show

SEATS = {
    Stage.FIRST: gettext_lazy("First reader"),
    Stage.SECOND: gettext_lazy("Second reader"),
    Stage.ADJUDICATION: gettext_lazy("Adjudicator"),
}


@dataclass(frozen=True)
class Statement:
    """One read."""

    seat: str
    kind: str
    headline: str
    at: datetime
    lines: list[str]


@dataclass(frozen=True)
class Mark:
    """A mark that stands: ``points`` in image pixels, ``number`` as it is drawn."""

    number: int
    seat: str
    kind: str
    words: str
    measure: str
    text: str
    points: list[list[float]]
    image: int = 0  # its number in the stack, from 1; 0 where the scan has one image


@dataclass(frozen=True)
class Opinion:
    """The AI's opinion, with the model that gave it."""

    label: str
    tumour_probability: float
    answers: list[tuple[str, float]]
    warnings: list[str]
    model: str
    sha256: str
    at: datetime


@dataclass(frozen=True)
class Report:
    """All that the document shows. ``opinion`` is None with ``no_opinion`` saying why.

    ``images`` are those of a stack; None where the scan has only one.
    """

    case: Case
    done: bool
    made_at: datetime
    label: str
    label_source: str
    statements: list[Statement]
    marks: list[Mark]
    opinion: Opinion | None
    no_opinion: str
    images: Chosen | None


def report_for(user: Actor, case: Case) -> Report:
    """The report of ``case`` as far as ``user`` may know it now."""
    reads = list(latest(reads_for(user).filter(case=case)))
    done = case.state == CaseState.DONE
    decided = deciding_reads().filter(case=case).first() if done else None
    seen = visible_scan(user, case.scan)
    opinion = opinion_for(seen) if seen is not None else None
    return Report(
        case=case,
        done=done,
        made_at=timezone.now(),
        label=str(decided.get_label_display()) if decided is not None else "",
        label_source=str(SEATS[Stage(decided.stage)]) if decided is not None else "",
        statements=[_statement(read) for read in reads],
        marks=_marks(user, case, reads),
        opinion=_opinion(opinion) if opinion is not None else None,
        no_opinion="" if opinion is not None else _why_none(user, case),
        images=_images(user, case, reads, opinion) if case.scan.image_count > 1 else None,
    )


def _images(user: Actor, case: Case, reads: list[Read], opinion: Prediction | None) -> Chosen:
    in_time = sorted(reads, key=lambda read: (read.created_at, str(read.pk)))
    marks = standing(annotations_for(user)).filter(case=case)
    return images_to_show(
        case.scan,
        reads=[(str(SEATS[Stage(read.stage)]), read) for read in in_time],
        marked=[mark.image_id for mark in marks if mark.image_id is not None],
        opinion=opinion,
    )


def _statement(read: Read) -> Statement:
    kind = str(read.get_kind_display())
    if read.revision > 1:
        kind = _("%(kind)s, revision %(number)d") % {"kind": kind, "number": read.revision}
    return Statement(
        seat=str(SEATS[Stage(read.stage)]),
        kind=kind,
        headline=headline(read),
        at=read.created_at,
        lines=lines(read),
    )


def _marks(user: Actor, case: Case, reads: list[Read]) -> list[Mark]:
    """The marks that ``user`` may see, numbered in the order in which they were made."""
    seats = {read.reader_id: str(SEATS[Stage(read.stage)]) for read in reads}
    return [
        Mark(
            number=number,
            seat=seats.get(mark.author_id, str(SEATS[Stage(case.stage)])),
            kind=mark.kind,
            words=str(mark.get_kind_display()),
            measure=measured(mark),
            text=mark.text,
            points=mark.points,
            image=mark.index + 1 if case.scan.image_count > 1 else 0,
        )
        for number, mark in enumerate(standing(annotations_for(user)).filter(case=case), start=1)
    ]


def _opinion(prediction: Prediction) -> Opinion:
    answers = sorted((prediction.probabilities or {}).items(), key=lambda item: -item[1])
    return Opinion(
        label=label_in_words(prediction.label),
        tumour_probability=float(prediction.tumour_probability or 0.0),
        answers=[(label_in_words(label), value) for label, value in answers],
        warnings=[_warning(code) for code in prediction.warnings],
        model=str(prediction.model_version),
        sha256=prediction.weights_sha256 or prediction.model_version.sha256,
        at=prediction.finished_at or prediction.created_at,
    )


def _warning(code: str) -> str:
    return {
        "out_of_distribution": pgettext("report", "The image is unlike the training data."),
        "low_quality": pgettext("report", "The image quality is low."),
        "first_frame": pgettext("report", "The AI result is for the first frame of the file only."),
        "several_heads": pgettext("report", "The image may show more than one head."),
        "uncertain": pgettext("report", "The AI result is uncertain."),
        "not_measured_on_stacks": pgettext("report", "The model was not measured on stacks of images."),
    }.get(code, code)


def _why_none(user: Actor, case: Case) -> str:
    # Asked anew: whoever is blind must not learn even whether there is an opinion.
    if is_blinded(user, case.scan):
        return _("Not part of this report: hidden from you until you have read the case or it is done.")
    return _("This scan has none.")

"""Control cases: known answers mixed in among the others, to see how often their readers are right.

A control is made on the way that every scan takes, from the picture of a scan whose answer is known (a reference label
of an imported folder, or an adjudicator's word of a month ago): another hash, a made-up patient of the usual shape, an
analysis and a case of its own. Until its final read nothing tells it from the others. Afterwards it tells its reader
what is known, and counts in no number but their own right answers here.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseState, Stage
from diagnostics.errors import DomainError
from diagnostics.predictions import services as predictions
from diagnostics.registry import services as registry
from diagnostics.reviews.double_reading import FEW, overseen_by
from diagnostics.reviews.labels import contradicts
from diagnostics.reviews.models import Control, Label, Read, ReadKind
from diagnostics.reviews.words import label_in_words
from diagnostics.reviews.worklist import place_of
from diagnostics.scans import intake
from diagnostics.scans import services as scans
from diagnostics.scans.access import Permission, may
from diagnostics.scans.likeness import like, pseudonym_like, under_another_hash
from diagnostics.scans.models import Patient, Priority, Scan, Study
from mlcore.measure.agreement import Measured, share

log = structlog.get_logger(__name__)

REST_DAYS = 30  # an adjudicated case is used only when its readers have had time to forget it
MOST_AT_ONCE = 20  # each takes as long as an upload
NO_TRUTH = (Label.NOT_ASSESSABLE, Label.OUT_OF_SCOPE)


def want_one(case: Case) -> None:
    """Ask for a control beside a new case where the draw says so, in the caller's transaction.

    The case's id is drawn at random, so it is the draw.
    """
    # A control is one image so far: beside a stack it would give itself away.
    if case.scan.image_count > 1:
        return
    if (case.pk.int >> 64) % 100 < case.institution.control_share:
        Control.objects.create(institution=case.institution, beside=case)


def mix_in(limit: int = MOST_AT_ONCE) -> int:
    """Make the controls that are wanted; how many. Called every few seconds by the scheduler; twice is once."""
    made = 0
    wanted = Control.objects.filter(case__isnull=True, abandoned=False).order_by("created_at")
    for control in wanted.select_related("institution", "beside__scan__patient", "beside__scan__study")[:limit]:
        known = _known_scan(control)
        if known is None:
            Control.objects.filter(pk=control.pk).update(abandoned=True)
            continue
        try:
            made += _make(control, *known)
        except (
            OSError,
            ValueError,
            IntegrityError,
            DomainError,
        ) as error:  # its file is gone or cannot be read any more
            log.warning("control_not_made", control=str(control.pk), error=type(error).__name__)
            Control.objects.filter(pk=control.pk, case__isnull=True).update(abandoned=True)
    return made


def _known_scan(control: Control) -> tuple[Scan, str] | None:
    """The known scan that was used least, and its answer."""
    labels = [label.value for label in Label if label not in NO_TRUTH]
    rested = timezone.now() - timedelta(days=REST_DAYS)
    settled = Read.objects.filter(
        kind=ReadKind.FINAL,
        stage=Stage.ADJUDICATION,
        label__in=labels,
        case__state=CaseState.DONE,
        case__stage=Stage.ADJUDICATION,
        case__done_at__lte=rested,
        case__institution=control.institution,
    ).order_by("revision")
    answers = dict(settled.values_list("case__scan", "label"))
    # A labelled scan that is read as a case of its own would stand in the list twice.
    labelled = Q(reference_label__in=labels, cases__isnull=True)
    source = (
        Scan.objects.filter(
            labelled | Q(pk__in=answers), institution=control.institution, rejected_code="", image_count=1
        )
        .exclude(patient=control.beside.scan.patient_id)
        .exclude(patient__is_synthetic=True)
        .annotate(used=Count("controls"))
        .order_by("used", "pk")
        .first()
    )
    if source is None:
        return None
    return source, source.reference_label if source.reference_label in labels else answers[source.pk]


def _make(control: Control, source: Scan, truth: str) -> bool:
    """The scan, its analysis and its case, as if it had been uploaded beside the other."""
    beside = control.beside.scan
    with default_storage.open(source.original) as file:
        image = intake.ingest(under_another_hash(file.read(), source.format))
    keys = scans.keep_files(control.institution, image)
    with transaction.atomic():
        locked = Control.objects.select_for_update().get(pk=control.pk)
        if locked.case_id is not None:
            return False
        patient = Patient.objects.create(
            institution=control.institution,
            pseudonym=pseudonym_like(control.institution, beside.patient.pseudonym),
            is_synthetic=True,
        )
        study = Study.objects.create(patient=patient, accession=like(beside.study.accession), date=beside.study.date)
        scan = Scan.objects.create(
            institution=control.institution,
            patient=patient,
            study=study,
            sha256=image.sha256,
            size_bytes=len(image.original),
            format=image.format,
            width=image.width,
            height=image.height,
            bits=image.bits,
            frames=image.frames,
            fingerprint=image.fingerprint,
            priority=Priority.ROUTINE,
            source=beside.source,
            uploaded_by=beside.uploaded_by,
            **keys,
        )
        scans.add_only_image(scan)
        # Nobody handed it in, so the record says that the system did; of the control it says nothing.
        record(by=None, act="scan_stored", target=scan, institution=scan.institution, sha256=scan.sha256)
        case = Case.objects.create(
            scan=scan,
            institution=scan.institution,
            priority=scan.priority,
            control=True,
            **place_of(scan.institution, scan.priority),
        )
        record(by=None, act="case_opened", target=case, institution=scan.institution, scan=scan.pk)
        live = registry.live()
        if live is not None:
            predictions.queue(scan=scan, version=live)
        Control.objects.filter(pk=locked.pk).update(case=case, source=source, truth=truth)
    return True


@dataclass(frozen=True)
class Feedback:
    """What is known of a control, for whoever has read it to the end."""

    truth: str
    said: str
    right: bool

    @property
    def sentence(self) -> str:
        words = {"truth": label_in_words(self.truth), "said": label_in_words(self.said)}
        if self.right:
            return str(_("This was a control case. Reference: %(truth)s. Your answer was correct.") % words)
        return str(_("This was a control case. Reference: %(truth)s. Your answer: %(said)s.") % words)


def feedback_for(user: Actor, case: Case) -> Feedback | None:
    """What is known of a control case that ``user`` has given their final read of; None of any other."""
    if not case.control or case.state != CaseState.DONE:
        return None
    row = Control.objects.filter(case=case).first()
    said = Read.objects.filter(case=case, reader=account_of(user), kind=ReadKind.FINAL).order_by("-revision").first()
    if row is None or said is None:
        return None
    return Feedback(row.truth, said.label, not contradicts(said.label, row.truth))


@dataclass(frozen=True)
class Result:
    """How one reader did on controls."""

    reader: int
    name: str
    n: int
    right: int
    share: Measured

    @property
    def wrong(self) -> int:
        return self.n - self.right

    @property
    def few(self) -> bool:
        return self.n < FEW


@dataclass(frozen=True)
class Answer:
    """One control that was read: by whom, what they said, what is known."""

    case: uuid.UUID
    reader: int
    name: str
    said: str
    truth: str

    @property
    def right(self) -> bool:
        return not contradicts(self.said, self.truth)


def may_see_results(user: Actor) -> bool:
    """Whether there may be any results for ``user``: their own, or those of readers that they oversee."""
    wanted = (Permission.SEE_READS, Permission.ADJUDICATE, Permission.READ_CASE)
    return any(may(user, each) for each in wanted)


def answers_for(user: Actor) -> list[Answer]:
    """The controls that were read, newest first: one's own, and those of the institutions that one oversees."""
    reads = (
        Read.objects.filter(kind=ReadKind.FINAL, case__control=True, case__state=CaseState.DONE)
        .filter(Q(reader=user) | Q(case__institution__in=overseen_by(user)))
        .exclude(case__known__isnull=True)
        .select_related("reader")
        .annotate(truth=F("case__known__truth"))
        .order_by("-created_at", "-id")
    )
    return [Answer(read.case_id, read.reader_id, str(read.reader), read.label, read.truth) for read in reads]


def results_of(answers: Sequence[Answer]) -> list[Result]:
    """By reader: how many, how many right, and the share with Wilson's interval."""
    by_reader: dict[int, list[Answer]] = {}
    for each in answers:
        by_reader.setdefault(each.reader, []).append(each)
    return sorted(
        (
            Result(reader, rows[0].name, len(rows), right := sum(row.right for row in rows), share(right, len(rows)))
            for reader, rows in by_reader.items()
        ),
        key=lambda result: result.name,
    )

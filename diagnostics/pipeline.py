"""The way of a scan, act by act: ``THE_WAY`` below. Only here does one room's work become the next room's, or
background work start."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import structlog
from celery import Task
from django.db import transaction

from diagnostics import disk, tasks
from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.broker import AWAY, breaker
from diagnostics.datasets import background
from diagnostics.datasets import services as datasets
from diagnostics.datasets.models import DatasetItem, DatasetPlan, DatasetVersion
from diagnostics.predictions import services as predictions
from diagnostics.predictions.models import Prediction
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelVersion
from diagnostics.reviews import opening, reading, worklist
from diagnostics.reviews.models import Claim, Read
from diagnostics.scans import arrival, identity, intake, kept_instances
from diagnostics.scans import services as scans
from diagnostics.scans.access import Permission, require
from diagnostics.scans.filing import Filing, filing, invented, refuse_elsewhere
from diagnostics.scans.models import Institution, Priority, Scan
from diagnostics.scans.series import KeptInstance
from diagnostics.training import services as training
from diagnostics.training.models import TrainingRun

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Submitted:
    """The scan, whether the image is new or was here already, and the prediction that was queued for a new scan.

    ``arriving``: the image belongs to a series of which others may follow; the scan is analysed once it has closed.
    """

    scan: Scan
    created: bool
    prediction: Prediction | None = None
    arriving: bool = False


@dataclass(frozen=True)
class KeptBeside:
    """A file that is no image to read was kept with its study."""

    kept: KeptInstance
    created: bool


@disk.named()
def submit_scan(
    *,
    by: Actor,
    institution: Institution,
    data: bytes,
    patient: str | None,
    accession: str = "",
    study_date: date | None = None,
    priority: Priority = Priority.ROUTINE,
    source: Scan.Source = Scan.Source.PORTAL,
    reference_label: str = "",
    to_read: bool = True,
) -> Submitted | KeptBeside:
    """Take a file in: scan stored, prediction queued, case opened, all in one transaction; then a nudge.

    An image of a DICOM series joins its stack, which is analysed and read once the series has closed. One that comes
    with a label stays alone: the label is of the image. So does every picture file.

    ``patient=None`` files under an invented pseudonym, the same for all files of one patient: for the importer.
    ``to_read=False`` opens no case: a labelled image that is imported to train from waits for no reader.

    Raises
    ------
    NotAllowed
        ``by`` may not upload scans here.
    InvalidEntry
        A word that files the scan is not acceptable; says which and what would be.
    FileRefused
        The file is not; says why and what is accepted.
    DecodingUnavailable
        No process can be had to decode it in.
    NoIdentityKey, BurnedInText
        The institution wants files de-identified, and this one cannot be.
    StorageFull
        There is no room to keep it; nothing of it was kept.
    StudyElsewhere
        It is here, filed under another patient, accession number or date.
    SeriesElsewhere, SameInstanceOtherContent
        It contradicts what is here.
    """
    require(by, Permission.SUBMIT_SCAN, institution)
    hidden = identity.hidden(institution, data)
    if hidden is not None:
        # What was typed beside the file may be the very thing that is not to be known here.
        data, patient, accession, study_date = hidden.data, hidden.pseudonym, "", None
    place = filing(patient=patient, accession=accession, study_date=study_date) if patient is not None else None
    image = _received(by, institution, data, labelled=bool(reference_label))
    if hidden is not None:
        identity.seal(by=by, institution=institution, file=hidden)
    if place is None:
        place = invented(institution, image.instance, image.sha256)
    if isinstance(image, intake.KeptFile):
        kept, created = kept_instances.keep(by=by, institution=institution, file=image, place=place)
        return KeptBeside(kept, created)
    found = scans.existing(institution, image.sha256)
    if found is not None:
        if patient is not None:
            refuse_elsewhere(found.study, place)
        return _submitted_again(by, found, reference_label)
    if arrival.belongs_to_a_series(image) and not reference_label:
        return _joined(by, institution, image, place, priority, source)
    keys = scans.keep_files(institution, image)
    with transaction.atomic():
        live = registry.live()
        scan, created = scans.store(
            by=by,
            institution=institution,
            image=image,
            keys=keys,
            place=place,
            queued=live is not None,
            priority=priority,
            source=source,
            reference_label=reference_label,
        )
        queued = _queued(by, scan, live, to_read=to_read) if created else None
    return Submitted(scan, True, queued) if created else _submitted_again(by, scan, reference_label)


def _joined(
    by: Actor,
    institution: Institution,
    image: intake.IngestedImage,
    place: Filing,
    priority: Priority,
    source: Scan.Source,
) -> Submitted:
    """File an image of a series in its stack."""
    twin = arrival.here_already(institution, image.instance)
    if twin is not None:
        arrival.refuse_other_content(by=by, institution=institution, image=image, twin=twin)
        refuse_elsewhere(twin.scan.study, place)
        return _submitted_again(by, twin.scan, "")
    keys = scans.keep_files(institution, image)
    arrived = arrival.join(
        by=by, institution=institution, image=image, keys=keys, place=place, priority=priority, source=source
    )
    return Submitted(arrived.scan, arrived.created, arriving=True)


def _received(
    by: Actor, institution: Institution, data: bytes, *, labelled: bool
) -> intake.IngestedImage | intake.KeptFile:
    """The file, checked and decoded."""
    try:
        image = intake.received(data)
    except intake.FileRefused as refused:
        if refused.ended is not None:
            scans.note_ended_file(by=by, institution=institution, data=data, code=refused.code)
        raise
    if labelled and (isinstance(image, intake.KeptFile) or image.frames > 1):
        # The label is of the whole, and nobody has said that the first frame shows it.
        raise intake.FileRefused.because("multi_frame")
    return image


def _queued(by: Actor, scan: Scan, live: ModelVersion | None, *, to_read: bool) -> Prediction | None:
    """Open the case of a new scan and queue its prediction; the latter waits for a model where none is live."""
    if to_read:
        opening.open_case(by=by, scan=scan)
    transaction.on_commit(lambda: nudge(tasks.infer))
    return predictions.queue_first(scan=scan, version=live, by=by) if live is not None else None


def _submitted_again(by: Actor, scan: Scan, reference_label: str) -> Submitted:
    """The same content was here already."""
    if reference_label:
        scans.give_reference_label(by=by, scan=scan, label=reference_label)
    with transaction.atomic():
        record(by=by, act="scan_submitted_again", target=scan, institution=scan.institution)
    return Submitted(scan, False)


def close_series(*, by: Actor, scans_of: Collection[Scan], after_seconds: float = 0) -> None:
    """All images of the series of these scans are here, says the door: they need not wait for the quiet.

    ``after_seconds``: where the door cannot be sure, as of a scanner that sends each image by itself. Whatever comes
    in this time lets the series wait again.
    """
    found = {scan.series for scan in scans_of if scan.series is not None}
    with transaction.atomic():
        for series in found:
            require(by, Permission.SUBMIT_SCAN, series.institution)
            arrival.all_are_here(series, after=timedelta(seconds=after_seconds))
        transaction.on_commit(lambda: nudge(tasks.close_series))


def retry_prediction(*, by: Actor, scan: Scan) -> Prediction:
    """Analyse a scan again whose analysis failed.

    Raises
    ------
    NotAllowed, NothingToRetry
    """
    with transaction.atomic():
        prediction = predictions.retry(by=by, scan=scan)
        transaction.on_commit(lambda: nudge(tasks.infer))
    return prediction


def undo_read(*, by: Actor, read: Read) -> Claim:
    """Take back a read that was submitted a moment ago; refused once a dataset has taken its label.

    Raises
    ------
    NotAllowed, WrongStage
    """
    return reading.undo_read(by=by, read=read, frozen=DatasetItem.objects.all())


def plan_dataset(*, by: Actor, wanted: Mapping[str, Any]) -> background.PlanStatus:
    """What freezing would make now. Of very many scans a worker works it out; the look then has its row.

    Raises
    ------
    NotAllowed
    """
    found = background.look(by=by, wanted=wanted)
    if found.row is not None and found.row.active:
        nudge(tasks.plan_datasets)
    return found


def freeze_dataset(*, by: Actor, wanted: Mapping[str, Any], seen: str) -> DatasetVersion | DatasetPlan:
    """Freeze the plan that was ``seen``; of very many scans a worker does it, and this is its row.

    Raises
    ------
    NotAllowed, NotFreezable, PlanChanged
    """
    if background.is_small(wanted["institutions"]):
        return datasets.freeze(by=by, **wanted, seen=seen)
    row = background.freeze(by=by, wanted=wanted, seen=seen)
    nudge(tasks.plan_datasets)
    return row


def start_training(*, by: Actor, dataset: DatasetVersion, config: dict[str, Any], anyway: bool = False) -> TrainingRun:
    """Queue a training run; ``anyway`` also where nothing has changed since the model in use was trained.

    Raises
    ------
    NotAllowed, Unchanged, NotTrainable, AnotherRunning
    """
    with transaction.atomic():
        run = training.queue(by=by, dataset=dataset, config=config, anyway=anyway)
        transaction.on_commit(lambda: nudge(tasks.train, str(run.pk)))
    return run


def rerun_training(*, by: Actor, run: TrainingRun) -> TrainingRun:
    """Queue a run once more, to see whether the same comes of it.

    Raises
    ------
    NotAllowed, NotTrainable, AnotherRunning
    """
    with transaction.atomic():
        repeated = training.rerun(by=by, run=run)
        transaction.on_commit(lambda: nudge(tasks.train, str(repeated.pk)))
    return repeated


def nudge(task: Task, *args: str) -> bool:
    """Tell a worker that a row waits; whether the message went out.

    A broker that is away costs nobody anything: the row is written, and the reconciler nudges again. After a failure
    none is tried for some seconds, so that a hundred uploads do not each wait for the same dead broker.
    """
    if not breaker.may_ask():
        return False
    try:
        task.apply_async(args, retry=False)
    except AWAY as error:
        breaker.failed()
        log.warning("broker_away", task=task.name, error=type(error).__name__)
        return False
    breaker.answered()
    return True


# The whole way, each act with who carries it out. What each leaves behind is told in docs/the-way-of-a-scan.md.
THE_WAY: dict[str, Callable[..., object]] = {
    "upload": submit_scan,
    "scan stored": scans.store,
    "series closed": tasks.close_series,
    "prediction queued": predictions.queue_first,
    "inference": tasks.infer,
    "worklist": worklist.listed,
    "claim": worklist.claim_next,
    "blind read": reading.record_read,
    "reveal": reading.reveal,
    "final read": reading.record_read,
    "dataset": freeze_dataset,
    "training": start_training,
    "candidate": registry.register,
    "gate": tasks.judge,
    "promotion": registry.promote,
}

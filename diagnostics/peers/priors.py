"""Ask an archive for older studies of a patient (C-FIND), and let it send them to our listener (C-MOVE)."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from diagnostics.audit.services import record
from diagnostics.scans import identity
from diagnostics.scans.models import Study

from .jobs import SEARCHES
from .models import PriorSearch
from .sending import associate, why_not

log = structlog.get_logger(__name__)

MOST_ANSWERS = 500  # studies of one patient that are looked at
MOST_AT_ONCE = 20  # searches of one task
PENDING = (0xFF00, 0xFF01)
SUCCESS, SOME_FAILED = 0x0000, 0xB000
_WILDCARDS = frozenset('*?\\"')


class NotAsked(Exception):
    """The archive did not answer as it should; the text says how."""


class NothingToAsk(Exception):
    """There is no question to be asked; the text says why."""


@dataclass(frozen=True)
class Found:
    """A study that an archive has."""

    uid: str
    day: date


def ask_due() -> int:
    """Ask what is due; how many searches ended well."""
    SEARCHES.give_up()
    done = 0
    for pk in list(SEARCHES.due().values_list("pk", flat=True)[:MOST_AT_ONCE]):
        taken = SEARCHES.claim([pk])
        if taken is not None:
            done += _ask(taken[0], taken[1][0])
    return done


def _ask(fence: uuid.UUID, row: PriorSearch) -> int:
    search = PriorSearch.objects.select_related("peer", "study__patient", "institution").get(pk=row.pk)
    try:
        patient, today = _patient_of(search.study)
        found = _found(search, patient, today)
        wanted = _wanted(search, found, today)
        _request(search, fence, wanted)
    except NothingToAsk as error:
        SEARCHES.failed(fence, row, str(error), for_good=True)
        return 0
    except NotAsked as error:
        log.warning("priors_not_asked", search=str(row.pk), peer=str(row.peer_id), sentence=str(error))
        SEARCHES.failed(fence, row, str(error))
        return 0
    with transaction.atomic():
        done = SEARCHES.done(fence, row, found=min(len(found), 32767), requested=len(wanted))
        if done:
            record(by=None, act="priors_requested", target=search, institution=search.institution, studies=len(wanted))
    return done


def _patient_of(study: Study) -> tuple[str, date]:
    """The patient ID by which the hospital's archive knows the patient, and the day of the study there."""
    known = identity.as_sent(study)
    if known is None or not known.patient_id:
        raise NothingToAsk("The study's files name no patient ID.")
    if _WILDCARDS & set(known.patient_id):
        raise NothingToAsk("The patient ID has a character that archives take for a wildcard.")
    return known.patient_id, known.study_date or timezone.now().date()


def _found(search: PriorSearch, patient: str, today: date) -> list[Found]:
    """The patient's studies in the archive, of the years that are wanted; the latest first."""
    earliest = today - timedelta(days=round(365.25 * search.peer.prior_years))
    asked = Dataset()
    asked.QueryRetrieveLevel = "STUDY"
    asked.PatientID, asked.StudyDate = patient, f"{earliest:%Y%m%d}-{today:%Y%m%d}"
    asked.StudyInstanceUID, asked.ModalitiesInStudy = "", "MR"
    found: dict[str, Found] = {}
    with _association(search, StudyRootQueryRetrieveInformationModelFind) as association:
        for place, (status, study) in enumerate(
            association.send_c_find(asked, StudyRootQueryRetrieveInformationModelFind)
        ):
            if _status(status) not in PENDING or study is None:
                if _status(status) != SUCCESS:
                    raise NotAsked(f"The archive ended the query with status {_status(status):04X}.")
                break
            if place >= MOST_ANSWERS:
                association.abort()  # which ends what it would go on to tell
                break
            day = _day(str(study.get("StudyDate", "")))
            uid = str(study.get("StudyInstanceUID", ""))
            # An archive may heed fewer keys than it is given: what it answers is looked at again.
            of_patient = str(study.get("PatientID", patient)).strip() == patient
            modalities = study.get("ModalitiesInStudy") or "MR"
            if of_patient and uid and day and earliest <= day <= today and "MR" in modalities:
                found[uid] = Found(uid, day)
    return sorted(found.values(), key=lambda each: (each.day, each.uid), reverse=True)


def _wanted(search: PriorSearch, found: list[Found], today: date) -> list[Found]:
    """Those that are not here yet, the latest of them, as many as the peer's row allows."""
    here = {each.uid: identity.known_as(search.institution, each.uid) for each in found}
    known = set(
        Study.objects.filter(institution=search.institution, uid__in=here.values()).values_list("uid", flat=True)
    )
    # One that began to come at an earlier try is asked for again: the archive sends it whole, and twice is once.
    begun = set(search.priors.values_list("study__uid", flat=True))
    missing = [each for each in found if here[each.uid] not in known - begun and each.day <= today]
    return missing[: search.peer.most_priors]


def _request(search: PriorSearch, fence: uuid.UUID, wanted: list[Found]) -> None:
    """Let the archive send these studies to our listener.

    Raises
    ------
    NotAsked
    """
    if not wanted:
        return
    with _association(search, StudyRootQueryRetrieveInformationModelMove) as association:
        for study in wanted:
            asked = Dataset()
            asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", study.uid
            last = 0xFFFF
            for status, _rest in association.send_c_move(
                asked,
                settings.DICOM_AE_TITLE,
                StudyRootQueryRetrieveInformationModelMove,
                msg_id=search.message,
            ):
                last = _status(status)
                if not SEARCHES.leases.renew(fence):
                    raise NotAsked("Another worker took this over.")
            if last == SOME_FAILED:
                raise NotAsked("The archive could not send every image; the log of the listener says why.")
            if last != SUCCESS:
                raise NotAsked(
                    f"The archive did not send a study (status {last:04X}). "
                    "See that it knows our AE title, host and port."
                )


@contextmanager
def _association(search: PriorSearch, model: str) -> Iterator[Association]:
    if not search.peer.active or not search.peer.host:
        raise NotAsked("The peer is inactive, or has no host.")
    association = associate(search.peer, [build_context(model)])
    if not association.is_established:
        raise NotAsked(why_not(association))
    # An archive may fetch from tape before its first answer.
    association.dimse_timeout = settings.DICOM_PRIORS_SECONDS
    association.network_timeout = settings.DICOM_PRIORS_SECONDS
    try:
        if not association.accepted_contexts:
            raise NotAsked("The archive answers no such query.")
        yield association
    except (RuntimeError, ValueError) as error:
        raise NotAsked(f"The archive broke off ({type(error).__name__}).") from error
    finally:
        if association.is_established:
            association.release()


def _status(answer: Dataset) -> int:
    """The status of an answer; one that never came is a failure."""
    return int(answer.Status) if "Status" in answer else 0xFFFF


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text.strip(), "%Y%m%d").date()  # noqa: DTZ007  a day has no zone
    except ValueError:
        return None

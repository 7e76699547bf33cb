"""Where a scan is to be filed: institution, patient, study."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, timedelta

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.errors import Conflict, Invalid, Message
from mlcore.images.dicom.instance import Instance

from .access import NotAllowed, Permission, institutions_where, require
from .folding import folded
from .likeness import pseudonym_like
from .models import Institution, Patient, Study

MAX_ACCESSION = 64
EARLIEST_STUDY = date(1970, 1, 1)  # the first MR images of a head are younger


class InvalidEntry(Invalid):
    """What was asked does not fit; ``field`` names the part, the message says what would."""

    field: str

    def __init__(self, field: str, message: Message, params: Mapping[str, object] | None = None) -> None:
        super().__init__(message, params, field=field)


class StudyElsewhere(Conflict):
    """What was sent is here, filed under another patient, accession number or date."""

    code = "filed_elsewhere"

    def __init__(self, field: str, here: str, there: str) -> None:
        super().__init__(
            _("This is already filed under the %(what)s %(here)s, not %(there)s. Nothing was changed."),
            {"what": _FILED_BY[field], "here": here, "there": there},
            field=field,
        )


_FILED_BY = {"patient": _("patient ID"), "accession": _("accession number"), "study_date": _("study date")}


@dataclass(frozen=True)
class Filing:
    """Where a scan is to be filed, checked by :func:`filing`."""

    patient: str
    accession: str
    study_date: date | None


def institution_for(user: Actor, permission: Permission, code: str | None = None) -> Institution:
    """The institution in which ``user`` wants to use ``permission``: the one named, or their only one.

    Raises
    ------
    NotAllowed
        There is none in which they have the permission.
    InvalidEntry
        None or an unknown one was named, and they have several. A foreign institution is as unknown as a missing one.
    """
    theirs = institutions_where(user, permission)
    if code:
        found = theirs.filter(code_folded=folded(code)).first()
        if found is None:
            require(user, permission)
            known = ", ".join(theirs.values_list("code", flat=True))
            raise InvalidEntry(
                "institution",
                _("You have no institution “%(code)s”. Yours: %(known)s."),
                {"code": code, "known": known},
            )
        return found
    several = list(theirs[:2])
    if not several:
        require(user, permission)
        raise NotAllowed(_("There is no institution yet. An administrator adds the first one."))
    if len(several) > 1:
        known = ", ".join(theirs.values_list("code", flat=True))
        raise InvalidEntry(
            "institution", _("You belong to several institutions. Choose one of: %(known)s."), {"known": known}
        )
    return several[0]


def filing(*, patient: str, accession: str = "", study_date: date | None = None) -> Filing:
    """Check the words that file a scan.

    Raises
    ------
    InvalidEntry
        Naming the field and what it accepts.
    """
    patient = patient.strip()
    if not patient:
        raise InvalidEntry("patient", _("Enter the patient ID (pseudonym), for example P-0042."))
    try:
        Patient(pseudonym=patient).clean_fields(exclude={"institution"})
    except ValidationError as error:
        raise InvalidEntry("patient", " ".join(error.messages)) from error
    accession = accession.strip()
    if len(accession) > MAX_ACCESSION or not accession.isprintable():
        raise InvalidEntry(
            "accession",
            _("An accession number can have at most %(max_accession)s printable characters."),
            {"max_accession": MAX_ACCESSION},
        )
    if study_date is not None and not _may_be_a_study(study_date):
        today = latest_study()
        raise InvalidEntry(
            "study_date",
            _("The study date must be between %(earliest_study)s and today, %(today)s."),
            {"earliest_study": EARLIEST_STUDY, "today": today},
        )
    return Filing(patient, accession, study_date)


def invented(institution: Institution, instance: Instance | None, sha256: str) -> Filing:
    """Where to file a file that nobody has named a patient for: the same for all files of one patient.

    Nothing of it names anybody: a file's name and its tags may. Files that say nothing of a patient or a study have a
    patient of their own.
    """
    if instance is not None and instance.study_uid:
        here = Study.objects.filter(institution=institution, uid=instance.study_uid).select_related("patient").first()
        if here is not None:
            return Filing(here.patient.pseudonym, here.accession, None)
    named = (instance.patient_id or instance.study_uid) if instance is not None else None
    drawn = salted_hmac(f"overread.import.{institution.pk}", named).hexdigest() if named else sha256
    return Filing(f"IMPORT-{drawn[:12]}", "", None)


def latest_study() -> date:
    """The last day on which a study may have been made: today where the day begins first on earth, at UTC+14.

    A scanner's clock knows its own zone, and neither a file nor a form says which that is.
    """
    return (timezone.now().astimezone(UTC) + timedelta(hours=14)).date()


def _may_be_a_study(day: date) -> bool:
    return EARLIEST_STUDY <= day <= latest_study()


def _patient(institution: Institution, pseudonym: str) -> Patient:
    """The patient of this pseudonym, made where there is none. One who was made up gives their pseudonym away."""
    name = folded(pseudonym)
    synthetic = Patient.objects.filter(institution=institution, pseudonym_folded=name, is_synthetic=True).first()
    if synthetic is not None:
        synthetic.pseudonym = pseudonym_like(institution, pseudonym)
        synthetic.save(update_fields=["pseudonym", "pseudonym_folded", "updated_at"])
    return Patient.objects.get_or_create(
        institution=institution, pseudonym_folded=name, defaults={"pseudonym": pseudonym}
    )[0]


def study_for(institution: Institution, place: Filing, date_in_file: date | None, uid: str = "") -> Study:
    """The visit that a file belongs to, made where it is missing; in the caller's transaction.

    ``uid``: the Study Instance UID that the file names; it decides. Without one, the accession number or date does.

    Raises
    ------
    StudyElsewhere
        The study is here under another patient or accession number.
    InvalidEntry
        The study is here with another date.
    """
    patient = _patient(institution, place.patient)
    return _study_by_uid(patient, place, date_in_file, uid) if uid else _study(patient, place, date_in_file)


def _study_by_uid(patient: Patient, place: Filing, date_in_file: date | None, uid: str) -> Study:
    day = _day(place, date_in_file)
    study, made = Study.objects.get_or_create(
        institution_id=patient.institution_id,
        uid=uid,
        defaults={"patient": patient, "accession": place.accession, "date": day},
    )
    if not made:
        refuse_elsewhere(study, place)
    return study


def refuse_elsewhere(study: Study, place: Filing) -> None:
    """Refuse to file under ``place`` what is here in ``study``, where they differ.

    Raises
    ------
    StudyElsewhere
        Naming the difference.
    """
    here, there = study.patient.pseudonym, place.patient
    if folded(here) != folded(there):
        raise StudyElsewhere("patient", here, there)
    if place.accession and folded(place.accession) != study.accession_folded:
        raise StudyElsewhere("accession", study.accession or "–", place.accession)
    if place.study_date and study.date and place.study_date != study.date:
        raise StudyElsewhere("study_date", study.date.isoformat(), place.study_date.isoformat())


def _day(place: Filing, date_in_file: date | None) -> date | None:
    # Anonymisers write 00010101 and the like; a date that cannot be true is no date.
    return place.study_date or (date_in_file if date_in_file and _may_be_a_study(date_in_file) else None)


def _study(patient: Patient, place: Filing, date_in_file: date | None) -> Study:
    day = _day(place, date_in_file)
    if not place.accession:
        return Study.objects.get_or_create(patient=patient, uid="", accession="", date=day)[0]
    study, made = Study.objects.get_or_create(
        patient=patient,
        uid="",
        accession_folded=folded(place.accession),
        defaults={"accession": place.accession, "date": day},
    )
    if not made and place.study_date and study.date and study.date != place.study_date:
        raise InvalidEntry(
            "study_date",
            _(
                "Study %(accession)s of this patient has the date %(date)s. Leave the date empty, or use "
                "another accession number."
            ),
            {"accession": place.accession, "date": study.date},
        )
    return study

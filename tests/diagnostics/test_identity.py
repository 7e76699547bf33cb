"""Where the institution wants so, nothing of who a patient is comes past the door; the original is sealed."""

import io
import logging

import pydicom
import pytest
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.utils import timezone

from diagnostics import closing, pipeline
from diagnostics.audit.models import AuditEvent
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.identity import BurnedInText, NoIdentityKey, NotOpened, opened
from diagnostics.scans.institutions import change_institution
from diagnostics.scans.models import Institution, Patient, Scan, Study
from diagnostics.scans.sealed import SealedOriginal
from diagnostics.scans.series import Image, KeptInstance, Series
from diagnostics.upkeep.integrity import keys_in
from tests.dicom_images import slice_of, uid
from tests.factories import InstitutionFactory, person, phantom
from tests.portal.api.api_client import V1, bearer
from tests.upgrade.test_upgrade import contents

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "an identity key of a test, long enough"
MARKED = {
    "PatientName": "CANARY^ANNA", "PatientID": "CANARYID7", "AccessionNumber": "CANARYACC",
    "OperatorsName": "CANARYOP",
    "InstitutionName": "CANARYCLINIC", "StudyDescription": "CANARYSTUDY", "ReferringPhysicianName": "CANARYDOC",
    "PatientBirthDate": "19520304",
}  # fmt: skip
MARKERS = (b"CANARY", b"19520304", uid("study").encode(), uid("study", "series").encode())


@pytest.fixture
def place(settings):
    settings.IDENTITY_KEY = KEY
    return InstitutionFactory(identity="derived")


@pytest.fixture
def send(place, monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: True)
    by = person(Role.TECHNOLOGIST, place)
    return lambda data, **more: pipeline.submit_scan(
        by=by, institution=place, data=data, **{"patient": "CANARYTYPED", "accession": "CANARYTYPED", **more}
    )


def marked(n, **tags):
    return slice_of(n, **{**MARKED, **tags})


def stored():
    """What lies in the storage of this test's institutions, by key."""
    found = {}
    for key in keys_in(default_storage):
        with default_storage.open(key) as file:
            found[key] = file.read()
    return found


def leaks(content):
    content = content if isinstance(content, bytes) else str(content).encode()
    return [marker for marker in MARKERS if marker in content]


def test_nothing_of_the_patient_is_stored_told_or_logged(send, place, caplog):
    caplog.set_level(logging.DEBUG)
    before = set(stored())
    answers = [send(marked(n)) for n in range(3)]
    report = marked(9, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", series="report")
    send(report)
    Series.objects.update(close_at=timezone.now())
    assert closing.close_due() == 1
    new = {key: content for key, content in stored().items() if key not in before}
    assert len(new) > 12 and {key: leaks(content) for key, content in new.items() if leaks(content)} == {}
    assert [key for key in new if leaks(key)] == []
    tables = {name: rows for name, rows in contents().items() if name.startswith("diagnostics_")}
    assert {name: leaks(rows) for name, rows in tables.items() if leaks(rows)} == {}
    assert leaks(caplog.text) == []
    client = bearer(person(Role.DATA_MANAGER, place))
    scan = answers[0].scan
    for address in ("scans/", f"scans/{scan.pk}/", f"scans/{scan.pk}/images/", "patients/", "studies/"):
        assert leaks(client.get(f"{V1}/{address}").content) == [], address


def test_files_of_a_patient_stay_together_and_twins_are_twins(send):
    for n in range(3):
        assert send(marked(n)).created
    assert not send(marked(1)).created
    send(marked(5, study="a year later", series="other"))
    send(marked(6, PatientID="CANARYID8", study="somebody else", series="third"))
    assert Patient.objects.count() == 2 and Study.objects.count() == Series.objects.count() == 3
    assert Image.objects.count() == SealedOriginal.objects.count() == 5
    assert all(each.pseudonym.startswith("D-") for each in Patient.objects.all())
    assert sorted(Scan.objects.values_list("image_count", flat=True)) == [1, 1, 3]


def test_file_that_names_no_patient_is_of_a_patient_of_its_study(send):
    for n, study in ((1, "one"), (2, "one"), (3, "two")):
        send(marked(n, PatientID="", study=study, series=study))
    assert Patient.objects.count() == 2


def test_pixels_are_what_they_were(send):
    original = marked(2)
    image = Image.objects.get(scan=send(original).scan)
    with default_storage.open(image.original) as file:
        kept = pydicom.dcmread(io.BytesIO(file.read()))
    assert kept.PixelData == pydicom.dcmread(io.BytesIO(original)).PixelData
    assert kept.PatientIdentityRemoved == "YES" and kept.PatientID == image.scan.patient.pseudonym


def test_sealed_original_is_opened_with_a_reason_that_is_audited(send, place, tmp_path):
    original = marked(2)
    sha256 = send(original).scan.sha256
    boss = person(Role.ADMINISTRATOR, place)
    out = tmp_path / "original.dcm"
    said = {"by": boss.username, "reason": "A finding for the ward.", "out": out, "stdout": io.StringIO()}
    call_command("open_original", sha256, **said)
    assert out.read_bytes() == original and out.stat().st_mode & 0o077 == 0
    event = AuditEvent.objects.get(act="original_opened")
    assert (event.actor, event.detail["reason"]) == (boss, "A finding for the ward.")
    with pytest.raises(CommandError, match="Say why"):
        call_command("open_original", sha256, **{**said, "reason": " "})


def test_sealed_original_opens_for_nobody_else_and_under_no_other_key(send, place, settings):
    send(marked(2))
    row = SealedOriginal.objects.get()
    for stranger in (person(Role.RADIOLOGIST, place), person(Role.ADMINISTRATOR, InstitutionFactory())):
        with pytest.raises(NotAllowed):
            opened(by=stranger, row=row, reason="Curious.")
    assert not AuditEvent.objects.filter(act="original_opened").exists()
    settings.IDENTITY_KEY = KEY[::-1]
    with pytest.raises(NotOpened):
        opened(by=person(Role.ADMINISTRATOR, place), row=row, reason="The other key.")


def test_text_that_is_drawn_in_the_image_is_refused(send):
    with pytest.raises(BurnedInText):
        send(marked(1, BurnedInAnnotation="YES"))
    assert not Scan.objects.exists() and not SealedOriginal.objects.exists() and not Patient.objects.exists()


def test_without_a_key_nothing_is_stored_and_nobody_chooses_it(send, place, settings):
    settings.IDENTITY_KEY = "short"
    with pytest.raises(NoIdentityKey):
        send(marked(1))
    assert not Scan.objects.exists() and not KeptInstance.objects.exists()
    other = InstitutionFactory()
    boss = person(Role.ADMINISTRATOR, other)
    as_it_is = {"name": other.name, "reading_mode": other.reading_mode}
    with pytest.raises(ValidationError, match="OVERREAD_IDENTITY_KEY"):
        change_institution(by=boss, institution=other, identity="derived", **as_it_is)
    settings.IDENTITY_KEY = KEY
    assert change_institution(by=boss, institution=other, identity="derived", **as_it_is).identity == "derived"


def test_institution_that_chose_nothing_keeps_files_as_sent(settings):
    settings.IDENTITY_KEY = KEY
    place = InstitutionFactory()
    assert Institution.objects.get(pk=place.pk).identity == "as_sent"
    by = person(Role.TECHNOLOGIST, place)
    original = marked(1)
    scan = pipeline.submit_scan(by=by, institution=place, data=original, patient="P-1").scan
    with default_storage.open(scan.images.get().original) as file:
        assert file.read() == original
    assert scan.study.uid == uid("study") and not SealedOriginal.objects.exists()


def test_picture_has_no_header_and_keeps_the_patient_that_was_typed(send):
    assert send(phantom(3), patient="P-9").scan.patient.pseudonym == "P-9"
    assert not SealedOriginal.objects.exists()

"""Words of a patient in every identifying attribute of a study, in names of files and of folders, go through the whole
flow of an institution that wants files de-identified, and turn up nowhere but in the sealed originals."""

import hashlib
import io
import json
import logging
import re
import zipfile

import pydicom
import pytest
from django.conf import settings as configured
from django.core import mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pypdf import PdfReader

from diagnostics import closing
from diagnostics.datasets import services as datasets
from diagnostics.models import Case, Scan
from diagnostics.registry import services as registry
from diagnostics.scans.access import Role
from diagnostics.scans.identity import opened
from diagnostics.scans.models import Priority
from diagnostics.scans.sealed import SealedOriginal
from diagnostics.scans.series import Image, Series
from diagnostics.upkeep.integrity import keys_in
from portal.metrics import Collector
from tests.dicom_images import slice_of
from tests.mlcore.identified import KEPT_SEQUENCE, marked
from tests.mlcore.test_deidentify import MARKED
from tests.upgrade.test_upgrade import contents

from .api_client import V1, bearer, body_of, hand_in, labelled

pytestmark = pytest.mark.django_db(transaction=True)
# What makes a study of the files: the tests of the rules themselves hold that these are replaced.
STRUCTURE = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
WORDS = re.compile(r"Marker\d{5,6}|QQ\d{5}|1\.2\.826\.777|MARKER-?NAME", re.IGNORECASE)
IMAGES = 3


def planted():
    """Each attribute of Table E.1-1 that can hold a word, with a word that nothing else holds."""
    structure = {pydicom.datadict.tag_for_keyword(name) for name in STRUCTURE}
    dates = ("DA", "DT", "TM")
    return {
        tag: marked(tag, number)[:2]
        for number, tag in enumerate(MARKED)
        if tag not in structure and dictionary_VR(tag) not in dates
    }


def item_of(attributes):
    item = Dataset()
    for tag, (vr, value) in attributes.items():
        item.add_new(tag, vr, value)
    return item


def of_patient(n, series):
    """An image of a study that names its patient at the top, nested and in private attributes."""
    made = pydicom.dcmread(io.BytesIO(slice_of(n, series=series, seed=n + 100 * len(series))))
    attributes = planted()
    for tag, (vr, value) in attributes.items():
        made.add_new(tag, vr, value)
    made.PatientBirthDate = "19520304"
    made.add_new(KEPT_SEQUENCE, "SQ", Sequence([item_of(attributes)]))
    block = made.private_block(0x0029, "MARKERNAME", create=True)
    block.add_new(1, "SQ", Sequence([item_of(attributes)]))
    block.add_new(2, "LO", "MARKERNAME")
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def leaks(said):
    """The words of the patient in a text or in bytes."""
    text = said.decode("latin-1") if isinstance(said, bytes) else str(said)
    return sorted({*WORDS.findall(text), *re.findall("19520304", text)})


def zip_of(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def arrive(north, tmp_path):
    """Four series of one study by four doors; what each door answered."""
    taker = bearer(north.technologist)
    answers = []
    for n in range(IMAGES):
        file = SimpleUploadedFile(f"MARKERNAME-{n}.dcm", of_patient(n, "api"))
        answers.append(hand_in(taker, file=file, patient="P-1", series_complete=n == IMAGES - 1).content)
    page = Client()
    page.force_login(north.technologist)
    files = [SimpleUploadedFile(f"MARKERNAME-{n}.dcm", of_patient(n, "page")) for n in range(IMAGES)]
    answers.append(
        page.post("/scans/hand-in/", {"files": files, "patient": "P-1", "priority": Priority.ROUTINE.value}).content
    )
    packed = zip_of({f"MARKERNAME/IM{n}.dcm": of_patient(n, "zip") for n in range(IMAGES)})
    file = SimpleUploadedFile("MARKERNAME.zip", packed)
    answers.append(taker.post(f"{V1}/scans/archive/", {"file": file, "patient": "P-1"}, format="multipart").content)
    folder = tmp_path / "MARKERNAME"
    folder.mkdir()
    for n in range(IMAGES):
        (folder / f"MARKERNAME-{n}.dcm").write_bytes(of_patient(n, "folder"))
    out = io.StringIO()
    call_command("import_folder", str(folder), "--institution", north.institution.code, stdout=out, stderr=out)
    return [*answers, out.getvalue()]


def read_all(north):
    """Each case is read as a tumour, with its key image, until it is done."""
    reader = bearer(north.radiologist)
    for case in Case.objects.filter(state="open"):
        token = reader.post(f"{V1}/cases/{case.pk}/claim/").json()["claim_token"]
        said = {"claim_token": token, "label": "glioma", "certainty": "certain", "key_images": "2"}
        blind = reader.post(f"{V1}/cases/{case.pk}/reads/", {**said, "stage": "blind"}, format="json")
        assert blind.status_code == 201, blind.content
        opinion = reader.get(f"{V1}/scans/{case.scan_id}/").json()["prediction"]
        assert opinion["profile"] and len(opinion["profile"]) == IMAGES
        reason = {"glioma": "", "no_tumour": "missed_lesion"}.get(opinion["label"], "wrong_type")
        final = {**said, "stage": "final", "reason": reason, "may_train": True}
        answer = reader.post(f"{V1}/cases/{case.pk}/reads/", final, format="json")
        assert answer.status_code == 201, answer.content


@pytest.fixture
def home(north, settings, monkeypatch):
    settings.IDENTITY_KEY = "an identity key of a test, long enough"
    north.institution.identity = "derived"
    north.institution.save()
    registry.install_bundled_model(configured.BUNDLED_MODEL)
    return north


def stored(key):
    with default_storage.open(key) as file:
        return file.read()


def beside_them(institution):
    """Labelled scans of others, so many that a dataset can be frozen, each with a file of its own."""
    labelled(institution, each=30)
    for scan in Scan.objects.exclude(reference_label=""):
        data = str(scan.pk).encode()
        key = default_storage.save(f"labelled/{scan.pk}", ContentFile(data))
        Scan.objects.filter(pk=scan.pk).update(original=key, sha256=hashlib.sha256(data).hexdigest())


def walk(north):
    """What pages and the API say of the study to people of every role, by address."""
    scan, case = Scan.objects.exclude(series=None).order_by("created_at").first(), Case.objects.first()
    pages = [
        "/scans/", f"/scans/{scan.pk}/", "/worklist/", f"/cases/{case.pk}/", f"/cases/{case.pk}/comments/",
        "/history/patients/", f"/history/patients/{scan.patient_id}/", "/history/my-reads/", "/history/audit/",
        "/notifications/",
    ]  # fmt: skip
    resources = ["scans/", f"scans/{scan.pk}/", f"scans/{scan.pk}/images/", "cases/", f"cases/{case.pk}/", "patients/"]
    resources += ["studies/", f"patients/{scan.patient_id}/", f"studies/{scan.study_id}/", "audit-events/"]
    found = {}
    for role in Role:
        user = getattr(north, role.value)
        page, api = Client(), bearer(user)
        page.force_login(user)
        for address in pages:
            found[role.value, address] = page.get(address).content
        for address in resources:
            found[role.value, address] = api.get(f"{V1}/{address}").content
    report = body_of(bearer(north.radiologist).get(f"{V1}/cases/{case.pk}/report/"))
    found["report", "bytes"] = report
    document = PdfReader(io.BytesIO(report))
    found["report", "words"] = " ".join(each.extract_text() for each in document.pages) + str(document.metadata)
    found["originals", "zip"] = body_of(bearer(north.technologist).get(f"{V1}/scans/{scan.pk}/original/"))
    return found


def test_words_of_a_patient_stay_in_the_sealed_originals(home, quiet, caplog, capfd, tmp_path):
    from diagnostics.predictions import inference

    before = set(keys_in(default_storage))
    with caplog.at_level(logging.DEBUG):
        answers = arrive(home, tmp_path)
        Series.objects.update(close_at=timezone.now())
        closing.close_due()
        inference.run_waiting()
        assert [scan.image_count for scan in Scan.objects.all()] == [IMAGES] * 4
        assert len({scan.study_id for scan in Scan.objects.all()}) == 1, "one study by every door"
        assert len({scan.patient_id for scan in Scan.objects.all()}) == 1
        read_all(home)
        assert set(Case.objects.values_list("state", flat=True)) == {"done"}
        shown = walk(home)
        beside_them(home.institution)
        version = datasets.freeze(by=home.data_manager, institutions=[home.institution])
        exported = tmp_path / "exported"
        call_command("export_dataset", str(version.number), "--by", home.data_manager.username, "--out", str(exported))
    out, err = capfd.readouterr()

    # Whoever sent a file is told its name again, and nothing of what it holds.
    assert {word for answer in answers for word in leaks(answer)} <= {"MARKERNAME"}
    assert {address: leaks(said) for address, said in shown.items() if leaks(said)} == {}
    assert leaks(caplog.text + out + err) == [], "logs"
    assert leaks(json.dumps(quiet)) == [], "messages to workers"
    assert leaks(datasets.manifest(version)) == []
    files = [file for file in exported.rglob("*") if file.is_file()]
    assert any(file.suffix != ".jsonl" and b"DICM" in file.read_bytes()[:140] for file in files)
    assert {str(file): leaks(file.read_bytes()) for file in files if leaks(file.read_bytes())} == {}
    tables = {name: leaks(rows) for name, rows in contents().items() if leaks(rows)}
    assert tables == {}
    assert leaks(str([message.message().as_string() for message in mail.outbox])) == []
    registry_of_metrics = CollectorRegistry()
    registry_of_metrics.register(Collector())
    assert leaks(generate_latest(registry_of_metrics)) == []
    new = [key for key in keys_in(default_storage) if key not in before]
    assert len(new) > 4 * IMAGES * 3 and [key for key in new if leaks(key)] == []
    assert [key for key in new if leaks(stored(key))] == []

    # The words really were there, and an administrator finds them where they are sealed.
    sealed = list(SealedOriginal.objects.all())
    assert len(sealed) == 4 * IMAGES == Image.objects.exclude(sop_uid="").count()
    data = opened(by=home.administrator, row=sealed[0], reason="a test")
    assert len(leaks(data)) > 200

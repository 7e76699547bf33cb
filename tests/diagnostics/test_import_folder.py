"""``manage.py import_folder`` and ``manage.py demo``: what they store, what they say, and that twice is once."""

import io
import re
import shutil
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from diagnostics import closing, pipeline
from diagnostics.cases.models import Case
from diagnostics.scans.access import Role
from diagnostics.scans.models import Patient, Scan
from tests.dicom_images import slice_of
from tests.factories import InstitutionFactory, live_model, phantom, volume

pytestmark = pytest.mark.django_db
REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def no_nudges(monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: True)


@pytest.fixture
def folder(tmp_path):
    """Two labelled folders, one whose name says nothing, and three files that are no images."""
    for number, name in enumerate(["yes", "no", "unsorted"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "JANE DOE.png").write_bytes(phantom(number))
    (tmp_path / "yes" / "twin of the one in no.png").write_bytes(phantom(1))
    (tmp_path / "yes" / "notes.txt").write_text("not an image")
    (tmp_path / "yes" / "empty.jpg").write_bytes(b"")
    (tmp_path / "no" / "cut.png").write_bytes(phantom(7)[:200])
    return tmp_path


def run(folder, institution, *options):
    out, err = io.StringIO(), io.StringIO()
    call_command("import_folder", str(folder), "--institution", institution.code, *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_import_stores_images_and_names_each_refused_file(folder):
    institution = InstitutionFactory()
    out, err = run(folder, institution)
    assert "3 stored, 1 already here, 3 refused" in out
    refused = {line.split(": ")[0].rsplit("/", 1)[1] for line in err.splitlines()}
    assert refused == {"notes.txt", "empty.jpg", "cut.png"}
    assert all("accepted" in line.lower() or "DICOM" in line for line in err.splitlines()), err
    assert Scan.objects.filter(institution=institution).count() == 3
    assert Case.objects.count() == 3, "without labels somebody must read them"


def test_import_keeps_no_file_name(folder):
    run(folder, InstitutionFactory())
    stored = str(list(Scan.objects.values())) + str(list(Scan.objects.values_list("patient__pseudonym")))
    assert "JANE" not in stored


def test_import_again_makes_no_twins(folder):
    institution = InstitutionFactory()
    run(folder, institution)
    out, _ = run(folder, institution)
    assert "0 stored, 4 already here, 3 refused" in out
    assert Scan.objects.count() == 3


def test_import_with_labels_takes_them_from_the_folders(folder):
    shutil.rmtree(folder / "no")
    (folder / "yes" / "twin of the one in no.png").unlink()
    institution = InstitutionFactory()
    live_model()
    out, _ = run(folder, institution, "--labels")
    labels = sorted(Scan.objects.values_list("reference_label", flat=True))
    assert labels == ["", "tumour"]
    assert "1 have no reference label" in out
    assert Case.objects.count() == 1, "a labelled image waits for no reader"


def test_import_with_labels_later_adds_them_to_what_is_here(folder):
    institution = InstitutionFactory()
    shutil.rmtree(folder / "unsorted")
    (folder / "yes" / "twin of the one in no.png").unlink()
    run(folder, institution)
    run(folder, institution, "--labels")
    assert sorted(Scan.objects.values_list("reference_label", flat=True)) == ["no_tumour", "tumour"]


def test_import_takes_no_label_for_a_file_of_several_frames(tmp_path):
    """The folder's label is of the whole; which frame shows it nobody has said."""
    (tmp_path / "yes").mkdir()
    (tmp_path / "yes" / "volume.dcm").write_bytes(volume(3))
    institution = InstitutionFactory()
    out, err = run(tmp_path, institution, "--labels")
    assert "0 stored, 0 already here, 1 refused" in out
    assert "Upload the relevant frame" in err
    out, _ = run(tmp_path, institution)
    assert "1 stored" in out
    assert Scan.objects.get().frames == 3


def test_import_of_one_image_under_two_labels_names_the_conflict(folder):
    institution = InstitutionFactory()
    _, err = run(folder, institution, "--labels")
    assert "already has the label no_tumour, not tumour" in err
    assert Scan.objects.filter(reference_label="no_tumour").count() == 1


def test_import_into_an_unknown_institution_says_what_to_do(tmp_path):
    with pytest.raises(CommandError, match="create_person"):
        call_command("import_folder", str(tmp_path), "--institution", "nowhere")


def test_import_of_no_folder_or_an_empty_one_says_so(tmp_path):
    institution = InstitutionFactory()
    with pytest.raises(CommandError, match="not a folder"):
        run(tmp_path / "missing", institution)
    with pytest.raises(CommandError, match="no file"):
        run(tmp_path, institution)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real images (../shared/data) are not here")
def test_import_of_real_images_with_odd_names(tmp_path):
    for label in ("yes", "no"):
        (tmp_path / label).mkdir()
        for file in sorted((REAL / "navoneel" / label).iterdir())[:12]:
            shutil.copy(file, tmp_path / label)
    institution = InstitutionFactory()
    out, err = run(tmp_path, institution, "--labels")
    assert err == ""
    assert Scan.objects.exclude(reference_label="").count() == Scan.objects.count() >= 20
    assert "0 refused" in out


def test_demo_makes_one_person_per_role_and_phantoms_and_shows_passwords_once():
    live_model()
    first, again = io.StringIO(), io.StringIO()
    call_command("demo", stdout=first)
    call_command("demo", stdout=again)
    User = get_user_model()
    for role in Role:
        user = User.objects.get(memberships__role=role, memberships__institution__code="demo")
        line = next(line for line in first.getvalue().splitlines() if line.strip().startswith(user.username))
        password = line.split()[1]
        assert user.check_password(password)
        assert password not in again.getvalue()
    scans = Scan.objects.all()
    assert scans.count() == 8 and {scan.source for scan in scans} == {"demo"}
    assert {scan.format for scan in scans} == {"png", "dicom"}
    assert "0 synthetic phantom scans" in again.getvalue()
    assert Case.objects.count() == 8


@pytest.mark.django_db(transaction=True)
def test_study_of_a_folder_is_filed_as_its_series(tmp_path, capsys):
    """Two series of one patient, names of files that say nothing, and one picture beside them."""
    place = InstitutionFactory(code="north")
    for n in range(5):
        (tmp_path / f"{n}").write_bytes(slice_of(n, PatientID="Doe^Jane 4711"))
        (tmp_path / f"second-{n}.dcm").write_bytes(slice_of(n, series="second", PatientID="Doe^Jane 4711"))
    (tmp_path / "picture.png").write_bytes(phantom(1))
    call_command("import_folder", str(tmp_path), institution="north")
    assert "11 stored, 0 already here, 0 refused" in capsys.readouterr().out
    assert closing.close_due() == 2
    stacks = Scan.objects.filter(series__isnull=False)
    assert sorted(stacks.values_list("image_count", flat=True)) == [5, 5]
    assert stacks.values("patient").distinct().count() == 1 and stacks.values("study").distinct().count() == 1
    names = list(Patient.objects.filter(institution=place).values_list("pseudonym", flat=True))
    assert len(names) == 2 and all(re.fullmatch("IMPORT-[0-9a-f]{12}", name) for name in names)
    call_command("import_folder", str(tmp_path), institution="north")
    assert "0 stored, 11 already here, 0 refused" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_file_that_contradicts_ends_no_import(tmp_path, capsys):
    InstitutionFactory(code="north")
    for n in range(3):
        (tmp_path / f"{n}.dcm").write_bytes(slice_of(n, PatientID="4711"))
    (tmp_path / "1-other.dcm").write_bytes(slice_of(1, seed=77, PatientID="4711"))
    call_command("import_folder", str(tmp_path), institution="north")
    told = capsys.readouterr()
    assert "3 stored, 0 already here, 1 refused" in told.out and "SOP Instance UID" in told.err
    assert closing.close_due() == 1 and Scan.objects.get().image_count == 3


@pytest.mark.django_db(transaction=True)
def test_link_out_of_the_folder_is_not_followed(tmp_path, capsys):
    InstitutionFactory(code="north")
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.png").write_bytes(phantom(1))
    (tmp_path / "inside" / "own.png").write_bytes(phantom(2))
    (tmp_path / "inside" / "link.png").symlink_to(tmp_path / "secret.png")
    call_command("import_folder", str(tmp_path / "inside"), institution="north")
    assert "1 stored, 0 already here, 0 refused" in capsys.readouterr().out

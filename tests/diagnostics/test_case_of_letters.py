"""Upper and lower case make no two people, institutions, patients or studies; an update stops where there are two."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from diagnostics import pipeline
from diagnostics.models import Institution, Patient, Scan, Study
from diagnostics.scans.access import Permission, Role
from diagnostics.scans.filing import institution_for
from diagnostics.scans.folding import folded
from diagnostics.scans.twins import NamesCollide
from portal.accounts import services as accounts
from portal.accounts.models import User
from portal.start import prepare
from portal.start.refusal import Refusal
from tests import databases
from tests import factories as made

PAIRS = [("Reader2", "reader2"), ("ÄRZTIN", "ärztin"), ("Straße", "STRASSE"), ("ΣΊΣΥΦΟΣ", "σίσυφος")]


def test_folding_is_the_same_done_twice():
    for first, second in PAIRS:
        assert folded(first) == folded(second) == folded(folded(first))
    assert folded("P-0042") == "p-0042"
    assert folded("reader1") != folded("reader2")


@pytest.mark.django_db
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_the_database_holds_one_person_per_name(first, second):
    User.objects.create(username=first)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(username=second)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.bulk_create([User(username=second)])


@pytest.mark.django_db
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_nobody_is_added_under_a_name_in_other_letters(first, second):
    home = made.InstitutionFactory(code="north")
    made.person(Role.RADIOLOGIST, home, username=first)
    with pytest.raises(ValidationError) as refused:
        accounts.add_person(
            by=None, username=second, password="tall green windmills", role=Role.RADIOLOGIST, institution_code="north"
        )
    assert "username" in refused.value.message_dict


@pytest.mark.django_db
@pytest.mark.parametrize("written", ["Rita", "rita", "RITA", " rita "])
def test_sign_in_regards_no_case(client, written):
    made.UserFactory(username="Rita")
    answer = client.post("/accounts/sign-in/", {"username": written, "password": made.PASSWORD})
    assert answer.status_code == 302


@pytest.mark.django_db
def test_administrator_cannot_rename_somebody_into_another(client):
    made.UserFactory(username="reader2")
    other = made.UserFactory(username="other")
    client.force_login(made.UserFactory(is_superuser=True, is_staff=True))
    form = {"username": "Reader2", "is_active": "on", "email": other.email, "memberships-TOTAL_FORMS": 0,
            "memberships-INITIAL_FORMS": 0}  # fmt: skip
    answer = client.post(f"/admin/accounts/user/{other.pk}/change/", form)
    assert "This name is taken" in answer.content.decode()


def submitted(by: User, home: Institution, seed: int, patient: str, accession: str = "") -> Scan:
    data = made.phantom(seed)
    return pipeline.submit_scan(by=by, institution=home, data=data, patient=patient, accession=accession).scan


@pytest.mark.django_db
def test_upload_finds_patient_and_study_in_whatever_case(monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda *_: True)
    home = made.InstitutionFactory(code="north")
    ted = made.person(Role.TECHNOLOGIST, home)
    first = submitted(ted, home, 1, "P-0042", "Acc-Ä1")
    second = submitted(ted, home, 2, "p-0042", "ACC-ä1")
    assert (first.patient, first.study) == (second.patient, second.study)
    assert (first.patient.pseudonym, first.study.accession) == ("P-0042", "Acc-Ä1")
    away = made.InstitutionFactory()
    elsewhere = submitted(made.person(Role.TECHNOLOGIST, away), away, 3, "p-0042")
    assert elsewhere.patient != first.patient


@pytest.mark.django_db
@pytest.mark.parametrize(("first", "second"), [("P-0042", "p-0042"), ("Ä-1", "ä-1")])
def test_the_database_holds_one_patient_and_one_study_per_name(first, second):
    home = made.InstitutionFactory()
    patient = Patient.objects.create(institution=home, pseudonym=first)
    Study.objects.create(patient=patient, accession=first)
    with pytest.raises(IntegrityError), transaction.atomic():
        Patient.objects.create(institution=home, pseudonym=second)
    with pytest.raises(IntegrityError), transaction.atomic():
        Study.objects.create(patient=patient, accession=second)
    Study.objects.create(patient=patient, accession="", date=timezone.localdate())
    Study.objects.create(patient=patient, accession="")


@pytest.mark.django_db
def test_institutions_differ_by_more_than_case():
    home = made.InstitutionFactory(code="North")
    user = made.person(Role.TECHNOLOGIST, home)
    assert institution_for(user, Permission.SUBMIT_SCAN, "NORTH") == home
    call_command("create_person", "rita", "--role", "radiologist", "--institution", "north", stdout=io.StringIO())
    assert Institution.objects.get() == home
    with pytest.raises(ValidationError, match="this code already"):
        Institution(code="north", name="Another").full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        Institution.objects.create(code="NORTH", name="Another")


@pytest.mark.django_db
def test_filters_of_the_api_regard_no_case(client):
    home = made.InstitutionFactory(code="north")
    scan = made.ScanFactory(institution=home, patient__pseudonym="P-Ab1", study__accession="Acc-7")
    made.CaseFactory(scan=scan)
    client.force_login(made.person(Role.DATA_MANAGER, home))
    for address in (
        "patients/?pseudonym=p-aB1",
        "patients/?institution=NORTH",
        "studies/?patient=P-AB1&accession=aCC-7",
        "scans/?patient=p-ab1&accession=ACC-7&institution=North",
        "cases/?patient=P-ab1",
    ):
        assert len(client.get(f"/api/v1/{address}").json()["results"]) == 1, address
    assert client.get("/api/v1/institutions/NORTH/").json()["code"] == "north"


# --- an update with twins in the database

BEFORE = (("accounts", "0005_own_keys"), ("diagnostics", "0017_how_far_the_analysis_is"))


@pytest.fixture(scope="module")
def version_before(django_db_setup, django_db_blocker) -> Iterator[tuple[str, Any]]:
    """A database of the version before, for tests to work in copies of it, and its models."""
    with django_db_blocker.unblock(), databases.scratch() as name:
        models = databases.migrated_to(BEFORE)
        connection.close()
        yield name, models


@pytest.fixture
def old(version_before, django_db_blocker) -> Iterator[Any]:
    """The models of a database of the version before, in which the fixture's user plants rows."""
    name, models = version_before
    with django_db_blocker.unblock(), databases.scratch(template=name):
        yield models


def plant(old: Any) -> Any:
    """Two of everything, and a reader who handed both in."""
    Person, Place = old.get_model("accounts", "User"), old.get_model("diagnostics", "Institution")
    for name in ("Reader2", "reader2", "ÄRZTIN", "ärztin", "fine"):
        Person.objects.create(username=name)
    for code in ("North", "north", "south"):
        Place.objects.create(code=code, name=code)
    home, Twin = Place.objects.get(code="north"), old.get_model("diagnostics", "Patient")
    Visit, Picture = old.get_model("diagnostics", "Study"), old.get_model("diagnostics", "Scan")
    number = 0
    visits = {"P-0042": ("A-1", "A-2"), "p-0042": ("a-1",), "Q-7": ("B-É", "b-é"), "R-8": ("",)}
    for name, accessions in visits.items():
        patient = Twin.objects.create(institution=home, pseudonym=name)
        for accession in accessions:
            study = Visit.objects.create(patient=patient, accession=accession)
            number += 1
            Picture.objects.create(
                institution=home, patient=patient, study=study, sha256=f"{number:064}", size_bytes=1, format="png",
                width=8, height=8, bits=8, original="o", pixels="p", preview="v", fingerprint=b"f", source="portal",
                uploaded_by=Person.objects.get(username="fine"),
            )  # fmt: skip
    return home


def names(*arguments: str) -> str:
    out = io.StringIO()
    call_command("same_names", *arguments, stdout=out)
    return out.getvalue()


def test_update_names_the_twins_stops_and_goes_on_once_a_person_has_decided(old):
    plant(old)
    with pytest.raises(NamesCollide) as stopped:
        call_command("migrate", interactive=False, verbosity=0)
    said = str(stopped.value)
    assert "people: Reader2, reader2" in said and "people: ÄRZTIN, ärztin" in said
    assert "rename-person OLD NEW" in said and "fine" not in said
    # `make run` says the same, without a traceback.
    with pytest.raises(Refusal, match="people: Reader2, reader2"):
        prepare.prepare()
    listed = names()
    for words in (
        "people: Reader2, reader2",
        "institutions: North, north",
        "patients of north: P-0042, p-0042",
        "studies of north Q-7: B-É, b-é",
    ):
        assert words in listed
    assert "R-8" not in listed
    names("rename-person", "Reader2", "reader2-north")
    names("rename-person", "ÄRZTIN", "aerztin2")
    with pytest.raises(CommandError, match="already"):
        names("rename-institution", "North", "SOUTH")
    with pytest.raises(NamesCollide, match="patients of north: P-0042, p-0042"):
        call_command("migrate", interactive=False, verbosity=0)
    names("rename-institution", "North", "north-clinic")
    assert "Merged; 1 scans moved." in names("merge-patients", "north", "P-0042", "p-0042")
    left = names("rename-study", "north", "Q-7", "b-é", "b-é-2")
    assert "No two names differ" in left
    call_command("migrate", interactive=False, verbosity=0)
    assert sorted(User.objects.values_list("username_folded", flat=True)) == [
        "aerztin2", "fine", "reader2", "reader2-north", "ärztin",
    ]  # fmt: skip
    assert sorted(Institution.objects.values_list("code_folded", flat=True)) == ["north", "north-clinic", "south"]
    patient = Patient.objects.get(pseudonym_folded="p-0042")
    assert patient.pseudonym == "P-0042"
    # A-1 and a-1 were one visit: its scan moved to the one that stays.
    assert sorted(patient.studies.values_list("accession", flat=True)) == ["A-1", "A-2"]
    assert Scan.objects.filter(patient=patient).count() == 3
    assert Scan.objects.filter(study__accession="A-1").count() == 2
    assert sorted(Study.objects.values_list("accession_folded", flat=True)) == ["", "a-1", "a-2", "b-é", "b-é-2"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT act FROM diagnostics_auditevent ORDER BY id")
        acts = [act for (act,) in cursor.fetchall()]
    assert sorted(acts) == ["patients_merged", "renamed", "renamed", "renamed", "renamed"]


def test_two_studies_of_one_patient_can_be_one(old):
    plant(old)
    assert "Merged; 1 scans moved." in names("merge-studies", "north", "Q-7", "B-É", "b-é")
    with pytest.raises(CommandError, match="There is no study nothing"):
        names("merge-studies", "north", "Q-7", "B-É", "nothing")
    with pytest.raises(CommandError, match="Usage: same_names merge-studies INSTITUTION PATIENT KEEP OTHER"):
        names("merge-studies", "north")


@pytest.mark.slow  # all migrations since; the test of twins runs them each time
def test_names_that_are_right_are_migrated_as_they_are(old):
    Place, Twin = old.get_model("diagnostics", "Institution"), old.get_model("diagnostics", "Patient")
    old.get_model("accounts", "User").objects.create(username="Ünal")
    home = Place.objects.create(code="North", name="North")
    for number in range(50):
        Twin.objects.create(institution=home, pseudonym=f"P-{number:04}")
    call_command("migrate", interactive=False, verbosity=0)
    assert User.objects.get().username_folded == "ünal"
    assert Client().get("/accounts/sign-in/").status_code == 200
    stored = Patient.objects.values_list("pseudonym", "pseudonym_folded")
    assert {folded for _name, folded in stored} == {name.lower() for name, _folded in stored}

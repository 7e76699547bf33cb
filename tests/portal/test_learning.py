"""The lab and the admin ask the same, in the same words."""

import re
from html import unescape

import pytest
from django import forms
from django.test import Client
from django.urls import reverse

from diagnostics.datasets.services import freeze
from diagnostics.registry import services as registry
from diagnostics.scans.access import Role
from tests.diagnostics.model_fixtures import model_folder, put_into_use, stored_model
from tests.diagnostics.test_datasets import enough, own_files  # noqa: F401 - fixture
from tests.factories import CaseFactory, InstitutionFactory, ReadFactory, ScanFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_cache(settings, tmp_path):
    settings.MODEL_CACHE_DIR = tmp_path / "cache"


@pytest.fixture
def boss():
    return person(Role.ADMINISTRATOR, InstitutionFactory(code="north", name="North"), is_staff=True)


@pytest.fixture
def client(boss):
    client = Client()
    client.force_login(boss)
    return client


@pytest.fixture
def candidate(boss, tmp_path):
    registry.install_bundled_model(model_folder(tmp_path, b"live"))
    return stored_model(tmp_path, b"candidate", name="Second")


def page(client: Client, name: str, *args: object) -> tuple[forms.Form | None, str]:
    """The form of a page, and what the page says."""
    answer = client.get(reverse(name, args=args))
    assert answer.status_code == 200
    return answer.context.get("form"), unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split()))


def asked(form: forms.Form) -> list[tuple[str, str, str, str]]:
    """Each field with its kind and its words."""
    return [
        (name, type(field).__name__, str(field.label), str(field.help_text)) for name, field in form.fields.items()
    ]


def assert_the_same(client: Client, lab: tuple[object, ...], admin: tuple[object, ...]) -> None:
    here, there = page(client, *lab), page(client, *admin)
    assert asked(here[0]) == asked(there[0])
    for _name, _kind, label, help_text in asked(here[0]):
        for _form, said in (here, there):
            assert label in said and " ".join(help_text.split()) in said


def test_freezing_asks_the_same_in_the_lab_and_in_the_admin(client, boss):
    place = boss.memberships.get().institution
    enough(place)
    # Without any reader there is nobody to leave out, and the lab does not ask.
    ReadFactory(final=True, case=CaseFactory(scan=ScanFactory(institution=place), done=True))
    assert_the_same(client, ("lab:freeze",), ("admin:diagnostics_datasetversion_freeze",))


def test_training_asks_the_same_in_the_lab_and_in_the_admin(client, boss):
    place = boss.memberships.get().institution
    enough(place)
    dataset = freeze(by=boss, institutions=[place])
    lab, admin = ("lab:dataset", dataset.pk), ("admin:diagnostics_datasetversion_train", dataset.pk)
    assert_the_same(client, lab, admin)
    for said in (page(client, *lab)[1], page(client, *admin)[1]):
        assert "It analyses no scans until it is promoted." in said
        assert "What training would do now" in said


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.DATA_MANAGER])
def test_promoting_asks_the_same_in_the_lab_and_in_the_admin(boss, candidate, role, others):
    place = boss.memberships.get().institution
    who = boss if role == Role.ADMINISTRATOR else person(role, place, is_staff=True)
    for _ in range(others):
        person(Role.ADMINISTRATOR, place)
    client = Client()
    client.force_login(who)
    session = client.session
    session["shown_at"] = 0  # signed in long ago, so that the password is asked for where it is needed
    session.save()
    lab, admin = ("lab:model", candidate.pk), ("admin:diagnostics_modelversion_promote", candidate.pk)
    assert_the_same(client, lab, admin)
    (form, here), (_form, there) = page(client, *lab), page(client, *admin)
    assert ("name" in form.fields) is (role == Role.ADMINISTRATOR)
    assert ("password" in form.fields) is (role == Role.ADMINISTRATOR and not others)
    for sentence in (
        "Not known: it was not trained here, or before the gate existed.",
        "This needs a written exception: a reason of at least 20 characters",
        "This installation needs no second administrator",
    ):
        assert (sentence in here) is (sentence in there), sentence


def test_putting_the_former_model_back_asks_the_same_in_the_lab_and_in_the_admin(client, boss, candidate):
    put_into_use(boss, candidate)
    form, said = page(client, "admin:diagnostics_modelversion_roll_back")
    _form, overview = page(client, "lab:overview")
    for name, field in form.fields.items():
        if name != "to":
            for text in (str(field.label), str(field.help_text)):
                assert text in said and text in overview

"""Whether somebody promotes or proposes: one table for the lab, the admin and the API."""

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from diagnostics.models import GateResult, Promotion, PromotionRequest
from diagnostics.registry import gate
from diagnostics.registry import services as registry
from diagnostics.scans.access import Role
from portal.accounts.models import User
from tests.diagnostics.model_fixtures import model_folder, put_into_use, stored_model
from tests.factories import InstitutionFactory, person

pytestmark = pytest.mark.django_db
WHY = "The new scanner is not in the test part."

# Who asks; what the gate says; whether there is another administrator; whether two must always agree; what comes of
# it with a reason and the model's name, and with the reason alone.
TABLE = """
administrator  pass       alone    one  promoted  promoted
administrator  pass       another  one  promoted  promoted
administrator  pass       alone    two  proposed  proposed
administrator  pass       another  two  proposed  proposed
administrator  fail       alone    one  promoted  refused
administrator  fail       another  one  proposed  refused
administrator  fail       alone    two  proposed  proposed
administrator  fail       another  two  proposed  proposed
administrator  unmeasured alone    one  promoted  refused
administrator  unmeasured another  one  proposed  refused
data_manager   pass       alone    one  proposed  proposed
data_manager   pass       another  one  proposed  proposed
data_manager   pass       another  two  proposed  proposed
data_manager   fail       alone    one  proposed  proposed
data_manager   fail       another  one  proposed  proposed
data_manager   fail       another  two  proposed  proposed
radiologist    pass       another  one  denied    denied
radiologist    fail       another  two  denied    denied
technologist   pass       another  one  denied    denied
""".strip().splitlines()


@pytest.fixture(autouse=True)
def own_files(settings, tmp_path):
    cache.clear()
    settings.MODEL_CACHE_DIR = tmp_path / "cache"
    settings.STORAGES = settings.STORAGES | {
        "artifacts": {
            "BACKEND": "diagnostics.scans.storage.DurableFileSystemStorage",
            "OPTIONS": {"location": tmp_path / "files", "allow_overwrite": True},
        }
    }


@pytest.fixture
def candidate(tmp_path):
    registry.install_bundled_model(model_folder(tmp_path, b"live"))
    return stored_model(tmp_path, b"candidate", name="Second")


def by_page(name):
    def post(client, version, body):
        return client.post(reverse(name, args=[version.pk]), body, follow=True)

    return post


def by_api(client, version, body):
    address = reverse("api:modelversion-promote", args=[version.pk])
    return client.post(address, body, content_type="application/json")


DOORS = {"lab": by_page("lab:promote"), "admin": by_page("admin:diagnostics_modelversion_promote"), "api": by_api}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("line", TABLE)
def test_every_door_leads_to_the_same_outcome(line, door, candidate, settings):
    role, verdict, others, policy, named, unnamed = line.split()
    place = InstitutionFactory()
    who = person(Role(role), place, is_staff=True)
    if others == "another":
        person(Role.ADMINISTRATOR, place)
    settings.SECOND_ADMINISTRATOR = policy == "two"
    if verdict != "unmeasured":
        GateResult.objects.create(
            version=candidate,
            live=registry.live(),
            rules=gate.current_rules(),
            verdict=verdict,
            findings=[],
            test_sha256="0" * 64,
        )
    assert outcome(door, who, candidate, {"reason": WHY}) == unnamed
    if unnamed in ("refused", "denied"):
        assert outcome(door, who, candidate, {"reason": WHY, "name": str(candidate)}) == named


def outcome(door: str, who: User, version, body: dict[str, str]) -> str:
    """What came of the wish, by the rows; that the answer fits it is asserted here."""
    client = Client()
    client.force_login(who)
    answer = DOORS[door](client, version, body)
    if registry.live() == version:
        assert answer.status_code == 200
        assert Promotion.objects.get(kind="promote").by == who
        return "promoted"
    if PromotionRequest.objects.exists():
        assert answer.status_code == (202 if door == "api" else 200)
        assert PromotionRequest.objects.get().proposed_by == who
        return "proposed"
    assert answer.status_code in (400, 403)
    return "denied" if answer.status_code == 403 else "refused"


ROLL_BACK = {
    "lab": lambda client, body: client.post(reverse("lab:roll-back"), body, follow=True),
    "admin": lambda client, body: client.post(reverse("admin:diagnostics_modelversion_roll_back"), body, follow=True),
    "api": lambda client, body: client.post(
        reverse("api:modelversion-rollback"), body, content_type="application/json"
    ),
}


@pytest.mark.parametrize("door", ROLL_BACK)
@pytest.mark.parametrize(
    ("role", "reason", "done"),
    [("administrator", "Worse.", True), ("administrator", " ", False), ("data_manager", "Worse.", False)],
)
@pytest.mark.parametrize("two", [False, True])
def test_the_former_model_comes_back_by_every_door_alike(door, role, reason, done, two, candidate, settings):
    """One administrator is enough to go back, whatever the installation wants for going on."""
    place, former = InstitutionFactory(), registry.live()
    put_into_use(person(Role.ADMINISTRATOR, place), candidate)
    settings.SECOND_ADMINISTRATOR = two
    client = Client()
    client.force_login(person(Role(role), place, is_staff=True))
    ROLL_BACK[door](client, {"reason": reason, "to": str(former.pk)})
    assert registry.live() == (former if done else candidate)
    assert Promotion.objects.filter(kind="rollback").exists() is done


@pytest.mark.parametrize("door", DOORS)
def test_nobody_puts_anything_forward_without_a_reason(door, candidate):
    boss = person(Role.ADMINISTRATOR, InstitutionFactory(), is_staff=True)
    assert outcome(door, boss, candidate, {"reason": " ", "name": str(candidate)}) == "refused"


@pytest.mark.parametrize("door", ["lab", "admin"])
def test_who_proposes_what_is_proposed_already_is_told_so(door, candidate, settings):
    settings.SECOND_ADMINISTRATOR = True
    place = InstitutionFactory()
    for name in ("ada", "ben"):
        client = Client()
        client.force_login(person(Role.ADMINISTRATOR, place, username=name, is_staff=True))
        answer = DOORS[door](client, candidate, {"reason": f"{name} wants it"})
    assert "ada has already proposed it" in answer.content.decode().casefold()
    assert PromotionRequest.objects.get().reason == "ada wants it"

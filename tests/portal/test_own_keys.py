"""One's own keys: kept with the account, shown wherever a key is hinted at, two actions never on one key."""

import json
import re
from html import unescape

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from diagnostics.audit.models import AuditEvent
from diagnostics.scans.access import Role
from portal.accounts import preferences
from portal.accounts.keys import PAGES, PageKeys, delivered
from portal.accounts.models import OwnKey, Preferences
from tests.factories import CaseFactory, ClaimFactory, InstitutionFactory, PredictionFactory, ScanFactory, person
from tests.markup import flat
from tests.portal.api.api_client import V1, assert_problem, bearer

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def ada(place):
    return person(Role.RADIOLOGIST, place, username="ada")


@pytest.fixture
def client(ada):
    signed_in = Client()
    signed_in.force_login(ada)
    return signed_in


def keys_of(user, page="reading"):
    return PageKeys(user, page).by_action


@pytest.mark.parametrize("page", PAGES)
def test_keys_as_delivered_are_each_for_one_action(page):
    keys = list(delivered(page).values())
    assert sorted(set(keys)) == sorted(keys) and "" not in keys


def test_choosing_a_key_changes_that_one_alone(ada):
    preferences.choose_keys(by=ada, page="reading", keys={"invert": "ä"})
    assert keys_of(ada) == {**delivered("reading"), "invert": "ä"}
    assert keys_of(ada, "worklist") == delivered("worklist")
    event = AuditEvent.objects.get(act="keys_changed")
    assert (event.actor, event.detail) == (ada, {"page": "reading"})


def test_two_actions_may_exchange_their_keys(ada):
    preferences.choose_keys(by=ada, page="reading", keys={"invert": "r", "rotate": "i"})
    assert (keys_of(ada)["invert"], keys_of(ada)["rotate"]) == ("r", "i")


def test_a_key_that_is_taken_is_refused_and_nothing_is_stored(ada):
    with pytest.raises(preferences.BadKeys) as refused:
        preferences.choose_keys(by=ada, page="reading", keys={"invert": "r", "fit": "§"})
    assert refused.value.sentences["invert"] == "“r” is also the shortcut for “Rotate 90°”."
    assert set(refused.value.sentences) == {"invert", "rotate"}
    assert not OwnKey.objects.exists() and not AuditEvent.objects.exists()


@pytest.mark.parametrize("key", ["?", "F5", "Ctrl+s", "Enter", "ab", "\x00"])
def test_a_key_that_cannot_be_used_is_refused(ada, key):
    with pytest.raises(preferences.BadKeys) as refused:
        preferences.choose_keys(by=ada, page="reading", keys={"invert": key})
    assert list(refused.value.sentences) == ["invert"]


@pytest.mark.parametrize(("entered", "kept"), [("I", "i"), (" ", "Space"), ("shift+6", "Shift+6"), ("", "")])
def test_keys_are_kept_in_one_spelling(ada, entered, kept):
    preferences.choose_keys(by=ada, page="reading", keys={"reset": "§", "invert": entered})
    assert keys_of(ada)["invert"] == kept


def test_the_same_key_may_serve_on_both_pages(ada):
    preferences.choose_keys(by=ada, page="worklist", keys={"down": "i"})
    assert (keys_of(ada, "worklist")["down"], keys_of(ada)["invert"]) == ("i", "i")


def test_back_to_the_keys_as_delivered_leaves_no_row(ada):
    preferences.choose_keys(by=ada, page="reading", keys={"invert": "§"})
    preferences.keys_as_delivered(by=ada, page="reading")
    assert keys_of(ada) == delivered("reading") and not OwnKey.objects.exists()


def test_an_action_that_comes_with_a_later_version_takes_no_key_away(ada):
    preferences.choose_keys(by=ada, page="reading", keys={"rotate": "§", "invert": "r"})
    OwnKey.objects.filter(action__in=["rotate", "fit"]).delete()  # as if they had not been there yet
    assert (keys_of(ada)["invert"], keys_of(ada)["rotate"], keys_of(ada)["fit"]) == ("r", "", "=")


BROKEN = {
    "one key per action": {"action": "invert", "key": "§"},
    "one action per key": {"action": "fit", "key": "i"},
    "known page": {"action": "other", "key": "x", "page": "moon"},
}


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN)
def test_database_refuses(ada, fields):
    OwnKey.objects.create(user=ada, page="reading", action="invert", key="i")
    OwnKey.objects.create(user=ada, page="reading", action="a", key="")
    OwnKey.objects.create(user=ada, page="reading", action="b", key="")  # several may have none
    with pytest.raises(IntegrityError), transaction.atomic():
        OwnKey.objects.create(**{"user": ada, "page": "reading", **fields})


def test_page_of_keys_saves_and_gives_back(client, ada):
    address = reverse("accounts:keys")
    assert client.post(address, {"page": "reading", "key-invert": "§"}).status_code == 302
    assert 'value="§"' in client.get(address).content.decode()
    assert client.post(address, {"page": "reading", "deliver": "1"}).status_code == 302
    assert keys_of(ada) == delivered("reading")


def test_page_of_keys_says_beside_the_field_what_is_wrong(client, ada):
    answer = client.post(reverse("accounts:keys"), {"page": "reading", "key-invert": "r"})
    html = flat(answer.content.decode())
    assert answer.status_code == 400
    assert "“r” is also the shortcut for “Rotate 90°”." in html
    assert "“r” is also the shortcut for “Invert”." in html
    assert re.search(r'name="key-invert" value="r"', html) and not OwnKey.objects.exists()


def test_every_hint_shows_one_s_own_keys(client, ada, place):
    case = CaseFactory(scan=ScanFactory(institution=place))
    PredictionFactory(scan=case.scan)
    ClaimFactory(case=case, holder=ada)
    preferences.choose_keys(by=ada, page="reading", keys={"submit": "ß", "label-2": "§", "tool-pan": "&"})
    html = client.get(reverse("reading:case", args=[case.pk])).content.decode()
    html = flat(html)
    assert '<kbd aria-hidden="true">ß</kbd>' in html and '<kbd aria-hidden="true">n</kbd>' not in html
    assert 'value="glioma"><span>Glioma</span><kbd aria-hidden="true">§</kbd>' in html
    assert "Drag to move the image (&amp;)" in html
    told = unescape(re.search(r'data-keys="([^"]*)"', html).group(1))
    assert json.loads(told) == keys_of(ada)


def test_main_button_does_what_was_chosen(client, ada, place):
    case = CaseFactory(scan=ScanFactory(institution=place))
    ClaimFactory(case=case, holder=ada)
    place.reading_mode = "ai_hidden"  # the final read at once
    place.save()
    address = reverse("reading:case", args=[case.pk])
    main = re.compile(r'name="then" value="(\w+)" data-submit')
    assert main.findall(client.get(address).content.decode()) == ["next"]
    for wanted, then in (("no", "stay"), ("yes", "next")):
        client.post(reverse("accounts:after-submitting"), {"auto_advance": wanted})
        assert main.findall(client.get(address).content.decode()) == [then]
    assert Preferences.objects.count() == 1
    assert client.post(reverse("accounts:after-submitting"), {"auto_advance": "maybe"}).status_code == 400


def test_habits_over_the_api(ada):
    mine = bearer(ada)
    address = f"{V1}/users/me/habits/"
    assert mine.get(address).json() == {"goes_on": True, **{page: delivered(page) for page in PAGES}}
    wanted = {"goes_on": False, "reading": {"invert": "§"}}
    changed = mine.post(address, wanted, format="json")
    assert (changed.status_code, changed.json()["goes_on"], changed.json()["reading"]["invert"]) == (200, False, "§")
    assert mine.get(address).json() == changed.json()


def test_keys_that_collide_are_refused_by_the_api_and_nothing_else_is_changed(ada):
    mine = bearer(ada)
    wanted = {"goes_on": False, "worklist": {"down": "x"}, "reading": {"invert": "r", "nowhere": "x"}}
    problem = assert_problem(mine.post(f"{V1}/users/me/habits/", wanted, format="json"), 400)
    assert "This page has no such action." in problem["errors"]["reading"]
    assert not OwnKey.objects.exists() and not Preferences.objects.exists()
    assert_problem(bearer(ada, "read").post(f"{V1}/users/me/habits/", wanted, format="json"), 403)

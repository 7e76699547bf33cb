"""The thread on the reading page and on a page of its own, and whom one may mention there."""

import pytest
from django.test import Client

from diagnostics.reviews import comments
from diagnostics.scans.access import Role
from tests.factories import CaseFactory, InstitutionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def case(place):
    return CaseFactory(scan=ScanFactory(institution=place))


def at(user):
    client = Client()
    client.force_login(user)
    return client


def test_comment_without_javascript_goes_back_to_where_it_was_written(case, place):
    reader, technologist = person(Role.RADIOLOGIST, place), person(Role.TECHNOLOGIST, place)
    address, page = f"/cases/{case.pk}/comments/", f"/cases/{case.pk}/"
    answer = at(technologist).post(address, {"text": "Moved. <b>@x", "next": "https://elsewhere.example.org/"})
    assert answer["Location"] == address, "never to another site"
    assert "Moved. &lt;b&gt;" in at(reader).get(page).content.decode()
    assert at(reader).post(address, {"text": "Seen.", "next": page})["Location"] == page
    shown = at(technologist).get(address).content.decode()
    assert "Moved." in shown and "Seen." in shown and "A reader" in shown and reader.username not in shown


def test_mention_stands_out_and_is_followed_to_the_thread(case, place):
    reader, technologist = person(Role.RADIOLOGIST, place), person(Role.TECHNOLOGIST, place)
    comments.comment(by=technologist, case=case, text=f"@{reader.username} moved")
    comments.comment(by=reader, case=case, text=f"@{technologist.username} again?")
    assert f'<span class="at">@{reader.username}</span>' in at(reader).get(f"/cases/{case.pk}/").content.decode()
    for user, wanted in ((reader, f"/cases/{case.pk}/#comments"), (technologist, f"/cases/{case.pk}/comments/")):
        row = user.notifications.get()
        answer = at(user).get(f"/notifications/{row.pk}/")
        assert answer["Location"] == wanted
        assert at(user).get(wanted).status_code == 200


def test_htmx_gets_the_thread_alone(case, place):
    answer = at(person(Role.TECHNOLOGIST, place)).post(
        f"/cases/{case.pk}/comments/", {"text": "Moved."}, headers={"HX-Request": "true"}
    )
    shown = answer.content.decode()
    assert answer.status_code == 200 and "Moved." in shown and "<html" not in shown


@pytest.mark.parametrize(("text", "says"), [("", "Enter a comment"), ("x" * 4001, "4000")])
def test_comment_that_cannot_be_kept_says_why_and_keeps_the_words(case, place, text, says):
    answer = at(person(Role.TECHNOLOGIST, place)).post(f"/cases/{case.pk}/comments/", {"text": text})
    assert answer.status_code == 400 and says in answer.content.decode()
    assert not case.comments.exists()


def test_colleagues_are_offered_to_whoever_may_see_the_case(case, place):
    reader = person(Role.RADIOLOGIST, place, username="rita", first_name="Rita", last_name="Ray")
    person(Role.RADIOLOGIST, InstitutionFactory(), username="ritchie")
    technologist = at(person(Role.TECHNOLOGIST, place))
    address = f"/cases/{case.pk}/people/"
    assert technologist.get(address, {"q": "ri"}).json() == {"people": [{"username": "rita", "name": str(reader)}]}
    assert technologist.get(address, {"q": "xx"}).json() == {"people": []}
    stranger = at(person(Role.TECHNOLOGIST, InstitutionFactory()))
    assert stranger.get(address).status_code == 404


def test_thread_leads_to_and_from_the_scan(case, place):
    technologist = at(person(Role.TECHNOLOGIST, place))
    assert f"/cases/{case.pk}/comments/" in technologist.get(f"/scans/{case.scan_id}/").content.decode()
    shown = technologist.get(f"/cases/{case.pk}/comments/").content.decode()
    assert f"/scans/{case.scan_id}/" in shown and f'href="/cases/{case.pk}/"' not in shown

"""What is done from the list besides claiming: dealing cases out, and keeping views of it."""

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from diagnostics.models import Case, SavedView
from diagnostics.reviews import errors, worklist
from diagnostics.scans.access import Role
from diagnostics.scans.models import Priority
from tests.factories import CaseFactory, ClaimFactory, InstitutionFactory, ScanFactory, person
from tests.markup import flat
from tests.portal.api.api_client import V1, assert_problem, bearer, results

pytestmark = pytest.mark.django_db
LIST = "/worklist/"


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def judge(place):
    return person(Role.ADJUDICATOR, place)


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def deal(client, cases, to):
    sent = {"cases": [str(case.pk) for case in cases], "to": to if isinstance(to, str) else str(to.pk)}
    return client.post(reverse("worklist:assign") + "?tab=unclaimed&priority=2", sent)


def test_adjudicator_deals_out_the_ticked_cases_and_takes_them_back(place, judge):
    reader = person(Role.RADIOLOGIST, place, first_name="Ada", last_name="Byron")
    cases = [CaseFactory(scan=ScanFactory(institution=place)) for _ in range(3)]
    client = client_of(judge)
    html = client.get(LIST).content.decode()
    assert html.count("data-tick ") + html.count("data-tick\n") == 3 and "Ada Byron" in html
    answer = deal(client, cases[:2], reader)
    assert answer["Location"] == "/worklist/?tab=unclaimed&priority=2"
    assert "2 cases are assigned to Ada Byron." in client.get(answer["Location"]).content.decode()
    assert set(Case.objects.filter(assigned_to=reader)) == set(cases[:2])
    # Their reader finds them under "Mine", and nobody else is given them.
    mine = client_of(reader).get(LIST, {"tab": "mine"})
    assert {row.case.pk for row in mine.context["rows"]} == {case.pk for case in cases[:2]}
    assert deal(client, cases[:1], "nobody").status_code == 302
    assert set(Case.objects.filter(assigned_to=reader)) == {cases[1]}


def test_cases_that_somebody_reads_are_not_dealt_out_and_neither_are_the_others(place, judge):
    reader = person(Role.RADIOLOGIST, place)
    free, held = (CaseFactory(scan=ScanFactory(institution=place)) for _ in range(2))
    ClaimFactory(case=held)
    answer = deal(client_of(judge), [free, held], reader)
    assert answer.status_code == 409
    assert "No case was assigned." in answer.content.decode()
    assert not Case.objects.filter(assigned_to__isnull=False).exists()


def test_cases_are_dealt_out_by_adjudicators_within_their_institution_only(place, judge):
    case, foreign = CaseFactory(scan=ScanFactory(institution=place)), CaseFactory()
    reader, stranger = person(Role.RADIOLOGIST, place), person(Role.RADIOLOGIST, foreign.institution)
    assert deal(client_of(reader), [case], reader).status_code == 403
    for cases, to in (([foreign], reader), ([case, foreign], reader), ([case], stranger), ([], reader)):
        assert deal(client_of(judge), cases, to).status_code == 400
    bad = client_of(judge).post(reverse("worklist:assign"), {"cases": ["x"], "to": str(reader.pk)})
    assert bad.status_code == 400
    assert "data-tick " not in client_of(reader).get(LIST).content.decode()
    assert not Case.objects.filter(assigned_to__isnull=False).exists()


def test_view_is_kept_by_name_and_the_worklist_opens_with_the_default_one(place):
    urgent = CaseFactory(scan=ScanFactory(institution=place, priority=Priority.URGENT))
    CaseFactory(scan=ScanFactory(institution=place))
    client = client_of(person(Role.RADIOLOGIST, place))
    sent = {"name": " Urgent  ones ", "query": "priority=1&tab=unclaimed&after=x&patient=", "default": "on"}
    answer = client.post(reverse("worklist:save-view"), sent)
    assert answer["Location"] == "/worklist/?tab=unclaimed&priority=1"
    assert "The view “Urgent ones” was saved." in client.get(answer["Location"]).content.decode()
    assert client.get(LIST)["Location"] == answer["Location"], "the address stays the truth"
    shown = client.get(LIST, follow=True)
    assert [row.case.pk for row in shown.context["rows"]] == [urgent.pk]
    assert 'aria-current="page">Urgent ones' in flat(shown.content.decode())
    assert client.get(LIST, {"tab": "unclaimed"}).context["rows"][0].case.pk, "and any tab can still be asked for"
    view = SavedView.objects.get()
    client.post(reverse("worklist:forget-view", args=[view.pk]))
    assert not SavedView.objects.exists()
    assert client.get(LIST).status_code == 200


def test_only_one_view_is_the_default(place):
    user = person(Role.RADIOLOGIST, place)
    worklist.save_view(by=user, name="a", query="tab=mine", default=True)
    worklist.save_view(by=user, name="b", query="tab=done", default=True)
    assert list(SavedView.objects.filter(default=True).values_list("name", flat=True)) == ["b"]
    with pytest.raises(IntegrityError), transaction.atomic():
        SavedView.objects.update(default=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        SavedView.objects.create(user=user, name="a", query="tab=mine")
    worklist.save_view(by=user, name="a", query="tab=returned")
    assert SavedView.objects.get(name="a").query == "tab=returned"


@pytest.mark.parametrize(
    ("name", "query", "field"),
    [
        ("", "tab=mine", "name"),
        ("x" * 61, "tab=mine", "name"),
        ("x", "tab=secret", "query"),
        ("x", "label=glioma", "query"),
        ("x", "order=uncertain", "query"),
        ("x", f"patient={'p' * 65}", "query"),
    ],
)
def test_view_that_is_none_is_refused_with_a_sentence(place, name, query, field):
    user = person(Role.RADIOLOGIST, place)
    with pytest.raises(errors.InvalidRead) as refused:
        worklist.save_view(by=user, name=name, query=query)
    assert refused.value.field == field
    answer = client_of(user).post(reverse("worklist:save-view"), {"name": name, "query": query})
    assert answer.status_code == 400
    assert not SavedView.objects.exists()


def test_views_are_their_owners_alone(place):
    mine, other = person(Role.RADIOLOGIST, place), person(Role.RADIOLOGIST, place)
    view = worklist.save_view(by=mine, name="Urgent", query="priority=1")
    assert "Urgent</a>" not in flat(client_of(other).get(LIST).content.decode())
    assert client_of(other).post(reverse("worklist:forget-view", args=[view.pk])).status_code == 404
    client = bearer(mine)
    made = client.post(f"{V1}/worklist-views/", {"name": "Mine", "query": "tab=mine", "default": True})
    assert (made.status_code, made.json()["query"]) == (201, "tab=mine")
    assert [row["name"] for row in results(client, "worklist-views/")] == ["Urgent", "Mine"]
    assert results(bearer(other), "worklist-views/") == []
    assert_problem(bearer(other).post(f"{V1}/worklist-views/{view.pk}/forget/", {}), 404)
    assert client.post(f"{V1}/worklist-views/{view.pk}/forget/", {}).status_code == 204
    assert_problem(client.post(f"{V1}/worklist-views/", {"name": "x", "query": "label=glioma"}), 400)

"""Who closes an account or takes a role away says where the work goes; what waits for nobody stands on a page."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from diagnostics.cases.models import CaseState
from diagnostics.models import Claim
from diagnostics.reviews import worklist
from diagnostics.scans.access import Role
from diagnostics.scans.models import SecondReader
from portal.accounts.models import User
from tests.diagnostics.test_two_readers import disagreement, final
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory(second_reader=SecondReader.ALL)


@pytest.fixture
def crew(place):
    """anna, bert (radiologists), judge, boss."""
    roles = {"anna": Role.RADIOLOGIST, "bert": Role.RADIOLOGIST, "judge": Role.ADJUDICATOR, "boss": Role.ADMINISTRATOR}
    return [
        person(role, place, username=name, is_staff=role == Role.ADMINISTRATOR, first_name=name.title())
        for name, role in roles.items()
    ]


def waiting(place):
    case = CaseFactory(scan=ScanFactory(institution=place))
    PredictionFactory(scan=case.scan, p=0.94)
    return case


def asking(user):
    client = Client()
    client.force_login(user)
    return client


def words(response):
    return " ".join(strip_tags(response.content.decode()).split())


def change(client, user, **more):
    data = {"username": user.username, "first_name": "Changed", "last_name": "", "email": "",
            "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0, **more}  # fmt: skip
    return client.post(f"/admin/accounts/user/{user.pk}/change/", data)


@pytest.mark.parametrize("named", [False, True])
def test_closing_an_account_in_the_admin_says_where_the_work_goes(place, crew, named):
    anna, bert, judge, boss = crew
    assigned, held = waiting(place), waiting(place)
    worklist.assign(by=judge, cases=[assigned], to=anna)
    worklist.claim(by=anna, case=held)
    page = asking(boss).get(f"/admin/accounts/user/{anna.pk}/change/")
    said = words(page)
    assert (
        "2 open cases are reserved for or assigned to this person." in said and "Unassign" in said and "Bert" in said
    )
    assert "Judge" not in said
    assert change(asking(boss), anna, **({"work_to": bert.pk} if named else {})).status_code == 302
    anna.refresh_from_db()
    assert (anna.is_active, anna.first_name) == (False, "Changed")
    for case in (assigned, held):
        case.refresh_from_db()
        assert case.assigned_to == (bert if named else None)
    assert not Claim.objects.filter(released_at=None).exists()


def test_an_account_that_stays_open_keeps_its_work(place, crew):
    anna, bert, judge, boss = crew
    case = waiting(place)
    worklist.assign(by=judge, cases=[case], to=anna)
    assert change(asking(boss), anna, is_active="on", work_to=bert.pk).status_code == 302
    case.refresh_from_db()
    anna.refresh_from_db()
    assert (case.assigned_to, anna.first_name) == (anna, "Changed")


def test_nobody_closes_their_own_account(crew):
    boss = crew[3]
    response = change(asking(boss), boss)
    assert response.status_code == 200 and "You cannot deactivate your own account." in words(response)
    boss.refresh_from_db()
    assert boss.is_active


def test_taking_a_role_away_in_the_admin_says_where_the_work_goes(place, crew):
    anna, bert, judge, boss = crew
    case = waiting(place)
    worklist.assign(by=judge, cases=[case], to=anna)
    membership = anna.memberships.get()
    client = asking(boss)
    assert "Bert" in words(client.get(f"/admin/accounts/user/{anna.pk}/role/"))
    taking = reverse("admin:accounts_user_take_role", args=[membership.pk])
    client.post(taking, {"work_to": judge.pk})
    assert anna.memberships.exists(), "a judge reads nothing, so nothing was done"
    client.post(taking, {"work_to": bert.pk})
    case.refresh_from_db()
    assert case.assigned_to == bert and not anna.memberships.exists()


def test_closing_an_account_on_the_command_line(place, crew):
    anna, bert, judge, _boss = crew
    case = waiting(place)
    worklist.assign(by=judge, cases=[case], to=anna)
    out = io.StringIO()
    with pytest.raises(CommandError, match="another reader"):
        call_command("deactivate_person", "anna", "--work-to", "judge")
    with pytest.raises(CommandError, match="no account"):
        call_command("deactivate_person", "carla")
    call_command("deactivate_person", "anna", "--work-to", "bert", stdout=out)
    case.refresh_from_db()
    assert case.assigned_to == bert and "Open cases given to others: 1." in out.getvalue()


def test_what_waits_for_nobody_is_said_and_freed(place, crew):
    anna, bert, judge, boss = crew
    second, stuck, settled = waiting(place), waiting(place), waiting(place)
    disagreement(settled, anna, bert)
    final(anna, second)
    worklist.assign(by=judge, cases=[stuck], to=bert)
    assert "unassignable" not in words(asking(judge).get("/worklist/"))
    User.objects.filter(pk=bert.pk).update(is_active=False)
    client = asking(judge)
    assert "2 unassignable cases" in words(client.get("/worklist/"))
    assert "2 unassignable cases" in words(asking(boss).get("/admin/"))
    assert "unassignable" not in words(asking(anna).get("/worklist/"))
    page = reverse("worklist:nobody")
    said = words(client.get(page))
    assert "Assigned to somebody who can no longer read it." in said and "Needs a second reader" in said
    client.post(reverse("worklist:free", args=[stuck.pk]))
    stuck.refresh_from_db()
    assert stuck.assigned_to is None
    finish = reverse("worklist:finish", args=[second.pk])
    assert client.post(finish, {"reason": ""}).status_code == 400
    client.post(finish, {"reason": "Nobody is left."})
    second.refresh_from_db()
    assert second.state == CaseState.DONE
    assert "Every case can be assigned" in words(client.get(page))
    User.objects.filter(pk=judge.pk).update(is_active=False)
    said = words(asking(boss).get(page))
    assert "Needs an adjudicator" in said and "Assign a role" in said


def test_names_of_those_who_left_stay_unsaid_on_the_adjudicators_page(place, crew):
    anna, bert, judge, _boss = crew
    stuck = waiting(place)
    worklist.assign(by=judge, cases=[stuck], to=bert)
    User.objects.filter(pk=bert.pk).update(is_active=False)
    assert "Bert" not in words(asking(judge).get(reverse("worklist:nobody")))

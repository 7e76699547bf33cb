"""People and tokens in the Django admin: within an administrator's reach and not beyond."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from diagnostics.models import AuditEvent, Institution
from diagnostics.scans import people
from diagnostics.scans.access import Role
from portal.accounts.models import ApiToken, User, issue_token
from tests import factories as made

pytestmark = pytest.mark.django_db


@pytest.fixture
def home() -> Institution:
    return made.InstitutionFactory(code="home")


@pytest.fixture
def admin_client(home: Institution) -> Client:
    ada = made.UserFactory(username="ada")
    people.add_member(by=None, user=ada, institution_code="home", role=Role.ADMINISTRATOR)
    client = Client()
    client.force_login(ada)
    return client


@pytest.fixture
def mine(home: Institution) -> User:
    return made.person(Role.RADIOLOGIST, home, username="mine")


def beyond_reach(home: Institution) -> list[User]:
    """Somebody elsewhere, somebody who also works elsewhere, and a superuser who works here."""
    away = made.InstitutionFactory(code="away")
    both = made.person(Role.RADIOLOGIST, home, username="both")
    made.MembershipFactory(user=both, institution=away)
    root = made.person(Role.RADIOLOGIST, home, username="root", is_superuser=True)
    return [made.person(Role.RADIOLOGIST, away, username="theirs"), both, root]


def test_list_shows_the_people_within_reach(admin_client: Client, home: Institution, mine: User) -> None:
    others = beyond_reach(home)
    page = admin_client.get("/admin/accounts/user/").content.decode()
    assert "mine" in page
    assert not [user.username for user in others if f">{user.username}<" in page]


@pytest.mark.parametrize("path", ["change/", "password/", "role/", "token/"])
def test_pages_of_people_beyond_reach_are_closed(
    admin_client: Client, home: Institution, mine: User, path: str
) -> None:
    assert admin_client.get(f"/admin/accounts/user/{mine.pk}/{path}").status_code == 200
    for user in beyond_reach(home):
        answer = admin_client.get(f"/admin/accounts/user/{user.pk}/{path}")
        # Django's own change page answers a missing row with a way back to the list instead of 404.
        assert answer.status_code in (302, 404), (user.username, path)


@pytest.mark.parametrize("role", [Role.TECHNOLOGIST, Role.RADIOLOGIST, Role.ADJUDICATOR, Role.DATA_MANAGER])
def test_other_roles_do_not_look_after_people(home: Institution, role: Role) -> None:
    client = Client()
    client.force_login(made.person(role, home, is_staff=True))
    for path in ("user/", "user/add/", "apitoken/"):
        assert client.get(f"/admin/accounts/{path}").status_code == 403


def test_administrator_cannot_make_themselves_superuser(admin_client: Client) -> None:
    ada = User.objects.get(username="ada")
    data = {"username": "ada", "is_active": "on", "is_superuser": "on", "is_staff": "on", "first_name": "Ada",
            "last_name": "", "email": "", "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}  # fmt: skip
    admin_client.post(f"/admin/accounts/user/{ada.pk}/change/", data)
    ada.refresh_from_db()
    assert (ada.first_name, ada.is_superuser) == ("Ada", False)


def test_password_set_for_somebody_is_recorded(admin_client: Client, mine: User) -> None:
    data = {"usable_password": "true", "password1": "a fine long sentence", "password2": "a fine long sentence"}
    admin_client.post(f"/admin/accounts/user/{mine.pk}/password/", data)
    mine.refresh_from_db()
    assert mine.check_password("a fine long sentence")
    assert AuditEvent.objects.get(act="person_changed").target_id == str(mine.pk)


def test_admin_has_no_door_of_its_own(home: Institution) -> None:
    client = Client()
    answer = client.get("/admin/login/?next=/admin/accounts/user/")
    assert answer.headers["Location"] == "/accounts/sign-in/?next=/admin/accounts/user/"
    assert "_auth_user_id" not in client.session
    client.force_login(made.person(Role.RADIOLOGIST, home))
    refused = client.get("/admin/", follow=True)
    assert (refused.status_code, "for data managers and administrators" in refused.content.decode()) == (403, True)


def test_weak_password_of_a_new_person_is_refused_beside_its_field(admin_client: Client) -> None:
    data = {"username": "new", "password": "short", "institution": "home", "role": "radiologist"}
    answer = admin_client.post("/admin/accounts/user/add/", data)
    assert "at least 12 characters" in answer.content.decode()
    assert not User.objects.filter(username="new").exists()


def test_role_is_given_and_taken_away(admin_client: Client, mine: User) -> None:
    admin_client.post(f"/admin/accounts/user/{mine.pk}/role/", {"institution": "home", "role": "technologist"})
    assert mine.memberships.count() == 2
    gone = mine.memberships.get(role="technologist")
    admin_client.post(f"/admin/accounts/user/roles/{gone.pk}/take/")
    assert [m.role for m in mine.memberships.all()] == ["radiologist"]


def test_token_pages_never_show_the_hash(admin_client: Client, mine: User) -> None:
    token, _ = issue_token(user=mine, name="x", scopes=["read"], expires_at=timezone.now() + timedelta(days=1))
    for path in ("", f"{token.pk}/change/"):
        page = admin_client.get(f"/admin/accounts/apitoken/{path}")
        assert page.status_code == 200
        assert token.digest not in page.content.decode()


def test_chosen_tokens_are_revoked(admin_client: Client, home: Institution, mine: User) -> None:
    ends = timezone.now() + timedelta(days=1)
    own, _ = issue_token(user=mine, name="x", scopes=["read"], expires_at=ends)
    foreign, _ = issue_token(user=beyond_reach(home)[0], name="y", scopes=["read"], expires_at=ends)
    admin_client.post(
        "/admin/accounts/apitoken/", {"action": "revoke", "_selected_action": [str(own.pk), str(foreign.pk)]}
    )
    assert ApiToken.objects.get(pk=own.pk).revoked_at is not None
    assert ApiToken.objects.get(pk=foreign.pk).revoked_at is None

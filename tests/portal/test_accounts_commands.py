"""``create_person`` and ``create_token`` as a script calls them."""

import io

import pytest
from django.core.management import CommandError, call_command

from diagnostics.models import AuditEvent, Institution, Membership
from diagnostics.scans import people
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.filing import InvalidEntry
from portal.accounts.models import ApiToken, Scope, User
from tests import factories as made

pytestmark = pytest.mark.django_db


def run(monkeypatch: pytest.MonkeyPatch, *args: str, stdin: str | None = None) -> str:
    if stdin is not None:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    out = io.StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def person_args(name: str = "rita", role: str = "radiologist", code: str = "north") -> list[str]:
    return ["create_person", name, "--role", role, "--institution", code]


def test_create_person_makes_account_institution_and_role(monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(monkeypatch, *person_args(), "--password-stdin", stdin="a fine long sentence\n")
    user = User.objects.get(username="rita")
    assert user.check_password("a fine long sentence")
    assert "a fine long sentence" not in said
    assert Membership.objects.get().institution.code == "north"
    acts = set(AuditEvent.objects.values_list("act", flat=True))
    assert acts == {"institution_made", "role_given", "person_added"}


def test_create_person_draws_a_password_and_shows_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(monkeypatch, *person_args())
    password = said.strip().rsplit(" ", 1)[1]
    assert User.objects.get().check_password(password)
    assert password not in str(list(AuditEvent.objects.values_list("detail", flat=True)))


def test_create_person_again_adds_a_role_and_keeps_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, *person_args(), "--password-stdin", stdin="a fine long sentence\n")
    said = run(monkeypatch, *person_args(role="data_manager"), "--password-stdin", stdin="another sentence here\n")
    user = User.objects.get()
    assert "had an account already and now has the role data_manager in north" in said
    assert user.check_password("a fine long sentence")
    assert set(user.memberships.values_list("role", flat=True)) == {"radiologist", "data_manager"}
    assert user.is_staff
    assert "nothing new" in run(monkeypatch, *person_args())


@pytest.mark.parametrize("password", ["", "short", "123456789012345", "password1234"])
def test_create_person_refuses_a_weak_password_and_makes_nobody(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    with pytest.raises(CommandError, match="password"):
        run(monkeypatch, *person_args(), "--password-stdin", stdin=f"{password}\n")
    assert not User.objects.exists()
    assert not Institution.objects.exists()


@pytest.mark.parametrize(("name", "code"), [("rita reader", "north"), ("rita", "north coast"), ("rita", "")])
def test_create_person_refuses_names_that_cannot_be(monkeypatch: pytest.MonkeyPatch, name: str, code: str) -> None:
    with pytest.raises(CommandError):
        run(monkeypatch, *person_args(name, code=code), "--password-stdin", stdin="a fine long sentence\n")
    assert not User.objects.exists()


def test_create_token_prints_the_token_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made.UserFactory(username="rita")
    token = run(monkeypatch, "create_token", "--user", "rita", "--days", "3").strip()
    row = ApiToken.objects.get()
    assert row.digest == ApiToken.digest_of(token)
    assert row.scopes == sorted(Scope.values)


@pytest.mark.parametrize("scopes", [["read, submit"], ["read", "submit"], ["read,submit"]])
def test_create_token_takes_scopes(monkeypatch: pytest.MonkeyPatch, scopes: list[str]) -> None:
    made.UserFactory(username="rita")
    run(monkeypatch, "create_token", "--user", "rita", "--days", "3", "--scopes", *scopes)
    assert ApiToken.objects.get().scopes == ["read", "submit"]


@pytest.mark.parametrize("args", [["--user", "nobody", "--days", "3"], ["--user", "rita", "--days", "0"],
                                  ["--user", "rita", "--days", "3", "--scopes", "rule"]])  # fmt: skip
def test_create_token_refuses_with_a_sentence(monkeypatch: pytest.MonkeyPatch, args: list[str]) -> None:
    made.UserFactory(username="rita")
    with pytest.raises(CommandError):
        run(monkeypatch, "create_token", *args)
    assert not ApiToken.objects.exists()


def test_administrator_gives_and_takes_roles_only_at_home() -> None:
    home, away = made.InstitutionFactory(code="home"), made.InstitutionFactory(code="away")
    ada = made.person(Role.ADMINISTRATOR, home)
    user = made.UserFactory()
    joined = people.add_member(by=ada, user=user, institution_code="home", role=Role.TECHNOLOGIST)
    assert (joined.created, joined.institution_made) == (True, False)
    assert not people.add_member(by=ada, user=user, institution_code="home", role=Role.TECHNOLOGIST).created
    for code in ("away", "unknown"):
        with pytest.raises(InvalidEntry):
            people.add_member(by=ada, user=user, institution_code=code, role=Role.TECHNOLOGIST)
    theirs = made.MembershipFactory(user=user, institution=away)
    with pytest.raises(NotAllowed):
        people.remove_member(by=ada, membership=theirs)
    people.remove_member(by=ada, membership=joined.membership)
    assert list(user.memberships.all()) == [theirs]
    with pytest.raises(InvalidEntry):
        people.remove_member(by=ada, membership=ada.memberships.get())


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ADMINISTRATOR])
def test_others_than_administrators_give_no_role(role: Role) -> None:
    user = made.person(role, made.InstitutionFactory(code="home"))
    with pytest.raises(NotAllowed):
        people.add_member(by=user, user=user, institution_code="home", role=Role.ADMINISTRATOR)

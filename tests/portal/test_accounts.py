"""Sign in and out, passwords, one's own account and its tokens."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from diagnostics.models import AuditEvent
from diagnostics.scans.access import Role
from portal.accounts import attempts
from portal.accounts.models import ApiToken, User, issue_token
from tests import factories as made

pytestmark = pytest.mark.django_db
SIGN_IN = "/accounts/sign-in/"


@pytest.fixture(autouse=True)
def no_counts() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def rita() -> User:
    return made.person(Role.RADIOLOGIST, made.InstitutionFactory(code="north"), username="rita")


def acts() -> list[str]:
    return list(AuditEvent.objects.order_by("id").values_list("act", flat=True))


def sign_in(client: Client, password: str = made.PASSWORD, username: str = "rita", **extra: str):
    return client.post(SIGN_IN, {"username": username, "password": password}, **extra)


def test_sign_in_leads_home_and_is_recorded(client: Client, rita: User) -> None:
    answer = sign_in(client)
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/"
    event = AuditEvent.objects.get(act="signed_in")
    assert (event.actor, event.institution.code) == (rita, "north")


def test_sign_in_goes_on_to_the_page_that_was_wanted(client: Client, rita: User) -> None:
    answer = client.post(f"{SIGN_IN}?next=/scans/", {"username": "rita", "password": made.PASSWORD})
    assert answer.headers["Location"] == "/scans/"


def test_sign_in_never_leads_to_another_site(client: Client, rita: User) -> None:
    data = {"username": "rita", "password": made.PASSWORD, "next": "https://evil.example/"}
    assert client.post(SIGN_IN, data).headers["Location"] == "/"


@pytest.mark.parametrize(("username", "password"), [("rita", "wrong"), ("nobody", "wrong"), ("gone", made.PASSWORD)])
def test_sign_in_fails_with_one_sentence(client: Client, rita: User, username: str, password: str) -> None:
    made.UserFactory(username="gone", is_active=False)
    answer = sign_in(client, password, username)
    assert answer.status_code == 200
    assert "Incorrect username or password" in answer.content.decode()
    assert "_auth_user_id" not in client.session


def test_failed_sign_in_of_a_known_person_is_recorded(client: Client, rita: User) -> None:
    sign_in(client, "wrong")
    sign_in(client, "wrong", "nobody")
    assert acts() == ["sign_in_failed"]


def test_too_many_failures_pause_even_the_right_password(client: Client, rita: User) -> None:
    for _ in range(attempts.LIMIT_PER_NAME):
        sign_in(client, "wrong")
    answer = sign_in(client)
    assert "Wait 10 minutes" in answer.content.decode()
    assert "_auth_user_id" not in client.session


def test_pause_from_one_address_leaves_the_owner_at_another_alone(client: Client, rita: User) -> None:
    for _ in range(attempts.LIMIT_PER_NAME):
        sign_in(client, "wrong", REMOTE_ADDR="203.0.113.9")
    assert sign_in(client, REMOTE_ADDR="198.51.100.4").status_code == 302


def test_pause_ends_by_itself(client: Client, rita: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "WINDOW_SECONDS", 0.01)
    for _ in range(attempts.LIMIT_PER_NAME):
        sign_in(client, "wrong")
    assert sign_in(client).status_code == 302


def test_name_after_name_from_one_address_is_paused(client: Client, rita: User) -> None:
    for number in range(attempts.LIMIT_PER_ADDRESS):
        attempts.count_failure(_request("203.0.113.9"), f"name{number}")
    assert attempts.too_many(_request("203.0.113.9"), "rita")
    assert not attempts.too_many(_request("203.0.113.8"), "rita")


def _request(address: str):
    from django.test import RequestFactory

    return RequestFactory().get("/", REMOTE_ADDR=address)


def test_sign_out_needs_a_post_and_is_recorded(client: Client, rita: User) -> None:
    client.force_login(rita)
    assert client.get("/accounts/sign-out/").status_code == 405
    client.post("/accounts/sign-out/")
    assert "_auth_user_id" not in client.session
    assert acts() == ["signed_out"]


def test_sign_out_twice_is_no_error(client: Client) -> None:
    assert client.post("/accounts/sign-out/").status_code == 302


def test_password_change_checks_and_records(client: Client, rita: User) -> None:
    client.force_login(rita)
    data = {"old_password": made.PASSWORD, "new_password1": "short", "new_password2": "short"}
    assert "at least 12 characters" in client.post("/accounts/password/", data).content.decode()
    data |= {"new_password1": "a much longer one 9", "new_password2": "a much longer one 9"}
    assert client.post("/accounts/password/", data).status_code == 302
    rita.refresh_from_db()
    assert rita.check_password("a much longer one 9")
    assert acts() == ["password_changed"]
    assert client.get("/accounts/").status_code == 200


def test_password_reset_by_mail_works_once(client: Client, rita: User) -> None:
    client.post("/accounts/password/reset/", {"email": "rita@example.org"})
    (message,) = mail.outbox
    link = re.search(r"http://testserver(\S+)", message.body)
    assert link is not None
    assert "rita" in message.body
    page = client.get(link[1], follow=True)
    address = page.redirect_chain[-1][0]
    data = {"new_password1": "a new long sentence 1", "new_password2": "a new long sentence 1"}
    assert client.post(address, data).headers["Location"] == SIGN_IN
    assert sign_in(client, "a new long sentence 1").status_code == 302
    assert "has expired" in Client().get(link[1], follow=True).content.decode()
    assert "password_reset" in acts()


def test_password_reset_tells_no_stranger_who_has_an_account(client: Client, rita: User) -> None:
    known = client.post("/accounts/password/reset/", {"email": "rita@example.org"}, follow=True)
    unknown = client.post("/accounts/password/reset/", {"email": "nobody@example.org"}, follow=True)
    assert known.redirect_chain == unknown.redirect_chain
    assert len(mail.outbox) == 1


def test_password_reset_does_not_flood_a_mailbox(client: Client, rita: User) -> None:
    for _ in range(attempts.LIMIT_OF_MAILS + 5):
        client.post("/accounts/password/reset/", {"email": "rita@example.org"})
    assert len(mail.outbox) == attempts.LIMIT_OF_MAILS


def test_account_page_shows_roles_and_keeps_details(client: Client, rita: User) -> None:
    client.force_login(rita)
    page = client.get("/accounts/").content.decode()
    assert "Radiologist" in page
    client.post("/accounts/", {"first_name": "Rita", "last_name": "Reader", "is_staff": "1"})
    rita.refresh_from_db()
    assert (rita.get_full_name(), rita.is_staff) == ("Rita Reader", False)


def test_token_is_shown_once_and_only_its_hash_is_kept(client: Client, rita: User) -> None:
    client.force_login(rita)
    answer = client.post("/accounts/tokens/", {"name": "bridge", "days": 30, "scopes": ["read", "submit"]})
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "private, no-store"
    shown = re.search(r"ovr_[\w-]{40,}", answer.content.decode())
    assert shown is not None
    row = rita.api_tokens.get()
    assert row.digest == ApiToken.digest_of(shown[0])
    assert row.scopes == ["read", "submit"]
    assert row.expires_at - timezone.now() > timedelta(days=29)
    assert shown[0] not in client.get("/accounts/").content.decode()
    event = AuditEvent.objects.get(act="token_made")
    assert shown[0] not in str(event.detail)


@pytest.mark.parametrize(
    "wrong", [{"scopes": []}, {"scopes": ["rule"]}, {"days": 0}, {"days": 9999}, {"name": ""}, {"days": "soon"}]
)
def test_token_with_a_wrong_wish_is_refused(client: Client, rita: User, wrong: dict[str, object]) -> None:
    client.force_login(rita)
    answer = client.post("/accounts/tokens/", {"name": "bridge", "days": 30, "scopes": ["read"], **wrong})
    assert answer.status_code == 400
    assert not rita.api_tokens.exists()


def test_token_of_another_person_is_not_there(client: Client, rita: User) -> None:
    token, _ = issue_token(
        user=made.UserFactory(), name="x", scopes=["read"], expires_at=timezone.now() + timedelta(days=1)
    )
    client.force_login(rita)
    assert client.post(f"/accounts/tokens/{token.pk}/revoke/").status_code == 404
    token.refresh_from_db()
    assert token.revoked_at is None


def test_revoked_token_works_no_longer(client: Client, rita: User) -> None:
    token, _ = issue_token(user=rita, name="x", scopes=["read"], expires_at=timezone.now() + timedelta(days=1))
    client.force_login(rita)
    for _ in range(2):
        assert client.post(f"/accounts/tokens/{token.pk}/revoke/").status_code == 302
    token.refresh_from_db()
    assert not token.usable
    assert acts() == ["token_revoked"]


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        ("/scans/?state=failed", "/scans/?state=failed"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("", "/"),
    ],
)
def test_theme_is_kept_and_leads_back_only_here(client: Client, target: str, leads_to: str) -> None:
    answer = client.post("/accounts/theme/", {"theme": "light", "next": target})
    assert answer.headers["Location"] == leads_to
    assert answer.cookies["theme"].value == "light"
    assert 'data-theme="light"' in client.get(SIGN_IN).content.decode()


def test_unknown_theme_in_the_cookie_is_dark(client: Client) -> None:
    client.cookies["theme"] = '"><script>'
    assert 'data-theme="dark"' in client.get(SIGN_IN).content.decode()


@pytest.mark.parametrize("path", ["/accounts/", "/accounts/password/", "/scans/", "/history/patients/", "/worklist/"])
def test_pages_lead_a_stranger_to_the_door(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.headers["Location"] == f"{SIGN_IN}?next={path}"


def test_polling_after_the_session_ended_loads_the_page_anew(client: Client) -> None:
    answer = client.get("/scans/", headers={"HX-Request": "true"})
    assert answer.headers["HX-Refresh"] == "true"


def test_what_a_script_saves_after_the_session_ended_is_refused_in_words(client: Client) -> None:
    for wanted in ("application/json", "application/octet-stream"):
        answer = client.post("/accounts/notifications/", headers={"Accept": wanted})
        assert (answer.status_code, answer.json()) == (401, {"sentence": "You are signed out."})


@pytest.mark.parametrize(
    ("came_from", "leads_to"),
    [
        ("http://testserver/accounts/?show=all", f"{SIGN_IN}?next=/accounts/%3Fshow%3Dall"),
        ("http://elsewhere.example/accounts/", SIGN_IN),
        ("", SIGN_IN),
    ],
)
def test_form_sent_after_the_session_ended_leads_back_to_its_page(
    client: Client, came_from: str, leads_to: str
) -> None:
    # Not to where it was sent: that address cannot be opened.
    answer = client.post("/accounts/notifications/", headers={"Referer": came_from})
    assert answer.headers["Location"] == leads_to


def test_page_learns_whose_session_it_is(client: Client, rita: User) -> None:
    assert client.get("/accounts/session/", headers={"Accept": "application/json"}).status_code == 401
    client.force_login(rita)
    answer = client.get("/accounts/session/", headers={"Accept": "application/json"}).json()
    assert answer["person"] == rita.pk
    assert len(answer["csrf"]) == 64


def test_form_without_its_token_gets_a_page_that_says_what_to_do(rita: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(rita)
    answer = strict.post("/accounts/", {"first_name": "x"})
    assert answer.status_code == 403
    assert "The page was out of date" in answer.content.decode()


def test_missing_page_and_missing_permission_have_pages_of_their_own(client: Client, rita: User) -> None:
    client.force_login(rita)
    missing = client.get("/nowhere/")
    assert (missing.status_code, "Page not found" in missing.content.decode()) == (404, True)
    refused = client.get("/scans/hand-in/")
    assert (refused.status_code, "This needs the role Technologist" in refused.content.decode()) == (403, True)

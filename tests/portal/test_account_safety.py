"""An open session takes no account over: mail address, password, sessions and tokens."""

import io
import re
import time
from datetime import timedelta

import pytest
import structlog
from django.core import mail
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from diagnostics.models import AuditEvent
from diagnostics.scans.access import Role
from diagnostics.scans.people import add_member
from portal.accounts import freshness, sessions
from portal.accounts.models import ApiToken, User, issue_token
from tests import factories as made

pytestmark = pytest.mark.django_db
NEW = "tall green windmills"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture
def home():
    return made.InstitutionFactory(code="north")


@pytest.fixture
def rita(home) -> User:
    return made.person(Role.RADIOLOGIST, home, username="rita", email="rita@example.org")


@pytest.fixture
def signed_in(client: Client, rita: User) -> Client:
    client.force_login(rita)
    return client


def acts() -> list[str]:
    return list(AuditEvent.objects.order_by("id").values_list("act", flat=True))


def token_of(user: User, name: str = "bridge") -> tuple[ApiToken, str]:
    return issue_token(user=user, name=name, scopes=["read"], expires_at=timezone.now() + timedelta(days=9))


def works(token: str) -> bool:
    return Client().get("/api/v1/users/me/", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def is_signed_in(client: Client) -> bool:
    return client.get("/accounts/").status_code == 200


def link_in(message) -> str:
    found = re.search(r"http://testserver(\S+)", message.body)
    assert found, message.body
    return found[1]


def stale(client: Client) -> None:
    session = client.session
    session[freshness.SESSION_KEY] = 0
    session.save()


# --- the mail address


@pytest.mark.parametrize("data", [{"email": "thief@example.org"}, {"first_name": "R", "email": "thief@example.org"}])
def test_details_change_no_address(signed_in, rita, data):
    signed_in.post("/accounts/", data)
    rita.refresh_from_db()
    assert rita.email == "rita@example.org"


@pytest.mark.parametrize("password", ["", "wrong"])
def test_address_without_the_password_is_refused_and_nobody_is_written_to(signed_in, rita, password):
    form = {"address": "thief@example.org", "old_password": password}
    assert signed_in.post("/accounts/address/", form).status_code == 400
    assert (mail.outbox, acts()) == ([], [])


def test_address_changes_by_password_and_link_and_the_old_one_is_told(signed_in, rita):
    form = {"address": "new@example.org", "old_password": made.PASSWORD}
    assert signed_in.post("/accounts/address/", form).status_code == 302
    told, asked = mail.outbox
    assert (told.to, asked.to) == (["rita@example.org"], ["new@example.org"])
    assert "new@example.org" in told.body
    rita.refresh_from_db()
    assert rita.email == "rita@example.org"
    assert "new@example.org is not confirmed yet" in signed_in.get("/accounts/").content.decode()
    link = link_in(asked)
    stranger = Client()
    assert "Use new@example.org for the account rita" in stranger.get(link).content.decode()
    rita.refresh_from_db()
    assert rita.email == "rita@example.org"  # to look is not to confirm
    assert stranger.post(link).status_code == 302
    rita.refresh_from_db()
    assert rita.email == "new@example.org"
    assert mail.outbox[2].to == ["rita@example.org"]
    assert acts() == ["address_change_asked", "address_changed"]
    assert stranger.post(link).status_code == 410
    assert "This link has expired" in stranger.get(link).content.decode()


def test_link_is_useless_after_a_new_password_a_withdrawal_another_wish_or_three_days(signed_in, rita):
    def ask() -> str:
        mail.outbox.clear()
        signed_in.post("/accounts/address/", {"address": "new@example.org", "old_password": made.PASSWORD})
        return link_in(mail.outbox[1])

    link = ask()
    signed_in.post("/accounts/address/withdraw/")
    assert Client().post(link).status_code == 410
    link, second = ask(), ask()
    assert Client().post(link).status_code == 410
    rita.address_change.asked_at = timezone.now() - timedelta(days=3, minutes=1)
    rita.address_change.save()
    assert Client().post(second).status_code == 410
    third = ask()
    signed_in.post("/accounts/password/", {"old_password": made.PASSWORD, "new_password1": NEW, "new_password2": NEW})
    assert Client().post(third).status_code == 410
    rita.refresh_from_db()
    assert rita.email == "rita@example.org"


def test_mail_server_that_is_away_changes_nothing_and_says_so(signed_in, rita, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    answer = signed_in.post("/accounts/address/", {"address": "new@example.org", "old_password": made.PASSWORD})
    assert (answer.status_code, "mail server does not answer" in answer.content.decode()) == (400, True)
    assert acts() == []


def test_mails_about_an_account_name_no_patient(signed_in, rita, home):
    made.ScanFactory(institution=home, patient__pseudonym="P-SECRET")
    signed_in.post("/accounts/address/", {"address": "new@example.org", "old_password": made.PASSWORD})
    Client().post(link_in(mail.outbox[1]))
    assert len(mail.outbox) == 3
    assert not [message for message in mail.outbox if "P-SECRET" in message.body or not message.body.strip()]


def test_tokens_are_offered_with_the_address_and_those_ticked_end(signed_in, rita):
    kept, ended = token_of(rita, "kept"), token_of(rita, "ended")
    page = signed_in.get("/accounts/address/").content.decode()
    assert "kept (ovr_" in page and "last used never" in page and "expires" in page
    form = {"address": "new@example.org", "old_password": made.PASSWORD, "offered": "on", "tokens": [ended[0].pk]}
    signed_in.post("/accounts/address/", form)
    assert (works(kept[1]), works(ended[1])) == (True, False)


# --- passwords


def test_password_change_ends_every_token_unless_its_person_keeps_it(signed_in, rita):
    tokens = [token_of(rita, name)[1] for name in ("a", "b")]
    page = signed_in.get("/accounts/password/").content.decode()
    assert page.count('name="tokens"') == page.count("checked") == 2
    form = {"old_password": made.PASSWORD, "new_password1": NEW, "new_password2": NEW}
    signed_in.post("/accounts/password/", form)
    assert [works(token) for token in tokens] == [False, False]
    assert mail.outbox[-1].to == ["rita@example.org"]


def test_token_that_was_unticked_outlives_a_password_change(signed_in, rita):
    kept, ended = token_of(rita, "kept"), token_of(rita, "ended")
    form = {"old_password": made.PASSWORD, "new_password1": NEW, "new_password2": NEW}
    signed_in.post("/accounts/password/", form | {"offered": "on", "tokens": [ended[0].pk]})
    assert (works(kept[1]), works(ended[1])) == (True, False)


def test_password_reset_ends_sessions_and_tokens(signed_in, rita):
    token = token_of(rita)[1]
    visitor = Client()
    visitor.post("/accounts/password/reset/", {"email": "rita@example.org"})
    page = visitor.get(link_in(mail.outbox[0]), follow=True)
    visitor.post(page.redirect_chain[-1][0], {"new_password1": NEW, "new_password2": NEW})
    assert not works(token)
    assert not is_signed_in(signed_in)
    assert not rita.open_sessions.exists()
    assert "password_reset" in acts()


def test_password_that_an_administrator_sets_ends_sessions_and_tokens_and_is_told(signed_in, rita, home):
    token = token_of(rita)[1]
    ada = made.UserFactory(username="ada")
    add_member(by=None, user=ada, institution_code="north", role=Role.ADMINISTRATOR)
    office = Client()
    office.force_login(ada)
    data = {"usable_password": "true", "password1": NEW, "password2": NEW}
    office.post(f"/admin/accounts/user/{rita.pk}/password/", data)
    rita.refresh_from_db()
    assert rita.check_password(NEW)
    assert not works(token)
    assert not is_signed_in(signed_in)
    assert mail.outbox[-1].to == ["rita@example.org"]
    assert "An administrator has set" in mail.outbox[-1].body
    assert AuditEvent.objects.get(act="password_set").actor == ada


# --- what an administrator does to others


@pytest.fixture
def office(home) -> Client:
    ada = made.UserFactory(username="ada")
    add_member(by=None, user=ada, institution_code="north", role=Role.ADMINISTRATOR)
    client = Client()
    client.force_login(ada)
    return client


def person_form(user: User, **changed: str) -> dict[str, object]:
    form: dict[str, object] = {"username": user.username, "is_active": "on", "first_name": "", "last_name": "",
            "email": user.email, "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}  # fmt: skip
    return {name: value for name, value in (form | changed).items() if value is not None}


def test_address_that_an_administrator_sets_is_told_to_the_old_one_and_recorded(office, rita):
    office.post(f"/admin/accounts/user/{rita.pk}/change/", person_form(rita, email="other@example.org"))
    rita.refresh_from_db()
    assert rita.email == "other@example.org"
    assert sorted(message.to[0] for message in mail.outbox) == ["other@example.org", "rita@example.org"]
    assert AuditEvent.objects.get(act="address_changed").actor.username == "ada"


def test_administrator_s_open_session_sets_no_address_password_or_token_without_the_password(office, rita):
    stale(office)
    page = f"/admin/accounts/user/{rita.pk}"
    answer = office.post(f"{page}/change/", person_form(rita, email="thief@example.org"))
    assert "Confirm your password" in answer.content.decode()
    data = {"usable_password": "true", "password1": NEW, "password2": NEW}
    again = office.post(f"{page}/password/", data)
    assert again.headers["Location"].startswith("/accounts/again/?next=")
    assert office.post(f"{page}/token/", {"name": "x", "days": 9, "scopes": ["read"]}).status_code == 302
    rita.refresh_from_db()
    assert (rita.email, rita.check_password(made.PASSWORD)) == ("rita@example.org", True)
    assert (rita.api_tokens.exists(), mail.outbox) == (False, [])
    # Other fields need nothing, and after the password all is as before.
    office.post(f"{page}/change/", person_form(rita, first_name="Rita"))
    rita.refresh_from_db()
    assert rita.first_name == "Rita"
    assert office.post("/accounts/again/", {"password": "wrong", "next": "/accounts/"}).status_code == 400
    then = office.post("/accounts/again/", {"password": made.PASSWORD, "next": f"{page}/password/"})
    assert then.headers["Location"] == f"{page}/password/"
    office.post(f"{page}/password/", data)
    rita.refresh_from_db()
    assert rita.check_password(NEW)


def test_asking_again_leads_to_no_other_site(signed_in):
    answer = signed_in.post("/accounts/again/", {"password": made.PASSWORD, "next": "https://evil.example/"})
    assert answer.headers["Location"] == "/accounts/"


def test_own_token_needs_a_password_given_lately(signed_in, rita):
    stale(signed_in)
    answer = signed_in.post("/accounts/tokens/", {"name": "x", "days": 9, "scopes": ["read"]})
    assert answer.headers["Location"].startswith("/accounts/again/")
    assert not rita.api_tokens.exists()


def test_deactivation_ends_sessions_and_tokens_at_once(office, signed_in, rita):
    token = token_of(rita)[1]
    form = person_form(rita)
    del form["is_active"]
    office.post(f"/admin/accounts/user/{rita.pk}/change/", form)
    assert not is_signed_in(signed_in)
    assert not works(token)
    assert {"person_deactivated", "sessions_ended"} <= set(acts())
    User.objects.filter(pk=rita.pk).update(is_active=True)
    assert not is_signed_in(signed_in)  # to be active again brings no session back


# --- sessions


def test_account_page_lists_the_sessions_with_device_time_and_address(client, rita):
    first = Client(headers={"user-agent": FIREFOX}, REMOTE_ADDR="198.51.100.7")
    for visitor in (first, client):
        visitor.post("/accounts/sign-in/", {"username": "rita", "password": made.PASSWORD})
    page = " ".join(client.get("/accounts/").content.decode().split())
    assert "Firefox on Linux" in page and "198.51.100.7" in page
    assert page.count("This session") == 1
    assert rita.open_sessions.count() == 2


def test_one_session_and_all_others_are_signed_out(client, rita):
    others = [Client() for _ in range(3)]
    for visitor in (client, *others):
        visitor.post("/accounts/sign-in/", {"username": "rita", "password": made.PASSWORD})
    row = rita.open_sessions.get(session_key=others[0].session.session_key)
    client.post(f"/accounts/sessions/{row.pk}/end/")
    assert [is_signed_in(visitor) for visitor in (client, *others)] == [True, False, True, True]
    client.post("/accounts/sessions/end/")
    assert [is_signed_in(visitor) for visitor in (client, *others)] == [True, False, False, False]
    assert rita.open_sessions.count() == 1
    assert acts().count("sessions_ended") == 2


def test_session_of_somebody_else_is_not_there(client, signed_in, rita):
    other = made.UserFactory()
    theirs = Client()
    theirs.force_login(other)
    assert signed_in.post(f"/accounts/sessions/{other.open_sessions.get().pk}/end/").status_code == 404
    assert is_signed_in(theirs)


def test_own_session_goes_on_after_a_new_password_and_can_still_be_ended(client, rita):
    other = Client()
    for visitor in (client, other):
        visitor.post("/accounts/sign-in/", {"username": "rita", "password": made.PASSWORD})
    client.post("/accounts/password/", {"old_password": made.PASSWORD, "new_password1": NEW, "new_password2": NEW})
    assert [is_signed_in(client), is_signed_in(other)] == [True, False]
    other.post("/accounts/sign-in/", {"username": "rita", "password": NEW})
    other.post("/accounts/sessions/end/")
    assert [is_signed_in(client), is_signed_in(other)] == [False, True]


def later(client: Client, **moved: float) -> None:
    """Let so many seconds pass since ``began`` and ``seen``."""
    session = client.session
    for name, seconds in moved.items():
        session[{"began": sessions.BEGAN, "seen": sessions.SEEN}[name]] = time.time() - seconds
    session.save()


def test_session_ends_after_the_idle_time_and_says_so(signed_in, rita, settings):
    settings.SESSION_IDLE_MINUTES = 60
    later(signed_in, seen=59 * 60)
    assert is_signed_in(signed_in)
    later(signed_in, seen=61 * 60)
    answer = signed_in.get("/accounts/", follow=True)
    assert "signed out after 60 minutes without use" in answer.content.decode()
    assert not rita.open_sessions.exists()
    assert acts() == ["session_over"]


def test_session_that_is_used_goes_on_until_its_time_is_over(signed_in, settings):
    settings.SESSION_IDLE_MINUTES = 60
    later(signed_in, began=11 * 3600, seen=50 * 60)
    assert is_signed_in(signed_in)
    assert time.time() - signed_in.session[sessions.SEEN] < 5
    later(signed_in, began=12 * 3600 + 1)
    assert not is_signed_in(signed_in)


def test_polling_keeps_nobody_signed_in(signed_in, settings):
    settings.SESSION_IDLE_MINUTES = 60
    later(signed_in, seen=50 * 60)
    for address in ("/notifications/bell/", "/worklist/"):
        assert signed_in.get(address, headers={"HX-Request": "true"}).status_code == 200
    signed_in.get("/accounts/session/")
    assert time.time() - signed_in.session[sessions.SEEN] > 49 * 60
    later(signed_in, seen=61 * 60)
    assert signed_in.get("/worklist/", headers={"HX-Request": "true"}).headers["HX-Refresh"] == "true"


def test_api_in_an_idle_session_is_refused(signed_in, settings):
    settings.SESSION_IDLE_MINUTES = 60
    later(signed_in, seen=61 * 60)
    assert signed_in.get("/api/v1/users/me/").status_code == 401


def test_session_from_before_the_update_is_entered(signed_in, rita):
    rita.open_sessions.all().delete()
    session = signed_in.session
    for name in (sessions.ROW, sessions.BEGAN, sessions.SEEN):
        del session[name]
    session.save()
    assert is_signed_in(signed_in)
    assert rita.open_sessions.get().session_key == signed_in.session.session_key


def test_password_set_on_the_command_line_ends_sessions_and_tokens(signed_in, rita, monkeypatch):
    token = token_of(rita)[1]
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: NEW)
    call_command("changepassword", "RITA", stdout=io.StringIO())
    rita.refresh_from_db()
    assert rita.check_password(NEW)
    assert (works(token), is_signed_in(signed_in)) == (False, False)
    assert AuditEvent.objects.get(act="password_set").actor is None


def full(*_args, **_kwargs):
    raise OperationalError("database or disk is full")


@pytest.mark.parametrize("what", ["the row", "the session"])
def test_pages_that_read_go_on_where_a_full_disk_takes_no_note_of_the_session(signed_in, rita, monkeypatch, what):
    signed_in.get("/accounts/")
    later(signed_in, seen=120)
    before = signed_in.session["seen_at"]
    with monkeypatch.context() as disk:
        if what == "the row":
            disk.setattr("django.db.models.query.QuerySet.update", full)
        else:
            disk.setattr("django.contrib.sessions.backends.db.SessionStore.save", full)
        with structlog.testing.capture_logs() as lines:
            assert [signed_in.get("/accounts/").status_code for _ in range(3)] == [200] * 3
    assert [line["event"] for line in lines].count("session_not_noted") == 1
    assert signed_in.session["seen_at"] == before
    assert signed_in.get("/accounts/").status_code == 200
    assert signed_in.session["seen_at"] > before

"""However many sign-ins arrive at once, never more passwords are looked at than the limit allows."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client, RequestFactory

from diagnostics.models import AuditEvent
from diagnostics.scans.access import Role
from portal.accounts import attempts, devices
from portal.accounts.models import AttemptCount, User
from tests import factories as made
from tests.web import Web

SIGN_IN = "/accounts/sign-in/"
# More than each limit allows; 200 by `make faults`.
AT_ONCE = pytest.mark.parametrize("number", [80, pytest.param(200, marks=pytest.mark.faults)])


def evaluated() -> int:
    """How many wrong passwords of a known person were looked at: each leaves an event."""
    return AuditEvent.objects.filter(act="sign_in_failed").count()


def wrong(client: Client, username: str = "rita", address: str = "127.0.0.1"):
    return client.post(SIGN_IN, {"username": username, "password": "wrong"}, REMOTE_ADDR=address)


@pytest.fixture
def rita(db) -> User:
    return made.person(Role.RADIOLOGIST, made.InstitutionFactory(code="north"), username="rita")


def all_at_once(ask, number: int, threads: int = 40) -> list[int]:
    """Ask ``number`` times from many threads that start together."""
    together = threading.Barrier(threads)

    def begin() -> None:
        together.wait(30)

    with ThreadPoolExecutor(threads, initializer=begin) as pool:
        return list(pool.map(ask, range(number)))


@AT_ONCE
@pytest.mark.django_db(transaction=True)
def test_of_many_sign_ins_at_once_in_several_processes_no_more_than_the_limit_are_looked_at(rita, number):
    # As the web processes hash; the tests' own quick hasher is unknown there.
    User.objects.update(password=make_password(made.PASSWORD, hasher="argon2"))
    with Web(OVERREAD_WEB_PROCESSES="3", OVERREAD_WEB_THREADS="6") as web:
        door = web.browser()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', door.get(SIGN_IN).text)[1]
        cookies = dict(door.cookies)

        def ask(_number: int) -> int:
            visitor = web.browser()
            visitor.cookies = dict(cookies)
            form = {"csrfmiddlewaretoken": token, "username": "rita", "password": "wrong"}
            return visitor.post(SIGN_IN, form).status

        answers = all_at_once(ask, number)
        assert "Traceback" not in web.output(), web.output()[-3000:]
    assert set(answers) == {200}
    assert evaluated() == attempts.LIMIT_PER_NAME


@AT_ONCE
@pytest.mark.django_db(transaction=True)
def test_of_many_sign_ins_at_once_from_many_addresses_no_more_than_the_name_s_limit_are_looked_at(rita, number):
    def ask(at: int) -> int:
        try:
            return wrong(Client(), address=f"203.0.113.{at}").status_code
        finally:
            connection.close()

    assert set(all_at_once(ask, number)) == {200}
    assert evaluated() == attempts.LIMIT_PER_NAME_ANYWHERE


@AT_ONCE
@pytest.mark.django_db(transaction=True)
def test_of_many_names_at_once_from_one_address_no_more_than_the_address_s_limit_are_looked_at(db, number):
    for at in range(number):
        User.objects.create(username=f"name{at}", password="!")

    def ask(at: int) -> int:
        try:
            return wrong(Client(), f"name{at}", "203.0.113.7").status_code
        finally:
            connection.close()

    assert set(all_at_once(ask, number)) == {200}
    assert evaluated() == attempts.LIMIT_PER_ADDRESS


@pytest.mark.django_db
def test_a_stranger_who_guesses_from_everywhere_does_not_lock_the_owner_s_own_device_out(client, rita):
    assert client.post(SIGN_IN, {"username": "rita", "password": made.PASSWORD}).status_code == 302
    client.post("/accounts/sign-out/")
    for number in range(attempts.LIMIT_PER_NAME_ANYWHERE + 5):
        wrong(Client(), address=f"203.0.113.{number}")
    stranger = Client().post(SIGN_IN, {"username": "rita", "password": made.PASSWORD}, REMOTE_ADDR="198.51.100.1")
    assert "Wait 60 minutes" in stranger.content.decode()
    assert client.post(SIGN_IN, {"username": "rita", "password": made.PASSWORD}).status_code == 302


@pytest.mark.django_db
def test_colleagues_at_one_address_do_not_lock_a_known_device_out(client, rita):
    assert client.post(SIGN_IN, {"username": "rita", "password": made.PASSWORD}).status_code == 302
    client.post("/accounts/sign-out/")
    for number in range(attempts.LIMIT_PER_ADDRESS):
        wrong(Client(), f"colleague{number}")
    assert "Wait 10 minutes" in wrong(Client(), "new").content.decode()
    assert client.post(SIGN_IN, {"username": "rita", "password": made.PASSWORD}).status_code == 302


@pytest.mark.django_db
def test_a_known_device_guesses_no_more_than_others(client, rita):
    client.post(SIGN_IN, {"username": "rita", "password": made.PASSWORD})
    client.post("/accounts/sign-out/")
    for _ in range(attempts.LIMIT_PER_NAME + 5):
        wrong(client)
    assert evaluated() == attempts.LIMIT_PER_NAME
    # Nor is it known for anybody else, and what it carries cannot be made up.
    other = made.UserFactory(username="otto")
    request = RequestFactory().get("/")
    request.COOKIES[devices.COOKIE] = client.cookies[devices.COOKIE].value
    assert devices.known(request, rita.username)
    assert not devices.known(request, other.username)
    request.COOKIES[devices.COOKIE] = client.cookies[devices.COOKIE].value[:-2] + "AA"
    assert not devices.known(request, rita.username)


@pytest.mark.django_db
def test_a_machine_that_several_people_use_knows_them_all(client, rita):
    made.UserFactory(username="otto")
    for name in ("rita", "otto"):
        client.post(SIGN_IN, {"username": name, "password": made.PASSWORD})
        client.post("/accounts/sign-out/")
    request = RequestFactory().get("/")
    request.COOKIES[devices.COOKIE] = client.cookies[devices.COOKIE].value
    assert [bool(devices.known(request, name)) for name in ("rita", "otto", "nobody")] == [True, True, False]


@pytest.mark.django_db
def test_right_passwords_count_for_nothing(client, rita):
    for _ in range(attempts.LIMIT_PER_NAME + 3):
        assert Client().post(SIGN_IN, {"username": "rita", "password": made.PASSWORD}).status_code == 302
    assert list(AttemptCount.objects.filter(count__gt=0)) == []


@pytest.mark.django_db
def test_counts_that_are_over_are_swept_away(client, rita):
    AttemptCount.objects.create(key="old", count=3, ends_at=1.0)
    wrong(client)
    assert not AttemptCount.objects.filter(key="old").exists()


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["nobody", "RITA", "Rita "])
def test_a_name_in_other_letters_has_no_count_of_its_own(client, rita, name):
    for _ in range(attempts.LIMIT_PER_NAME):
        wrong(client, name)
    assert attempts.too_many(RequestFactory().get("/"), name.strip().lower())


@pytest.mark.django_db
def test_one_wrong_password_is_looked_at_once(client, rita, monkeypatch):
    looked = []
    check = User.check_password
    monkeypatch.setattr(User, "check_password", lambda self, raw: looked.append(raw) or check(self, raw))
    wrong(client)
    assert looked == ["wrong"]


@pytest.mark.django_db
def test_a_failed_sign_in_says_from_where(client, rita):
    wrong(client, address="203.0.113.77")
    assert AuditEvent.objects.get(act="sign_in_failed").detail["address"] == "203.0.113.77"


@pytest.mark.django_db
def test_an_open_session_guesses_its_own_password_no_oftener(client, rita):
    client.force_login(rita)
    for _ in range(attempts.LIMIT_PER_NAME + 2):
        form = {
            "old_password": "wrong",
            "new_password1": "tall green windmills",
            "new_password2": "tall green windmills",
        }
        last = client.post("/accounts/password/", form)
    assert "Too many wrong passwords" in last.content.decode()
    form["old_password"] = made.PASSWORD
    client.post("/accounts/password/", form)
    rita.refresh_from_db()
    assert rita.check_password(made.PASSWORD)


@pytest.mark.django_db
def test_the_api_looks_at_no_name_and_password(client, rita, monkeypatch):
    monkeypatch.setattr(User, "check_password", lambda self, raw: pytest.fail("a password was looked at"))
    answer = client.get("/api/v1/scans/", headers={"Authorization": "Basic cml0YTp3cm9uZw=="})
    assert answer.status_code == 401


def test_only_the_proxies_that_are_counted_say_who_asks(rf, settings):
    settings.SECURE_PROXY_SSL_HEADER, settings.PROXY_HOPS = ("HTTP_X_FORWARDED_PROTO", "https"), 0
    request = rf.get("/", headers={"X-Forwarded-For": "6.6.6.6"}, REMOTE_ADDR="198.51.100.7")
    assert attempts.address_of(request) == "198.51.100.7"

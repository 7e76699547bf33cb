"""Production does not start unsafely: web, workers, scheduler and `make run` look for themselves and say why."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from portal.ui.proxy import ClientAddressMiddleware
from tests import processes
from tests.factories import PASSWORD, UserFactory
from tests.web import Web

KEY = "0Ff-8w7Qm2Zr5_LkXn3Vt9Yb1Cd6Gh4Js-PaEuIoTyRqWzMxNv"
PYTHON = sys.executable
CELERY = [PYTHON, "-m", "celery", "-A", "celery_worker"]
WAYS = {
    "web": [PYTHON, "-m", "gunicorn", "-c", "portal/start/gunicorn_conf.py", "portal.wsgi"],
    "web without the file": [PYTHON, "-m", "gunicorn", "-b", "127.0.0.1:0", "portal.wsgi:application"],
    "worker": [*CELERY, "worker", "-Q", "inference", "-c", "1"],
    "trainer": [*CELERY, "worker", "-Q", "training", "-c", "1"],
    "scheduler": [*CELERY, "beat"],
    "make run": [PYTHON, "-m", "portal.start"],
}
FAULTS = {
    "short": ({"SECRET_KEY": "abc"}, "SECRET_KEY is too short"),
    "simple": ({"SECRET_KEY": "a" * 80}, "SECRET_KEY is too short or too simple"),
    "from an example": ({"SECRET_KEY": "django-insecure-" + KEY}, "SECRET_KEY stands in an example"),
    "changeme": ({"SECRET_KEY": "please-change-me-" + KEY}, "SECRET_KEY stands in an example"),
    "none": ({"SECRET_KEY": ""}, "SECRET_KEY is not set"),
    "debug": ({"DEBUG": "1"}, "DEBUG and OVERREAD_PRODUCTION are both on"),
    "no host": ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS is not set"),
    "any host": ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS contains *"),
    "no broker": ({"REDIS_URL": "amqp://guest@localhost"}, "REDIS_URL is not the address of a Redis server"),
}


def started(way: str, folder: Path, **more: str) -> subprocess.Popen[str]:
    environment = processes.environment(
        OVERREAD_PRODUCTION="1", OVERREAD_DATA=str(folder), SECRET_KEY=KEY, ALLOWED_HOSTS="reading.example.org",
        REDIS_URL="redis://127.0.0.1:1/0", PORT="0" if way != "make run" else "18231", DATABASE_URL=f"sqlite:///{folder}/db",
    )  # fmt: skip
    environment.update(more)
    return subprocess.Popen(
        WAYS[way], cwd=processes.ROOT, env={name: value for name, value in environment.items() if value},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def refused(process: subprocess.Popen[str], sentence: str) -> str:
    """What is wrong with how it ended; nothing where it refused with the sentence."""
    try:
        said, _ = process.communicate(timeout=45)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        return f"it started: {said[-1500:]}"
    if process.returncode == 0:
        return "it ended as if all were well"
    return "" if sentence in said else f"it said: {said[-1500:]}"


def test_production_with_a_weak_key_is_refused_by_each_process(tmp_path: Path) -> None:
    environment, sentence = FAULTS["short"]
    begun = {way: started(way, tmp_path, **environment) for way in WAYS}
    found = {way: refused(process, sentence) for way, process in begun.items()}
    assert found == dict.fromkeys(WAYS, ""), found


@pytest.mark.parametrize("way", ["web", "worker", "scheduler", "make run"])
def test_unsafe_settings_are_refused_in_a_sentence_without_a_trace(way: str, tmp_path: Path) -> None:
    begun = {fault: started(way, tmp_path, **FAULTS[fault][0]) for fault in ("none", "debug")}
    for fault, process in begun.items():
        said, _ = process.communicate(timeout=45)
        assert process.returncode not in (0, None)
        assert FAULTS[fault][1] in said
        assert "Traceback" not in said, said


def test_production_names_each_fault(tmp_path: Path) -> None:
    begun = {fault: started("web", tmp_path, **more) for fault, (more, _) in FAULTS.items()}
    found = {fault: refused(process, FAULTS[fault][1]) for fault, process in begun.items()}
    assert found == dict.fromkeys(FAULTS, ""), found


def test_key_itself_is_never_said(tmp_path: Path) -> None:
    said, _ = started("web", tmp_path, SECRET_KEY="hunter-two-hunter-two").communicate(timeout=45)
    assert "SECRET_KEY" in said
    assert "hunter" not in said


@pytest.mark.django_db(transaction=True)
def test_safe_production_behind_a_proxy_starts_and_knows_who_asks() -> None:
    """As the README starts it; two proxies, of which the first one's word counts."""
    more = {"OVERREAD_BEHIND_PROXY": "2", "OVERREAD_WEB_PROCESSES": "1", "OVERREAD_LOG_FORMAT": "json"}
    with Web(OVERREAD_PRODUCTION="1", SECRET_KEY=KEY, ALLOWED_HOSTS="reading.example.org,127.0.0.1", **more) as web:
        through = web.browser(**{"X-Forwarded-Proto": "https", "X-Forwarded-For": "6.6.6.6, 198.51.100.7, 10.0.0.2"})
        assert through.get("/accounts/sign-in/").status == 200
        assert web.browser().get("/accounts/sign-in/").status == 301, "plain HTTP is sent to HTTPS"
        assert '"ip": "198.51.100.7"' in web.output()
        assert "6.6.6.6" not in web.output()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("hops", "forwarded", "expected"),
    [
        (0, "198.51.100.7", "127.0.0.1"),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        (2, "6.6.6.6, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        (2, "198.51.100.7", "127.0.0.1"),  # fewer than there are proxies: nobody of ours wrote it
        (1, "nonsense", "127.0.0.1"),
        (1, "", "127.0.0.1"),
        (1, "[2001:db8::1]:443", "2001:db8::1"),
        (1, "198.51.100.7:5000", "198.51.100.7"),
    ],
)
def test_only_as_many_proxies_are_believed_as_there_are(settings, hops: int, forwarded: str, expected: str) -> None:  # type: ignore[no-untyped-def]
    settings.PROXY_HOPS = hops
    seen = []

    def look(request: HttpRequest) -> HttpResponse:
        seen.append((request.META["REMOTE_ADDR"], request.headers.get("X-Forwarded-For", expected)))
        return HttpResponse()

    ClientAddressMiddleware(look)(RequestFactory().get("/", headers={"X-Forwarded-For": forwarded}))
    assert seen == [(expected, expected)]


def test_proxy_that_nobody_told_of_is_warned_of_once_a_minute(settings, caplog: pytest.LogCaptureFixture) -> None:  # type: ignore[no-untyped-def]
    settings.PROXY_HOPS = 0
    through = ClientAddressMiddleware(lambda _request: HttpResponse())
    for _ in range(3):
        through(RequestFactory().get("/", headers={"X-Forwarded-For": "198.51.100.7"}))
    assert caplog.text.count("OVERREAD_BEHIND_PROXY is not set") == 1


def test_wrong_passwords_behind_a_proxy_shut_out_who_gave_them_and_nobody_else(db, settings) -> None:  # type: ignore[no-untyped-def]
    """With the README's settings; 61 wrong ones from one address, then the right one from another."""
    settings.PROXY_HOPS = 1
    user = UserFactory()
    user.set_password(PASSWORD)
    user.save()
    door = reverse("accounts:sign-in")
    for number in range(61):
        Client().post(
            door, {"username": f"nobody{number}", "password": "wrong"}, headers={"X-Forwarded-For": "6.6.6.6"}
        )
    for address, status in (("6.6.6.6", 200), ("198.51.100.7", 302)):
        answer = Client().post(
            door, {"username": user.username, "password": PASSWORD}, headers={"X-Forwarded-For": address}
        )
        assert answer.status_code == status, address


def test_readme_and_example_say_what_a_proxy_needs() -> None:
    readme = (processes.ROOT / "README.md").read_text()
    assert "OVERREAD_BEHIND_PROXY=1" in readme
    assert "OVERREAD_URL=https://" in readme

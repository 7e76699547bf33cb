"""Health: the process answers; each part that work needs is named when it is missing, without secrets."""

import json
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import Client

from diagnostics.registry import services as registry
from portal import health
from tests import processes

PARTS = {"database", "broker", "storage", "model"}
pytestmark = pytest.mark.django_db


def asked(path: str = "/readyz") -> tuple[int, dict[str, str]]:
    answer = Client().get(path)
    return answer.status_code, json.loads(answer.content)


def test_healthz_answers_without_a_person() -> None:
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok")


def test_readyz_with_everything_there_is_200(broker: str) -> None:
    registry.install_bundled_model(settings.BUNDLED_MODEL)
    assert asked() == (200, dict.fromkeys(PARTS, "ok"))


def test_readyz_leaves_no_file_behind(broker: str) -> None:
    asked()
    folders, files = storages["default"].listdir("readyz")
    assert files == []


def test_readyz_without_a_model_names_the_command(broker: str) -> None:
    code, parts = asked()
    assert code == 503
    assert "install_model" in parts["model"]
    assert {part for part in PARTS if parts[part] != "ok"} == {"model"}


def test_readyz_tells_of_damaged_weights_before_a_worker_finds_them(broker: str) -> None:
    box = registry.install_bundled_model(settings.BUNDLED_MODEL)
    key = f"{box.sha256}/weights.npz"
    artifacts = storages["artifacts"]
    with artifacts.open(key) as file:
        whole = file.read()
    broken = bytearray(whole)
    broken[len(broken) // 2] ^= 1
    artifacts.save(key, ContentFile(bytes(broken)))
    try:
        code, parts = asked()
    finally:
        artifacts.save(key, ContentFile(whole))
    assert code == 503
    assert "damaged" in parts["model"] and "roll back" in parts["model"]
    assert asked()[1]["model"] == "ok"


def test_readyz_without_a_broker_says_that_scans_wait(settings) -> None:
    settings.CELERY_BROKER_URL = "redis://somebody:secret-word@127.0.0.1:1/0"
    code, parts = asked()
    assert code == 503
    assert parts["broker"].startswith("The broker does not answer")
    assert "secret-word" not in json.dumps(parts)


def test_readyz_with_a_storage_that_cannot_be_written_names_it(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError("/private/path/of/this/machine")

    monkeypatch.setattr(health, "_write", refuse)
    code, parts = asked()
    assert code == 503
    assert "cannot be written to" in parts["storage"]
    assert "/private" not in json.dumps(parts)


def test_readyz_with_a_hanging_storage_answers_in_time(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    release = threading.Event()
    monkeypatch.setattr(health, "SECONDS", 0.2)
    monkeypatch.setattr(health, "_write", release.wait)
    _code, parts = asked()
    release.set()
    assert "cannot be written to" in parts["storage"]


def test_health_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    Client().get("/healthz")
    assert "request_finished" not in caplog.text


def test_logs_tell_the_path_but_not_what_was_searched(caplog: pytest.LogCaptureFixture) -> None:
    Client().get("/history/patients/?q=Miller")
    assert "/history/patients/" in caplog.text
    assert "Miller" not in caplog.text


def test_traceback_in_the_text_log_does_not_tell_variables() -> None:
    code = (
        "import django, logging; django.setup()\n"
        "def read(): name = 'Mill' + 'er'; raise ValueError('unreadable')\n"
        "try: read()\n"
        "except ValueError: logging.getLogger('x').exception('failed')\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=processes.ROOT, capture_output=True, text=True, check=True,
        env=processes.environment(OVERREAD_LOG_FORMAT="text"),
    ).stderr  # fmt: skip
    assert "ValueError: unreadable" in told
    assert "Miller" not in told


def test_log_in_json_is_one_object_a_line() -> None:
    code = "import django, logging; django.setup(); logging.getLogger('x').warning('said')"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=processes.ROOT, capture_output=True, text=True, check=True,
        env=processes.environment(OVERREAD_LOG_FORMAT="json"),
    ).stderr  # fmt: skip
    entry = json.loads(told)
    assert (entry["event"], entry["level"], entry["logger"]) == ("said", "warning", "x")

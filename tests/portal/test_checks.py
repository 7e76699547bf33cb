"""System checks: each fault of an installation is found and told with a hint; a right one is left in peace."""

import os
from pathlib import Path

import pytest

from portal import checks


@pytest.mark.parametrize(
    ("check", "change", "expected"),
    [
        (checks.secret_key, {"SECRET_KEY": "short"}, "overread.E002"),
        (checks.secret_key, {"SECRET_KEY": "a" * 80}, "overread.E002"),
        (checks.hosts, {"ALLOWED_HOSTS": ["*"]}, "overread.E003"),
        (checks.hosts, {"ALLOWED_HOSTS": ["localhost"], "PRODUCTION": True}, "overread.W003"),
        (checks.mail, {"EMAIL_BACKEND": "x.console.EmailBackend", "PRODUCTION": True}, "overread.W004"),
        (checks.broker, {"CELERY_BROKER_URL": "amqp://guest@localhost"}, "overread.E005"),
        (checks.bundled_model, {"BUNDLED_MODEL": Path("/nowhere")}, "overread.W008"),
        (checks.data_folder, {"DATA_DIR": Path(os.devnull)}, "overread.E001"),
    ],
)
def test_fault_is_named_with_a_hint(check, change, expected, settings) -> None:
    for name, value in change.items():
        setattr(settings, name, value)
    (message,) = check()
    assert message.id == expected
    assert message.hint


@pytest.mark.parametrize(
    ("check", "change"),
    [
        (checks.secret_key, {"SECRET_KEY": "abcdefghij" * 6}),
        (checks.hosts, {"ALLOWED_HOSTS": ["reading.example.org"], "PRODUCTION": True}),
        (checks.mail, {"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend", "PRODUCTION": True}),
        (checks.broker, {"CELERY_BROKER_URL": "rediss://broker.example.org:6379/0"}),
        (checks.celery, {}),
        (checks.data_folder, {}),
        (checks.bundled_model, {}),
    ],
)
def test_right_installation_is_left_in_peace(check, change, settings) -> None:
    for name, value in change.items():
        setattr(settings, name, value)
    assert list(check()) == []


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, 0),
        ({"AWS_STORAGE_BUCKET_NAME": "scans"}, 0),
        ({"AWS_STORAGE_BUCKET_NAME": "scans", "AWS_ACCESS_KEY_ID": "a"}, 1),
        ({"AWS_STORAGE_BUCKET_NAME": "scans", "AWS_S3_ENDPOINT_URL": "http://store:7070"}, 1),
        ({"AWS_S3_ENDPOINT_URL": "http://store:7070"}, 1),
        (
            {
                "AWS_STORAGE_BUCKET_NAME": "scans",
                "AWS_S3_ENDPOINT_URL": "http://store:7070",
                "AWS_ACCESS_KEY_ID": "a",
                "AWS_SECRET_ACCESS_KEY": "b",
            },
            0,
        ),
    ],
)
def test_bucket_settings_that_are_incomplete_are_named(given, found, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_STORAGE_BUCKET_NAME", "AWS_S3_ENDPOINT_URL", *checks.KEYS):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert len(checks.bucket()) == found

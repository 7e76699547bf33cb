"""System checks: each names a fault of the installation and how to put it right."""

import os
from collections.abc import Sequence
from pathlib import Path

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

# Both are needed for a bucket at a store of one's own; a role of the machine may stand for them at Amazon.
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
# The tags under which the checks of an installation stand.
OURS = [Tags.files, Tags.security, "overread"]
# Words of examples and templates: a key that somebody else has read is none.
OF_AN_EXAMPLE = (
    "django-insecure-",
    "change-me",
    "changeme",
    "change_me",
    "replace-me",
    "your-secret",
    "example",
    "only-for-",
)
BROKERS = ("redis://", "rediss://", "unix://", "redis+socket://")


def register_all() -> None:
    """Called once, when Django is ready."""
    register(Tags.files)(data_folder)
    register(Tags.security, deploy=True)(secret_key)
    register(Tags.security, deploy=True)(hosts)
    register(Tags.security, deploy=True)(mail)
    register("overread")(broker)
    register("overread")(bucket)
    register("overread")(celery)
    register("overread")(bundled_model)


def data_folder(**_: object) -> Sequence[CheckMessage]:
    """The data folder, or the nearest one above that exists, can be written to."""
    nearest = next(folder for folder in (settings.DATA_DIR, *settings.DATA_DIR.parents) if folder.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"The data folder {settings.DATA_DIR} cannot be written to.",
            hint="Make it writable for this user, or name another in OVERREAD_DATA.",
            id="overread.E001",
        )
    ]


def secret_key(**_: object) -> Sequence[CheckMessage]:
    """A production's secret key is long and various enough that nobody guesses it, and nobody else's."""
    key = settings.SECRET_KEY
    if len(key) < 50 or len(set(key)) < 10:
        fault = "SECRET_KEY is too short or too simple: sessions and links could be forged."
    elif any(word in key.lower() for word in OF_AN_EXAMPLE):
        fault = "SECRET_KEY stands in an example: others know it, and could forge sessions and links."
    else:
        return []
    hint = 'Set it to what `python -c "import secrets; print(secrets.token_urlsafe(64))"` prints.'
    return [Error(fault, hint=hint, id="overread.E002")]


def hosts(**_: object) -> Sequence[CheckMessage]:
    """A production answers to its own names only."""
    named = [host for host in settings.ALLOWED_HOSTS if host not in ("localhost", "127.0.0.1", "[::1]")]
    if "*" in named:
        return [
            Error(
                "ALLOWED_HOSTS contains *: links in mails could be led to another site.",
                hint="Name the hosts under which people reach Overread, separated by commas.",
                id="overread.E003",
            )
        ]
    if settings.PRODUCTION and not settings.ALLOWED_HOSTS:
        return [
            Error(
                "ALLOWED_HOSTS is not set: nobody can reach Overread.",
                hint="Name the hosts under which people reach Overread, separated by commas.",
                id="overread.E009",
            )
        ]
    if settings.PRODUCTION and not named:
        return [
            Warning(
                "ALLOWED_HOSTS names this machine only: nobody else can reach Overread.",
                hint="Name the hosts under which people reach Overread, separated by commas.",
                id="overread.W003",
            )
        ]
    return []


def mail(**_: object) -> Sequence[CheckMessage]:
    """A production can send the mail that resets a password."""
    if settings.PRODUCTION and settings.EMAIL_BACKEND.endswith("console.EmailBackend"):
        return [
            Warning(
                "Mail goes to the console: nobody can reset a password.",
                hint="Set EMAIL_URL, for example smtp+tls://user:password@mail.example.org:587.",
                id="overread.W004",
            )
        ]
    return []


def broker(**_: object) -> Sequence[CheckMessage]:
    """The broker's address is one that Celery's Redis transport understands."""
    if settings.CELERY_BROKER_URL.startswith(BROKERS):
        return []
    return [
        Error(
            "REDIS_URL is not the address of a Redis server.",
            hint="Write redis://host:6379/0 (rediss:// with TLS), or leave it empty for the embedded broker.",
            id="overread.E005",
        )
    ]


def bucket(**_: object) -> Sequence[CheckMessage]:
    """The settings of the file storage are complete."""
    named = bool(os.environ.get("AWS_STORAGE_BUCKET_NAME"))
    endpoint = bool(os.environ.get("AWS_S3_ENDPOINT_URL"))
    keys = [bool(os.environ.get(key)) for key in KEYS]
    if endpoint and not named:
        fault, hint = (
            "AWS_S3_ENDPOINT_URL is set without a bucket: files stay on disk.",
            "Set AWS_STORAGE_BUCKET_NAME.",
        )
    elif named and (any(keys) and not all(keys) or (endpoint and not all(keys))):
        fault, hint = "The bucket's keys are incomplete.", f"Set both {KEYS[0]} and {KEYS[1]}."
    else:
        return []
    return [Error(fault, hint=hint, id="overread.E006")]


def celery(**_: object) -> Sequence[CheckMessage]:
    """The process's Celery application is ours: another one has no broker, and nudges would go nowhere."""
    if current_app.main == "overread":
        return []
    return [
        Error(
            "Celery's application is not bound: no scan would be analysed.",
            hint="portal/__init__.py must import the application of celery_worker.py.",
            id="overread.E007",
        )
    ]


def bundled_model(**_: object) -> Sequence[CheckMessage]:
    """The model that comes with the software is there."""
    folder = Path(settings.BUNDLED_MODEL)
    if (folder / "spec.json").is_file():
        return []
    return [
        Warning(
            f"There is no model in {folder}: a new installation has no opinion to give.",
            hint="Fetch the software again, or install another with `manage.py install_model --folder PATH`.",
            id="overread.W008",
        )
    ]

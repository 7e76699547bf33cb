"""Whether the parts that work needs are there: each is asked briefly, and is "ok" or a sentence."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import redis
import structlog
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from diagnostics.registry import services as registry

OK = "ok"
SECONDS = 3
log = structlog.get_logger(__name__)
# A storage that hangs holds these two threads and no request.
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="readyz")


class Damaged(RuntimeError):
    """A part is there, but not as it should be; ``str()`` says what to do."""


def parts() -> dict[str, str]:
    """The state of the database, the broker, the file storage and the model in use."""
    asked: dict[str, tuple[Callable[[], None], str]] = {
        "database": (_database, "The database does not answer. See that it runs and that DATABASE_URL is right."),
        "broker": (
            _broker,
            "The broker does not answer: scans are taken in and wait. See that it runs and that REDIS_URL is right.",
        ),
        "storage": (
            _storage,
            "The file storage cannot be written to. See the free space, the rights and the bucket's settings.",
        ),
        "model": (_model, "No model is in use: scans wait. `manage.py install_model` installs the one in the box."),
    }
    return {part: _ask(part, probe, sentence) for part, (probe, sentence) in asked.items()}


def _ask(part: str, probe: Callable[[], None], sentence: str) -> str:
    try:
        probe()
    except Damaged as error:
        log.error("damaged", part=part)
        return str(error)
    except Exception as error:  # noqa: BLE001  whatever a driver raises, the part is not ready
        # The error's own words may name hosts and accounts: its kind is enough here.
        log.warning("not_ready", part=part, error=type(error).__name__)
        return sentence
    return OK


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _broker() -> None:
    address = settings.CELERY_BROKER_URL.replace("redis+socket://", "unix://")
    # Once: the client's own three tries would hold whoever asks for several seconds.
    once = Retry(NoBackoff(), 0)
    with redis.Redis.from_url(address, socket_connect_timeout=1, socket_timeout=1, retry=once) as asked:
        # Written, not pinged: a broker that is full or only to be read takes no message either.
        asked.set("readyz", 1, ex=SECONDS)


def _storage() -> None:
    _threads.submit(_write).result(timeout=SECONDS)


def _write() -> None:
    """Write and delete a file: being listed proves neither space nor rights."""
    storage = storages["default"]
    name = storage.save(f"readyz/{uuid.uuid4().hex}", ContentFile(b"ok"))
    storage.delete(name)


def _model() -> None:
    live = registry.live()
    if live is None:
        raise LookupError
    alarm = registry.open_alarm()
    if alarm is not None:
        stand_in = f"v{alarm.stand_in.number} stands in for it." if alarm.stand_in else "Nothing stands in for it."
        raise Damaged(
            f"A worker found the files of model v{alarm.version.number} damaged. {stand_in} Put the files back from a "
            "backup, or put another model into use."
        )
    if not _threads.submit(registry.is_whole, live).result(timeout=SECONDS):
        raise Damaged(
            f"The stored files of the model in use, v{live.number}, are damaged or missing: a worker that starts now "
            "cannot load it. Put them back from a backup, or roll back to the former model."
        )

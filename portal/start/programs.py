"""Which processes one machine runs, and how each is told to run."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from django.conf import settings

from portal.settings import embedded_socket
from portal.start import broker
from portal.start.supervisor import Program

WEB_CONFIGURATION = Path(__file__).parent / "gunicorn_conf.py"

# Advice for a server of many gigabytes, alarming at a first start.
OVERCOMMIT = "WARNING Memory overcommit must be enabled"


def programs(port: int) -> list[Program]:
    """Broker (only where REDIS_URL names none), web, the three workers, scheduler, and where it has a port the DICOM
    listener; stages order start and stop."""
    kept = [
        Program(
            name="web",
            command=[sys.executable, "-m", "gunicorn", "-c", str(WEB_CONFIGURATION), "portal.wsgi:application"],
            stage=1,
            environment={"PORT": str(port)},
            answers=lambda: web_answers(port),
        ),
        # A fit cannot be hurried: the run is taken up again at the next start, so it gets no longer than the others.
        Program(name="inference", command=worker("inference"), stage=2),
        Program(name="training", command=worker("training"), stage=2),
        Program(name="delivery", command=delivery_worker(), stage=2),
        Program(
            name="scheduler",
            command=[*celery("beat"), "--pidfile="],
            stage=3,
        ),
    ]
    if settings.DICOM_PORT:
        kept.append(
            Program(
                name="dicom",
                command=manage("dicom_listener"),
                stage=1,
                answers=lambda: dicom_answers(here(settings.DICOM_BIND), settings.DICOM_PORT),
            )
        )
    if not settings.REDIS_URL:
        kept.insert(
            0, Program(name="broker", command=broker.command(), stage=0, answers=broker_answers, unsaid=OVERCOMMIT)
        )
    return kept


def manage(command: str) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), command]


def celery(command: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "celery_worker", "--quiet", command, "--loglevel", "INFO"]


def worker(queue: str) -> list[str]:
    """One child per queue: a model is loaded once, and a fit never waits behind an opinion or the reverse."""
    return [*celery("worker"), "-Q", queue, "-c", "1", "-n", f"{queue}@%h", "--without-mingle", "--without-gossip"]


def delivery_worker() -> list[str]:
    """What waits for other computers: threads, since none of it computes."""
    return [*worker("delivery"), "-P", "threads", "-c", "4"]


async def broker_answers() -> bool:
    return await _reply(lambda: asyncio.open_unix_connection(str(embedded_socket())), b"PING\r\n") == b"+PONG"


async def web_answers(port: int) -> bool:
    host = next((host for host in settings.ALLOWED_HOSTS if host[:1] not in "*."), "localhost")
    request = f"GET /healthz HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()
    status = await _reply(lambda: asyncio.open_connection("127.0.0.1", port), request)
    return status.startswith(b"HTTP/") and status.endswith(b" 200")


def _association_request(called: str) -> bytes:
    """A request for an association by somebody whom nobody knows: a DICOM listener that lives refuses it."""

    def item(kind: int, content: bytes) -> bytes:
        return bytes([kind, 0]) + len(content).to_bytes(2, "big") + content

    syntaxes = item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2")
    proposed = item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, bytes([1, 0, 0, 0]) + syntaxes)
    proposed += item(0x50, item(0x51, (16384).to_bytes(4, "big")) + item(0x52, b"1.2.826.0.1.3680043.9.3811.3.0.4"))
    titles = called.ljust(16).encode() + b"OVERREAD-PROBE  "
    content = b"\0\1\0\0" + titles + bytes(32) + proposed
    return b"\1\0" + len(content).to_bytes(4, "big") + content


def here(bound: str) -> str:
    """The address at which this machine reaches what is bound to ``bound``."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, bound)  # noqa: S104  it binds nothing


async def dicom_answers(host: str, port: int) -> bool:
    """Whether a DICOM listener takes connections there and answers them."""
    asked = _association_request(settings.DICOM_AE_TITLE)
    reply = await _reply(lambda: asyncio.open_connection(host, port), asked)
    return reply[:1] in (b"\2", b"\3")  # A-ASSOCIATE-AC, A-ASSOCIATE-RJ


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _reply(connect: Callable[[], Awaitable[Connection]], question: bytes) -> bytes:
    """The first word or two that a server answers within a second; nothing where it does not."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await connect()
            try:
                writer.write(question)
                return (await reader.read(12)).rstrip()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""

"""The real web server for tests: gunicorn as the README starts it, on this test's database, asked over the network."""

import fcntl
import functools
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from django.conf import settings

from tests import processes

BOUNDARY = "----overread-test"
COMMAND = [sys.executable, "-m", "gunicorn", "-c", "portal/start/gunicorn_conf.py", "portal.wsgi"]


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


@functools.cache
def static_files() -> str:
    """The folder of the collected static files, made once for all processes of this run."""
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    shared = Path(os.environ["OVERREAD_TEST_FOLDER"])
    folder, done = shared / "static-of-the-web", shared / "static-of-the-web.done"
    with (shared / "static-of-the-web.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            environment = processes.environment(STATIC_ROOT=str(folder))
            subprocess.run(command, cwd=processes.ROOT, env=environment, check=True, timeout=120)
            done.touch()
    return str(folder)


@dataclass
class Answer:
    """One answer: its status, its headers in the order they came, its body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.body)


def multipart(fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> tuple[bytes, str]:
    """A form with files, and its content type."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, (file_name, content) in files.items():
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{file_name}"\r\n\r\n'
        parts.append(head.encode() + content + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


@dataclass
class Browser:
    """Somebody who asks: keeps cookies as a browser does (by path), follows nothing by itself."""

    port: int
    host: str = "127.0.0.1"
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, tuple[str, str]] = field(default_factory=dict)
    seconds: float = 30

    def ask(self, method: str, path: str, body: bytes | str | None = None, **headers: str) -> Answer:
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        mine = [f"{name}={value}" for name, (value, place) in self.cookies.items() if path.startswith(place)]
        if mine:
            sent["Cookie"] = "; ".join(mine)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.seconds)
        try:
            connection.request(method, path, body, sent)
            got = connection.getresponse()
            answer = Answer(got.status, got.getheaders(), got.read())
        finally:
            connection.close()
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                first, *rest = [part.strip() for part in value.split(";")]
                key, _, kept = first.partition("=")
                place = next((part[5:] for part in rest if part.lower().startswith("path=")), "/")
                self.cookies[key] = (kept, place)
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        kind = "application/x-www-form-urlencoded"
        return self.ask("POST", path, urllib.parse.urlencode(fields), **{"Content_Type": kind, **headers})

    def form(self, page: str, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """Send the form of a page, with the token that stands in it."""
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(page).text)
        assert token, f"{page} has no form"
        return self.post(path, {"csrfmiddlewaretoken": token[1], **fields}, **headers)

    def sign_in(self, username: str, password: str, root: str = "") -> Answer:
        door = f"{root}/accounts/sign-in/"
        return self.form(door, door, {"username": username, "password": password})

    def hand_in(self, token: str, content: bytes, path: str = "/api/v1/scans/", patient: str = "P-7") -> Answer:
        body, kind = multipart({"patient": patient}, {"file": ("scan.png", content)})
        return self.ask("POST", path, body, Authorization=f"Bearer {token}", Content_Type=kind)


class Web:
    """gunicorn with the configuration of the README; ready when the ``with`` block is entered.

    ``more`` is its environment beside that of the test. What it wrote is in ``output()``.
    """

    def __init__(self, command: list[str] | None = None, **more: str) -> None:
        self.port = free_port()
        self.command = command or COMMAND
        self.more = {"PORT": str(self.port), "STATIC_ROOT": static_files(), **more}
        self.log = tempfile.NamedTemporaryFile(prefix="web-", dir=settings.DATA_DIR)  # noqa: SIM115

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, cwd=processes.ROOT, env=processes.environment(**self.more),
            stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> "Web":
        self.start()
        try:
            processes.wait(self.answers, 60, "the web server did not answer")
        except AssertionError as error:
            said = self.output()
            self.__exit__(None, None, None)
            raise AssertionError(f"{error}:\n{said}") from None
        return self

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the web server ended at once (code {self.process.returncode})")
        try:
            return self.browser().get("/healthz").status == 200
        except OSError:
            return False

    def browser(self, **headers: str) -> Browser:
        return Browser(self.port, headers=headers)

    def output(self) -> str:
        return Path(self.log.name).read_text(errors="replace")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        processes.stop(self.process)
        self.log.close()

"""A receiver of webhooks in a process of its own, which verifies each message with the standardwebhooks library.

``python -m tests.webhook_receiver FOLDER`` listens on a free port and writes it to ``FOLDER/port``. It reads the
secrets from ``FOLDER/secrets``, and answers as ``FOLDER/answer`` says: a status; a status and where a redirect
leads; or ``wait`` and seconds. It appends each message to ``FOLDER/messages``, one JSON object a line.
"""

import contextlib
import ipaddress
import json
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = [ipaddress.ip_network("127.0.0.0/8")]  # for WEBHOOK_NETWORKS
_lock = threading.Lock()


def serve(folder):
    from standardwebhooks.webhooks import Webhook, WebhookVerificationError

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            valid = []
            for secret in (folder / "secrets").read_text().split():
                with contextlib.suppress(WebhookVerificationError):
                    Webhook(secret).verify(body, headers)
                    valid.append(secret)
            status, _, rest = (folder / "answer").read_text().strip().partition(" ")
            if status == "wait":
                time.sleep(float(rest))
                status, rest = "200", ""
            told = {
                "id": headers["webhook-id"],
                "valid": valid,
                "status": int(status),
                "path": self.path,
                "body": body,
            }
            with _lock, (folder / "messages").open("a") as file:
                file.write(json.dumps(told) + "\n")
            self.send_response(int(status))
            if rest:
                self.send_header("Location", rest)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    (folder / "port.new").write_text(str(server.server_address[1]))
    (folder / "port.new").rename(folder / "port")
    server.serve_forever()


class Receiver:
    """The receiver as a test sees it."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "messages").touch()
        (folder / "secrets").touch()
        self.answers("200")

    @property
    def url(self):
        return f"http://127.0.0.1:{(self.folder / 'port').read_text()}/hook"

    def answers(self, said):
        (self.folder / "answer").write_text(said)

    def knows(self, *secrets):
        (self.folder / "secrets").write_text(" ".join(secrets))

    def messages(self):
        """Every message, also one that it did not take."""
        return [json.loads(line) for line in (self.folder / "messages").read_text().splitlines()]

    def got(self):
        """The bodies of the messages that it has taken; each must be validly signed."""
        taken = [each for each in self.messages() if 200 <= each["status"] < 300]
        assert all(each["valid"] for each in taken), taken
        return [json.loads(each["body"]) for each in taken]


@contextlib.contextmanager
def receiver():

    from tests import processes

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        there = Receiver(folder)
        process = subprocess.Popen([sys.executable, "-m", "tests.webhook_receiver", name], cwd=ROOT)
        try:
            processes.wait(lambda: (folder / "port").exists(), 20, "the receiver did not start")
            yield there
        finally:
            processes.stop(process)


def webhook_at(url, there=None, institution=None, **fields):
    """A webhook of an institution that wants every event, and its secret, which the receiver is told."""
    from diagnostics.scans.access import Role
    from diagnostics.webhooks import services
    from diagnostics.webhooks.models import CHOSEN
    from tests.factories import InstitutionFactory, person

    place = institution or InstitutionFactory()
    wanted = {"events": [each.value for each in CHOSEN], **fields}
    hook, secret = services.add_webhook(by=person(Role.ADMINISTRATOR, place), institution=place, url=url, **wanted)
    if there is not None:
        there.knows(secret)
    return hook, secret


if __name__ == "__main__":
    serve(Path(sys.argv[1]))

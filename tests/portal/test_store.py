"""Files in an S3-compatible store, over real HTTP: the environment alone decides it."""

import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from moto.server import ThreadedMotoServer

from tests import processes


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    """The variables of a store that runs here."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_STORAGE_BUCKET_NAME": "scans-of-a-test",
        "AWS_S3_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_S3_REGION_NAME": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "a-secret-word",
    }
    server.stop()


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=processes.ROOT,
        env=processes.environment(**environment),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_bucket_is_made_once(store: dict[str, str]) -> None:
    names = store | {"AWS_STORAGE_BUCKET_NAME": "made-once"}
    assert python("-m", "portal.start.bucket", **names).stdout == "The bucket made-once is made.\n"
    assert python("-m", "portal.start.bucket", **names).stdout == "The bucket made-once was there already.\n"


def test_bucket_of_a_store_that_is_away_ends_in_a_sentence_without_secrets(store: dict[str, str]) -> None:
    done = python("-m", "portal.start.bucket", **store | {"AWS_S3_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert done.returncode == 1
    assert done.stderr.startswith("The bucket scans-of-a-test could not be made")
    assert "a-secret-word" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_files_go_into_the_bucket_and_links_end_after_five_minutes(store: dict[str, str]) -> None:
    python("-m", "portal.start.bucket", **store)
    done = python(
        "-c",
        "import django; django.setup()\n"
        "from django.core.files.base import ContentFile\n"
        "from django.core.files.storage import storages\n"
        "files = storages['default']\n"
        "print(files.save('ab/original', ContentFile(b'bytes')))\n"
        "print(files.open('ab/original').read().decode())\n"
        "print(files.bucket.name, [found.key for found in files.bucket.objects.all()])\n"
        "print(files.url('ab/original'))\n"
        "files.delete('ab/original')\n"
        "print(files.exists('ab/original'))",
        **store,
    )
    assert done.returncode == 0, done.stderr
    name, content, place, link, exists = done.stdout.splitlines()
    assert (name, content, exists) == ("ab/original", "bytes", "False")
    assert place == "scans-of-a-test ['scans/ab/original']"
    assert parse_qs(urlsplit(link).query)["X-Amz-Expires"] == ["300"]

"""Files on disk are whole or absent; with the S3 variables the same code keeps them in a bucket."""

import json
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from django.core.files.base import ContentFile
from moto.server import ThreadedMotoServer

from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from diagnostics.scans.storage import DurableFileSystemStorage
from tests import processes
from tests.factories import InstitutionFactory, person

# Hands in a phantom in a process whose files lie in a bucket, and reads everything back.
HAND_IN = """
import json, sys
import django
django.setup()
from django.contrib.auth import get_user_model
from django.core.files.storage import default_storage, storages
from django.core.files.base import ContentFile
from diagnostics import pipeline
from diagnostics.scans import phantom
by = get_user_model().objects.get(username=sys.argv[1])
data = phantom.as_dicom(phantom.draw(5, side=96), 5)
institution = by.memberships.get().institution
scan = pipeline.submit_scan(by=by, institution=institution, data=data, patient="P-1").scan
again = pipeline.submit_scan(by=by, institution=institution, data=data, patient="P-1")
with default_storage.open(scan.original) as file:
    same = file.read() == data
storages["artifacts"].save("probe", ContentFile(b"weights"))
storages["artifacts"].save("probe", ContentFile(b"weights"))
print(json.dumps({"same": same, "twin": again.created, "class": type(default_storage._wrapped).__name__}))
"""


def test_file_appears_whole_or_not_at_all(tmp_path):
    class Broken(ContentFile):
        def chunks(self, chunk_size=None):
            yield b"half"
            raise OSError("the disk is full")

    storage = DurableFileSystemStorage(location=tmp_path, allow_overwrite=True)
    storage.save("a/b", ContentFile(b"whole"))
    with pytest.raises(OSError, match="full"):
        storage.save("a/b", Broken(b""))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b"]
    assert (tmp_path / "a/b").read_bytes() == b"whole"


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "a/../../outside"])
def test_key_that_leaves_the_folder_is_refused(tmp_path, key):
    from django.core.exceptions import SuspiciousFileOperation

    storage = DurableFileSystemStorage(location=tmp_path / "files", allow_overwrite=True)
    with pytest.raises(SuspiciousFileOperation):
        storage.save(key, ContentFile(b"x"))
    assert not (tmp_path / "outside").exists() and Path("/etc/passwd").read_bytes()[:1] != b"x"


@pytest.mark.django_db(transaction=True)
def test_with_the_s3_variables_files_lie_in_the_bucket():
    """A real HTTP S3 (moto's server), reached through django-storages as in production."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1"}
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="eu-central-1",
        )
        client.create_bucket(Bucket="scans", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        technologist = person(Role.TECHNOLOGIST, InstitutionFactory())
        done = subprocess.run(
            [sys.executable, "-c", HAND_IN, technologist.username],
            cwd=processes.ROOT,
            env=processes.environment(
                AWS_STORAGE_BUCKET_NAME="scans",
                AWS_S3_ENDPOINT_URL=endpoint,
                AWS_S3_REGION_NAME="eu-central-1",
                REDIS_URL="redis://127.0.0.1:1/0",
                **keys,
            ),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout.splitlines()[-1])
        assert said == {"same": True, "twin": False, "class": "S3Storage"}
        stored = {row["Key"] for row in client.list_objects_v2(Bucket="scans")["Contents"]}
        scan = Scan.objects.get()
        assert stored == {f"scans/{key}" for key in (scan.original, scan.pixels, scan.preview)} | {"models/probe"}
    finally:
        server.stop()

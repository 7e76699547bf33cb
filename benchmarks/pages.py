"""The list API against raw values, an upload against bare writing."""

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from rest_framework.test import APIClient

from benchmarks.interleaved import Ratio, compare, seconds
from benchmarks.worklist import FEW, filled
from benchmarks.world import World
from diagnostics.models import Scan
from portal.accounts.models import Scope, issue_token


def ratios(world: World, folder: Path) -> Iterator[Ratio]:
    """Ratios 9 and 11."""
    yield upload(world, folder)
    filled(world, FEW - Scan.objects.count())
    yield list_api(world)


def _ok(response) -> None:  # type: ignore[no-untyped-def]
    assert response.status_code in (200, 201), response.status_code
    # Nothing is left to be drawn later.
    assert not getattr(response, "streaming", False)


def _bearer(world: World) -> APIClient:
    made = issue_token(
        user=world.by, name="bench", scopes=list(Scope.values), expires_at=timezone.now() + timedelta(days=1)
    )
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {made[1]}")
    return client


def list_api(world: World) -> Ratio:
    client = _bearer(world)
    fields = (
        "id", "sha256", "institution__code", "patient__pseudonym", "patient_id", "study_id", "study__accession",
        "study__date", "priority", "format", "width", "height", "created_at", "updated_at", "rejected_code",
        "rejected_reason", "predictions__id", "predictions__state", "predictions__label", "predictions__finding",
        "predictions__probabilities", "predictions__tumour_probability", "predictions__warnings",
        "predictions__model_version__sha256",
    )  # fmt: skip

    def raw() -> None:
        rows = list(Scan.objects.order_by("updated_at", "pk").values(*fields)[:200])
        json.dumps(rows, cls=DjangoJSONEncoder)

    return compare(
        "9",
        "`GET /api/v1/scans/?page_size=200`, permissions, blinding and links included ↔ `.values()` and `json.dumps`",
        at_most=3.0,
        ours=lambda: seconds(lambda: _ok(client.get("/api/v1/scans/", {"page_size": 200}))),
        theirs=lambda: seconds(raw),
        unit="ms a page",
    )


def upload(world: World, folder: Path) -> Ratio:
    client = _bearer(world)
    turn = iter(range(1_000_000))
    pieces = world.images[:32]
    (folder / "bare").mkdir(exist_ok=True)

    def fresh() -> list[bytes]:
        """Files never seen before: bytes behind the end of a picture change its hash only."""
        return [data + next(turn).to_bytes(4, "big") for data in pieces]

    def ours() -> float:
        files = fresh()

        def hand_in() -> None:
            for data in files:
                sent = {"file": SimpleUploadedFile("scan.jpg", data), "patient": "P-1"}
                _ok(client.post("/api/v1/scans/", sent, format="multipart"))

        return seconds(hand_in) / len(files)

    def theirs() -> float:
        files = fresh()

        def bare() -> None:
            for data in files:
                name = hashlib.sha256(data).hexdigest()
                with (folder / "bare" / name).open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())

        return seconds(bare) / len(files)

    return compare(
        "11",
        "upload through the API (decode, three files kept durably, rows, audit) ↔ sha256, write, fsync of one file",
        at_least=0.5,
        ours=ours,
        theirs=theirs,
        unit="ms an upload",
    )

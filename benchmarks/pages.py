"""The worklist at many scans against few, the list API against raw values, an upload against bare writing."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from benchmarks.turns import Ratio, compare, seconds
from benchmarks.world import World
from diagnostics.models import Case, Patient, Prediction, Scan, Study
from diagnostics.predictions.models import PredictionState
from diagnostics.reviews.ordering import place_of
from portal.accounts.models import Scope, issue_token

FEW = 1_000


def ratios(world: World, folder: Path, many: list[int]) -> Iterator[Ratio]:
    """Ratios 7, 9 and 11."""
    yield upload(world, folder)
    small = Path(connection.settings_dict["NAME"])
    _fill(world, FEW - Scan.objects.count())
    yield list_api(world)
    for count in many:
        large = folder / f"with-{count}.sqlite3"
        connection.close()
        shutil.copyfile(small, large)
        _use(large)
        _multiply(world, count)
        yield from worklist(world, small, large, count)
        _use(small)
        large.unlink()


def _use(database: Path) -> None:
    connection.close()
    connection.settings_dict["NAME"] = str(database)


def _fill(world: World, count: int) -> None:
    """Rows of scans with opinions and open cases; half of the cases done."""
    pattern = world.scans[0]
    now = timezone.now()
    first = Patient.objects.count()
    names = [f"B-{first + number}" for number in range(max(1, count // 5))]
    patients = [Patient(institution=world.institution, pseudonym=name) for name in names]
    Patient.objects.bulk_create(patients, batch_size=2000)
    studies = [Study(patient=patient, accession=f"ACC-{patient.pseudonym}") for patient in patients]
    Study.objects.bulk_create(studies, batch_size=2000)
    scans, predictions, cases = [], [], []
    for number in range(count):
        study = studies[number % len(studies)]
        scan = Scan(
            institution=world.institution, patient=study.patient, study=study, sha256=uuid.uuid4().hex * 2,
            size_bytes=1, format="png", width=64, height=64, bits=8, original=pattern.original,
            pixels=pattern.pixels, preview=pattern.preview, fingerprint=b"", source=Scan.Source.API,
            uploaded_by=world.by, priority=number % 3,
        )  # fmt: skip
        scans.append(scan)
        predictions.append(
            Prediction(
                scan=scan, model_version=world.version, state=PredictionState.READY, finished_at=now, label="glioma",
                finding="tumour", probabilities={"no_tumour": 0.1, "glioma": 0.9}, tumour_probability=0.9,
            )
        )  # fmt: skip
        done = number % 2
        cases.append(
            Case(
                scan=scan, institution=world.institution, priority=scan.priority, state="done" if done else "open",
                done_at=now - timedelta(seconds=number) if done else None,
                **place_of(world.institution, scan.priority),
            )
        )  # fmt: skip
    for model, rows in ((Scan, scans), (Prediction, predictions), (Case, cases)):
        model.objects.bulk_create(rows, batch_size=500)


def _multiply(world: World, count: int) -> None:
    """Bring the database to ``count`` scans, in steps that fit into memory."""
    while (left := count - Scan.objects.count()) > 0:
        _fill(world, min(left, 50_000))
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA optimize=0x10002")  # as portal.start does at each start


def worklist(world: World, small: Path, large: Path, count: int) -> Iterator[Ratio]:
    client = Client()
    client.force_login(world.by)
    _use(small)
    other = Client()
    other.force_login(world.by)

    def page(database: Path, asked: Client, query: str) -> float:
        _use(database)
        connection.ensure_connection()
        # Of several in a row, so that opening the file is no part of it.
        asked.get(f"/worklist/{query}")
        return min(seconds(lambda: _ok(asked.get(f"/worklist/{query}"))) for _ in range(3))

    for name, query in (("first page", ""), ("done", "?tab=done"), ("one priority", "?priority=0"),
                        ("analysis ready", "?analysis=ready"), ("a patient", "?patient=B-17")):  # fmt: skip
        yield compare(
            "7",
            f"worklist page, {name}, of {count:,} scans ↔ of {FEW:,}",
            at_most=1.3,
            ours=lambda query=query: page(large, client, query),
            theirs=lambda query=query: page(small, other, query),
            rounds=5,
        )


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

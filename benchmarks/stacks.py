"""Pages and API of whole studies, ten series of a hundred images each: a million images against sixty thousand."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks import clones
from benchmarks.databases import Databases
from benchmarks.interleaved import Ratio, compare, seconds
from benchmarks.world import World
from diagnostics import tasks
from diagnostics.models import Case, Claim, Image, Patient, Prediction, Read, Scan, Series, Study
from diagnostics.reviews.worklist import place_of
from diagnostics.scans.series import Sequence

STUDIES, SERIES, IMAGES = 60, 10, 100  # so many patients that each page is full
FEW = STUDIES * SERIES * IMAGES  # images that are copied
COPIES = 17
MANY = COPIES * FEW
SEQUENCES = list(Sequence)


def ratios(world: World, folder: Path) -> Iterator[Ratio]:
    """Ratio 7, a line an address, and one each for the scheduler's round and for closing."""
    tasks.infer.delay = lambda: None  # no broker runs here
    databases = Databases(folder)
    _pattern(world)
    client = Client()
    client.force_login(world.by)  # in the first database, so that each copy knows the session
    databases.looked_over()
    large = databases.copy("stacks")
    databases.turn_to(large)
    clones.copied(COPIES)
    databases.looked_over()
    assert Image.objects.count() == MANY
    for address in _addresses():
        yield _compared(databases, large, address, partial(_got, client, address), _queries(client, address))
    yield _compared(databases, large, "the scheduler's round", tasks.reconcile.run)
    databases.drop(large)


def _addresses() -> list[str]:
    """The pages that a study goes through; of one row those of the pattern, which are in both databases."""
    scan = Scan.objects.order_by("pk").filter(patient__pseudonym="B-3", cases__state="open").first()
    assert scan is not None
    case = Case.objects.get(scan=scan)
    one = f"/api/v1/scans/{scan.pk}/"
    return [
        "/worklist/", "/worklist/?tab=done", "/worklist/?patient=B", "/scans/", "/history/patients/",
        f"/history/patients/{scan.patient_id}/", f"/cases/{case.pk}/",
        "/api/v1/scans/", one, f"{one}images/", f"{one}images/50/preview/", "/api/v1/studies/",
        f"/api/v1/studies/{scan.study_id}/", "/api/v1/patients/", "/api/v1/cases/?tab=unclaimed",
        "/api/v1/cases/?patient=B",
    ]  # fmt: skip


def _pattern(world: World) -> None:
    """Studies of ten series of a hundred images; two of five series were read."""
    for model in reversed(clones.COPIED[:-1]):
        model._base_manager.all().delete()
    now = timezone.now()
    for number in range(STUDIES):
        at = now - timedelta(days=clones.DAYS * (1 - number / STUDIES))
        patient = Patient.objects.create(institution=world.institution, pseudonym=f"B-{number}")
        study = Study.objects.create(patient=patient, accession=f"ACC-{number}", uid=f"1.2.3.{number}")
        for each in range(SERIES):
            _series(world, study, each, at + timedelta(minutes=each))


def _series(world: World, study: Study, number: int, at: Any) -> None:
    like = world.scans[0]
    place = world.institution
    series = Series.objects.create(
        institution=place, study=study, uid=f"{study.uid}.{number}", number=number, modality="MR",
        sequence=SEQUENCES[number % len(SEQUENCES)], plane="axial", frame_of_reference=f"{study.uid}.0",
        arrival="complete", close_at=at, closed_at=at,
    )  # fmt: skip
    scan = Scan.objects.create(
        institution=place, patient=study.patient, study=study, series=series, image_count=IMAGES,
        sha256=uuid.uuid4().hex * 2, size_bytes=1, format="dicom", width=256, height=256, bits=12,
        original=like.original, pixels=like.pixels, preview=like.preview, fingerprint=like.fingerprint,
        source=Scan.Source.API, uploaded_by=world.by, analysis="ready", geometry={"plane": "axial", "between": 1.0},
    )  # fmt: skip
    Image.objects.bulk_create(
        Image(
            institution=place, scan=scan, index=index, sop_uid=f"{series.uid}.{index}", instance_number=index,
            position=1.0 * index, sha256=uuid.uuid4().hex * 2, size_bytes=1, original=like.original,
            pixels=like.pixels, preview=like.preview, width=256, height=256, bits=12,
            facts={"position": [0.0, 0.0, 1.0 * index], "cosines": [1, 0, 0, 0, 1, 0], "spacing": [1.0, 1.0]},
        )
        for index in range(IMAGES)
    )  # fmt: skip
    label = clones.LABELS[number % 4]
    Prediction.objects.create(
        scan=scan, model_version=world.version, finished_at=at, state="ready", label=label,
        finding="no_tumour" if label == "no_tumour" else "tumour", tumour_probability=0.9, peak=50,
        profile=[0.5] * IMAGES, probabilities={name: 0.7 if name == label else 0.1 for name in clones.LABELS},
    )  # fmt: skip
    done = number % 5 < 2
    case = Case.objects.create(
        scan=scan, institution=place, priority=scan.priority, analysis="ready", state="done" if done else "open",
        done_at=at if done else None, **place_of(place, scan.priority),
    )  # fmt: skip
    if done:
        claim = Claim.objects.create(case=case, holder=world.by, expires_at=at, released_at=at, release="done")
        Read.objects.create(
            case=case, claim=claim, reader=world.by, kind="final", mode="blind_first", label=label,
            certainty="certain", may_train=True,
        )  # fmt: skip
    Scan.objects.filter(pk=scan.pk).update(created_at=at, updated_at=at)
    Case.objects.filter(pk=case.pk).update(opened_at=at, updated_at=at, due_at=at + timedelta(days=2))


def _got(client: Client, address: str) -> None:
    response = client.get(address)
    if response.streaming:
        b"".join(response)
    assert response.status_code == 200, (address, response.status_code)


def _queries(client: Client, address: str) -> int:
    _got(client, address)
    with CaptureQueriesContext(connection) as asked:
        _got(client, address)
    return len(asked)


def _compared(databases: Databases, large: str, what: str, act: Any, queries: int = 0) -> Ratio:
    def at(name: str) -> float:
        databases.turn_to(name)
        act()  # opening the database is no part of it
        return min(seconds(act) for _ in range(3))

    asked = f", {queries} queries" if queries else ""
    what = "/".join("ID" if len(part) == 36 else part for part in what.split("/"))
    return compare(
        "7",
        f"{what} at {MANY:,} images ↔ at {FEW:,}{asked}",
        at_most=1.3,
        ours=lambda: at(large),
        theirs=lambda: at(databases.first),
        rounds=5,
    )

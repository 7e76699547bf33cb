"""How long an installation with many scans waits for the migrations to series.

    python -m benchmarks.upgrade [--scans 100000] [--dicom 10000] [--database postgres://…/postgres] [--out FILE]

The rows are written as the version before had them, ten scans a patient. Of DICOM files each has an original of its
own in the storage, which the migration reads; pictures have none, for it looks at none.
"""

from __future__ import annotations

import argparse
import atexit
import os
import platform
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.__main__ import _database, said, use
from benchmarks.databases import drop_own, own_on

BEFORE = "0034_sides_of_the_patient"
OF_SERIES = ("0035_series", "0036_each_scan_has_an_image", "0037_studies_lie_in_an_institution")
A_PATIENT = 10
AT_ONCE = 5_000


def main() -> None:
    """Measure, print, and write where asked to."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--scans", type=int, default=100_000)
    ask.add_argument("--dicom", type=int, default=10_000, help="of the scans")
    ask.add_argument("--database", default="", help="a PostgreSQL server to make a database on")
    ask.add_argument("--out", type=Path)
    asked = ask.parse_args()
    address = ""
    if asked.database:
        address = own_on(asked.database)
        atexit.register(drop_own, address)
    with tempfile.TemporaryDirectory(prefix="overread-bench-") as folder:
        use(Path(folder), address)
        lines = list(measured(asked.scans, asked.dicom))
    if asked.out:
        asked.out.write_text("\n".join(lines) + "\n")


def measured(scans: int, dicom: int) -> Iterator[str]:
    """The lines of the answer."""
    from django.core.management import call_command

    call_command("migrate", "diagnostics", BEFORE, verbosity=0)
    _fill(scans, dicom)
    yield from said(_head(scans, dicom))
    for name in OF_SERIES:
        began = time.perf_counter()
        call_command("migrate", "diagnostics", name, verbosity=0)
        yield from said([f"| {name} | {time.perf_counter() - began:.1f} |"])
    began = time.perf_counter()
    call_command("migrate", verbosity=0)
    yield from said([f"| those after them | {time.perf_counter() - began:.1f} |", ""])
    from diagnostics.models import Image, Scan

    images, series = Image.objects.count(), Scan.objects.exclude(series=None).count()
    assert (images, series) == (scans, dicom)
    yield from said([f"Afterwards {images:,} images, {series:,} scans with a series."])


def _fill(scans: int, dicom: int) -> None:
    """Rows as they were then, and the originals of the DICOM files."""
    from django.db import connection, transaction
    from django.db.migrations.executor import MigrationExecutor

    loader = MigrationExecutor(connection).loader
    then = loader.project_state([("diagnostics", BEFORE), *_leaves(loader)]).apps
    place = then.get_model("diagnostics", "Institution").objects.create(
        code="bench", code_folded="bench", name="Bench"
    )
    by = then.get_model("accounts", "User").objects.create(username="bench")
    for start in range(0, scans, AT_ONCE):
        with transaction.atomic():
            _some(then, place, by, range(start, min(start + AT_ONCE, scans)), dicom)


def _leaves(loader: Any) -> list[tuple[str, str]]:
    return [node for node in loader.graph.leaf_nodes() if node[0] != "diagnostics"]


def _some(then: Any, place: Any, by: Any, numbers: range, dicom: int) -> None:
    Patient, Study, Scan = (then.get_model("diagnostics", name) for name in ("Patient", "Study", "Scan"))
    first = numbers.start // A_PATIENT
    names = [f"B-{n}" for n in range(first, first + len(numbers) // A_PATIENT)]
    patients = [Patient(institution=place, pseudonym=name, pseudonym_folded=name.lower()) for name in names]
    studies = [Study(patient=each, accession=each.pseudonym, accession_folded=each.pseudonym) for each in patients]
    Patient.objects.bulk_create(patients)
    Study.objects.bulk_create(studies)
    Scan.objects.bulk_create(
        _scan(Scan, place, by, studies[(n - numbers.start) // A_PATIENT], n, is_dicom=n < dicom) for n in numbers
    )


def _scan(Scan: Any, place: Any, by: Any, study: Any, number: int, *, is_dicom: bool) -> Any:
    sha256 = uuid.uuid4().hex * 2
    folder = f"{place.pk}/{sha256[:2]}/{sha256}"
    if is_dicom:
        _store(f"{folder}/original", number)
    return Scan(
        institution=place, patient=study.patient, study=study, sha256=sha256, size_bytes=1,
        format="dicom" if is_dicom else "png", width=64, height=64, bits=8, original=f"{folder}/original",
        pixels=f"{folder}/pixels", preview=f"{folder}/preview", fingerprint=b"", source="api", uploaded_by=by,
        analysis="ready",
    )  # fmt: skip


def _store(key: str, number: int) -> None:
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage

    from tests.dicom_images import slice_of

    data = slice_of(number, study=number // A_PATIENT, side=64)
    default_storage.save(key, ContentFile(data))


def _head(scans: int, dicom: int) -> list[str]:
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        "# The upgrade to series",
        "",
        f"Written by `python -m benchmarks.upgrade --scans {scans} --dicom {dicom}`, "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {_database()}; "
        f"load average at the start {load}.",
        "",
        f"{scans:,} scans, {dicom:,} of them DICOM files of 64 × 64 whose headers are read from a local disk.",
        "",
        "| migration | seconds |",
        "|---|---|",
    ]


if __name__ == "__main__":
    main()

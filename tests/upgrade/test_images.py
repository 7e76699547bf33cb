"""A database of before series: each scan gets its image, DICOM files say who they are, the API answers as it did."""

import json
import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.utils import timezone

from diagnostics.reviews.models import Claim
from diagnostics.scans.models import Scan, Study
from diagnostics.scans.series import Image, Series
from portal.accounts.models import User
from tests import databases
from tests.dicom_images import slice_of, uid
from tests.upgrade.keep import VIEWERS
from tests.upgrade.test_upgrade import KEPT, fill, store_files

BEFORE = json.loads(next(path for path in KEPT if path.stem == "kept_0034").read_text())
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.")


class Before:
    """The database of then, to put DICOM scans into as that version did."""

    def __init__(self, models: Any) -> None:
        self.models = models
        self.place, self.other = models.get_model("diagnostics", "Institution").objects.order_by("pk")[:2]
        self.by = models.get_model("accounts", "User").objects.order_by("pk").first()
        self.made: dict[str, uuid.UUID] = {}

    def study(self, name: str, place: Any = None) -> Any:
        place = place or self.place
        patient = self.models.get_model("diagnostics", "Patient").objects.create(
            institution=place, pseudonym=name, pseudonym_folded=name.lower()
        )
        return self.models.get_model("diagnostics", "Study").objects.create(patient=patient)

    def scan(self, name: str, study: Any, data: bytes | None, **more: Any) -> None:
        """A DICOM scan whose original holds ``data``; None: the file is gone."""
        key = f"{study.patient.institution_id}/old/{name}"
        if data is not None:
            for what in ("original", "pixels", "preview"):
                default_storage.save(f"{key}/{what}", ContentFile(data))
        row = self.models.get_model("diagnostics", "Scan").objects.create(
            institution=study.patient.institution, patient=study.patient, study=study, sha256=uuid.uuid4().hex * 2,
            size_bytes=9, format="dicom", width=64, height=64, bits=12, original=f"{key}/original",
            pixels=f"{key}/pixels", preview=f"{key}/preview", fingerprint=b"", source="api", uploaded_by=self.by,
            **more,
        )  # fmt: skip
        self.made[name] = row.pk


def dicom_of_then(before: Before) -> None:
    """Files that belong together, and such as contradict one another."""
    first, second = before.study("D-1"), before.study("D-2")
    before.scan("one", first, slice_of(1))
    before.scan("its neighbour", first, slice_of(2, SeriesNumber=-4))
    before.scan("same instance, other content", first, slice_of(3, sop=uid("study", "series", "image", 1)))
    before.scan("another series", first, slice_of(4, series="flat"))
    before.scan("same study, another patient", second, slice_of(5))
    before.scan(
        "second study, same series",
        before.study("D-3"),
        slice_of(6, study="later", SeriesInstanceUID=uid("study", "series")),
    )
    before.scan("gone", first, None)
    before.scan("no DICOM at all", first, b"once upon a time")
    before.scan("without names", first, slice_of(7, StudyInstanceUID="", SeriesInstanceUID="", sop="1.2.3"))
    before.scan("names that are none", first, slice_of(8, StudyInstanceUID="1.2..3", SeriesInstanceUID="x"))
    before.scan("many frames", first, slice_of(9), frames=20)
    before.scan("elsewhere", before.study("D-1", before.other), slice_of(1))


@pytest.fixture(scope="module")
def old(django_db_setup, django_db_blocker) -> Iterator[Before]:
    """The kept database with DICOM scans in it, migrated to now."""
    with django_db_blocker.unblock(), databases.scratch():
        graph = MigrationExecutor(connection).loader.graph
        leaves = [node for node in graph.leaf_nodes() if node[0] not in BEFORE["at"]]
        models = databases.migrated_to((*leaves, *BEFORE["at"].items()))
        ContentType.objects.get_for_model(User)
        fill(models, BEFORE["rows"])
        before = Before(models)
        dicom_of_then(before)
        before.scans = list(models.get_model("diagnostics", "Scan").objects.values())
        store_files(BEFORE["rows"])
        call_command("migrate", interactive=False, verbosity=0)
        yield before


def test_each_scan_has_one_image_with_its_files(old):
    assert len(old.scans) == Image.objects.count() == Scan.objects.count() > 20
    for scan in old.scans:
        image = Image.objects.get(scan=scan["id"])
        assert (image.index, image.frame, image.revision) == (0, 0, 1)
        for name in ("institution_id", "sha256", "size_bytes", "original", "pixels", "preview", "width", "height"):
            assert getattr(image, name) == scan[name], name
    assert set(Scan.objects.values_list("arrival", "revision", "image_count", "not_analysed")) == {
        ("complete", 1, 1, "")
    }


def of(old: Before, name: str) -> tuple[str, str, str]:
    """Study, series and instance of a scan that was here, as it has them now."""
    scan = Scan.objects.select_related("study", "series").get(pk=old.made[name])
    return scan.study.uid, scan.series.uid if scan.series else "", scan.images.get().sop_uid


@pytest.mark.parametrize(
    ("name", "series", "instance"),
    [
        ("one", uid("study", "series"), uid("study", "series", "image", 1)),
        ("its neighbour", uid("study", "series"), uid("study", "series", "image", 2)),
        ("same instance, other content", uid("study", "series"), ""),
        ("another series", uid("study", "flat"), uid("study", "flat", "image", 4)),
        ("gone", "", ""),
        ("no DICOM at all", "", ""),
        ("without names", "", "1.2.3"),
        ("names that are none", "", uid("study", "series", "image", 8)),
        ("many frames", uid("study", "series"), uid("study", "series", "image", 9)),
    ],
)
def test_dicom_file_says_which_series_and_instance_it_is(old, name, series, instance):
    assert of(old, name) == (uid("study"), series, instance)


def test_study_stays_with_the_patient_who_had_it_first(old):
    assert of(old, "same study, another patient") == ("", "", uid("study", "series", "image", 5))
    assert Study.objects.filter(institution=old.place.pk, uid=uid("study")).count() == 1


def test_series_stays_in_the_study_that_had_it_first(old):
    assert of(old, "second study, same series") == (uid("later"), "", uid("later", "series", "image", 6))
    assert Series.objects.get(institution=old.place.pk, uid=uid("study", "series")).study.uid == uid("study")


def test_other_institution_has_the_same_names_for_itself(old):
    assert of(old, "elsewhere") == (uid("study"), uid("study", "series"), uid("study", "series", "image", 1))
    assert Series.objects.filter(uid=uid("study", "series")).count() == 2


def test_series_of_then_are_closed_and_a_strange_number_is_left_out(old):
    assert set(Series.objects.values_list("arrival", flat=True)) == {"complete"}
    assert not Series.objects.filter(closed_at=None).exists()
    numbers = Image.objects.filter(scan__in=[old.made["one"], old.made["many frames"]])
    assert sorted(numbers.values_list("instance_number", flat=True)) == [991, 999]


def differences(was: Any, now: Any, place: str) -> list[str]:
    """What is gone or another since then; what came beside it is none of it. Times were kept to the millisecond."""
    if isinstance(was, dict) and isinstance(now, dict):
        # Being told of an opinion changes a row, and who asked then had seen it in a list before.
        names = was.keys() - {"updated_at"}
        return [each for name in names for each in differences(was[name], now.get(name, "gone"), f"{place} {name}")]
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        return [each for n, old in enumerate(was) for each in differences(old, now[n], f"{place} {n}")]
    if isinstance(was, str) and isinstance(now, str) and TIME.match(was):
        was, now = was[:23], now[:23]
    return [] if was == now else [f"{place}: {was!r} was, {now!r} is"]


def test_api_says_of_each_row_what_it_said(old, monkeypatch):
    # Some claims were running when the answers were kept; by the clock of today they would be over.
    kept_at = Claim.objects.order_by("claimed_at").last().claimed_at + timedelta(seconds=1)
    monkeypatch.setattr(timezone, "now", lambda: kept_at)
    differing = []
    for viewer in VIEWERS:  # in turn: being told of an opinion is an act
        client = Client(SERVER_NAME="localhost")
        client.force_login(User.objects.get(pk=BEFORE["people"][viewer]))
        said = BEFORE["answers"][viewer]
        assert len(said) > 30
        for address, was in said.items():
            response = client.get(address)
            assert response.status_code == 200, (address, response.content)
            differing += differences(was, response.json(), f"{viewer} {address}")
    assert differing == [], "\n".join(differing)

"""Regions that readers have outlined are offered beside the label, and nobody else's, and nothing more."""

import json
import uuid

import pytest

from diagnostics.datasets import services
from diagnostics.scans.access import Role
from tests.diagnostics.test_datasets import enough, own_files  # noqa: F401 - fixture
from tests.factories import AnnotationFactory, CaseFactory, ReadFactory, person

pytestmark = pytest.mark.django_db
BOX = [[10.0, 10.0], [30.0, 20.0]]


def lines(version):
    return {row["scan"]: row for row in map(json.loads, services.manifest(version).decode().splitlines())}


@pytest.fixture
def read(north):
    scans = enough(north)
    reader = person(Role.RADIOLOGIST, north)
    case = CaseFactory(scan=scans[0], done=True)
    return ReadFactory(case=case, reader=reader, final=True, label="tumour", may_train=True)


def test_region_of_the_label_s_reader_stands_in_the_scan_s_line(north, keeper, read):
    mark = uuid.uuid4()
    for revision, points in enumerate(([[1, 1], [2, 2]], BOX), start=1):
        AnnotationFactory(
            case=read.case, author=read.reader, kind="ellipse", mark=mark, revision=revision, points=points, text="Rim"
        )
    version = services.freeze(by=keeper, institutions=[north])
    rows = lines(version)
    wanted = [{"mark": str(mark), "revision": 2, "kind": "ellipse", "points": BOX}]
    assert rows.pop(str(read.case.scan_id))["regions"] == wanted
    assert not any("regions" in row for row in rows.values())
    assert version.counts["regions"] == 1
    assert b"Rim" not in services.manifest(version)


def test_what_is_no_region_or_not_the_reader_s_or_withdrawn_stays_out(north, keeper, read):
    AnnotationFactory(case=read.case, author=read.reader, kind="length")
    AnnotationFactory(case=read.case, kind="rectangle", points=BOX)
    gone = AnnotationFactory(case=read.case, author=read.reader, kind="rectangle", points=BOX)
    AnnotationFactory(
        case=read.case, author=read.reader, kind="rectangle", points=BOX, mark=gone.mark, revision=2, withdrawn=True
    )
    version = services.freeze(by=keeper, institutions=[north])
    assert not any("regions" in row for row in lines(version).values())
    assert version.counts["regions"] == 0


def test_region_of_a_read_that_may_not_train_stays_out(north, keeper, read):
    AnnotationFactory(case=read.case, author=read.reader, kind="rectangle", points=BOX)
    ReadFactory(
        case=read.case, reader=read.reader, claim=read.claim, final=True, revision=2, label="tumour", may_train=False
    )
    version = services.freeze(by=keeper, institutions=[north])
    assert str(read.case.scan_id) not in lines(version)
    assert version.counts["regions"] == 0


def test_region_drawn_since_makes_another_version(north, keeper, read):
    first = services.freeze(by=keeper, institutions=[north])
    assert services.plan(by=keeper, institutions=[north]).problem
    AnnotationFactory(case=read.case, author=read.reader, kind="freehand", points=[*BOX, [10.0, 20.0]])
    second = services.freeze(by=keeper, institutions=[north])
    assert second.sha256 != first.sha256
    assert set(first.items.values_list("scan", "label")) == set(second.items.values_list("scan", "label"))

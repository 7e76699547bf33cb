"""A candidate scan by scan: cells, changed opinions and subgroups, of the scans alone whose opinion one may know."""

import pytest

from diagnostics.models import TestedScan
from diagnostics.scans.access import Role
from diagnostics.training import tested_queries as queries
from tests.factories import CaseFactory, InstitutionFactory, ModelVersionFactory, ScanFactory, live_model, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def keeper(place):
    return person(Role.DATA_MANAGER, place)


def row_of(version, scan, truth, label, live_label, p=0.7):
    return TestedScan.objects.create(
        version=version,
        scan=scan,
        truth=truth,
        label=label,
        tumour_probability=p,
        live=live_model(),
        live_label=live_label,
        live_tumour_probability=0.4,
    )


@pytest.fixture
def version(place):
    made = ModelVersionFactory()
    for n, (truth, label, live_label) in enumerate(
        [
            ("glioma", "tumour", "tumour"),
            ("tumour", "no_tumour", "tumour"),
            ("no_tumour", "no_tumour", "tumour"),
            ("no_tumour", "tumour", "no_tumour"),
        ]
    ):
        row_of(made, ScanFactory(institution=place, seed=n, width=600 if n % 2 else 200), truth, label, live_label)
    return made


def test_cell_opens_its_scans_and_no_others(keeper, version):
    assert [row.truth for row in queries.behind_cell(keeper, version, "tumour", "tumour")] == ["glioma"]
    assert queries.behind_cell(keeper, version, "no_tumour", "tumour").count() == 1
    assert queries.behind_cell(keeper, version, "glioma", "no_tumour").count() == 0


def test_changed_are_those_of_which_the_two_say_different_things(keeper, version):
    assert {(row.label, row.live_label) for row in queries.changed(keeper, version)} == {
        ("no_tumour", "tumour"),
        ("tumour", "no_tumour"),
    }
    assert queries.changed(keeper, version).count() == 3


def test_subgroups_count_both_models_and_warn_where_few(keeper, version):
    rows = {row.name: row for row in queries.subgroups(keeper, version)}
    small, large = rows["under 512 pixels wide"], rows["512 pixels or more"]
    assert (small.n, small.mine.value, small.live.value) == (2, 1.0, 0.5)
    assert (large.n, large.mine.value, large.live.value) == (2, 0.0, 1.0)
    assert small.few and small.mine.low < 1.0


def test_foreign_and_blinded_scans_are_neither_listed_nor_counted(keeper, version, place):
    other = row_of(version, ScanFactory(), "glioma", "tumour", "no_tumour")
    assert other not in queries.tested_for(keeper, version)
    both = person(Role.DATA_MANAGER, place)
    both.memberships.create(institution=place, role=Role.RADIOLOGIST)
    for row in TestedScan.objects.filter(version=version, scan__institution=place):
        CaseFactory(scan=row.scan)
    assert queries.tested_for(both, version).count() == 0, "whoever may still read them stays blind"
    assert queries.tested_for(keeper, version).count() == 4

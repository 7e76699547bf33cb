"""A control case that waits looks, to whoever may read it, like every other case: two worlds, one set of bytes.

The same cases are controls in one world and ordinary ones in the other (as in ``test_blinding_everywhere``).
"""

import pytest
from django.db import transaction

from diagnostics.models import Case, Control, Patient, ShadowOpinion
from tests.factories import ScanFactory
from tests.transactions import around

from . import test_blinding_everywhere as everywhere
from .blind_walk import Asked, Walk
from .world import World

world = everywhere.world  # the fixture
READERS = ("radiologist", "adjudicator", "reader who manages")


def as_controls(world: World, source_id: object, *words: str) -> None:
    """Make controls of some cases of the world."""
    others = Case.objects.filter(beside_it__isnull=True).exclude(pk__in=[world.rows[word] for word in words])
    for word, beside in zip(words, others, strict=False):
        case = Case.objects.get(pk=world.rows[word])
        Case.objects.filter(pk=case.pk).update(control=True)
        Patient.objects.filter(scans=case.scan_id).update(is_synthetic=True)
        Control.objects.create(
            institution=case.institution, beside=beside, case=case, source_id=source_id, truth="glioma"
        )


def told_apart(world: World, viewpoint: str, asked: list[Asked] | None) -> tuple[list[str], int]:
    """The requests by which ``viewpoint`` can tell the two worlds apart, and how many there were."""
    first, second = Walk(world, viewpoint), Walk(world, viewpoint)
    home = Case.objects.get(pk=world.rows["case"]).institution
    source = ScanFactory(institution=home, reference_label="glioma")
    ShadowOpinion.objects.create(  # so that each address of the admin has a row
        scan=source,
        model_version_id=world.rows["model"],
        label="glioma",
        finding="tumour",
        probabilities={"glioma": 1.0},
        tumour_probability=0.9,
        weights_sha256="0" * 64,
    )
    with everywhere.ids_drawn_alike():
        first.again(asked) if asked else first.everything(deep=False)
    with around():
        as_controls(world, source.pk, "case", "held")
        with everywhere.ids_drawn_alike():
            second.again(list(first.answers))
        transaction.set_rollback(True)
    return [str(each) for each, answer in first.answers.items() if second.answers[each] != answer], len(first.answers)


def pages(world: World) -> list[Asked]:
    """Where the cases stand, and the acts of reading them."""
    rows = world.rows
    case, held, scan, patient = rows["case"], rows["held"], rows["scan"], rows["patient"]
    asked = [f"/worklist/?tab={tab}" for tab in ("mine", "unclaimed", "others", "done")]
    asked += [f"/cases/{case}/", f"/cases/{held}/", f"/cases/files/{scan}/pixels", f"/scans/{scan}/", "/scans/"]
    asked += [f"/history/patients/{patient}/", "/history/patients/", "/history/my-reads/", "/lab/controls/"]
    api = ["cases/", f"cases/{case}/", f"cases/{held}/", "reads/", "scans/", f"scans/{scan}/", "patients/"]
    asked += [f"/api/v1/{path}" for path in (*api, "predictions/", "metrics/controls/")]
    acts = [
        Asked("POST", f"/worklist/{case}/claim/", name="worklist:claim"),
        Asked("POST", f"/cases/{held}/blind/", name="reading:blind"),
        Asked("POST", f"/cases/{held}/second-opinion/", name="reading:second-opinion"),
    ]
    return [*(Asked("GET", address) for address in asked), *acts]


@pytest.mark.parametrize("viewpoint", READERS)
def test_a_control_that_waits_is_a_case_like_any_other(world, viewpoint):
    leaks, _count = told_apart(world, viewpoint, pages(world))
    assert leaks == []


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("viewpoint", READERS)
def test_a_control_that_waits_is_a_case_like_any_other_at_every_address(world, viewpoint, capsys):
    leaks, count = told_apart(world, viewpoint, None)
    with capsys.disabled():
        print(f"\n{viewpoint}: {count} requests in each world, {len(leaks)} leaks")
    assert leaks == []

"""Which scans to label next: in the order that was asked for, a tenth at random, and to nobody who reads them."""

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from diagnostics.models import ModelVersion
from diagnostics.monitoring import campaign
from diagnostics.registry.models import ModelState
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from diagnostics.shadow.models import ShadowOpinion
from tests.diagnostics.test_datasets import look, near
from tests.diagnostics.test_monitoring import analysed
from tests.factories import CaseFactory, InstitutionFactory, ModelVersionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(north):
    """Forty scans that wait, the first the surest."""
    said = analysed(ScanFactory(institution=north), np.linspace(0.99, 0.51, 40).tolist())
    for each in said:
        CaseFactory(scan=each.scan)
    return said


def test_the_unsure_come_first_but_for_a_tenth(keeper, waiting):
    found = campaign.next_to_label(keeper, "uncertainty", count=20)
    unsure = {each.scan_id for each in waiting[20:]}
    assert len({each.scan for each in found}) == 20
    assert sum(each.scan in unsure for each in found) >= 18
    assert [each.scan for each in found] == [
        each.scan for each in campaign.next_to_label(keeper, "uncertainty", count=20)
    ]


def test_disagreement_needs_a_challenger_and_finds_where_it_differs(keeper, waiting):
    with pytest.raises(campaign.NoOrder, match="no challenger"):
        campaign.next_to_label(keeper, "disagreement")
    challenger = ModelVersionFactory(state=ModelState.CHALLENGER, challenged_at=timezone.now())
    for number, each in enumerate(waiting):
        p = 0.02 if number == 3 else each.tumour_probability
        ShadowOpinion.objects.create(
            scan=each.scan,
            model_version=challenger,
            label="tumour",
            finding="tumour",
            probabilities={"tumour": p, "no_tumour": 1 - p},
            tumour_probability=p,
            weights_sha256=challenger.sha256,
        )
    found = campaign.next_to_label(keeper, "disagreement", count=10)
    assert waiting[3].scan_id in [each.scan for each in found][:2]


def test_diversity_does_not_choose_the_same_head_twice(keeper, waiting):
    for number, each in enumerate(waiting):
        Scan.objects.filter(pk=each.scan_id).update(
            fingerprint=look(number) if number < 5 else near(7, 1.0 + number / 9)
        )
    found = campaign.next_to_label(keeper, "diversity", count=6)
    unlike = {each.scan_id for each in waiting[:5]}
    assert len(unlike & {each.scan for each in found}) >= 4


def test_whoever_reads_there_and_strangers_get_no_list(client, north, keeper, waiting):
    assert campaign.next_to_label(person(Role.DATA_MANAGER, InstitutionFactory()), "uncertainty") == []
    client.force_login(keeper)
    page = client.get(reverse("lab:next-labels"))
    assert len(page.context["rows"]) == 40
    assert '<option value="50" selected>' in page.content.decode(), "the form says how many the list holds at most"
    assert len(client.get("/api/v1/metrics/next-labels/?count=7").json()["results"]) == 7
    keeper.memberships.create(institution=north, role=Role.RADIOLOGIST)
    assert client.get(reverse("lab:next-labels")).status_code == 403
    assert client.get("/api/v1/metrics/next-labels/").status_code == 403


def test_without_a_model_in_use_it_says_so(keeper, waiting):
    ModelVersion.objects.update(state=ModelState.RETIRED)
    with pytest.raises(campaign.NoOrder, match="No model is live"):
        campaign.next_to_label(keeper, "random")

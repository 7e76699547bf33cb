"""The challenger scores live cases where nobody sees it, after everybody else, and is compared with the live model."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.urls import reverse

from diagnostics.models import Prediction, ShadowOpinion
from diagnostics.registry import services as registry
from diagnostics.reviews.models import Label
from diagnostics.scans import phantom
from diagnostics.scans.access import Role
from diagnostics.shadow import queries, services
from tests.diagnostics.test_stand_in import another
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ReadFactory, ScanFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def keeper(place):
    return person(Role.DATA_MANAGER, place)


@pytest.fixture
def pair(tmp_path, keeper):
    live = registry.install_bundled_model(settings.BUNDLED_MODEL)
    return live, registry.challenge(by=keeper, version=another(tmp_path, "challenger"))


@pytest.fixture
def scoring(monkeypatch):
    from diagnostics.predictions import inference
    from diagnostics.shadow import scoring

    monkeypatch.setattr(inference, "_LOADED", type(inference._LOADED)())
    monkeypatch.setattr(scoring.os, "nice", lambda more: scoring.NICENESS)
    return scoring


def scan_of(place, seed=1):
    data = phantom.as_png(phantom.draw(seed, phantom.Lesion(0.6, 0.4, 0.08)))
    return ScanFactory(data=data, institution=place)


def shadowed(scan, version, label="tumour"):
    """A word of the challenger that nobody computed."""
    return ShadowOpinion.objects.create(
        scan=scan,
        model_version=version,
        label=label,
        finding="no_tumour" if label == "no_tumour" else "tumour",
        probabilities={"no_tumour": 0.25, "tumour": 0.75},
        tumour_probability=0.75,
        weights_sha256=version.sha256,
    )


def test_challenger_scores_what_the_live_model_has_scored_since_and_nothing_twice(pair, scoring, place):
    live, challenger = pair
    before = PredictionFactory(
        scan=scan_of(place, 1), model_version=live, finished_at=challenger.challenged_at - timedelta(days=1)
    )
    since = PredictionFactory(scan=scan_of(place, 2), model_version=live)
    assert services.anything_due()
    assert scoring.score_waiting() == 1
    row = ShadowOpinion.objects.get()
    assert (row.scan, row.model_version, row.weights_sha256) == (since.scan, challenger, challenger.sha256)
    assert abs(sum(row.probabilities.values()) - 1) < 1e-4
    assert not services.anything_due() and scoring.score_waiting() == 0
    assert Prediction.objects.filter(scan__in=[before.scan, since.scan]).count() == 2, "no prediction of its own"


def test_challenger_steps_aside_while_a_scan_waits(pair, scoring, place):
    live, _challenger = pair
    PredictionFactory(scan=scan_of(place, 1), model_version=live)
    waiting = PredictionFactory(scan=scan_of(place, 2), model_version=live, queued=True)
    assert scoring.score_waiting() == 0
    Prediction.objects.filter(pk=waiting.pk).delete()
    assert scoring.score_waiting() == 1


def test_challenger_leaves_a_reason_where_it_cannot_look(pair, scoring, place):
    from django.core.files.storage import default_storage

    scan = scan_of(place)
    PredictionFactory(scan=scan, model_version=pair[0])
    default_storage.delete(scan.original)
    scoring.score_waiting()
    assert ShadowOpinion.objects.get().failure == "The stored image is missing."


def test_comparison_counts_agreement_and_accuracy_on_read_cases(pair, place, keeper):
    live, challenger = pair
    for seed, (old, new, read) in enumerate(
        [
            ("tumour", "tumour", Label.TUMOUR),
            ("no_tumour", "tumour", Label.TUMOUR),
            ("no_tumour", "tumour", Label.NO_TUMOUR),
            ("no_tumour", "glioma", Label.GLIOMA),
            ("tumour", "tumour", None),
            ("tumour", "tumour", Label.NOT_ASSESSABLE),
        ]
    ):
        scan = ScanFactory(institution=place, seed=seed)
        PredictionFactory(scan=scan, model_version=live, p=0.9 if old == "tumour" else 0.1)
        shadowed(scan, challenger, new)
        if read is not None:
            ReadFactory(case=CaseFactory(scan=scan, done=True), final=True, label=read)
    found = queries.beside_live(keeper, challenger, live)
    assert (found.agreement.hits, found.agreement.n) == (3, 6)
    assert (found.live.hits, found.challenger.hits, found.challenger.n) == (2, 3, 4)
    assert found.difference.value == pytest.approx(0.25) and found.difference.low < 0.25 < found.difference.high
    assert {(row.live, row.challenger, row.read) for row in found.apart} == {
        ("no_tumour", "tumour", "tumour"),
        ("no_tumour", "tumour", "no_tumour"),
        ("no_tumour", "glioma", "glioma"),
    }
    assert not found.enough


def test_comparison_leaves_out_what_the_viewer_may_not_know(pair, place):
    live, challenger = pair
    ours, theirs = ScanFactory(institution=place), ScanFactory()
    for scan in (ours, theirs):
        PredictionFactory(scan=scan, model_version=live)
        shadowed(scan, challenger)
        CaseFactory(scan=scan)
    manager = person(Role.DATA_MANAGER, place)
    assert queries.beside_live(manager, challenger, live).agreement.n == 1
    both = person(Role.DATA_MANAGER, place)
    both.memberships.create(institution=place, role=Role.RADIOLOGIST)
    assert queries.beside_live(both, challenger, live).agreement.n == 0, "whoever reads here stays blind"


def test_reader_meets_the_challenger_nowhere(pair, place, client):
    """Its word is that of no opinion: not on the worklist, the case, the scan, the history, nor in the API."""
    live, challenger = pair
    scan = ScanFactory(institution=place)
    PredictionFactory(scan=scan, model_version=live, p=0.9)
    shadowed(scan, challenger, "no_tumour")
    case = CaseFactory(scan=scan, done=True)
    reader = person(Role.RADIOLOGIST, place)
    ReadFactory(case=case, reader=reader, final=True)
    client.force_login(reader)
    for page in (
        reverse("worklist:list") + "?tab=done",
        reverse("reading:case", args=[case.pk]),
        reverse("uploads:scan", args=[scan.pk]),
        reverse("history:patient", args=[scan.patient_id]),
        reverse("history:my-reads"),
        reverse("api:prediction-list"),
        reverse("api:case-detail", args=[case.pk]),
        reverse("api:scan-detail", args=[scan.pk]),
    ):
        answer = client.get(page)
        assert answer.status_code == 200, page
        said = answer.content.decode()
        assert "challenger" not in said.lower() and "0.75" not in said and "75 %" not in said, page
    assert client.get(reverse("api:prediction-list")).json()["results"][0]["model_version"]["number"] == live.number

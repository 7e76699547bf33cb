"""The numbers of the monitor against counts by hand, what opens them, who may look, and when an alert is raised."""

import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from diagnostics.models import Alert, AlertRule, AuditEvent, Prediction
from diagnostics.monitoring import numbers, services
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.models import Scan
from tests.factories import (
    CaseFactory,
    ClaimFactory,
    InstitutionFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    live_model,
    person,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def template(north):
    return ScanFactory(institution=north)


def scans(template, count, **fields):
    """Many scans that cost no image."""
    kept = {
        field.attname: getattr(template, field.attname)
        for field in Scan._meta.fields
        if field.name not in ("id", "sha256", *fields)
    }
    return Scan.objects.bulk_create(Scan(**kept, **fields, sha256=uuid.uuid4().hex * 2) for _ in range(count))


def analysed(template, probabilities, **fields):
    """Finished opinions of the live model, oldest first."""
    live, now = live_model(), timezone.now()
    return Prediction.objects.bulk_create(
        Prediction(
            scan=scan,
            model_version=live,
            state="ready",
            tumour_probability=p,
            probabilities={"tumour": p, "no_tumour": 1 - p},
            label="tumour" if p >= 0.5 else "no_tumour",
            finding="tumour" if p >= 0.5 else "no_tumour",
            finished_at=now + timedelta(seconds=number),
            **fields,
        )
        for number, (scan, p) in enumerate(zip(scans(template, len(probabilities)), probabilities, strict=True))
    )


def read(prediction, blind, final, right=""):
    """A done case whose reader said ``blind``, saw the opinion and said ``final``."""
    Scan.objects.filter(pk=prediction.scan_id).update(reference_label=right)
    case = CaseFactory(scan=prediction.scan, done=True)
    reader = person(Role.RADIOLOGIST, case.institution)
    claim = ClaimFactory(case=case, holder=reader, ended=True)
    ReadFactory(case=case, reader=reader, claim=claim, label=blind)
    ReadFactory(kind="final", case=case, reader=reader, claim=claim, label=final, prediction=prediction)
    return case


def by_key(rows):
    return {row.key: (row.k, row.n) for row in rows}


def test_numbers_are_those_that_one_counts_by_hand_and_open_their_scans(keeper, template):
    ill = analysed(template, [0.9] * 5)
    cases = [
        read(ill[0], "tumour", "tumour", "tumour"),
        read(ill[1], "no_tumour", "tumour", "tumour"),  # a right-flip
        read(ill[2], "no_tumour", "tumour", "no_tumour"),  # a wrong-flip
        read(ill[3], "no_tumour", "no_tumour"),  # overridden, nobody knows
        read(ill[4], "glioma", "out_of_scope"),
    ]
    version = live_model()
    found = numbers.report(keeper, version)
    assert by_key(found.reads) == {
        "overrides": (2, 5),
        "disagreed": (3, 5),
        "right_flips": (1, 1),
        "wrong_flips": (1, 2),
        "out_of_scope": (1, 5),
    }
    assert by_key(found.classes) == {"class:tumour": (5, 5)}
    for key, wanted in (("right_flips", [cases[1]]), ("wrong_flips", [cases[2]]), ("overrides", cases[4:2:-1])):
        assert [scan for scan, _words in numbers.drill_down(keeper, version, key)] == [case.scan_id for case in wanted]
    assert len(numbers.drill_down(keeper, version, "class:tumour")) == 5
    assert numbers.drill_down(keeper, version, "no such") == []


def test_inputs_count_what_is_unlike_slow_and_failed(keeper, template, north):
    then = timezone.now() - timedelta(minutes=5)
    analysed(template, [0.9, 0.2])
    slow = analysed(template, [0.7], warnings=["out_of_distribution"])
    Prediction.objects.filter(pk=slow[0].pk).update(queued_at=then)
    PredictionFactory(scan=ScanFactory(institution=north), failed=True)
    found = numbers.report(keeper, live_model())
    assert by_key(found.inputs) == {"unlike": (1, 3), "failed": (1, 4), "slow": (1, 3)}
    assert found.p95_seconds > 120


def test_strangers_and_readers_learn_nothing(north, keeper, template, client):
    analysed(template, [0.9] * 3)
    stranger = person(Role.DATA_MANAGER, InstitutionFactory())
    assert numbers.report(stranger, live_model()).analyses == 0
    # Whoever reads there stays blind, also as a data manager of the same place.
    keeper.memberships.create(institution=north, role=Role.RADIOLOGIST)
    client.force_login(keeper)
    for address in (reverse("lab:monitor"), reverse("lab:monitor-cases") + "?key=class:tumour"):
        assert client.get(address).status_code == 403
    assert client.get("/api/v1/metrics/monitor/").status_code == 403
    # As a data manager elsewhere they see elsewhere alone.
    keeper.memberships.create(institution=InstitutionFactory(), role=Role.DATA_MANAGER)
    assert client.get("/api/v1/metrics/monitor/").json()["analyses"] == 0


def test_page_and_api_show_the_same(client, keeper, template):
    read(analysed(template, [0.9])[0], "no_tumour", "no_tumour")
    client.force_login(keeper)
    page = client.get(reverse("lab:monitor"))
    assert page.status_code == 200 and "too few to say" in page.content.decode()
    found = client.get("/api/v1/metrics/monitor/").json()
    assert found["reads"][0] | {"share": None} == {
        "key": "overrides",
        "name": "Overrides",
        "k": 1,
        "n": 1,
        "share": None,
        "few": True,
    }
    behind = client.get(reverse("lab:monitor-cases") + "?key=overrides").content.decode()
    assert "no_tumour → no_tumour" in behind


def test_a_shift_of_the_probabilities_raises_an_alert_that_closes_when_it_is_over(north, template, monkeypatch):
    monkeypatch.setattr(numbers, "REFERENCE", 100)
    analysed(template, [0.05 + 0.9 * n / 100 for n in range(100)])
    moved = analysed(template, [0.9 + 0.0005 * n for n in range(100)])
    later = timezone.now() + timedelta(hours=1)
    Prediction.objects.filter(pk__in=[each.pk for each in moved]).update(queued_at=later, finished_at=later)
    raised = services.evaluate()
    assert [each.watched for each in raised] == ["drift"]
    assert services.evaluate() == [] and Alert.objects.count() == 1
    event = AuditEvent.objects.get(act="alert_raised")
    assert (event.actor, event.institution) == (None, north)
    Prediction.objects.filter(pk__in=[each.pk for each in moved]).delete()
    services.evaluate()
    assert Alert.objects.get().closed_at is not None


def test_overrides_beyond_chance_raise_an_alert_with_its_owner_and_few_do_not(keeper, north, template):
    boss = person(Role.ADMINISTRATOR, north)
    services.set_rule(by=boss, watched="overrides", limit=0.3, owner=keeper)
    said = analysed(template, [0.9] * 30)
    for each in said[:29]:
        read(each, "no_tumour", "no_tumour")
    assert services.evaluate() == []
    read(said[29], "tumour", "tumour")
    raised = {each.watched: each for each in services.evaluate()}
    assert raised["overrides"].owner == keeper and raised["overrides"].n == 30
    services.set_rule(by=boss, watched="disagreed", limit=0.25, on=False)
    assert AlertRule.objects.get(watched="disagreed").on is False


def test_an_alert_is_taken_on_once_with_a_note_by_whoever_may(keeper, north):
    alert = Alert.objects.create(
        watched="failed", institution=north, model_version=live_model(), value=0.1, limit=0.02, n=90
    )
    with pytest.raises(services.AlertNotTaken, match="Enter what"):
        services.acknowledge(by=keeper, alert=alert, note=" ")
    with pytest.raises(NotAllowed):
        services.acknowledge(by=person(Role.DATA_MANAGER, InstitutionFactory()), alert=alert, note="Mine.")
    services.acknowledge(by=keeper, alert=alert, note="The disk was full.")
    with pytest.raises(services.AlertNotTaken, match="already"):
        services.acknowledge(by=person(Role.ADMINISTRATOR, north), alert=alert, note="Mine.")
    assert AuditEvent.objects.get(act="alert_acknowledged").actor == keeper


def test_limits_are_set_by_administrators_within_reason(keeper, north):
    with pytest.raises(NotAllowed):
        services.set_rule(by=keeper, watched="failed", limit=0.1)
    boss = person(Role.ADMINISTRATOR, north)
    for wrong in (
        {"watched": "weather", "limit": 0.1},
        {"watched": "failed", "limit": 0},
        {"watched": "failed", "limit": 2},
    ):
        with pytest.raises(services.AlertNotTaken):
            services.set_rule(by=boss, **wrong)


def test_database_holds_one_open_alert_of_a_kind_and_no_silent_acknowledgement(keeper, north):
    row = {"watched": "failed", "institution": north, "model_version": live_model(), "value": 1, "limit": 0.1, "n": 9}
    Alert.objects.create(**row)
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.create(**row)
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.update(acknowledged_by=keeper, acknowledged_at=timezone.now(), note="")
    with pytest.raises(IntegrityError), transaction.atomic():
        AlertRule.objects.create(watched="failed", limit=0)


def test_metrics_are_text_for_whoever_brings_the_token_and_nobody_else(client, settings, template, north):
    read(analysed(template, [0.9])[0], "no_tumour", "no_tumour")
    assert client.get("/metrics").status_code == 404
    settings.METRICS_TOKEN = "a long token"
    assert client.get("/metrics", HTTP_AUTHORIZATION="Bearer another").status_code == 404
    answer = client.get("/metrics", HTTP_AUTHORIZATION="Bearer a long token")
    text = answer.content.decode()
    assert answer["Content-Type"].startswith("text/plain")
    assert "\noverread_overrides 1.0\n" in text and "\noverread_overrides_of 1.0\n" in text
    assert f"\noverread_live_model {live_model().number}.0\n" in text
    for jobs in ("dicom_sendings", "prior_searches", "webhook_deliveries"):
        assert f'\noverread_{jobs}{{state="failed"}} 0.0\n' in text
    for secret in (north.code, template.patient.pseudonym, str(template.pk)):
        assert secret not in text

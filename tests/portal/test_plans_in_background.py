"""With very many scans a worker plans and freezes; the pages wait for it, and nothing is lost when it dies."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from diagnostics import pipeline, tasks
from diagnostics.datasets import background, services
from diagnostics.models import DatasetPlan, DatasetVersion
from diagnostics.scans.access import Role
from tests.diagnostics.test_datasets import enough, look, near, own_files, scan  # noqa: F401 - fixture
from tests.factories import InstitutionFactory, UserFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def nudged(monkeypatch):
    sent = []
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: sent.append(task.name))
    return sent


@pytest.fixture
def north(settings):
    settings.PLAN_AT_ONCE_SCANS = 3
    place = InstitutionFactory(code="north")
    enough(place, each=4)
    return place


@pytest.fixture
def keeper(north, client):
    keeper = person(Role.DATA_MANAGER, north)
    client.force_login(keeper)
    return keeper


def wanted(place):
    return {"institutions": [place], "seed": 0, "lineage": "main", "include_imported": True}


def no_planning(monkeypatch):
    def planned(**kwargs):
        raise AssertionError("planned while somebody waits for the page")

    monkeypatch.setattr(services, "plan", planned)


@pytest.mark.parametrize("name", ["lab:freeze", "lab:conflicts", "admin:diagnostics_datasetversion_freeze"])
def test_page_of_many_scans_plans_nothing_itself(client, north, keeper, nudged, monkeypatch, name):
    if name.startswith("admin"):
        client.force_login(UserFactory(is_superuser=True, is_staff=True))
    with monkeypatch.context() as patch:
        no_planning(patch)
        shown = client.get(reverse(name))
        assert shown.status_code == 200
        row = DatasetPlan.objects.get()
        assert reverse("lab:plan", args=[row.pk]) in shown.content.decode()
        client.get(reverse(name))
    assert DatasetPlan.objects.count() == 1, "asked for once, however often the page is loaded"
    assert set(nudged) == {"diagnostics.tasks.plan_datasets"}


def test_page_of_few_scans_shows_the_plan_at_once(client, north, keeper, settings, nudged):
    settings.PLAN_AT_ONCE_SCANS = 5000
    assert client.get(reverse("lab:freeze")).context["plan"].sha256
    assert not DatasetPlan.objects.exists() and nudged == []


def test_plan_of_a_worker_is_what_the_page_would_have_planned(client, north, keeper, nudged):
    ill, well = scan(north, "tumour", fingerprint=look(9001)), scan(north, "no_tumour", fingerprint=near(9001))
    page = reverse("lab:freeze")
    row = client.get(page).context["work"]
    waiting = client.get(reverse("lab:plan", args=[row.pk]), HTTP_HX_REQUEST="true")
    assert "HX-Refresh" not in waiting and "every 2s" in waiting.content.decode()
    tasks.plan_datasets.run()
    ended = client.get(reverse("lab:plan", args=[row.pk]), HTTP_HX_REQUEST="true")
    assert ended["HX-Refresh"] == "true" and "every 2s" not in ended.content.decode()
    shown = client.get(page)
    plan = services.plan(by=keeper, **{**wanted(north), "include_demo": False})
    assert (shown.context["plan"].sha256, shown.context["plan"].counts) == (plan.sha256, plan.counts)
    conflicts = client.get(reverse("lab:conflicts")).content.decode()
    for each in (ill, well):
        assert reverse("reading:preview", args=[each.pk]) in conflicts


def test_settled_conflict_is_planned_anew(client, north, keeper, nudged):
    scan(north, "tumour", fingerprint=look(9001)), scan(north, "no_tumour", fingerprint=near(9001))
    client.get(reverse("lab:conflicts"))
    tasks.plan_datasets.run()
    seen = client.get(reverse("lab:conflicts")).context["sets"][0]["seen"]
    client.post(reverse("lab:settle"), {"scans": seen, "stands": "tumour", "reason": "A mass."})
    assert client.get(reverse("lab:conflicts")).context["work"].active
    tasks.plan_datasets.run()
    shown = client.get(reverse("lab:conflicts"))
    assert shown.context["sets"] == [] and "No open conflicts" in shown.content.decode()


def test_many_scans_are_frozen_by_a_worker_as_they_were_seen(client, north, keeper, nudged):
    page = reverse("lab:freeze")
    client.get(page)
    tasks.plan_datasets.run()
    plan = client.get(page).context["plan"]
    form = {"institutions": "north", "lineage": "main", "seed": 0, "include_imported": "on", "seen": plan.sha256}
    answer = client.post(page, form)
    row = DatasetPlan.objects.get(freezes=True)
    assert answer.url == reverse("lab:plan", args=[row.pk]) and not DatasetVersion.objects.exists()
    client.post(page, form)
    assert DatasetPlan.objects.filter(freezes=True).count() == 1, "pressed twice is once"
    assert "Freezing" in client.get(answer.url).content.decode()
    tasks.plan_datasets.run()
    version = DatasetVersion.objects.get()
    assert version.sha256 == plan.sha256 and version.created_by == keeper
    assert client.get(answer.url).url == reverse("lab:dataset", args=[version.pk])


def test_freeze_of_what_has_changed_since_says_so_and_freezes_nothing(client, north, keeper, nudged):
    row = background.freeze(by=keeper, wanted=wanted(north), seen="0" * 64)
    tasks.plan_datasets.run()
    row.refresh_from_db()
    assert row.state == "failed" and not DatasetVersion.objects.exists()
    assert row.failure in client.get(reverse("lab:plan", args=[row.pk])).content.decode()


def test_worker_that_dies_is_followed_by_another_three_times(north, keeper, monkeypatch):
    row = background.look(by=keeper, wanted=wanted(north)).row
    for _ in range(background.ATTEMPTS):
        assert background.claimed().pk == row.pk
        assert background.claimed() is None, "held"
        DatasetPlan.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        assert background.anything_waiting()
    assert background.work() == 0
    row.refresh_from_db()
    assert row.state == "failed" and "3 times" in row.failure and not background.anything_waiting()


def test_worker_that_slept_past_its_lease_changes_nothing(north, keeper):
    background.look(by=keeper, wanted=wanted(north))
    slow = background.claimed()
    DatasetPlan.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    quick = background.claimed()
    background._carry_out(slow)
    slow.refresh_from_db()
    assert slow.state == "running" and slow.fence == quick.fence
    background._carry_out(quick)
    quick.refresh_from_db()
    assert quick.state == "ready"


def test_plan_that_breaks_off_is_tried_again(north, keeper, monkeypatch):
    background.look(by=keeper, wanted=wanted(north))
    real, calls = services.plan, []

    def planned(**kwargs):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("the disk went away")
        return real(**kwargs)

    monkeypatch.setattr(services, "plan", planned)
    assert background.work() == 1 and not background.anything_waiting(), "not again within the same second"
    DatasetPlan.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert background.work() == 1
    assert DatasetPlan.objects.get().state == "ready"


def test_reconcile_nudges_a_plan_whose_message_was_lost(north, keeper, monkeypatch):
    sent = []
    monkeypatch.setattr(tasks.plan_datasets, "delay", lambda: sent.append(1))
    background.look(by=keeper, wanted=wanted(north))
    tasks.reconcile.run()
    assert sent == [1]


def test_plan_again_forgets_what_was_worked_out(client, north, keeper, nudged):
    client.get(reverse("lab:freeze"))
    tasks.plan_datasets.run()
    assert client.get(reverse("lab:freeze")).context["plan"]
    answer = client.post(reverse("lab:plan-again") + "?lineage=main&seed=0&institutions=north", {"page": "freeze"})
    assert answer.url.startswith(reverse("lab:freeze") + "?lineage=main")
    assert client.get(reverse("lab:freeze")).context["work"].active


def test_one_plan_at_a_time_is_the_databases_own_rule(north, keeper):
    row = background.look(by=keeper, wanted=wanted(north)).row
    with pytest.raises(IntegrityError), transaction.atomic():
        DatasetPlan.objects.create(by=keeper, key=row.key, wanted={})


def test_somebody_elses_plan_does_not_exist(client, north, keeper):
    row = background.look(by=person(Role.DATA_MANAGER, north), wanted=wanted(north)).row
    assert client.get(reverse("lab:plan", args=[row.pk])).status_code == 404


def test_plan_that_a_worker_is_at_begins_anew_when_a_conflict_is_settled(north, keeper):
    background.look(by=keeper, wanted=wanted(north))
    row = background.claimed()
    background.forget_all()
    background._carry_out(row)
    row.refresh_from_db()
    assert row.state == "queued" and row.result is None, "what it found may hold the old labels"
    assert background.work() == 1
    row.refresh_from_db()
    assert row.state == "ready"

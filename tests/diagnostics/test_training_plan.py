"""What a training would do is told before it starts; nothing trains twice, or by itself, unless somebody wants it."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from diagnostics.datasets.services import freeze
from diagnostics.models import AuditEvent, DatasetVersion, Retraining, TrainingRun
from diagnostics.registry.models import ModelState
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.training import planning, schedule, services
from diagnostics.training.models import TrainingState
from tests.diagnostics.test_datasets import enough, own_files, scan  # noqa: F401 - fixture
from tests.factories import InstitutionFactory, ModelVersionFactory, TrainingRunFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def trained(north, keeper):
    """A dataset on which the model in use was trained."""
    enough(north)
    dataset = freeze(by=keeper, institutions=[north])
    TrainingRunFactory(
        dataset=dataset,
        state=TrainingState.SUCCEEDED,
        produced=ModelVersionFactory(state=ModelState.LIVE),
        config={"architecture": "seed_cnn", "epochs": 4},
        epochs=[{"epoch": n} for n in (1, 2, 3, 4)],
        attempts=1,
        started_at=timezone.now() - timedelta(seconds=440),
        finished_at=timezone.now(),
        created_by=keeper,
    )
    return dataset


def test_unchanged_data_is_refused_with_a_sentence_unless_asked_for(trained, keeper):
    assert "trained on this dataset" in services.blocking_reason(by=keeper, dataset=trained)
    with pytest.raises(services.Unchanged, match="Nothing has changed"):
        services.queue(by=keeper, dataset=trained, config={})
    assert services.queue(by=keeper, dataset=trained, config={}, anyway=True).state == "queued"


def test_the_plan_says_what_is_new_and_how_long_it_takes(trained, north, keeper):
    changed = trained.items.filter(split="train", label="tumour").first().scan
    changed.reference_label = "no_tumour"
    changed.save()
    for _ in range(4):
        scan(north, "glioma")
    dataset = freeze(by=keeper, institutions=[north])
    found = planning.plan(by=keeper, dataset=dataset, recipe={"epochs": 8})
    assert (found.news.base, found.news.added, found.news.relabelled, found.news.removed) == (trained, 4, 1, 0)
    assert services.blocking_reason(by=keeper, dataset=dataset) == ""
    assert sum(found.labels.values()) == found.images == dataset.counts["by_split"]["train"]
    # The run before showed its images ten times in each of four epochs and took 440 s.
    pace = 440 / (trained.counts["by_split"]["train"] * 10 * 4)
    assert found.seconds == pytest.approx(pace * found.images * 10 * 8, rel=0.01)
    assert found.measured_on == [TrainingRun.objects.get().number]
    stated = planning.plan(by=keeper, dataset=dataset, recipe={"architecture": "residual", "epochs": 1})
    assert (stated.measured_on, stated.seconds) == ([], round(0.013 * found.images * 10))


def test_the_plan_tells_nothing_of_a_dataset_of_strangers(trained):
    south = InstitutionFactory(code="south")
    other = person(Role.DATA_MANAGER, south)
    enough(south)
    dataset = freeze(by=other, institutions=[south], lineage="theirs")
    assert planning.news(other, dataset) == planning.News(None, added=16)


def test_pages_and_api_show_the_plan_and_refuse_what_is_unchanged(client, trained, north, keeper):
    client.force_login(keeper)
    address = reverse("lab:dataset", args=[trained.pk])
    page = client.get(address).content.decode()
    assert "trained on this dataset" in page and "at the speed of run " in page and "disabled" in page
    assert client.post(reverse("lab:train", args=[trained.pk]), {"architecture": "seed_cnn"}).status_code == 400
    body = {"dataset_version": str(trained.pk)}
    plan = client.post("/api/v1/training-runs/plan/", body, content_type="application/json").json()
    assert plan["obstacle"].startswith("Nothing has changed") and plan["news"]["base"] == str(trained.pk)
    refused = client.post("/api/v1/training-runs/", body, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (409, "unchanged")
    began = client.post("/api/v1/training-runs/", {**body, "anyway": True}, content_type="application/json")
    assert began.status_code == 202


def test_run_again_repeats_dataset_and_recipe_and_only_once_at_a_time(trained, keeper):
    run = TrainingRun.objects.get()
    repeated = services.rerun(by=keeper, run=run)
    assert (repeated.dataset, repeated.config, repeated.repeats) == (run.dataset, run.config, run)
    with pytest.raises(services.NotTrainable, match="has not ended"):
        services.rerun(by=keeper, run=repeated)
    with pytest.raises(services.AnotherRunning):
        services.rerun(by=keeper, run=run)
    with pytest.raises(NotAllowed):
        services.rerun(by=person(Role.RADIOLOGIST, run.dataset.institutions.get()), run=run)


def switch_on(by, *places, new_labels=3):
    return schedule.set_policy(
        by=by, enabled=True, new_labels=new_labels, institutions=list(places), recipe={"epochs": 2}
    )


def test_nothing_is_trained_by_itself_until_somebody_switches_it_on(trained, north):
    for _ in range(5):
        scan(north, "glioma")
    assert schedule.consider() is None
    assert TrainingRun.objects.count() == 1


def test_retraining_waits_for_enough_labels_and_then_is_an_act_of_the_system(trained, north, keeper):
    policy = switch_on(keeper, north)
    scan(north, "glioma")
    assert schedule.consider() is None
    policy.refresh_from_db()
    assert policy.last_word == "1 of 3 new labels are available."
    for _ in range(4):
        scan(north, "glioma")
    run = schedule.consider()
    assert (run.dataset.number, run.config["epochs"], run.created_by) == (2, 2, keeper)
    event = AuditEvent.objects.get(act="retraining_began")
    assert (event.actor, event.institution, event.detail["answerable"]) == (None, north, keeper.pk)
    # And not once more while it runs.
    assert schedule.consider() is None
    assert DatasetVersion.objects.count() == 2


def test_retraining_stops_with_the_rights_of_whoever_switched_it_on(trained, north, keeper):
    policy = switch_on(keeper, north, new_labels=1)
    scan(north, "glioma")
    keeper.memberships.all().delete()
    assert schedule.consider() is None
    policy.refresh_from_db()
    assert "may no longer train" in policy.last_word
    assert DatasetVersion.objects.count() == 1


def test_switching_on_needs_the_permission_and_a_place(north, keeper):
    with pytest.raises(NotAllowed):
        switch_on(person(Role.RADIOLOGIST, north), north)
    with pytest.raises(NotAllowed):
        switch_on(keeper, north, InstitutionFactory())
    with pytest.raises(services.NotTrainable, match="at least one institution"):
        switch_on(keeper)
    assert schedule.policy_for(keeper).enabled is False


def test_the_policy_is_hidden_from_whoever_may_not_train_in_its_institutions(north, keeper):
    switch_on(keeper, north)
    assert schedule.policy_for(person(Role.DATA_MANAGER, InstitutionFactory())) is None


def test_database_holds_one_policy_that_somebody_answers_for(keeper):
    schedule.policy()
    for wrong in ({"only": True}, {"only": False}, {"only": False, "enabled": True}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Retraining.objects.create(**wrong)
    with pytest.raises(IntegrityError), transaction.atomic():
        Retraining.objects.update(enabled=True)

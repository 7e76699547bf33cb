"""Messages repeated, models changed, processes writing at once: each row is worked on once, by one model."""

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from celery_worker import app
from diagnostics import pipeline, tasks
from diagnostics.audit.models import AuditEvent
from diagnostics.cases.models import Case
from diagnostics.datasets import background
from diagnostics.errors import Conflict
from diagnostics.monitoring import numbers
from diagnostics.monitoring.models import Alert
from diagnostics.notifications.models import Notification
from diagnostics.notifications.services import notify
from diagnostics.peers import outbox
from diagnostics.peers.models import Sending
from diagnostics.predictions import inference
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry import gate
from diagnostics.registry import services as registry
from diagnostics.registry.models import GateResult, ModelState, ModelVersion, Promotion
from diagnostics.reviews import reading, worklist
from diagnostics.reviews.models import Read
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan, Study
from diagnostics.scans.series import Series
from diagnostics.shadow import scoring
from diagnostics.shadow.models import ShadowOpinion
from diagnostics.training import fitting, judging, run_state, schedule
from diagnostics.training import services as training
from diagnostics.training.comparison import Compared
from diagnostics.training.models import TrainingRun
from diagnostics.webhooks.events import queue
from diagnostics.webhooks.models import EventType
from mlcore.serving.predict import Opinion
from tests import processes
from tests.diagnostics.model_fixtures import model_folder, put_into_use, stored_model
from tests.diagnostics.test_datasets import scan as labelled
from tests.diagnostics.test_dicom_sending import archive
from tests.diagnostics.test_monitoring import analysed
from tests.diagnostics.test_priors import archive as archive_asked
from tests.diagnostics.test_priors import arrived, study
from tests.diagnostics.test_registry import at_once
from tests.dicom_images import slice_of
from tests.dicom_network import free_port, peer_of
from tests.factories import (
    CaseFactory,
    InstitutionFactory,
    PatientFactory,
    PredictionFactory,
    ScanFactory,
    StudyFactory,
    TrainingRunFactory,
    answers_for_the_model,
    person,
    phantom,
)
from tests.webhook_receiver import HERE, receiver, webhook_at

pytestmark = pytest.mark.django_db(transaction=True)


class Toy:
    """Says the same of everything, and by which weights."""

    def __init__(self, version: ModelVersion) -> None:
        self.sha256 = version.sha256
        self.spec = type("Spec", (), {"preprocess_version": "1"})

    def predict(self, files: list[bytes]) -> list[Opinion]:
        probabilities = {"no_tumour": 0.9, "tumour": 0.1}
        heat = np.zeros((8, 8), np.uint8)
        return [Opinion("no_tumour", "no_tumour", probabilities, 0.1, (), heat, (0, 0, 8, 8)) for _ in files]


@pytest.fixture
def toy(monkeypatch, settings, tmp_path):
    settings.MODEL_CACHE_DIR = tmp_path / "cache"
    monkeypatch.setattr(inference, "predictor_for", Toy)
    monkeypatch.setattr(tasks.infer, "delay", lambda: None)
    return registry.install_bundled_model(model_folder(tmp_path))


def scans(count: int) -> list:
    institution = InstitutionFactory()
    by = person(Role.TECHNOLOGIST, institution)
    study = StudyFactory(patient=PatientFactory(institution=institution))
    return [
        ScanFactory(institution=institution, patient=study.patient, study=study, uploaded_by=by) for _ in range(count)
    ]


def infer_at_once(monkeypatch, tmp_path):
    rows = [PredictionFactory(scan=scan, model_version=registry.live(), queued=True) for scan in scans(20)]
    answers = at_once(*[tasks.infer] * 5)
    assert answers == [None] * 5
    tasks.infer()  # and once a day later
    assert set(Prediction.objects.values_list("state", "attempts")) == {(PredictionState.READY, 1)}
    assert Counter(AuditEvent.objects.filter(act="prediction_ready").values_list("target_id", flat=True)) == Counter(
        str(row.pk) for row in rows
    )


def reconcile_at_once(monkeypatch, tmp_path):
    scans(6)  # handed in while no model was live: reconcile queues them
    assert at_once(*[tasks.reconcile] * 5) == [None] * 5
    assert Prediction.objects.count() == 6
    assert AuditEvent.objects.filter(act="prediction_queued").count() == 6


def mails_at_once(monkeypatch, tmp_path):
    by = person(Role.ADJUDICATOR, InstitutionFactory())
    place = by.memberships.get().institution
    readers = [person(Role.RADIOLOGIST, place) for _ in range(12)]
    scan = scans(1)[0]
    cases = [CaseFactory(scan=scan, institution=place, done=True) for _ in readers]
    with transaction.atomic():
        for reader, case in zip(readers, cases, strict=True):
            notify(people=[reader.pk], kind="assigned", scan=scan, case=case.pk)
    Notification.objects.update(mail_due_at=F("created_at"), institution=place)
    sent = []
    monkeypatch.setattr("django.core.mail.EmailMessage.send", lambda self: sent.append(self.to[0]))
    assert at_once(*[tasks.send_mails] * 5) == [None] * 5
    tasks.send_mails()  # and once a day later
    assert sorted(sent) == sorted(reader.email for reader in readers)
    assert set(Notification.objects.values_list("mail_state", flat=True)) == {"sent"}


def train_at_once(monkeypatch, tmp_path):
    run = TrainingRunFactory()
    worked = []
    monkeypatch.setattr(fitting, "fit", lambda run_id: worked.append(run_state.claim(run_id)))
    assert at_once(*[lambda: tasks.train(str(run.pk))] * 5) == [None] * 5
    assert len([claimed for claimed in worked if claimed is not None]) == 1
    assert TrainingRun.objects.get().attempts == 1


def judge_at_once(monkeypatch, tmp_path):
    version = TrainingRunFactory(state="succeeded").produced
    said = {"verdict": "too_few", "rules": []}
    monkeypatch.setattr(judging, "manifest", lambda dataset: b"")
    monkeypatch.setattr(registry, "fetch", lambda version: tmp_path)
    monkeypatch.setattr(
        judging,
        "beside_live",
        lambda live, folder, items: Compared(live, gate.current_rules(), [], None, None, said, None),
    )
    assert at_once(*[lambda: tasks.judge(str(version.pk))] * 5) == [None] * 5
    tasks.judge(str(version.pk))  # and once a day later
    assert GateResult.objects.filter(version=version).count() == 1


def score_at_once(monkeypatch, tmp_path):
    live = registry.live()
    challenger = stored_model(tmp_path, b"challenger")
    rows = [PredictionFactory(scan=scan, model_version=live) for scan in scans(5)]
    boss = answers_for_the_model(person(Role.ADMINISTRATOR, InstitutionFactory()))
    registry.challenge(by=boss, version=challenger)
    Prediction.objects.update(finished_at=challenger.challenged_at)
    monkeypatch.setattr(scoring.os, "nice", lambda more: scoring.NICENESS)
    assert at_once(*[tasks.score_in_the_shadow] * 5) == [None] * 5
    tasks.score_in_the_shadow()  # and once a day later
    assert ShadowOpinion.objects.filter(model_version=challenger).count() == len(rows)


def consider_at_once(monkeypatch, tmp_path):
    north = InstitutionFactory()
    keeper = person(Role.DATA_MANAGER, north)
    for label in ["glioma", "no_tumour"] * 6:
        labelled(north, label)
    schedule.set_policy(by=keeper, enabled=True, new_labels=3, institutions=[north])
    assert at_once(*[tasks.consider_retraining] * 5) == [None] * 5
    tasks.consider_retraining()  # and once a day later, while it runs
    run = TrainingRun.objects.get()
    TrainingRun.objects.update(updated_at=timezone.now() - timedelta(minutes=2))
    assert training.due() == [run.pk], "the reconciler tells a worker"
    assert AuditEvent.objects.filter(act="retraining_began").count() == 1


def watch_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(numbers, "REFERENCE", 100)
    north = InstitutionFactory()
    template = ScanFactory(institution=north)
    Prediction.objects.all().delete()
    analysed(template, [0.05 + 0.9 * n / 100 for n in range(100)])
    moved = analysed(template, [0.9 + 0.0005 * n for n in range(100)])
    later = timezone.now() + timedelta(hours=1)
    Prediction.objects.filter(pk__in=[each.pk for each in moved]).update(queued_at=later, finished_at=later)
    assert at_once(*[tasks.watch_the_model] * 5) == [None] * 5
    tasks.watch_the_model()  # and once a day later
    assert [alert.watched for alert in Alert.objects.all()] == ["drift"]
    assert AuditEvent.objects.filter(act="alert_raised").count() == 1


def statistics_at_once(monkeypatch, tmp_path):
    scans(1)
    assert at_once(*[tasks.refresh_statistics] * 5) == [None] * 5


def plans_at_once(monkeypatch, tmp_path):
    north = InstitutionFactory()
    keeper = person(Role.DATA_MANAGER, north)
    monkeypatch.setattr(settings, "PLAN_AT_ONCE_SCANS", -1)
    row = background.look(by=keeper, wanted={"institutions": [north], "seed": 0, "lineage": "main"}).row
    assert at_once(*[tasks.plan_datasets] * 5) == [None] * 5
    tasks.plan_datasets()  # and once more, later
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("ready", 1)


def close_at_once(monkeypatch, tmp_path):
    """A series closes once: one case, one analysis."""
    place = InstitutionFactory()
    by = person(Role.TECHNOLOGIST, place)
    for n in range(3):
        pipeline.submit_scan(by=by, institution=place, data=slice_of(n), patient="P-1")
    Series.objects.update(close_at=timezone.now())
    assert at_once(*[tasks.close_series] * 5) == [None] * 5
    assert (Series.objects.get().arrival, Case.objects.count()) == ("complete", 1)
    assert AuditEvent.objects.filter(act="series_closed").count() == 1


def send_at_once(monkeypatch, tmp_path):
    """A file reaches a peer once."""
    place = InstitutionFactory()
    by = person(Role.ADMINISTRATOR, place)
    for n in range(3):
        pipeline.submit_scan(by=by, institution=place, data=slice_of(n), patient="P-1")
    peer = peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=free_port())
    outbox.send_study(by=by, study=Study.objects.get(), peer=peer)
    with archive(peer.port) as got:
        assert at_once(*[tasks.send_to_peers] * 5) == [None] * 5
    assert len(got) == 3 and set(Sending.objects.values_list("state", "attempts")) == {("done", 1)}


def ask_at_once(monkeypatch, tmp_path):
    """An archive is asked once."""
    questions = []

    def find(event):
        questions.append(event.identifier)
        yield 0x0000, None

    place = InstitutionFactory()
    with archive_asked(find) as port:
        peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=port, is_asked_for_priors=True)
        arrived(place, study("today", 0))
        assert at_once(*[tasks.ask_for_priors] * 5) == [None] * 5
    assert len(questions) == 1


def webhooks_at_once(monkeypatch, tmp_path):
    """An event reaches a receiver once, where nobody dies."""
    monkeypatch.setattr(settings, "WEBHOOK_NETWORKS", HERE)
    with receiver() as there:
        hook, _secret = webhook_at(there.url, there)
        with transaction.atomic():
            for n in range(6):
                queue([hook], EventType.TEST, subject=f"test:{n % 2}", data={"n": n})
        assert at_once(*[tasks.send_webhooks] * 5) == [None] * 5
        tasks.send_webhooks()
        assert sorted(each["data"]["n"] for each in there.got()) == list(range(6))


AT_ONCE = {
    "diagnostics.tasks.ask_for_priors": ask_at_once,
    "diagnostics.tasks.close_series": close_at_once,
    "diagnostics.tasks.consider_retraining": consider_at_once,
    "diagnostics.tasks.infer": infer_at_once,
    "diagnostics.tasks.judge": judge_at_once,
    "diagnostics.tasks.plan_datasets": plans_at_once,
    "diagnostics.tasks.reconcile": reconcile_at_once,
    "diagnostics.tasks.refresh_statistics": statistics_at_once,
    "diagnostics.tasks.score_in_the_shadow": score_at_once,
    "diagnostics.tasks.send_mails": mails_at_once,
    "diagnostics.tasks.send_to_peers": send_at_once,
    "diagnostics.tasks.send_webhooks": webhooks_at_once,
    "diagnostics.tasks.train": train_at_once,
    "diagnostics.tasks.watch_the_model": watch_at_once,
}


@pytest.mark.parametrize("task", sorted(name for name in app.tasks if not name.startswith("celery.")))
def test_task_delivered_five_times_at_once_works_once(task, toy, monkeypatch, tmp_path):
    """A task that is missing in the table fails here: say what five of it at once must come to."""
    AT_ONCE[task](monkeypatch, tmp_path)


def race(tmp_path, promotions: int, predictions: int) -> list[int]:
    """Promote in one thread while three hand in and predict and one watches; how many live models it saw each time."""
    boss = answers_for_the_model(person(Role.ADMINISTRATOR, InstitutionFactory()))
    rivals = [stored_model(tmp_path, bytes([n])) for n in (1, 2)]
    first = scans(1)[0]
    over, seen, numbers = threading.Event(), [], iter(range(predictions - 1))

    def promote():
        for version, _ in zip(itertools.cycle(rivals), range(promotions), strict=False):
            put_into_use(boss, version)

    def work_off():
        for _ in numbers:
            with transaction.atomic():  # as pipeline.submit_scan does it
                scan = ScanFactory(
                    institution=first.institution, patient=first.patient, study=first.study, uploaded_by=boss
                )
                PredictionFactory(scan=scan, model_version=registry.live(), queued=True)
            inference.run_waiting()

    def watch():
        while not over.is_set():
            seen.append(ModelVersion.objects.filter(state=ModelState.LIVE).count())
            time.sleep(0.002)

    watcher = threading.Thread(target=lambda: at_once(watch))
    watcher.start()
    try:
        answers = at_once(promote, work_off, work_off, work_off)
    finally:
        over.set()
        watcher.join()
    assert answers == [None] * 4
    return seen


@pytest.mark.parametrize(("promotions", "predictions"), [(10, 40), pytest.param(50, 1000, marks=pytest.mark.faults)])
def test_promotions_racing_predictions_leave_one_model_and_no_mixture(toy, tmp_path, capsys, promotions, predictions):
    seen = race(tmp_path, promotions, predictions)
    inference.run_waiting()
    with capsys.disabled():
        print(f"\n{promotions} promotions, {predictions} predictions: live models seen {dict(Counter(seen))}")
    assert set(seen) == {1}
    assert Promotion.objects.filter(kind="promote").count() == promotions
    done = Prediction.objects.filter(state=PredictionState.READY)
    assert done.count() == predictions
    assert not done.exclude(weights_sha256=F("model_version__sha256")).exists(), "the weights that were used"


def test_fifty_reads_of_one_case_at_once_are_one_read_and_49_conflicts():
    case = CaseFactory()
    reader = person(Role.RADIOLOGIST, case.institution)
    for stage in ("blind", "final"):
        claim = worklist.claim(by=reader, case=case)
        told = {"kind": stage, "label": "not_assessable", "certainty": "certain", "claim_token": claim.token}
        answers = at_once(*[lambda told=told: reading.record_read(by=reader, case=case, **told)] * 50)
        kinds = Counter(type(answer) for answer in answers)
        assert kinds.pop(Read) == 1
        assert sum(kinds.values()) == 49 and all(issubclass(kind, Conflict) for kind in kinds), kinds
    assert case.reads.count() == 2
    assert AuditEvent.objects.filter(act="read_recorded").count() == 2


def test_twenty_uploads_of_one_file_at_once_are_one_scan(toy, monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: True)
    by = person(Role.TECHNOLOGIST, InstitutionFactory())
    institution, data = by.memberships.get().institution, phantom(1)
    answers = at_once(*[lambda: pipeline.submit_scan(by=by, institution=institution, data=data, patient="P-1")] * 20)
    assert Counter(answer.created for answer in answers) == {True: 1, False: 19}
    assert (Scan.objects.count(), Prediction.objects.count(), Case.objects.count()) == (1, 1, 1)


# Hands in phantoms for some seconds; prints how many, and each error's words.
WRITE = """
import json, sys, time
import django
django.setup()
from django.conf import settings
from django.db import connection, transaction
connection.settings_dict["OPTIONS"]["transaction_mode"] = sys.argv[3]
connection.settings_dict["OPTIONS"]["timeout"] = float(sys.argv[4])
from django.contrib.auth import get_user_model
from diagnostics import pipeline
from diagnostics.scans import phantom
pipeline.nudge = lambda task, *args: True
by = get_user_model().objects.get(username=sys.argv[1])
institution = by.memberships.get().institution
until, made, errors = time.monotonic() + float(sys.argv[2]), 0, []
images = [phantom.as_png(phantom.draw(int(sys.argv[5]) * 1000 + seed, side=40)) for seed in range(20)]
while time.monotonic() < until:
    data = images[made % 20] + made.to_bytes(4, "big")
    try:
        pipeline.submit_scan(by=by, institution=institution, data=data, patient=f"P-{made % 7}")
    except Exception as error:
        errors.append(f"{type(error).__name__}: {error}")
    made += 1
print(json.dumps([made, errors]))
"""


def six_writers(mode: str, seconds: float, timeout: float) -> tuple[int, list[str]]:
    by = person(Role.TECHNOLOGIST, InstitutionFactory())
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, by.username, str(seconds), mode, str(timeout), str(number)],
            cwd=processes.ROOT, env=processes.environment(), stdout=subprocess.PIPE, text=True,
        )
        for number in range(6)
    ]  # fmt: skip
    said = [json.loads(each.communicate(timeout=seconds + 120)[0].splitlines()[-1]) for each in running]
    return sum(made for made, _ in said), [error for _, errors in said for error in errors]


@pytest.mark.faults
@pytest.mark.skipif(connection.vendor != "sqlite", reason="the embedded database")
def test_six_processes_writing_to_sqlite_meet_no_lock(capsys):
    seconds = float(os.environ.get("OVERREAD_TEST_SECONDS", "20"))
    made, errors = six_writers("IMMEDIATE", seconds, 20)
    deferred_made, deferred_errors = six_writers("DEFERRED", seconds / 2, 20)
    with capsys.disabled():
        print(
            f"\nIMMEDIATE: {made} scans, {len(errors)} errors in {seconds:g} s; "
            f"DEFERRED: {deferred_made} scans, {len(deferred_errors)} errors in {seconds / 2:g} s"
        )
    assert made > 20 and errors == []
    assert any("locked" in error for error in deferred_errors), "otherwise this test could not fail"

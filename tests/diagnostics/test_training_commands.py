"""``freeze_dataset`` and ``train`` do what the pages do, and refuse by the same sentences."""

import hashlib
import json

import pytest
from django.core.management import CommandError, call_command

from diagnostics.models import AuditEvent, DatasetVersion, TrainingRun
from diagnostics.scans.access import Role
from tests.diagnostics.test_datasets import enough, look, own_files  # noqa: F401 - fixture
from tests.factories import InstitutionFactory, ScanFactory, person, phantom

pytestmark = pytest.mark.django_db


def freeze(by, **options):
    call_command("freeze_dataset", institution=["north"], by=by.username, **options)


def test_freeze_plans_without_a_trace_and_then_freezes(north, keeper, capsys):
    enough(north)
    freeze(keeper, plan=True)
    assert "Nothing stands against freezing this." in capsys.readouterr().out
    assert not DatasetVersion.objects.exists()
    freeze(keeper)
    assert DatasetVersion.objects.get().sha256 in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"by": "nobody"}, "no account nobody"),
        ({"institution": ["south"]}, "no institution south"),
        ({}, "No scans yet"),
    ],
)
def test_freeze_refuses_by_a_sentence(north, keeper, options, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command("freeze_dataset", **{"institution": ["north"], "by": keeper.username, **options})


def test_train_here_runs_in_this_process_and_tells_how_it_ended(north, keeper, monkeypatch, capsys):
    fitting = pytest.importorskip("diagnostics.training.fitting")
    from diagnostics.training import run_state

    def failing(run_id):
        run = run_state.claim(run_id)
        run_state.fail(run_id=run.pk, fence=run.fence, sentence="The disk was full.")

    monkeypatch.setattr(fitting, "fit", failing)
    enough(north)
    freeze(keeper)
    with pytest.raises(CommandError, match="The disk was full."):
        call_command("train", by=keeper.username, here=True, epochs=3)
    run = TrainingRun.objects.get()
    assert (run.config["epochs"], run.created_by) == (3, keeper)
    assert "Training run 1 on dataset v1." in capsys.readouterr().out


def test_train_on_a_foreign_dataset_finds_none(north, keeper):
    enough(north)
    freeze(keeper)
    stranger = person(Role.DATA_MANAGER, InstitutionFactory())
    with pytest.raises(CommandError, match="no such dataset"):
        call_command("train", by=stranger.username, dataset=1)


def test_export_writes_the_manifest_and_the_very_files(north, keeper, tmp_path, capsys):
    for number in range(12):
        label = ("tumour", "no_tumour")[number % 2]
        ScanFactory(institution=north, reference_label=label, data=phantom(number), fingerprint=look(number))
    freeze(keeper)
    out = tmp_path / "out"
    call_command("export_dataset", 1, by=keeper.username, out=out)
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert len(rows) == DatasetVersion.objects.get().counts["scans"] > 0
    assert all(hashlib.sha256((out / row["path"]).read_bytes()).hexdigest() == row["sha256"] for row in rows)
    assert AuditEvent.objects.get(act="dataset_exported").actor == keeper
    stranger = person(Role.DATA_MANAGER, InstitutionFactory())
    with pytest.raises(CommandError, match="this person may not see it"):
        call_command("export_dataset", 1, by=stranger.username, out=tmp_path / "not")
    assert not (tmp_path / "not").exists()

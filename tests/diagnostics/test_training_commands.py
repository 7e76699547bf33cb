"""``freeze_dataset`` and ``train`` do what the pages do, and refuse by the same sentences."""

import pytest
from django.core.management import CommandError, call_command

from diagnostics.models import DatasetVersion, TrainingRun
from diagnostics.scans.access import Role
from tests.diagnostics.test_datasets import enough, keeper, north, own_files  # noqa: F401 - fixtures
from tests.factories import InstitutionFactory, person

pytestmark = pytest.mark.django_db


def freeze(by, **options):
    call_command("freeze_dataset", institution=["north"], by=by.username, **options)


def test_freeze_plans_without_a_trace_and_then_freezes(north, keeper, capsys):  # noqa: F811
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
        ({}, "Nothing is labelled yet"),
    ],
)
def test_freeze_refuses_by_a_sentence(north, keeper, options, sentence):  # noqa: F811
    with pytest.raises(CommandError, match=sentence):
        call_command("freeze_dataset", **{"institution": ["north"], "by": keeper.username, **options})


def test_train_here_runs_in_this_process_and_tells_how_it_ended(north, keeper, monkeypatch, capsys):  # noqa: F811
    fitting = pytest.importorskip("diagnostics.training.fitting")
    from diagnostics.training import work

    def failing(run_id):
        run = work.claim(run_id)
        work.fail(run_id=run.pk, fence=run.fence, sentence="The disk was full.")

    monkeypatch.setattr(fitting, "fit", failing)
    enough(north)
    freeze(keeper)
    with pytest.raises(CommandError, match="The disk was full."):
        call_command("train", by=keeper.username, here=True, epochs=3)
    run = TrainingRun.objects.get()
    assert (run.config["epochs"], run.created_by) == (3, keeper)
    assert "Training run 1 on dataset v1." in capsys.readouterr().out


def test_train_on_a_foreign_dataset_finds_none(north, keeper):  # noqa: F811
    enough(north)
    freeze(keeper)
    stranger = person(Role.DATA_MANAGER, InstitutionFactory())
    with pytest.raises(CommandError, match="no such dataset"):
        call_command("train", by=stranger.username, dataset=1)

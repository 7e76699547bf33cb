"""Start a training, stop it, and say why it cannot start. What workers do to the row stands in ``run_state``."""

from collections import Counter
from collections.abc import Mapping

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.actors import Actor
from diagnostics.datasets.models import DatasetVersion
from diagnostics.errors import Conflict
from diagnostics.registry import services as registry
from diagnostics.registry.numbering import create_numbered
from diagnostics.scans.access import Permission, may, require
from mlcore.data.labels import NO_TUMOUR, TUMOUR, finding_of, leaves_for

from .models import ACTIVE, TrainingRun, TrainingState
from .planning import unchanged
from .queries import unjudged
from .recipe import NotTrainable, checked
from .run_state import LostLease, Step, claim, due, ended, fail, note, progress, renew, stopped, succeed

__all__ = [
    "AnotherRunning",
    "LostLease",
    "NotTrainable",
    "NothingToCancel",
    "Step",
    "Unchanged",
    "active",
    "rerun",
    "cancel",
    "claim",
    "due",
    "fail",
    "progress",
    "queue",
    "renew",
    "stopped",
    "succeed",
    "unjudged",
    "what_is_missing",
    "blocking_reason",
]


class AnotherRunning(Conflict):
    """Only one training may wait or run at a time; ``str()`` says which one does."""

    code = "another_running"


class NothingToCancel(Conflict):
    """The run has ended already."""

    code = "nothing_to_cancel"


class Unchanged(NotTrainable):
    """Nothing is new since the model in use was trained."""

    code = "unchanged"


def queue(*, by: Actor, dataset: DatasetVersion, config: Mapping[str, object], anyway: bool = False) -> TrainingRun:
    """Queue a training run.

    Parameters
    ----------
    by
        Must be allowed to train in every institution of the dataset.
    dataset
        A frozen version.
    config
        Some of the settings of ``recipe.HYPERPARAMETERS``; the others get their default.
    anyway
        Also where nothing has changed since the model in use was trained.

    Raises
    ------
    NotAllowed
        ``by`` may not train on this dataset.
    Unchanged
        Nothing is new in it.
    NotTrainable
        A setting or the dataset is not such that a model could come of it.
    AnotherRunning
        A training is queued or running already.
    """
    for institution in dataset.institutions.all():
        require(by, Permission.TRAIN, institution)
    require(by, Permission.TRAIN)
    recipe = checked(config)
    lacking = what_is_missing(dataset)
    if lacking:
        raise NotTrainable(lacking)
    stale = "" if anyway else unchanged(by, dataset)
    if stale:
        raise Unchanged(stale)
    recipe["warm_start"] = _warm_start(dataset, recipe) if recipe["warm_start"] else None
    return _queued(by, dataset, recipe)


def rerun(*, by: Actor, run: TrainingRun) -> TrainingRun:
    """Queue a run once more: the same dataset, the same recipe, the same beginning. Its report will say how far the
    two models are apart.

    Raises
    ------
    NotAllowed
        ``by`` may not train on its dataset.
    NotTrainable
        The run has not ended yet.
    AnotherRunning
        A training is queued or running already.
    """
    for institution in run.dataset.institutions.all():
        require(by, Permission.TRAIN, institution)
    require(by, Permission.TRAIN)
    if run.state in ACTIVE and active() == run:
        raise NotTrainable(
            gettext_lazy("%(capital)s has not ended yet. Repeat it when it has."), {"capital": _capital(run)}
        )
    return _queued(by, run.dataset, dict(run.config), repeats=run)


def _queued(
    by: Actor, dataset: DatasetVersion, recipe: dict[str, object], repeats: TrainingRun | None = None
) -> TrainingRun:
    with transaction.atomic():
        try:
            with transaction.atomic():
                run: TrainingRun = create_numbered(
                    TrainingRun,
                    dataset=dataset,
                    config=recipe,
                    code_revision=settings.CODE_REVISION,
                    repeats=repeats,
                    created_by=by,
                )
        except IntegrityError as error:
            # The constraint is the judge: two who press at the same instant get one run and one sentence.
            other = active()
            if other is None:
                raise
            raise AnotherRunning(_occupied(by, other)) from error
        known = {name: value for name, value in recipe.items() if value is not None}
        note(run, "training_queued", by=by, dataset=dataset.pk, repeats=repeats and repeats.number, **known)
    return run


def blocking_reason(*, by: Actor, dataset: DatasetVersion, anyway: bool = False) -> str:
    """Why ``by`` cannot start a training on this dataset now, as a sentence; empty where they can."""
    if not all(may(by, Permission.TRAIN, institution) for institution in dataset.institutions.all()):
        return _("Training on this dataset needs the role data manager or administrator in each of its institutions.")
    other = active()
    if other is not None:
        return _occupied(by, other)
    return what_is_missing(dataset) or ("" if anyway else unchanged(by, dataset))


def what_is_missing(dataset: DatasetVersion) -> str:
    """What this dataset lacks to be trained on, as a sentence; empty where nothing."""
    capital = _capital(dataset)
    if dataset.frozen_at is None:
        return _("%(dataset)s is not frozen.") % {"dataset": capital}
    there = Counter(dataset.items.values_list("split", "label"))
    if not there:
        return _("%(dataset)s has no labelled scans. Freeze a dataset that has some.") % {"dataset": capital}
    have = {(split, finding_of(label)) for split, label in there}
    for part in ("train", "validation", "test"):
        for finding in (TUMOUR, NO_TUMOUR):
            if (part, finding) not in have:
                return _lacks(part, finding) % {"dataset": capital}
    return ""


def _lacks(part: str, finding: str) -> str:
    """That a part holds no scan of this finding: whole sentences, since languages build them differently."""
    return {
        ("train", TUMOUR): _("%(dataset)s has no training scan with a tumour. Freeze a larger dataset."),
        ("train", NO_TUMOUR): _("%(dataset)s has no training scan without a tumour. Freeze a larger dataset."),
        ("validation", TUMOUR): _("%(dataset)s has no validation scan with a tumour. Freeze a larger dataset."),
        ("validation", NO_TUMOUR): _("%(dataset)s has no validation scan without a tumour. Freeze a larger dataset."),
        ("test", TUMOUR): _("%(dataset)s has no test scan with a tumour. Freeze a larger dataset."),
        ("test", NO_TUMOUR): _("%(dataset)s has no test scan without a tumour. Freeze a larger dataset."),
    }[part, finding]


def cancel(*, by: Actor, run: TrainingRun) -> TrainingRun:
    """Cancel a run: a waiting one at once, a running one within seconds.

    Raises
    ------
    NotAllowed
        ``by`` may not train on its dataset.
    NothingToCancel
        The run has ended.
    """
    for institution in run.dataset.institutions.all():
        require(by, Permission.TRAIN, institution)
    require(by, Permission.TRAIN)
    now = timezone.now()
    with transaction.atomic():
        rows = TrainingRun.objects.filter(pk=run.pk)
        waiting = rows.filter(state=TrainingState.QUEUED).update(
            state=TrainingState.CANCELLED, cancel_requested_at=now, **ended(now)
        )
        running = not waiting and rows.filter(state=TrainingState.RUNNING, cancel_requested_at=None).update(
            cancel_requested_at=now, updated_at=now
        )
        run.refresh_from_db()
        if waiting or running:
            note(run, "training_cancelled", by=by)
        elif run.state not in ACTIVE:
            raise NothingToCancel(_over(run) % {"capital": _capital(run)})
    return run


def active() -> TrainingRun | None:
    """The run that waits or runs, if there is one."""
    return TrainingRun.objects.filter(active=True).select_related("dataset").first()


def _occupied(by: Actor, other: TrainingRun) -> str:
    if TrainingRun.objects.visible_to(by).filter(pk=other.pk).exists():
        words = {"number": other.number, "percent": f"{other.progress * 100:.0f}"}
        if other.state == TrainingState.QUEUED:
            return (
                _("Training run %(number)d is queued. Only one can run at a time. Wait for it, or cancel it.") % words
            )
        return (
            _(
                "Training run %(number)d is running (%(percent)s %% done). Only one can run at a time. Wait "
                "for it, or cancel it."
            )
            % words
        )
    return _("Another training is running. Only one can run at a time. Try again later.")


def _warm_start(dataset: DatasetVersion, recipe: Mapping[str, object]) -> str:
    """The id of the live model, whose weights can be the beginning."""
    live = registry.live()
    if live is None:
        raise NotTrainable(gettext_lazy("There is no live model to start from."))
    if live.architecture != recipe["architecture"]:
        raise NotTrainable(
            gettext_lazy(
                "The live model is a %(architecture)s, so a %(recipe)s cannot start from its weights. Choose "
                "the same network, or start from scratch."
            ),
            {"architecture": live.architecture, "recipe": recipe["architecture"]},
        )
    labels = list(dataset.items.filter(split="train").values_list("label", flat=True).distinct())
    if tuple(live.spec.get("leaves", ())) != leaves_for(labels):
        raise NotTrainable(
            gettext_lazy(
                "The live model has other labels than this dataset, so its weights cannot be used. Start from scratch."
            )
        )
    return str(live.pk)


def _over(run: TrainingRun) -> str:
    return {
        TrainingState.SUCCEEDED: _("%(capital)s has already produced a model."),
        TrainingState.FAILED: _("%(capital)s has already failed."),
        TrainingState.CANCELLED: _("%(capital)s has already been cancelled."),
    }[TrainingState(run.state)]


def _capital(row: object) -> str:
    words = str(row)
    return words[0].upper() + words[1:]

"""What a training would do, before anybody starts it: what is new, how even the labels are, how long it takes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from diagnostics.actors import Actor
from diagnostics.datasets.models import DatasetVersion
from diagnostics.registry import gate
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelVersion
from diagnostics.registry.queries import typeset

from .models import TrainingRun, TrainingState
from .recipe import DEFAULTS

# Seconds for one image once, on two cores: of the table in docs/seed-table.md and of the bundled model.
STATED_PACE = {"seed_cnn": 0.009, "residual": 0.013}
_RUNS_LOOKED_AT = 5
# Small sets are shown several times an epoch (mlcore.data.dataset.epoch_order).
_LEAST_IMAGES, _MOST_TIMES = 1000, 10


@dataclass(frozen=True)
class News:
    """How a dataset differs from that of the live model; ``base`` is None where that is not known."""

    base: DatasetVersion | None
    added: int = 0
    removed: int = 0
    relabelled: int = 0

    @property
    def nothing(self) -> bool:
        return self.base is not None and not (self.added or self.removed or self.relabelled)


@dataclass(frozen=True)
class TrainingPlan:
    """What a run on ``dataset`` would do now."""

    dataset: DatasetVersion
    live: ModelVersion | None
    news: News
    labels: dict[str, int]
    sources: dict[str, int]
    images: int
    seconds: int
    measured_on: list[int]
    tested: tuple[int, int] = (0, 0)
    asks: list[str] = field(default_factory=list)
    recipe: dict[str, Any] = field(default_factory=dict)

    @property
    def rarest(self) -> float | None:
        """How many scans of the commonest label there are for each of the rarest."""
        return max(self.labels.values()) / min(self.labels.values()) if self.labels else None


def plan(*, by: Actor, dataset: DatasetVersion, recipe: Mapping[str, Any] | None = None) -> TrainingPlan:
    """Work out what a run would do, and change nothing. What stands against it: ``services.blocking_reason``."""
    wanted = {**DEFAULTS, **(recipe or {})}
    train = dataset.items.filter(split="train")
    labels = Counter(train.values_list("label", flat=True))
    images = sum(labels.values())
    seconds, measured_on = _time(wanted, images)
    return TrainingPlan(
        dataset=dataset,
        live=registry.live(),
        news=news(by, dataset),
        labels=dict(labels.most_common()),
        sources=dict(Counter(train.values_list("label_source", flat=True)).most_common()),
        images=images,
        seconds=seconds,
        measured_on=measured_on,
        tested=_tested(dataset),
        asks=what_the_gate_asks(),
        recipe=wanted,
    )


def news(by: Actor, dataset: DatasetVersion) -> News:
    """What is new in ``dataset`` since the live model was trained, as far as ``by`` may know."""
    live = registry.live()
    run = TrainingRun.objects.visible_to(by).filter(produced=live).select_related("dataset").first() if live else None
    if run is None:
        return News(None, added=dataset.items.count())
    base = run.dataset
    if base.pk == dataset.pk:
        return News(base)
    there = base.items.filter(scan=OuterRef("scan"))
    known = dataset.items.filter(Exists(there)).count()
    same = dataset.items.filter(Exists(there.filter(label=OuterRef("label")))).count()
    return News(base, dataset.items.count() - known, base.items.count() - known, known - same)


def unchanged(by: Actor, dataset: DatasetVersion) -> str:
    """Why another training would learn nothing new, as a sentence; empty where it could."""
    found = news(by, dataset)
    if not found.nothing:
        return ""
    if found.base == dataset:
        return _(
            "Nothing has changed: the live model was trained on this dataset. Read more cases and freeze a new "
            "version, or train anyway with other settings."
        )
    return _(
        "Nothing has changed: the live model was trained on %(base)s, which has the same scans and labels. "
        "Read more cases and freeze a new version, or train anyway with other settings."
    ) % {"base": found.base}


def _tested(dataset: DatasetVersion) -> tuple[int, int]:
    """How many scans the test part has, in how many groups."""
    test = dataset.items.filter(split="test")
    return test.count(), test.values("group").distinct().count()


def what_the_gate_asks() -> list[str]:
    """The rules by which the candidate will be judged, declared before it is trained, as sentences."""
    rules = gate.rules_of(gate.current_rules())
    return [
        _("At least %(scans)d test scans in %(groups)d groups.")
        % {"scans": rules.least_scans, "groups": rules.least_groups},
        _("Accuracy at most %(accuracy)s and AUROC at most %(auroc)s below the live model.")
        % {"accuracy": typeset(f"{rules.accuracy_margin:g}"), "auroc": typeset(f"{rules.auroc_margin:g}")},
        _("No label's sensitivity more than %(margin)s below, judged from %(n)d scans of that label.")
        % {"margin": typeset(f"{rules.sensitivity_margin:g}"), "n": rules.least_of_class},
        _("A calibration error of at most %(limit)s.") % {"limit": typeset(f"{rules.calibration_limit:g}")}
        if rules.calibration_margin < 0
        else _("A calibration error of at most %(limit)s, or at most %(margin)s above the live model.")
        % {"limit": typeset(f"{rules.calibration_limit:g}"), "margin": typeset(f"{rules.calibration_margin:g}")},
    ]


def _time(recipe: Mapping[str, Any], images: int) -> tuple[int, list[int]]:
    """Seconds that a run may take at most, and the numbers of the runs by whose pace that was reckoned."""
    architecture = str(recipe["architecture"])
    ended = (
        TrainingRun.objects.filter(
            state=TrainingState.SUCCEEDED, config__architecture=architecture, started_at__isnull=False, attempts=1
        )
        .select_related("dataset")
        .order_by("-number")[:_RUNS_LOOKED_AT]
    )
    paces, numbers = [], []
    for run in ended:
        shown = _shown(run.dataset.counts.get("by_split", {}).get("train", 0)) * len(run.epochs)
        if shown and run.finished_at and run.started_at:
            paces.append((run.finished_at - run.started_at).total_seconds() / shown)
            numbers.append(run.number)
    pace = median(paces) if paces else STATED_PACE.get(architecture, max(STATED_PACE.values()))
    return round(pace * _shown(images) * int(recipe["epochs"])), numbers


def _shown(images: int) -> int:
    """How many images an epoch shows of a training part of this size."""
    return images * min(max(_LEAST_IMAGES // images, 1), _MOST_TIMES) if images else 0

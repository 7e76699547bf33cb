"""What a person may see of models and of the runs that made them."""

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from diagnostics.actors import Actor
from diagnostics.registry import gate
from diagnostics.registry import services as registry
from diagnostics.registry.models import GateResult, ModelState, ModelVersion

from .models import TrainingRun


def models_for(user: Actor) -> QuerySet[ModelVersion]:
    """All model versions with ``details_open`` on each: whether ``user`` may read its card, spec and whole report.

    Those count the scans of every institution that took part in its training; a model that came with the software, or
    whose dataset ``user`` may see, is open. That somebody may see models at all is for the caller to require.
    """
    theirs = TrainingRun.objects.visible_to(user).values("pk")
    foreign = TrainingRun.objects.filter(produced=OuterRef("pk")).exclude(pk__in=theirs)
    return ModelVersion.objects.annotate(details_open=~Exists(foreign))


def details_are_open(user: Actor, version: ModelVersion) -> bool:
    """Whether ``user`` may read what counts the scans of every institution that took part: card, gate's numbers."""
    theirs = TrainingRun.objects.visible_to(user).values("pk")
    return not TrainingRun.objects.filter(produced=version).exclude(pk__in=theirs).exists()


NEWEST = 3


def unjudged() -> list[Any]:
    """The candidates trained here of which the gate has said nothing against the model in use, by the rules of now.

    The newest few only: whoever wants an older one back sees that its verdict is of another time.
    """
    live = registry.live()
    if live is None:
        return []
    said = GateResult.objects.filter(version=OuterRef("pk"), live=live, rules=gate.current_rules())
    waiting = ModelVersion.objects.filter(
        state__in=[ModelState.CANDIDATE, ModelState.CHALLENGER], training_run__isnull=False
    )
    newest = waiting.order_by("-number").values_list("pk", flat=True)[:NEWEST]
    return list(ModelVersion.objects.filter(~Exists(said), pk__in=list(newest)).values_list("pk", flat=True))

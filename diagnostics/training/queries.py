"""What a person may see of models and of the runs that made them."""

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from diagnostics.registry.models import ModelVersion

from .models import TrainingRun


def models_for(user: Any) -> QuerySet[ModelVersion]:
    """All model versions with ``details_open`` on each: whether ``user`` may read its card, spec and whole report.

    Those count the scans of every institution that took part in its training; a model that came with the software, or
    whose dataset ``user`` may see, is open. That somebody may see models at all is for the caller to require.
    """
    theirs = TrainingRun.objects.visible_to(user).values("pk")
    foreign = TrainingRun.objects.filter(produced=OuterRef("pk")).exclude(pk__in=theirs)
    return ModelVersion.objects.annotate(details_open=~Exists(foreign))

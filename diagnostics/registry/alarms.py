"""A model whose files are damaged: who stands in meanwhile, and how long that has gone on."""

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from diagnostics.audit.services import record

from .models import ModelAlarm, ModelVersion


def standing_alarms() -> QuerySet[ModelAlarm]:
    """The alarms that stand now."""
    return ModelAlarm.objects.filter(ended_at__isnull=True)


def open_alarm() -> ModelAlarm | None:
    """The alarm that stands now, the newest of several."""
    return standing_alarms().select_related("version", "stand_in").first()


def raise_alarm(*, version: ModelVersion, stand_in: ModelVersion | None) -> ModelAlarm:
    """A worker could not load ``version``; ``stand_in`` serves meanwhile. Raised by every worker, it stands once."""
    with transaction.atomic():
        standing = ModelAlarm.objects.filter(version=version, ended_at__isnull=True).first()
        if standing is not None:
            if standing.stand_in_id != (stand_in.pk if stand_in is not None else None):
                ModelAlarm.objects.filter(pk=standing.pk).update(stand_in=stand_in)
            return standing
        try:
            with transaction.atomic():
                raised = ModelAlarm.objects.create(version=version, stand_in=stand_in)
        except IntegrityError:
            return ModelAlarm.objects.get(version=version, ended_at__isnull=True)
        record(
            by=None,
            act="model_damaged",
            target=version,
            number=version.number,
            stand_in=stand_in.number if stand_in is not None else "none",
        )
    return raised


def end_alarm(version: ModelVersion) -> bool:
    """The model loads again; whether an alarm stood."""
    with transaction.atomic():
        ended = ModelAlarm.objects.filter(version=version, ended_at__isnull=True).update(ended_at=timezone.now())
        if ended:
            record(by=None, act="model_whole_again", target=version, number=version.number)
    return bool(ended)

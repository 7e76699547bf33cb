"""Freeze what is labelled now into a dataset version: a manifest with a hash, split so that nothing leaks."""

from collections.abc import Sequence
from typing import Unpack

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.errors import Conflict
from diagnostics.registry.numbering import create_numbered
from diagnostics.scans.models import Institution
from diagnostics.webhooks import events
from diagnostics.webhooks.models import EventType

from . import manifests
from .manifests import ManifestDamaged, manifest
from .models import DatasetItem, DatasetVersion
from .planning import Plan, Wanted, newest, plan

__all__ = ["ManifestDamaged", "NotFreezable", "Plan", "PlanChanged", "freeze", "manifest", "plan"]


class NotFreezable(Conflict):
    """No dataset version can be made of what is there; ``str()`` says what is missing."""

    code = "not_freezable"


class PlanChanged(NotFreezable):
    """What freezing would make now is not what was looked at."""


def freeze(*, by: Actor, seen: str | None = None, **wanted: Unpack[Wanted]) -> DatasetVersion:
    """Make a dataset version of every scan that has a label that may train.

    Parameters
    ----------
    by
        Must be allowed to freeze datasets in each institution.
    seen
        The ``sha256`` of the plan that somebody looked at, where that is what shall be frozen.
    **wanted
        The fields of :class:`~diagnostics.datasets.planning.FreezeRequest`.

    Raises
    ------
    NotFreezable
        With a sentence that says what is missing.
    PlanChanged
        Somebody has read a case since, or something else was chosen.
    NotAllowed
        ``by`` may not freeze a dataset in one of the institutions.
    """
    # Comparing thousands of scans takes seconds, in which nobody's writes should wait. So the plan is made first, and
    # made again if another version of the lineage came between.
    for _attempt in range(3):
        planned = plan(by=by, **wanted)
        if planned.problem:
            raise NotFreezable(planned.problem)
        if seen is not None and planned.sha256 != seen:
            raise PlanChanged(gettext_lazy("The plan below is new. Check it, then freeze."))
        key = manifests.keep(planned.manifest)
        with transaction.atomic():
            _lock(planned.institutions)
            if newest(planned.lineage, planned.institutions) == planned.last:
                return _write(by, planned, key)
    raise NotFreezable(gettext_lazy("Other datasets are being frozen. Try again in a minute."))


def _lock(institutions: Sequence[Institution]) -> None:
    """Make other freezes of these institutions wait until this transaction ends, and nobody else."""
    keys = [institution.pk for institution in institutions]
    list(Institution.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk").values_list("pk"))


def _write(by: Actor, planned: Plan, key: str) -> DatasetVersion:
    version: DatasetVersion = create_numbered(
        DatasetVersion,
        lineage=planned.lineage,
        seed=planned.seed,
        sha256=planned.sha256,
        manifest=key,
        counts=planned.counts,
        created_by=by,
        frozen_at=timezone.now(),
    )
    version.institutions.set(planned.institutions)
    DatasetItem.objects.bulk_create(
        (
            DatasetItem(
                dataset=version,
                scan_id=each.labelled.scan,
                read_id=each.labelled.read,
                label=each.labelled.label,
                label_source=each.labelled.source,
                group=each.group,
                split=each.part,
            )
            for each in planned.items
        ),
        batch_size=1000,
    )
    for institution in planned.institutions:
        record(
            by=by,
            act="dataset_frozen",
            target=version,
            institution=institution,
            number=version.number,
            sha256=version.sha256,
            items=planned.counts["by_institution"].get(institution.code, 0),
            excluded=planned.counts.get("excluded"),
        )
        events.tell(
            EventType.DATASET_FROZEN,
            subject=f"dataset:{version.pk}",
            institution=institution.pk,
            data={"dataset": version.pk, "number": version.number, "sha256": version.sha256},
        )
    return version

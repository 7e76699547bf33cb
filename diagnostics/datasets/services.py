"""Freeze what is labelled now into a dataset version: a manifest with a hash, split so that nothing leaks."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.errors import Conflict
from diagnostics.registry.numbering import create_numbered
from diagnostics.scans.access import Permission, require
from diagnostics.scans.models import Institution

from . import manifests, splits, statistics, validation
from .labelling import Labelled, by_readers, former_test_items, labelled
from .manifests import ManifestDamaged, manifest
from .models import DatasetItem, DatasetVersion, Split
from .regions import regions_of
from .splits import Planned

__all__ = ["ManifestDamaged", "NotFreezable", "Plan", "PlanChanged", "freeze", "manifest", "plan"]


class NotFreezable(Conflict):
    """No dataset version can be made of what is there; ``str()`` says what is missing."""

    code = "not_freezable"


class PlanChanged(NotFreezable):
    """What freezing would make now is not what was looked at."""


@dataclass(frozen=True)
class Plan:
    """What freezing would make now. ``problem`` says why it cannot be done, where it cannot."""

    institutions: list[Institution]
    lineage: str
    seed: int
    items: list[Planned] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    manifest: bytes = b""
    last: DatasetVersion | None = None
    problem: str = ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.manifest).hexdigest()


def plan(
    *,
    by: Actor,
    institutions: Sequence[Institution],
    seed: int = 0,
    lineage: str = "main",
    include_imported: bool = True,
    include_demo: bool = False,
    exclude_readers: Sequence[Any] = (),
    exclude_institutions: Sequence[Institution] = (),
) -> Plan:
    """Work out what freezing would make, and change nothing; parameters as of :func:`freeze`.

    Raises
    ------
    NotAllowed
        ``by`` may not freeze a dataset in one of the institutions.
    """
    for institution in institutions:
        require(by, Permission.FREEZE_DATASET, institution)
    lineage = lineage.strip() or "main"
    places = sorted(institutions, key=lambda each: each.code)
    bare = Plan(places, lineage, seed)
    if not places:
        return _with(bare, problem=_("Choose at least one institution."))
    if not 0 <= seed <= 2**31 - 1:
        return _with(bare, problem=_("The seed must be a whole number from 0 to 2147483647."))
    if len(lineage) > 40:
        return _with(bare, problem=_("A lineage name can have at most 40 characters."))
    found, left_out = labelled(by=by, institutions=places, imported=include_imported, demo=include_demo)
    try:
        dealt = splits.assign(found, former_test_items(lineage), _history(lineage), seed=seed)
    except ValueError as error:
        problem = _("The scans cannot be compared: %(error)s") % {"error": error}
        return _with(bare, problem=problem)
    # Excluded only now that all are dealt: whoever stays has the same group and part as if nobody had been excluded.
    excluded = by_readers(exclude_readers, places)
    abroad = {place.pk for place in exclude_institutions}
    stays = [item.scan not in excluded and item.institution not in abroad for item in found]
    items = [
        Planned(item, group, part)
        for item, group, part, stay in zip(found, dealt.groups, dealt.parts, stays, strict=True)
        if stay and part is not None
    ]
    left_out["excluded"] = stays.count(False)
    left_out["held_back"] = sum(part is None and stay for part, stay in zip(dealt.parts, stays, strict=True))
    counts = statistics.counts(items, places, left_out)
    counts |= statistics.conflicts([[found[i] for i in inside if stays[i]] for inside in dealt.conflicts])
    if excluded or abroad:
        counts["excluded"] = statistics.named(exclude_readers, exclude_institutions)
    regions = regions_of((each.labelled.read for each in items), places)
    counts["regions"] = sum(len(each) for each in regions.values())
    last = _newest(lineage, places)
    counts["difference"] = statistics.difference(items, last, places)
    kept = [place for place in places if place.pk not in abroad]
    made = _with(
        bare, institutions=kept, items=items, counts=counts, manifest=manifests.written(items, regions), last=last
    )
    # What is left decides whether anything can be learned from it.
    left = [(item, group) for item, group, stay in zip(found, dealt.groups, stays, strict=True) if stay]
    return _with(made, problem=_problem(made, [item for item, _ in left], [group for _, group in left], left_out))


def freeze(
    *,
    by: Actor,
    institutions: Sequence[Institution],
    seed: int = 0,
    lineage: str = "main",
    include_imported: bool = True,
    include_demo: bool = False,
    exclude_readers: Sequence[Any] = (),
    exclude_institutions: Sequence[Institution] = (),
    seen: str | None = None,
) -> DatasetVersion:
    """Make a dataset version of every scan that has a label that may train.

    Parameters
    ----------
    by
        Must be allowed to freeze datasets in each institution.
    institutions
        Whose scans.
    seed
        Of the split.
    lineage
        Versions of one lineage share a test part; another name begins a new one.
    include_imported
        Whether labels that came with imported folders count where nobody has read the scan.
    include_demo
        Whether synthetic phantoms count.
    exclude_readers
        Leave out every scan in whose label one of these had a hand.
    exclude_institutions
        Leave out the scans of these, which must be among ``institutions``: all are dealt together first, so the lines
        of the others are those that they have without the exclusion, byte for byte.
    seen
        The ``sha256`` of the plan that somebody looked at, where that is what shall be frozen.

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
        planned = plan(
            by=by,
            institutions=institutions,
            seed=seed,
            lineage=lineage,
            include_imported=include_imported,
            include_demo=include_demo,
            exclude_readers=exclude_readers,
            exclude_institutions=exclude_institutions,
        )
        if planned.problem:
            raise NotFreezable(planned.problem)
        if seen is not None and planned.sha256 != seen:
            raise PlanChanged(gettext_lazy("The plan below is new. Check it, then freeze."))
        key = manifests.keep(planned.manifest)
        with transaction.atomic():
            _lock(planned.institutions)
            if _newest(planned.lineage, planned.institutions) == planned.last:
                return _write(by, planned, key)
    raise NotFreezable(gettext_lazy("Other datasets are being frozen. Try again in a minute."))


def _lock(institutions: Sequence[Institution]) -> None:
    """Make other freezes of these institutions wait until this transaction ends, and nobody else."""
    keys = [institution.pk for institution in institutions]
    list(Institution.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk").values_list("pk"))


def _with(planned: Plan, **changes: Any) -> Plan:
    return Plan(**{**planned.__dict__, **changes})


def _history(lineage: str) -> splits.History:
    rows = (
        DatasetItem.objects.filter(dataset__lineage=lineage)
        .order_by("dataset__number", "id")
        .values_list("scan_id", "split", "scan__institution_id")
    )
    test, decided, places = set(), {}, set()
    for scan, part, place in rows.iterator(chunk_size=5000):
        places.add(place)
        if part == Split.TEST:
            test.add(scan)
        else:
            decided[scan] = part
    return splits.History(frozenset(test), decided, frozenset(places))


def _newest(lineage: str, institutions: Sequence[Institution]) -> DatasetVersion | None:
    """The newest version of the lineage in which any of the institutions took part."""
    number = DatasetVersion.objects.filter(lineage=lineage, institutions__in=institutions).aggregate(
        last=Max("number")
    )["last"]
    return DatasetVersion.objects.filter(number=number).first()


def _problem(planned: Plan, found: Sequence[Labelled], groups: Sequence[str], left_out: Counter[str]) -> str:
    """Why this plan cannot be frozen, as a sentence, or nothing."""
    names = [institution.name for institution in planned.institutions]
    return (
        validation.in_groups(found, groups, left_out, names)
        or validation.in_parts(planned.lineage, planned.items)
        or validation.in_former(planned.lineage, planned.sha256)
    )


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
    return version

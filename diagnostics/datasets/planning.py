"""What freezing a dataset would make now: which scans, in which part, and why it cannot be done where it cannot."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypedDict, Unpack

from django.db.models import Max
from django.utils.translation import gettext as _

from diagnostics.actors import Actor
from diagnostics.scans.access import Permission, require
from diagnostics.scans.models import Institution

from . import manifests, splits, statistics, validation
from .labelling import Labelled, by_readers, former_test_items, labelled
from .models import DatasetItem, DatasetVersion, Split
from .regions import regions_of
from .splits import Planned

MOST_SEED = 2**31 - 1
MOST_LINEAGE = 40  # characters


class Wanted(TypedDict, total=False):
    """The fields of a :class:`FreezeRequest`, as the doors pass them on."""

    institutions: Sequence[Institution]
    seed: int
    lineage: str
    include_imported: bool
    include_demo: bool
    exclude_readers: Sequence[Any]
    exclude_institutions: Sequence[Institution]


@dataclass(frozen=True)
class FreezeRequest:
    """What somebody wants to see planned, or frozen.

    Attributes
    ----------
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
        Leave out the scans of these, which must be among ``institutions``: all are split together first, so the lines
        of the others are those that they have without the exclusion, byte for byte.
    """

    institutions: Sequence[Institution]
    seed: int = 0
    lineage: str = "main"
    include_imported: bool = True
    include_demo: bool = False
    exclude_readers: Sequence[Any] = ()
    exclude_institutions: Sequence[Institution] = ()

    @cached_property
    def places(self) -> list[Institution]:
        """The institutions in their order."""
        return sorted(self.institutions, key=lambda each: each.code)

    @cached_property
    def left_out_places(self) -> set[object]:
        return {place.pk for place in self.exclude_institutions}

    @property
    def problem(self) -> str:
        """What is wrong with the request itself, as a sentence, or nothing."""
        if not self.places:
            return _("Choose at least one institution.")
        if not 0 <= self.seed <= MOST_SEED:
            return _("The seed must be a whole number from 0 to 2147483647.")
        if len(self.lineage) > MOST_LINEAGE:
            return _("A lineage name can have at most 40 characters.")
        return ""


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


@dataclass(frozen=True)
class _Divided:
    """The labelled scans, each with its group and part; ``stays`` says which are not excluded.

    ``narrowed``: a reader who had a hand in a label, or an institution, is excluded.
    """

    found: Sequence[Labelled]
    split: splits.Dealt
    stays: list[bool]
    narrowed: bool

    def items(self) -> list[Planned]:
        rows = zip(self.found, self.split.groups, self.split.parts, self.stays, strict=True)
        return [Planned(item, group, part) for item, group, part, stays in rows if stays and part is not None]

    def remaining(self) -> list[tuple[Labelled, str]]:
        """Each scan that is not excluded, with its group."""
        rows = zip(self.found, self.split.groups, self.stays, strict=True)
        return [(item, group) for item, group, stays in rows if stays]

    def conflicts(self) -> list[list[Labelled]]:
        return [[self.found[i] for i in inside if self.stays[i]] for inside in self.split.conflicts]

    def held_back(self) -> int:
        return sum(part is None and stays for part, stays in zip(self.split.parts, self.stays, strict=True))


def plan(*, by: Actor, **wanted: Unpack[Wanted]) -> Plan:
    """Work out what freezing would make, and change nothing; ``wanted`` are the fields of :class:`FreezeRequest`.

    Raises
    ------
    NotAllowed
        ``by`` may not freeze a dataset in one of the institutions.
    """
    request = FreezeRequest(**wanted)
    request = replace(request, lineage=request.lineage.strip() or "main")
    for institution in request.institutions:
        require(by, Permission.FREEZE_DATASET, institution)
    bare = Plan(request.places, request.lineage, request.seed)
    if request.problem:
        return replace(bare, problem=request.problem)
    found, left_out = labelled(
        by=by, institutions=request.places, imported=request.include_imported, demo=request.include_demo
    )
    try:
        split = _split(request, found)
    except ValueError as error:
        return replace(bare, problem=_("The scans cannot be compared: %(error)s") % {"error": error})
    left_out["excluded"] = split.stays.count(False)
    left_out["held_back"] = split.held_back()
    made = _made(request, bare, split, left_out)
    # What is left decides whether anything can be learned from it.
    return replace(made, problem=_problem(made, split.remaining(), left_out))


def _split(request: FreezeRequest, found: Sequence[Labelled]) -> _Divided:
    """Split all that was found. What is excluded goes only afterwards: whoever stays has the same group and part as
    if nobody had been excluded."""
    history = _history(request.lineage)
    split = splits.assign(found, former_test_items(request.lineage), history, seed=request.seed)
    excluded = by_readers(request.exclude_readers, request.places)
    away = request.left_out_places
    stays = [item.scan not in excluded and item.institution not in away for item in found]
    return _Divided(found, split, stays, narrowed=bool(excluded or away))


def _made(request: FreezeRequest, bare: Plan, split: _Divided, left_out: Counter[str]) -> Plan:
    """The plan with its items, its manifest, and what is to be told of them."""
    items, places = split.items(), request.places
    regions = regions_of({each.labelled.read: each.labelled.image for each in items}, places)
    last = newest(request.lineage, places)
    counts = statistics.counts(items, places, left_out)
    counts |= statistics.conflicts(split.conflicts())
    if split.narrowed:
        counts["excluded"] = statistics.named(request.exclude_readers, request.exclude_institutions)
    counts["regions"] = sum(len(each) for each in regions.values())
    counts["difference"] = statistics.difference(items, last, places)
    return replace(
        bare,
        institutions=[place for place in places if place.pk not in request.left_out_places],
        items=items,
        counts=counts,
        manifest=manifests.written(items, regions),
        last=last,
    )


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


def newest(lineage: str, institutions: Sequence[Institution]) -> DatasetVersion | None:
    """The newest version of the lineage in which any of the institutions took part."""
    number = DatasetVersion.objects.filter(lineage=lineage, institutions__in=institutions).aggregate(
        last=Max("number")
    )["last"]
    return DatasetVersion.objects.filter(number=number).first()


def _problem(planned: Plan, remaining: Sequence[tuple[Labelled, str]], left_out: Counter[str]) -> str:
    """Why this plan cannot be frozen, as a sentence, or nothing."""
    found, groups = [item for item, _group in remaining], [group for _item, group in remaining]
    names = [institution.name for institution in planned.institutions]
    return (
        validation.in_groups(found, groups, left_out, names)
        or validation.in_parts(planned.lineage, planned.items)
        or validation.in_former(planned.lineage, planned.sha256)
    )

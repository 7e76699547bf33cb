"""Who stands together, and who goes to which part: nothing is parted, and what was test once never trains."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from mlcore.data.labels import contradict, finding_of
from mlcore.data.split import SPLITS, split_by_group
from mlcore.images import fingerprint

from .labelling import FormerTestItem, Labelled

FRACTIONS = (0.7, 0.15, 0.15)
# The share of each that is left where the test part stands already.
_WITHOUT_TEST = (0.7 / 0.85, 0.15 / 0.85, 0.0)


@dataclass(frozen=True)
class History:
    """What earlier versions of the lineage decided."""

    test: frozenset[uuid.UUID] = frozenset()
    parts: Mapping[uuid.UUID, str] = field(default_factory=dict)
    institutions: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Dealt:
    """The outcome: a part for each scan that is in, and how many had to stay out."""

    groups: list[str]
    parts: list[str | None]
    conflicts: list[list[int]]

    @property
    def held_back(self) -> int:
        return self.parts.count(None)


@dataclass(frozen=True)
class Planned:
    """One scan of a plan with its group and part."""

    labelled: Labelled
    group: str
    part: str


class _Union:
    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        a, b = self.root(i), self.root(j)
        if a != b:
            self._parent[max(a, b)] = min(a, b)


def assign(
    items: Sequence[Labelled], former_test_items: Sequence[FormerTestItem], history: History, *, seed: int
) -> Dealt:
    """Group by patient and likeness, and give every group its part.

    Raises
    ------
    ValueError
        A fingerprint is of another version.
    """
    known = {item.scan for item in items}
    everybody: list[Labelled | FormerTestItem] = [
        *items,
        *(former for former in former_test_items if former.scan not in known),
    ]
    alike = fingerprint.groups([each.fingerprint for each in everybody], [each.sha256 for each in everybody])
    roots = _together(everybody, alike)
    members: dict[int, list[int]] = defaultdict(list)
    for place, root in enumerate(roots):
        members[root].append(place)
    names = {root: "g-" + min(everybody[i].sha256 for i in inside)[:16] for root, inside in members.items()}
    parts = _parts(items, members, everybody, history, seed)
    return Dealt([names[root] for root in roots[: len(items)]], parts, _conflicts(items, alike))


def _together(everybody: Sequence[Labelled | FormerTestItem], alike: Sequence[int]) -> list[int]:
    union = _Union(len(everybody))
    first_alike: dict[int, int] = {}
    first_patient: dict[uuid.UUID, int] = {}
    for place, (each, group) in enumerate(zip(everybody, alike, strict=True)):
        union.join(first_alike.setdefault(group, place), place)
        union.join(first_patient.setdefault(each.patient, place), place)
    return [union.root(place) for place in range(len(everybody))]


def _parts(
    items: Sequence[Labelled],
    members: Mapping[int, Sequence[int]],
    everybody: Sequence[Labelled | FormerTestItem],
    history: History,
    seed: int,
) -> list[str | None]:
    """Give each item ``train``, ``validation``, ``test``, or None where it must stay out.

    The test part of a lineage is the set of scans drawn when their institution first took part. What belongs to a
    test group and is not of that set stays out: it may not train, and the test part must not change under the models
    that are compared on it.
    """
    parts: list[str | None] = [None] * len(items)
    anew: dict[int, list[int]] = {}
    refilled: dict[int, list[int]] = {}
    frozen: dict[int, str] = {}
    for root, inside in members.items():
        mine = [place for place in inside if place < len(items)]
        if not history.test.isdisjoint(everybody[place].scan for place in inside):
            _put_into_test(parts, items, mine, history)
            continue
        former = _former_part([items[place].scan for place in mine], history)
        if former is not None:
            frozen[root] = former
        known = former is not None or not history.institutions.isdisjoint(items[place].institution for place in mine)
        (refilled if known else anew)[root] = mine
    dealt = _dealt(items, anew, FRACTIONS, frozen, seed) | _dealt(items, refilled, _WITHOUT_TEST, frozen, seed)
    for place, part in dealt.items():
        parts[place] = part
    return parts


def _put_into_test(parts: list[str | None], items: Sequence[Labelled], mine: Sequence[int], history: History) -> None:
    for place in mine:
        if items[place].scan in history.test:
            parts[place] = "test"


def _former_part(scans: Sequence[uuid.UUID], history: History) -> str | None:
    """The part in which an earlier version of the lineage had a group of these scans; None where it is new."""
    former = {history.parts[scan] for scan in scans if scan in history.parts}
    if not former:
        return None
    return "train" if "train" in former else "validation"


def _dealt(
    items: Sequence[Labelled],
    groups: Mapping[int, Sequence[int]],
    fractions: tuple[float, float, float],
    frozen: Mapping[int, str],
    seed: int,
) -> dict[int, str]:
    """Deal whole groups, as finely stratified as leaves every part with both findings."""
    roots = _in_order_of_content(items, groups)
    members = [(number, place) for number, root in enumerate(roots) for place in groups[root]]
    if not members:
        return {}
    owners, places = [number for number, _place in members], [place for _number, place in members]
    decided = {number: frozen[root] for number, root in enumerate(roots) if root in frozen}
    findings = [finding_of(items[place].label) for place in places]
    wanted = set(product(_parts_filled(fractions), findings))
    split: list[str] = []
    for stratum in _STRATA:
        strata = [stratum(items[place]) for place in places]
        split = split_by_group(strata, owners, seed=seed, fractions=fractions, frozen=decided)
        if wanted <= set(zip(split, findings, strict=True)):
            break
    return dict(zip(places, split, strict=True))


def _parts_filled(fractions: tuple[float, float, float]) -> list[str]:
    return [part for part, share in zip(SPLITS, fractions, strict=True) if share]


def _in_order_of_content(items: Sequence[Labelled], groups: Mapping[int, Sequence[int]]) -> list[int]:
    """The groups in an order that no database decides, so that the same scans are dealt the same way anywhere."""
    return sorted(groups, key=lambda root: min(items[place].sha256 for place in groups[root]))


# From fine to coarse.
_STRATA: tuple[Callable[[Labelled], str], ...] = (
    lambda item: f"{item.institution}/{item.label}",
    lambda item: item.label,
    lambda item: finding_of(item.label),
)


def _conflicts(items: Sequence[Labelled], alike: Sequence[int]) -> list[list[int]]:
    """Give the items of every set of look-alikes whose labels cannot all be right."""
    sets: dict[int, list[int]] = defaultdict(list)
    for place in range(len(items)):
        sets[alike[place]].append(place)
    return [inside for inside in sets.values() if contradict(items[place].label for place in inside)]


def groups_by_finding(items: Sequence[Labelled], groups: Sequence[str]) -> Counter[str]:
    """Count the independent groups in which each finding occurs."""
    pairs = {(group, finding_of(item.label)) for item, group in zip(items, groups, strict=True)}
    return Counter(finding for _, finding in pairs)

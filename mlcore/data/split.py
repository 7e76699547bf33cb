"""Splits that part no group: what looks alike, or belongs to one patient, is on one side only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

SPLITS = ("train", "validation", "test")


def split_by_group(
    labels: Sequence[str],
    groups: Sequence[int],
    *,
    seed: int,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    frozen: Mapping[int, str] | None = None,
) -> list[str]:
    """Deal groups to `train`, `validation` and `test`, stratified by label.

    Parameters
    ----------
    labels : sequence of str
        What to stratify by, one per item; a group counts under its most frequent label.
    groups : sequence of int
        Group of each item; a group is never parted.
    seed : int
        Decides the order in which groups are dealt.
    fractions : (float, float, float)
        Share of items for each part; they sum to 1.
    frozen : mapping of int to str, optional
        Groups whose part is already decided, such as the test part of a lineage of models.

    Returns
    -------
    list of str
        A member of `SPLITS` per item.

    Raises
    ------
    ValueError
        For sequences of different length, fractions that do not sum to 1, or an unknown part in `frozen`.
    """
    if len(labels) != len(groups):
        raise ValueError(f"{len(labels)} labels came with {len(groups)} groups.")
    decided = dict(frozen or {})
    _check_parts(fractions, decided)
    strata = _strata(labels, groups)
    sizes = Counter(groups)
    chosen: dict[int, str] = {}
    for number, label in enumerate(sorted(strata)):
        order = np.random.default_rng((seed, number)).permutation(sorted(strata[label]))
        chosen.update(_deal([int(group) for group in order], sizes, fractions, decided))
    return [chosen[group] for group in groups]


def _check_parts(fractions: Sequence[float], decided: Mapping[int, str]) -> None:
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1.0) > 1e-6:
        raise ValueError("The three fractions must be 0 or more and sum to 1.")
    if not set(decided.values()) <= set(SPLITS):
        raise ValueError(f"A frozen part must be one of {', '.join(SPLITS)}.")


def _strata(labels: Sequence[str], groups: Sequence[int]) -> dict[str, list[int]]:
    """Give the groups by their most frequent label, the first in the alphabet of several as frequent."""
    members: dict[int, list[str]] = defaultdict(list)
    for label, group in zip(labels, groups, strict=True):
        members[group].append(label)
    strata: dict[str, list[int]] = defaultdict(list)
    for group, inside in members.items():
        commonest = max(sorted(set(inside)), key=Counter(inside).__getitem__)
        strata[commonest].append(group)
    return strata


def _deal(
    order: Sequence[int], sizes: Mapping[int, int], fractions: Sequence[float], decided: Mapping[int, str]
) -> dict[int, str]:
    """Deal the groups of one label; each goes where the largest share of what is wanted is still missing."""
    parts = _Parts(sum(sizes[group] for group in order), fractions)
    for group in order:
        if group in decided:
            parts.put(group, sizes[group], decided[group])
    free = [group for group in order if group not in decided]
    # With few groups the small parts would stay empty, and a part without a label cannot be measured.
    empty = parts.empty()
    if len(free) >= len(empty):
        for part in empty:
            smallest = min(free, key=sizes.__getitem__)
            free.remove(smallest)
            parts.put(smallest, sizes[smallest], part)
    for group in free:
        parts.put(group, sizes[group], parts.neediest(sizes[group]))
    return parts.chosen


class _Parts:
    """The three parts while the groups of one label are dealt: how many items each wants, and has."""

    def __init__(self, total: int, fractions: Sequence[float]) -> None:
        self.chosen: dict[int, str] = {}
        self._wanted = {part: total * share for part, share in zip(SPLITS, fractions, strict=True)}
        self._filled = dict.fromkeys(SPLITS, 0)

    def put(self, group: int, size: int, part: str) -> None:
        self.chosen[group] = part
        self._filled[part] += size

    def empty(self) -> list[str]:
        """Those that want items and have none."""
        return [part for part in SPLITS if self._wanted[part] > 0 and self._filled[part] == 0]

    def neediest(self, size: int) -> str:
        """The part that lacks the largest share of what it wants; where there are some, one with room for half."""
        missing = {part: wanted - self._filled[part] for part, wanted in self._wanted.items() if wanted > 0}
        roomy = {part: gap for part, gap in missing.items() if gap >= size / 2} or missing
        return max(roomy, key=lambda part: roomy[part] / self._wanted[part])

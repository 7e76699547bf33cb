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
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1.0) > 1e-6:
        raise ValueError("The three fractions must be 0 or more and sum to 1.")
    decided = dict(frozen or {})
    if not set(decided.values()) <= set(SPLITS):
        raise ValueError(f"A frozen part must be one of {', '.join(SPLITS)}.")
    members: dict[int, list[str]] = defaultdict(list)
    for label, group in zip(labels, groups, strict=True):
        members[group].append(label)
    strata: dict[str, list[int]] = defaultdict(list)
    for group, inside in members.items():
        commonest = max(sorted(set(inside)), key=Counter(inside).__getitem__)
        strata[commonest].append(group)
    sizes = {group: len(inside) for group, inside in members.items()}
    chosen: dict[int, str] = {}
    for number, label in enumerate(sorted(strata)):
        order = np.random.default_rng((seed, number)).permutation(sorted(strata[label]))
        chosen.update(_deal([int(group) for group in order], sizes, fractions, decided))
    return [chosen[group] for group in groups]


def _deal(
    order: Sequence[int], sizes: Mapping[int, int], fractions: Sequence[float], decided: Mapping[int, str]
) -> dict[int, str]:
    """Deal the groups of one label; each goes where the largest share of what is wanted is still missing."""
    total = sum(sizes[group] for group in order)
    wanted = {part: total * share for part, share in zip(SPLITS, fractions, strict=True)}
    filled = dict.fromkeys(SPLITS, 0)
    chosen: dict[int, str] = {}
    for group in order:
        if group in decided:
            chosen[group] = decided[group]
            filled[decided[group]] += sizes[group]
    free = [group for group in order if group not in chosen]
    # With few groups the small parts would stay empty, and a part without a label cannot be measured.
    empty = [part for part in SPLITS if wanted[part] > 0 and filled[part] == 0]
    if len(free) >= len(empty):
        for part in empty:
            smallest = min(free, key=sizes.__getitem__)
            free.remove(smallest)
            chosen[smallest] = part
            filled[part] += sizes[smallest]
    for group in free:
        missing = {part: wanted[part] - filled[part] for part in SPLITS if wanted[part] > 0}
        roomy = {part: gap for part, gap in missing.items() if gap >= sizes[group] / 2} or missing
        part = max(roomy, key=lambda each: roomy[each] / wanted[each])
        chosen[group] = part
        filled[part] += sizes[group]
    return chosen

"""Which of many small pictures are alike, at a cost that grows with their number and not with its square.

Two pictures that correlate highly lie near each other, and stay near in fewer numbers: the low frequencies, of which a
mirror image changes nothing but signs. A few dozen trees of random halvings (as of Dasgupta & Freund 2008, STOC) put
near ones into the same small leaf; within each leaf all are compared. What a tree parts, another keeps together: the
share of pairs that all of them part is measured in the tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_TREES, _LEAF = 24, 192
# Up to here everything is compared with everything, as one leaf.
_ALL_AT_ONCE = 1024
_FREQUENCIES = 6
_AT_ONCE = 1 << 14
_WHOLE_CLUSTER = 1024
# The four ways to turn a picture over, as signs of its four parts by symmetry.
_FLIPS = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], np.float32)


def pairs_above(pictures: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the pairs that correlate above a threshold, one of the two turned over where that helps.

    Parameters
    ----------
    pictures : numpy.ndarray, shape (N, s, s), dtype float32
        Each of mean 0 and norm 1 (or all 0), so that a product is a correlation; s is even.
    threshold : float
        Pearson correlation, -1 to 1.

    Returns
    -------
    numpy.ndarray, numpy.ndarray, numpy.ndarray
        i, j (int64, i < j) and the correlation (float32) of each pair, by i, then j. For up to 1,024 pictures these
        are all pairs there are; for more, pairs that every tree parts are missing.
    """
    count = max(len(pictures), 1)
    parts = by_symmetry(pictures)
    codes = np.unique(
        np.concatenate([_within_leaf(parts, leaf, threshold) for leaf in _leaves(_low_frequencies(parts))])
    )
    clusters = _within_clusters(len(pictures), codes // count, codes % count)
    return _exact(parts, np.union1d(codes, clusters), threshold)


def by_symmetry(pictures: np.ndarray) -> np.ndarray:
    """Part pictures (N, s, s) by their symmetry, float32 (N, 4, s²/4).

    Even and even, even across and odd down, odd across and even down, odd and odd. Products of pictures are sums over
    the parts, and turning a picture over changes the signs of two of them.
    """
    side = pictures.shape[1]
    half = side // 2
    left, right = pictures[:, :, :half], pictures[:, :, : half - 1 : -1]
    parts = []
    for across in (left + right, left - right):
        top, bottom = across[:, :half], across[:, : half - 1 : -1]
        parts += [top + bottom, top - bottom]
    return np.stack([part.reshape(len(pictures), half * half) / 2.0 for part in parts], axis=1)


def _low_frequencies(parts: np.ndarray) -> np.ndarray:
    """Give float32 (N, d) that are the same for a picture and its mirror images, and nearer than they are."""
    half = int(np.sqrt(parts.shape[2]))
    place = (np.arange(half) + 0.5) * np.pi / (2 * half)
    waves = []
    for odd in (0, 1):
        wave = np.cos((2 * np.arange(_FREQUENCIES)[:, None] + odd) * place) * np.sqrt(2.0 / half)
        if not odd:
            wave[0] = np.sqrt(1.0 / half)
        waves.append(wave)
    found = []
    for number, (across, down) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        table = np.kron(waves[down], waves[across]).astype(np.float32)
        numbers = parts[:, number] @ table.T
        found.append(np.abs(numbers) if number else numbers)
    return np.hstack(found)


def _leaves(low: np.ndarray) -> Iterator[np.ndarray]:
    """Give the leaves of all trees: the numbers of the pictures in each."""
    count = len(low)
    if count <= _ALL_AT_ONCE:
        yield np.arange(count)
        return
    depth = int(np.ceil(np.log2(count / _LEAF)))
    spread, directions = np.linalg.eigh(np.cov(low.T))
    spread = np.sqrt(np.maximum(spread, 0.0))
    for tree in range(_TREES):
        rng = np.random.default_rng((1, tree))
        # Equal pictures fall anywhere among each other, differently in each tree.
        order = rng.permutation(count)
        bounds = np.array([0, count])
        for _ in range(depth):
            # Where pictures differ most, a cut is least likely to part two that are alike.
            direction = directions @ (rng.standard_normal(len(spread)) * spread)
            along = low @ direction.astype(np.float32)
            node = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
            order = order[np.lexsort((along[order], node))]
            bounds = np.sort(np.concatenate((bounds, (bounds[:-1] + bounds[1:] + 1) // 2)))
        yield from np.split(order, bounds[1:-1])


def _within_leaf(parts: np.ndarray, leaf: np.ndarray, threshold: float) -> np.ndarray:
    """Give the pairs i * N + j with i < j of a leaf that correlate above the threshold."""
    members = np.sort(leaf)
    some = np.ascontiguousarray(parts[members].swapaxes(0, 1))
    both, down, across, odd = some @ some.swapaxes(1, 2)
    # The best of the four signs that a flip can give to the last three.
    best = both + np.maximum(odd + np.abs(down + across), np.abs(down - across) - odd)
    a, b = np.nonzero(np.triu(best > threshold, 1))
    return np.asarray(members[a] * len(parts) + members[b], dtype=np.int64)


def _exact(parts: np.ndarray, codes: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keep the pairs that truly correlate above the threshold."""
    kept, values = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for start in range(0, len(codes), _AT_ONCE):
        some = codes[start : start + _AT_ONCE]
        products = np.einsum("ncp,ncp->nc", parts[some // len(parts)], parts[some % len(parts)])
        best = (products @ _FLIPS.T).max(axis=1)
        kept.append(some[best > threshold])
        values.append(best[best > threshold])
    all_kept = np.concatenate(kept)
    return all_kept // max(len(parts), 1), all_kept % max(len(parts), 1), np.concatenate(values)


def _within_clusters(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Give all pairs i * N + j of each set of pictures that found pairs hold together, where it is no crowd.

    Copies of one picture are many pairs of which a tree may have parted some.
    """
    root = np.arange(count)
    # Every picture takes the least number among its neighbours until nothing changes; sets are small and near.
    while True:
        least = root.copy()
        np.minimum.at(least, first, root[second])
        np.minimum.at(least, second, root[first])
        least = least[least]
        if np.array_equal(least, root):
            break
        root = least
    order = np.argsort(root, kind="stable")
    found = [np.zeros(0, np.int64)]
    for inside in np.split(order, np.flatnonzero(np.diff(root[order])) + 1):
        if 2 < len(inside) <= _WHOLE_CLUSTER:
            members = np.sort(inside)
            a, b = np.triu_indices(len(members), 1)
            found.append(members[a] * count + members[b])
    return np.concatenate(found)

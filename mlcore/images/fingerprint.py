"""Near-duplicates: a small picture of the head, and groups of those that look alike.

Public sets are full of flipped, re-compressed and re-sized copies. A copy in the training part and its twin
in the test part make every metric a lie, so twins are found by what the picture shows and never parted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from mlcore.images.decode import to_display
from mlcore.images.decoded import Decoded
from mlcore.images.similarity import pairs_above

FINGERPRINT_VERSION = 1
SIDE = 32
LENGTH = SIDE * SIDE


def head_box(shown: np.ndarray) -> tuple[int, int, int, int]:
    """Find the head by rows and columns that are bright.

    Parameters
    ----------
    shown : numpy.ndarray, shape (H, W), dtype uint8
        As given by `to_display`.

    Returns
    -------
    tuple of int
        (x0, y0, x1, y1), the end excluded; the whole image where nothing stands out.
    """
    bright = shown > max(20, int(0.12 * np.percentile(shown, 99)))
    rows = np.flatnonzero(bright.mean(axis=1) > 0.04)
    columns = np.flatnonzero(bright.mean(axis=0) > 0.04)
    if len(rows) < 8 or len(columns) < 8:
        return 0, 0, shown.shape[1], shown.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def fingerprint(decoded: Decoded) -> bytes:
    """Give a small picture of the head that survives re-sizing, re-compression and other borders.

    Parameters
    ----------
    decoded : Decoded
        An image.

    Returns
    -------
    bytes
        `LENGTH` bytes: `SIDE` rows of `SIDE` 8-bit pixels of the cropped head.
    """
    shown = to_display(decoded, max_side=512)
    head = Image.fromarray(shown).crop(head_box(shown))
    return head.resize((SIDE, SIDE), Image.Resampling.BOX).tobytes()


def perceptual_hash(of: bytes) -> int:
    """Give 64 bits that are the same for a picture and, mostly, for its copies and mirror images.

    Parameters
    ----------
    of : bytes
        A fingerprint.

    Returns
    -------
    int
        Whether each of the 63 lowest frequencies of the cosine transform lies above their median (the usual pHash);
        of the four ways to turn the picture over the one with the least number.
    """
    waves = np.cos(np.pi * np.arange(8)[:, None] * (np.arange(SIDE) + 0.5) / SIDE)
    picture = np.frombuffer(of, dtype=np.uint8).reshape(SIDE, SIDE).astype(np.float64)
    found = waves @ picture @ waves.T
    # Turning over changes the sign of every odd wave.
    sign = np.where(np.arange(8) % 2, -1.0, 1.0)
    hashes = []
    for down in (np.ones(8), sign):
        for across in (np.ones(8), sign):
            turned = (found * down[:, None] * across).ravel()[1:]
            hashes.append(int.from_bytes(np.packbits(turned > np.median(turned)).tobytes(), "big"))
    return min(hashes)


def _standardised(fingerprints: Sequence[bytes]) -> np.ndarray:
    """Give float32 (N, SIDE, SIDE) with mean 0 and norm 1 each, so that a product is a correlation."""
    flat = np.frombuffer(b"".join(fingerprints), dtype=np.uint8).reshape(len(fingerprints), LENGTH)
    values = flat.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return (values / np.maximum(norms, 1e-6)).reshape(-1, SIDE, SIDE)


def twins(fingerprints: Sequence[bytes], *, threshold: float = 0.93) -> list[tuple[int, int, float]]:
    """Find the pairs that correlate above the threshold, flips included.

    Up to 1,024 images these are all there are. Beyond, `mlcore.images.similarity` searches at a cost that grows with
    the number of images; on 6,023 public slices it finds each of the 17,985
    pairs that a comparison of all with all finds.

    Parameters
    ----------
    fingerprints : sequence of bytes
        Each `LENGTH` long.
    threshold : float
        Pearson correlation of the two small pictures.

    Returns
    -------
    list of (int, int, float)
        (i, j, correlation) with i < j, the closest first.

    Raises
    ------
    ValueError
        Where a fingerprint has another length (another `FINGERPRINT_VERSION`).
    """
    if any(len(each) != LENGTH for each in fingerprints):
        raise ValueError(f"A fingerprint of version {FINGERPRINT_VERSION} is {LENGTH} bytes long.")
    first, second, correlation = pairs_above(_standardised(fingerprints), threshold)
    order = np.lexsort((second, first, -correlation))
    return list(
        zip(first[order].tolist(), second[order].tolist(), correlation[order].astype(float).tolist(), strict=True)
    )


def groups(
    fingerprints: Sequence[bytes],
    shas: Sequence[str],
    *,
    threshold: float = 0.93,
    largest: int | None = None,
) -> list[int]:
    """Group what is the same picture.

    Parameters
    ----------
    fingerprints : sequence of bytes
        One per item, each `LENGTH` long.
    shas : sequence of str
        SHA-256 of each item's file; the same file is always in the same group.
    threshold : float
        Correlation above which two items are twins (flips included).
    largest : int, optional
        Chains of ever so slightly different neighbours stop growing by similarity at this many items; by default
        a twentieth of all items, at least 50. The closest pairs are joined first.

    Returns
    -------
    list of int
        One group per item, numbered from 0 in the order of first appearance.

    Raises
    ------
    ValueError
        Where the two sequences differ in length, or a fingerprint is of another version.
    """
    if len(fingerprints) != len(shas):
        raise ValueError(f"{len(fingerprints)} fingerprints came with {len(shas)} hashes.")
    return grouped(twins(fingerprints, threshold=threshold), shas, largest=largest)


def grouped(pairs: Sequence[tuple[int, int, float]], shas: Sequence[str], *, largest: int | None = None) -> list[int]:
    """Group by pairs that `twins` found; otherwise as `groups`."""
    parent = list(range(len(shas)))
    size = [1] * len(shas)
    limit = largest if largest is not None else max(50, len(shas) // 20)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(i: int, j: int, limited: bool) -> None:
        a, b = root(i), root(j)
        if a == b or (limited and size[a] + size[b] > limit):
            return
        parent[b] = a
        size[a] += size[b]

    first: dict[str, int] = {}
    for i, sha in enumerate(shas):
        join(first.setdefault(sha, i), i, limited=False)
    for i, j, _ in pairs:
        join(i, j, limited=True)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(i), len(numbers)) for i in range(len(shas))]

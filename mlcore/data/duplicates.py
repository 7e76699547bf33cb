"""What in a folder of images is there twice: the same file, the same look, and twins whose labels contradict."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlcore.data.dataset import IMAGE_SUFFIXES, NotADataset
from mlcore.data.labels import contradict, label_from_folder
from mlcore.images.decode import decode
from mlcore.images.decoded import Refused
from mlcore.images.fingerprint import fingerprint, grouped, perceptual_hash, twins

THRESHOLD = 0.93


def duplicates(
    path: Path,
    *,
    threshold: float = THRESHOLD,
    on_refused: Callable[[Path, Refused], None] = lambda path, refused: None,
    on_read: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Look for the same picture twice in a folder and all below it.

    Parameters
    ----------
    path : Path
        A folder. The name of the folder that holds an image is its label, where it is one of a label.
    threshold : float
        Correlation of the cropped heads, flips included, above which two images are twins.
    on_refused : callable
        Called with each file that cannot be decoded; it is left out.
    on_read : callable
        Called with (files done, files in all) after each file.

    Returns
    -------
    dict
        JSON-able: `images`; `different`, the number of groups; `same_file`, `same_hash` and `alike`, the images that
        have an earlier one of the same bytes, the same perceptual hash, or in their group; `groups` of two or more,
        each a list of `file`, `label` (or None) and `hash`; `pairs` (`a`, `b`, `correlation`, `same_file`,
        `hash_distance` in bits of 63), the closest first; `conflicts`, those of the pairs whose labels contradict;
        `left_out`.

    Raises
    ------
    NotADataset
        Where the path is no folder, or holds no image.
    """
    if not path.is_dir():
        raise NotADataset(f"{path} is no folder.")
    files = sorted(each for each in path.rglob("*") if each.suffix.lower() in IMAGE_SUFFIXES and each.is_file())
    names, labels, prints, shas = [], [], [], []
    for done, file in enumerate(files, start=1):
        data = file.read_bytes()
        try:
            prints.append(fingerprint(decode(data)))
        except Refused as refused:
            on_refused(file, refused)
        else:
            names.append(file.relative_to(path).as_posix())
            labels.append(label_from_folder(file.parent.name))
            shas.append(hashlib.sha256(data).hexdigest())
        on_read(done, len(files))
    if not names:
        raise NotADataset(f"{path} holds no image that can be read.")
    alike = twins(prints, threshold=threshold)
    numbers = grouped(alike, shas)
    hashes = [perceptual_hash(each) for each in prints]
    members: dict[int, list[int]] = defaultdict(list)
    for i, number in enumerate(numbers):
        members[number].append(i)
    pairs = [
        {
            "a": names[i],
            "b": names[j],
            "correlation": round(correlation, 4),
            "same_file": shas[i] == shas[j],
            "hash_distance": (hashes[i] ^ hashes[j]).bit_count(),
        }
        for i, j, correlation in alike
    ]
    return {
        "images": len(names),
        "different": len(members),
        "same_file": len(names) - len(set(shas)),
        "same_hash": len(names) - len(set(hashes)),
        "alike": len(names) - len(members),
        "threshold": threshold,
        "groups": [
            [{"file": names[i], "label": labels[i], "hash": f"{hashes[i]:016x}"} for i in inside]
            for inside in members.values()
            if len(inside) > 1
        ],
        "pairs": pairs,
        "conflicts": [
            {**pair, "labels": [labels[i], labels[j]]}
            for pair, (i, j, _) in zip(pairs, alike, strict=True)
            if contradict(label for label in (labels[i], labels[j]) if label is not None)
        ],
        "left_out": len(files) - len(names),
    }

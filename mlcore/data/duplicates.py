"""What in a folder of images is there twice: the same file, the same look, and twins whose labels contradict."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    images, left_out = _read_all(path, on_refused, on_read)
    if not images:
        raise NotADataset(f"{path} holds no image that can be read.")
    alike = twins([each.fingerprint for each in images], threshold=threshold)
    groups = _groups(images, alike)
    pairs = [(images[i], images[j], correlation) for i, j, correlation in alike]
    return {
        "images": len(images),
        "different": len(groups),
        "same_file": len(images) - len({each.sha256 for each in images}),
        "same_hash": len(images) - len({each.hash for each in images}),
        "alike": len(images) - len(groups),
        "threshold": threshold,
        "groups": [[each.listed() for each in inside] for inside in groups if len(inside) > 1],
        "pairs": [_pair(*pair) for pair in pairs],
        "conflicts": _conflicts(pairs),
        "left_out": left_out,
    }


@dataclass(frozen=True)
class _Image:
    """One image of the folder, and by what it is compared with the others."""

    name: str
    label: str | None
    fingerprint: bytes
    hash: int
    sha256: str

    def listed(self) -> dict[str, Any]:
        return {"file": self.name, "label": self.label, "hash": f"{self.hash:016x}"}


def _read_all(
    path: Path, on_refused: Callable[[Path, Refused], None], on_read: Callable[[int, int], None]
) -> tuple[list[_Image], int]:
    """Read every image below a folder; give those that can be decoded, and how many cannot."""
    if not path.is_dir():
        raise NotADataset(f"{path} is no folder.")
    files = sorted(each for each in path.rglob("*") if each.suffix.lower() in IMAGE_SUFFIXES and each.is_file())
    images = []
    for done, file in enumerate(files, start=1):
        try:
            images.append(_image(file, file.relative_to(path).as_posix()))
        except Refused as refused:
            on_refused(file, refused)
        on_read(done, len(files))
    return images, len(files) - len(images)


def _image(file: Path, name: str) -> _Image:
    data = file.read_bytes()
    seen = fingerprint(decode(data))
    return _Image(
        name=name,
        label=label_from_folder(file.parent.name),
        fingerprint=seen,
        hash=perceptual_hash(seen),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _groups(images: Sequence[_Image], alike: Sequence[tuple[int, int, float]]) -> list[list[_Image]]:
    """Put together what is alike or of the same bytes; groups stand in the order of their first image."""
    members: dict[int, list[_Image]] = defaultdict(list)
    for image, number in zip(images, grouped(alike, [each.sha256 for each in images]), strict=True):
        members[number].append(image)
    return list(members.values())


def _conflicts(pairs: Sequence[tuple[_Image, _Image, float]]) -> list[dict[str, Any]]:
    return [
        {**_pair(a, b, correlation), "labels": [a.label, b.label]}
        for a, b, correlation in pairs
        if contradict(label for label in (a.label, b.label) if label is not None)
    ]


def _pair(a: _Image, b: _Image, correlation: float) -> dict[str, Any]:
    return {
        "a": a.name,
        "b": b.name,
        "correlation": round(correlation, 4),
        "same_file": a.sha256 == b.sha256,
        "hash_distance": (a.hash ^ b.hash).bit_count(),
    }

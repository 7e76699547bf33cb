"""Labelled images: manifests of them, and plain class folders."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlcore.data.labels import READABLE, allowed_leaves, label_from_folder
from mlcore.data.split import split_by_group
from mlcore.images.decode import decode
from mlcore.images.decoded import Decoded, Refused
from mlcore.images.fingerprint import fingerprint, groups

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".dcm", ".dicom")


class NotADataset(ValueError):
    """A folder or manifest from which no labelled images can be read; its sentence says why."""


@dataclass(frozen=True)
class Item:
    """One labelled image.

    Attributes
    ----------
    path : str
        Path of the file, or a key that the caller's `read` understands.
    sha256 : str
        Of the file's bytes.
    label : str
        A member of `mlcore.data.labels.READABLE`.
    group : str
        Patient or near-duplicate group; never parted by a split.
    source : str
        Where it comes from; metrics are given by source.
    split : str
        `train`, `validation` or `test`.
    """

    path: str
    sha256: str
    label: str
    group: str = ""
    source: str = ""
    split: str = "train"


_FIELDS = frozenset(field.name for field in dataclasses.fields(Item))


def read_path(item: Item) -> bytes:
    """Read an item's bytes from the file at its path."""
    return Path(item.path).read_bytes()


def write_manifest(items: Sequence[Item], path: Path) -> None:
    """Write one JSON object a line."""
    lines = (json.dumps(dataclasses.asdict(item), ensure_ascii=False, sort_keys=True) for item in items)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_manifest(path: Path) -> list[Item]:
    """Read what `write_manifest` wrote; `NotADataset` names the first line that is none."""
    items = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            fields = json.loads(line)
            # A manifest may say more of an item, such as which scan it is; that is for others.
            item = Item(**{name: value for name, value in fields.items() if name in _FIELDS})
        except (ValueError, TypeError, AttributeError) as error:
            raise NotADataset(f"Line {number} of {path.name} is no item of a manifest: {error}.") from error
        if item.label not in READABLE:
            raise NotADataset(f"Line {number} of {path.name} has the unknown label {item.label!r}.")
        items.append(item)
    return items


def placed(items: Sequence[Item], folder: Path) -> list[Item]:
    """Give the items with the paths that their files have below a folder.

    A file is looked for at its own path there, as a portal's storage keeps it, and otherwise by its hash, so that the
    folder may be one of which the portal was filled.

    Parameters
    ----------
    items : sequence of Item
        Of a manifest that was written elsewhere.
    folder : Path
        Where the files lie, in any order and under any name.

    Raises
    ------
    NotADataset
        The folder is none, or lacks files; the sentence says how many and names the first.
    """
    if not folder.is_dir():
        raise NotADataset(f"{folder} is no folder.")
    found = {item.sha256: path for item in items if (path := folder / item.path).is_file()}
    lacking = {item.sha256 for item in items} - set(found)
    if lacking:
        found |= _by_hash(folder, lacking)
    missing = [item for item in items if item.sha256 not in found]
    if missing:
        raise NotADataset(
            f"{folder} lacks {len(missing)} of the {len(items)} files of the manifest, the first of them with the "
            f"hash {missing[0].sha256[:12]} (at {missing[0].path} in the portal's storage)."
        )
    return [dataclasses.replace(item, path=str(found[item.sha256])) for item in items]


def _by_hash(folder: Path, wanted: set[str]) -> dict[str, Path]:
    """Look through all files below a folder; give the first, by its path, of each hash that is wanted."""
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if sha256 in wanted:
            found.setdefault(sha256, path)
    return found


def data_sha256(items: Sequence[Item]) -> str:
    """Give the hash of a dataset: over hash, label and part of each item, in sorted order."""
    lines = sorted(f"{item.sha256} {item.label} {item.split}\n" for item in items)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def labelled_files(path: Path) -> list[tuple[Path, str, str]]:
    """List (file, label, source) of a folder of class folders, or of a folder of such folders.

    The source is the name of the folder that holds the class folders.

    Raises
    ------
    NotADataset
        Where the path is no folder, or no class folder is found.
    """
    if not path.is_dir():
        raise NotADataset(f"{path} is no folder.")
    found = []
    for folder, label in _class_folders(path):
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        found += [(file, label, folder.parent.resolve().name) for file in files]
    if not found:
        raise NotADataset(
            f"{path} holds no images in class folders; wanted are folders named yes and no, "
            "or no_tumour, glioma, meningioma and pituitary."
        )
    return found


def _class_folders(path: Path) -> Iterator[tuple[Path, str]]:
    """Give (folder, label) of each class folder in a folder, or in one of its folders that is itself none."""
    for source in [path, *_folders_in(path)]:
        is_class = source != path and label_from_folder(source.name) is not None
        for folder in _folders_in(source):
            label = label_from_folder(folder.name)
            if label is not None and not is_class:
                yield folder, label


def _folders_in(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir())


def decode_labelled(data: bytes) -> Decoded:
    """Decode a file that its folder labels; raises `Refused`, also for several frames, as one of them is meant."""
    decoded = decode(data)
    if decoded.frames > 1:
        raise Refused("multi_frame")
    return decoded


def from_folder(
    path: Path,
    *,
    seed: int = 1,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    on_refused: Callable[[Path, Refused], None] = lambda path, refused: None,
    on_read: Callable[[int, int], None] = lambda done, total: None,
) -> list[Item]:
    """Read a folder of class folders, find near-duplicates over all of it, split by group.

    Parameters
    ----------
    path : Path
        A folder of class folders (one source) or of such folders (several sources).
    seed : int
        Of the split.
    fractions : (float, float, float)
        Shares of train, validation and test.
    on_refused : callable
        Called with each file that cannot be decoded or holds several frames; it is left out.
    on_read : callable
        Called with (files done, files in all) after each file.

    Returns
    -------
    list of Item
        What could be read, each with its group and part.

    Raises
    ------
    NotADataset
        Where nothing labelled is found.
    """
    files = labelled_files(path)
    rows: list[tuple[Path, str, str, str]] = []
    prints: list[bytes] = []
    for done, (file, label, source) in enumerate(files, start=1):
        data = file.read_bytes()
        try:
            prints.append(fingerprint(decode_labelled(data)))
        except Refused as refused:
            on_refused(file, refused)
        else:
            rows.append((file, label, source, hashlib.sha256(data).hexdigest()))
        on_read(done, len(files))
    numbers = groups(prints, [row[3] for row in rows])
    splits = split_by_group(
        [f"{source}/{label}" for _, label, source, _ in rows], numbers, seed=seed, fractions=fractions
    )
    return [
        Item(str(file), sha, label, str(number), source, split)
        for (file, label, source, sha), number, split in zip(rows, numbers, splits, strict=True)
    ]


def allowed_masks(items: Sequence[Item], leaves: Sequence[str]) -> np.ndarray:
    """Give float32 (N, leaves): 1 for each leaf that agrees with the item's label."""
    masks = np.zeros((len(items), len(leaves)), np.float32)
    for row, item in zip(masks, items, strict=True):
        row[list(allowed_leaves(item.label, leaves))] = 1.0
    return masks

"""The protocol of the project that Overread grew from: augment into files first, split the files at random afterwards.

Copies of one scan then lie on both sides of the split, so what is measured is memory. It is kept to show by how much.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mlcore.data.dataset import Item, decode_labelled, labelled_files
from mlcore.data.labels import NO_TUMOUR
from mlcore.data.split import split_by_group
from mlcore.images.decode import to_display
from mlcore.images.decoded import Refused

# Changed copies of each scan, as that project made: 155 and 98 scans became 1,085 and 980 files.
COPIES_OF_TUMOUR, COPIES_OF_NONE = 7, 10
LEAKS = (
    "The original protocol leaks: copies of one scan lie in the training and in the test part, so its figures say "
    "how well the network remembers, not how well it would do on a new scan."
)


def changed(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change a picture as the baseline protocol does.

    Parameters
    ----------
    picture : numpy.ndarray, shape (H, W), dtype uint8
        As `to_display` gives it.
    rng : numpy.random.Generator
        Decides everything.

    Returns
    -------
    numpy.ndarray, shape (H, W), dtype uint8
        Turned by up to 10 degrees, shifted by up to a tenth of the side, sheared by up to a tenth of a degree,
        brightness 0.3 to 1, flipped either way; the edge is drawn out over what is laid bare.
    """
    height, width = picture.shape
    turn, lean = np.deg2rad(rng.uniform(-10.0, 10.0)), np.deg2rad(rng.uniform(-0.1, 0.1))
    shift = rng.uniform(-0.1, 0.1, 2) * (width, height)
    rotate = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = rotate @ np.array([[1.0, -np.sin(lean)], [0.0, np.cos(lean)]])
    centre = np.array([(width - 1) / 2.0, (height - 1) / 2.0])
    offset = centre + shift - matrix @ centre
    moved = cv2.warpAffine(
        picture,
        np.hstack((matrix, offset[:, None])),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    down, across = (-1 if rng.random() < 0.5 else 1 for _ in range(2))
    return np.asarray(np.rint(moved[::down, ::across] * rng.uniform(0.3, 1.0)), dtype=np.uint8)


def augment_files(
    path: Path,
    out: Path,
    *,
    seed: int = 1,
    on_refused: Callable[[Path, Refused], None] = lambda path, refused: None,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, int]:
    """Write the augmented set of the baseline protocol: seven changed copies of each tumour, ten of each scan without.

    Parameters
    ----------
    path : Path
        A folder of class folders, or of such folders.
    out : Path
        Where to; a folder for each source and label is made. Files of the same name are written over.
    seed : int
        Of the changes; those of a scan follow from seed and content, whatever else lies beside it.
    on_refused : callable
        Called with each file that cannot be decoded or holds several frames; it is left out.
    on_done : callable
        Called with (files done, files in all) after each file.

    Returns
    -------
    dict of str to int
        JPEG files written, by label.

    Raises
    ------
    NotADataset
        Where nothing labelled is found.
    """
    files = labelled_files(path)
    written: dict[str, int] = {}
    for done, (file, label, source) in enumerate(files, start=1):
        data = file.read_bytes()
        try:
            picture = to_display(decode_labelled(data))
        except Refused as refused:
            on_refused(file, refused)
            continue
        folder = out / source / label
        folder.mkdir(parents=True, exist_ok=True)
        start = int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
        copies = COPIES_OF_NONE if label == NO_TUMOUR else COPIES_OF_TUMOUR
        for number in range(copies):
            buffer = io.BytesIO()
            Image.fromarray(changed(picture, np.random.default_rng((seed, start, number)))).save(buffer, "JPEG")
            # Two scans of one folder may differ in nothing but the ending of their names.
            (folder / f"{file.name.replace('.', '_')}_{number:02d}.jpg").write_bytes(buffer.getvalue())
        written[label] = written.get(label, 0) + copies
        on_done(done, len(files))
    return written


def split_at_random(
    path: Path, *, seed: int = 1, fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
) -> list[Item]:
    """List a folder of class folders, split file by file as if no two showed the same head."""
    files = labelled_files(path)
    shas = [hashlib.sha256(file.read_bytes()).hexdigest() for file, _, _ in files]
    # Files of the same bytes cannot be trained on in two parts; everything else is parted as chance will have it.
    numbers = {sha: number for number, sha in enumerate(dict.fromkeys(shas))}
    owners = [numbers[sha] for sha in shas]
    parts = split_by_group([label for _, label, _ in files], owners, seed=seed, fractions=fractions)
    return [
        Item(str(file), sha, label, sha, source, part)
        for (file, label, source), sha, part in zip(files, shas, parts, strict=True)
    ]

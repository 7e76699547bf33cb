"""The tree of labels, and the folder names that stand for them.

The tree has the leaves `no_tumour`, `glioma`, `meningioma` and `pituitary`; `tumour` is the parent of the
last three. An image may be labelled `tumour` without a type known: training then allows every leaf below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NO_TUMOUR = "no_tumour"
TUMOUR = "tumour"
TYPES = ("glioma", "meningioma", "pituitary")
LEAVES = (NO_TUMOUR, *TYPES)
BINARY_LEAVES = (NO_TUMOUR, TUMOUR)
READABLE = (TUMOUR, NO_TUMOUR, *TYPES)

FOLDER_NAMES: dict[str, str] = {
    "yes": TUMOUR,
    "tumor": TUMOUR,
    "tumour": TUMOUR,
    "no": NO_TUMOUR,
    "notumor": NO_TUMOUR,
    "notumour": NO_TUMOUR,
    "no_tumor": NO_TUMOUR,
    "no_tumour": NO_TUMOUR,
    "glioma": "glioma",
    "glioma_tumor": "glioma",
    "glioma_tumour": "glioma",
    "meningioma": "meningioma",
    "meningioma_tumor": "meningioma",
    "meningioma_tumour": "meningioma",
    "pituitary": "pituitary",
    "pituitary_tumor": "pituitary",
    "pituitary_tumour": "pituitary",
}


def label_from_folder(name: str) -> str | None:
    """Give the label that a folder's name stands for.

    Parameters
    ----------
    name : str
        Name of one folder (not a path), in any case; spaces and hyphens count as underscores.

    Returns
    -------
    str or None
        A member of `READABLE`, or None where the name stands for no label.

    Examples
    --------
    >>> label_from_folder("Glioma_Tumor"), label_from_folder("yes"), label_from_folder("holiday")
    ('glioma', 'tumour', None)
    """
    return FOLDER_NAMES.get(re.sub(r"[\s\-]+", "_", name.strip().lower()))


def finding_of(label: str) -> str:
    """Give `no_tumour` or `tumour` for any label of the tree; `ValueError` for a word outside it."""
    if label not in READABLE:
        raise ValueError(f"{label!r} is no label of the tree; known are {', '.join(READABLE)}.")
    return NO_TUMOUR if label == NO_TUMOUR else TUMOUR


def contradict(labels: Iterable[str]) -> bool:
    """Tell whether labels of one picture cannot all be right; "tumour" without a type agrees with every type."""
    named = set(labels)
    return len(named - {TUMOUR, NO_TUMOUR}) > 1 or (NO_TUMOUR in named and len(named) > 1)


def leaves_for(labels: Sequence[str]) -> tuple[str, ...]:
    """Give the leaves that a model can learn from these labels.

    The four leaves where every type occurs, otherwise the two of the binary question: with a type missing, an
    image labelled only `tumour` would be forced into one of the types that happen to be there.
    """
    return LEAVES if set(TYPES) <= set(labels) else BINARY_LEAVES


def allowed_leaves(label: str, leaves: Sequence[str]) -> tuple[int, ...]:
    """Give the indices of the leaves that agree with a label.

    Parameters
    ----------
    label : str
        A member of `READABLE`.
    leaves : sequence of str
        `LEAVES` or `BINARY_LEAVES`.

    Raises
    ------
    ValueError
        Where the label is outside the tree.
    """
    if label in leaves and label != TUMOUR:
        return (leaves.index(label),)
    wanted = finding_of(label)
    return tuple(i for i, leaf in enumerate(leaves) if finding_of(leaf) == wanted)

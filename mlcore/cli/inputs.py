"""What the commands share: the reading of data, and lines for people."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlcore.images.decoded import Refused
from mlcore.model.config import TrainConfig

if TYPE_CHECKING:
    from mlcore.data.dataset import Item


class Fault(Exception):
    """What ends a command with exit code 2 and one sentence."""


def say(line: str) -> None:
    """Tell a line on standard error, so that standard output holds the result alone."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Within it nothing reaches standard error; what is raised is raised as always.

    While it is imported, TensorFlow's C++ writes there past every level of logging and past `sys.stderr`.
    """
    if sys.stderr is None:  # closed by whoever started this
        yield
        return
    sys.stderr.flush()
    heard = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(heard, 2)
        os.close(heard)
        os.close(nowhere)


def items_of(
    data: Path, seed: int, quiet: bool, files: Path | None = None, leave_out: Sequence[str] = ()
) -> list[Item]:
    """Read a manifest, or a folder with its groups and split; without the sources that are to be left out."""
    from mlcore.data.dataset import NotADataset, from_folder, placed, read_manifest

    if data.is_file():
        listed = read_manifest(data)
        items = listed if files is None else placed(listed, files)
    elif files is not None:
        raise Fault("--files says where the files of a manifest lie; a folder has its own.")
    elif data.exists():
        items = from_folder(data, seed=seed, on_refused=left_out, on_read=looked(quiet))
    else:
        raise NotADataset(f"{data} does not exist.")
    sources = {item.source for item in items}
    for source in leave_out:
        if source not in sources:
            raise NotADataset(f"There is no source {source} to leave out; there are {', '.join(sorted(sources))}.")
    # Only now, so that the parts of what stays are the same with and without it.
    return [item for item in items if item.source not in leave_out]


def left_out(path: Path, why: Refused) -> None:
    """Tell of a file that cannot be read."""
    say(f"left out {path.name}: {why.sentence}")


def looked(quiet: bool) -> Callable[[int, int], None]:
    """Give what tells how far the search for near-duplicates is, now and then; or nothing."""

    def progress(done: int, total: int) -> None:
        if not quiet and (done == total or done % 500 == 0):
            say(f"looked for near-duplicates in {done} of {total} images")

    return progress


def check_beginning(config: TrainConfig) -> None:
    """Refuse weights that are not there before any image is read; say what `lite0` does without any."""
    from mlcore.networks.lite0 import FETCH

    if config.weights is not None and not config.weights.is_file():
        whence = f" Those of lite0 are fetched by `{FETCH}`." if config.architecture == "lite0" else ""
        raise Fault(f"The file of published weights {config.weights.name} does not exist.{whence}")
    if config.architecture == "lite0" and config.weights is None and config.warm_start is None:
        say(
            "Note: lite0 begins with random weights, as --weights names no file of published ones; it will need far "
            f"more epochs and images. `{FETCH}` fetches them (17 MB); --architecture residual needs none."
        )

"""Model folders in the artifact storage, under the hash that is their name, and the local copies that workers load."""

import contextlib
import shutil
import tempfile
import time
from pathlib import Path

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.utils.translation import gettext_lazy as _

from mlcore.model import identity
from mlcore.model.identity import CARD, REPORT, SPEC, WEIGHTS, sha256_of

from .refusals import ArtifactDamaged

# The first two are the model, and its hash covers them; a folder may lack the others.
NEEDED = (WEIGHTS, SPEC)
FILES = (*NEEDED, REPORT, CARD)
# Seconds before each try of ``keep``: another process may be in the middle of writing the same file.
_PAUSES = (0, 0.1, 0.3, 1, 3)


def _storage() -> Storage:
    return storages["artifacts"]


def keep(folder: Path) -> str:
    """Copy a model folder into the storage and read it back; gives its sha256.

    The same folder may be kept by several processes at one instant. A file that is right already is left alone, and
    one that is not is tried again, so that they agree instead of deleting each other's half-written file.

    Raises
    ------
    ArtifactDamaged
        The folder is incomplete, or what the storage gives back is not what it was given.
    """
    try:
        sha256 = sha256_of(folder)
    except identity.ArtifactDamaged as fault:
        raise ArtifactDamaged(str(fault)) from fault
    if stored_whole(sha256):
        return sha256
    for pause in _PAUSES:
        time.sleep(pause)
        for name in FILES:
            if (folder / name).is_file():
                _store(folder / name, f"{sha256}/{name}")
        if stored_whole(sha256):
            return sha256
    raise ArtifactDamaged(
        _("The storage returned other bytes than were stored for model %(sha256)s."), {"sha256": sha256[:12]}
    )


def _store(source: Path, key: str) -> None:
    """Put one file under ``key``, unless its very bytes lie there; somebody else may do the same at this instant."""
    storage = _storage()
    content = source.read_bytes()
    with contextlib.suppress(FileNotFoundError), storage.open(key, "rb") as there:
        if there.read() == content:
            return
    # Damaged leftovers of the same name must go: not every storage overwrites.
    storage.delete(key)
    stored = storage.save(key, ContentFile(content, name=source.name))
    if stored != key:
        # The name was taken between the two lines above: theirs is read at the end like ours.
        storage.delete(stored)


def stored_whole(sha256: str) -> bool:
    """Whether the storage holds this model and gives back the very bytes that were registered."""
    with tempfile.TemporaryDirectory(prefix="overread-model-") as scratch:
        try:
            _copy_out(sha256, Path(scratch))
            return sha256_of(Path(scratch)) == sha256
        except identity.ArtifactDamaged:
            return False


def _copy_out(sha256: str, folder: Path) -> None:
    """Write the stored files of a model into ``folder``."""
    storage = _storage()
    for name in FILES:
        try:
            with storage.open(f"{sha256}/{name}", "rb") as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except FileNotFoundError as error:
            if name in NEEDED:
                raise ArtifactDamaged(
                    _("The stored model %(sha256)s has no %(name)s."), {"sha256": sha256[:12], "name": name}
                ) from error


def local_copy(sha256: str) -> Path:
    """Give a local folder that holds this model, verified by hash now.

    Raises
    ------
    ArtifactDamaged
        The stored model is incomplete or altered. Nothing else is given in its place.
    """
    target = Path(settings.MODEL_CACHE_DIR) / sha256
    if _is_whole(target, sha256):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{sha256[:12]}-", dir=target.parent))
    try:
        _copy_out(sha256, scratch)
        if sha256_of(scratch) != sha256:
            raise ArtifactDamaged(
                _("The stored model %(sha256)s was changed: its hash differs."),
                {"sha256": sha256[:12]},
            )
        scratch.chmod(0o755)
        _put_in_place(scratch, target, sha256)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _is_whole(folder: Path, sha256: str) -> bool:
    try:
        return sha256_of(folder) == sha256
    except identity.ArtifactDamaged:
        return False


def _put_in_place(scratch: Path, target: Path, sha256: str) -> None:
    """Rename ``scratch`` to ``target``; another worker may do the same at this instant."""
    if target.exists() and not _is_whole(target, sha256):
        spoilt = Path(tempfile.mkdtemp(prefix=f".{sha256[:12]}-", dir=target.parent))
        with contextlib.suppress(FileNotFoundError):
            target.rename(spoilt / "spoilt")
        shutil.rmtree(spoilt, ignore_errors=True)
    try:
        scratch.rename(target)
    except OSError:
        # Somebody was quicker; theirs is as good as ours if its hash says so.
        if not _is_whole(target, sha256):
            raise

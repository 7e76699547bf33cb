"""A copy of everything that cannot be made again, and the way back.

The database comes first and the files second: files are never changed or deleted, so each row of the copied database
finds its file, and a file that was added meanwhile is harmless. The copy is good only once ``backup.json`` lies in it.
"""

import hashlib
import itertools
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from operator import itemgetter
from pathlib import Path

from django.core.files import File
from django.core.files.storage import storages
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.audit import anchors
from diagnostics.datasets.models import DatasetVersion
from diagnostics.errors import Conflict
from diagnostics.predictions.models import Prediction
from diagnostics.registry.artifacts import FILES
from diagnostics.registry.models import ModelVersion
from diagnostics.scans.models import Scan
from diagnostics.scans.sealed import SealedOriginal
from diagnostics.scans.series import Image, KeptInstance, QuarantinedFile

DATABASE, FILES_FOLDER, LIST = "overread.sqlite3", "files", "backup.json"
FORMAT = 1
_BLOCK = 1 << 20
_OF_AN_IMAGE = ("original", "pixels", "preview")


class BackupRefused(Conflict):
    """No copy was made, or none can be put back; ``str()`` says why and what to do."""

    code = "backup_refused"


@dataclass(frozen=True)
class Contents:
    """What ``backup.json`` says. ``missing`` are keys that a row names and the storage did not have; ``anchor`` is how
    far the copied audit had come (empty in a copy made before there was one)."""

    format: int
    taken_at: str
    database_sha256: str
    tables: dict[str, int]
    files: int
    new_files: int
    missing: list[str]
    anchor: dict[str, object] = field(default_factory=dict)


def back_up(folder: Path) -> Contents:
    """Copy the database and every file that a row names into ``folder``; run again, only new files are copied.

    Raises
    ------
    BackupRefused
        The database is no SQLite, or the folder holds something else.
    """
    if connection.vendor != "sqlite":
        raise BackupRefused(
            _(
                "This backs up the embedded database. On servers back up PostgreSQL with `pg_dump -Fc` first, "
                "then the files (docs/runbook.md)."
            )
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / LIST).is_file() and not (folder / FILES_FOLDER).is_dir():
        raise BackupRefused(
            _("%(folder)s contains something else. Name an empty folder or one with an earlier backup."),
            {"folder": folder},
        )
    # An interrupted run must not look like a whole copy of yesterday with a database of today.
    (folder / LIST).unlink(missing_ok=True)
    taken_at = timezone.now()
    anchors.keep()
    _copy_database(folder / DATABASE)
    copied = 0
    missing: list[str] = []
    files = 0
    for store, key in _named():
        target = folder / FILES_FOLDER / store / key
        files += 1
        if target.is_file():
            continue
        try:
            with storages[store].open(key, "rb") as source:
                _write(target, source)
            copied += 1
        except FileNotFoundError:
            missing.append(f"{store}:{key}")
    made = Contents(
        format=FORMAT,
        taken_at=taken_at.isoformat(),
        database_sha256=_sha256_of(folder / DATABASE),
        tables=_counted(folder / DATABASE),
        files=files - len(missing),
        new_files=copied,
        missing=missing,
        anchor=_anchor_of(folder / DATABASE),
    )
    scratch = folder / f".{LIST}"
    scratch.write_text(json.dumps(asdict(made), indent=1) + "\n")
    scratch.replace(folder / LIST)
    return made


def _copy_database(target: Path) -> None:
    """A consistent copy while others write, by SQLite's own backup."""
    scratch = target.with_name(f".{target.name}")
    scratch.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=60)) as source,
        closing(sqlite3.connect(scratch)) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        found = copy.execute("PRAGMA integrity_check").fetchone()[0]
    if found != "ok":
        raise BackupRefused(
            _("The database is damaged (%(found)s), and so would the backup be. Keep the earlier backup."),
            {"found": found},
        )
    _to_disk(scratch)
    scratch.replace(target)


def _named() -> Iterator[tuple[str, str]]:
    """Store and key of each file that a row names."""
    # Each file once, though several images come from one original, and a scan repeats the files of one of its images.
    of_scans, of_images = (model._default_manager.order_by().values_list(*_OF_AN_IMAGE) for model in (Scan, Image))
    rows = of_scans.union(of_images).order_by("original")
    for original, some in itertools.groupby(rows.iterator(chunk_size=1000), key=itemgetter(0)):
        yield "default", original
        yield from (("default", key) for _original, *made in some for key in made if key)
    for model in (KeptInstance, QuarantinedFile, SealedOriginal):
        for key in model._default_manager.values_list("original", flat=True).iterator(chunk_size=1000):
            yield "default", key
    for key in Prediction.objects.exclude(heatmap="").values_list("heatmap", flat=True).iterator(chunk_size=1000):
        yield "default", key
    for sha256 in ModelVersion.objects.values_list("sha256", flat=True):
        for name in FILES:
            key = f"{sha256}/{name}"
            # A model may lack report and card; weights and spec it may not.
            if storages["artifacts"].exists(key) or name in FILES[:2]:
                yield "artifacts", key
    for key in DatasetVersion.objects.exclude(manifest="").values_list("manifest", flat=True):
        yield "artifacts", key


def _write(target: Path, source: File) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}")
    with scratch.open("wb") as file:
        shutil.copyfileobj(source, file, _BLOCK)
    _to_disk(scratch)
    scratch.replace(target)


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def restore(folder: Path) -> Contents:
    """Put a copy back into an empty installation.

    Raises
    ------
    BackupRefused
        The copy is not whole, or this installation is not empty.
    """
    contents = contents_of(folder)
    if connection.vendor != "sqlite":
        raise BackupRefused(
            _("This restores the embedded database. For PostgreSQL use `pg_restore` (docs/runbook.md).")
        )
    target = Path(connection.settings_dict["NAME"])
    if _holds_rows(target):
        raise BackupRefused(
            _(
                "%(target)s already has people, and nothing is overwritten. Name an empty data folder in "
                "OVERREAD_DATA."
            ),
            {"target": target},
        )
    # Files before rows, so that an interrupted run leaves files without rows, and can be run again.
    for store in ("default", "artifacts"):
        base = folder / FILES_FOLDER / store
        for path in sorted(base.rglob("*")):
            key = path.relative_to(base).as_posix()
            if path.is_file() and not path.name.startswith(".") and not storages[store].exists(key):
                with path.open("rb") as file:
                    storages[store].save(key, File(file))
    connection.close()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for beside in ("", "-wal", "-shm"):
        Path(f"{target}{beside}").unlink(missing_ok=True)
    scratch = target.with_name(f".{target.name}-restored")
    shutil.copyfile(folder / DATABASE, scratch)
    _to_disk(scratch)
    scratch.replace(target)
    if contents.anchor:
        anchors.take_in(anchors.Anchor.from_json(contents.anchor))
    return contents


def contents_of(folder: Path) -> Contents:
    """What a copy holds, its database verified by hash.

    Raises
    ------
    BackupRefused
    """
    try:
        found = Contents(**json.loads((folder / LIST).read_text()))
        datetime.fromisoformat(found.taken_at)
        if found.anchor:
            anchor = anchors.Anchor.from_json(found.anchor)
    except FileNotFoundError:
        raise BackupRefused(
            _("The backup in %(folder)s is incomplete: %(list)s is missing."), {"folder": folder, "list": LIST}
        ) from None
    except (ValueError, TypeError) as error:
        raise BackupRefused(
            _("%(list)s in %(folder)s cannot be read (%(error)s)."),
            {"list": LIST, "folder": folder, "error": error},
        ) from error
    if found.format != FORMAT:
        raise BackupRefused(
            _("The backup in %(folder)s has format %(format)s; this software reads %(ours)s."),
            {"folder": folder, "format": found.format, "ours": FORMAT},
        )
    try:
        if _sha256_of(folder / DATABASE) != found.database_sha256:
            raise BackupRefused(
                _("The database in %(folder)s was changed after the backup: its hash differs."), {"folder": folder}
            )
    except FileNotFoundError:
        raise BackupRefused(_("The database is missing in %(folder)s."), {"folder": folder}) from None
    if found.anchor:
        _refuse_forged(folder, anchor)
    return found


def _refuse_forged(folder: Path, anchor: anchors.Anchor) -> None:
    """A copy whose audit is not what the anchor says that came with it was changed since."""
    if anchor.ours and not anchor.genuine:
        raise BackupRefused(
            _("The audit anchor in %(folder)s was changed: its signature is wrong."), {"folder": folder}
        )
    if _ends_of(folder / DATABASE) != anchor.chains:
        raise BackupRefused(
            _("The audit in %(folder)s was changed after the backup: it does not match its anchor."),
            {"folder": folder},
        )


def _ends_of(database: Path) -> dict[str, tuple[int, int, str]]:
    """How far the audit's chains come in a copied database; none in one of an earlier version."""
    with closing(sqlite3.connect(database)) as opened:
        tables = {row[0] for row in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "diagnostics_auditchain" not in tables:
            return {}
        found = opened.execute(
            "SELECT c.id, c.length, l.event_id, c.head FROM diagnostics_auditchain c "
            "LEFT JOIN diagnostics_auditlink l ON l.chain = c.id AND l.position = c.length WHERE c.length > 0"
        )
        return {str(chain): (length, event or 0, bytes(head).hex()) for chain, length, event, head in found}


def _anchor_of(database: Path) -> dict[str, object]:
    return anchors.Anchor(timezone.now().isoformat(timespec="seconds"), _ends_of(database)).signed().as_json()


def _holds_rows(database: Path) -> bool:
    if not database.is_file() or database.stat().st_size == 0:
        return False
    with closing(sqlite3.connect(database)) as opened:
        try:
            return bool(opened.execute("SELECT EXISTS (SELECT 1 FROM accounts_user)").fetchone()[0])
        except sqlite3.OperationalError:
            # No such table: what is in it is not ours, or was never made ready; only an empty one may go.
            return bool(opened.execute("SELECT EXISTS (SELECT 1 FROM sqlite_master)").fetchone()[0])


def _counted(database: Path) -> dict[str, int]:
    with closing(sqlite3.connect(database)) as opened:
        tables = [row[0] for row in opened.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name")]
        return {
            table: opened.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]  # noqa: S608  names from the schema
            for table in tables
            if table.startswith(("diagnostics_", "accounts_"))
        }


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

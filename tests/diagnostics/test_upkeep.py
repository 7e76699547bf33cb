"""``manage.py fsck``, ``backup`` and ``restore``: planted faults are found exactly, and a copy comes back whole."""

import hashlib
import io
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction

from diagnostics import pipeline
from diagnostics.audit.services import record
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from diagnostics.upkeep import backup, integrity
from tests import processes
from tests.diagnostics.model_fixtures import stored_model
from tests.factories import (
    DatasetVersionFactory,
    InstitutionFactory,
    PatientFactory,
    PredictionFactory,
    ScanFactory,
    StudyFactory,
    person,
    phantom,
)

pytestmark = pytest.mark.django_db
NOW = timedelta(seconds=-5)  # every file counts as old


@pytest.fixture(autouse=True)
def own_files(settings, tmp_path):
    """Storages of this test's own, for every file in them counts."""
    settings.MODEL_CACHE_DIR = tmp_path / "cache"
    settings.STORAGES = {
        **settings.STORAGES,
        **{
            name: {**settings.STORAGES[name], "OPTIONS": {"location": tmp_path / name, "allow_overwrite": True}}
            for name in ("default", "artifacts")
        },
    }


def stocked(tmp_path: Path, scans: int = 8) -> list[Scan]:
    """Scans with opinions and heat maps, a model and a manifest."""
    institution = InstitutionFactory()
    study = StudyFactory(patient=PatientFactory(institution=institution))
    by = person(Role.TECHNOLOGIST, institution)
    version = stored_model(tmp_path / "shelf")
    made = []
    for seed in range(scans):
        data = phantom(seed, side=40)
        scan = ScanFactory(institution=institution, patient=study.patient, study=study, uploaded_by=by, data=data)
        row = PredictionFactory(scan=scan, model_version=version)
        key = storages["default"].save(f"heatmaps/{row.pk}.png", ContentFile(phantom(900 + seed, side=32)))
        type(row).objects.filter(pk=row.pk).update(heatmap=key)
        made.append(scan)
    dataset = DatasetVersionFactory(institution=institution)
    content = b'{"path": "x"}\n'
    sha256 = hashlib.sha256(content).hexdigest()
    key = storages["artifacts"].save(f"manifests/{sha256}.jsonl", ContentFile(content))
    type(dataset).objects.filter(pk=dataset.pk).update(manifest=key, sha256=sha256)
    return made


def found(**options) -> set[tuple[str, str, str]]:
    return {(fault.kind, fault.what, fault.key) for fault in integrity.faults(young=NOW, **options)}


def spoil(store: str, key: str) -> None:
    """Flip one bit in the middle of a stored file."""
    path = Path(storages[store].path(key))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def plant(scans: list[Scan], chance: random.Random, each: int) -> set[tuple[str, str, str]]:
    """``each`` faults of every kind; what fsck is to find."""
    planted = set()
    rows = chance.sample(scans, 6 * each)
    for kind, what in (("corrupt", "original"), ("missing", "original"), ("corrupt", "preview"),
                       ("missing", "pixels"), ("corrupt", "heatmap"), ("missing", "heatmap")):  # fmt: skip
        for scan in (rows.pop() for _ in range(each)):
            key = scan.predictions.get().heatmap if what == "heatmap" else getattr(scan, what)
            storages["default"].delete(key) if kind == "missing" else spoil("default", key)
            planted.add((kind, what, key))
    for number in range(each):
        key = storages["default"].save(f"9/aa/{number}/original", ContentFile(phantom(5000 + number, side=40)))
        planted.add(("orphaned", "file", key))
    return planted


def test_fsck_finds_nothing_where_nothing_is_wrong(tmp_path):
    stocked(tmp_path)
    out = io.StringIO()
    call_command("fsck", young=0, stdout=out)
    assert out.getvalue().endswith(" 0 faults, 0 repaired, 0 left.\n")


def test_fsck_finds_exactly_what_was_planted_and_repairs_it_once(tmp_path):
    scans = stocked(tmp_path, scans=14)
    planted = plant(scans, random.Random(7), each=2)
    model = Path(storages["artifacts"].path("."))
    weights = next(model.glob("*/weights.npz"))
    spoil("artifacts", weights.relative_to(model).as_posix())
    planted.add(("corrupt", "model", weights.relative_to(model).as_posix()))
    manifest = next(model.glob("manifests/*")).relative_to(model).as_posix()
    storages["artifacts"].delete(manifest)
    planted.add(("missing", "manifest", manifest))
    assert found() == planted
    assert found() == planted, "looking changes nothing"

    found(repair=True)
    beyond_repair = {fault for fault in planted if fault[1] in ("original", "heatmap", "model", "manifest")}
    assert found() == beyond_repair
    before = everything(tmp_path)
    assert {str(fault) for fault in integrity.faults(repair=True, young=NOW) if fault.repaired} == set()
    assert everything(tmp_path) == before, "a second repair changes nothing"
    with pytest.raises(CommandError, match="backup"):
        call_command("fsck", young=0, stdout=io.StringIO())


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_fsck_repair_keeps_the_bytes_of_an_orphan(tmp_path):
    content = phantom(1)
    storages["default"].save("9/aa/x/original", ContentFile(content))
    assert found(repair=True) == {("orphaned", "file", "9/aa/x/original")}
    with storages["default"].open("lost+found/9/aa/x/original") as file:
        assert file.read() == content
    assert found() == set()


def test_fsck_leaves_an_upload_on_its_way_alone():
    storages["default"].save("9/aa/x/original", ContentFile(phantom(1)))
    assert list(integrity.faults(repair=True)) == []


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_fsck_among_ten_thousand_files(tmp_path, capsys):
    seed = int(os.environ.get("OVERREAD_TEST_SEED", "7"))
    scans = stocked(tmp_path, scans=2500)
    planted = plant(scans, random.Random(seed), each=5)
    tally = integrity.Tally()
    seen = {(fault.kind, fault.what, fault.key) for fault in integrity.faults(young=NOW, tally=tally)}
    with capsys.disabled():
        print(f"\nseed {seed}: {len(seen)} faults found of {len(planted)} planted among {tally.files} files")
    assert tally.files >= 10_000 and seen == planted


# Copies


def at_another_place(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """``manage.py`` on an installation of its own in ``folder``."""
    named = ("DATABASE_URL", "REDIS_URL", "DJANGO_ALLOW_ASYNC_UNSAFE")
    inherited = {name: value for name, value in os.environ.items() if name not in named}
    return subprocess.run(
        [sys.executable, "manage.py", *command], cwd=processes.ROOT, capture_output=True, text=True, timeout=120,
        env={**inherited, "OVERREAD_DATA": str(folder), "OVERREAD_ENV_FILE": ""},
    )  # fmt: skip


embedded = pytest.mark.skipif(connection.vendor != "sqlite", reason="backs up the embedded database")


@embedded
@pytest.mark.django_db(transaction=True)
def test_backup_taken_while_scans_are_handed_in_comes_back_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: True)
    stocked(tmp_path)
    by = person(Role.TECHNOLOGIST, InstitutionFactory())
    stop = threading.Event()

    def hand_in():
        try:
            for seed in range(100, 100_000):
                if stop.is_set():
                    return
                pipeline.submit_scan(
                    by=by, institution=by.memberships.get().institution, data=phantom(seed, side=40), patient="P-1"
                )
        finally:
            connections.close_all()

    busy = threading.Thread(target=hand_in)
    busy.start()
    try:
        call_command("backup", tmp_path / "copy", stdout=io.StringIO())
        second = backup.back_up(tmp_path / "copy")
    finally:
        stop.set()
        busy.join()
    contents = json.loads((tmp_path / "copy" / "backup.json").read_text())
    assert contents["missing"] == [] and contents["tables"]["diagnostics_scan"] >= 8
    assert second.new_files < second.files, "the second run copies what is new"

    done = at_another_place(tmp_path / "elsewhere", "restore", str(tmp_path / "copy"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 faults" in done.stdout
    with sqlite3.connect(tmp_path / "elsewhere" / "overread.sqlite3") as restored:
        counted = restored.execute("SELECT count(*) FROM diagnostics_scan").fetchone()[0]
    restored.close()
    assert counted == contents["tables"]["diagnostics_scan"]
    again = at_another_place(tmp_path / "elsewhere", "restore", str(tmp_path / "copy"))
    assert again.returncode != 0 and "people" in again.stderr, "nothing is written over"


@embedded
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("harm", ["no list", "other database", "no database"])
def test_backup_that_is_not_whole_is_not_put_back(tmp_path, harm):
    stocked(tmp_path, scans=1)
    folder = tmp_path / "copy"
    backup.back_up(folder)
    if harm == "no list":
        (folder / "backup.json").unlink()
    elif harm == "no database":
        (folder / "overread.sqlite3").unlink()
    else:
        with (folder / "overread.sqlite3").open("ab") as file:
            file.write(b"x")
    with pytest.raises(backup.BackupRefused):
        backup.contents_of(folder)


def forged_copy(folder: Path, *statements: str, **said) -> None:
    """A copy that somebody has changed, and made to look whole."""
    with closing(sqlite3.connect(folder / "overread.sqlite3")) as opened:
        for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            opened.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            opened.execute(statement)
        opened.commit()
    contents = json.loads((folder / "backup.json").read_text())
    contents["database_sha256"] = hashlib.sha256((folder / "overread.sqlite3").read_bytes()).hexdigest()
    (folder / "backup.json").write_text(json.dumps({**contents, **said}))


CUT_WITHOUT_A_TRACE = (
    "DELETE FROM diagnostics_auditevent WHERE id = (SELECT max(id) FROM diagnostics_auditevent)",
    "DELETE FROM diagnostics_auditlink WHERE event_id = (SELECT max(event_id) FROM diagnostics_auditlink)",
    "UPDATE diagnostics_auditchain SET (length, head) = "
    "(SELECT position, hash FROM diagnostics_auditlink ORDER BY position DESC LIMIT 1)",
)


@embedded
@pytest.mark.django_db(transaction=True)
def test_copy_whose_audit_was_changed_is_not_put_back_unnoticed(tmp_path):
    place = InstitutionFactory()
    by = person(Role.TECHNOLOGIST, place)
    for _ in range(4):
        with transaction.atomic():
            event = record(by=by, act="signed_in", target=by, institution=place)
    backup.back_up(tmp_path / "copy")
    forged_copy(tmp_path / "copy", *CUT_WITHOUT_A_TRACE)
    with pytest.raises(backup.BackupRefused, match="does not match its anchor"):
        backup.contents_of(tmp_path / "copy")
    anchor = json.loads((tmp_path / "copy" / "backup.json").read_text())["anchor"]
    forged_copy(tmp_path / "copy", anchor={**anchor, "chains": {}})
    with pytest.raises(backup.BackupRefused, match="signature"):
        backup.contents_of(tmp_path / "copy")

    backup.back_up(tmp_path / "copy")
    forged_copy(tmp_path / "copy", f"UPDATE diagnostics_auditevent SET act = 'signed_out' WHERE id = {event.pk}")
    done = at_another_place(tmp_path / "elsewhere", "restore", str(tmp_path / "copy"))
    assert done.returncode != 0 and f"database:event {event.pk}" in done.stdout


@embedded
@pytest.mark.django_db(transaction=True)
def test_backup_names_a_file_that_is_gone(tmp_path):
    scan = stocked(tmp_path, scans=2)[0]
    storages["default"].delete(scan.original)
    said = io.StringIO()
    with pytest.raises(CommandError, match="1 files"):
        call_command("backup", tmp_path / "copy", stdout=io.StringIO(), stderr=said)
    assert scan.original in said.getvalue()


@embedded
@pytest.mark.django_db(transaction=True)
def test_backup_into_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(backup.BackupRefused, match="something else"):
        backup.back_up(tmp_path)

"""Nobody else on the machine can look into the data: folders 700, files 600, made new or found open."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from portal.start import privacy
from tests import processes
from tests.web import COMMAND, free_port


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def open_to_others(folder: Path) -> dict[str, str]:
    everything = [folder, *folder.rglob("*")]
    return {str(path): oct(mode(path)) for path in everything if mode(path) & 0o077 and not path.is_symlink()}


def run(folder: Path, *command: str) -> None:
    subprocess.run(
        [sys.executable, *command], cwd=processes.ROOT, env=environment(folder), check=True, timeout=120,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, umask=0o022,
    )  # fmt: skip


def environment(folder: Path) -> dict[str, str]:
    named = {
        name: value for name, value in processes.environment().items() if name not in ("DATABASE_URL", "REDIS_URL")
    }
    return {**named, "OVERREAD_DATA": str(folder), "PORT": str(free_port()), "STATIC_ROOT": str(folder / "static")}


def test_database_and_files_of_a_new_installation_are_closed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    run(folder, "manage.py", "migrate", "--verbosity", "0")
    assert mode(folder) == 0o700
    assert mode(folder / "overread.sqlite3") == 0o600
    assert open_to_others(folder) == {}


@pytest.mark.parametrize(
    "command",
    [COMMAND, [sys.executable, "-m", "celery", "-A", "celery_worker", "beat", "--pidfile="]],
    ids=["web", "scheduler"],
)
def test_folder_that_was_open_is_closed_at_the_next_start(command: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "files" / "scans" / "1").mkdir(parents=True)
    for name in ("overread.sqlite3", "overread.sqlite3-wal", "secret_key", "files/scans/1/original"):
        (folder / name).write_text("k" * 60 if name == "secret_key" else "")
        (folder / name).chmod(0o644)
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    process = subprocess.Popen(
        command, cwd=processes.ROOT, env=environment(folder), start_new_session=True, umask=0o022,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        processes.wait(lambda: open_to_others(folder) == {}, 40, f"the folder stayed open: {open_to_others(folder)}")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_what_is_made_later_is_closed_from_the_start(tmp_path: Path) -> None:
    code = "import os; from portal.start import privacy; privacy.keep_private(); open('a', 'w').close(); os.mkdir('b')"
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(processes.ROOT)}, check=True
    )
    assert (mode(tmp_path / "a"), mode(tmp_path / "b")) == (0o600, 0o700)


def test_files_are_walked_once_and_the_folder_each_time(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        (tmp_path / "file").write_text("")
        privacy.close_to_others(tmp_path)
        assert open_to_others(tmp_path) == {}
        tmp_path.chmod(0o755)
        privacy.close_to_others(tmp_path)
        assert mode(tmp_path) == 0o700
    finally:
        os.umask(before)

"""Starting on one machine: what stands in the way, what is kept running, what is left when it stops."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles.finders import get_finder

from portal.settings import embedded_socket
from portal.start import broker as broker_module
from portal.start import preflight, prepare
from portal.start.refusal import Refusal
from portal.start.supervisor import Program, Supervisor
from tests import processes


def test_broker_keeps_messages_on_disk_and_evicts_none(broker: str) -> None:
    with processes.client(broker) as connected:
        assert connected.config_get("appendonly")["appendonly"] == "yes"
        assert connected.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert connected.config_get("port")["port"] == "0"


def test_broker_is_closed_to_other_people(broker: str) -> None:
    for folder in (embedded_socket().parent, settings.DATA_DIR / "broker"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_broker_is_the_server_that_pip_brought() -> None:
    assert broker_module.server().startswith(sys.prefix)


def test_broker_without_any_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Refusal, match="REDIS_URL"):
        broker_module.server()


def test_broker_in_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    with pytest.raises(Refusal, match="belongs to somebody else"):
        broker_module.private_folder(tmp_path)


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def has_ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def descendants(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [number for child in map(int, children) for number in (child, *descendants(child))]


def test_static_files_are_collected_again_only_when_they_changed(tmp_path, monkeypatch, settings) -> None:
    settings.STATIC_ROOT = tmp_path / "static"
    called: list[str] = []

    def collect(name: str, **_: Any) -> None:
        called.append(name)
        settings.STATIC_ROOT.mkdir(exist_ok=True)
        (settings.STATIC_ROOT / "staticfiles.json").write_text("{}")

    monkeypatch.setattr(prepare, "call_command", collect)
    prepare.collect_static_files()
    prepare.collect_static_files()
    assert called == ["collectstatic"]
    settings.STATICFILES_DIRS = [tmp_path / "more"]
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "new.css").write_text("p { color: red }")
    get_finder.cache_clear()
    prepare.collect_static_files()
    get_finder.cache_clear()
    assert called == ["collectstatic", "collectstatic"]


class Started:
    """``python -m portal.start`` as ``make run`` calls it, in a folder of its own."""

    def __init__(self, folder: Path, port: int, **more: str) -> None:
        self.port = port
        self.heard = folder.parent / f"heard-{port}.txt"
        with self.heard.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "portal.start"],
                cwd=processes.ROOT,
                env={**os.environ, "OVERREAD_DATA": str(folder), "PORT": str(port), **more},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        return self.heard.read_text(errors="replace")

    def until_said(self, words: str, seconds: float = 90) -> None:
        def said() -> bool:
            assert self.process.poll() is None or words in self.output(), self.output()
            return words in self.output()

        processes.wait(said, seconds, f"nobody said {words!r}")


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    # Long on purpose: the broker's socket must find a shorter place.
    run = Started(tmp_path / ("data-" + "x" * 90), free_port(), OVERREAD_DICOM_PORT=str(free_port()))
    yield run
    processes.stop(run.process, 60)


def test_start_from_nothing_serves_the_first_page_and_leaves_no_process_behind(started: Started) -> None:
    started.until_said("Ctrl-C stops it.")
    answer = urllib.request.urlopen(f"http://127.0.0.1:{started.port}/", timeout=20)
    assert answer.status == 200
    assert "Nobody has an account yet" in started.output()
    started.until_said("training@")
    assert "dicom_listener_started" in started.output()
    everyone = descendants(started.process.pid)
    # Broker, web and its two, three workers and the child of at least one, scheduler, the DICOM listener.
    assert len(everyone) >= 10

    second = Started(started.heard.parent / "other", started.port)
    assert second.process.wait(30) == 1
    assert f"Port {started.port} is busy" in second.output()

    started.process.send_signal(signal.SIGINT)
    assert started.process.wait(40) == 0
    assert [number for number in everyone if not has_ended(number)] == []
    lines = started.output().splitlines()
    assert lines[-1] == "overread  | stopped"
    assert lines[-2].startswith("broker "), "the broker is the last to go"


def test_start_killed_outright_takes_its_processes_along(started: Started) -> None:
    started.until_said("Overread is at")
    everyone = descendants(started.process.pid)
    started.process.kill()
    processes.wait(lambda: all(map(has_ended, everyone)), 15, "the processes did not end")


def test_start_in_a_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    held = preflight.only_one(tmp_path)
    with pytest.raises(Refusal, match="already running"):
        preflight.only_one(tmp_path)
    held.close()
    preflight.only_one(tmp_path).close()


def test_start_in_a_folder_that_cannot_be_made_says_which_variable_names_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Refusal, match="OVERREAD_DATA"):
        preflight.check_folder(tmp_path / "file" / "data")


@pytest.mark.parametrize("text", ["", "http", "0", "65536", "-1"])
def test_start_at_a_port_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="not a port"):
        preflight.port_from(text)


@pytest.mark.parametrize(
    ("wish", "first", "interactive", "expected"),
    [("1", False, False, True), ("0", True, True, False), ("", True, False, False), ("", False, True, False)],
)
def test_demo_is_made_only_when_wished_for(wish: str, first: bool, interactive: bool, expected: bool) -> None:
    assert prepare.wants_demo(wish, first=first, interactive=interactive) is expected


@pytest.mark.parametrize(("reply", "expected"), [("y", True), ("", False), ("no", False)])
def test_demo_is_offered_at_the_first_run(reply: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _question: reply)
    assert prepare.wants_demo("", first=True, interactive=True) is expected


def keep(*programs: Program, seconds: float) -> Supervisor:
    """Keep toy programs for a while."""

    async def kept() -> Supervisor:
        supervisor = Supervisor(list(programs))

        async def nothing() -> None:
            return

        await supervisor.run(ready=nothing, until=lambda: asyncio.sleep(seconds))
        return supervisor

    # In a thread of its own: Playwright leaves an event loop running in that of the tests.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, kept()).result()


def toy(name: str, code: str, stage: int = 1, **more: Any) -> Program:
    return Program(name=name, command=[sys.executable, "-c", code], stage=stage, **more)


def test_keeper_starts_what_dies_again(capfd: pytest.CaptureFixture[str]) -> None:
    keep(toy("brief", "print('here')"), seconds=2.9)
    said = capfd.readouterr().out
    assert said.count("brief    | here") >= 2
    assert "brief ended (code 0); starting it again in 1 s" in said


def test_keeper_gives_up_on_what_never_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.start.supervisor.PATIENCE", 2)
    with pytest.raises(Refusal, match="`doomed` ended 2 times"):
        keep(toy("doomed", "raise SystemExit(3)"), toy("other", "import time; time.sleep(60)"), seconds=30)


def test_keeper_kills_what_does_not_end_in_time(capfd: pytest.CaptureFixture[str]) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    keep(toy("deaf", deaf, stop_seconds=0.3), seconds=1)
    assert "deaf did not end in time and is killed" in capfd.readouterr().out


def test_keeper_stops_the_later_stage_first(capfd: pytest.CaptureFixture[str]) -> None:
    farewell = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(print('bye'))); time.sleep(60)"
    keep(toy("first", farewell, 0), toy("second", farewell, 1), seconds=3)
    said = [line for line in capfd.readouterr().out.splitlines() if line.endswith("bye")]
    assert said == ["second   | bye", "first    | bye"]


def test_keeper_passes_on_long_lines_and_leaves_out_the_unsaid(capfd: pytest.CaptureFixture[str]) -> None:
    code = "print('a' * 200000); print('noise'); print('end', end='', flush=True); import time; time.sleep(9)"
    keep(toy("loud", code, unsaid="noise"), seconds=1)
    said = capfd.readouterr().out
    assert "loud     | " + "a" * 200000 + "\n" in said
    assert "noise" not in said
    assert "loud     | end\n" in said


def test_child_ends_when_its_worker_is_killed() -> None:
    code = (
        "import os, time, celery_worker\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    celery_worker.die_with_the_worker()\n"
        "    time.sleep(60)\n"
        "print(child, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=processes.ROOT, stdout=subprocess.PIPE, text=True, timeout=30
    )
    child = int(done.stdout)
    processes.wait(lambda: has_ended(child), 10, "the child did not end")


def bare_checkout(folder: Path) -> Path:
    """A folder that looks like a fresh clone to the script that makes the environment."""
    (folder / "portal" / "start").mkdir(parents=True)
    shutil.copy(processes.ROOT / "portal" / "start" / "environment.py", folder / "portal" / "start")
    (folder / "requirements.txt").write_text("")
    (folder / "requirements-uv.txt").write_text("")
    return folder


def make_environment(folder: Path, python: str = sys.executable, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-S", "portal/start/environment.py", "requirements.txt"],
        cwd=folder,
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_environment_without_the_venv_module_names_the_package(tmp_path: Path) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ImportError")
    done = make_environment(bare_checkout(tmp_path / "clone"), PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "python3-venv" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_environment_is_made_once_and_again_when_the_requirements_change(tmp_path: Path) -> None:
    clone = bare_checkout(tmp_path / "clone")
    first, second = make_environment(clone), make_environment(clone)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "Installing what requirements.txt names" in first.stdout
    assert second.stdout == ""
    (clone / "requirements.txt").write_text("# another line\n")
    assert "Installing" in make_environment(clone).stdout


def test_package_whose_hash_is_wrong_is_refused_with_a_sentence(tmp_path: Path) -> None:
    clone = bare_checkout(tmp_path / "clone")
    (clone / "requirements.txt").write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    done = make_environment(clone)
    assert done.returncode == 1
    assert "Not everything in requirements.txt could be installed" in done.stderr
    assert make_environment(clone).returncode == 1, "a failed installation must not count as done"


def test_make_without_a_fit_python_says_which_are() -> None:
    done = subprocess.run(["make", "run", "PYTHON="], cwd=processes.ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "Python 3.11, 3.12 or 3.13" in done.stderr


def test_command_before_the_first_start_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "create_person", "ann", "--role", "radiologist", "--institution", "north"],
        cwd=processes.ROOT,
        env={
            **os.environ,
            "OVERREAD_DATA": str(tmp_path),
            "OVERREAD_ENV_FILE": "",
            "DATABASE_URL": f"sqlite:///{tmp_path}/db",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "The database is not prepared: `make run` does it" in done.stderr
    assert "Traceback" not in done.stderr


def test_web_server_is_configured_without_any_setting_in_the_environment(tmp_path: Path) -> None:
    """As the container's command and the README start it, where nobody has named the settings."""
    done = subprocess.run(
        [sys.executable, "-c", "import runpy; print(runpy.run_path('portal/start/gunicorn_conf.py')['bind'])"],
        cwd=processes.ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ".",
            "OVERREAD_DATA": str(tmp_path),
            "OVERREAD_ENV_FILE": "",
            "PORT": "8123",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "127.0.0.1:8123\n", done.stderr

"""Makes ``.venv`` with what a requirements file names; run by the system's own Python: standard library only.

    python3 portal/start/environment.py requirements.txt

A stamp tells what was installed last, so that the second start takes no time. Every package is checked against the
hash in the file. uv, itself checked by hash, installs in seconds; where it cannot (a network that only pip is set up
for, say), pip does.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / ".venv"
PYTHON = FOLDER / "bin" / "python"
STAMP = FOLDER / "overread-installed.json"


def main(requirements: Path) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036  whoever runs this file by hand may have an older one
        sys.exit(f"Overread needs Python 3.11 or newer, and this is {sys.version.split()[0]}: name one with PYTHON=…")
    # Two makes at once take turns.
    held = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    if not usable():
        create()
    if installed().get(requirements.name) == fingerprint(requirements):
        return
    print(f"Installing what {requirements.name} names into .venv (once; about a minute).", flush=True)
    install(requirements)
    STAMP.write_text(json.dumps({**installed(), requirements.name: fingerprint(requirements)}))


def fingerprint(requirements: Path) -> str:
    """What the stamp compares: the file's content and the Python it was installed for."""
    return hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()


def installed() -> dict[str, str]:
    try:
        found = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def usable() -> bool:
    """Whether there is an environment already, of this very Python."""
    try:
        told = subprocess.run([PYTHON, "-c", "import sys; print(sys.version)"], capture_output=True, text=True)
    except OSError:
        return False
    return told.returncode == 0 and told.stdout.strip() == sys.version


def create() -> None:
    try:
        import ensurepip  # noqa: F401
        import venv
    except ImportError:
        release = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            "Python's venv module is missing here: install it (on Debian and Ubuntu `sudo apt install python3-venv`, "
            f"or `python{release}-venv`) and try again."
        )
    try:
        if FOLDER.exists():
            shutil.rmtree(FOLDER)
        venv.create(FOLDER, with_pip=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"The environment {FOLDER} cannot be made ({error}): see that this folder is writable.")


def install(requirements: Path) -> None:
    """Install by hash with uv, else with pip; a plain sentence where neither can."""
    quiet = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes", "-r"]
    by_uv = [str(PYTHON), "-m", "uv", "pip", "install", "--python", str(PYTHON), "--require-hashes"]
    by_uv += ["--compile-bytecode", "--no-progress", "--quiet", "--system-certs", "-r", str(requirements)]
    if run([*quiet, str(ROOT / "requirements-uv.txt")]) and run(by_uv):
        return
    print("uv could not install it; pip does (about two minutes).", flush=True)
    if not run([*quiet, str(requirements)], aloud=True):
        sys.exit(
            f"Not everything in {requirements.name} could be installed: pip's last lines above say what. "
            "It needs Python's package index (or your own, see `pip config`) and about 3 GB of disk."
        )


def run(command: list[str], aloud: bool = False) -> bool:
    done = subprocess.run(command, cwd=ROOT, capture_output=not aloud, text=True)
    return done.returncode == 0


if __name__ == "__main__":
    main(ROOT / sys.argv[1])

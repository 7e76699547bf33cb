"""``python -m portal.start``: everything that Overread needs, on one machine, in the foreground."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from portal.start import preflight
from portal.start.privacy import close_data
from portal.start.refusal import Refusal
from portal.start.safety import refuse_unsafe


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    # Until the supervisor listens for signals, a stop request ends this process at once and quietly.
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        start()
    except (Refusal, ImproperlyConfigured) as refusal:
        sys.exit(f"Overread cannot start. {refusal}")


def revision() -> str:
    """The commit that runs, for the provenance of opinions; empty where this is no checkout."""
    try:
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607  the git of whoever starts this
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def start() -> None:
    """Find obstacles, prepare, then keep the processes until told to stop."""
    try:
        from django.conf import settings

        folder = settings.DATA_DIR
    except OSError as error:
        raise Refusal(
            f"The data folder cannot be written to ({error}): make it writable or choose another with OVERREAD_DATA."
        ) from None
    # Only now: the settings have read `.env`, which may say it.
    os.environ.setdefault("OVERREAD_REVISION", revision())
    refuse_unsafe()
    preflight.check_folder(folder)
    port = preflight.port_from(os.environ.get("PORT", "8000"))
    preflight.check_port(port, os.environ.get("OVERREAD_BIND", "127.0.0.1"))
    if settings.DICOM_PORT:
        preflight.check_port(settings.DICOM_PORT, settings.DICOM_BIND)
    held = preflight.only_one(folder)
    close_data()

    from portal.start.parent import make_is_done
    from portal.start.prepare import at_terminal, how_to_sign_in, is_first_run, prepare, wants_demo
    from portal.start.programs import manage, programs
    from portal.start.supervisor import Supervisor

    kept = programs(port)
    prepare()
    first = is_first_run()
    demo = wants_demo(os.environ.get("DEMO", ""), first=first, interactive=at_terminal())
    supervisor = Supervisor(kept)

    async def ready() -> None:
        made = demo and await supervisor.once("demo", manage("demo")) == 0
        supervisor.say(f"Overread is at http://127.0.0.1:{port}{settings.ROOT}/")
        supervisor.say(how_to_sign_in(first=first, demo=made))
        supervisor.say("Ctrl-C stops it.")

    async def everything() -> None:
        supervisor.heed_signals()
        await supervisor.run(ready, until=make_is_done)

    asyncio.run(everything())
    supervisor.say("stopped")
    held.close()


if __name__ == "__main__":
    main()

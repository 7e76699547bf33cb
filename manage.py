#!/usr/bin/env python
"""Django's command line for Overread."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import execute_from_command_line
    from django.db import OperationalError, ProgrammingError

    from portal.start.privacy import keep_private

    # Static files are for everybody, and may be served by another account than the one that collects them.
    if "collectstatic" not in sys.argv[1:2]:
        keep_private()
    try:
        execute_from_command_line(sys.argv)
    except (OperationalError, ProgrammingError) as error:
        from portal.start.prepare import why_unprepared

        reason = why_unprepared()
        if reason is None or "--traceback" in sys.argv:
            raise
        sys.exit(f"{reason} ({str(error).strip().splitlines()[0]})")


if __name__ == "__main__":
    main()

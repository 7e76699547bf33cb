#!/usr/bin/env python
"""Django's command line for Overread."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import execute_from_command_line
    from django.db import OperationalError, ProgrammingError

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

"""``python -m portal.start.probe``: whether the web process of this container answers; its exit code says it."""

import asyncio
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from portal.start.programs import web_answers

    sys.exit(0 if asyncio.run(web_answers(int(os.environ.get("PORT", "8000")))) else 1)


if __name__ == "__main__":
    main()

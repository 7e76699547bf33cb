"""``python -m portal.start.probe``: whether the web process of this container answers; its exit code says it.

``python -m portal.start.probe dicom`` asks the DICOM listener instead.
"""

import asyncio
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.conf import settings

    from portal.start.programs import dicom_answers, web_answers

    if sys.argv[1:] == ["dicom"]:
        asked = dicom_answers("127.0.0.1", settings.DICOM_PORT)
    else:
        asked = web_answers(int(os.environ.get("PORT", "8000")))
    sys.exit(0 if asyncio.run(asked) else 1)


if __name__ == "__main__":
    main()

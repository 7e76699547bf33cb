"""``manage.py dicom_listener``: accept images from scanners and archives by DICOM, until told to stop."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from diagnostics.management.command import DomainCommand
from diagnostics.scans import decoding
from portal.start.privacy import close_data
from portal.start.safety import or_exit


class Command(DomainCommand):
    help = (
        "Accepts images by DICOM C-STORE from the peers that the admin lists (DICOM peers). Runs in the foreground; "
        "SIGTERM or Ctrl-C lets images in progress finish, then ends it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=settings.DICOM_PORT, help="Default: OVERREAD_DICOM_PORT.")
        parser.add_argument("--bind", default=settings.DICOM_BIND, help="Default: OVERREAD_DICOM_BIND.")

    def handle(self, *args: object, **options: Any) -> None:
        # pynetdicom takes a second to load, which no other command should wait for.
        from diagnostics.listening.server import Listener

        or_exit()
        close_data()
        if not options["port"]:
            raise CommandError(_("Say where to listen: set OVERREAD_DICOM_PORT, or use --port 11112."))
        try:
            listener = Listener(options["bind"], options["port"])
        except OSError as error:
            raise CommandError(
                _(
                    "Port %(port)s cannot be listened at (%(error)s): stop what uses it, or choose another with "
                    "OVERREAD_DICOM_PORT. Ports below 1024 need special rights."
                )
                % {"port": options["port"], "error": error.strerror}
            ) from error
        told = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_signal: told.set())
        decoding.start_ahead()
        listener.start()
        told.wait()
        listener.stop()

"""``manage.py open_original``: the DICOM file as it came, of one that was de-identified; with a reason, audited."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from diagnostics.management.command import DomainCommand
from diagnostics.models import SealedOriginal
from diagnostics.scans import identity


class Command(DomainCommand):
    help = (
        "Writes the untouched original of a de-identified file. Its patient can be read in it: who opens it, when and "
        "why is an event of the audit."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("sha256", help="Of the stored file, as the scan or image says.")
        parser.add_argument("--by", required=True, metavar="NAME", help="An administrator of the institution.")
        parser.add_argument("--reason", required=True)
        parser.add_argument("--out", required=True, type=Path, metavar="FILE")

    def handle(self, *args: object, **options: Any) -> None:
        by = get_user_model().objects.filter(username=options["by"], is_active=True).first()
        if by is None:
            raise CommandError(_("There is no active account %(name)s.") % {"name": options["by"]})
        rows = SealedOriginal.objects.select_related("institution").filter(stored_sha256=options["sha256"])
        if not rows:
            raise CommandError(_("No original is sealed for this file."))
        content = identity.opened(by=by, row=rows[0], reason=options["reason"])
        options["out"].touch(mode=0o600)
        options["out"].write_bytes(content)
        self.stdout.write(f"{options['out']}: {len(content)} bytes.")

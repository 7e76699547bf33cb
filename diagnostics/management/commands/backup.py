"""``manage.py backup FOLDER``: a copy of the database and of every file that a row names, while all runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from diagnostics.audit import anchors
from diagnostics.management.command import DomainCommand
from diagnostics.upkeep import backup


class Command(DomainCommand):
    help = (
        "Copies database and files into FOLDER while Overread runs; run again, only new files are copied. "
        "The secret key is not copied: keep it apart."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: object, **options: Any) -> None:
        try:
            made = backup.back_up(options["folder"])
        except OSError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{made.tables.get('diagnostics_scan', 0)} scans, {made.files} files ({made.new_files} new), "
            f"as of {made.taken_at}, in {options['folder']}."
        )
        # The copy is made all the same: it is the best there is, and evidence.
        for each in (forged := list(anchors.breaks())):
            self.stderr.write(f"audit: {each.kind} {each.where}: {each.sentence}")
        if forged:
            raise CommandError(_("The audit does not match its anchors. Run manage.py fsck for details."))
        if made.missing:
            for name in made.missing:
                self.stderr.write(f"missing: {name}")
            raise CommandError(
                _("%(n)s files are missing. Run manage.py fsck for details.") % {"n": len(made.missing)}
            )

"""``manage.py fsck [--repair]``: hold every row against its files, and every file against the rows."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from diagnostics.management.command import DomainCommand
from diagnostics.upkeep import integrity


class Command(DomainCommand):
    help = (
        "Names each file that is missing, changed, or belongs to no row, and each case that differs from what the "
        "predictions say. With --repair what can be made anew from an untouched original is made anew, cases say what "
        "they should, and files without a row move below lost+found/; nothing is deleted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--repair", action="store_true", help="Put right what can be put right.")
        parser.add_argument(
            "--young",
            type=int,
            default=60,
            metavar="MINUTES",
            help="Files without a row count as an upload on its way for so long (default: 60).",
        )

    def handle(self, *args: object, **options: Any) -> None:
        tally = integrity.Tally()
        found = repaired = 0
        young = timedelta(minutes=options["young"])
        for fault in integrity.faults(repair=options["repair"], young=young, tally=tally):
            self.stdout.write(str(fault))
            found += 1
            repaired += bool(fault.repaired)
        left = found - repaired
        self.stdout.write(f"{tally.rows} rows, {tally.files} files: {found} faults, {repaired} repaired, {left} left.")
        if left:
            raise CommandError(
                _("Restore missing and changed originals, models and manifests from a backup (docs/runbook.md).")
                + ("" if options["repair"] else " " + _("--repair fixes the rest."))
            )

"""``manage.py restore FOLDER``: put a backup back into an empty data folder, and look whether all is there."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from diagnostics.audit import anchors
from diagnostics.management.command import DomainCommand
from diagnostics.upkeep import backup


class Command(DomainCommand):
    help = "Puts the copy that `backup` made into an empty data folder (OVERREAD_DATA), then holds rows against files."
    # The database may not be there yet; what it holds is the backup's affair.
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: object, **options: Any) -> None:
        try:
            contents = backup.restore(options["folder"])
        except OSError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Restored as of {contents.taken_at}: {contents.files} files.")
        # A copy of an earlier version is brought up to date; of whichever key its anchor was, ours comes beside it.
        call_command("migrate", interactive=False, verbosity=0)
        anchors.keep()
        call_command("fsck", stdout=self.stdout)

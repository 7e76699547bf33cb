"""Enter the model that came with the software, and put it into use where none is: ``manage.py install_model``."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from diagnostics.management.command import DomainCommand
from diagnostics.registry import services
from mlcore.model.identity import WEIGHTS


class Command(DomainCommand):
    help = "Enter the bundled model, and put it into use where none is. Does nothing the second time."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--folder",
            type=Path,
            default=settings.BUNDLED_MODEL,
            help="a model folder (default: the bundled one)",
        )

    def handle(self, *args: object, folder: Path, **options: Any) -> None:
        if not (folder / WEIGHTS).is_file():
            raise CommandError(
                _("There is no model in %(folder)s. Scans wait until one is promoted or installed with --folder.")
                % {"folder": folder}
            )
        before = services.live()
        try:
            version = services.install_bundled_model(folder)
        except services.ArtifactDamaged as error:
            raise CommandError(
                _("The model in %(folder)s is damaged: %(error)s Download the software again.")
                % {"folder": folder, "error": error}
            ) from error
        now = services.live()
        if before is None and now is not None and options["verbosity"]:
            self.stdout.write(f"{now} is in use.")
        elif options["verbosity"] > 1:
            self.stdout.write(f"{version} was there already; {now} is in use.")

"""Keeps the catalogues of translations with what pages and sentences say."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

try:
    from portal.ui import catalogues
except ModuleNotFoundError:  # Babel is a tool of development
    catalogues = None  # type: ignore[assignment]


class Command(BaseCommand):
    """``manage.py catalogues`` brings every catalogue up to date; ``--check`` only says what is not."""

    help = (
        "Collect what can be translated, bring portal/locale/*/LC_MESSAGES/django.po up to date, and compile them. "
        "Says what still waits for a translation."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="Change nothing; fail where anything is out of date.")

    def handle(self, *args: object, **options: Any) -> None:
        if catalogues is None:
            raise CommandError("Babel is missing: `make environment-dev` installs it.")
        root = Path(settings.BASE_DIR)
        found = catalogues.collect(root)
        faults: list[str] = []
        for language, _name in settings.LANGUAGES[1:]:
            path = Path(settings.LOCALE_PATHS[0]) / language / "LC_MESSAGES" / "django.po"
            if not options["check"]:
                catalogues.update(path, language, found)
            faults += [f"{language}: {fault}" for fault in catalogues.faults(path, language, found)]
        for fault in faults:
            self.stdout.write(fault)
        self.stdout.write(f"{len(found)} messages, {len(faults)} faults.")
        if options["check"] and faults:
            raise CommandError(
                "`manage.py catalogues` brings the catalogues up to date; what waits for words, people translate."
            )

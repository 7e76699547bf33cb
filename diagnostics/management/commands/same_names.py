"""``manage.py same_names``: names that differ only in the case of their letters, and what to do about them."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from diagnostics.management.command import DomainCommand
from diagnostics.scans.mending import Mender

ACTS = {
    "rename-person": ("OLD", "NEW"),
    "rename-institution": ("OLD", "NEW"),
    "rename-patient": ("INSTITUTION", "OLD", "NEW"),
    "rename-study": ("INSTITUTION", "PATIENT", "OLD", "NEW"),
    "merge-patients": ("INSTITUTION", "KEEP", "OTHER"),
    "merge-studies": ("INSTITUTION", "PATIENT", "KEEP", "OTHER"),
}


class Command(DomainCommand):
    help = (
        "Lists people, institutions, patients and studies whose names differ only in the case of their letters: an "
        "update stops at them. Two that are one are merged (the first name stays), two that are two get other names. "
        "Works also while an update has stopped. Acts: "
        + "; ".join(f"{act} {' '.join(words)}" for act, words in ACTS.items())
        + "."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", nargs="?", choices=ACTS, help="What to do; nothing lists them.")
        parser.add_argument("names", nargs="*", metavar="NAME", help="What the act is about.")

    def handle(self, *args: object, **options: Any) -> None:
        mender, act, names = Mender(), options["act"], options["names"]
        if act is not None:
            wanted = ACTS[act]
            if len(names) != len(wanted):
                raise CommandError(
                    _("Usage: same_names %(act)s %(wanted)s") % {"act": act, "wanted": " ".join(wanted)}
                )
            moved = getattr(mender, act.replace("-", "_"))(*names)
            self.stdout.write("Renamed." if moved is None else f"Merged; {moved} scans moved.")
        left = mender.left()
        for twins in left:
            self.stdout.write(str(twins))
        if not left:
            self.stdout.write("No two names differ only in the case of their letters.")

"""``manage.py audit``: verify the audit's chains, and give an anchor out to be kept elsewhere."""

import json
from argparse import ArgumentParser
from itertools import chain
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from diagnostics.audit import anchors, checking, services
from diagnostics.management.command import DomainCommand


class Command(DomainCommand):
    help = (
        "verify: hold every audit event against its chain and the anchors. anchor: write an anchor, to be kept where "
        "nobody who can change the database can change it. adopt, anew: see docs/runbook.md."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        verify = what.add_parser(
            "verify", help="Ends with 1 where something was edited, inserted, removed or cut off."
        )
        verify.add_argument("--anchor", type=Path, metavar="FILE", help="Hold it against this anchor, too.")
        anchor = what.add_parser("anchor", help="Print how far the audit has come, signed.")
        anchor.add_argument("--out", type=Path, metavar="FILE", help="Write it there instead.")
        adopt = what.add_parser("adopt", help="Take in events that an older version of the software wrote.")
        adopt.add_argument("--reason", required=True)
        anew = what.add_parser("anew", help="After a restore on servers: put aside anchors newer than the database.")
        anew.add_argument("--reason", required=True)

    def handle(self, *args: object, **options: Any) -> None:
        getattr(self, f"_{options['what']}")(options)

    def _verify(self, options: dict[str, Any]) -> None:
        count = checking.Count()
        found = 0
        given = options["anchor"]
        extra = anchors.against(self._read(given), str(given)) if given else iter(())
        for each in chain(checking.breaks(count), anchors.breaks(), extra):
            self.stdout.write(f"{each.kind:9} {each.where}: {each.sentence}")
            found += 1
        self.stdout.write(f"{count.events} events: {found} breaks.")
        if found:
            raise CommandError(_("The audit was changed. See docs/runbook.md."))

    def _read(self, path: Path) -> anchors.Anchor:
        try:
            found = anchors.Anchor.from_json(json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise CommandError(
                _("%(path)s is not a readable anchor: %(error)s") % {"path": path, "error": error}
            ) from error
        if found.ours and not found.genuine:
            raise CommandError(_("%(path)s was changed: its signature does not match its content.") % {"path": path})
        if not found.ours:
            self.stderr.write(f"{path} was signed with another key ({found.key}): its signature cannot be checked.")
        return found

    def _anchor(self, options: dict[str, Any]) -> None:
        anchors.keep()
        text = json.dumps(anchors.current().as_json(), indent=1)
        if options["out"] is None:
            self.stdout.write(text)
            return
        options["out"].write_text(text + "\n")
        self.stdout.write(f"{anchors.current().events} events, in {options['out']}.")

    def _adopt(self, options: dict[str, Any]) -> None:
        adopted = services.adopt(reason=options["reason"])
        self.stdout.write(f"{adopted} events were taken in.")

    def _anew(self, options: dict[str, Any]) -> None:
        former = services.anchor_anew(reason=options["reason"])
        self.stdout.write(f"{former} anchors were put aside; a new one was written.")

"""``manage.py freeze_dataset --institution CODE --by NAME``: freeze what is labelled now."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from diagnostics.datasets import services
from diagnostics.management.command import DomainCommand
from diagnostics.scans.folding import folded
from diagnostics.scans.models import Institution


class Command(DomainCommand):
    help = (
        "Freezes a dataset version of every scan with a label that may train: final reads, and labels that came with "
        "imported folders. With --plan it only shows what freezing would make."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--institution", action="append", required=True, metavar="CODE", help="May be repeated.")
        parser.add_argument("--by", required=True, metavar="NAME", help="Who is answerable: a data manager.")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--lineage", default="main", help="Versions of one lineage share a test part.")
        parser.add_argument("--reads-only", action="store_true", help="Leave imported reference labels out.")
        parser.add_argument("--demo", action="store_true", help="Count synthetic phantoms.")
        parser.add_argument(
            "--exclude-reader", action="append", default=[], metavar="NAME", help="Leave their labels out. Repeatable."
        )
        parser.add_argument(
            "--exclude-institution",
            action="append",
            default=[],
            metavar="CODE",
            help="One of those given: dealt together with the others, then left out. Repeatable.",
        )
        parser.add_argument("--plan", action="store_true", help="Change nothing.")

    def handle(self, *args: object, **options: Any) -> None:
        by = get_user_model().objects.named(options["by"]).filter(is_active=True).first()
        if by is None:
            raise CommandError(_("There is no account %(by)s.") % {"by": options["by"]})
        names = options["exclude_reader"]
        readers = list(get_user_model().objects.filter(username_folded__in=[folded(name) for name in names]))
        known = {reader.username_folded for reader in readers}
        missing = sorted(name for name in names if folded(name) not in known)
        if missing:
            raise CommandError(_("There is no account %(missing)s.") % {"missing": missing[0]})
        wanted = {
            "by": by,
            "institutions": self._institutions(options["institution"]),
            "exclude_institutions": self._institutions(options["exclude_institution"]),
            "exclude_readers": readers,
            "seed": options["seed"],
            "lineage": options["lineage"],
            "include_imported": not options["reads_only"],
            "include_demo": options["demo"],
        }
        if options["plan"]:
            plan = services.plan(**wanted)
            self._show(plan.counts)
            self.stdout.write(plan.problem or "Nothing stands against freezing this.")
            return
        version = services.freeze(**wanted)
        self._show(version.counts)
        self.stdout.write(f"Frozen as {version}: {version.sha256}")

    def _institutions(self, codes: list[str]) -> list[Institution]:
        found = list(Institution.objects.filter(code_folded__in=[folded(code) for code in codes]))
        known = {place.code_folded for place in found}
        missing = sorted(code for code in codes if folded(code) not in known)
        if missing:
            raise CommandError(_("There is no institution %(missing)s.") % {"missing": missing[0]})
        return found

    def _show(self, counts: dict[str, Any]) -> None:
        for row in counts.get("table", []):
            self.stdout.write(
                f"{row['split']:<11} {row['label']:<12} {row['label_source']:<11} "
                f"{row['institution']:<20} {row['n']:>6}"
            )
        if "groups" in counts:
            self.stdout.write(f"{counts['scans']} scans in {counts['groups']} groups; left out: {counts['left_out']}")
            self.stdout.write(f"{counts['conflicts']} conflicts of labels are open")
        if counts.get("difference"):
            since = counts["difference"]
            self.stdout.write(
                f"since dataset v{since['former']}: {since['added']} added, {since['removed']} removed, "
                f"{since['relabelled']} with another label"
            )

"""``manage.py import_folder PATH --institution CODE [--labels]``: load a folder tree of images."""

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from diagnostics import pipeline
from diagnostics.actors import Actor
from diagnostics.errors import Conflict, Invalid, Unavailable
from diagnostics.management.command import DomainCommand
from diagnostics.scans import archives, planner_statistics
from diagnostics.scans.folding import folded
from diagnostics.scans.models import Institution, Scan
from diagnostics.scans.service_accounts import importer_of
from mlcore.data.labels import label_from_folder

SHOW_EVERY = 25  # files between two lines of progress where the output is no terminal


def _lies_in(root: Path, file: Path) -> bool:
    """Whether this is a file of the folder; a link may lead out of it."""
    return file.is_file() and file.resolve().is_relative_to(root.resolve())


class Command(DomainCommand):
    help = (
        "Loads every image below PATH, also those in ZIP files, into an institution. With --labels the name of the "
        "folder that an image lies in (yes, no, glioma, notumor …) becomes its reference label. Run it again at "
        "will: nothing is stored twice."
    )

    arrived: dict[UUID, Scan]  # of each series that came, one of its scans

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--institution", required=True, metavar="CODE")
        parser.add_argument("--labels", action="store_true", help="Folder names are reference labels.")
        parser.add_argument(
            "--worklist",
            action="store_true",
            help="Put labelled images on the worklist too (images without a label always are).",
        )

    def handle(self, *args: object, **options: Any) -> None:
        root: Path = options["path"]
        if not root.is_dir():
            raise CommandError(_("%(root)s is not a folder. Name the folder with the images.") % {"root": root})
        institution = Institution.objects.filter(code_folded=folded(options["institution"])).first()
        if institution is None:
            known = ", ".join(Institution.objects.values_list("code", flat=True)) or "none yet"
            raise CommandError(
                _(
                    "There is no institution %(institution)s (known: %(known)s). manage.py create_person "
                    "creates one with its first person."
                )
                % {"institution": options["institution"], "known": known}
            )
        files = sorted(file for file in root.rglob("*") if _lies_in(root, file) and not file.name.startswith("."))
        if not files:
            raise CommandError(_("There are no files in %(root)s.") % {"root": root})
        self._import(files, institution, options["labels"], options["worklist"])

    def _import(self, files: list[Path], institution: Institution, labels: bool, worklist: bool) -> None:
        by = importer_of(institution)
        tally: Counter[str] = Counter()
        self.arrived = {}
        for number, file in enumerate(files, 1):
            label = (label_from_folder(file.parent.name) or "") if labels else ""
            for name, data in self._read(file):
                outcome = self._one(by, institution, name, data, label, worklist) if data is not None else "refused"
                tally[outcome] += 1
                if labels and not label and outcome in ("stored", "already here"):
                    tally["without a label"] += 1
            self._progress(number, len(files))
        pipeline.close_series(by=by, scans_of=list(self.arrived.values()))
        # So many new rows change which index serves which question best.
        planner_statistics.refresh()
        self.stdout.write("")
        self.stdout.write(", ".join(f"{tally[name]} {name}" for name in ("stored", "already here", "refused")))
        if tally["kept with its study, not analysed"]:
            self.stdout.write(f"{tally['kept with its study, not analysed']} kept with their study, not analysed")
        if self.arrived:
            self.stdout.write(f"{len(self.arrived)} series; a worker puts their images in order.")
        if tally["without a label"]:
            self.stdout.write(
                f"{tally['without a label']} have no reference label, because their folder's name is none that is "
                "known (yes, no, glioma, meningioma, pituitary, notumor)."
            )

    def _read(self, file: Path) -> Iterator[tuple[str, bytes | None]]:
        """The bytes of a file, or of each file of a ZIP; None where they cannot be had, which is said."""
        try:
            with file.open("rb") as opened:
                if not archives.is_archive(opened.read(4)):
                    opened.seek(0)
                    yield str(file), opened.read()
                    return
                for member in archives.members(opened):
                    name = f"{file}: {member.name}"
                    if member.code:
                        self.stderr.write(f"refused {name}: {member.refusal}")
                    yield name, None if member.code else member.data
        except archives.BrokenArchive as refusal:
            self.stderr.write(f"refused {file}: {refusal.sentence}")
            yield str(file), None
        except OSError as error:
            self.stderr.write(f"refused {file}: it cannot be read ({error.strerror}).")
            yield str(file), None

    def _one(self, by: Actor, institution: Institution, name: str, data: bytes, label: str, worklist: bool) -> str:
        try:
            submitted = pipeline.submit_scan(
                by=by,
                institution=institution,
                data=data,
                patient=None,
                source=Scan.Source.IMPORT,
                reference_label=label,
                to_read=worklist or not label,
            )
        except (Conflict, Invalid) as refusal:
            self.stderr.write(f"refused {name}: {refusal.sentence}")
            return "refused"
        except Unavailable as error:
            raise CommandError(_("%(error)s Run it again: nothing is stored twice.") % {"error": error}) from None
        if isinstance(submitted, pipeline.KeptBeside):
            return "kept with its study, not analysed"
        if submitted.scan.series_id is not None:
            self.arrived[submitted.scan.series_id] = submitted.scan
        return "stored" if submitted.created else "already here"

    def _progress(self, number: int, total: int) -> None:
        if self.stdout.isatty():
            self.stdout.write(f"\r{number} of {total}", ending="")
            sys.stdout.flush()
        elif number % SHOW_EVERY == 0 or number == total:
            self.stdout.write(f"{number} of {total}")

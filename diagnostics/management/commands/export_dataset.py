"""``manage.py export_dataset NUMBER --by NAME --out FOLDER``: a dataset's files, to train on elsewhere."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.db import transaction
from django.utils.translation import gettext as _

from diagnostics.audit.services import record
from diagnostics.datasets import services
from diagnostics.datasets.models import DatasetVersion
from diagnostics.management.command import DomainCommand


class Command(DomainCommand):
    help = (
        "Writes a dataset version's manifest and the untouched files that it names into a folder, on which "
        "python -m mlcore train FOLDER/manifest.jsonl --files FOLDER works. The files are as they were handed in: a "
        "DICOM file may name its patient."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("number", type=int)
        parser.add_argument("--by", required=True, metavar="NAME", help="Who is answerable: a data manager.")
        parser.add_argument("--out", type=Path, required=True, help="A folder; it is made.")

    def handle(self, *args: object, **options: Any) -> None:
        from diagnostics.training.originals import read_original
        from mlcore.data.dataset import read_manifest

        by = get_user_model().objects.named(options["by"]).filter(is_active=True).first()
        if by is None:
            raise CommandError(_("There is no account %(by)s.") % {"by": options["by"]})
        version = DatasetVersion.objects.visible_to(by).filter(number=options["number"]).first()
        if version is None:
            raise CommandError(_("There is no such dataset version, or this person may not see it."))
        out: Path = options["out"]
        out.mkdir(parents=True, exist_ok=True)
        (out / "manifest.jsonl").write_bytes(services.manifest(version))
        items = read_manifest(out / "manifest.jsonl")
        for item in items:
            target = out / item.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(read_original(item))
        with transaction.atomic():
            for institution in version.institutions.all():
                record(by=by, act="dataset_exported", target=version, institution=institution, number=version.number)
        self.stdout.write(f"{len(items)} files of {version} are in {out}.")

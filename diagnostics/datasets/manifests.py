"""A dataset's manifest: how it is written, kept under its hash, and read back."""

import hashlib
import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from django.core.files.base import File
from django.core.files.storage import storages
from django.utils.translation import gettext_lazy as _

from diagnostics.errors import Conflict

from .models import DatasetVersion
from .splits import Planned


class ManifestDamaged(Conflict):
    """A stored manifest is gone or is not what was frozen."""

    code = "manifest_damaged"


def written(items: Sequence[Planned], regions: dict[Any, list[Any]]) -> bytes:
    """One JSON object a line, in an order that depends on the content alone: equal sets are equal bytes.

    ``regions`` by read; a scan on which nothing is outlined has none in its line.
    """
    rows = [
        {
            "path": each.labelled.original,
            "sha256": each.labelled.sha256,
            "label": each.labelled.label,
            "group": each.group,
            # A model's report names its sources to everybody who sees models, so the institution stays unnamed.
            "source": f"site-{each.labelled.institution}",
            "split": each.part,
            "scan": str(each.labelled.scan),
            "label_source": str(each.labelled.source),
            **each.labelled.stated,
            **({"image": each.labelled.number} if each.labelled.number is not None else {}),
            **({"regions": regions[each.labelled.read]} if each.labelled.read in regions else {}),
        }
        for each in items
    ]
    rows.sort(key=lambda row: (row["sha256"], row["scan"]))
    return "".join(json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n" for row in rows).encode()


def keep(content: bytes) -> str:
    """Put the manifest into the storage, under its hash."""
    key = f"manifests/{hashlib.sha256(content).hexdigest()}.jsonl"
    storage = storages["artifacts"]
    try:
        with storage.open(key, "rb") as file:
            if file.read() == content:
                return key
        storage.delete(key)
    except FileNotFoundError:
        pass
    stored = storage.save(key, File(BytesIO(content), name=key))
    if stored != key:
        storage.delete(stored)
        raise ManifestDamaged(_("The storage has manifests under other names (%(stored)s)."), {"stored": stored})
    return key


def manifest(version: DatasetVersion) -> bytes:
    """Give the manifest of a version, verified by its hash.

    Raises
    ------
    ManifestDamaged
        It is gone or altered.
    """
    try:
        with storages["artifacts"].open(version.manifest, "rb") as file:
            content: bytes = file.read()
    except FileNotFoundError as error:
        raise ManifestDamaged(
            _("The manifest of %(version)s is missing from the storage."), {"version": version}
        ) from error
    if hashlib.sha256(content).hexdigest() != version.sha256:
        raise ManifestDamaged(
            _("The manifest of %(version)s was changed after freezing: its hash differs."), {"version": version}
        )
    return content

"""Freeze what is labelled now into a dataset version: a manifest with a hash, split so that nothing leaks."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.files.base import File
from django.core.files.storage import storages
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from diagnostics.audit.services import record
from diagnostics.registry.numbering import create_numbered
from diagnostics.scans.access import Permission, require
from diagnostics.scans.models import Institution
from mlcore.labels import NO_TUMOUR, TUMOUR, finding_of

from . import parts
from .labelling import Labelled, ghosts, labelled
from .models import DatasetItem, DatasetVersion, Split
from .regions import regions_of

MINIMUM_GROUPS = 3
_CONFLICTS_LISTED = 100
_WORDS = {TUMOUR: "with a tumour", NO_TUMOUR: "without a tumour"}
_PARTS = {"train": "training", "validation": "validation", "test": "test"}


class NotFreezable(ValueError):
    """No dataset version can be made of what is there; ``str()`` says what is missing."""


class ManifestDamaged(ValueError):
    """A stored manifest is gone or is not what was frozen."""


@dataclass(frozen=True)
class Planned:
    """One scan of a plan with its part."""

    labelled: Labelled
    group: str
    part: str


@dataclass(frozen=True)
class Plan:
    """What freezing would make now. ``problem`` says why it cannot be done, where it cannot."""

    institutions: list[Institution]
    lineage: str
    seed: int
    items: list[Planned] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    manifest: bytes = b""
    last: DatasetVersion | None = None
    problem: str = ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.manifest).hexdigest()


def plan(
    *,
    by: Any,
    institutions: Sequence[Institution],
    seed: int = 0,
    lineage: str = "main",
    include_imported: bool = True,
    include_demo: bool = False,
) -> Plan:
    """Work out what freezing would make, and change nothing.

    Raises
    ------
    NotAllowed
        ``by`` may not freeze a dataset in one of the institutions.
    """
    for institution in institutions:
        require(by, Permission.FREEZE_DATASET, institution)
    lineage = lineage.strip() or "main"
    places = sorted(institutions, key=lambda each: each.code)
    bare = Plan(places, lineage, seed)
    if not places:
        return _with(bare, problem="Choose at least one institution.")
    if not 0 <= seed <= 2**31 - 1:
        return _with(bare, problem="The seed must be a whole number from 0 to 2147483647.")
    if len(lineage) > 40:
        return _with(bare, problem="The name of a lineage may have 40 characters at most.")
    found, left_out = labelled(by=by, institutions=places, imported=include_imported, demo=include_demo)
    try:
        dealt = parts.deal(found, ghosts(lineage), _history(lineage), seed=seed)
    except ValueError as error:
        return _with(bare, problem=f"The scans cannot be compared with each other: {error}")
    items = [
        Planned(item, group, part)
        for item, group, part in zip(found, dealt.groups, dealt.parts, strict=True)
        if part is not None
    ]
    left_out["held_back"] = dealt.held_back
    counts = _counts(items, places, left_out)
    counts["conflicts"] = len(dealt.conflicts)
    counts["conflicts_listed"] = [
        [{"scan": str(found[i].scan), "label": found[i].label} for i in inside]
        for inside in dealt.conflicts[:_CONFLICTS_LISTED]
    ]
    regions = regions_of((each.labelled.read for each in items), places)
    counts["regions"] = sum(len(each) for each in regions.values())
    last = _newest(lineage, places)
    made = _with(bare, items=items, counts=counts, manifest=_manifest(items, regions), last=last)
    return _with(made, problem=_problem(made, found, dealt.groups, left_out))


def freeze(
    *,
    by: AbstractBaseUser,
    institutions: Sequence[Institution],
    seed: int = 0,
    lineage: str = "main",
    include_imported: bool = True,
    include_demo: bool = False,
) -> DatasetVersion:
    """Make a dataset version of every scan that has a label that may train.

    Parameters
    ----------
    by
        Must be allowed to freeze datasets in each institution.
    institutions
        Whose scans.
    seed
        Of the split.
    lineage
        Versions of one lineage share a test part; another name begins a new one.
    include_imported
        Whether labels that came with imported folders count where nobody has read the scan.
    include_demo
        Whether synthetic phantoms count.

    Raises
    ------
    NotFreezable
        With a sentence that says what is missing.
    NotAllowed
        ``by`` may not freeze a dataset in one of the institutions.
    """
    # Comparing thousands of scans takes seconds, in which nobody's writes should wait. So the plan is made first, and
    # made again if another version of the lineage came between.
    for _attempt in range(3):
        planned = plan(
            by=by,
            institutions=institutions,
            seed=seed,
            lineage=lineage,
            include_imported=include_imported,
            include_demo=include_demo,
        )
        if planned.problem:
            raise NotFreezable(planned.problem)
        key = _keep(planned)
        with transaction.atomic():
            _lock(planned.institutions)
            if _newest(planned.lineage, planned.institutions) == planned.last:
                return _write(by, planned, key)
    raise NotFreezable(_("Others are freezing datasets at this moment. Try again in a minute."))


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
            _("The manifest of %(version)s is gone from the storage.") % {"version": version}
        ) from error
    if hashlib.sha256(content).hexdigest() != version.sha256:
        raise ManifestDamaged(
            _("The manifest of %(version)s is not what was frozen: its hash differs.") % {"version": version}
        )
    return content


def _lock(institutions: Sequence[Institution]) -> None:
    """Make other freezes of these institutions wait until this transaction ends, and nobody else."""
    keys = [institution.pk for institution in institutions]
    list(Institution.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk").values_list("pk"))


def _with(planned: Plan, **changes: Any) -> Plan:
    return Plan(**{**planned.__dict__, **changes})


def _history(lineage: str) -> parts.History:
    rows = (
        DatasetItem.objects.filter(dataset__lineage=lineage)
        .order_by("dataset__number", "id")
        .values_list("scan_id", "split", "scan__institution_id")
    )
    test, decided, places = set(), {}, set()
    for scan, part, place in rows.iterator(chunk_size=5000):
        places.add(place)
        if part == Split.TEST:
            test.add(scan)
        else:
            decided[scan] = part
    return parts.History(frozenset(test), decided, frozenset(places))


def _newest(lineage: str, institutions: Sequence[Institution]) -> DatasetVersion | None:
    """The newest version of the lineage in which any of the institutions took part."""
    number = DatasetVersion.objects.filter(lineage=lineage, institutions__in=institutions).aggregate(
        last=Max("number")
    )["last"]
    return DatasetVersion.objects.filter(number=number).first()


def _counts(items: Sequence[Planned], institutions: Sequence[Institution], left_out: Counter[str]) -> dict[str, Any]:
    codes = {institution.pk: institution.code for institution in institutions}
    table = Counter(
        (each.part, each.labelled.label, str(each.labelled.source), codes[each.labelled.institution]) for each in items
    )
    counts: dict[str, Any] = {
        "scans": len(items),
        "groups": len({each.group for each in items}),
        "patients": len({each.labelled.patient for each in items}),
        "left_out": {reason: number for reason, number in sorted(left_out.items()) if number},
        "table": [
            {"split": part, "label": label, "label_source": source, "institution": code, "n": number}
            for (part, label, source, code), number in sorted(table.items())
        ],
    }
    for place, name in enumerate(("by_split", "by_label", "by_label_source", "by_institution")):
        tally: Counter[str] = Counter()
        for key, number in table.items():
            tally[key[place]] += number
        counts[name] = dict(sorted(tally.items()))
    return counts


def _manifest(items: Sequence[Planned], regions: dict[Any, list[Any]]) -> bytes:
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
            **({"regions": regions[each.labelled.read]} if each.labelled.read in regions else {}),
        }
        for each in items
    ]
    rows.sort(key=lambda row: (row["sha256"], row["scan"]))
    return "".join(json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n" for row in rows).encode()


def _problem(planned: Plan, found: Sequence[Labelled], groups: Sequence[str], left_out: Counter[str]) -> str:
    """Why this plan cannot be frozen, as a sentence, or nothing."""
    names = ", ".join(institution.name for institution in planned.institutions)
    if not found:
        waiting = left_out["unlabelled"] + left_out["may_not_train"] + left_out["not_judged"]
        there = f"{waiting} scans are there, none with a label that may train" if waiting else "no scan is there"
        return (
            f"Nothing is labelled yet in {names}: {there}. Read cases and tick “may this case train?”, or import a "
            "folder with its labels (manage.py import_folder PATH --institution CODE --labels)."
        )
    independent = parts.groups_by_finding(found, groups)
    for finding, words in _WORDS.items():
        if not independent[finding]:
            return f"All {len(found)} labelled scans are of one kind: scans {words} are missing."
        if independent[finding] < MINIMUM_GROUPS:
            return (
                f"Too few to split: {_groups(independent[finding])} {words} (a patient's scans, and scans that look "
                f"alike, count as one), and {MINIMUM_GROUPS} are needed, for training, validation and test."
            )
    have = {(each.part, finding_of(each.labelled.label)) for each in planned.items}
    for part in ("train", "validation", "test"):
        for finding, words in _WORDS.items():
            if (part, finding) not in have:
                return _missing(planned.lineage, part, words)
    same = DatasetVersion.objects.filter(lineage=planned.lineage, sha256=planned.sha256).first()
    if same is not None:
        return f"Nothing has changed since {same}: the same scans with the same labels. Use that version."
    return ""


def _groups(number: int) -> str:
    return "1 independent group is" if number == 1 else f"{number} independent groups are"


def _missing(lineage: str, part: str, words: str) -> str:
    if part == "test":
        return (
            f"The test part of the lineage “{lineage}” holds no scan {words} any more, and it is never refilled. "
            "Begin a new lineage under another name."
        )
    return f"The {_PARTS[part]} part would hold no scan {words}. More patients with such scans are needed."


def _keep(planned: Plan) -> str:
    """Put the manifest into the storage, under its hash."""
    key = f"manifests/{planned.sha256}.jsonl"
    storage = storages["artifacts"]
    try:
        with storage.open(key, "rb") as file:
            if file.read() == planned.manifest:
                return key
        storage.delete(key)
    except FileNotFoundError:
        pass
    stored = storage.save(key, File(BytesIO(planned.manifest), name=key))
    if stored != key:
        storage.delete(stored)
        raise ManifestDamaged(_("The storage keeps manifests under other names (%(stored)s).") % {"stored": stored})
    return key


def _write(by: AbstractBaseUser, planned: Plan, key: str) -> DatasetVersion:
    version: DatasetVersion = create_numbered(
        DatasetVersion,
        lineage=planned.lineage,
        seed=planned.seed,
        sha256=planned.sha256,
        manifest=key,
        counts=planned.counts,
        created_by=by,
        frozen_at=timezone.now(),
    )
    version.institutions.set(planned.institutions)
    DatasetItem.objects.bulk_create(
        (
            DatasetItem(
                dataset=version,
                scan_id=each.labelled.scan,
                read_id=each.labelled.read,
                label=each.labelled.label,
                label_source=each.labelled.source,
                group=each.group,
                split=each.part,
            )
            for each in planned.items
        ),
        batch_size=1000,
    )
    for institution in planned.institutions:
        record(
            by=by,
            act="dataset_frozen",
            target=version,
            institution=institution,
            number=version.number,
            sha256=version.sha256,
            items=planned.counts["by_institution"].get(institution.code, 0),
        )
    return version

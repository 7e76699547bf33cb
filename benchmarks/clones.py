"""A thousand scans with reads, ended claims and audit events, and copies of them by SQL: a million rows in minutes."""

import uuid
from datetime import timedelta
from typing import Any

from django.db import connection, models
from django.utils import timezone

from benchmarks.world import World
from diagnostics.models import AuditEvent, Case, Claim, Image, Patient, Prediction, Read, Scan, Series, Study
from diagnostics.reviews.worklist import place_of
from diagnostics.scans.access import Role
from diagnostics.scans.models import Membership
from diagnostics.scans.services import add_only_image
from portal.accounts.models import User

PATTERN = 1_000  # scans that are copied
# In the proportions of an installation that has run for years: of 1,000 scans 910 are cases, 490 of these read.
CASES, READS, EVENTS = 910, 490, 1_540
BUSY_READER = 98  # of the reads are one reader's, the rest is shared out among READERS
READERS = 20
COPIED: tuple[type[models.Model], ...] = (
    Patient, Study, Series, Scan, Image, Prediction, Case, Claim, Read, AuditEvent,
)  # fmt: skip
# Of DICOM only: unique, but empty where there is none.
UIDS = {("study", "uid"), ("series", "uid"), ("image", "sop_uid")}
# Text that must be unique gets the copy's number before it; a prefix of the same length keeps a hash a hash.
NUMBERED = {("patient", name) for name in ("pseudonym", "pseudonym_folded")} | {
    ("study", name) for name in ("accession", "accession_folded")
}
OF_THE_ONLY_IMAGE = (
    "institution", "sha256", "size_bytes", "original", "pixels", "preview", "width", "height", "bits", "created_at",
)  # fmt: skip
DAYS = 730  # dates are spread over two years
PRIORITIES = [0] + [1] * 9 + [2] * 40
LABELS = ("no_tumour", "glioma", "meningioma", "pituitary")


def pattern(world: World) -> None:
    """Replace whatever scans there are by the thousand that are copied."""
    for model in reversed(COPIED[:-1]):
        model._base_manager.all().delete()
    first = world.scans[0]
    now = timezone.now()
    readers = [world.by, *(User.objects.create_user(username=f"reader-{n}") for n in range(READERS))]
    for reader in readers[1:]:
        Membership.objects.create(user=reader, institution=world.institution, role=Role.RADIOLOGIST)
    for number in range(PATTERN):
        _one(world, first, readers, number, now)
    AuditEvent.objects.bulk_create(
        AuditEvent(
            actor=readers[n % len(readers)], institution=world.institution, act="read_recorded",
            target_type="case", target_id=str(uuid.uuid4()), detail={"kind": "final"},
        )
        for n in range(EVENTS)
    )  # fmt: skip
    _spread(now)


def _one(world: World, first: Any, readers: list[Any], number: int, now: Any) -> None:
    place = world.institution
    patient = Patient.objects.create(institution=place, pseudonym=f"B-{number}")
    study = Study.objects.create(patient=patient, accession=f"ACC-{number}")
    scan = Scan.objects.create(
        institution=place, patient=patient, study=study, sha256=uuid.uuid4().hex * 2,
        size_bytes=1, format="png", width=64, height=64, bits=8, original=first.original,
        analysis="ready", pixels=first.pixels, preview=first.preview, fingerprint=first.fingerprint,
        source=Scan.Source.API, uploaded_by=world.by, priority=PRIORITIES[number % len(PRIORITIES)],
    )  # fmt: skip
    add_only_image(scan)
    label = LABELS[number % 4]
    Prediction.objects.create(
        scan=scan, model_version=world.version, finished_at=now, state="ready", label=label,
        finding="no_tumour" if label == "no_tumour" else "tumour", tumour_probability=0.9,
        probabilities={name: 0.7 if name == label else 0.1 for name in LABELS},
    )  # fmt: skip
    if number >= CASES:
        return
    done = number < READS
    case = Case.objects.create(
        scan=scan, institution=place, priority=scan.priority, analysis="ready", state="done" if done else "open",
        done_at=now if done else None, **place_of(place, scan.priority),
    )  # fmt: skip
    if done:
        reader = readers[0] if number < BUSY_READER else readers[1 + number % READERS]
        claim = Claim.objects.create(case=case, holder=reader, expires_at=now, released_at=now, release="done")
        Read.objects.create(
            case=case, claim=claim, reader=reader, kind="final", mode="blind_first", label=label,
            certainty="certain", may_train=True,
        )  # fmt: skip


def _spread(now: Any) -> None:
    """Give the pattern dates of the last two years, oldest first, so that copies lie between them."""
    for number, scan in enumerate(Scan.objects.order_by("pk").values_list("pk", flat=True)):
        at = now - timedelta(days=DAYS * (1 - number / PATTERN))
        Scan.objects.filter(pk=scan).update(created_at=at, updated_at=at)
        Prediction.objects.filter(scan=scan).update(created_at=at, queued_at=at, updated_at=at, finished_at=at)
        Case.objects.filter(scan=scan).update(opened_at=at, updated_at=at, due_at=at + timedelta(days=2))
        Case.objects.filter(scan=scan, state="done").update(done_at=at)
        Claim.objects.filter(case__scan=scan).update(claimed_at=at, expires_at=at, released_at=at)
        Read.objects.filter(case__scan=scan).update(created_at=at, updated_at=at)


def give_images() -> None:
    """An image for each scan that has none, as the migration to series makes them."""
    own = [each.column for each in Image._meta.local_concrete_fields if each.name in OF_THE_ONLY_IMAGE]
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{Image._meta.db_table}" (scan_id, "index", revision, sop_uid, frame, facts, '
            f"{', '.join(own)}) "
            f"SELECT id, 0, 1, '', 0, '{{}}', {', '.join(own)} FROM \"{Scan._meta.db_table}\" AS scan "
            f'WHERE NOT EXISTS (SELECT 1 FROM "{Image._meta.db_table}" WHERE scan_id = scan.id)'
        )


def copied(times: int) -> None:
    """Copy the pattern ``times`` - 1 times, so that there are ``times`` thousand scans."""
    if times < 2:
        return
    with connection.cursor() as cursor:
        for model in COPIED:
            cursor.execute(_sql(model), [times - 1])


def _sql(model: type[models.Model]) -> str:
    """One INSERT that copies all rows of a table for each number from 1 to a parameter."""
    fields = model._meta.local_concrete_fields
    names = ", ".join(f'"{field.column}"' for field in fields if not isinstance(field, models.AutoField))
    values = ", ".join(_value(model, field) for field in fields if not isinstance(field, models.AutoField))
    return (
        "WITH RECURSIVE copy(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < %s) "
        f'INSERT INTO "{model._meta.db_table}" ({names}) SELECT {values} '
        f'FROM copy CROSS JOIN "{model._meta.db_table}" AS row'
    )


def _value(model: type[models.Model], field: Any) -> str:
    column = f'row."{field.column}"'
    target = field.related_model if field.is_relation else model if field.primary_key else None
    if target in COPIED or field.name in ("sha256", "token"):
        return _renamed(column, as_uuid=field.name != "sha256")
    if (model._meta.model_name, field.name) in NUMBERED:
        return f"{column} || '-' || n"
    if (model._meta.model_name, field.name) in UIDS:
        return f"CASE {column} WHEN '' THEN '' ELSE {column} || '.' || n END"
    return column


def _renamed(column: str, *, as_uuid: bool) -> str:
    """Another id for each copy: its first eight digits are the copy's number, stirred so that an index is not filled
    from one end. The same id in another table becomes the same again."""
    if connection.vendor == "sqlite":
        return f"printf('%%08x', (n * 2654435761) %% 4294967296) || substr({column}, 9)"
    text = f"lpad(to_hex((n::bigint * 2654435761) %% 4294967296), 8, '0') || substr({column}::text, 9)"
    return f"({text})::uuid" if as_uuid else text

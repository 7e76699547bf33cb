"""The list of scans, newest first, narrowed to what is named."""

from django.db.models import QuerySet

from diagnostics.actors import Actor
from diagnostics.predictions.queries import parts_with_status, scans_with_status
from diagnostics.reviews.visible_scans import scans_as_shown_to
from diagnostics.scans.models import Patient, Scan
from diagnostics.scans.querysets import beginning_with

from .ordering import policies_of
from .partitions import MOST_PARTITIONS, Listed

NEWEST = ("-created_at", "-id")


def scans_listed(user: Actor, *, patient: str = "", priority: int | None = None, status: str = "") -> Listed[Scan]:
    """The scans that ``user`` may see; ``patient``: how a pseudonym begins, ``status``: one of ``STATUSES``."""
    scans: QuerySet[Scan] = Scan.objects.visible_to(user).order_by(*NEWEST)
    if patient:
        scans = scans.filter(patient__in=beginning_with(Patient.objects.visible_to(user), "pseudonym", patient))
    if priority is not None:
        scans = scans.filter(priority=priority)
    if status:
        scans = scans_with_status(scans, status)
    partitions = parts_with_status(policies_of(user).places, status)
    if len(partitions) > MOST_PARTITIONS:
        partitions = ()
    return Listed(scans, scans_as_shown_to(user, Scan.objects.all()), NEWEST, tuple(partitions))

"""Each look at a patient's image is an event of the audit: one a person, scan and hour, however often it is asked for.

A page asks for the same image in several pieces, and a list for fifty. What was told already is known to this process
or found by one query; only the first look of an hour writes. Looks are shown in the audit alone: in a case's history
they would tell a blinded reader who else is at it.
"""

import uuid
from datetime import datetime, timedelta
from threading import Lock
from typing import ClassVar

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record

from .models import Scan

ACTS = {"image": "image_viewed", "original": "original_downloaded"}
MOST_REMEMBERED = 50_000
Key = tuple[int | None, uuid.UUID, str]  # who looked, at which scan, at what


class Look(models.Model):
    """That a person's looks at a scan in this hour are told already; kept for two hours."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    scan = models.ForeignKey(Scan, on_delete=models.CASCADE, related_name="+")
    what = models.CharField(max_length=8, choices=[("image", _("Image")), ("original", _("Original"))])
    hour = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("view")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["person", "scan", "what", "hour"], name="one_look_per_hour"),
        ]

    def __str__(self) -> str:
        return f"look {self.pk}"


class _Told:
    """What this process knows to be told, of the present hour."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._hour: datetime | None = None
        self._keys: set[Key] = set()

    def knows(self, hour: datetime, key: Key) -> bool:
        return self._hour == hour and key in self._keys

    def add(self, hour: datetime, key: Key) -> None:
        with self._lock:
            if self._hour != hour or len(self._keys) >= MOST_REMEMBERED:
                self._hour, self._keys = hour, set()
            self._keys.add(key)


_told = _Told()


def looked_at(*, by: Actor, scan_id: uuid.UUID, what: str = "image") -> bool:
    """Tell the audit that ``by`` is given ``what`` of a scan, ``image`` (in any form) or ``original``.

    Gives whether it was the first time in this hour.

    To be called before anything is given out: where the audit cannot be written, nothing is.
    """
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    key = (by.pk, scan_id, what)
    if _told.knows(hour, key):
        return False
    same = Look.objects.filter(person=account_of(by), scan=scan_id, what=what, hour=hour)
    new = False
    # Asked before writing: on SQLite only the first look of an hour should wait for the others that write.
    if not same.exists():
        try:
            with transaction.atomic():
                scan = Scan.objects.select_related("institution").get(pk=scan_id)
                Look.objects.create(person=account_of(by), scan=scan, what=what, hour=hour)
                record(by=by, act=ACTS[what], target=scan, institution=scan.institution)
            new = True
        except IntegrityError:
            # The other half of the same page was quicker; anything else is an error.
            if not same.exists():
                raise
    transaction.on_commit(lambda: _told.add(hour, key))
    return new


def forget_looks() -> None:
    """Drop what only kept this hour's and the last one's looks from being told twice."""
    past = Look.objects.filter(hour__lt=timezone.now() - timedelta(hours=2))
    if past.exists():
        past.delete()

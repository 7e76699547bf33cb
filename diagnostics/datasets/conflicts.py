"""Look-alikes whose labels cannot all be right: which stand, and which somebody keeps out, with the reason."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.errors import Conflict, Invalid
from diagnostics.scans.access import Permission, institutions_where, require
from diagnostics.scans.models import Institution, Scan
from mlcore.data.labels import READABLE, contradict
from mlcore.images import fingerprint

from . import background
from .labelling import Labelled, labelled
from .models import RuledOut


class NotSettled(Conflict):
    """A conflict cannot be settled so; ``str()`` says why."""

    code = "not_settled"


class ConflictReasonMissing(Invalid, NotSettled):
    """Nobody said why."""


def finalize(*, by: Actor, seen: Mapping[uuid.UUID, str], stands: str = "", reason: str) -> list[RuledOut]:
    """Decide which label of a set of look-alikes stands; those that contradict it stay out of datasets.

    Parameters
    ----------
    by
        Must be allowed to freeze datasets in each scan's institution.
    seen
        The scans of the set, each with the label that the person saw.
    stands
        The label that stands; empty where none does and all stay out.
    reason
        Kept with the ruling.

    Raises
    ------
    NotAllowed
        ``by`` may not freeze datasets in one of the institutions.
    ConflictReasonMissing, NotSettled
        With a sentence that says what is wrong.
    """
    if not reason.strip():
        raise ConflictReasonMissing(_("Give a reason for others who look at these scans."))
    if stands and stands not in seen.values():
        raise NotSettled(_("None of these scans has the label “%(label)s”."), {"label": stands})
    require(by, Permission.FREEZE_DATASET)
    out = _ruled_out(_as_seen(by, seen), stands)
    ruling = uuid.uuid4()
    with transaction.atomic():
        try:
            with transaction.atomic():
                made = [
                    RuledOut.objects.create(
                        ruling=ruling,
                        scan_id=each.scan,
                        label=each.label,
                        stands=stands,
                        reason=reason.strip(),
                        by=account_of(by),
                    )
                    for each in out
                ]
        except IntegrityError as error:
            raise NotSettled(_("This conflict has just been resolved by somebody else. Reload the page.")) from error
        _note(by, "conflict_settled", made, stands=stands, reason=reason.strip())
        background.forget_all()
    return made


def _ruled_out(found: Sequence[Labelled], stands: str) -> list[Labelled]:
    """Those that the ruling keeps out of datasets.

    Raises
    ------
    NotSettled
        Some of the others would still contradict each other.
    """
    out = [each for each in found if not stands or contradict((each.label, stands))]
    left = {each.label for each in found if each not in out}
    if contradict(left):
        names = ", ".join(label for label in READABLE if label in left and label != stands)
        raise NotSettled(
            _("If “%(label)s” stands, %(names)s still contradict each other. Choose one of their labels."),
            {"label": stands, "names": names},
        )
    return out


def take_back(*, by: Actor, ruling: uuid.UUID) -> None:
    """Take a ruling back: its scans may enter datasets again, and the conflict is open again.

    Raises
    ------
    NotSettled
        There is no such ruling for ``by``, or it was taken back already.
    NotAllowed
        ``by`` may not freeze datasets in one of the institutions.
    """
    require(by, Permission.FREEZE_DATASET)
    with transaction.atomic():
        rows = list(
            RuledOut.objects.standing().filter(ruling=ruling).select_related("scan__institution").order_by("pk")
        )
        if not RuledOut.objects.visible_to(by).filter(ruling=ruling).exists():
            raise NotSettled(_("There is no such ruling."))
        if not rows:
            raise NotSettled(_("This ruling was already undone."))
        for place in {row.scan.institution for row in rows}:
            require(by, Permission.FREEZE_DATASET, place)
        RuledOut.objects.standing().filter(ruling=ruling).update(taken_back_by=by, taken_back_at=timezone.now())
        _note(by, "conflict_reopened", rows)
        background.forget_all()


def _as_seen(by: Actor, seen: Mapping[uuid.UUID, str]) -> list[Labelled]:
    """The scans with the labels they have now, which must be those that were seen and must be a conflict."""
    scans = Scan.objects.visible_to(by).filter(pk__in=seen)
    places = list(Institution.objects.filter(pk__in=scans.values("institution")).order_by("pk"))
    theirs = set(institutions_where(by, Permission.FREEZE_DATASET).values_list("pk", flat=True))
    if scans.count() != len(seen) or {place.pk for place in places} - theirs:
        raise NotSettled(_("There is no such set of scans."))
    found, _left_out = labelled(by=by, institutions=places, imported=True, demo=True, only=list(seen))
    if {each.scan: each.label for each in found} != dict(seen):
        raise NotSettled(_("A label has changed since this page was loaded. Reload the page."))
    if not contradict(each.label for each in found):
        raise NotSettled(_("The labels of these scans do not contradict each other."))
    alike = fingerprint.groups([each.fingerprint for each in found], [each.sha256 for each in found])
    if len(set(alike)) != 1:
        raise NotSettled(_("These scans are not near-duplicates, so there is no conflict."))
    return found


def _note(by: Actor, act: str, rows: list[RuledOut], **detail: Any) -> None:
    """Record an act in each institution that it concerns."""
    seen = set()
    for row in rows:
        place = row.scan.institution
        if place.pk not in seen:
            seen.add(place.pk)
            mine = [str(each.scan_id) for each in rows if each.scan.institution_id == place.pk]
            record(by=by, act=act, target=row, institution=place, ruling=row.ruling, scans=mine, n=len(mine), **detail)

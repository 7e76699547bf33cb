"""Drafts, and the undo of what was submitted a moment ago. Part of :mod:`diagnostics.reviews.services`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseState, SecondRead, Stage
from diagnostics.scans.access import require

from .claims import claim, live_with, tell
from .models import Claim, Comment, CommentKind, Draft, Read, ReadKind
from .notices import turn_over
from .queries import own_final_read, permission_for
from .refusals import InvalidRead, WrongStage

UNDO_SECONDS = 10
GRACE_SECONDS = 2  # a click in the last moment takes a while to arrive
MAX_DRAFT = 10_000  # characters, all entries together


@transaction.atomic
def save_draft(*, by: Any, case: Case, claim_token: Any, entries: Mapping[str, str]) -> Draft:
    """Keep what a reader has entered so far; nobody else sees it. Not audited: nothing has been stated yet.

    Raises
    ------
    StaleClaim, InvalidRead
    """
    live_with(by, case, claim_token)
    if sum(len(name) + len(value) for name, value in entries.items()) > MAX_DRAFT:
        raise InvalidRead("entries", _("A draft has at most %(max_draft)s characters.") % {"max_draft": MAX_DRAFT})
    kept, _made = Draft.objects.update_or_create(
        case=case, reader=by, defaults={"entries": dict(entries), "saved_at": timezone.now()}
    )
    return kept


def draft_for(user: Any, case: Case) -> Draft | None:
    """The draft that ``user`` has on this case: their own and nobody else's."""
    return Draft.objects.filter(case=case, reader=user).first()


def drop_draft(by: Any, case: Case) -> None:
    """The read has been stated, in the caller's transaction."""
    Draft.objects.filter(case=case, reader=by).delete()


@dataclass(frozen=True)
class Undoable:
    """A read that can still be undone, for ``ms`` milliseconds."""

    read: Read
    ms: int


def undoable_read(user: Any) -> Undoable | None:
    """The final read that ``user`` gave a moment ago and may still undo; with ``case`` and ``case__scan__study``."""
    now = timezone.now()
    since = now - timedelta(seconds=UNDO_SECONDS)
    read = (
        # Whoever has read a control to the end has been told its answer.
        Read.objects.filter(reader=user, kind=ReadKind.FINAL, created_at__gte=since, case__control=False)
        .select_related("case__scan__study")
        .order_by("-created_at")
        .first()
    )
    return Undoable(read, int((read.created_at - since).total_seconds() * 1000)) if read is not None else None


@transaction.atomic
def undo_read(*, by: Any, read: Read) -> Claim:
    """Take back one's own final read within seconds; the case is as it was before, and theirs again.

    The row stays, marked as withdrawn. Later, or after somebody has gone on with the case, only amending is left.

    Raises
    ------
    NotAllowed, WrongStage
    """
    require(by, permission_for(read.stage), read.case.institution)
    case = Case.objects.select_for_update(of=("self",)).select_related("institution", "scan").get(pk=read.case_id)
    if case.control:
        raise WrongStage(_("This was a control case, and you know its answer now: your read stands as you gave it."))
    newest = own_final_read(by, case)
    if read.kind != ReadKind.FINAL or newest is None or newest.pk != read.pk:
        raise WrongStage(_("Only your own newest final read can be undone."))
    now = timezone.now()
    if read.created_at < now - timedelta(seconds=UNDO_SECONDS + GRACE_SECONDS):
        raise WrongStage(
            _("A read can be undone for %(undo_seconds)s seconds. Amend it instead.") % {"undo_seconds": UNDO_SECONDS}
        )
    if Read.objects.filter(claim=read.claim, kind=ReadKind.FINAL).exclude(pk=read.pk).exists():
        raise WrongStage(_("An amendment cannot be undone. Amend the read again."))
    later = case.reads.filter(kind=ReadKind.FINAL, created_at__gt=read.created_at).exists()
    if later or case.claims.filter(released_at__isnull=True, expires_at__gt=now).exists():
        raise WrongStage(_("Somebody has gone on with this case. Amend your read instead."))
    Read.objects.filter(pk=read.pk).update(withdrawn_at=now, updated_at=now)
    _put_back(by, case, read)
    record(by=by, act="read_undone", target=read, institution=case.institution, case=case.pk)
    made = claim(by=by, case=Case.objects.select_related("institution").get(pk=case.pk))
    tell(case.pk, now)
    return made


def _put_back(by: Any, case: Case, read: Read) -> None:
    """The case as it was before this read."""
    fields: dict[str, Any] = {"state": CaseState.OPEN, "done_at": None, "stage": read.stage}
    if read.stage == Stage.FIRST and read.revision == 1 and case.second_read != SecondRead.ASKED:
        fields["second_read"] = ""  # chosen because of this read
    if read.revision > 1:  # it had been returned to them
        sent = Comment.objects.filter(case=case, to=by, kind=CommentKind.RETURNED).latest("created_at")
        fields |= {"assigned_to": by, "returned_at": sent.created_at}
    if case.state == CaseState.DONE:
        Read.objects.filter(case=case).update(updated_at=timezone.now())  # closed to the institution again
    Case.objects.filter(pk=case.pk).update(**fields)
    turn_over(case)

"""Drafts, and the undo of what was submitted a moment ago."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseState, SecondRead, Stage
from diagnostics.reviews.errors import InvalidRead, StaleDraft, WrongStage
from diagnostics.reviews.models import Claim, Comment, CommentKind, Draft, Read, ReadKind
from diagnostics.reviews.notices import turn_over
from diagnostics.reviews.queries import own_blind_read, own_final_read, permission_for
from diagnostics.reviews.visible_scans import opinion_for, visible_scan
from diagnostics.reviews.worklist import claim, live_with, touch_related
from diagnostics.scans.access import require

from .reasons import check_draft
from .revealing import undo_blind

UNDO_SECONDS = 10
GRACE_SECONDS = 2  # a click in the last moment takes a while to arrive
MAX_DRAFT = 10_000  # characters, all entries together
MAX_TAB = 40  # characters of a page's own name
MOST_ASIDE = 5  # so many versions that did not become the draft are kept beside it


def save_draft(
    *,
    by: Actor,
    case: Case,
    claim_token: object,
    entries: Mapping[str, str],
    base: str | None = None,
    tab: str = "",
    nth: int = 0,
) -> Draft:
    """Keep what a reader has entered so far; nobody else sees it. Not audited: nothing has been stated yet.

    Parameters
    ----------
    base
        The revision that the page has seen, "" where it saw no draft. None (whoever knows of no revisions) saves in
        any case; a comment that would be lost by it is kept aside.
    tab, nth
        Which page saves, and how often it has: a page never contradicts itself, and what it sent before and arrives
        late changes nothing.

    Raises
    ------
    StaleClaim, InvalidRead
    StaleDraft
        Another page has saved something else since. What was sent is kept aside.
    """
    if sum(len(name) + len(value) for name, value in entries.items()) > MAX_DRAFT:
        raise InvalidRead("entries", _("A draft can have at most %(max_draft)s characters."), {"max_draft": MAX_DRAFT})
    with transaction.atomic():
        live_with(by, case, claim_token)
        blind = own_blind_read(by, case)
        seen = visible_scan(by, case.scan)
        opinion = opinion_for(seen) if seen is not None else None
        check_draft(entries, blind.label if blind is not None else "", opinion)
        sent = _Sent(dict(entries), base, tab[:MAX_TAB], nth)
        kept, stale = _stored(by, case, sent)
    if stale:
        raise StaleDraft(kept)
    return kept


@dataclass(frozen=True)
class _Sent:
    """What a page sends to be saved."""

    entries: dict[str, str]
    base: str | None
    tab: str
    nth: int

    def fits(self, kept: Draft) -> bool:
        """Whether it follows on what is kept."""
        return self.base in (None, str(kept.revision)) or (self.tab != "" and self.tab == kept.tab)

    def late(self, kept: Draft) -> bool:
        """Whether the same page has saved something newer, which overtook this."""
        return self.tab != "" and self.tab == kept.tab and self.nth <= kept.nth

    def loses(self, kept: Draft) -> bool:
        """Whether a comment would be lost by a save that does not say what it has seen."""
        written = kept.entries.get("comment", "")
        return self.base is None and written not in self.entries.get("comment", "")


def _stored(by: Actor, case: Case, sent: _Sent) -> tuple[Draft, bool]:
    """The draft as it is afterwards, and whether what was sent is stale; in the caller's transaction."""
    now = timezone.now()
    mine = Draft.objects.select_for_update().filter(case=case, reader=account_of(by))
    kept = mine.first()
    if kept is None:
        try:
            with transaction.atomic():
                made = {"entries": sent.entries, "saved_at": now, "tab": sent.tab, "nth": sent.nth}
                return Draft.objects.create(case=case, reader=account_of(by), **made), False
        except IntegrityError:  # another page at this instant
            kept = mine.get()
    if sent.late(kept):
        return kept, False
    others = [each for each in kept.aside if each["tab"] != sent.tab or not sent.tab]
    if kept.entries != sent.entries:
        if not sent.fits(kept):
            kept.aside = _newest([*others, _aside(sent.tab, now, sent.entries)])
            kept.save(update_fields=["aside"])
            return kept, True
        if sent.loses(kept):
            others.append(_aside(kept.tab, kept.saved_at, kept.entries))
        kept.entries, kept.revision = sent.entries, uuid.uuid4()
    kept.saved_at, kept.tab, kept.nth, kept.aside = now, sent.tab, sent.nth, _newest(others)
    kept.save()
    return kept, False


def _aside(tab: str, at: datetime, entries: Mapping[str, str]) -> dict[str, object]:
    return {"tab": tab, "at": at.isoformat(), "entries": dict(entries)}


def _newest(aside: list[dict[str, object]]) -> list[dict[str, object]]:
    """The newest few of what is kept aside, each once."""
    once = {json.dumps(each["entries"], sort_keys=True): each for each in aside}
    return list(once.values())[-MOST_ASIDE:]


def draft_for(user: Actor, case: Case) -> Draft | None:
    """The draft that ``user`` has on this case: their own and nobody else's."""
    return Draft.objects.filter(case=case, reader=account_of(user)).first()


def drop_draft(by: Actor, case: Case) -> None:
    """The read has been stated, in the caller's transaction."""
    Draft.objects.filter(case=case, reader=account_of(by)).delete()


@dataclass(frozen=True)
class Undoable:
    """A read that can still be undone, for ``ms`` milliseconds."""

    read: Read
    ms: int


def undoable_read(user: Actor) -> Undoable | None:
    """The final read that ``user`` gave a moment ago and may still undo; with ``case`` and ``case__scan__study``."""
    now = timezone.now()
    since = now - timedelta(seconds=UNDO_SECONDS)
    read = (
        # Whoever has read a control to the end has been told its answer.
        Read.objects.filter(reader=account_of(user), kind=ReadKind.FINAL, created_at__gte=since, case__control=False)
        .select_related("case__scan__study")
        .order_by("-created_at")
        .first()
    )
    return Undoable(read, int((read.created_at - since).total_seconds() * 1000)) if read is not None else None


@transaction.atomic
def undo_read(*, by: Actor, read: Read, frozen: QuerySet[Model]) -> Claim:
    """Take back one's own final read within seconds, or a blind one before the reveal; the case is theirs again.

    The row stays, marked as withdrawn. Later, or after somebody has gone on with the case, only amending is left.
    So it is once a dataset has taken the label: ``frozen`` are the items of all datasets, which a later room keeps.

    Raises
    ------
    NotAllowed, WrongStage; of a blind read also AlreadyClaimed
    """
    if read.kind == ReadKind.BLIND:
        return undo_blind(by=by, read=read)
    require(by, permission_for(read.stage), read.case.institution)
    case = Case.objects.select_for_update(of=("self",)).select_related("institution", "scan").get(pk=read.case_id)
    if case.control:
        raise WrongStage(_("This was a control case and you know its answer now, so your read stands."))
    newest = own_final_read(by, case)
    if read.kind != ReadKind.FINAL or newest is None or newest.pk != read.pk:
        raise WrongStage(_("Only your own newest final read can be undone."))
    now = timezone.now()
    if read.created_at < now - timedelta(seconds=UNDO_SECONDS + GRACE_SECONDS):
        raise WrongStage(
            _("A read can be undone for %(undo_seconds)s seconds. Amend it instead."), {"undo_seconds": UNDO_SECONDS}
        )
    if Read.objects.filter(claim=read.claim, kind=ReadKind.FINAL).exclude(pk=read.pk).exists():
        raise WrongStage(_("An amendment cannot be undone. Amend the read again instead."))
    if frozen.filter(read=read).exists():
        raise WrongStage(_("A dataset already uses this read. Amend it instead."))
    later = case.reads.filter(kind=ReadKind.FINAL, created_at__gt=read.created_at).exists()
    if later or case.claims.filter(released_at__isnull=True, expires_at__gt=now).exists():
        raise WrongStage(_("Work on this case has continued. Amend your read instead."))
    Read.objects.filter(pk=read.pk).update(withdrawn_at=now, updated_at=now)
    _put_back(by, case, read)
    record(by=by, act="read_undone", target=read, institution=case.institution, case=case.pk)
    made = claim(by=by, case=Case.objects.select_related("institution").get(pk=case.pk))
    touch_related(case.pk, now)
    return made


def _put_back(by: Actor, case: Case, read: Read) -> None:
    """The case as it was before this read."""
    fields: dict[str, object] = {"state": CaseState.OPEN, "done_at": None, "stage": read.stage}
    if read.stage == Stage.FIRST and read.revision == 1 and case.second_read != SecondRead.ASKED:
        fields["second_read"] = ""  # chosen because of this read
    if read.revision > 1:  # it had been returned to them
        sent = Comment.objects.filter(case=case, to=account_of(by), kind=CommentKind.RETURNED).latest("created_at")
        fields |= {"assigned_to": by, "returned_at": sent.created_at}
    if case.state == CaseState.DONE:
        Read.objects.filter(case=case).update(updated_at=timezone.now())  # closed to the institution again
    Case.objects.filter(pk=case.pk).update(**fields)
    turn_over(case)

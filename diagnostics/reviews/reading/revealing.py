"""The reveal: the moment at which a reader who has locked a blind read is shown the AI's opinion.

Until then the blind read can be taken back; from then on it stands. The moment is kept with the read, and audited.

The stacks of a study show one head. So the opinion of any of them stays hidden until the reader has locked a blind
read of each stack of the study that they hold: what is read blind after that would not be blind (ADR 0021).
"""

import uuid
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseState, Stage
from diagnostics.reviews.errors import BlindReadsFirst, StaleClaim, WrongStage
from diagnostics.reviews.models import Claim, Read, ReadKind
from diagnostics.reviews.queries import is_blinded, own_blind_read, permission_for, unrevealed_reads
from diagnostics.reviews.worklist import claim, live_with, locked, touch_related, unread_beside
from diagnostics.scans.access import Permission, require
from diagnostics.scans.models import ReadingMode


@transaction.atomic
def reveal(*, by: Actor, case: Case, claim_token: object) -> Read:
    """Show the AI's opinion to the reader who has locked a blind read; it cannot be undone any more. Twice is once.

    Raises
    ------
    NotAllowed, AlreadyDone, StaleClaim, WrongStage
    """
    require(by, Permission.READ_CASE, case.institution)
    case = locked(case)
    live_with(by, case, claim_token)
    blind = own_blind_read(by, case)
    if blind is None:
        raise WrongStage(_("Submit your blind read before the AI result is shown."))
    if blind.revealed_at is None:
        refuse_while_unread_beside(by, case)
        _reveal(by, blind)
    return blind


def refuse_while_unread_beside(by: Actor, case: Case) -> None:
    """Raise BlindReadsFirst where the reader holds other stacks of the study, and has not read them blind."""
    unread = unread_beside(by, case).count()
    if unread:
        raise BlindReadsFirst(params={"n": unread})


@transaction.atomic
def reveal_scans(*, by: Actor, scans: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Reveal what a program asked for: of these scans' ids, those whose opinion ``by`` may be told now.

    A scan of which they have locked no blind read stays hidden.
    """
    wanted = set(scans)
    waiting = unrevealed_reads(by).filter(case__scan__in=wanted)
    cases = Case.objects.filter(pk__in=waiting.values("case")).order_by("pk")
    # Locked first, and then asked again: whoever undid the read a moment before stays blind.
    list(cases.select_for_update(of=("self",)).values_list("pk", flat=True))
    for blind in waiting.select_related("case__institution"):
        if not unread_beside(by, blind.case).exists():
            _reveal(by, blind)
    shown = Read.objects.filter(
        reader=account_of(by),
        kind=ReadKind.BLIND,
        revealed_at__isnull=False,
        case__scan__in=wanted,
        case__state=CaseState.OPEN,
    )
    return set(shown.values_list("case__scan", flat=True))


@transaction.atomic
def reveal_before_final(*, by: Actor, case: Case, claim_token: object) -> None:
    """A program states its final read without having asked for the opinion: what is answered may tell of it.

    A refusal for a missing reason says that the read differs from the AI's. So this comes first, and stays where the
    read is refused. Without a live claim, or a blind read that waits, it does nothing: the read itself says why.
    """
    case = Case.objects.select_for_update(of=("self",)).select_related("institution").get(pk=case.pk)
    if case.state == CaseState.DONE or case.stage == Stage.ADJUDICATION:
        return
    if case.institution.reading_mode != ReadingMode.BLIND_FIRST:
        return
    try:
        live_with(by, case, claim_token)
    except StaleClaim:
        return
    blind = own_blind_read(by, case)
    if blind is not None and blind.revealed_at is None:
        refuse_while_unread_beside(by, case)
        _reveal(by, blind)


def _reveal(by: Actor, blind: Read) -> None:
    now = timezone.now()
    Read.objects.filter(pk=blind.pk).update(revealed_at=now, updated_at=now)
    blind.revealed_at = now
    touch_related(blind.case_id, now)
    record(by=by, act="opinion_revealed", target=blind, institution=blind.case.institution, case=blind.case_id)


@transaction.atomic
def undo_blind(*, by: Actor, read: Read) -> Claim:
    """Take back one's own blind read as long as the AI's opinion has not been shown; the case is theirs again.

    The row stays, marked as withdrawn.

    Raises
    ------
    NotAllowed, AlreadyClaimed, WrongStage
    """
    require(by, permission_for(read.stage), read.case.institution)
    case = Case.objects.select_for_update(of=("self",)).select_related("institution", "scan").get(pk=read.case_id)
    blind = own_blind_read(by, case)
    if blind is None or blind.pk != read.pk:
        raise WrongStage(_("Only your own blind read can be undone."))
    if blind.revealed_at is not None or not is_blinded(by, case.scan):
        raise WrongStage(
            _("The AI result has been shown, so your blind read stands. Record any change in the final read.")
        )
    now = timezone.now()
    foreign = case.claims.filter(released_at__isnull=True, expires_at__gt=now).exclude(holder=account_of(by))
    if case.state == CaseState.DONE or case.stage != blind.stage or foreign.exists():
        raise WrongStage(_("Work on this case has continued, so your blind read stands."))
    Read.objects.filter(pk=blind.pk).update(withdrawn_at=now, updated_at=now)
    record(by=by, act="blind_read_undone", target=blind, institution=case.institution, case=case.pk)
    made = claim(by=by, case=case)
    touch_related(case.pk, now)
    return made

"""Open a case, state what one sees, amend it: each act atomic, audited, and refused with a sentence."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseState, Stage
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.predictions.services import current, status_of
from diagnostics.scans.access import require
from diagnostics.scans.models import ReadingMode, Scan

from .assigning import assign, readers_for
from .claims import claim, claim_next, end, expire_claims, lease, live_with, locked, release, renew, take_over, tell
from .comments import comment
from .controls import mix_in, want_one
from .drafts import UNDO_SECONDS, Undoable, draft_for, drop_draft, save_draft, undo_read, undoable_read
from .labels import differs
from .leaving import free_case, free_left_work, heirs_of, work_of
from .models import Certainty, Claim, Label, Read, ReadKind, Reason
from .nobody import waive_second_reader
from .ordering import place_of
from .ordering import refresh as refresh_order
from .queries import own_blind_read, own_final_read, permission_for
from .reasons import check_reason, fitting_reasons, offered_reasons
from .refusals import AlreadyClaimed, AlreadyDone, InvalidRead, StaleClaim, StaleDraft, WrongStage
from .revealing import reveal, reveal_before_final, reveal_scans
from .saved_views import forget_view, query_of, query_within, save_view, views_of
from .second_readers import answer, ask_second_opinion, recall, return_case, settle
from .texts import check_length

__all__ = [
    "UNDO_SECONDS",
    "Undoable",
    "AlreadyClaimed",
    "AlreadyDone",
    "InvalidRead",
    "StaleClaim",
    "StaleDraft",
    "WrongStage",
    "amend",
    "answer",
    "assign",
    "ask_second_opinion",
    "claim",
    "claim_next",
    "comment",
    "differs",
    "draft_for",
    "expire_claims",
    "fitting_reasons",
    "forget_view",
    "free_case",
    "free_left_work",
    "heirs_of",
    "mix_in",
    "offered_reasons",
    "open_case",
    "recall",
    "query_of",
    "query_within",
    "readers_for",
    "record_read",
    "refresh_order",
    "release",
    "renew",
    "return_case",
    "reveal",
    "reveal_before_final",
    "reveal_scans",
    "save_draft",
    "save_view",
    "take_over",
    "undo_read",
    "undoable_read",
    "views_of",
    "waive_second_reader",
    "work_of",
]

CURRENT = object()  # "whatever opinion there is now", for callers that show none


def open_case(*, by: Actor, scan: Scan) -> Case:
    """Make the scan work for a reader, in the caller's transaction. Twice is once."""
    case, made = Case.objects.get_or_create(
        scan=scan,
        state=CaseState.OPEN,
        defaults={
            "institution": scan.institution,
            "priority": scan.priority,
            "analysis": status_of(scan),
            **place_of(scan.institution, scan.priority),
        },
    )
    if made:
        record(by=by, act="case_opened", target=case, institution=scan.institution, scan=scan.pk)
        want_one(case)
    return case


def record_read(
    *,
    by: Actor,
    case: Case,
    claim_token: object,
    kind: str,
    label: str,
    certainty: str,
    reason: str = "",
    comment: str = "",
    may_train: bool = False,
    heatmap_seen: bool = False,
    seen: object = CURRENT,
) -> Read:
    """Record the blind or the final read of a claimed case. The final read ends the claim, and the case with it
    unless a second reader or an adjudicator goes on.

    An adjudicator gives a final read only, blind to the AI.

    ``seen`` is the id of the opinion that stood before the reader, or None where none did; an opinion that landed
    since is not stored as seen. Left out (a program), the current one counts, and is revealed by that.

    Raises
    ------
    NotAllowed, AlreadyDone, StaleClaim, WrongStage, InvalidRead
    """
    require(by, permission_for(case.stage), case.institution)
    _check_words(kind=kind, label=label, certainty=certainty, reason=reason, comment=comment)
    if kind == ReadKind.FINAL and seen is CURRENT:
        reveal_before_final(by=by, case=case, claim_token=claim_token)
    said = _Said(label, certainty, reason, comment.strip(), may_train, heatmap_seen)
    return _record(by, case, claim_token, kind, said, seen)


@dataclass(frozen=True)
class _Said:
    """What a reader states, checked word by word."""

    label: str
    certainty: str
    reason: str
    comment: str
    may_train: bool
    heatmap_seen: bool


@transaction.atomic
def _record(by: Actor, case: Case, claim_token: object, kind: str, said: _Said, seen: object) -> Read:
    case = locked(case)
    live = live_with(by, case, claim_token)
    if live.stage != case.stage:
        raise StaleClaim
    if live.stage == Stage.ADJUDICATION:
        if kind != ReadKind.FINAL:
            raise WrongStage(_("An adjudicator settles the case with a final read."))
        if said.reason:
            raise InvalidRead(
                "reason", _("An adjudicator has not seen the AI's opinion, so nothing can differ from it.")
            )
        return _adjudicate(by, case, live, said)
    blind = own_blind_read(by, case)
    if kind == ReadKind.BLIND:
        return _record_blind(by, case, live, blind, said)
    mode = ReadingMode(case.institution.reading_mode)
    if mode == ReadingMode.BLIND_FIRST:
        _check_revealed(blind)
    opinion = None if mode == ReadingMode.AI_HIDDEN else _ready_opinion(case)
    if seen is not CURRENT and seen != (opinion.pk if opinion is not None else None):
        raise WrongStage(
            _("The AI's opinion has arrived since this page was opened. Look at it, then submit; nothing is lost.")
        )
    check_reason(said.label, said.reason, said.comment, opinion)
    former = own_final_read(by, case)
    began = blind.created_at if blind is not None and former is None else live.claimed_at
    read = Read.objects.create(
        case=case,
        claim=live,
        reader=account_of(by),
        kind=ReadKind.FINAL,
        stage=live.stage,
        revision=1 if former is None else former.revision + 1,
        mode=mode,
        label=said.label,
        certainty=said.certainty,
        reason=said.reason,
        comment=said.comment,
        may_train=said.may_train,
        prediction=opinion,
        adopted=_adopted(said.label, blind, opinion),
        heatmap_seen=said.heatmap_seen and opinion is not None,
        seconds=_seconds_since(began),
    )
    end(live, "done")
    drop_draft(by, case)
    record(by=by, act="read_recorded", target=read, institution=case.institution, case=case.pk, kind="final")
    settle(by=by, case=case, read=read)
    return read


def _adjudicate(by: Actor, case: Case, live: Claim, said: _Said) -> Read:
    """The adjudicator's word: it ends the case, whatever the two readers or the AI said."""
    read = Read.objects.create(
        case=case,
        claim=live,
        reader=account_of(by),
        kind=ReadKind.FINAL,
        stage=Stage.ADJUDICATION,
        mode=ReadingMode.AI_HIDDEN,
        label=said.label,
        certainty=said.certainty,
        comment=said.comment,
        may_train=said.may_train,
        seconds=_seconds_since(live.claimed_at),
    )
    end(live, "done")
    drop_draft(by, case)
    record(by=by, act="read_recorded", target=read, institution=case.institution, case=case.pk, kind="final")
    settle(by=by, case=case, read=read)
    return read


def _record_blind(by: Actor, case: Case, live: Claim, blind: Read | None, said: _Said) -> Read:
    if case.institution.reading_mode != ReadingMode.BLIND_FIRST:
        raise WrongStage(_("This institution does not read blind first: record the final read."))
    if blind is not None:
        raise WrongStage(_("Your blind read of this case is locked already. Record the final read."))
    read = Read.objects.create(
        case=case,
        claim=live,
        reader=account_of(by),
        kind=ReadKind.BLIND,
        stage=live.stage,
        mode=ReadingMode.BLIND_FIRST,
        label=said.label,
        certainty=said.certainty,
        comment=said.comment,
        seconds=_seconds_since(live.claimed_at),
    )
    now = timezone.now()
    Claim.objects.filter(pk=live.pk).update(expires_at=lease())
    drop_draft(by, case)
    tell(case.pk, now)
    record(by=by, act="read_recorded", target=read, institution=case.institution, case=case.pk, kind="blind")
    return read


def _check_words(*, kind: str, label: str, certainty: str, reason: str, comment: str) -> None:
    """Raise for a word that is none of the codes."""
    for field, value, codes in (
        ("stage", kind, ReadKind.values),
        ("label", label, Label.values),
        ("certainty", certainty, Certainty.values),
        ("reason", reason, ["", *Reason.values]),
    ):
        if value not in codes:
            raise InvalidRead(
                field, _("Choose one of: %(known)s."), {"known": ", ".join(code for code in codes if code)}
            )
    if kind == ReadKind.BLIND and reason:
        raise InvalidRead(
            "reason", _("A blind read has no reason: it is given when the final read differs from the AI.")
        )
    check_length(comment)


def _check_revealed(blind: Read | None) -> None:
    """Raise where the blind read, or the reveal after it, is still to come."""
    if blind is None:
        raise WrongStage(_("The blind read comes first: state what you see before the AI's opinion is shown."))
    if blind.revealed_at is None:
        raise WrongStage(_("Show the AI result first. Until then you can undo your blind read."))


def _ready_opinion(case: Case) -> Prediction | None:
    prediction = current(case.scan)
    return prediction if prediction is not None and prediction.state == PredictionState.READY else None


def _adopted(label: str, blind: Read | None, opinion: Prediction | None) -> bool:
    """Whether the reader came round to the AI's opinion after having said otherwise."""
    return opinion is not None and blind is not None and differs(blind.label, opinion) and not differs(label, opinion)


def _seconds_since(began: datetime) -> int:
    return max(0, int((timezone.now() - began).total_seconds()))


@transaction.atomic
def amend(
    *,
    by: Actor,
    read: Read,
    label: str,
    certainty: str,
    reason: str = "",
    comment: str = "",
    may_train: bool = False,
) -> Read:
    """Supersede one's own final read by a new revision; the comment says why.

    Where it makes two readers disagree, the case opens again and waits for an adjudicator.

    Raises
    ------
    NotAllowed, WrongStage, InvalidRead
    """
    require(by, permission_for(read.stage), read.case.institution)
    if read.case.control:
        raise WrongStage(_("This was a control case, and you know its answer now: your read stands as you gave it."))
    if read.reader_id != by.pk or read.kind != ReadKind.FINAL:
        raise WrongStage(_("Only your own final read can be amended."))
    _check_words(kind=ReadKind.FINAL, label=label, certainty=certainty, reason=reason, comment=comment)
    if not comment.strip():
        raise InvalidRead("comment", _("Say in the comment why you amend your read."))
    case = Case.objects.select_for_update(of=("self",)).select_related("institution").get(pk=read.case_id)
    newest = case.reads.filter(reader=account_of(by), kind=ReadKind.FINAL).order_by("-revision").first()
    if newest is None or newest.pk != read.pk:
        raise WrongStage(_("This read has a newer revision already: amend that one."))
    if case.state == CaseState.OPEN and (case.stage == Stage.ADJUDICATION or case.returned_at is not None):
        raise WrongStage(_("The case is being settled. Your read can be amended again when it is done."))
    check_reason(label, reason, comment, read.prediction)
    blind = own_blind_read(by, case)
    amended = Read.objects.create(
        case=case,
        claim=read.claim,
        reader=account_of(by),
        kind=ReadKind.FINAL,
        stage=read.stage,
        revision=read.revision + 1,
        mode=read.mode,
        label=label,
        certainty=certainty,
        reason=reason,
        comment=comment.strip(),
        may_train=may_train,
        prediction=read.prediction,
        adopted=_adopted(label, blind, read.prediction),
        heatmap_seen=read.heatmap_seen,
    )
    Case.objects.filter(pk=case.pk).update(updated_at=timezone.now())
    record(
        by=by,
        act="read_amended",
        target=amended,
        institution=case.institution,
        case=case.pk,
        revision=amended.revision,
    )
    settle(by=by, case=case, read=amended)
    return amended

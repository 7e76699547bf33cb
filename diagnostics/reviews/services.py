"""Open a case, state what one sees, amend it: each act atomic, audited, and refused with a sentence."""

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseState
from diagnostics.predictions.services import status_of
from diagnostics.scans.models import Scan

from .assigning import assign, readers_for
from .claims import claim, claim_next, expire_claims, release, renew, take_over
from .comments import comment
from .controls import mix_in, want_one
from .drafts import UNDO_SECONDS, Undoable, draft_for, save_draft, undo_read, undoable_read
from .errors import AlreadyClaimed, AlreadyDone, InvalidRead, StaleClaim, StaleDraft, WrongStage
from .labels import differs
from .leaving import free_case, free_left_work, heirs_of, work_of
from .nobody import waive_second_reader
from .ordering import place_of
from .ordering import refresh as refresh_order
from .reading.recording import amend, record_read
from .reasons import fitting_reasons, offered_reasons
from .revealing import reveal, reveal_before_final, reveal_scans
from .saved_views import forget_view, query_of, query_within, save_view, views_of
from .second_readers import answer, ask_second_opinion, recall, return_case

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

"""Record a read, and amend one: each act atomic, audited, and refused with a sentence."""

from datetime import datetime
from typing import Unpack

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseState, Stage
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.predictions.services import current
from diagnostics.reviews.double_reading import finalize
from diagnostics.reviews.errors import InvalidRead, NewImages, StaleClaim, WrongStage
from diagnostics.reviews.labels import differs
from diagnostics.reviews.models import Claim, Read, ReadKind
from diagnostics.reviews.queries import own_blind_read, own_final_read, permission_for
from diagnostics.reviews.worklist import end, lease, live_with, locked, touch_related
from diagnostics.scans.access import require
from diagnostics.scans.models import ReadingMode

from .drafts import drop_draft
from .reasons import check_reason
from .revealing import reveal_before_final
from .statement import Said, Step, check_images, check_step, check_words, whole

CURRENT = object()  # "whatever opinion there is now", for callers that show none


def record_read(
    *,
    by: Actor,
    case: Case,
    claim_token: object,
    kind: str,
    seen: object = CURRENT,
    scan_revision: int | None = None,
    **said: Unpack[Said],
) -> Read:
    """Record the blind or the final read of a claimed case. The final read ends the claim, and the case with it
    unless a second reader or an adjudicator goes on.

    An adjudicator gives a final read only, blind to the AI.

    ``seen`` is the id of the opinion that stood before the reader, or None where none did; an opinion that landed
    since is not stored as seen. Left out (a program), the current one counts, and is revealed by that.
    ``scan_revision`` is that of the images that stood before the reader; left out, the current ones count.

    Raises
    ------
    NotAllowed, AlreadyDone, StaleClaim, WrongStage, InvalidRead, NewImages
    """
    require(by, permission_for(case.stage), case.institution)
    if kind not in ReadKind.values:
        raise InvalidRead("stage", _("Choose one of: %(known)s."), {"known": ", ".join(ReadKind.values)})
    check_words(said)
    if kind == ReadKind.BLIND:
        check_step(Step.BLIND, said)
    elif seen is CURRENT:
        reveal_before_final(by=by, case=case, claim_token=claim_token)
    return _record(by, case, claim_token, kind, said, seen, scan_revision)


@transaction.atomic
def _record(
    by: Actor, case: Case, claim_token: object, kind: str, said: Said, seen: object, scan_revision: int | None
) -> Read:
    case = locked(case)
    live = live_with(by, case, claim_token)
    if live.stage != case.stage:
        raise StaleClaim
    if scan_revision not in (None, case.scan.revision):
        raise NewImages(params={"images": case.scan.image_count})
    if live.stage == Stage.ADJUDICATION:
        if kind != ReadKind.FINAL:
            raise WrongStage(_("An adjudicator resolves the case with a final read."))
        return _adjudicate(by, case, live, said)
    blind = own_blind_read(by, case)
    if kind == ReadKind.BLIND:
        return _record_blind(by, case, live, blind, said)
    return _record_final(by, case, live, blind, said, seen)


def _record_final(by: Actor, case: Case, live: Claim, blind: Read | None, said: Said, seen: object) -> Read:
    mode = ReadingMode(case.institution.reading_mode)
    if mode == ReadingMode.BLIND_FIRST:
        _check_revealed(blind)
    opinion = None if mode == ReadingMode.AI_HIDDEN else _ready_opinion(case)
    if seen is not CURRENT and seen != (opinion.pk if opinion is not None else None):
        raise WrongStage(
            _("The AI result arrived after you opened this page. Review it, then submit. Your entries are kept.")
        )
    said = whole(Step.FINAL, said, opinion)
    check_reason(said["label"], said["reason"], said["comment"], opinion)
    former = own_final_read(by, case)
    began = blind.created_at if blind is not None and former is None else live.claimed_at
    read = _create(
        by,
        case,
        live,
        said,
        kind=ReadKind.FINAL,
        stage=live.stage,
        revision=1 if former is None else former.revision + 1,
        mode=mode,
        prediction=opinion,
        adopted=_adopted(said["label"], blind, opinion),
        seconds=_seconds_since(began),
    )
    _ended(by, case, live, read)
    return read


def _adjudicate(by: Actor, case: Case, live: Claim, said: Said) -> Read:
    """The adjudicator's word: it ends the case, whatever the two readers or the AI said."""
    read = _create(
        by,
        case,
        live,
        whole(Step.ADJUDICATE, said, None),
        kind=ReadKind.FINAL,
        stage=Stage.ADJUDICATION,
        mode=ReadingMode.AI_HIDDEN,
        seconds=_seconds_since(live.claimed_at),
    )
    _ended(by, case, live, read)
    return read


def _record_blind(by: Actor, case: Case, live: Claim, blind: Read | None, said: Said) -> Read:
    if case.institution.reading_mode != ReadingMode.BLIND_FIRST:
        raise WrongStage(_("This institution does not use blind reads. Record the final read."))
    if blind is not None:
        raise WrongStage(_("Your blind read is already submitted. Record the final read."))
    read = _create(
        by,
        case,
        live,
        whole(Step.BLIND, said, None),
        kind=ReadKind.BLIND,
        stage=live.stage,
        mode=ReadingMode.BLIND_FIRST,
        seconds=_seconds_since(live.claimed_at),
    )
    now = timezone.now()
    Claim.objects.filter(pk=live.pk).update(expires_at=lease())
    drop_draft(by, case)
    touch_related(case.pk, now)
    record(by=by, act="read_recorded", target=read, institution=case.institution, case=case.pk, kind="blind")
    return read


def _create(by: Actor, case: Case, claim: Claim, said: Said, **known: object) -> Read:
    """The one place where a read comes into being: what its reader said, and what the machine knows of it."""
    check_images(said, case.scan.image_count)
    return Read.objects.create(
        case=case, claim=claim, reader=account_of(by), scan_revision=case.scan.revision, **said, **known
    )


def _ended(by: Actor, case: Case, live: Claim, read: Read) -> None:
    """What a final read ends, and who goes on after it."""
    end(live, "done")
    drop_draft(by, case)
    record(by=by, act="read_recorded", target=read, institution=case.institution, case=case.pk, kind="final")
    finalize(by=by, case=case, read=read)


def _check_revealed(blind: Read | None) -> None:
    """Raise where the blind read, or the reveal after it, is still to come."""
    if blind is None:
        raise WrongStage(_("Submit your blind read before the AI result is shown."))
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
def amend(*, by: Actor, read: Read, **said: Unpack[Said]) -> Read:
    """Supersede one's own final read by a new revision; the comment says why, what is left out stays as it was.

    Where it makes two readers disagree, the case opens again and waits for an adjudicator.

    Raises
    ------
    NotAllowed, WrongStage, InvalidRead
    """
    require(by, permission_for(read.stage), read.case.institution)
    if read.case.control:
        raise WrongStage(_("This was a control case and you know its answer now, so your read stands."))
    if read.reader_id != by.pk or read.kind != ReadKind.FINAL:
        raise WrongStage(_("Only your own final read can be amended."))
    said = whole(Step.AMEND, said, read.prediction, former=read)
    check_words(said)
    if not said["comment"]:
        raise InvalidRead("comment", _("Give the reason for the amendment in the comment."))
    case = Case.objects.select_for_update(of=("self",)).select_related("institution").get(pk=read.case_id)
    newest = case.reads.filter(reader=account_of(by), kind=ReadKind.FINAL).order_by("-revision").first()
    if newest is None or newest.pk != read.pk:
        raise WrongStage(_("This read has a newer revision. Amend that one."))
    if case.state == CaseState.OPEN and (case.stage == Stage.ADJUDICATION or case.returned_at is not None):
        raise WrongStage(_("The case is awaiting adjudication. You can amend your read when it is closed."))
    check_reason(said["label"], said["reason"], said["comment"], read.prediction)
    amended = _create(
        by,
        case,
        read.claim,
        said,
        kind=ReadKind.FINAL,
        stage=read.stage,
        revision=read.revision + 1,
        mode=read.mode,
        prediction=read.prediction,
        adopted=_adopted(said["label"], own_blind_read(by, case), read.prediction),
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
    finalize(by=by, case=case, read=amended)
    return amended

"""Two readers and an adjudicator: where a case goes after a read.

First reader, then (by policy or asked for) a second one who is blind to the first; where they disagree an
adjudicator settles it, or sends the case back to one of them with a comment.
"""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseState, SecondRead, Stage
from diagnostics.notifications.services import touch
from diagnostics.predictions.models import PredictionState
from diagnostics.predictions.services import current
from diagnostics.reviews.errors import InvalidRead, WrongStage
from diagnostics.reviews.labels import differs
from diagnostics.reviews.models import Claim, Comment, CommentKind, Read
from diagnostics.reviews.notices import tell_disagreement, tell_returned, tell_second_opinion, turn_over
from diagnostics.reviews.queries import final_read_at, own_final_read
from diagnostics.reviews.texts import checked_text
from diagnostics.reviews.thread import READERS
from diagnostics.reviews.worklist import end, live_with, locked, touch_related
from diagnostics.scans.access import Permission, Role, require
from diagnostics.scans.models import Membership, ReadingMode, SecondReader
from diagnostics.webhooks import events
from diagnostics.webhooks.models import EventType


def finalize(*, by: Actor, case: Case, read: Read) -> None:
    """Move the case on after a final read or its amendment, in the caller's transaction.

    Two labels that are not the same word are a disagreement, also "tumour" beside a type: somebody has to say which
    one stands. What an adjudicator has settled stays settled.
    """
    if case.state == CaseState.DONE and case.stage == Stage.ADJUDICATION:
        return
    if read.stage == Stage.ADJUDICATION:
        _finish(case, Stage.ADJUDICATION)
        return
    if case.control:
        _finish(case, Stage.FIRST)
        return
    first, second = final_read_at(case, Stage.FIRST), final_read_at(case, Stage.SECOND)
    if first is not None and second is not None:
        if first.label == second.label:
            _finish(case, Stage.SECOND)
        else:
            _go_on(by, case, Stage.ADJUDICATION, case.second_read, act="readers_disagree")
        return
    if case.state == CaseState.DONE:
        return
    why = case.second_read or (_why_second(case, read) if case.stage == Stage.FIRST else "")
    if not why:
        _finish(case, Stage.FIRST)
    elif case.stage == Stage.FIRST:
        _go_on(by, case, Stage.SECOND, why, act="second_read_wanted")


def _why_second(case: Case, read: Read) -> str:
    """Why the institution's policy wants a second reader here; empty where it does not."""
    place = case.institution
    if place.second_reader == SecondReader.ALL:
        return SecondRead.POLICY
    # The id is drawn at random, so it is the draw: the same answer however often it is asked.
    if place.second_reader == SecondReader.SHARE and case.pk.int % 100 < place.second_share:
        return SecondRead.SHARE
    if place.second_reader == SecondReader.DIFFERS and place.reading_mode != ReadingMode.AI_HIDDEN:
        opinion = current(case.scan)
        if opinion is not None and opinion.state == PredictionState.READY and differs(read.label, opinion):
            return SecondRead.DIFFERS
    return ""


def _go_on(by: Actor, case: Case, stage: str, why: str, *, act: str) -> None:
    """The case waits for the next seat. One that was done is open again."""
    now = timezone.now()
    Case.objects.filter(pk=case.pk).update(
        state=CaseState.OPEN, done_at=None, stage=stage, second_read=why, assigned_to=None, returned_at=None
    )
    if case.state == CaseState.DONE:
        Read.objects.filter(case=case).update(updated_at=now)  # closed to the institution again
    touch_related(case.pk, now)
    turn_over(case)
    if stage == Stage.ADJUDICATION:
        tell_disagreement(case=case)
        _tell_programs(EventType.CASE_DISAGREEMENT, case)
    elif why == SecondRead.ASKED:
        tell_second_opinion(case=case)
    record(by=by, act=act, target=case, institution=case.institution)


def _finish(case: Case, stage: str) -> None:
    """The case is done; the read of this seat decides."""
    now = timezone.now()
    done_at = case.done_at or now
    Case.objects.filter(pk=case.pk).update(
        state=CaseState.DONE, done_at=done_at, stage=stage, assigned_to=None, returned_at=None, updated_at=now
    )
    if case.state == CaseState.OPEN:
        Read.objects.filter(case=case).update(updated_at=now)  # open to the whole institution from now on
    touch(case.pk, now)
    turn_over(case)
    if case.state == CaseState.OPEN:
        _tell_programs(EventType.CASE_DONE, case)


def _tell_programs(event: EventType, case: Case) -> None:
    """Tell webhooks where the case stands, and nothing of what anybody stated. Control cases are told to nobody."""
    if not case.control:
        told = {"case": case.pk, "scan": case.scan_id}
        events.tell(event, subject=f"scan:{case.scan_id}", institution=case.institution_id, data=told, scan=case.scan)


def finish_with_the_first(case: Case) -> None:
    """The first read decides after all, as nobody is left to give a second one; in the caller's transaction."""
    Case.objects.filter(pk=case.pk).update(stage=Stage.FIRST, second_read="")
    _finish(case, Stage.FIRST)


@transaction.atomic
def ask_second_opinion(*, by: Actor, case: Case, claim_token: object, comment: str) -> Case:
    """The first reader of a case asks for a second one, who will read blind to the first.

    What is asked is shown to nobody who is still blind: it opens with the case.

    Raises
    ------
    NotAllowed, AlreadyDone, StaleClaim, WrongStage, InvalidRead
    """
    require(by, Permission.READ_CASE, case.institution)
    text = checked_text(comment, _("Enter a question."))
    case = locked(case)
    live = live_with(by, case, claim_token)
    if live.stage != Stage.FIRST:
        raise WrongStage(_("The first reader requests a second opinion."))
    if case.second_read:
        raise WrongStage(_("This case already gets a second reader."))
    others = Membership.objects.filter(institution=case.institution, role=Role.RADIOLOGIST, user__is_active=True)
    if not others.exclude(user=account_of(by)).exists():
        raise WrongStage(_("Your institution has no other radiologist who could give one."))
    Case.objects.filter(pk=case.pk).update(second_read=SecondRead.ASKED)
    made = Comment.objects.create(case=case, author=account_of(by), kind=CommentKind.ASKED, text=text)
    touch_related(case.pk, timezone.now())
    record(by=by, act="second_opinion_asked", target=case, institution=case.institution, comment=made.pk)
    case.refresh_from_db()
    return case


@transaction.atomic
def return_case(*, by: Actor, case: Case, claim_token: object, reader: str, comment: str) -> Case:
    """An adjudicator sends the case back to reader ``a`` or ``b`` with a comment instead of settling it.

    Raises
    ------
    NotAllowed, AlreadyDone, StaleClaim, WrongStage, InvalidRead
    """
    require(by, Permission.ADJUDICATE, case.institution)
    if reader not in READERS:
        raise InvalidRead("reader", _("Choose one of: %(known)s."), {"known": ", ".join(READERS)})
    text = checked_text(comment, _("Enter what the reader should review."))
    case = locked(case)
    live = live_with(by, case, claim_token)
    if live.stage != Stage.ADJUDICATION or case.stage != Stage.ADJUDICATION:
        raise WrongStage(_("Only a case that awaits adjudication can be returned."))
    stage = READERS[reader]
    read = final_read_at(case, stage)
    if read is None:
        raise WrongStage(_("This reader has not read the case."))
    if not Membership.objects.filter(
        user=read.reader_id, user__is_active=True, institution=case.institution, role=Role.RADIOLOGIST
    ).exists():
        raise WrongStage(_("This reader no longer reads here. Resolve the case, or send it to the other reader."))
    end(live, "returned")
    Case.objects.filter(pk=case.pk).update(stage=stage, assigned_to=read.reader_id, returned_at=timezone.now())
    made = Comment.objects.create(
        case=case, author=account_of(by), to=read.reader, kind=CommentKind.RETURNED, text=text
    )
    touch_related(case.pk, timezone.now())
    turn_over(case)
    tell_returned(case=case, reader=read.reader_id)
    record(by=by, act="case_returned", target=case, institution=case.institution, comment=made.pk, reader=reader)
    case.refresh_from_db()
    return case


@transaction.atomic
def answer(*, by: Actor, case: Case, comment: str) -> Comment:
    """The reader to whom a case was returned answers the adjudicator; who they are stays unsaid.

    Raises
    ------
    NotAllowed, AlreadyDone, WrongStage, InvalidRead
    """
    require(by, Permission.READ_CASE, case.institution)
    text = checked_text(comment, _("Enter an answer for the adjudicator."))
    case = locked(case)
    asked = (
        Comment.objects.filter(case=case, kind=CommentKind.RETURNED, to=account_of(by)).order_by("-created_at").first()
    )
    if asked is None or case.returned_at is None or case.assigned_to_id != by.pk:
        raise WrongStage(_("This case has not been returned to you."))
    made = Comment.objects.create(
        case=case, author=account_of(by), to=asked.author, kind=CommentKind.ANSWER, text=text
    )
    Case.objects.filter(pk=case.pk).update(updated_at=timezone.now())
    record(by=by, act="comment_answered", target=case, institution=case.institution, comment=made.pk)
    return made


@transaction.atomic
def recall(*, by: Actor, case: Case, reason: str) -> Case:
    """An adjudicator takes back a case that was returned to a reader, to settle it all the same.

    Raises
    ------
    NotAllowed, AlreadyDone, WrongStage, InvalidRead
    """
    require(by, Permission.ADJUDICATE, case.institution)
    reason = checked_text(reason, _("Give a reason for taking the case back."), field="reason")
    case = locked(case)
    if case.returned_at is None:
        raise WrongStage(_("This case is not with a reader to whom it was returned."))
    if own_final_read(by, case) is not None:
        raise WrongStage(_("You have read this case yourself. Another adjudicator must resolve it."))
    for live in Claim.objects.filter(case=case, released_at__isnull=True):
        end(live, "taken_over")
    Case.objects.filter(pk=case.pk).update(stage=Stage.ADJUDICATION, assigned_to=None, returned_at=None)
    touch_related(case.pk, timezone.now())
    turn_over(case)
    record(by=by, act="case_recalled", target=case, institution=case.institution, reason=reason)
    case.refresh_from_db()
    return case

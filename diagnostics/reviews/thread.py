"""What two readers and an adjudicator tell each other of an open case: labels without names, comments with roles.

Like everything in :mod:`diagnostics.reviews.queries` this says what one person may know, and no more.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from diagnostics.actors import Actor, account_of
from diagnostics.cases.models import Case, CaseState, Stage
from diagnostics.scans.access import READING_ROLES, Permission, may, places_with, within

from .models import AuthorExposure, Comment, CommentKind, Read, ReadKind
from .queries import blinded

READERS = {"a": Stage.FIRST, "b": Stage.SECOND}


@dataclass(frozen=True)
class Remark:
    """An entry of a case's thread as one person meets it; ``who`` names a role while the case is open."""

    at: datetime
    who: str
    kind: str
    kind_words: str
    text: str


def comments_for(user: Actor) -> QuerySet[Comment]:
    """Comments that ``user`` may see, oldest first.

    Of a done case all. While a case is open: their own, those meant for them, and all for whoever may see reads there
    and reads none. Of what anybody wrote into the thread also

    - what somebody wrote who knew neither a reader's view nor the AI's: that can sway nobody;
    - a reader's words that do not hold the AI's opinion, to colleagues who read nothing there;
    - to the first reader who sees the AI's opinion already, what others wrote who knew it too, as long as nobody else
      has spoken and no second reader is wanted.
    """
    reads_in = Q(case__institution__in=sorted(places_with(user, READING_ROLES)))
    oversees = within(user, Permission.SEE_READS, "case__institution") & ~reads_in
    remark = Q(kind=CommentKind.REMARK)
    others = Read.objects.filter(case=OuterRef("case")).exclude(reader=account_of(user))
    alone = Q(case__stage=Stage.FIRST, case__second_read="", case__returned_at__isnull=True) & ~Q(Exists(others))
    return (
        Comment.objects.filter(within(user, Permission.SEE_SCANS, "case__institution"))
        .alias(hidden=blinded(user, scan="case__scan", institution="case__institution"))
        .filter(
            Q(author=user)
            | Q(to=user)
            | Q(case__state=CaseState.DONE)
            | oversees
            | remark & Q(author_exposure=AuthorExposure.NOTHING)
            | remark & Q(author_exposure=AuthorExposure.VIEW) & ~reads_in
            | remark & Q(author_exposure=AuthorExposure.OPINION, hidden=False) & alone
        )
    )


def thread_of(user: Actor, case: Case) -> list[Remark]:
    """The comments on a case that ``user`` may see, oldest first; see :func:`comments_for`."""
    if not case.comments.exists():  # which of them may be seen is a question ten times as long
        return []
    comments = comments_for(user).filter(case=case).select_related("author", "case__institution")
    named = _named(user, case)
    return [
        Remark(each.created_at, _who(user, each, named=named), each.kind, each.get_kind_display(), each.text)
        for each in comments
    ]


def who_wrote(user: Actor, comment: Comment) -> str:
    """Who wrote a comment, as far as ``user`` may know it now."""
    return _who(user, comment, named=_named(user, comment.case))


def _named(user: Actor, case: Case) -> bool:
    """Whether ``user`` may know who the readers of a case are."""
    return case.state == CaseState.DONE or (
        may(user, Permission.SEE_READS, case.institution) and not _reads(user, case)
    )


def _reads(person: Actor, case: Case) -> bool:
    return bool(
        account_of(person).memberships.filter(institution=case.institution_id, role__in=READING_ROLES).exists()
    )


def _who(user: Actor, comment: Comment, *, named: bool) -> str:
    if comment.author_id == user.pk:
        return str(_("You"))
    if named:
        return str(comment.author)
    if comment.kind == CommentKind.RETURNED:
        return str(_("Adjudicator"))
    if comment.kind == CommentKind.REMARK:
        return str(_("A reader")) if _reads(comment.author, comment.case) else str(comment.author)
    first = comment.case.reads.filter(reader=comment.author_id, kind=ReadKind.FINAL, stage=Stage.FIRST).exists()
    return str(_("Reader A")) if first else str(_("Reader B"))

"""Whom a case's turns concern, and what a person may still know of what they were told.

A notification says that something happened and where, never what anybody thinks of a scan. It is shown to whoever may
know of it at this moment: one about an institution in which the person has no part any more does not exist for them,
and a mention waits until its comment may be seen.
"""

from collections.abc import Collection

from django.db.models import Exists, OuterRef, Q, QuerySet

from diagnostics.actors import Account, Actor, account_of
from diagnostics.cases.models import Case
from diagnostics.notifications.models import Kind, Notification
from diagnostics.notifications.services import mark_read, notify, over
from diagnostics.scans.access import Permission, Role, roles_with, within
from diagnostics.scans.models import Membership

from .models import Comment, ReadKind
from .thread import comments_for

# What one must be allowed in the institution to be told such a thing, and to go on knowing it.
NEEDS: dict[Permission, tuple[Kind, ...]] = {
    Permission.READ_CASE: (Kind.ASSIGNED, Kind.RETURNED, Kind.SECOND_OPINION),
    Permission.ADJUDICATE: (Kind.DISAGREEMENT,),
    Permission.SEE_SCANS: (Kind.MENTIONED, Kind.PREDICTION_FAILED),
}
# Over as soon as somebody has gone on with the case.
OF_ONE_TURN = (Kind.ASSIGNED, Kind.RETURNED, Kind.SECOND_OPINION, Kind.DISAGREEMENT)


def permitted(user: Actor) -> QuerySet[Notification]:
    """The notifications of ``user`` in institutions where such things still concern them."""
    concerned = Q()
    for permission, kinds in NEEDS.items():
        concerned |= Q(kind__in=kinds) & within(user, permission)
    return Notification.objects.filter(recipient=account_of(user)).filter(concerned)


def notifications_for(user: Actor) -> QuerySet[Notification]:
    """The notifications that ``user`` may see now, newest first."""
    seen = comments_for(user).filter(pk=OuterRef("comment"))
    return permitted(user).filter(Q(comment__isnull=True) | Exists(seen))


def tell_assigned(*, by: Actor | None, case: Case, to: Account | None) -> None:
    """Whoever the case is kept for now; whoever it was kept for before need not look any more."""
    over(kinds=[Kind.ASSIGNED] if to is None else [Kind.ASSIGNED, Kind.SECOND_OPINION], scan=case.scan_id)
    if to is not None and (by is None or to.pk != by.pk):
        notify(people=[to.pk], kind=Kind.ASSIGNED, scan=case.scan, case=case.pk)


def tell_returned(*, case: Case, reader: int) -> None:
    """The reader (an id) to whom an adjudicator returned the case."""
    notify(people=[reader], kind=Kind.RETURNED, scan=case.scan, case=case.pk)


def tell_disagreement(*, case: Case) -> None:
    """The adjudicators who may settle the case: nobody who has read it."""
    may_settle = _people(case, roles_with(Permission.ADJUDICATE)).exclude(user__in=case.reads.values("reader"))
    notify(people=may_settle.values_list("user", flat=True), kind=Kind.DISAGREEMENT, scan=case.scan, case=case.pk)


def tell_second_opinion(*, case: Case) -> None:
    """The readers who may give a second opinion: nobody who has given the first."""
    first = case.reads.filter(kind=ReadKind.FINAL).values("reader")
    may_give = _people(case, [Role.RADIOLOGIST]).exclude(user__in=first)
    notify(people=may_give.values_list("user", flat=True), kind=Kind.SECOND_OPINION, scan=case.scan, case=case.pk)


def tell_mentioned(*, comment: Comment, people: list[int]) -> None:
    """Whoever is mentioned; each hears of it when they may see the comment."""
    notify(people=people, kind=Kind.MENTIONED, scan=comment.case.scan, case=comment.case_id, comment=comment.pk)


def taken_up(*, by: Actor, case: Case) -> None:
    """``by`` is at the case: they need not be told of it any more."""
    mark_read(Notification.objects.filter(recipient=account_of(by), scan=case.scan_id, kind__in=OF_ONE_TURN))


def turn_over(case: Case) -> None:
    """The case has moved on, or back: what was told of where it stood is over."""
    over(kinds=OF_ONE_TURN, scan=case.scan_id)


def _people(case: Case, roles: Collection[Role]) -> QuerySet[Membership]:
    return Membership.objects.filter(institution=case.institution_id, role__in=roles, user__is_active=True).order_by(
        "user"
    )

"""Write into a case's thread, and mention colleagues.

Whoever may see a case may write. Whom it reaches while the case is open hangs on what its author knew when they wrote
(:class:`~diagnostics.reviews.models.AuthorExposure`), for anything that one knows may stand in a sentence: see
:func:`diagnostics.reviews.thread.comments_for`.
"""

import re

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Account, Actor, account_of
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseState, Stage
from diagnostics.scans.access import READING_ROLES, Permission, require, roles_with
from diagnostics.scans.folding import folded
from diagnostics.scans.models import Membership

from .errors import InvalidRead
from .models import AuthorExposure, Comment, CommentKind
from .notices import tell_mentioned
from .queries import is_blinded
from .texts import checked_text
from .thread import comments_for

MOST_MENTIONS = 20
MENTION = re.compile(r"(?<![\w.@+-])@([\w.@+-]+)")


@transaction.atomic
def comment(*, by: Actor, case: Case, text: str) -> Comment:
    """Write into the thread of a case; whoever is mentioned with ``@name`` is notified once they may see it.

    Raises
    ------
    NotAllowed, InvalidRead
    """
    require(by, Permission.SEE_SCANS, case.institution)
    text = checked_text(text, _("Enter a comment."), field="text")
    case = Case.objects.select_for_update(of=("self",)).select_related("institution", "scan").get(pk=case.pk)
    people = [person.pk for person in mentioned(text, case) if person.pk != by.pk]
    if len(people) > MOST_MENTIONS:
        raise InvalidRead("text", _("Mention at most %(most)d people in one comment."), {"most": MOST_MENTIONS})
    made = Comment.objects.create(
        case=case,
        author=account_of(by),
        kind=CommentKind.REMARK,
        text=text,
        author_exposure=what_is_known_to(by, case),
    )
    Case.objects.filter(pk=case.pk).update(updated_at=timezone.now())
    tell_mentioned(comment=made, people=people)
    record(by=by, act="comment_written", target=case, institution=case.institution, comment=made.pk)
    return made


def what_is_known_to(user: Actor, case: Case) -> AuthorExposure:
    """What ``user`` could let slip about the case now: the AI's opinion, a view of the image, or nothing."""
    if not is_blinded(user, case.scan):
        return AuthorExposure.OPINION
    if account_of(user).memberships.filter(institution=case.institution, role__in=READING_ROLES).exists():
        return AuthorExposure.VIEW
    # A case that is being settled may have been done before, and open to the whole institution.
    settling = case.state == CaseState.OPEN and (case.stage == Stage.ADJUDICATION or case.returned_at is not None)
    told = (
        comments_for(user)
        .filter(case=case)
        .exclude(author=account_of(user))
        .exclude(author_exposure=AuthorExposure.NOTHING)
    )
    return AuthorExposure.VIEW if settling or told.exists() else AuthorExposure.NOTHING


def who_may_see(case: Case) -> QuerySet[Account]:
    """The people who may see a case, by name: whom one may mention."""
    here = Membership.objects.filter(institution=case.institution_id, role__in=roles_with(Permission.SEE_SCANS))
    return get_user_model()._default_manager.filter(is_active=True, pk__in=here.values("user")).order_by("username")


def mentioned(text: str, case: Case) -> list[Account]:
    """The people whom a text mentions, of those who may see the case; any other ``@name`` is plain text."""
    # A name may contain dots and hyphens, and a sentence may end with them.
    names = {form for name in MENTION.findall(text) for form in (name, name.rstrip(".@+-"))}
    if not names:
        return []
    return list(who_may_see(case).filter(username_folded__in={folded(name) for name in names}))


def people_like(user: Actor, case: Case, begins: str, limit: int = 8) -> list[Account]:
    """Whom ``user`` may mention on this case, of those whose username or name begins so."""
    found = who_may_see(case).exclude(pk=account_of(user).pk)
    if begins:
        found = found.filter(
            Q(username__istartswith=begins) | Q(first_name__istartswith=begins) | Q(last_name__istartswith=begins)
        )
        # What is typed after the @ is a username: the first on offer, which Enter takes, is one that goes on so.
        found = found.alias(named=Q(username__istartswith=begins)).order_by("-named", "username")
    return list(found[:limit])

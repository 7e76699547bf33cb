"""What two readers and an adjudicator tell each other of an open case: labels without names, comments with roles.

Like everything in :mod:`diagnostics.reviews.queries` this says what one person may know, and no more.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from diagnostics.scans.access import READING_ROLES, Permission, institutions_where, may

from .models import Case, CaseState, Comment, CommentKind, ReadKind, Stage
from .queries import final_read_at, live_claim


@dataclass(frozen=True)
class Statement:
    """What one of two readers said, without who it was. ``reader`` is ``a`` or ``b``."""

    reader: str
    label: str
    certainty: str
    comment: str
    label_words: str
    certainty_words: str


READERS = {"a": Stage.FIRST, "b": Stage.SECOND}


def statements_for(user: Any, case: Case) -> list[Statement]:
    """Both readers' labels for the adjudicator who holds the case, unnamed; for anybody else nothing.

    A comment is shown only from a blind read by which its reader stood: whatever was written after the reveal, and a
    change of mind itself, would tell what the AI thinks.
    """
    held = live_claim(user, case)
    if held is None or held.stage != Stage.ADJUDICATION:
        return []
    said = []
    for letter, stage in READERS.items():
        final = final_read_at(case, stage)
        if final is None:
            continue
        blind = case.reads.filter(reader=final.reader_id, kind=ReadKind.BLIND, label=final.label).first()
        said.append(
            Statement(
                reader=letter,
                label=final.label,
                certainty=final.certainty,
                comment=blind.comment if blind is not None else "",
                label_words=final.get_label_display(),
                certainty_words=final.get_certainty_display().lower(),
            )
        )
    return said


@dataclass(frozen=True)
class Remark:
    """An entry of a case's thread as one person meets it; ``who`` names a role while the case is open."""

    at: datetime
    who: str
    kind: str
    kind_words: str
    text: str


def comments_for(user: Any) -> QuerySet[Comment]:
    """Comments that ``user`` may see, oldest first.

    While a case is open: their own, those meant for them, and all for whoever may see reads there and reads none.
    """
    reads_in = user.memberships.filter(role__in=READING_ROLES).values("institution")
    sees_in = institutions_where(user, Permission.SEE_READS).exclude(pk__in=reads_in).values("pk")
    return Comment.objects.filter(case__institution__in=institutions_where(user, Permission.SEE_SCANS)).filter(
        Q(author=user) | Q(to=user) | Q(case__state=CaseState.DONE) | Q(case__institution__in=sees_in)
    )


def thread_of(user: Any, case: Case) -> list[Remark]:
    """The comments on a case that ``user`` may see, oldest first; see :func:`comments_for`."""
    comments = comments_for(user).filter(case=case).select_related("author", "case")
    named = case.state == CaseState.DONE or (
        may(user, Permission.SEE_READS, case.institution)
        and not user.memberships.filter(institution=case.institution, role__in=READING_ROLES).exists()
    )
    return [
        Remark(each.created_at, _who(user, each, named=named), each.kind, each.get_kind_display(), each.text)
        for each in comments
    ]


def _who(user: Any, comment: Comment, *, named: bool) -> str:
    if comment.author_id == user.pk:
        return str(_("You"))
    if named:
        return str(comment.author)
    if comment.kind == CommentKind.RETURNED:
        return str(_("Adjudicator"))
    first = comment.case.reads.filter(reader=comment.author_id, kind=ReadKind.FINAL, stage=Stage.FIRST).exists()
    return str(_("Reader A")) if first else str(_("Reader B"))

"""What a person may see of marks on an image.

A mark tells where its author looks, so it is as much a statement as a read: whoever may not see the author's reads of
a case (``reviews.queries.reads_for``) does not see their marks. One's own are always there.
"""

import uuid
from collections.abc import Sequence

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from diagnostics.actors import Actor, account_of
from diagnostics.cases.models import Case
from diagnostics.reviews.models import ReadKind
from diagnostics.reviews.queries import live_claim, reads_for
from diagnostics.reviews.reading import TimelineEntry
from diagnostics.reviews.reading import timeline_of as timeline_of_reviews
from diagnostics.reviews.visible_scans import VisibleScan
from diagnostics.scans.access import Permission, may, within

from .models import Annotation


def annotations_for(user: Actor) -> QuerySet[Annotation]:
    """Every revision of every mark that ``user`` may see, oldest first, with ``superseded`` on each."""
    spoken = reads_for(user).filter(case=OuterRef("case"), reader=OuterRef("author"))
    newer = Annotation.objects.filter(mark=OuterRef("mark"), revision__gt=OuterRef("revision"))
    return (
        Annotation.objects.filter(within(user, Permission.SEE_SCANS, "case__institution"))
        .filter(Q(author=user) | Exists(spoken))
        .select_related("case", "case__institution", "author", "image")
        .annotate(superseded=Exists(newer))
        .order_by("created_at", "id")
    )


def standing(annotations: QuerySet[Annotation]) -> QuerySet[Annotation]:
    """Those of :func:`annotations_for` that no newer revision supersedes and nobody has withdrawn."""
    return annotations.filter(Q(superseded=False), withdrawn=False)


def may_annotate(user: Actor, case: Case) -> bool:
    """Whether marks of ``user`` on this case are kept now: they hold it, or have finished reading it."""
    if not any(may(user, each, case.institution) for each in (Permission.READ_CASE, Permission.ADJUDICATE)):
        return False
    return (
        live_claim(user, case) is not None or case.reads.filter(reader=account_of(user), kind=ReadKind.FINAL).exists()
    )


def timeline_of(user: Actor, scans: Sequence[VisibleScan]) -> list[TimelineEntry]:
    """What happened to some scans, marks included, oldest first: those of ``reviews.timeline.timeline_of``, and one
    moment for each author of standing marks on a case, at their last change."""
    places = [seen.scan.pk for seen in scans]
    marks = standing(annotations_for(user)).filter(case__scan__in=places).select_related("case", "author")
    grouped: dict[tuple[uuid.UUID, int], list[Annotation]] = {}
    for mark in marks:
        grouped.setdefault((mark.case_id, mark.author_id), []).append(mark)
    made = [
        TimelineEntry(
            each[-1].created_at, "marks", str(each[-1].author), sentence_of(each), each[-1], each[-1].case.scan_id
        )
        for each in grouped.values()
    ]
    return sorted([*timeline_of_reviews(user, scans), *made], key=lambda moment: moment.at)


def sentence_of(marks: Sequence[Annotation]) -> str:
    """Marks of one author in words."""
    kinds = list(dict.fromkeys(str(mark.get_kind_display()).lower() for mark in marks))
    counted = ngettext(
        "Annotated the image: %(n)d annotation", "Annotated the image: %(n)d annotations", len(marks)
    ) % {"n": len(marks)}
    return _("%(counted)s (%(kinds)s)") % {"counted": counted, "kinds": ", ".join(kinds)}

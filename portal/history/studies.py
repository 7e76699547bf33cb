"""One study: the stacks of its series, how far each is, and what else came with it."""

from collections import Counter
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from diagnostics.models import Study
from diagnostics.reviews.queries import cases_for
from diagnostics.reviews.study_results import result_of
from diagnostics.reviews.visible_scans import scans_for
from diagnostics.scans.access import Permission, may, within
from diagnostics.scans.series import KeptKind

from .cards import cards_of

SCANS_SHOWN = 200  # of one study; a visit has five to fifteen series
READS = (Permission.READ_CASE, Permission.ADJUDICATE, Permission.SEE_READS)


@require_safe
@login_required
def study(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The scans of one study in the order of their series; 404 for whoever may not see them."""
    theirs = Study.objects.filter(within(request.user, Permission.SEE_SCANS)).select_related("patient", "institution")
    found = get_object_or_404(theirs, pk=pk)
    scans = scans_for(request.user).filter(study=found)
    order = (F("series__number").asc(nulls_last=True), "created_at", "pk")
    cards = cards_of(request.user, scans.order_by(*order)[:SCANS_SHOWN].visible())
    works = any(may(request.user, permission, found.institution) for permission in READS)
    cases = cases_for(request.user).filter(scan__study=found).prefetch_related(None).order_by("opened_at")
    kept = Counter(found.kept_instances.values_list("kind", flat=True))
    newest = {case.scan_id: case for case in cases} if works else {}
    context = {
        "study": found,
        "cards": [(card, newest.get(card.scan.pk)) for card in cards],
        "images": sum(card.scan.image_count for card in cards),
        "result": result_of(found),
        "kept": [(KeptKind(kind).label, number) for kind, number in sorted(kept.items())],
        "may_submit": may(request.user, Permission.SUBMIT_SCAN, found.institution),
    }
    return render(request, "history/study.html", context)

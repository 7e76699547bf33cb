"""What was: patients with everything about them, one's own reads, the audit."""

import uuid
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.db.models import Count, Max, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from diagnostics.annotations.queries import timeline_of
from diagnostics.audit.models import AuditEvent
from diagnostics.audit.sentences import sentence_of
from diagnostics.models import Patient
from diagnostics.reviews.labels import differs
from diagnostics.reviews.models import ReadKind
from diagnostics.reviews.queries import own_statements
from diagnostics.reviews.reading import seconds_in_words
from diagnostics.reviews.visible_scans import VisibleScan, scans_for
from diagnostics.reviews.words import label_in_words
from diagnostics.reviews.worklist import first_by_institution
from diagnostics.scans.access import Permission, may, require
from diagnostics.scans.looks import ACTS, looked_at
from diagnostics.scans.people import audit_events_for
from diagnostics.scans.querysets import beginning_with
from portal.ui.paging import page_of

from .cards import cards_of, visits_of
from .forms import BUT_LOOKS, AuditFilterForm, PatientFilterForm

MOST_BY_ID = 500  # so many patients that begin alike are found by their ids
SCANS_SHOWN = 200  # of one patient, newest first; nobody has as many


@require_safe
@login_required
def patients(request: HttpRequest) -> HttpResponse:
    """Patients by pseudonym."""
    require(request.user, Permission.SEE_SCANS)
    form = PatientFilterForm(request.GET)
    if not form.is_valid():
        raise BadRequest(_("There is no such filter."))
    begins = form.cleaned_data["patient"].strip()
    found: QuerySet[Patient] = Patient.objects.visible_to(request.user)
    if begins:
        found = _beginning(found, begins)
    shown = Patient.objects.select_related("institution")
    shown = shown.annotate(scan_count=Count("scans"), newest=Max("scans__created_at"))
    page = page_of(
        found,
        order=("pseudonym", "id"),
        after=request.GET.get("after", ""),
        first=first_by_institution(request.user, shown),
    )
    context = {"form": form, "begins": begins, "rows": page.rows, "after": page.after, "paged": "after" in request.GET}
    return render(request, "history/patients.html", context)


def _beginning(patients: QuerySet[Patient], begins: str) -> QuerySet[Patient]:
    """Patients whose pseudonym begins so: few are looked up first, of many the list's order comes to some soon."""
    some = beginning_with(patients, "pseudonym", begins)
    few = list(some.order_by().values_list("pk", flat=True)[: MOST_BY_ID + 1])
    return patients.filter(pk__in=few) if len(few) <= MOST_BY_ID else some


@require_safe
@login_required
def patient(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One patient: scans, opinions by model version, reads, in the order of time."""
    found = get_object_or_404(Patient.objects.visible_to(request.user).select_related("institution"), pk=pk)
    scans = scans_for(request.user).filter(patient=found).order_by("-created_at", "-id")[:SCANS_SHOWN].visible()
    cards = cards_of(request.user, scans)
    names = {seen.scan.pk: seen.scan.study.accession or str(seen.scan) for seen in scans}
    moments = [
        {"moment": moment, "scan_id": moment.scan_id, "scan_name": names[moment.scan_id]}
        for moment in reversed(timeline_of(request.user, scans))
    ]
    context = {
        "patient": found,
        "cards": cards,
        "visits": visits_of(cards),
        "comparable": sum(not card.scan.rejected_code for card in cards) > 1,
        "moments": moments,
        "may_submit": may(request.user, Permission.SUBMIT_SCAN, found.institution),
    }
    return render(request, "history/patient.html", context)


def _by_date(seen: VisibleScan) -> tuple[date, datetime]:
    return seen.scan.study.date or date.max, seen.scan.created_at


@require_safe
@login_required
def compare(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Two scans of one patient side by side, the earlier on the left; ``scan`` names each."""
    found = get_object_or_404(Patient.objects.visible_to(request.user).select_related("institution"), pk=pk)
    try:
        wanted = {uuid.UUID(text) for text in request.GET.getlist("scan")}
    except ValueError:
        raise BadRequest(_("There is no such scan.")) from None
    if len(wanted) != 2:
        messages.info(request, _("Choose two scans to compare."))
        return redirect("history:patient", pk)
    all_of_them = scans_for(request.user).filter(patient=found, rejected_code="")
    pair = sorted(all_of_them.filter(pk__in=wanted).visible(), key=_by_date)
    if len(pair) != 2:
        raise Http404
    left, right = (seen.scan for seen in pair)
    for each in (left, right):
        looked_at(by=request.user, scan_id=each.pk)
    context = {
        "patient": found,
        "scan": left,
        "right": right,
        "cards": cards_of(request.user, pair),
        "others": [right],
    }
    return render(request, "history/compare.html", context)


@require_safe
@login_required
def my_reads(request: HttpRequest) -> HttpResponse:
    """What one has stated oneself, and where the AI stood, once the case is done."""
    if not any(may(request.user, wanted) for wanted in (Permission.READ_CASE, Permission.ADJUDICATE)):
        require(request.user, Permission.READ_CASE)
    mine = own_statements(request.user)
    page = page_of(mine, order=("-created_at", "-id"), after=request.GET.get("after", ""))
    rows = []
    for read in page.rows:
        done = read.case.state == "done"
        opinion = read.prediction if done else None
        rows.append(
            {
                "read": read,
                "done": done,
                "blind_label": label_in_words(read.blind_label) if read.blind_label else "",
                **_times(read),
                "opinion_label": label_in_words(opinion.label) if opinion else "",
                "differs": differs(read.label, opinion) if opinion else None,
            }
        )
    week = timezone.now() - timedelta(days=7)
    context = {
        "rows": rows,
        "after": page.after,
        "paged": "after" in request.GET,
        "total": mine.count(),
        "this_week": mine.filter(created_at__gte=week).count(),
        "came_round": mine.filter(adopted=True).count(),
    }
    return render(request, "history/my_reads.html", context)


def _times(read: Any) -> dict[str, str]:
    """How long it took: the first statement, and all of it where a blind read came first."""
    if read.seconds is None:  # an amendment
        return {"first": "", "whole": ""}
    before = read.blind_seconds if read.kind == ReadKind.FINAL else None
    if before is None:
        return {"first": "", "whole": seconds_in_words(read.seconds)}
    return {"first": seconds_in_words(before), "whole": seconds_in_words(before + read.seconds)}


@require_safe
@login_required
def audit(request: HttpRequest) -> HttpResponse:
    """Who did what, newest first."""
    require(request.user, Permission.SEE_AUDIT)
    form = AuditFilterForm(request.GET)
    if not form.is_valid():
        raise BadRequest(_("There is no such filter."))
    filters = form.cleaned_data
    events = audit_events_for(request.user)
    if filters["act"] == BUT_LOOKS:
        events = events.exclude(act__in=ACTS.values())
    elif filters["act"]:
        events = events.filter(act=filters["act"])
    if filters["person"]:
        events = events.filter(actor__username__istartswith=filters["person"].strip())
    if filters["since"]:
        events = events.filter(at__gte=_midnight(filters["since"]))
    # On the last day that there is, nothing comes after it.
    if filters["until"] and filters["until"] < date.max:
        events = events.filter(at__lt=_midnight(filters["until"] + timedelta(days=1)))
    page = page_of(events, order=("-id",), after=request.GET.get("after", ""))
    context = {
        "form": form,
        "filtered": any(filters.values()),
        "rows": [{"event": event, "sentence": sentence_of(event), "url": _address_of(event)} for event in page.rows],
        "after": page.after,
        "paged": "after" in request.GET,
    }
    return render(request, "history/audit.html", context)


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


# Where the row behind an event is looked at: its own page, or the one that its detail points to.
_PAGES: dict[str, tuple[str, str]] = {
    "scan": ("uploads:scan", ""),
    "prediction": ("uploads:scan", "scan"),
    "case": ("reading:case", ""),
    "read": ("reading:case", "case"),
    "datasetversion": ("lab:dataset", ""),
    "trainingrun": ("lab:run", ""),
    "modelversion": ("lab:model", ""),
}


def _address_of(event: AuditEvent) -> str:
    """The page of what the event is about, or nothing."""
    page, key = _PAGES.get(event.target_type, ("", ""))
    target = event.detail.get(key) if key else event.target_id
    if not page or not target:
        return ""
    try:
        return reverse(page, args=[target])
    except NoReverseMatch:
        return ""

"""Hand in scans, and see how far they have come."""

import hashlib
import time
from dataclasses import dataclass
from typing import Any, BinaryIO, cast
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from diagnostics import pipeline
from diagnostics.actors import Actor
from diagnostics.batches import Filed, FileOutcome, submit_archive, submit_file
from diagnostics.disk import StorageFull
from diagnostics.errors import Invalid
from diagnostics.models import Scan
from diagnostics.predictions.services import failure_of, status_of
from diagnostics.reviews.queries import cases_for
from diagnostics.reviews.visible_scans import VisibleScan, opinion_for, scans_for, visible
from diagnostics.reviews.words import label_in_words
from diagnostics.reviews.worklist import scans_listed
from diagnostics.scans.access import Permission, may, require
from diagnostics.scans.archives import is_archive
from diagnostics.scans.kept_instances import kept_in_words
from diagnostics.scans.looks import looked_at
from portal.ui.opened import opened_at
from portal.ui.paging import page_of
from portal.ui.refusals import refusals_as_messages
from portal.ui.requests import HtmxRequest

from .forms import CompleteForm, FilingForm, FilterForm

BUSY_SECONDS = 30  # so long after opening, the list looks for news each second; then every five
PENDING = ("arriving", "queued", "analysing")
PAGE_SIZE = 25


@dataclass(frozen=True)
class Outcome:
    """What became of one file: ``stored | known | kept | refused``. ``again``: it may be sent again as it is.

    ``full``: there was no room for it.
    """

    name: str
    kind: str
    sentence: str = ""
    scan: Scan | None = None
    again: bool = False
    full: bool = False
    arriving: bool = False


def _submit(user: Actor, file: UploadedFile, said: dict[str, Any]) -> list[Outcome]:
    """Hand one file to the domain, or all files of a ZIP; whatever it says becomes a sentence for that file alone."""
    name = file.name or _("an unnamed file")
    filed = Filed(**{key: said[key] for key in ("institution", "patient", "accession", "study_date", "priority")})
    if is_archive(file.read(4)):
        try:
            return [_outcome(each) for each in submit_archive(by=user, filed=filed, file=cast("BinaryIO", file))]
        except Invalid as refusal:
            return [Outcome(name, "refused", refusal.sentence)]
    if file.size is not None and file.size > settings.MAX_UPLOAD_BYTES:
        return [Outcome(name, "refused", _too_large())]
    file.seek(0)
    return [_outcome(submit_file(by=user, filed=filed, name=name, data=file.read()))]


def _outcome(done: FileOutcome) -> Outcome:
    """What became of a file, in words."""
    name, scan = done.name, done.scan
    if done.kind == "unavailable":
        return Outcome(name, "refused", str(done.sentence), again=True, full=isinstance(done.cause, StorageFull))
    if done.kept is not None:
        return Outcome(name, "kept", kept_in_words(done.kept))
    if scan is None:
        return Outcome(name, "refused", str(done.sentence))
    if done.kind == "known":
        known = _("This image was uploaded before, so it was not stored again.")
        return Outcome(name, "known", known, scan, arriving=done.arriving)
    if done.arriving:
        return Outcome(name, "stored", _("The image joined its series."), scan, arriving=True)
    return Outcome(name, "stored", scan.note, scan)


def _limit() -> int:
    return settings.MAX_UPLOAD_BYTES // (1024 * 1024)


def _too_large() -> str:
    return _("The file is larger than the limit of %(limit)d MB.") % {"limit": _limit()}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def hand_in(request: HttpRequest) -> HttpResponse:
    """The page; a POST with files hands them in, one answer a file. A script that sends one file asks for JSON."""
    require(request.user, Permission.SUBMIT_SCAN)
    if request.method != "POST":
        first = {name: request.GET[name] for name in ("patient", "accession") if name in request.GET}
        return _hand_in_page(request, FilingForm(user=request.user, initial=first))
    form = FilingForm(request.POST, user=request.user)
    files = request.FILES.getlist("files")
    form.full_clean()
    if not files:
        form.add_error(None, _("Choose at least one file."))
    wants_json = request.headers.get("Accept", "").startswith("application/json")
    if not form.is_valid():
        if wants_json:
            return JsonResponse({"errors": form.errors}, status=400)
        return _hand_in_page(request, form, status=400)
    outcomes = [outcome for file in files for outcome in _submit(request.user, file, form.cleaned_data)]
    status = _status_of(outcomes)
    if wants_json:
        return _as_json(request, outcomes, status)
    # Without a script all files came at once: no image of these series will follow.
    pipeline.close_series(by=request.user, scans_of=[each.scan for each in outcomes if each.scan and each.arriving])
    return _hand_in_page(request, form, status=status, outcomes=outcomes)


def _status_of(outcomes: list[Outcome]) -> int:
    """The status of an answer about several files: that of the worst."""
    if any(outcome.full for outcome in outcomes):
        return 507
    return 503 if any(outcome.again for outcome in outcomes) else 200


def _as_json(request: HttpRequest, outcomes: list[Outcome], status: int) -> JsonResponse:
    """What became of a file, or of those of a ZIP, for the script; an error where it may send the same again."""
    again = next((each for each in outcomes if each.again), None)
    if again is not None:
        return JsonResponse({"errors": {"__all__": [again.sentence]}}, status=status)
    html = "".join(render_to_string("uploads/_outcome.html", {"outcome": each}, request) for each in outcomes)
    kind = next((each.kind for each in outcomes if each.kind == "stored"), outcomes[0].kind)
    arriving = [str(each.scan.pk) for each in outcomes if each.scan is not None and each.arriving]
    # The series of a ZIP are closed already; an image by itself tells which stack it joined.
    joined = arriving[0] if arriving and len(outcomes) == 1 else None
    return JsonResponse({"outcome": kind, "html": html, "arriving": joined})


def _hand_in_page(request: HttpRequest, form: FilingForm, *, status: int = 200, **context: object) -> HttpResponse:
    context = {"form": form, "limit": _limit(), "limit_bytes": settings.MAX_UPLOAD_BYTES, **context}
    return render(request, "uploads/hand_in.html", context, status=status)


@require_POST
@login_required
def complete(request: HttpRequest) -> HttpResponse:
    """All files of a batch were sent: their series (``scan``: one scan of each) need not wait for other images."""
    require(request.user, Permission.SUBMIT_SCAN)
    form = CompleteForm(request.POST)
    if not form.is_valid():
        raise BadRequest(_("There is no such scan."))
    found = Scan.objects.visible_to(request.user).filter(pk__in=form.cleaned_data["scan"]).select_related("series")
    pipeline.close_series(by=request.user, scans_of=list(found))
    return HttpResponse(status=204)


@dataclass(frozen=True)
class Row:
    """One line of the list, ready to be drawn."""

    scan: Scan
    status: str
    failure: str | None
    opinion: Any
    opinion_label: str
    retry: bool


def _row(user: Actor, seen: VisibleScan) -> Row:
    scan, opinion = seen.scan, opinion_for(seen)
    status = status_of(scan)
    return Row(
        scan=scan,
        status=status,
        failure=failure_of(scan),
        opinion=opinion,
        opinion_label=label_in_words(opinion.label) if opinion else "",
        retry=status in ("failed", "rejected") and may(user, Permission.RETRY_PREDICTION, scan.institution_id),
    )


def _list_context(request: HttpRequest) -> dict[str, Any]:
    form = FilterForm(request.GET)
    if not form.is_valid():
        raise BadRequest(_("There is no such filter."))
    filters = form.cleaned_data
    found = scans_listed(
        request.user, patient=filters["patient"].strip(), priority=filters["priority"], status=filters["state"]
    )
    after = request.GET.get("after", "")
    page = page_of(found.cases, order=found.order, after=after, size=PAGE_SIZE, first=found.first)
    rows = [_row(request.user, seen) for seen in visible(page.rows)]
    return {
        "form": form,
        "rows": rows,
        "after": page.after,
        "paged": "after" in request.GET,
        "filtered": any(value not in (None, "") for value in filters.values()),
        "pending": any(row.status in PENDING for row in rows),
    }


def _live(request: HttpRequest, context: dict[str, Any]) -> dict[str, object]:
    """The live part as HTML, its fingerprint, and how soon to look again."""
    opened = int(opened_at(request))
    html = render_to_string("uploads/_rows.html", context, request)
    return {
        "live": html,
        "pending": context["pending"],
        # Not of the HTML: "12 min ago" would then be news.
        "seen": hashlib.sha256(
            repr([(row.scan.pk, row.status, bool(row.opinion)) for row in context["rows"]]).encode()
        ).hexdigest()[:16],
        "since": opened,
        "pace": "5s" if time.time() - opened > BUSY_SECONDS else "1s",
    }


@require_safe
@login_required
def scans(request: HtmxRequest) -> HttpResponse:
    """The list; asked by htmx, only its live part: 204 where nothing changed, 286 once nothing is under way."""
    require(request.user, Permission.SEE_SCANS)
    context = _list_context(request)
    live = _live(request, context)
    if not request.htmx:
        return render(request, "uploads/list.html", {**context, **live})
    if not live["pending"]:
        return render(request, "uploads/_live.html", live, status=286)
    if (live["seen"], live["pace"]) == (request.headers.get("X-Seen"), request.headers.get("X-Pace")):
        return HttpResponse(status=204)
    return render(request, "uploads/_live.html", live)


@require_safe
@login_required
def scan(request: HtmxRequest, pk: UUID) -> HttpResponse:
    """One scan: its state, what to do about it, its facts, and who has said what so far as one may know."""
    (seen,) = visible([get_object_or_404(scans_for(request.user), pk=pk)])
    found: Any = seen.scan  # with its newest predictions
    looked_at(by=request.user, scan_id=found.pk)
    row = _row(request.user, seen)
    context = {
        "row": row,
        "scan": found,
        "predictions": [] if seen.blinded else found.newest_predictions,
        "case": cases_for(request.user).filter(scan=found).order_by("-opened_at").first(),
        "may_work": any(
            may(request.user, permission, found.institution_id)
            for permission in (Permission.READ_CASE, Permission.ADJUDICATE, Permission.SEE_READS)
        ),
        "pending": row.status in PENDING,
    }
    if request.htmx:
        if request.headers.get("X-Seen") == row.status:
            return HttpResponse(status=204 if context["pending"] else 286)
        return render(request, "uploads/_scan.html", context, status=200 if context["pending"] else 286)
    return render(request, "uploads/scan.html", context)


@require_POST
@login_required
def retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Have a scan analysed again whose analysis failed."""
    found = get_object_or_404(scans_for(request.user), pk=pk)
    with refusals_as_messages(request):
        pipeline.retry_prediction(by=request.user, scan=found)
        messages.success(request, _("The scan was queued again."))
    return redirect("uploads:scan", found.pk)

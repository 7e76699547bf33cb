"""The worklist: what waits for whom, and the claim that takes a case from it."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from diagnostics.actors import Actor
from diagnostics.cases.models import Case
from diagnostics.errors import Conflict
from diagnostics.reviews import reading
from diagnostics.reviews import worklist as worklists
from diagnostics.reviews.double_reading import count_for
from diagnostics.reviews.models import Label
from diagnostics.reviews.queries import cases_for
from diagnostics.reviews.worklist import (
    COUNT_LIMIT,
    listed,
    members_of_studies,
    policies_of,
    settling_in,
    tab_counts,
    unfinished,
)
from diagnostics.scans.access import Permission, may
from diagnostics.scans.stored_messages import in_words
from portal.accounts.preferences import PageKeys
from portal.ui.opened import opened_at
from portal.ui.paging import page_of
from portal.ui.requests import HtmxRequest

from .forms import FilterForm

TABS = (
    ("mine", gettext_lazy("Mine")),
    ("unclaimed", gettext_lazy("Unassigned")),
    ("second", gettext_lazy("Second read")),
    ("adjudicate", gettext_lazy("Adjudicate")),
    ("returned", gettext_lazy("Returned")),
    ("others", gettext_lazy("Assigned to others")),
    ("done", gettext_lazy("Done")),
)
# Shown where two readers read a case, or where there is something in them.
TABS_OF_TWO = ("second", "adjudicate", "returned")
# Where an adjudicator ticks cases to deal them out, or takes them back.
DEALT_OUT_IN = ("unclaimed", "second", "others")
DEFAULT_TAB = "unclaimed"
PAGE_SIZE = 25
NO_STUDIES: Mapping[UUID, list[Case]] = {}
BUSY_SECONDS = 30  # so long after opening, the list looks for news each second; then every five


@dataclass(frozen=True)
class Row:
    """One line of the list, ready to be drawn."""

    case: Any
    status: str
    failure: str | None
    final_label: str
    waited: str
    overdue: str
    due_in: str
    may_take: bool
    series: "list[Row]"  # of a study of several; the row itself stands for the first of them


def guarded(request: HttpRequest) -> None:
    wanted = (Permission.READ_CASE, Permission.ADJUDICATE, Permission.SEE_READS)
    if not any(may(request.user, permission) for permission in wanted):
        raise PermissionDenied(_("The worklist is for readers and data managers."))


def _rows(cases: list[Any], tab: str, user: Actor, studies: Mapping[UUID, list[Case]] = NO_STUDIES) -> list[Row]:
    reads, settles = may(user, Permission.READ_CASE), may(user, Permission.ADJUDICATE)
    claimable = {"unclaimed": reads, "second": reads, "adjudicate": settles}.get(tab, False)
    return [
        Row(
            case=case,
            status=case.analysis,
            failure=in_words(case.analysis_failure or "") or None,
            final_label=str(Label(case.final_label).label) if getattr(case, "final_label", None) else "",
            waited=_span(timezone.now() - case.opened_at),
            overdue=_span(timezone.now() - case.due_at) if tab != "done" and case.due_at <= timezone.now() else "",
            due_in=_span(case.due_at - timezone.now()),
            may_take=claimable or (tab == "returned" and case.assigned_to_id == user.pk),
            series=_rows(beside, tab, user) if len(beside := studies.get(case.study_id, [])) > 1 else [],
        )
        for case in cases
    ]


def _span(time: timedelta) -> str:
    """A span of time, as short as a column wants it: "12 min", "2 h 05", "3 days"."""
    minutes = max(0, int(time.total_seconds() // 60))
    if minutes < 60:
        return _("%(minutes)d min") % {"minutes": minutes}
    if minutes < 48 * 60:
        return _("%(hours)d h %(minutes)02d") % {"hours": minutes // 60, "minutes": minutes % 60}
    return _("%(days)d days") % {"days": minutes // (24 * 60)}


def _list_context(request: HttpRequest) -> dict[str, Any]:
    """Everything that both the page and its live part show."""
    name, form = _asked_for(request)
    policies = policies_of(request.user)
    counts = tab_counts(request.user)
    filters = form.cleaned_data
    narrowed = listed(
        request.user,
        name,
        count=counts[name],
        patient=filters["patient"].strip(),
        priority=filters["priority"],
        analysis=filters["analysis"],
        overdue=filters["due"] == "overdue",
    )
    after = request.GET.get("after", "")
    found = page_of(narrowed.cases, order=narrowed.order, after=after, size=PAGE_SIZE, first=narrowed.first)
    settles = may(request.user, Permission.ADJUDICATE)
    return {
        "form": form,
        "list_url": reverse("worklist:list"),
        "tab": name,
        "policy": policies.sentence,
        "tabs": _tabs(name, counts, in_twos=policies.in_twos),
        "rows": _rows(found.rows, name, request.user, members_of_studies(narrowed, found.rows)),
        "after": found.after,
        "paged": "after" in request.GET,
        "filtered": any(value not in (None, "") for value in filters.values()),
        "progress": counts,
        "total": _capped(counts["all"]),
        "readers": worklists.readers_for(request.user) if name in DEALT_OUT_IN and settles else [],
        "may_take": may(request.user, Permission.READ_CASE) or settling_in(request.user).exists(),
    }


def _asked_for(request: HttpRequest) -> tuple[str, FilterForm]:
    """The tab and the valid filter of an address.

    Raises
    ------
    BadRequest
    """
    name = request.GET.get("tab") or DEFAULT_TAB
    if name not in dict(TABS):
        raise BadRequest(_("There is no such tab."))
    form = FilterForm(request.GET)
    if not form.is_valid():
        raise BadRequest(_("There is no such filter."))
    return name, form


def _tabs(chosen: str, counts: dict[str, int], *, in_twos: bool) -> list[tuple[str, Promise, str]]:
    """Name, title and count of each tab that is shown."""
    return [
        (name, title, _capped(counts[name]))
        for name, title in TABS
        if name not in TABS_OF_TWO or in_twos or counts[name] or name == chosen
    ]


def _capped(count: int) -> str:
    return f"{COUNT_LIMIT - 1}+" if count >= COUNT_LIMIT else str(count)


def page(
    request: HttpRequest, *, refusal: str = "", status: int = 200, views: list[Any] | None = None
) -> HttpResponse:
    shown = _list_context(request)
    context = {
        **shown,
        "refusal": refusal,
        # What one holds is counted already, so where there is nothing it is not asked for.
        "nobodys": count_for(request.user),
        "unfinished": worklists.one_a_study(unfinished(request.user)) if shown["progress"]["mine"] else [],
        "undoable": reading.undoable_read(request.user),
        "keys": PageKeys(request.user, "worklist"),
    }
    here = worklists.query_within(request.GET)
    views = list(worklists.views_of(request.user)) if views is None else views
    context |= {"here": here, "views": [(view, view.query == here) for view in views]}
    return render(request, "worklist/list.html", {**context, **_live(request, context)}, status=status)


def _live(request: HttpRequest, context: dict[str, Any]) -> dict[str, object]:
    """The live part as HTML, its fingerprint, and when the page was opened."""
    opened = opened_at(request)
    html = render_to_string("worklist/_rows.html", context, request)
    return {
        "live": html,
        "live_url": f"{context['list_url']}?{request.GET.urlencode()}",
        "seen": hashlib.sha256(html.encode()).hexdigest()[:16],
        "since": f"{opened:.0f}",
        "pace": "5s" if time.time() - opened > BUSY_SECONDS else "1s",
    }


def uuids(given: list[str]) -> set[UUID]:
    """The ids among what a form sent.

    Raises
    ------
    BadRequest
    """
    try:
        return {UUID(each) for each in given}
    except ValueError:
        raise BadRequest(_("This is not a case.")) from None


@require_safe
@login_required
def worklist(request: HtmxRequest) -> HttpResponse:
    """The list; asked by htmx, only its live part, and nothing at all where nothing changed."""
    guarded(request)
    if not request.htmx:
        views = list(worklists.views_of(request.user))
        # Somebody's own mark in a link (utm_source=mail) says nothing about what to see.
        said = worklists.query_within(request.GET) or "after" in request.GET
        opening = next((view for view in views if view.default), None) if not said else None
        if opening is not None:
            return redirect(f"{reverse('worklist:list')}?{opening.query}")
        return page(request, views=views)
    live = _live(request, _list_context(request))
    if (live["seen"], live["pace"]) == (request.headers.get("X-Seen"), request.headers.get("X-Pace")):
        return HttpResponse(status=204)
    return render(request, "worklist/_live.html", live)


@require_POST
@login_required
def read_next(request: HttpRequest) -> HttpResponse:
    """Claim the next case by the policy's order and open it."""
    claim = worklists.claim_next_study(by=request.user)
    if claim is None:
        messages.info(request, _("No cases to read. New scans appear here automatically."))
        return redirect("worklist:list")
    return redirect("reading:case", claim.case_id)


@require_POST
@login_required
def claim(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Claim one case and open it."""
    case = get_object_or_404(cases_for(request.user), pk=pk)
    try:
        worklists.claim_study(by=request.user, case=case)
    except Conflict as refused:
        return page(request, refusal=refused.sentence, status=409)
    return redirect("reading:case", case.pk)

"""What concerns oneself: the page, the bell in the header, and the way to what it is about."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from diagnostics.notifications.models import Kind, Notification
from diagnostics.notifications.services import mark_read, mark_unread
from diagnostics.reviews.notices import notifications_for
from diagnostics.scans.access import Permission, may
from portal.ui.paging import page_of
from portal.ui.unread_count import unread_count_of

SHOWN = ("new", "all")
# The icon of each kind, for the eye; the words tell the same.
ICONS: dict[str, str] = {
    Kind.ASSIGNED: "user",
    Kind.MENTIONED: "comment",
    Kind.RETURNED: "retry",
    Kind.DISAGREEMENT: "users",
    Kind.SECOND_OPINION: "eye",
    Kind.PREDICTION_FAILED: "alert",
}


def _mine(request: HttpRequest) -> QuerySet[Notification]:
    return notifications_for(request.user).filter(in_portal=True)


@require_safe
@login_required
def listed(request: HttpRequest) -> HttpResponse:
    """One's own notifications, newest first; ``show=new`` leaves out what one has read."""
    show = request.GET.get("show", "all")
    if show not in SHOWN:
        raise BadRequest(_("There is no such list."))
    rows = _mine(request).select_related("scan__study", "scan__patient", "institution")
    if show == "new":
        rows = rows.filter(read_at__isnull=True)
    page = page_of(rows, order=("-created_at", "-id"), after=request.GET.get("after", ""))
    marked = [(row, ICONS[row.kind]) for row in page.rows]
    context = {"rows": marked, "after": page.after, "paged": "after" in request.GET, "show": show}
    context["unread_count"] = unread_count_of(request.user)
    return render(request, "notifications/list.html", context)


@require_safe
@login_required
def unread_count(request: HttpRequest) -> HttpResponse:
    """The bell with its count, asked for by itself: 204 while it is as the page shows it (``shown``)."""
    now = unread_count_of(request.user)
    if request.GET.get("shown", "") == str(now.count):
        return HttpResponse(status=204)
    return render(request, "notifications/_bell.html", {"unread_count": now})


def _address(request: HttpRequest, row: Notification) -> str:
    """Where what it tells of is looked at."""
    works = (Permission.READ_CASE, Permission.ADJUDICATE, Permission.SEE_READS)
    if row.case_id is not None and any(may(request.user, each, row.institution_id) for each in works):
        return reverse("reading:case", args=[row.case_id]) + ("#comments" if row.kind == Kind.MENTIONED else "")
    if row.kind == Kind.MENTIONED:
        return reverse("reading:comments", args=[row.case_id])
    return reverse("uploads:scan", args=[row.scan_id])


@require_safe
@login_required
def follow(request: HttpRequest, pk: UUID) -> HttpResponseRedirect:
    """On to what it is about; whoever goes there has read it. The address stands in mails, so it names nobody."""
    row = get_object_or_404(notifications_for(request.user), pk=pk)
    mark_read(Notification.objects.filter(pk=row.pk))
    return redirect(_address(request, row))


@require_POST
@login_required
def read(request: HttpRequest, pk: UUID) -> HttpResponseRedirect:
    """Mark one as read; ``new=1`` puts it back among the new ones."""
    row = get_object_or_404(_mine(request), pk=pk)
    if "new" not in request.POST:
        mark_read(Notification.objects.filter(pk=row.pk))
    elif not mark_unread(row):
        messages.info(request, _("A newer notification covers this."))
    return _back(request)


@require_POST
@login_required
def read_all(request: HttpRequest) -> HttpResponseRedirect:
    """Mark all as read."""
    ids = list(_mine(request).filter(read_at__isnull=True).values_list("pk", flat=True))
    count = mark_read(Notification.objects.filter(pk__in=ids))
    told = ngettext("%(n)d notification marked as read.", "%(n)d notifications marked as read.", count) % {"n": count}
    messages.success(request, told)
    return _back(request)


def _back(request: HttpRequest) -> HttpResponseRedirect:
    show = request.POST.get("show", "")
    return HttpResponseRedirect(reverse("notifications:list") + (f"?show={show}" if show in SHOWN else ""))

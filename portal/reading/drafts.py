"""Keep what is entered while it is entered, and take back what was submitted a moment ago."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from diagnostics import pipeline
from diagnostics.models import Read
from diagnostics.reviews import errors, reading
from diagnostics.reviews.models import ReadKind
from diagnostics.reviews.reading import Step, at
from portal.ui.refusals import in_json

from .forms import ADOPT, KEEP, OTHER
from .pages import CasePage, entries_of, show
from .views import on_conflict_as_it_is_now, page_of


@require_POST
@login_required
@in_json
def draft(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Keep the entries of the form; 409 with a sentence when the claim has ended, or the step that they belong to.

    Where another page has saved something else since, 409 with both: ``kept`` and ``yours`` in words, ``entries`` and
    ``revision`` of what is kept.
    """
    page = page_of(request, pk)
    # Without a claim the step is another one too; what then happened to the claim is the truer word.
    if page.claim is not None and request.POST.get("step", "") != page.step:
        # What was on its way when the blind read was locked must not come back as a suggestion for the final one.
        return JsonResponse({"sentence": _("This step is over.")}, status=409)
    entries, sent = entries_of(request.POST), request.POST
    try:
        kept = reading.save_draft(
            by=request.user,
            case=page.case,
            claim_token=sent.get("claim_token", ""),
            entries=entries,
            base=sent.get("draft_revision"),
            tab=sent.get("tab", ""),
            nth=_number(sent.get("nth", "")),
        )
    except errors.StaleDraft as refused:
        return JsonResponse(
            {
                "sentence": refused.sentence,
                "revision": str(refused.kept.revision),
                "at": f"{timezone.localtime(refused.kept.saved_at):%H:%M}",
                "entries": refused.kept.entries,
                "kept": page.in_words(refused.kept.entries),
                "yours": page.in_words(entries),
            },
            status=409,
        )
    at = timezone.localtime(kept.saved_at)
    said = _("Saved %(time)s") % {"time": f"{at:%H:%M}"}
    return JsonResponse({"said": said, "revision": str(kept.revision)})


def _number(sent: str) -> int:
    """A count as a page sends it; 0 for anything else."""
    return int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 9 else 0


def _entries(page: CasePage, read: Read) -> dict[str, str]:
    """A read as its form had it."""
    step = Step.BLIND if read.kind == ReadKind.BLIND else Step.FINAL
    stated = {each.name: getattr(read, each.name) for each in at(step)}
    entries = {name: "1" if value is True else value for name, value in stated.items() if value}
    if step == Step.BLIND:
        return entries
    entries["choice"] = _choice(page, read)
    if entries["choice"] != OTHER and page.step != "adjudicate":
        del entries["label"]
    return entries


def _choice(page: CasePage, read: Read) -> str:
    if page.blind_read is not None and page.blind_read.label == read.label:
        return KEEP
    return ADOPT if read.prediction is not None and read.prediction.label == read.label else OTHER


@require_POST
@login_required
@on_conflict_as_it_is_now
def undo(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take back what was stated here last: a blind read before the reveal, a final read given a moment ago.

    What it said stands in the form again.
    """
    page = page_of(request, pk)
    # The page of a locked blind read names it: whoever has gone on in another tab must not undo their final read so.
    read = page.blind_read if request.POST.get("kind") == ReadKind.BLIND else page.own_newest
    if read is None:
        raise PermissionDenied(_("Only the reader of a read can undo it."))
    pipeline.undo_read(by=request.user, read=read)
    page = page_of(request, pk)
    return show(request, page, form=page.form(kept=_entries(page, read)))

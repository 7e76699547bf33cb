"""The marks on a case's image, as the page's scripts read and store them (JSON)."""

import json
import uuid
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from diagnostics.annotations.queries import annotations_for, may_annotate, standing
from diagnostics.annotations.services import Change, InvalidMark, annotate
from diagnostics.models import Annotation
from diagnostics.reviews.queries import cases_for
from portal.ui.refusals import in_json

MOST_CHANGES = 400  # in one request


@require_http_methods(["GET", "POST"])
@login_required
@in_json
def annotations(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Marks that stand, as far as this person may see them; a POST stores changes and answers their revisions."""
    case = get_object_or_404(cases_for(request.user), pk=pk)
    if request.method == "GET":
        rows = standing(annotations_for(request.user)).filter(case=case)
        marks = [_shape(row, mine=row.author_id == request.user.pk) for row in rows]
        return JsonResponse({"marks": marks, "kept": may_annotate(request.user, case)})
    stored = annotate(by=request.user, case=case, changes=_changes(request.body))
    at = f"{timezone.localtime():%H:%M}"
    return JsonResponse({"revisions": {str(row.mark): row.revision for row in stored}, "at": at})


def _shape(row: Annotation, *, mine: bool) -> dict[str, object]:
    return {
        "id": str(row.mark),
        "revision": row.revision,
        "kind": row.kind,
        "points": row.points,
        "text": row.text,
        "image": row.index,
        "mine": mine,
        "author": str(row.author),
    }


def _changes(body: bytes) -> list[Change]:
    """What the page sent.

    Raises
    ------
    InvalidMark
    """
    try:
        given = json.loads(body)["changes"]
        if len(given) > MOST_CHANGES:
            raise InvalidMark("changes", _("Too many changes at once."))
        return [
            Change(
                mark=uuid.UUID(each["id"]),
                base=int(each["base"]),
                kind=str(each.get("kind", "")),
                points=[(float(x), float(y)) for x, y in each.get("points", [])],
                text=str(each.get("text", "")),
                withdrawn=bool(each.get("withdrawn", False)),
                image=int(each["image"]) if each.get("image") is not None else None,
            )
            for each in given
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InvalidMark("changes", _("The changes are not valid.")) from None

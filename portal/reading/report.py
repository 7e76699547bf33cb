"""A case as a document to print or to file."""

import io
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from diagnostics.reports.services import export_report
from diagnostics.reviews.queries import cases_for

from .files import SANDBOX


@require_safe
@login_required
def report(request: HttpRequest, pk: UUID) -> FileResponse:
    """The case's report as a PDF, with what this person may see of it now. Its name says nothing of the patient."""
    case = get_object_or_404(cases_for(request.user), pk=pk)
    try:
        data = export_report(by=request.user, case=case)
    except FileNotFoundError:
        raise Http404(_("The stored file is missing.")) from None
    response = FileResponse(
        io.BytesIO(data), as_attachment=True, filename=f"report-{case.pk}.pdf", content_type="application/pdf"
    )
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = SANDBOX
    return response

"""One model on a page: what it is worth, what the gate says, and every way into and out of use."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from diagnostics.models import ModelVersion, PromotionRequest, TrainingRun
from diagnostics.predictions.standing import cases_not_begun
from diagnostics.registry import gate, requests
from diagnostics.registry import queries as registry_queries
from diagnostics.registry import services as registry
from diagnostics.registry.exceptions import needed_for
from diagnostics.registry.models import ModelState
from diagnostics.scans.access import Permission, institutions_where, require
from diagnostics.shadow import queries as shadow
from diagnostics.training import tested_queries as tested
from portal.accounts import freshness

from . import figures, gating
from .card import as_html
from .forms import PromoteForm


def _model(request: HttpRequest, pk: UUID) -> ModelVersion:
    """The model version: it belongs to the installation, so whoever may see models may see each."""
    require(request.user, Permission.SEE_MODELS)
    return get_object_or_404(ModelVersion, pk=pk)


@require_safe
@login_required
def model(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What a model is worth, beside the dummy and the live model, and the way into use."""
    return _model_page(request, _model(request, pk), PromoteForm())


def _model_page(request: HttpRequest, version: ModelVersion, form: PromoteForm, status: int = 200) -> HttpResponse:
    theirs = institutions_where(request.user, Permission.SEE_MODELS)
    runs = TrainingRun.objects.visible_to(request.user).select_related("dataset")
    live, open_to_them = registry.live(), _details_are_open(request, version)
    stands, asked = gate.standing(version), requests.pending_for(version)
    closed = version.requests.filter(decided_at__isnull=False).select_related("proposed_by", "decided_by")
    exception = needed_for(by=request.user, version=version, stands=stands)
    challenges = version.state == ModelState.CHALLENGER and live is not None
    return render(
        request,
        "lab/model.html",
        {
            "version": version,
            "live": live,
            "part": registry_queries.part_of(version),
            "beside": registry_queries.beside(version),
            "rows": registry_queries.rows(version),
            "classes": figures.classes(version),
            "leaves": [figures.LABELS.get(leaf, leaf) for leaf in version.spec.get("leaves", [])],
            "sources": figures.sources(version, figures.site_names(theirs)),
            "subgroups": tested.subgroups(request.user, version),
            "n_changed": tested.changed(request.user, version).count(),
            "drawings": figures.drawings(version, cells_open=version.tested.exists()),
            "not_kept": figures.not_kept(version),
            "run": runs.filter(produced=version).first(),
            "promotions": version.promotions.select_related("by", "former", "approved_by"),
            "card": as_html(version.card) if version.card and open_to_them else "",
            "form": form,
            "gate": gating.shown(stands, with_numbers=open_to_them),
            "asked": asked,
            "own": asked is not None and asked.proposed_by_id == request.user.pk,
            "closed": closed[:5],
            "second_administrator": settings.SECOND_ADMINISTRATOR,
            "exception": exception,
            "waiting": cases_not_begun() if exception is not None else 0,
            "fresh": freshness.is_fresh(request),
            "shadow": shadow.beside_live(request.user, version, live) if challenges and live is not None else None,
            "may_challenge": version.state in (ModelState.CANDIDATE, ModelState.RETIRED),
            "may_retire": version.state in (ModelState.CANDIDATE, ModelState.CHALLENGER),
        },
        status=status,
    )


def _details_are_open(request: HttpRequest, version: ModelVersion) -> bool:
    """Whether this person may read what counts the scans of every institution that took part: card, gate's numbers."""
    trained = TrainingRun.objects.filter(produced=version)
    return not trained.filter(~Q(pk__in=TrainingRun.objects.visible_to(request.user))).exists()


@require_safe
@login_required
def card(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The model card, to keep."""
    version = _model(request, pk)
    if not version.card or not _details_are_open(request, version):
        return render(request, "404.html", status=404)
    answer = HttpResponse(version.card, content_type="text/markdown; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="model-v{version.number}-card.md"'
    return answer


@sensitive_post_parameters("password")
@require_POST
@login_required
def promote(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put a model into use, or propose it where another administrator must agree."""
    version = _model(request, pk)
    form = PromoteForm(request.POST)
    form.is_valid()
    reason, user = form.cleaned_data.get("reason", ""), request.user
    try:
        by_two = requests.needs_approval(by=user, version=version)  # type: ignore[arg-type]
        if not by_two:
            freshness.require(request, form.cleaned_data.get("password", ""))
        made = requests.put_forward(
            by=user,  # type: ignore[arg-type]
            version=version,
            reason=reason,
            name=form.cleaned_data.get("name", ""),
            by_two=by_two,
        )
        if not isinstance(made, PromotionRequest):
            done = _("%(name)s is in use. New scans are predicted by it.") % {"name": version}
        elif made.proposed_by_id == user.pk:
            done = _("%(name)s is proposed. Another administrator decides.") % {"name": version}
        else:
            done = _("%(who)s has proposed it already, and that stands; your reason is not kept.") % {
                "who": made.proposed_by
            }
    except (registry.ReasonMissing, freshness.NotFresh) as refusal:
        form.add_error(refusal.field, str(refusal))
        return _model_page(request, version, form, status=400)
    except (registry.PromotionRefused, registry.ArtifactDamaged) as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, done)
    return redirect("lab:model", pk=pk)


@sensitive_post_parameters("password")
@require_POST
@login_required
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Approve or decline what somebody proposed, or take back one's own proposal."""
    require(request.user, Permission.SEE_MODELS)
    asked = get_object_or_404(PromotionRequest.objects.select_related("version", "proposed_by"), pk=pk)
    form = PromoteForm(request.POST)
    form.is_valid()
    words, user = form.cleaned_data.get("exception", ""), request.user
    act = request.POST.get("act", "")
    try:
        if act == "approve":
            require(user, Permission.PROMOTE)
            freshness.require(request, form.cleaned_data.get("password", ""))
            named = form.cleaned_data.get("name", "")
            requests.approve(by=user, request=asked, exception=words, name=named)  # type: ignore[arg-type]
            done = _("%(name)s is in use. New scans are predicted by it.") % {"name": asked.version}
        elif act == "decline":
            requests.decline(by=user, request=asked, words=words)  # type: ignore[arg-type]
            done = _("The proposal is declined.")
        else:
            requests.withdraw(by=user, request=asked)  # type: ignore[arg-type]
            done = _("Your proposal is taken back.")
    except (registry.ReasonMissing, freshness.NotFresh) as refusal:
        asked_for = refusal.field if refusal.field in ("password", "name") else "exception"
        form.add_error(asked_for, str(refusal))
        return _model_page(request, asked.version, form, status=400)
    except (registry.PromotionRefused, registry.ArtifactDamaged) as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, done)
    return redirect("lab:model", pk=asked.version_id)


@require_POST
@login_required
def challenge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let a model score live cases in the shadow."""
    version = _model(request, pk)
    return _seated(request, version, registry.challenge, _("%(name)s scores live cases in the shadow from now on."))


@require_POST
@login_required
def retire(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put a candidate or the challenger aside."""
    return _seated(request, _model(request, pk), registry.retire, _("%(name)s is put aside."))


def _seated(request: HttpRequest, version: ModelVersion, act: Any, done: str) -> HttpResponse:
    try:
        act(by=request.user, version=version)
    except (registry.PromotionRefused, registry.ArtifactDamaged) as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, done % {"name": version})
    return redirect("lab:model", pk=version.pk)


@require_POST
@login_required
def roll_back(request: HttpRequest) -> HttpResponse:
    """Put the former model back into use."""
    require(request.user, Permission.SEE_MODELS)
    try:
        reason, to = request.POST.get("reason", ""), request.POST.get("to", "")
        promotion = registry.roll_back(by=request.user, reason=reason, to=to)  # type: ignore[arg-type]
    except (registry.PromotionRefused, registry.ArtifactDamaged) as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("%(name)s is in use again.") % {"name": promotion.version})
    return redirect("lab:overview")

"""One model on a page: what it is worth, what the gate says, and every way into and out of use."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from diagnostics.models import ModelVersion, PromotionRequest, TrainingRun
from diagnostics.registry import gate, requests
from diagnostics.registry import services as registry
from diagnostics.registry.exceptions import needed_for
from diagnostics.registry.models import ModelState
from diagnostics.scans.access import Permission, institutions_where, may, require
from diagnostics.shadow import queries as shadow
from diagnostics.training import tested_queries as tested
from diagnostics.training.queries import details_are_open
from portal.learning import promotion
from portal.learning.forms import DecisionForm, PromotionForm, RollBackForm
from portal.learning.labels import LABELS
from portal.ui.refusals import errors_as_messages, refusals_as_messages

from . import figures
from .card import as_html


def _model(request: HttpRequest, pk: UUID) -> ModelVersion:
    """The model version: it belongs to the installation, so whoever may see models may see each."""
    require(request.user, Permission.SEE_MODELS)
    return get_object_or_404(ModelVersion, pk=pk)


@require_safe
@login_required
def model(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What a model is worth, beside the dummy and the live model, and the way into use."""
    return _model_page(request, _model(request, pk))


def _model_page(
    request: HttpRequest,
    version: ModelVersion,
    form: PromotionForm | DecisionForm | None = None,
    terms: requests.Terms | None = None,
) -> HttpResponse:
    """The whole page; with a ``form``, the one that was refused."""
    live = registry.live()
    theirs = institutions_where(request.user, Permission.SEE_MODELS)
    runs = TrainingRun.objects.visible_to(request.user).select_related("dataset")
    challenges = version.state == ModelState.CHALLENGER and live is not None
    shown_card = version.card if version.card and details_are_open(request.user, version) else ""
    context = {
        "version": version,
        "live": live,
        **promotion.evidence(request.user, version),
        "classes": figures.classes(version),
        "leaves": [LABELS.get(leaf, leaf) for leaf in version.spec.get("leaves", [])],
        "sources": figures.sources(version, figures.site_names(theirs)),
        "subgroups": tested.subgroups(request.user, version),
        "n_changed": tested.changed(request.user, version).count(),
        "drawings": figures.drawings(version, cells_open=version.tested.exists()),
        "not_kept": figures.not_kept(version),
        "run": runs.filter(produced=version).first(),
        "promotions": version.promotions.select_related("by", "former", "approved_by"),
        "card": as_html(shown_card) if shown_card else "",
        "shadow": shadow.beside_live(request.user, version, live) if challenges and live is not None else None,
        "may_challenge": version.state in (ModelState.CANDIDATE, ModelState.RETIRED),
        "may_retire": version.state in (ModelState.CANDIDATE, ModelState.CHALLENGER),
        **_way_into_use(request, version, form, terms),
    }
    return render(request, "lab/model.html", context, status=400 if form is not None else 200)


def _way_into_use(
    request: HttpRequest,
    version: ModelVersion,
    form: PromotionForm | DecisionForm | None,
    terms: requests.Terms | None,
) -> dict[str, object]:
    """What waits for a decision, and the form of whoever may make one: of the proposal, else of a promotion."""
    asked = requests.pending_for(version)
    exception = needed_for(by=request.user, version=version, stands=gate.standing(version))
    if terms is None and may(request.user, Permission.PROPOSE_PROMOTION):
        terms = requests.terms_for(by=request.user, version=version)
    if form is not None and isinstance(form, DecisionForm) is (asked is None):
        # Since the page was shown, somebody has made a proposal or ended it: the form has no place there now.
        errors_as_messages(request, form)
        form = None
    if form is None and asked is not None:
        form = promotion.decision_form(request, exception)
    elif form is None and terms is not None:
        form = promotion.promotion_form(request, terms)
    closed = version.requests.filter(decided_at__isnull=False).select_related("proposed_by", "decided_by")
    return {
        "form": form,
        "asked": asked,
        "own": asked is not None and asked.proposed_by_id == request.user.pk,
        "closed": closed[:5],
        "terms": terms,
        **promotion.in_the_way(exception),
    }


@require_safe
@login_required
def card(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The model card, to keep."""
    version = _model(request, pk)
    if not version.card or not details_are_open(request.user, version):
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
    terms = requests.terms_for(by=request.user, version=version)
    form = promotion.promotion_form(request, terms, request.POST)
    return _answer(request, version, form, promotion.put_forward(request, version, form, terms), terms)


def _answer(
    request: HttpRequest,
    version: ModelVersion,
    form: PromotionForm | DecisionForm,
    done: str,
    terms: requests.Terms | None = None,
) -> HttpResponse:
    """The model's page again: with what was done, or with the refusal; in the form where it is about a field."""
    if done:
        messages.success(request, done)
    elif any(field in form.errors for field in form.fields):
        return _model_page(request, version, form, terms)
    errors_as_messages(request, form)
    return redirect("lab:model", pk=version.pk)


@sensitive_post_parameters("password")
@require_POST
@login_required
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Approve or decline what somebody proposed, or take back one's own proposal."""
    require(request.user, Permission.SEE_MODELS)
    asked = get_object_or_404(PromotionRequest.objects.select_related("version", "proposed_by"), pk=pk)
    act = request.POST.get("act", "")
    if act == "approve":
        require(request.user, Permission.PROMOTE)
    exception = needed_for(by=request.user, version=asked.version, stands=gate.standing(asked.version))
    form = promotion.decision_form(request, exception, request.POST)
    return _answer(request, asked.version, form, promotion.decide(request, asked, act, form))


@require_POST
@login_required
def challenge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let a model score live cases in the shadow."""
    version = _model(request, pk)
    with refusals_as_messages(request, *promotion.REFUSED):
        messages.success(request, promotion.challenge(request.user, version))
    return redirect("lab:model", pk=pk)


@require_POST
@login_required
def retire(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put a candidate or the challenger aside."""
    version = _model(request, pk)
    with refusals_as_messages(request, *promotion.REFUSED):
        messages.success(request, promotion.retire(request.user, version))
    return redirect("lab:model", pk=pk)


@require_POST
@login_required
def roll_back(request: HttpRequest) -> HttpResponse:
    """Put the former model back into use."""
    require(request.user, Permission.SEE_MODELS)
    form = RollBackForm(request.POST)
    done = promotion.roll_back(request, form)
    if done:
        messages.success(request, done)
    errors_as_messages(request, form)
    return redirect("lab:overview")

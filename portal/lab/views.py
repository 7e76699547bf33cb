"""The learning loop on pages: datasets, training runs, models. The Django admin does the same by the same acts."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseStopPolling

from diagnostics.datasets import queries as datasets_queries
from diagnostics.datasets import services as datasets
from diagnostics.models import DatasetVersion, ModelVersion, Promotion, TrainingRun
from diagnostics.registry import queries as registry_queries
from diagnostics.registry import requests
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelState
from diagnostics.scans.access import Permission, may, require
from diagnostics.training import schedule
from diagnostics.training.models import ACTIVE
from diagnostics.training.recipe import DEFAULTS, in_words
from portal.learning import datasets as learning
from portal.learning import training
from portal.learning.forms import FreezeForm, ReasonForm, TrainForm
from portal.ui.refusals import refusals_as_messages
from portal.ui.requests import HtmxRequest

from .next_steps import next_steps

SHOWN = 10


@require_safe
@login_required
def overview(request: HttpRequest) -> HttpResponse:
    """The model in use, what waits beside it, and what to do next."""
    require(request.user, Permission.SEE_MODELS)
    live, newest = registry.live(), datasets_queries.newest_for(request.user)
    runs = TrainingRun.objects.visible_to(request.user).select_related("dataset", "produced", "created_by")
    models = ModelVersion.objects.order_by("-number")
    candidates = models.filter(state=ModelState.CANDIDATE)
    if live is not None:
        candidates = candidates.filter(number__gt=live.number)
    new_labels = datasets_queries.new_labels_since(request.user, newest)
    return render(
        request,
        "lab/overview.html",
        {
            "live": live,
            "live_rows": registry_queries.rows(live)[:5] if live else [],
            "previous": registry.previous(),
            "promotion": Promotion.objects.select_related("by", "version").first(),
            "models": models[:SHOWN],
            "datasets": DatasetVersion.objects.visible_to(request.user)
            .annotate(places=Count("institutions"))
            .order_by("-number")[:SHOWN],
            "runs": runs.order_by("-number")[:SHOWN],
            "steps": next_steps(
                request.user,
                live=live,
                candidate=candidates.first(),
                dataset=newest,
                new_labels=new_labels,
                run=runs.filter(active=True).first(),
                trained=newest is not None and runs.filter(dataset=newest, produced__isnull=False).exists(),
                proposals=requests.pending(),
            ),
            "reason_form": ReasonForm(auto_id="roll-back-%s"),
            "retraining": schedule.policy_for(request.user),
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def freeze(request: HttpRequest) -> HttpResponse:
    """GET: what freezing would make now. POST: freeze it."""
    require(request.user, Permission.FREEZE_DATASET)
    given = request.POST if request.method == "POST" else FreezeForm.said_in(request.GET)
    form = FreezeForm(given, by=request.user)
    made = learning.freeze(request, form) if request.method == "POST" else None
    if made is not None:
        return redirect(learning.page_of(made, "lab:dataset"))
    context = {**learning.plan_for_page(request.user, form), "back": request.GET.urlencode()}
    return render(request, "lab/freeze.html", context, status=400 if request.method == "POST" else 200)


def _dataset(request: HttpRequest, pk: UUID) -> DatasetVersion:
    """The dataset version, if it exists for this person."""
    require(request.user, Permission.SEE_MODELS)
    found: DatasetVersion = get_object_or_404(DatasetVersion.objects.visible_to(request.user), pk=pk)
    return found


@require_safe
@login_required
def dataset(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What a dataset version holds, and how to train on it."""
    wanted = {name: value for name, value in request.GET.items() if name in DEFAULTS}
    return _dataset_page(request, _dataset(request, pk), TrainForm(initial=wanted))


def _dataset_page(request: HttpRequest, version: DatasetVersion, form: TrainForm) -> HttpResponse:
    context = {
        "version": version,
        "institutions": version.institutions.all(),
        "runs": version.training_runs.select_related("produced").order_by("-number")[:SHOWN],
        **learning.counts_for_page(version.counts),
        **training.plan_for_page(request, version, form),
    }
    for refusal in form.non_field_errors():
        if refusal != context["obstacle"]:  # which the page says anyway
            messages.error(request, str(refusal))
    return render(request, "lab/dataset.html", context, status=training.status_of(form))


@require_safe
@login_required
def manifest(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The manifest, as frozen."""
    version = _dataset(request, pk)
    with refusals_as_messages(request, datasets.ManifestDamaged):
        answer = HttpResponse(datasets.manifest(version), content_type="application/x-ndjson")
        answer["Content-Disposition"] = f'attachment; filename="dataset-v{version.number}.jsonl"'
        return answer
    return redirect("lab:dataset", pk=pk)


@require_POST
@login_required
def train(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Start a training on a dataset."""
    version = _dataset(request, pk)
    form = TrainForm(request.POST)
    started = training.start(request, version, form)
    return redirect("lab:run", pk=started.pk) if started is not None else _dataset_page(request, version, form)


def _run(request: HttpRequest, pk: UUID) -> TrainingRun:
    require(request.user, Permission.SEE_MODELS)
    runs = TrainingRun.objects.visible_to(request.user).select_related("dataset", "produced", "created_by", "repeats")
    found: TrainingRun = get_object_or_404(runs, pk=pk)
    return found


@require_safe
@login_required
def run(request: HtmxRequest, pk: UUID) -> HttpResponse:
    """How far a training is; looks for news by itself until it has ended."""
    found = _run(request, pk)
    context = {"run": found, "recipe": in_words(found.config), "may_train": may(request.user, Permission.TRAIN)}
    if not request.htmx:
        return render(request, "lab/run.html", context)
    answer = render(request, "lab/_progress.html", context)
    if found.state not in ACTIVE:
        return HttpResponseStopPolling(answer.content)
    return answer


@require_POST
@login_required
def again(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Run a training once more, to see whether the same comes of it."""
    started = training.run_again(request, _run(request, pk))
    return redirect("lab:run", pk=started.pk if started is not None else pk)


@require_POST
@login_required
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Stop a training."""
    training.cancel(request, _run(request, pk))
    return redirect("lab:run", pk=pk)

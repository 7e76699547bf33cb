"""What a training would do, and the acts that start one, run it again and cancel it."""

from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from diagnostics import pipeline
from diagnostics.models import DatasetVersion, TrainingRun
from diagnostics.training import planning, services
from portal.ui.refusals import refusals_as_messages, refusals_in_form

from .forms import TrainForm

INTRO = _("Runs in the background and produces a candidate. It analyses no scans until it is promoted.")
REFUSED = (services.NotTrainable, services.AnotherRunning)


def wants_it_anyway(request: HttpRequest) -> bool:
    """Whether somebody wants to train although nothing has changed."""
    return "anyway" in request.GET or "anyway" in request.POST


def plan_for_page(request: HttpRequest, dataset: DatasetVersion, form: TrainForm) -> dict[str, object]:
    """What a training would do now, what stands against it, and the form of its recipe."""
    anyway = wants_it_anyway(request)
    return {
        "form": form,
        "intro": INTRO,
        "plan": planning.plan(by=request.user, dataset=dataset, recipe=form.chosen()),
        "anyway": anyway,
        "stale": planning.unchanged(request.user, dataset),
        "obstacle": services.blocking_reason(by=request.user, dataset=dataset, anyway=anyway),
    }


def start(request: HttpRequest, dataset: DatasetVersion, form: TrainForm) -> TrainingRun | None:
    """Queue a training; None where that was refused, with the sentence in the form."""
    if form.is_valid():
        with refusals_in_form(form, *REFUSED):
            return pipeline.start_training(
                by=request.user, dataset=dataset, config=form.cleaned_data, anyway=wants_it_anyway(request)
            )
    return None


def status_of(form: TrainForm) -> int:
    """The status of the page that shows the form: 409 where another run is in the way, 400 where it was refused."""
    if form.has_error(NON_FIELD_ERRORS, services.AnotherRunning.__name__):
        return 409
    return 400 if form.errors else 200


def run_again(request: HttpRequest, run: TrainingRun) -> TrainingRun | None:
    """Queue a run once more; None where that was refused, with the sentence as a message."""
    with refusals_as_messages(request, *REFUSED):
        return pipeline.rerun_training(by=request.user, run=run)
    return None


def cancel(request: HttpRequest, run: TrainingRun) -> None:
    """Cancel a run; a message says where there was nothing left to cancel."""
    with refusals_as_messages(request, services.NothingToCancel, level=messages.INFO):
        services.cancel(by=request.user, run=run)

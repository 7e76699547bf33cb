"""What a dataset holds or would hold, as rows for a page, and the act of freezing it."""

from django.contrib import messages
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.utils.translation import gettext as _

from diagnostics import pipeline
from diagnostics.actors import Actor
from diagnostics.datasets import queries, services
from diagnostics.models import DatasetPlan, DatasetVersion
from portal.ui.refusals import refusals_as_messages, refusals_in_form

from .forms import FreezeForm


def counts_for_page(counts: dict[str, object]) -> dict[str, object]:
    """The counts of a dataset as its pages show them."""
    return {
        "counts": counts,
        "table": queries.split_table(counts),
        "left_out": queries.left_out(counts),
        "label_sources": queries.by_label_source(counts),
    }


def plan_for_page(user: Actor, form: FreezeForm) -> dict[str, object]:
    """What freezing would make now of what the form asks for, what stands against it, and the worker's row."""
    wanted = form.wanted()
    look = pipeline.plan_dataset(by=user, wanted=wanted) if wanted is not None else None
    plan = look.summary if look else None
    refused = form.non_field_errors()
    return {
        "form": form,
        "wanted": wanted,
        "plan": plan,
        "work": look.row if look else None,
        "problem": refused[0] if refused else plan.problem if plan else "",
        **counts_for_page(plan.counts if plan else {}),
    }


def freeze(request: HttpRequest, form: FreezeForm) -> DatasetVersion | DatasetPlan | None:
    """Freeze the plan that the page had shown; None where that was refused, with the sentence in the form."""
    wanted = form.wanted()
    if wanted is None:
        return None
    with (
        refusals_in_form(form, services.NotFreezable),
        refusals_as_messages(request, services.PlanChanged, level=messages.INFO),
    ):
        made = pipeline.freeze_dataset(by=request.user, wanted=wanted, seen=request.POST.get("seen", ""))
        if isinstance(made, DatasetVersion):
            messages.success(request, _("%(name)s is frozen.") % {"name": str(made).capitalize()})
        return made
    return None


def page_of(made: DatasetVersion | DatasetPlan, dataset_page: str) -> str:
    """Where to go from here: to the dataset, or to wait for the worker that makes it."""
    return resolve_url("lab:plan" if isinstance(made, DatasetPlan) else dataset_page, made.pk)

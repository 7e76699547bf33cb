"""A model on its way into use: which form to show, the act itself, and what it is told as.

Whether somebody promotes or proposes is the registry's decision (``requests.terms_for``).
"""

from django.http import HttpRequest
from django.utils.translation import gettext as _

from diagnostics.actors import Actor
from diagnostics.models import ModelVersion, PromotionRequest
from diagnostics.predictions.analysis_status import cases_not_begun
from diagnostics.registry import gate, queries, requests
from diagnostics.registry import services as registry
from diagnostics.registry.exceptions import Needed
from diagnostics.training.queries import details_are_open
from portal.accounts import freshness
from portal.ui.refusals import refusals_in_form

from .forms import DecisionForm, PromotionForm, RollBackForm
from .gate import shown

REFUSED = (registry.PromotionRefused, registry.ArtifactDamaged, freshness.NotFresh)


def promotion_form(request: HttpRequest, terms: requests.Terms, data: object = None) -> PromotionForm:
    """The form that puts a model into use or proposes it, with the fields that are asked for."""
    return PromotionForm(
        data,
        name_asked=terms.exception is not None,
        password_asked=not terms.approval_needed and not freshness.is_fresh(request),
    )


def decision_form(request: HttpRequest, exception: Needed | None, data: object = None) -> DecisionForm:
    """The form that approves or declines what somebody proposed."""
    return DecisionForm(data, name_asked=exception is not None, password_asked=not freshness.is_fresh(request))


def put_forward(request: HttpRequest, version: ModelVersion, form: PromotionForm, terms: requests.Terms) -> str:
    """Put a model into use or propose it; the sentence that says so, or "" with the reason against it in the form."""
    if not form.is_valid():
        return ""
    given = form.cleaned_data
    with refusals_in_form(form, *REFUSED):
        if not terms.approval_needed:
            freshness.require(request, given.get("password", ""))
        made = requests.put_forward(
            by=request.user,
            version=version,
            reason=given["reason"],
            name=given.get("name", ""),
            terms=terms,
        )
        if not isinstance(made, PromotionRequest):
            return _("%(name)s is live. It analyses new scans.") % {"name": version}
        if made.proposed_by_id == request.user.pk:
            return _("%(name)s was proposed. Another administrator decides.") % {"name": version}
        return _("%(who)s has already proposed it. That proposal stands; your reason was not saved.") % {
            "who": made.proposed_by
        }
    return ""


def decide(request: HttpRequest, asked: PromotionRequest, act: str, form: DecisionForm) -> str:
    """Approve, decline or withdraw a proposal; the sentence that says so, or "" with the refusal in the form."""
    if not form.is_valid():
        return ""
    user: Actor = request.user
    given = form.cleaned_data
    with refusals_in_form(form, *REFUSED, renamed={"reason": "exception"}):
        if act == "approve":
            freshness.require(request, given.get("password", ""))
            requests.approve(by=user, request=asked, exception=given["exception"], name=given.get("name", ""))
            return _("%(name)s is live. It analyses new scans.") % {"name": asked.version}
        if act == "decline":
            requests.decline(by=user, request=asked, words=given["exception"])
            return _("The proposal was declined.")
        requests.withdraw(by=user, request=asked)
        return _("Your proposal was withdrawn.")
    return ""


def roll_back(request: HttpRequest, form: RollBackForm) -> str:
    """Put the former model back into use; the sentence that says so, or "" with the refusal in the form."""
    if not form.is_valid():
        return ""
    with refusals_in_form(form, *REFUSED):
        done = registry.roll_back(by=request.user, **form.cleaned_data)
        return _("%(name)s is live again.") % {"name": done.version}
    return ""


def challenge(user: Actor, version: ModelVersion) -> str:
    """Let a model score live cases in the shadow; the sentence that says so."""
    registry.challenge(by=user, version=version)
    return _("%(name)s is now the challenger. It scores new cases; readers do not see it.") % {"name": version}


def retire(user: Actor, version: ModelVersion) -> str:
    """Put a candidate or the challenger aside; the sentence that says so."""
    registry.retire(by=user, version=version)
    return _("%(name)s is retired.") % {"name": version}


def evidence(user: Actor, version: ModelVersion) -> dict[str, object]:
    """What there is to go by, for a page: the figures beside the dummy and the live model, and the gate's word."""
    return {
        "rows": queries.rows(version),
        "part": queries.part_of(version),
        "beside": queries.beside(version),
        "gate": shown(gate.standing(version), with_numbers=details_are_open(user, version)),
    }


def in_the_way(exception: Needed | None) -> dict[str, object]:
    """What has to be said where the gate has not let a model through: what it takes, and how many cases it meets."""
    return {
        "exception": exception,
        "waiting": cases_not_begun() if exception is not None else 0,
    }

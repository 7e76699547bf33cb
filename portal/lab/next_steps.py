"""What to do next in the lab, worked out from what is there."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from diagnostics.actors import Actor
from diagnostics.models import DatasetVersion, ModelVersion, PromotionRequest, TrainingRun
from diagnostics.scans.access import Permission, may


@dataclass(frozen=True)
class NextStep:
    """One thing that can be done now; ``url`` is empty where it is done elsewhere."""

    icon: str
    title: str
    text: str
    url: str = ""
    action: str = ""


def next_steps(
    user: Actor,
    *,
    live: ModelVersion | None,
    candidate: ModelVersion | None,
    dataset: DatasetVersion | None,
    new_labels: int,
    run: TrainingRun | None,
    trained: bool,
    proposals: Sequence[PromotionRequest] = (),
) -> list[NextStep]:
    """The steps that make sense now, the most pressing first.

    Parameters
    ----------
    live, candidate
        The model in use; the newest candidate that is newer than it.
    dataset, new_labels
        The newest version that the person may see, and how many labels came since.
    run
        The training under way.
    trained
        Whether a training has succeeded on ``dataset``.
    proposals
        Promotions that wait for a second administrator.
    """
    steps = []
    if live is None:
        text = _("Scans are analysed once a model is promoted. manage.py install_model installs the bundled one.")
        steps.append(NextStep("alert", _("No live model"), text))
    steps += [_proposal(user, asked) for asked in proposals]
    if run is not None:
        url = reverse("lab:run", args=[run.pk])
        steps.append(NextStep("clock", _("Training is running"), str(run).capitalize(), url, _("Monitor it")))
    if candidate is not None:
        text = _("%(name)s is the challenger now.") % {"name": candidate}
        what = _("Compare and promote") if may(user, Permission.PROMOTE) else _("Compare")
        url = reverse("lab:model", args=[candidate.pk])
        steps.append(NextStep("flask", _("View the candidate"), text, url, what))
    if dataset is not None and run is None and not trained:
        text = _("%(name)s has not been used for training.") % {"name": str(dataset).capitalize()}
        steps.append(
            NextStep("play", _("Start a training"), text, reverse("lab:dataset", args=[dataset.pk]), _("Choose"))
        )
    if new_labels and may(user, Permission.FREEZE_DATASET):
        if dataset is None:
            text = ngettext("%(n)d scan has a label.", "%(n)d scans have a label.", new_labels) % {"n": new_labels}
        else:
            text = ngettext("%(n)d new label since %(name)s.", "%(n)d new labels since %(name)s.", new_labels) % {
                "n": new_labels,
                "name": dataset,
            }
        steps.append(NextStep("list", _("Freeze a dataset"), text, reverse("lab:freeze"), _("See the plan")))
    elif dataset is None:
        text = _(
            "A dataset contains final reads that may be used for training and imported labelled folders. Read "
            "some cases, or run manage.py import_folder PATH --institution CODE --labels."
        )
        steps.append(NextStep("scan", _("Labels are needed first"), text))
    return steps


def _proposal(user: Actor, asked: PromotionRequest) -> NextStep:
    """A proposal ends unseen after some days, so whoever may decide meets it first."""
    url = reverse("lab:model", args=[asked.version_id])
    words = {
        "who": asked.proposed_by,
        "name": asked.version,
        "until": date_format(localtime(asked.expires_at), "DATETIME_FORMAT"),
    }
    text = _("%(who)s proposes to promote %(name)s. The proposal expires on %(until)s.") % words
    if may(user, Permission.PROMOTE) and asked.proposed_by_id != user.pk:
        return NextStep("users", _("A promotion needs your decision"), text, url, _("Review and decide"))
    return NextStep("users", _("A promotion needs approval"), text, url, _("View"))

"""Retraining by itself, when enough new labels wait: off until somebody switches it on, who is answerable for it."""

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.datasets import services as datasets
from diagnostics.datasets.models import DatasetVersion
from diagnostics.datasets.queries import new_labels_since
from diagnostics.scans.access import Permission, may, require
from diagnostics.scans.models import Institution

from .models import Retraining, TrainingRun
from .recipe import NotTrainable, checked
from .services import AnotherRunning, active, queue


def policy() -> Retraining:
    """The one policy of this installation."""
    found: Retraining = Retraining.objects.get_or_create(only=True)[0]
    return found


def policy_for(user: Actor) -> Retraining | None:
    """The policy, for whoever may train in each institution that it concerns: it says how many labels wait there."""
    found = Retraining.objects.prefetch_related("institutions").select_related("set_by").first() or Retraining()
    places = list(found.institutions.all()) if found.pk else []
    return found if may(user, Permission.TRAIN) and all(may(user, Permission.TRAIN, each) for each in places) else None


def set_policy(
    *,
    by: Actor,
    enabled: bool,
    new_labels: int,
    institutions: Sequence[Institution],
    lineage: str = "main",
    recipe: dict[str, object] | None = None,
) -> Retraining:
    """Switch retraining by itself on or off.

    Parameters
    ----------
    by
        Must be allowed to freeze datasets and to train in each institution; runs are theirs.
    enabled, new_labels
        Whether, and how many labels must have come since the newest version of the lineage.
    institutions, lineage
        Of what the datasets are made.
    recipe
        As for a run.

    Raises
    ------
    NotAllowed
        ``by`` may not freeze or train in one of the institutions.
    NotTrainable
        With a sentence that says what is wrong.
    """
    require(by, Permission.TRAIN)
    for each in institutions:
        require(by, Permission.FREEZE_DATASET, each)
        require(by, Permission.TRAIN, each)
    if enabled and not institutions:
        raise NotTrainable(gettext_lazy("Choose at least one institution whose scans are included."))
    if new_labels < 1:
        raise NotTrainable(gettext_lazy("Enter at least 1."))
    wanted = checked(recipe or {})
    with transaction.atomic():
        found = policy()
        found.enabled, found.new_labels, found.lineage = enabled, new_labels, lineage.strip() or "main"
        found.recipe, found.set_by, found.last_word = wanted, account_of(by), ""
        found.save()
        found.institutions.set(institutions)
        concerned: list[Institution | None] = [*institutions] or [None]
        for place in concerned:
            record(
                by=by,
                act="retraining_set",
                target=found,
                institution=place,
                enabled="on" if enabled else "off",
                new_labels=new_labels,
            )
    return found


def consider() -> TrainingRun | None:
    """Freeze and queue a training where enough new labels wait: an act of the system, and audited as one.

    Whoever switched it on is answerable; what they may not do does not happen, and the policy says why.
    """
    found = policy()
    if not found.enabled or found.set_by is None or not due(found):
        return None
    by, places = found.set_by, list(found.institutions.all())
    try:
        version = datasets.freeze(by=by, institutions=places, lineage=found.lineage)
        with transaction.atomic():
            run = queue(by=by, dataset=version, config=dict(found.recipe))
            for place in places:
                record(
                    by=None,
                    act="retraining_began",
                    target=run,
                    institution=place,
                    dataset=version.number,
                    number=run.number,
                    answerable=by.pk if by else None,
                )
    except (datasets.NotFreezable, NotTrainable, AnotherRunning) as refusal:
        said(found, str(refusal))
        return None
    said(found, str(run))
    return run


def due(found: Retraining) -> bool:
    """Whether enough new labels wait, and whoever switched it on may still train; says why not on the policy."""
    word, ready = _word(found)
    Retraining.objects.filter(pk=found.pk).update(last_word=word, considered_at=timezone.now())
    return ready


def _word(found: Retraining) -> tuple[str, bool]:
    places = list(found.institutions.all())
    by = found.set_by
    if by is None or not all(
        may(by, each, place) for each in (Permission.FREEZE_DATASET, Permission.TRAIN) for place in places
    ):
        return _("The person who turned it on may no longer train there. Somebody else must set it."), False
    if active() is not None:
        return _("Training is running."), False
    newest = (
        DatasetVersion.objects.filter(lineage=found.lineage, institutions__in=places, frozen_at__isnull=False)
        .order_by("-number")
        .first()
    )
    waiting = new_labels_since(by, newest, places)
    words = _("%(n)d of %(wanted)d new labels are available.") % {"n": waiting, "wanted": found.new_labels}
    return words, waiting >= found.new_labels


def said(found: Retraining, word: str) -> None:
    """Write down what came of it."""
    Retraining.objects.filter(pk=found.pk).update(last_word=word)

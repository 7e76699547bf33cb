"""The aliases of model versions: live, previous, challenger. Each names one version at most, by constraint."""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.scans.access import Permission, require

from . import artifacts
from .models import ModelState, ModelVersion
from .refusals import WrongModelState


def live() -> ModelVersion | None:
    """The model version in use, if there is one."""
    # Asked at every upload and every nudge; report and card are kilobytes that hardly any of them reads.
    return ModelVersion.objects.filter(state=ModelState.LIVE).defer("report", "card").first()


def previous() -> ModelVersion | None:
    """The model version that was in use before, to which a roll-back returns."""
    return ModelVersion.objects.filter(state=ModelState.PREVIOUS).first()


def challenger() -> ModelVersion | None:
    """The model version that scores live cases in the shadow."""
    return ModelVersion.objects.filter(state=ModelState.CHALLENGER).first()


def lock() -> None:
    """Make other changes of aliases wait until this transaction ends; what is read afterwards is the present."""
    list(ModelVersion.objects.select_for_update().order_by("pk").values_list("pk"))


def challenge(*, by: Actor, version: ModelVersion) -> ModelVersion:
    """Let a model score live cases in the shadow; the challenger there was becomes a candidate again.

    Raises
    ------
    NotAllowed
        ``by`` may not change which models challenge.
    WrongModelState
        The model is in use, or is the one to return to, or challenges already.
    ArtifactDamaged
        Its files are not what was registered.
    """
    require(by, Permission.ASSIGN_MODEL_ALIASES)
    artifacts.local_copy(version.sha256)
    now = timezone.now()
    with transaction.atomic():
        lock()
        version.refresh_from_db(fields=["state"])
        if version.state not in (ModelState.CANDIDATE, ModelState.RETIRED):
            raise WrongModelState(_state_sentence(version))
        ModelVersion.objects.filter(state=ModelState.CHALLENGER).update(
            state=ModelState.CANDIDATE, challenged_at=None, updated_at=now
        )
        ModelVersion.objects.filter(pk=version.pk).update(
            state=ModelState.CHALLENGER, challenged_at=now, updated_at=now
        )
        version.refresh_from_db(fields=["state", "challenged_at", "updated_at"])
        record(by=by, act="model_challenged", target=version, number=version.number)
    return version


def retire(*, by: Actor, version: ModelVersion) -> ModelVersion:
    """Put a candidate or the challenger aside: it scores nothing any more. It can challenge or be promoted later.

    Raises
    ------
    NotAllowed
        ``by`` may not change which models challenge.
    WrongModelState
        The model is in use, or is the one to return to, or is retired already.
    """
    require(by, Permission.ASSIGN_MODEL_ALIASES)
    with transaction.atomic():
        lock()
        version.refresh_from_db(fields=["state"])
        if version.state not in (ModelState.CANDIDATE, ModelState.CHALLENGER):
            raise WrongModelState(_state_sentence(version))
        ModelVersion.objects.filter(pk=version.pk).update(
            state=ModelState.RETIRED, challenged_at=None, updated_at=timezone.now()
        )
        version.refresh_from_db(fields=["state", "challenged_at", "updated_at"])
        record(by=by, act="model_retired", target=version, number=version.number)
    return version


def _state_sentence(version: ModelVersion) -> str:
    said = {
        ModelState.LIVE: _("%(name)s is live."),
        ModelState.PREVIOUS: _("%(name)s is the model for rollback, so it cannot be changed."),
        ModelState.CHALLENGER: _("%(name)s is already the challenger."),
        ModelState.CANDIDATE: _("%(name)s is already a candidate."),
        ModelState.RETIRED: _("%(name)s is already retired."),
    }
    return str(said[ModelState(version.state)] % {"name": version})

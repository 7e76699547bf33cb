"""Which models exist, which one is in use, and how that changes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from diagnostics.audit.services import record
from diagnostics.scans.access import Permission, require
from mlcore.identity import CARD, REPORT, SPEC, ArtifactDamaged

from . import artifacts
from .artifacts import keep
from .models import ModelState, ModelVersion, Promotion
from .numbering import create_numbered

__all__ = [
    "AlreadyLive",
    "ArtifactDamaged",
    "NothingToReturnTo",
    "PromotionRefused",
    "ReasonMissing",
    "fetch",
    "install_box",
    "is_whole",
    "keep",
    "live",
    "previous",
    "promote",
    "register",
    "roll_back",
]


class PromotionRefused(ValueError):
    """A model cannot be put into use; ``str()`` is a sentence for the person who asked."""


class AlreadyLive(PromotionRefused):
    """The model is in use already."""


class ReasonMissing(PromotionRefused):
    """Nobody said why."""


class NothingToReturnTo(PromotionRefused):
    """No former model is kept."""


def live() -> ModelVersion | None:
    """The model version in use, if there is one."""
    return ModelVersion.objects.filter(state=ModelState.LIVE).first()


def previous() -> ModelVersion | None:
    """The model version that was in use before, to which a roll-back returns."""
    return ModelVersion.objects.filter(state=ModelState.PREVIOUS).first()


def fetch(version: ModelVersion) -> Path:
    """Give a local folder with the weights of ``version``, verified by hash at this call.

    Raises
    ------
    ArtifactDamaged
        The stored files are incomplete or altered. No other model is given in its place.
    """
    return artifacts.local_copy(version.sha256)


def is_whole(version: ModelVersion) -> bool:
    """Whether the storage still holds the very files that were registered."""
    return artifacts.stored_whole(version.sha256)


def register(
    *,
    by: AbstractBaseUser | None,
    folder: Path,
    name: str = "",
    report: Mapping[str, Any] | None = None,
    kept_as: str = "",
) -> ModelVersion:
    """Keep a trained model and enter it as a candidate; the same model again gives the version that exists.

    Parameters
    ----------
    by
        Who is answerable for it; None for the software's own.
    folder
        ``weights.npz``, ``spec.json`` and, where there are, ``report.json`` and ``card.md``.
    name
        For people; that of the spec where left out.
    report
        Instead of ``report.json``, where the caller has added to it.
    kept_as
        What ``keep`` gave for this folder, where the caller stored it before its transaction began.

    Raises
    ------
    ArtifactDamaged
        The folder is incomplete, or the storage did not keep it as it was.
    """
    spec = _json(folder / SPEC, needed=True)
    sha256 = kept_as or keep(folder)
    with transaction.atomic():
        known = ModelVersion.objects.filter(sha256=sha256).first()
        if known is not None:
            return known
        try:
            with transaction.atomic():
                version: ModelVersion = create_numbered(
                    ModelVersion,
                    name=(name or str(spec.get("name") or "model"))[:80],
                    sha256=sha256,
                    architecture=str(spec.get("architecture", ""))[:40],
                    spec=spec,
                    report=dict(report) if report is not None else _json(folder / REPORT, needed=False),
                    card=_text(folder / CARD),
                )
        except IntegrityError:
            # Somebody entered the same model at this instant: theirs is ours.
            return ModelVersion.objects.get(sha256=sha256)
        record(by=by, act="model_registered", target=version, sha256=sha256, number=version.number)
        return version


def promote(*, by: AbstractBaseUser, version: ModelVersion, reason: str) -> Promotion:
    """Put ``version`` into use; the model that was in use becomes the previous one.

    Raises
    ------
    NotAllowed
        ``by`` may not promote.
    AlreadyLive, ReasonMissing
        As the names say.
    ArtifactDamaged
        The weights are not what was registered; a model that cannot be loaded must not go into use.
    """
    require(by, Permission.PROMOTE)
    reason = _reason(reason, "Say why this model goes into use: the next person will want to know.")
    fetch(version)
    with transaction.atomic():
        _lock()
        now_live = live()
        if now_live is not None and now_live.pk == version.pk:
            raise AlreadyLive(_("%(version)s is in use already.") % {"version": version})
        return _put_into_use(version, former=now_live, kind=Promotion.Kind.PROMOTE, by=by, reason=reason)


def roll_back(*, by: AbstractBaseUser, reason: str) -> Promotion:
    """Put the previous model back into use; the present one becomes the previous.

    Raises
    ------
    NotAllowed
        ``by`` may not promote.
    NothingToReturnTo, ReasonMissing
        As the names say.
    ArtifactDamaged
        The former weights are damaged.
    """
    require(by, Permission.PROMOTE)
    reason = _reason(reason, "Say why the former model is put back: the next person will want to know.")
    candidate = previous()
    if candidate is None:
        raise NothingToReturnTo(_("There is no former model to return to: only one has ever been in use."))
    fetch(candidate)
    with transaction.atomic():
        _lock()
        former = previous()
        if former is None or former.pk != candidate.pk:
            raise NothingToReturnTo(_("The models in use have just changed. Look again before you roll back."))
        return _put_into_use(former, former=live(), kind=Promotion.Kind.ROLLBACK, by=by, reason=reason)


def install_box(folder: Path) -> ModelVersion:
    """Enter the model that came with the software, and put it into use if none is.

    Raises
    ------
    ArtifactDamaged
        The folder is incomplete, or the storage did not keep it as it was.
    """
    version = register(by=None, folder=folder)
    with transaction.atomic():
        _lock()
        if live() is None:
            _put_into_use(
                version, former=None, kind=Promotion.Kind.INSTALL, by=None, reason="Installed with the software."
            )
    version.refresh_from_db()
    return version


def _lock() -> None:
    """Make other changes of use wait until this transaction ends; what is read afterwards is the present."""
    list(ModelVersion.objects.select_for_update().order_by("pk").values_list("pk"))


def _put_into_use(
    version: ModelVersion,
    *,
    former: ModelVersion | None,
    kind: Promotion.Kind,
    by: Any,
    reason: str,
) -> Promotion:
    now = timezone.now()
    # In this order no two rows ever share a state that only one may have, even when ``version`` is the previous one.
    for before, after in ((ModelState.PREVIOUS, ModelState.RETIRED), (ModelState.LIVE, ModelState.PREVIOUS)):
        ModelVersion.objects.filter(state=before).update(state=after, updated_at=now)
    ModelVersion.objects.filter(pk=version.pk).update(state=ModelState.LIVE, updated_at=now)
    version.refresh_from_db(fields=["state", "updated_at"])
    promotion = Promotion.objects.create(version=version, former=former, kind=kind, by=by, reason=reason)
    record(
        by=by,
        act={"install": "model_installed", "promote": "model_promoted", "rollback": "model_rolled_back"}[kind],
        target=version,
        promotion=promotion.pk,
        former=former.pk if former else None,
        sha256=version.sha256,
    )
    return promotion


def _reason(given: str, sentence: str) -> str:
    if not given.strip():
        raise ReasonMissing(sentence)
    return given.strip()


def _json(path: Path, *, needed: bool) -> dict[str, Any]:
    try:
        # A measure that is no number would be refused by the database; as "not known" it is told apart from 0.
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except FileNotFoundError as error:
        if not needed:
            return {}
        raise ArtifactDamaged(
            _("The model folder %(name)s has no %(name_2)s.") % {"name": path.parent.name, "name_2": path.name}
        ) from error
    except (OSError, ValueError) as error:
        raise ArtifactDamaged(
            _("The model folder %(name)s has no readable %(name_2)s.")
            % {"name": path.parent.name, "name_2": path.name}
        ) from error
    if not isinstance(found, dict):
        raise ArtifactDamaged(
            _("The %(name)s of %(name_2)s is no JSON object.") % {"name": path.name, "name_2": path.parent.name}
        )
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""

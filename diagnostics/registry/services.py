"""Which models exist, which one is in use, and how that changes. What needs a second person stands in ``requests``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.scans.access import Permission, require
from diagnostics.webhooks import events
from diagnostics.webhooks.models import EventType
from mlcore.model.identity import CARD, REPORT, SPEC

from . import artifacts, exceptions
from .alarms import end_alarm, open_alarm, raise_alarm, standing_alarms
from .artifacts import keep
from .gate import in_one_line, standing
from .model_aliases import challenge, challenger, live, lock, previous, retire
from .models import ModelState, ModelVersion, Promotion
from .numbering import create_numbered
from .refusals import (
    AlreadyLive,
    ArtifactDamaged,
    ExceptionMissing,
    NothingToReturnTo,
    PromotionRefused,
    ReasonMissing,
    SecondAdministratorNeeded,
    needed,
)

__all__ = [
    "AlreadyLive",
    "ArtifactDamaged",
    "ExceptionMissing",
    "NothingToReturnTo",
    "PromotionRefused",
    "ReasonMissing",
    "SecondAdministratorNeeded",
    "challenge",
    "challenger",
    "end_alarm",
    "fetch",
    "install_bundled_model",
    "is_whole",
    "keep",
    "live",
    "open_alarm",
    "previous",
    "promote",
    "raise_alarm",
    "register",
    "retire",
    "roll_back",
    "standing_alarms",
]


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
    by: Actor | None,
    folder: Path,
    name: str = "",
    report: Mapping[str, object] | None = None,
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


def promote(*, by: Actor, version: ModelVersion, reason: str, name: str = "") -> Promotion:
    """Put ``version`` into use at once; the model that was in use becomes the previous one.

    Only where the installation requires no second administrator. Where the gate has not let the model through, the
    reason is kept as the written exception: at least 20 characters, with the model's ``name`` typed exactly, and only
    where nobody else is there who could approve it.

    Raises
    ------
    NotAllowed
        ``by`` may not promote.
    SecondAdministratorNeeded, AlreadyLive, ReasonMissing, ExceptionMissing
        As the names say.
    ArtifactDamaged
        The weights are not what was registered; a model that cannot be loaded must not go into use.
    """
    require(by, Permission.PROMOTE)
    reason = needed(reason, gettext_lazy("Give a reason for the promotion."))
    if settings.SECOND_ADMINISTRATOR:
        raise SecondAdministratorNeeded(
            gettext_lazy("A second administrator must approve this. Propose the promotion instead.")
        )
    fetch(version)
    with transaction.atomic():
        lock()
        return put_forward_into_use(version, by=by, reason=reason, exception=reason, name=name, field="reason")


def roll_back(*, by: Actor, reason: str, to: str | None = None) -> Promotion:
    """Put the previous model back into use; the present one becomes the previous.

    Parameters
    ----------
    by
        An administrator.
    reason
        Why.
    to
        The id of the model that shall come back, as whoever asks has seen it: two who roll back at once would
        otherwise put the model back into use that both wanted away.

    Raises
    ------
    NotAllowed
        ``by`` may not promote.
    NothingToReturnTo
        There is no former model, or by now it is another one.
    ReasonMissing
        As the name says.
    ArtifactDamaged
        The former weights are damaged.
    """
    require(by, Permission.PROMOTE)
    reason = needed(reason, gettext_lazy("Give a reason for the rollback."))
    candidate = previous()
    if candidate is None:
        raise NothingToReturnTo(gettext_lazy("There is no previous model: only one has ever been live."))
    if to is not None and str(candidate.pk) != to:
        raise NothingToReturnTo(gettext_lazy("The live model has just changed. Check before you roll back."))
    fetch(candidate)
    with transaction.atomic():
        lock()
        former = previous()
        if former is None or former.pk != candidate.pk:
            raise NothingToReturnTo(gettext_lazy("The live model has just changed. Check before you roll back."))
        return _put_into_use(former, former=live(), kind=Promotion.Kind.ROLLBACK, by=by, reason=reason)


def install_bundled_model(folder: Path) -> ModelVersion:
    """Enter the model that came with the software, and put it into use if none is.

    Raises
    ------
    ArtifactDamaged
        The folder is incomplete, or the storage did not keep it as it was.
    """
    version = register(by=None, folder=folder)
    with transaction.atomic():
        lock()
        if live() is None:
            _put_into_use(
                version, former=None, kind=Promotion.Kind.INSTALL, by=None, reason="Installed with the software."
            )
    version.refresh_from_db()
    return version


def put_forward_into_use(
    version: ModelVersion,
    *,
    by: Actor,
    reason: str,
    exception: str,
    name: str = "",
    approved_by: object = None,
    field: str = "exception",
) -> Promotion:
    """Put a model into use with what the gate says of it now, in the caller's locked transaction.

    ``exception`` is kept only where the gate has not let the model through; then it must be a reason, ``name`` the
    model's, and ``approved_by`` another administrator where there is one (:mod:`.exceptions`). ``field`` is what the
    caller calls the exception.

    Raises
    ------
    AlreadyLive, ExceptionMissing, SecondAdministratorNeeded
    """
    now_live = live()
    if now_live is not None and now_live.pk == version.pk:
        raise AlreadyLive(gettext_lazy("%(version)s is already live."), {"version": version})
    stands = standing(version)
    if not stands.passed:
        exceptions.check(version=version, stands=stands, words=exception, name=name, field=field)
        if approved_by is None and exceptions.others_who_may_approve(by):
            raise SecondAdministratorNeeded(
                gettext_lazy(
                    "%(failed)s Another administrator must approve the exception. Propose the promotion instead."
                ),
                {"failed": in_one_line(stands)},
            )
    return _put_into_use(
        version,
        former=now_live,
        kind=Promotion.Kind.PROMOTE,
        by=by,
        reason=reason,
        approved_by=approved_by,
        gate=stands.verdict,
        gate_result=stands.result,
        exception="" if stands.passed else exception.strip(),
    )


def _put_into_use(
    version: ModelVersion,
    *,
    former: ModelVersion | None,
    kind: Promotion.Kind,
    by: Actor | None,
    reason: str,
    **more: Any,
) -> Promotion:
    now = timezone.now()
    # In this order no two rows ever share a state that only one may have, even when ``version`` is the previous one.
    for before, after in ((ModelState.PREVIOUS, ModelState.RETIRED), (ModelState.LIVE, ModelState.PREVIOUS)):
        ModelVersion.objects.filter(state=before).update(state=after, updated_at=now)
    ModelVersion.objects.filter(pk=version.pk).update(state=ModelState.LIVE, challenged_at=None, updated_at=now)
    version.refresh_from_db(fields=["state", "challenged_at", "updated_at"])
    promotion = Promotion.objects.create(
        version=version, former=former, kind=kind, by=account_of(by), reason=reason, **more
    )
    told: dict[str, object] = {}
    if kind == Promotion.Kind.PROMOTE:
        approver = more.get("approved_by")
        told = {
            "gate": promotion.gate,
            "reason": promotion.reason,
            "exception": promotion.exception,
            "second_administrator": approver.pk if approver is not None else "not required here",
        }
    record(
        by=more.get("approved_by") or by,
        act={"install": "model_installed", "promote": "model_promoted", "rollback": "model_rolled_back"}[kind],
        target=version,
        promotion=promotion.pk,
        former=former.pk if former else None,
        sha256=version.sha256,
        **told,
    )
    events.tell(
        EventType.MODEL_PROMOTED,
        subject="model",
        institution=None,
        data={"model_version": version.pk, "number": version.number, "how": kind, "former": former and former.pk},
    )
    return promotion


def _json(path: Path, *, needed: bool) -> dict[str, object]:
    try:
        # A measure that is no number would be refused by the database; as "not known" it is told apart from 0.
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda word: None)
    except FileNotFoundError as error:
        if not needed:
            return {}
        raise ArtifactDamaged(
            gettext_lazy("The model folder %(folder)s has no %(file)s."),
            {"folder": path.parent.name, "file": path.name},
        ) from error
    except (OSError, ValueError) as error:
        raise ArtifactDamaged(
            gettext_lazy("The model folder %(folder)s has no readable %(file)s."),
            {"folder": path.parent.name, "file": path.name},
        ) from error
    if not isinstance(found, dict):
        raise ArtifactDamaged(
            gettext_lazy("%(file)s in %(folder)s is not a JSON object."),
            {"file": path.name, "folder": path.parent.name},
        )
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""

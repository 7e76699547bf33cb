"""Look whether a limit is passed, raise and close alerts, and what people do about them."""

from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.errors import Conflict
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelVersion
from diagnostics.scans.access import Permission, require
from diagnostics.scans.models import Institution
from diagnostics.webhooks import events
from diagnostics.webhooks.models import EventType

from . import numbers
from .models import DEFAULT_LIMITS, Alert, AlertRule, Watched

__all__ = ["AlertNotTaken", "acknowledge", "evaluate", "limits", "set_rule"]


class AlertNotTaken(Conflict):
    """An alert or a limit cannot be changed so; ``str()`` says why."""

    code = "alert_not_taken"


@dataclass(frozen=True)
class Limit:
    """A limit as it holds now."""

    watched: str
    limit: float
    on: bool
    owner: Any


def limits() -> list[Limit]:
    """Every limit: as somebody has set it, or its default."""
    rows = {rule.watched: rule for rule in AlertRule.objects.select_related("owner")}
    return [
        Limit(code, rows[code].limit, rows[code].on, rows[code].owner)
        if code in rows
        else Limit(code, DEFAULT_LIMITS[code], True, None)
        for code in Watched.values
    ]


def set_rule(*, by: Actor, watched: str, limit: float, on: bool = True, owner: Any = None) -> AlertRule:
    """Set a limit of the installation and who looks after it.

    Raises
    ------
    NotAllowed
        ``by`` may not set limits of the installation.
    AlertNotTaken
        With a sentence that says what is wrong.
    """
    require(by, Permission.SET_LIMITS)
    if watched not in Watched.values:
        raise AlertNotTaken(_("There is no such limit."), field="watched")
    if not 0 < limit <= (100 if watched == Watched.DRIFT else 1):
        raise AlertNotTaken(_("The limit must be above 0, and at most 1 for a share."), field="limit")
    with transaction.atomic():
        rule, _made = AlertRule.objects.update_or_create(
            watched=watched, defaults={"limit": limit, "on": on, "owner": owner}
        )
        record(by=by, act="alert_rule_set", target=rule, watched=watched, limit=limit, on="on" if on else "off")
    return rule


def evaluate() -> list[Alert]:
    """Hold the model in use against every limit, in each institution; gives the alerts that were raised now."""
    live = registry.live()
    if live is None:
        return []
    rules = [rule for rule in limits() if rule.on]
    raised = []
    for place in Institution.objects.filter(scans__predictions__model_version=live).distinct():
        found = _found(place, live)
        for rule in rules:
            alert = _hold(rule, place, live, *found[rule.watched])
            if alert is not None:
                raised.append(alert)
    return raised


def _found(place: Institution, live: ModelVersion) -> dict[str, tuple[float | None, bool, int]]:
    """By what is watched: the value, its near end, of how many. Of the last four weeks."""
    said = numbers.analyses([place.pk], live, numbers.RECENT_DAYS)
    judged = numbers.reads([place.pk], live, numbers.RECENT_DAYS)
    found: dict[str, Any] = {}
    for number in (*numbers.of_reads(judged), *numbers.of_analyses(said)):
        near = None if number.few or number.share.low is None else number.share.low
        found[number.key] = (number.share.value, near, number.n)
    found[Watched.DRIFT] = _drift(place, live)
    return found


def _drift(place: Institution, live: ModelVersion) -> tuple[float | None, float | None, int]:
    """How far the tumour probabilities have moved; the near end only where that is more than chance."""
    moved = next((each for key, _name, each in numbers.drifts([place.pk], live) if key == "tumour"), None)
    if moved is None:
        return None, None, 0
    sure = moved.index is not None and moved.chance is not None and moved.index > moved.chance
    return moved.index, moved.index if sure else None, moved.recent


def _hold(
    rule: Limit, place: Institution, live: ModelVersion, value: float | None, near: float | None, n: int
) -> Alert | None:
    """Raise an alert, keep it up to date, or close it."""
    passed = near is not None and near > rule.limit
    with transaction.atomic():
        there = (
            Alert.objects.open()
            .select_for_update()
            .filter(watched=rule.watched, institution=place, model_version=live)
            .first()
        )
        if there is not None:
            there.value, there.n = (there.value if value is None else value), n
            if not passed:
                there.closed_at = timezone.now()
                record(by=None, act="alert_closed", target=there, institution=place, watched=rule.watched)
            there.save()
            return None
        if not passed or value is None:
            return None
        try:
            with transaction.atomic():
                made = Alert.objects.create(
                    watched=rule.watched,
                    institution=place,
                    model_version=live,
                    value=value,
                    limit=rule.limit,
                    n=n,
                    owner=rule.owner,
                )
        except IntegrityError:
            # Another worker raised it at this instant.
            return None
        record(by=None, act="alert_raised", target=made, institution=place, watched=rule.watched, n=n)
        events.tell(
            EventType.ALERT_RAISED,
            subject=f"alert:{made.pk}",
            institution=made.institution_id,
            data={"alert": made.pk, "watched": rule.watched},
        )
        return made


def acknowledge(*, by: Actor, alert: Alert, note: str) -> Alert:
    """Take an alert on, with a word about what is done.

    Raises
    ------
    NotAllowed
        ``by`` may not see models there.
    AlertNotTaken
        Without a note, or where somebody has taken it on already.
    """
    require(by, Permission.SEE_MODELS, alert.institution)
    if not note.strip():
        raise AlertNotTaken(_("Enter what you found or what is being done."))
    with transaction.atomic():
        taken = Alert.objects.filter(pk=alert.pk, acknowledged_at__isnull=True).update(
            acknowledged_by=by, acknowledged_at=timezone.now(), note=note.strip(), updated_at=timezone.now()
        )
        alert.refresh_from_db()
        if not taken:
            raise AlertNotTaken(_("%(who)s has already acknowledged it."), {"who": alert.acknowledged_by})
        record(by=by, act="alert_acknowledged", target=alert, institution=alert.institution, watched=alert.watched)
    return alert

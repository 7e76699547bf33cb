"""The gate: which rules hold, what they said of a model, and whether that still counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.scans.access import Permission, require
from mlcore.gate.rules import BadRules as Unusable
from mlcore.gate.rules import Rules

from .model_aliases import live
from .models import GateResult, GateRules, GateVerdict, ModelVersion
from .numbering import create_numbered
from .refusals import BadRules, needed

__all__ = [
    "STALE",
    "UNMEASURED",
    "BadRules",
    "Standing",
    "current_rules",
    "declare",
    "in_one_line",
    "keep",
    "offered",
    "rule_names",
    "rules_of",
    "standing",
]

# Beside the three verdicts: nothing was measured, or against another model or by other rules than those of now.
UNMEASURED, STALE = "unmeasured", "stale"
_SHIPPED = "Shipped with the software; docs/gate-simulation.md tells how they were chosen."


@dataclass(frozen=True)
class Standing:
    """What the gate says of a model now. ``verdict``: ``pass | fail | too_few | stale | unmeasured``."""

    verdict: str
    result: GateResult | None = None

    @property
    def passed(self) -> bool:
        """Whether it may go into use without a written exception."""
        return self.verdict == GateVerdict.PASS


def rule_names() -> dict[str, str]:
    """The rules as people read them."""
    return {
        "same_test": _("Both models on the same test scans"),
        "test_size": _("Enough test scans"),
        "accuracy": _("Accuracy"),
        "auroc": _("AUROC"),
        "sensitivity": _("Sensitivity of each class"),
        "calibration": _("Calibration error"),
    }


def in_one_line(stands: Standing) -> str:
    """What the gate says of a model, with the rules that it did not meet; no numbers, which not everybody may know."""
    if stands.verdict == UNMEASURED:
        return _("The gate has not judged this model.")
    if stands.verdict == STALE:
        return _("The gate judged it against another model, or by older rules.")
    names, findings = rule_names(), stands.result.findings if stands.result is not None else []
    held = [names.get(each["rule"], each["rule"]) for each in findings if each["verdict"] != GateVerdict.PASS]
    if stands.passed:
        return _("The gate passed this model.")
    failed = stands.verdict == GateVerdict.FAIL
    if not held:
        return _("The gate failed.") if failed else _("The gate was undecided.")
    said = _("The gate failed: %(rules)s.") if failed else _("The gate was undecided: %(rules)s.")
    return said % {"rules": ", ".join(held)}


def current_rules() -> GateRules:
    """The rules that hold now; those that came with the software until somebody declares others."""
    newest = GateRules.objects.first()
    if newest is not None:
        return newest
    shipped, _made = GateRules.objects.get_or_create(
        number=1, defaults={"rules": Rules().to_dict(), "reason": _SHIPPED}
    )
    return shipped


def offered() -> dict[str, Any] | None:
    """The rules that this version of the software comes with, where an installation of before has others.

    They hold nowhere by themselves: rules are declared by a person, before anything is measured by them. Whoever has
    declared them once, and other rules since, is asked no more.
    """
    current_rules()
    ours = Rules().to_dict()
    return None if any(rules_of(row).to_dict() == ours for row in GateRules.objects.all()) else ours


def rules_of(row: GateRules) -> Rules:
    """The rules as the learning core takes them."""
    return Rules.from_dict(row.rules)


def declare(*, by: Actor, rules: Mapping[str, Any], reason: str) -> GateRules:
    """Declare the rules that hold from now on; what candidates were measured by before stays written.

    Parameters
    ----------
    by
        An administrator.
    rules
        Some of the rules' names; the others keep the value that they have now.
    reason
        Why they change.

    Raises
    ------
    NotAllowed, ReasonMissing
    BadRules
        A name is unknown, or a value is out of range.
    """
    require(by, Permission.PROMOTE)
    reason = needed(reason, gettext_lazy("Give a reason for the new rules."))
    with transaction.atomic():
        try:
            whole = Rules.from_dict({**rules_of(current_rules()).to_dict(), **rules})
        except Unusable as fault:
            raise BadRules(str(fault)) from fault
        declared: GateRules = create_numbered(GateRules, rules=whole.to_dict(), reason=reason, by=by)
        record(by=by, act="gate_rules_declared", target=declared, number=declared.number)
    return declared


def keep(
    *, version: ModelVersion, against: ModelVersion | None, rules: GateRules, said: Mapping[str, Any], test_sha256: str
) -> GateResult:
    """Write down what ``mlcore.gate.rules.judge`` said of a candidate, in the caller's transaction."""
    result = GateResult.objects.create(
        version=version,
        live=against,
        rules=rules,
        verdict=said["verdict"],
        findings=list(said["rules"]),
        test_sha256=test_sha256,
    )
    record(
        by=None,
        act="gate_judged",
        target=version,
        number=version.number,
        rules=rules.number,
        verdict=GateVerdict(result.verdict).label.lower(),
    )
    return result


def standing(version: ModelVersion) -> Standing:
    """What the gate says of ``version`` now."""
    newest = version.gate_results.select_related("rules", "live").first()
    if newest is None:
        return Standing(UNMEASURED)
    in_use = live()
    if newest.rules_id != current_rules().pk or newest.live_id != (in_use.pk if in_use is not None else None):
        return Standing(STALE, newest)
    return Standing(newest.verdict, newest)

"""How the model in use does: what readers make of it, what comes in, what it says of it. Each number has its cases.

Only whoever sees opinions unblinded and reads no cases there may look: a number over few scans tells of each.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from diagnostics.actors import Actor, account_of
from diagnostics.cases.models import CaseState, Stage
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry.models import ModelVersion
from diagnostics.reviews.labels import contradicts
from diagnostics.reviews.models import Label, Read, ReadKind
from diagnostics.reviews.queries import deciding_reads
from diagnostics.scans.access import READING_ROLES, Permission, institutions_where
from mlcore.measure import agreement as measures
from mlcore.measure import drift
from mlcore.measure.agreement import Measured
from mlcore.measure.drift import Drift

MOST = 5000  # the newest; a page has to come at once
REFERENCE = 500  # the first opinions of a version are what later ones are held against
DAYS = 90
RECENT_DAYS = 28
SLOW_SECONDS = 120
FEW = 30
OUT_OF_DISTRIBUTION = "out_of_distribution"


@dataclass(frozen=True)
class Said:
    """One analysis."""

    scan: uuid.UUID
    state: str
    label: str
    tumour: float | None
    surest: float | None
    unlike: bool
    seconds: float | None
    at: datetime
    pixels: int
    format: str


@dataclass(frozen=True)
class Judged:
    """One final read by somebody who had seen the opinion. ``right`` is empty where nobody else has said."""

    case: uuid.UUID
    scan: uuid.UUID
    patient: uuid.UUID
    ai: str
    blind: str
    final: str
    right: str
    at: datetime


@dataclass(frozen=True)
class Number:
    """``k`` of ``n`` with its interval; ``key`` opens its cases."""

    key: str
    name: str
    k: int
    n: int
    share: Measured

    @property
    def few(self) -> bool:
        return self.n < FEW


@dataclass(frozen=True)
class Report:
    """Everything about one model version over some days."""

    version: ModelVersion
    days: int
    reads: list[Number]
    inputs: list[Number]
    classes: list[Number]
    kappa: Measured
    median_seconds: float | None
    p95_seconds: float | None
    drifts: list[tuple[str, str, Drift]]
    weeks: list[dict[str, Any]]
    analyses: int
    capped: bool


def watched_by(user: Actor) -> QuerySet[Any]:
    """The institutions whose opinions ``user`` sees unblinded; whoever reads there stays blind in any role."""
    reads_in = account_of(user).memberships.filter(role__in=READING_ROLES).values("institution")
    return institutions_where(user, Permission.SEE_OPINIONS).exclude(pk__in=reads_in)


def report(user: Actor, version: ModelVersion, *, days: int = DAYS) -> Report:
    """All numbers of ``version`` over the last ``days``, of the institutions that ``user`` watches."""
    places = list(watched_by(user).values_list("pk", flat=True))
    said, judged = analyses(places, version, days), reads(places, version, days)
    ready = [each for each in said if each.state == PredictionState.READY]
    seconds = sorted(each.seconds for each in ready if each.seconds is not None)
    return Report(
        version=version,
        days=days,
        reads=of_reads(judged),
        inputs=of_analyses(said),
        classes=_classes(ready),
        kappa=_kappa([each for each in judged if each.blind]),
        median_seconds=_quantile(seconds, 0.5),
        p95_seconds=_quantile(seconds, 0.95),
        drifts=drifts(places, version),
        weeks=_weeks(said, judged),
        analyses=len(said),
        capped=len(said) >= MOST or len(judged) >= MOST,
    )


def _kappa(blind: Sequence[Judged]) -> Measured:
    """Cohen's, of the AI and readers who had not seen it."""
    if not blind:
        return Measured(None)
    said = ([each.ai for each in blind], [each.blind for each in blind])
    return measures.Pairs(*said, Label.values, [each.patient for each in blind]).measure(measures.cohen)


def analyses(places: Sequence[Any], version: ModelVersion, days: int) -> list[Said]:
    """The newest finished analyses of a version, newest first."""
    since = timezone.now() - timedelta(days=days)
    return _said(_finished(places, version).filter(updated_at__gte=since).order_by("-updated_at", "-id")[:MOST])


def _finished(places: Sequence[Any], version: ModelVersion) -> Any:
    return Prediction.objects.filter(
        model_version=version,
        scan__institution__in=places,
        scan__patient__is_synthetic=False,  # a control is a scan that has been counted
        state__in=(PredictionState.READY, PredictionState.FAILED),
    )


def _said(rows: Any) -> list[Said]:
    found = rows.values_list(
        "scan_id",
        "state",
        "label",
        "tumour_probability",
        "probabilities",
        "warnings",
        "queued_at",
        "finished_at",
        "updated_at",
        "scan__width",
        "scan__height",
        "scan__format",
    )
    return [_one(*row) for row in found]


def _one(
    scan: uuid.UUID,
    state: str,
    label: str,
    tumour: float | None,
    probabilities: dict[str, float] | None,
    warnings: list[str] | None,
    queued: datetime | None,
    finished: datetime | None,
    updated: datetime,
    width: int,
    height: int,
    file_format: str,
) -> Said:
    return Said(
        scan=scan,
        state=state,
        label=label,
        tumour=tumour,
        surest=max(probabilities.values()) if probabilities else None,
        unlike=OUT_OF_DISTRIBUTION in (warnings or ()),
        seconds=(finished - queued).total_seconds() if finished and queued else None,
        at=finished or updated,
        pixels=width * height,
        format=file_format,
    )


def reads(places: Sequence[Any], version: ModelVersion, days: int) -> list[Judged]:
    """The newest first final reads by readers who had seen this version's opinion, of done cases."""
    since = timezone.now() - timedelta(days=days)
    finals = list(
        Read.objects.filter(
            prediction__model_version=version,
            case__institution__in=places,
            case__state=CaseState.DONE,
            case__control=False,
            kind=ReadKind.FINAL,
            revision=1,
            created_at__gte=since,
        )
        .order_by("-created_at", "-id")
        .values_list(
            "case_id",
            "reader_id",
            "label",
            "created_at",
            "prediction__label",
            "case__scan_id",
            "case__scan__patient_id",
            "case__scan__reference_label",
        )[:MOST]
    )
    cases = {row[0] for row in finals}
    blind = {
        (case, reader): label
        for case, reader, label in Read.objects.filter(case__in=cases, kind=ReadKind.BLIND).values_list(
            "case", "reader", "label"
        )
    }
    settled = dict(deciding_reads().filter(case__in=cases, stage=Stage.ADJUDICATION).values_list("case", "label"))
    return [
        Judged(case, scan, patient, ai, blind.get((case, reader), ""), final, settled.get(case) or reference, at)
        for case, reader, final, at, ai, scan, patient, reference in finals
        if ai
    ]


def _number(key: str, name: str, k: int, n: int) -> Number:
    return Number(key, name, k, n, measures.share(k, n))


def of_reads(judged: Sequence[Judged]) -> list[Number]:
    """What readers make of the opinion."""
    blind = [each for each in judged if each.blind]
    known = [each for each in blind if each.right]
    was_wrong = sum(contradicts(each.blind, each.right) for each in known)
    return [
        _number("overrides", _("Overrides"), sum(map(overridden, judged)), len(judged)),
        _number("disagreed", _("Blind reads that disagree"), sum(map(disagreed, blind)), len(blind)),
        _number("right_flips", _("Corrected by AI"), sum(map(right_flip, known)), was_wrong),
        _number("wrong_flips", _("Misled by AI"), sum(map(wrong_flip, known)), len(known) - was_wrong),
        _number("out_of_scope", _("Out of scope"), sum(map(out_of_scope, judged)), len(judged)),
    ]


def of_analyses(said: Sequence[Said]) -> list[Number]:
    """What comes in, and whether it is analysed."""
    ready = [each for each in said if each.state == PredictionState.READY]
    return [
        _number("unlike", _("Unlike the training data"), sum(each.unlike for each in ready), len(ready)),
        _number("failed", _("Failed"), len(said) - len(ready), len(said)),
        _number("slow", _("Slower than two minutes"), sum(slow(each) for each in ready), len(ready)),
    ]


def overridden(each: Judged) -> bool:
    return contradicts(each.final, each.ai)


def disagreed(each: Judged) -> bool:
    return bool(each.blind) and contradicts(each.blind, each.ai)


def right_flip(each: Judged) -> bool:
    return bool(each.right and each.blind) and (
        contradicts(each.blind, each.right) and not contradicts(each.final, each.right)
    )


def wrong_flip(each: Judged) -> bool:
    return bool(each.right and each.blind) and (
        not contradicts(each.blind, each.right) and contradicts(each.final, each.right)
    )


def out_of_scope(each: Judged) -> bool:
    return each.final == Label.OUT_OF_SCOPE


def slow(each: Said) -> bool:
    return each.seconds is not None and each.seconds > SLOW_SECONDS


def _classes(ready: Sequence[Said]) -> list[Number]:
    found = Counter(each.label for each in ready)
    return [
        _number(f"class:{label.value}", str(label.label), found[label.value], len(ready))
        for label in Label
        if found[label.value]
    ]


def drifts(places: Sequence[Any], version: ModelVersion) -> list[tuple[str, str, Drift]]:
    """(key, name, how far) of probabilities, sureness, labels, sizes and formats: recent ones against the first."""
    done = _finished(places, version).filter(state=PredictionState.READY)
    first = _said(done.order_by("finished_at", "id")[:REFERENCE])
    if not first:
        return []
    since = max(timezone.now() - timedelta(days=RECENT_DAYS), first[-1].at)
    recent = _said(done.filter(finished_at__gt=since).order_by("-finished_at", "-id")[:MOST])
    return [
        ("tumour", _("Probability of a tumour"), drift.of_numbers(*_both(first, recent, "tumour"))),
        ("surest", _("Probability of this answer"), drift.of_numbers(*_both(first, recent, "surest"))),
        ("label", _("Labels given"), drift.of_kinds(*_both(first, recent, "label"))),
        ("pixels", _("Image size in pixels"), drift.of_numbers(*_both(first, recent, "pixels"))),
        ("format", _("File format"), drift.of_kinds(*_both(first, recent, "format"))),
    ]


def _both(first: Sequence[Said], recent: Sequence[Said], name: str) -> tuple[list[Any], list[Any]]:
    return [getattr(each, name) for each in first], [getattr(each, name) for each in recent]


def _weeks(said: Sequence[Said], judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Shares week by week, oldest first, and of how many reads and opinions; a week counts back from now."""
    now = timezone.now()

    def week(at: datetime) -> int:
        return (now - at).days // 7

    weeks = sorted({week(each.at) for each in said} | {week(each.at) for each in judged}, reverse=True)
    return [
        _week(
            back,
            said=[each for each in said if week(each.at) == back],
            judged=[each for each in judged if week(each.at) == back],
        )
        for back in weeks
    ]


def _week(back: int, *, said: Sequence[Said], judged: Sequence[Judged]) -> dict[str, Any]:
    blind = [each for each in judged if each.blind]
    ready = [each for each in said if each.state == PredictionState.READY]
    return {
        "week": -back,
        "reads": len(judged),
        "ready": len(ready),
        "overrides": _share(sum(overridden(each) for each in judged), len(judged)),
        "agreed": _share(sum(not disagreed(each) for each in blind), len(blind)),
        "unlike": _share(sum(each.unlike for each in ready), len(ready)),
        "tumour": _share(sum(each.label != Label.NO_TUMOUR for each in ready), len(ready)),
        "failed": _share(len(said) - len(ready), len(said)),
    }


def _share(k: int, n: int) -> float | None:
    return k / n if n else None


def _quantile(ordered: Sequence[float], q: float) -> float | None:
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)] if ordered else None


_OF_READS = {
    "overrides": overridden,
    "disagreed": disagreed,
    "right_flips": right_flip,
    "wrong_flips": wrong_flip,
    "out_of_scope": out_of_scope,
}


def drill_down(user: Actor, version: ModelVersion, key: str, *, days: int = DAYS) -> list[tuple[uuid.UUID, str]]:
    """The scans behind a number, newest first, each with what makes it count; none for a number that is not known."""
    places = list(watched_by(user).values_list("pk", flat=True))
    if key in _OF_READS:
        rows = [each for each in reads(places, version, days) if _OF_READS[key](each)]
        return [(each.scan, f"{each.blind or '–'} → {each.final} ({_('AI')}: {each.ai})") for each in rows]
    said = analyses(places, version, days)
    if key == "failed":
        return [(each.scan, each.state) for each in said if each.state == PredictionState.FAILED]
    return _of_ready([each for each in said if each.state == PredictionState.READY], key)


def _of_ready(ready: Sequence[Said], key: str) -> list[tuple[uuid.UUID, str]]:
    if key == "slow":
        return [(each.scan, f"{each.seconds:.0f} s") for each in ready if slow(each)]
    if key == "unlike":
        return [(each.scan, each.label) for each in ready if each.unlike]
    return [(each.scan, f"{each.tumour:.2f}") for each in ready if f"class:{each.label}" == key]

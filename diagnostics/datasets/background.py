"""Plans and freezes of very many scans, worked out by a worker: comparing half a million scans takes a minute.

The row is the truth about the work, as for predictions: it is leased to a worker (:mod:`diagnostics.jobs.leases`), and
tried again when its worker is gone. A plan is no record. It is shown for some minutes and then thrown away.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from diagnostics.actors import Actor, account_of
from diagnostics.jobs.leases import Leases
from diagnostics.scans.access import NotAllowed, Permission, require
from diagnostics.scans.models import Institution, Scan

from . import services
from .models import DatasetPlan, DatasetVersion, PlanState

log = structlog.get_logger(__name__)

LEASE_SECONDS = 900
ATTEMPTS = 3
FRESH = timedelta(minutes=15)  # so long a plan is shown before it is worked out anew
KEPT = timedelta(days=1)
PAUSE = 60  # seconds before what broke off is tried again

LEASES = Leases(
    DatasetPlan,
    waiting=PlanState.QUEUED,
    running=PlanState.RUNNING,
    seconds=lambda: LEASE_SECONDS,
    attempts=lambda: ATTEMPTS,
)
SEVERAL = ("institutions", "exclude_readers", "exclude_institutions")


@dataclass(frozen=True)
class Summary:
    """What a page shows of a plan: all of it but its lines."""

    lineage: str
    seed: int
    sha256: str
    counts: dict[str, Any] = field(default_factory=dict)
    last: DatasetVersion | None = None
    problem: str = ""


@dataclass(frozen=True)
class PlanStatus:
    """What is known of a plan now: a summary, or the row of the work that will give one."""

    summary: Summary | None
    row: DatasetPlan | None = None


def is_small(institutions: Sequence[Institution]) -> bool:
    """Whether there are so few scans that a plan may be worked out while somebody waits for the page."""
    few = settings.PLAN_AT_ONCE_SCANS
    return Scan.objects.filter(institution__in=institutions).order_by()[: few + 1].count() <= few


def look(*, by: Actor, wanted: Mapping[str, Any]) -> PlanStatus:
    """The plan for what is ``wanted`` (parameters of :func:`services.freeze`): worked out now where that is quick,
    as a worker has worked it out lately, or the row that asks for it.

    Raises
    ------
    NotAllowed
        ``by`` may not freeze a dataset in one of the institutions.
    """
    for institution in wanted["institutions"]:
        require(by, Permission.FREEZE_DATASET, institution)
    if is_small(wanted["institutions"]):
        return PlanStatus(summary_of(services.plan(by=by, **wanted)))
    key = _key(wanted)
    theirs = DatasetPlan.objects.filter(by=account_of(by), key=key, freezes=False)
    ready = (
        theirs.filter(state=PlanState.READY, finished_at__gt=timezone.now() - FRESH).order_by("-finished_at").first()
    )
    if ready is not None:
        return PlanStatus(stored(ready), ready)
    return PlanStatus(None, _asked(by, key, wanted))


def freeze(*, by: Actor, wanted: Mapping[str, Any], seen: str) -> DatasetPlan:
    """Ask a worker to freeze what is ``wanted``, if it still is what was ``seen`` (a plan's ``sha256``).

    Raises
    ------
    NotAllowed
        ``by`` may not freeze a dataset in one of the institutions.
    """
    for institution in wanted["institutions"]:
        require(by, Permission.FREEZE_DATASET, institution)
    return _asked(by, _key(wanted), wanted, freezes=True, seen=seen)


def forget(*, by: Actor) -> None:
    """Throw away what was worked out for ``by``, who asks for it anew."""
    DatasetPlan.objects.filter(
        by=account_of(by), freezes=False, state__in=[PlanState.READY, PlanState.FAILED]
    ).delete()


def forget_all() -> None:
    """Throw away everybody's plans: which labels stand has changed. What a worker is at begins anew."""
    plans = DatasetPlan.objects.filter(freezes=False)
    plans.filter(state__in=[PlanState.READY, PlanState.FAILED]).delete()
    # Without its fence the worker's result, which may still hold the old labels, is dropped.
    LEASES.restart(plans.filter(state=PlanState.RUNNING))


def anything_waiting() -> bool:
    """Whether a row waits whose message may have been lost, or whose worker died."""
    return DatasetPlan.objects.filter(LEASES.claimable(timezone.now())).exists()


def work() -> int:
    """Work off what waits, one row after the other; how many were."""
    DatasetPlan.objects.filter(finished_at__lt=timezone.now() - KEPT).delete()
    done = 0
    while (row := claimed()) is not None:
        _carry_out(row)
        done += 1
    return done


def summary_of(plan: services.Plan) -> Summary:
    """What a page shows of a plan that was just worked out."""
    return Summary(plan.lineage, plan.seed, plan.sha256, plan.counts, plan.last, plan.problem)


def stored(row: DatasetPlan) -> Summary:
    """What a page shows of a plan that a worker has worked out."""
    result = row.result or {}
    last = DatasetVersion.objects.filter(number=result["last"]).first() if result.get("last") else None
    return Summary(
        result.get("lineage", ""),
        result.get("seed", 0),
        result.get("sha256", ""),
        result.get("counts", {}),
        last,
        result.get("problem", ""),
    )


def _words(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What is wanted, as JSON: rows by their ids, in order."""
    plain = {name: value for name, value in wanted.items() if name not in SEVERAL}
    return plain | {name: sorted(row.pk for row in wanted.get(name) or ()) for name in SEVERAL}


def _key(wanted: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(_words(wanted), sort_keys=True).encode()).hexdigest()


def _asked(by: Actor, key: str, wanted: Mapping[str, Any], **more: Any) -> DatasetPlan:
    """The row that waits or is worked on, or a new one. A plan that failed stays failed until it is asked for anew."""
    freezes = more.get("freezes", False)
    same = DatasetPlan.objects.filter(by=account_of(by), key=key, freezes=freezes)
    if not freezes:
        failed = same.filter(state=PlanState.FAILED, finished_at__gt=timezone.now() - FRESH).first()
        if failed is not None:
            return failed
    try:
        with transaction.atomic():
            row: DatasetPlan = DatasetPlan.objects.create(by=account_of(by), key=key, wanted=_words(wanted), **more)
            return row
    except IntegrityError:  # one is asked for already
        found = same.filter(state__in=[PlanState.QUEUED, PlanState.RUNNING]).first()
        return found if found is not None else _asked(by, key, wanted, **more)


def _free() -> "QuerySet[DatasetPlan]":
    return DatasetPlan.objects.filter(LEASES.free(timezone.now()))


def claimed() -> DatasetPlan | None:
    """Take the row that waits longest; None where nothing waits."""
    give_up()
    while (first := _free().order_by("created_at", "pk").first()) is not None:
        if LEASES.claim(LEASES.as_seen(first), started_at=timezone.now()) is not None:
            row: DatasetPlan = DatasetPlan.objects.select_related("by").get(pk=first.pk)
            return row
    return None


def give_up() -> None:
    """Fail what was tried too often."""
    reason = _("Tried %(n)d times without finishing. Try again, or choose fewer scans.")
    for rows in LEASES.exhausted():
        LEASES.abandon(rows, state=PlanState.FAILED, failure=reason % {"n": ATTEMPTS}, finished_at=timezone.now())


def _carry_out(row: DatasetPlan) -> None:
    """Plan or freeze, in the language of whoever asked; a worker that lost its row writes nothing more into it."""
    if row.fence is None:
        return
    with translation.override(row.by.language or settings.LANGUAGE_CODE):
        try:
            wanted = _rows(row.wanted)
            if row.freezes:
                produced, result = services.freeze(by=row.by, **wanted, seen=row.seen), None
            else:
                produced, result = None, _result(services.plan(by=row.by, **wanted))
        except (services.NotFreezable, NotAllowed) as refusal:
            LEASES.finish(row.fence, state=PlanState.FAILED, finished_at=timezone.now(), failure=str(refusal))
            return
        except Exception:
            # The next attempt, a minute from now, may succeed; the last one says so to whoever asked.
            log.exception("plan_broke_off", plan=str(row.pk))
            LEASES.postpone(row.fence, seconds=PAUSE)
            return
    LEASES.finish(row.fence, state=PlanState.READY, finished_at=timezone.now(), produced=produced, result=result)


def _result(plan: services.Plan) -> dict[str, Any]:
    return {
        "lineage": plan.lineage,
        "seed": plan.seed,
        "sha256": plan.sha256,
        "counts": dict(plan.counts),
        "last": plan.last.number if plan.last else None,
        "problem": plan.problem,
    }


def _rows(words: Mapping[str, Any]) -> dict[str, Any]:
    """What was wanted, as :func:`services.freeze` takes it."""
    people = get_user_model().objects.filter(pk__in=words["exclude_readers"])
    places = Institution.objects.order_by("code")
    return {
        **words,
        "institutions": list(places.filter(pk__in=words["institutions"])),
        "exclude_institutions": list(
            Institution.objects.filter(pk__in=words["exclude_institutions"]).order_by("code")
        ),
        "exclude_readers": list(people.order_by("username")),
    }

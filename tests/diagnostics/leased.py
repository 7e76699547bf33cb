"""Everybody who leases rows to workers, each driven through the doors of its own room."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from diagnostics.datasets import background
from diagnostics.jobs.leases import Leases
from diagnostics.mail import outbox
from diagnostics.notifications.models import Notification
from diagnostics.notifications.services import notify
from diagnostics.peers.jobs import SEARCHES, SENDINGS
from diagnostics.peers.models import PriorSearch, Sending
from diagnostics.predictions import run_state as predictions
from diagnostics.scans.access import Role
from diagnostics.training import run_state as training
from diagnostics.webhooks.deliveries import DELIVERIES
from diagnostics.webhooks.events import queue
from diagnostics.webhooks.models import EventType
from tests.dicom_network import peer_of
from tests.factories import (
    CaseFactory,
    InstitutionFactory,
    PredictionFactory,
    ScanFactory,
    TrainingRunFactory,
    person,
)
from tests.webhook_receiver import webhook_at

GOOD = predictions.Result("glioma", "tumour", {"no_tumour": 0.1, "glioma": 0.9}, 0.9)
FROM = {"weights_sha256": "ab", "preprocess_version": "1", "code_revision": "c0de"}


@dataclass(frozen=True)
class User:
    """One user of leases.

    ``make`` writes a row that waits. ``claim`` takes the row of this id and gives what a worker then holds, or None;
    ``token`` is its fencing token; ``finish`` ends the work. ``reconcile`` is what the scheduler does for this user,
    and says whether a worker is to be nudged. ``reason`` is the column that says why a row was given up.
    """

    leases: Leases[Any]
    make: Callable[[], Any]
    claim: Callable[[Any], Any]
    token: Callable[[Any], Any]
    finish: Callable[[Any], object]
    reconcile: Callable[[], bool]
    done: str
    reason: str

    def now(self, pk: Any) -> Any:
        """The row's state, token, lease and attempts, and why it was given up."""
        row = self.leases.model._default_manager.get(pk=pk)
        names = [self.leases.prefix + name for name in ("state", "fence", "lease_until", "attempts")]
        return Now(*(getattr(row, name) for name in [*names, self.reason]))

    def let_the_lease_run_out(self, pk: Any) -> None:
        past = timezone.now() - timedelta(seconds=1)
        self.leases.model._default_manager.filter(pk=pk).update(**{f"{self.leases.prefix}lease_until": past})

    def let_it_wait_long(self, pk: Any) -> None:
        """As if its message had been lost a while ago."""
        rows = self.leases.model._default_manager.filter(pk=pk)
        past = timezone.now() - timedelta(minutes=10)
        has = {field.name for field in self.leases.model._meta.get_fields()}
        rows.update(**dict.fromkeys(has & {"queued_at", "updated_at", "mail_due_at"}, past))


@dataclass(frozen=True)
class Now:
    state: str
    fence: Any
    lease_until: Any
    attempts: int
    reason: str


def _plan() -> Any:
    north = InstitutionFactory()
    by = person(Role.DATA_MANAGER, north)
    wanted = {"institutions": [north], "seed": 0, "lineage": "main"}
    return background.freeze(by=by, wanted=wanted, seen="0" * 64)


def _mail() -> Any:
    place = InstitutionFactory()
    reader = person(Role.RADIOLOGIST, place)
    case = CaseFactory(institution=place, assigned_to=reader)
    with transaction.atomic():
        notify(people=[reader.pk], kind="assigned", scan=case.scan, case=case.pk)
    Notification.objects.update(mail_due_at=timezone.now() - timedelta(seconds=1))
    return Notification.objects.get()


def _hand_over(held: Any) -> object:
    fence, rows = held
    outbox.begin_sending(fence, [row.pk for row in rows])
    return outbox.sent(fence)


def _reconciled_mail() -> bool:
    waits = outbox.anything_to_mail()
    if waits:
        outbox.give_up()  # as the worker does that is nudged
    return outbox.anything_to_mail()


def _reconciled_predictions() -> bool:
    predictions.abandon_exhausted()
    return predictions.anything_waiting()


def _reconciled_plans() -> bool:
    background.give_up()
    return background.anything_waiting()


def _peer_job(model: Any, **more: Any) -> Any:
    scan = ScanFactory()
    peer = peer_of(scan.institution, host="127.0.0.1")
    return model.objects.create(institution=scan.institution, peer=peer, study=scan.study, **more)


def _retried(retries: Any, make: Callable[[], Any]) -> "User":
    def reconcile() -> bool:
        retries.give_up()
        return bool(retries.anything_due())

    return User(
        retries.leases,
        make=make,
        claim=lambda pk: retries.claim([pk]),
        token=lambda held: held[0],
        finish=lambda held: retries.done(held[0], held[1][0]),
        reconcile=reconcile,
        done="done",
        reason="failure",
    )


def _delivery() -> Any:
    with transaction.atomic():
        return queue([webhook_at("https://example.org/hook")[0]], EventType.TEST, subject="test", data={})[0]


USERS = {
    "sendings": _retried(SENDINGS, lambda: _peer_job(Sending, original="x", sha256="0" * 64)),
    "webhooks": _retried(DELIVERIES, lambda: _delivery()),
    "prior searches": _retried(SEARCHES, lambda: _peer_job(PriorSearch)),
    "predictions": User(
        predictions.LEASES,
        make=lambda: PredictionFactory(queued=True),
        claim=lambda pk: predictions.claim_waiting(limit=1),
        token=lambda batch: batch.fence,
        finish=lambda batch: predictions.finish(
            batch=batch, outcomes={batch.predictions[0].pk: GOOD}, provenance=FROM
        ),
        reconcile=_reconciled_predictions,
        done="ready",
        reason="failure",
    ),
    "training": User(
        training.LEASES,
        make=TrainingRunFactory,
        claim=training.claim,
        token=lambda run: run.fence,
        finish=lambda run: training.stopped(run_id=run.pk, fence=run.fence),
        reconcile=lambda: bool(training.due()),
        done="cancelled",
        reason="failure",
    ),
    "plans": User(
        background.LEASES,
        make=_plan,
        claim=lambda pk: background.claimed(),
        token=lambda row: row.fence,
        finish=lambda row: background.LEASES.finish(row.fence, state="ready"),
        reconcile=_reconciled_plans,
        done="ready",
        reason="failure",
    ),
    "mail": User(
        outbox.PREPARING,
        make=_mail,
        claim=lambda pk: outbox.claim_mail(),
        token=lambda held: held[0],
        finish=_hand_over,
        reconcile=_reconciled_mail,
        done="sent",
        reason="mail_failure",
    ),
}

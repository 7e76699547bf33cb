"""What the scheduler puts right every few seconds: rows whose message was lost, whose worker died, whose time is over.

Each step stands alone. One that fails is logged and keeps no other from running; its error is raised at the end.
"""

from collections.abc import Callable
from typing import NamedTuple

import structlog

from diagnostics import closing
from diagnostics.audit import anchors
from diagnostics.datasets import background
from diagnostics.mail import outbox
from diagnostics.peers import jobs
from diagnostics.predictions import run_state as analyses
from diagnostics.predictions import services as predictions
from diagnostics.registry import requests
from diagnostics.registry import services as registry
from diagnostics.reviews import controls, worklist
from diagnostics.scans import looks
from diagnostics.shadow import services as shadow
from diagnostics.training import services as training
from diagnostics.webhooks import deliveries

log = structlog.get_logger(__name__)


class Nudge(NamedTuple):
    """A message for a worker: that a row waits for this task.

    Where it does not ``keep``, it is dropped when the next beat of the scheduler brings another: it must not pile up
    behind a training.
    """

    task: str
    args: tuple[str, ...] = ()
    keep: bool = True


def reconcile(tell: Callable[[Nudge], object]) -> None:
    """Run each step, and ``tell`` workers of what waits.

    Raises
    ------
    Exception
        That of a step that failed; an ExceptionGroup where several did.
    """
    failed: list[Exception] = []
    for step in STEPS:
        try:
            found = step()
            for nudge in found if isinstance(found, list) else ():
                tell(nudge)
        except Exception as error:
            # The edge of the task: whatever broke here, the other rooms' rows must not wait for it.
            log.exception("reconcile_step_failed", step=step.__name__)
            failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise ExceptionGroup("Several steps failed.", failed)


def queue_analyses() -> list[Nudge]:
    """Scans that came while no model was in use are queued; what waits too long gets another message."""
    live = registry.live()
    queued = live is not None and predictions.queue_missing(live)
    return [Nudge("infer")] if queued or analyses.anything_waiting() else []


def close_quiet_series() -> list[Nudge]:
    """Series of which no image has come for a while."""
    return [Nudge("close_series", keep=False)] if closing.anything_due() else []


def go_on_with_plans() -> list[Nudge]:
    """Plans and freezes of very many scans."""
    return [Nudge("plan_datasets")] if background.anything_waiting() else []


def go_on_with_training() -> list[Nudge]:
    """A run whose worker is gone is queued again, or given up."""
    return [Nudge("train", (str(run),)) for run in training.due()]


def go_on_with_mails() -> list[Nudge]:
    """Mails that are due."""
    return [Nudge("send_mails")] if outbox.anything_to_mail() else []


def go_on_with_peers() -> list[Nudge]:
    """Files for DICOM peers, and questions to them, that are due."""
    found = [Nudge("send_to_peers", keep=False)] if jobs.anything_to_send() else []
    return found + ([Nudge("ask_for_priors", keep=False)] if jobs.anything_to_ask() else [])


def go_on_with_webhooks() -> list[Nudge]:
    """Events for webhooks that are due."""
    return [Nudge("send_webhooks", keep=False)] if deliveries.anything_due() else []


def judge_candidates() -> list[Nudge]:
    """Candidates of which the gate is to be asked again."""
    return [Nudge("judge", (str(version),), keep=False) for version in training.unjudged()]


def go_on_in_the_shadow() -> list[Nudge]:
    """Live cases that the challenger has not scored."""
    return [Nudge("score_in_the_shadow", keep=False)] if shadow.anything_due() else []


# Each puts something right; those that give nudges have found work.
STEPS: tuple[Callable[[], object], ...] = (
    analyses.abandon_exhausted,
    worklist.expire_claims,
    worklist.free_left_work,
    worklist.refresh_order,
    controls.mix_in,
    close_quiet_series,
    queue_analyses,
    go_on_with_plans,
    go_on_with_training,
    go_on_with_mails,
    go_on_with_peers,
    go_on_with_webhooks,
    requests.expire,
    judge_candidates,
    go_on_in_the_shadow,
    looks.forget_looks,
    deliveries.forget_old,
    anchors.keep,
)

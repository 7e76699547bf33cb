"""Every Celery task. Each translates in, makes one call into the domain, and ends.

Contract of them all: the message is a nudge and may be lost, late or repeated. What is to be done is found in the
rows, claimed by a conditional UPDATE. TensorFlow is imported inside the bodies only: one operation in the parent of a
forking pool would hang every child.
"""

from typing import TYPE_CHECKING

from celery import shared_task
from django.conf import settings

if TYPE_CHECKING:
    from diagnostics.reconciling import Nudge


@shared_task(name="diagnostics.tasks.infer")
def infer() -> None:
    """Analyse whatever waits."""
    from diagnostics.predictions import inference

    inference.run_waiting()


@shared_task(name="diagnostics.tasks.close_series")
def close_series() -> None:
    """Put the series in order whose images are all here; what came of it is then analysed."""
    from diagnostics import closing

    if closing.close_due():
        infer.delay()


@shared_task(name="diagnostics.tasks.train")
def train(run_id: str) -> None:
    """Carry out one training run."""
    from diagnostics.training import fitting

    fitting.fit(run_id)


@shared_task(name="diagnostics.tasks.send_mails")
def send_mails() -> None:
    """Send whatever mail is due."""
    from diagnostics.mail import services as mail

    mail.send_due()


@shared_task(name="diagnostics.tasks.send_to_peers")
def send_to_peers() -> None:
    """Send DICOM files that wait for a peer."""
    from diagnostics.peers import sending

    sending.send_due()


@shared_task(name="diagnostics.tasks.ask_for_priors")
def ask_for_priors() -> None:
    """Ask archives for older studies of patients of whom a study has come."""
    from diagnostics.peers import priors

    priors.ask_due()


@shared_task(name="diagnostics.tasks.send_webhooks")
def send_webhooks() -> None:
    """Send events to the webhooks that wait for them."""
    from diagnostics.webhooks import deliveries

    deliveries.send_due()


@shared_task(name="diagnostics.tasks.judge")
def judge(version_id: str) -> None:
    """Ask the gate about a candidate again: another model is in use, or other rules hold."""
    from diagnostics.training import judging

    judging.judge(version_id)


@shared_task(name="diagnostics.tasks.score_in_the_shadow")
def score_in_the_shadow() -> None:
    """Let the challenger look at live cases."""
    from diagnostics.shadow import scoring

    scoring.score_waiting()


@shared_task(name="diagnostics.tasks.consider_retraining")
def consider_retraining() -> None:
    """Retrain where the installation is set to do so by itself and enough new labels wait.

    What it queues is a row; `reconcile` tells a worker of it, as of any run that nobody has begun.
    """
    from diagnostics.training import schedule

    schedule.consider()


@shared_task(name="diagnostics.tasks.watch_the_model")
def watch_the_model() -> None:
    """Hold the model in use against its limits."""
    from diagnostics.monitoring import services as monitoring

    monitoring.evaluate()


@shared_task(name="diagnostics.tasks.plan_datasets")
def plan_datasets() -> None:
    """Plan and freeze datasets of so many scans that nobody should wait for it."""
    from diagnostics.datasets import background

    background.work()


@shared_task(name="diagnostics.tasks.refresh_statistics")
def refresh_statistics() -> None:
    """Let the database look at its tables, so that it goes on choosing the right indexes as they grow."""
    from diagnostics.scans import planner_statistics

    planner_statistics.refresh()


@shared_task(name="diagnostics.tasks.reconcile")
def reconcile() -> None:
    """Find rows whose message was lost or whose worker died, and nudge again; keep an anchor of the audit."""
    from diagnostics import reconciling

    reconciling.reconcile(_nudge)


def _nudge(nudge: "Nudge") -> None:
    task = {
        each.name: each
        for each in (
            infer,
            close_series,
            train,
            send_mails,
            send_to_peers,
            ask_for_priors,
            send_webhooks,
            judge,
            score_in_the_shadow,
            plan_datasets,
        )
    }[f"diagnostics.tasks.{nudge.task}"]
    if nudge.keep:
        task.delay(*nudge.args)
    else:
        task.apply_async(nudge.args, expires=settings.RECONCILE_SECONDS)

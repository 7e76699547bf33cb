"""Webhooks under fire: the broker wiped, workers killed in the middle; each event at least once, in order per case."""

import json
import os
import random

import pytest
from django.db import close_old_connections, transaction

from diagnostics.models import WebhookDelivery
from diagnostics.webhooks import events
from diagnostics.webhooks.models import EventType
from tests import processes
from tests.webhook_receiver import receiver, webhook_at

pytestmark = [pytest.mark.django_db(transaction=True)]
SEED = int(os.environ.get("OVERREAD_TEST_SEED", "7"))
ALLOWED = {"OVERREAD_WEBHOOK_NETWORKS": "127.0.0.0/8", "OVERREAD_RECONCILE_SECONDS": "1"}


@pytest.fixture
def there(settings):
    from tests.webhook_receiver import HERE

    settings.WEBHOOK_NETWORKS = HERE
    with receiver() as process:
        yield process


def told(hook, count, subjects):
    for n in range(count):
        with transaction.atomic():
            events.queue([hook], EventType.TEST, subject=f"case:{n % subjects}", data={"n": n, "of": n % subjects})


def states():
    close_old_connections()
    return set(WebhookDelivery.objects.values_list("state", flat=True))


def assert_each_at_least_once_and_in_order(there, count):
    taken = there.got()
    assert {each["data"]["n"] for each in taken} == set(range(count))
    first: dict[int, list[int]] = {}
    for each in taken:
        seen = first.setdefault(each["data"]["of"], [])
        if each["data"]["n"] not in seen:
            seen.append(each["data"]["n"])
    assert all(seen == sorted(seen) for seen in first.values()), first


def under_fire(there, broker, count, kills):
    hook, _ = webhook_at(there.url, there)
    there.answers("wait 0.05")
    told(hook, count, subjects=4)
    chance = random.Random(SEED)
    processes.empty(broker)  # every message is lost; the rows are not
    for _ in range(kills):
        with processes.Worker("delivery", **ALLOWED) as worker:
            events.nudge()
            wanted = len(there.messages()) + chance.randint(1, max(1, count // (2 * kills)))
            processes.wait(lambda wanted=wanted: len(there.messages()) >= wanted, 60, "nothing was sent")
            worker.kill()
        processes.empty(broker)
        # As if the lease of what it held were over.
        WebhookDelivery.objects.filter(state="running").update(lease_until="2020-01-01T00:00Z")
    there.answers("200")
    with processes.Worker("delivery", **ALLOWED):
        processes.wait(lambda: events.nudge() or states() == {"done"}, 90, "not everything was sent")
    assert_each_at_least_once_and_in_order(there, count)
    assert all(json.loads(each["body"]) for each in there.messages())


def test_broker_wiped_and_a_worker_killed_lose_no_event(there, broker):
    under_fire(there, broker, count=16, kills=1)


@pytest.mark.faults
def test_broker_wiped_and_workers_killed_lose_no_event(there, broker):
    under_fire(there, broker, count=120, kills=4)

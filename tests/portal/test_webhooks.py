"""The page of webhooks: made, tested, looked at, sent again; the secret is in one answer alone."""

import json
import re

import pytest
from django.test import Client
from django.urls import reverse

from diagnostics.models import Webhook, WebhookDelivery
from diagnostics.scans.access import Role
from diagnostics.webhooks import deliveries, events
from tests.factories import InstitutionFactory, person
from tests.webhook_receiver import HERE, receiver, webhook_at

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(events, "nudge", lambda: None)


@pytest.fixture
def place():
    return InstitutionFactory(name="North")


@pytest.fixture
def client(place):
    made = Client()
    made.force_login(person(Role.ADMINISTRATOR, place))
    return made


def text(answer):
    return re.sub(r"\s+", " ", answer.content.decode())


def new(place, **more):
    wanted = {"institution": place.pk, "url": "https://example.org/", "events": ["case.done"]}
    return {**wanted, "description": "Dictation", **more}


def test_whole_way_on_the_page_with_a_receiver_that_verifies(client, place, settings):
    settings.WEBHOOK_NETWORKS = HERE
    with receiver() as there:
        made = client.post(reverse("webhooks:add"), new(place, url=there.url))
        assert made.status_code == 201 and "no-store" in made["Cache-Control"]
        secret = re.search(r"whsec_[\w+/=]+", made.content.decode())[0]
        there.knows(secret)
        hook = Webhook.objects.get()
        page = reverse("webhooks:webhook", args=[hook.pk])
        assert secret not in text(client.get(page)) and secret not in text(client.get(reverse("webhooks:list")))
        assert client.post(reverse("webhooks:test", args=[hook.pk])).url == page
        deliveries.send_due()
        shown = text(client.get(page))
        assert "Done" in shown and "HTTP 200" in shown and "webhook.test" in shown
        assert json.loads(WebhookDelivery.objects.get().body) == there.got()[0]
        assert client.post(reverse("webhooks:redeliver", args=[WebhookDelivery.objects.get().pk])).url == page
        deliveries.send_due()
        assert len(there.got()) == 2
        rotated = client.post(reverse("webhooks:rotate", args=[hook.pk]))
        other = re.search(r"whsec_[\w+/=]+", rotated.content.decode())[0]
        assert other != secret and "former secret" in text(rotated) and "no-store" in rotated["Cache-Control"]


def test_what_is_wrong_is_said_beside_the_field_and_nothing_is_lost(client, place):
    answer = client.post(reverse("webhooks:add"), new(place, url="https://192.168.1.7/hook"))
    assert answer.status_code == 400 and "private network" in text(answer)
    assert "https://192.168.1.7/hook" in text(answer) and "Dictation" in text(answer)
    assert client.post(reverse("webhooks:add"), new(place, events=[])).status_code == 400
    foreign = InstitutionFactory()
    assert client.post(reverse("webhooks:add"), new(foreign)).status_code == 400
    assert not Webhook.objects.exists()


def test_webhook_is_changed_and_switched_off(client, place):
    hook, _ = webhook_at("https://example.org/", institution=place)
    said = {"url": "https://example.org/2", "events": ["scan.ready", "case.done"], "with_patient": "on"}
    assert client.post(reverse("webhooks:change", args=[hook.pk]), said).status_code == 302
    hook.refresh_from_db()
    assert (hook.url, hook.events, hook.with_patient, hook.active) == (
        "https://example.org/2", ["scan.ready", "case.done"], True, False,
    )  # fmt: skip
    assert "Inactive" in text(client.get(reverse("webhooks:list")))


def test_log_shows_why_and_is_narrowed(client, place):
    hook, _ = webhook_at("https://example.org/", institution=place)
    rows = [events_of(hook, n) for n in range(3)]
    WebhookDelivery.objects.filter(pk=rows[0].pk).update(
        state="failed", failure="Nobody listens at the address.", tries=2, answer="<script>alert(1)</script>"
    )
    page = reverse("webhooks:webhook", args=[hook.pk])
    shown = text(client.get(page))
    assert "Nobody listens" in shown and "2 failed tries" in shown and "<script>alert" not in shown
    assert text(client.get(page)).count("Message and answer") == 3
    assert text(client.get(f"{page}?state=failed")).count("Message and answer") == 1
    assert client.get(f"{page}?after=nonsense").status_code == 400


def events_of(hook, n):
    from django.db import transaction

    with transaction.atomic():
        return events.queue([hook], events.EventType.TEST, subject=f"test:{n}", data={"n": n})[0]


def test_menu_leads_there_for_administrators_alone(client, place):
    assert reverse("webhooks:list") in text(client.get(reverse("history:audit")))
    reader = Client()
    reader.force_login(person(Role.RADIOLOGIST, place))
    assert reverse("webhooks:list") not in text(reader.get(reverse("worklist:list")))

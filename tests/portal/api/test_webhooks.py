"""Webhooks over the API: made, changed, tested, told of, sent again; their secret is shown once."""

import json

import pytest

from diagnostics.models import AuditEvent, Webhook, WebhookDelivery
from diagnostics.webhooks import deliveries, events
from portal.accounts.models import KeptAnswer, Scope
from tests.webhook_receiver import HERE, receiver

from .api_client import V1, assert_problem, bearer, results

pytestmark = pytest.mark.django_db(transaction=True)
NEW = {"url": "https://example.org/overread", "events": ["scan.ready", "case.done"]}


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(events, "nudge", lambda: None)


@pytest.fixture
def client(north):
    return bearer(north.administrator)


def post(client, path, body=None, **headers):
    return client.post(f"{V1}/{path}", body or {}, format="json", headers=headers)


def test_whole_way_with_a_receiver_that_verifies(client, settings):
    settings.WEBHOOK_NETWORKS = HERE
    with receiver() as there:
        made = post(client, "webhooks/", {**NEW, "url": there.url, "description": "Ours"})
        assert made.status_code == 201 and made["Location"].endswith(f"/webhooks/{made.json()['id']}/")
        there.knows(made.json()["secret"])
        hook = made.json()["id"]
        tested = post(client, f"webhooks/{hook}/test/")
        assert tested.status_code == 202 and tested.json()["state"] == "waiting"
        deliveries.send_due()
        (row,) = results(client, "webhooks/deliveries/", webhook=hook)
        assert (row["state"], row["status"], row["answer"]) == ("done", 200, "ok")
        assert json.loads(row["body"]) == there.got()[0] and row["message_id"] == there.messages()[0]["id"]
        again = post(client, f"webhooks/deliveries/{row['id']}/redeliver/")
        assert again.status_code == 202 and again.json()["state"] == "waiting"
        deliveries.send_due()
        assert len(there.got()) == 2 and len({each["id"] for each in there.messages()}) == 1


def test_secret_is_in_one_answer_and_nowhere_else(client):
    made = post(client, "webhooks/", NEW, **{"Idempotency-Key": "one"})
    secret = made.json()["secret"]
    assert secret.startswith("whsec_")
    replayed = post(client, "webhooks/", NEW, **{"Idempotency-Key": "one"})
    assert replayed.status_code == 201 and replayed.json()["secret"] is None and Webhook.objects.count() == 1
    hook = made.json()["id"]
    rotated = post(client, f"webhooks/{hook}/rotate-secret/", **{"Idempotency-Key": "two"}).json()["secret"]
    assert rotated.startswith("whsec_") and rotated != secret
    everything = client.get(f"{V1}/webhooks/").content + client.get(f"{V1}/webhooks/{hook}/").content
    kept = str(list(KeptAnswer.objects.values())) + str(list(AuditEvent.objects.values()))
    kept += str(list(WebhookDelivery.objects.values())) + everything.decode()
    assert secret not in kept and rotated not in kept


def test_what_is_wrong_is_said_by_field(client):
    private = assert_problem(post(client, "webhooks/", {**NEW, "url": "https://10.0.0.1/"}), 400, "bad_address")
    assert "private network" in str(private)
    for wrong in ({"url": "nonsense"}, {"events": []}, {"events": ["scan.red"]}, {"secret": "mine"}, {"url": None}):
        assert_problem(post(client, "webhooks/", {**NEW, **wrong}), 400)
    assert post(client, "webhooks/", NEW).status_code == 201
    assert_problem(post(client, "webhooks/", NEW), 409, "address_taken")
    assert Webhook.objects.count() == 1


def test_change_changes_what_is_named(client):
    hook = post(client, "webhooks/", NEW).json()["id"]
    changed = post(client, f"webhooks/{hook}/change/", {"active": False, "events": ["case.done"]}).json()
    assert (changed["active"], changed["events"], changed["url"]) == (False, ["case.done"], NEW["url"])
    assert_problem(post(client, f"webhooks/{hook}/change/", {"url": "http://127.0.0.1/"}), 400, "bad_address")
    assert AuditEvent.objects.filter(act="webhook_changed").count() == 1


def test_token_needs_the_scope_to_change_and_reads_without_it(north):
    client = bearer(north.administrator, Scope.READ)
    assert_problem(post(client, "webhooks/", NEW), 403, "scope_missing")
    assert client.get(f"{V1}/webhooks/").status_code == 200


def test_stranger_finds_neither_webhook_nor_delivery(client, south):
    hook = post(client, "webhooks/", NEW).json()["id"]
    row = post(client, f"webhooks/{hook}/test/").json()["id"]
    stranger = bearer(south.administrator)
    assert results(stranger, "webhooks/") == results(stranger, "webhooks/deliveries/") == []
    for path in (f"webhooks/{hook}/", f"webhooks/deliveries/{row}/"):
        assert_problem(stranger.get(f"{V1}/{path}"), 404)
    for path in ("change/", "rotate-secret/", "test/"):
        assert_problem(post(stranger, f"webhooks/{hook}/{path}"), 404)
    assert_problem(post(stranger, f"webhooks/deliveries/{row}/redeliver/"), 404)


def test_lists_are_narrowed(client):
    hook = post(client, "webhooks/", NEW).json()["id"]
    other = post(client, "webhooks/", {**NEW, "url": "https://example.org/2"}).json()["id"]
    for each in (hook, other, other):
        post(client, f"webhooks/{each}/test/")
    WebhookDelivery.objects.filter(webhook=hook).update(state="failed")
    assert len(results(client, "webhooks/deliveries/", webhook=other)) == 2
    assert [row["webhook"] for row in results(client, "webhooks/deliveries/", state="failed")] == [hook]
    assert results(client, "webhooks/deliveries/", event="case.done") == []
    assert len(results(client, "webhooks/deliveries/", page_size=1)) == 3

"""Webhooks: written with the event, signed, at least once, in order; given up after days; no way inside."""

import json
import socket
import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from diagnostics import pipeline, reconciling
from diagnostics.models import AuditEvent, Scan, Webhook, WebhookDelivery
from diagnostics.predictions import run_state
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.models import SecondReader
from diagnostics.webhooks import deliveries, events, posting, services
from diagnostics.webhooks.models import EventType
from tests.diagnostics.leased import FROM, GOOD
from tests.diagnostics.test_two_readers import final
from tests.factories import (
    CaseFactory,
    InstitutionFactory,
    PredictionFactory,
    ScanFactory,
    live_model,
    person,
)
from tests.webhook_receiver import HERE, receiver, webhook_at

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: True)
    monkeypatch.setattr(events, "nudge", lambda: None)


@pytest.fixture(scope="module")
def process():
    with receiver() as there:
        yield there


@pytest.fixture
def there(process, settings):
    settings.WEBHOOK_NETWORKS = HERE
    (process.folder / "messages").write_text("")
    process.answers("200")
    return process


def tell(hook, subject="scan:1", **data):
    with transaction.atomic():
        return events.queue([hook], EventType.TEST, subject=subject, data=data)[0]


def due_now():
    WebhookDelivery.objects.update(due_at=timezone.now())


def test_event_is_written_with_what_happened_or_not_at_all(there):
    hook, _ = webhook_at(there.url, there)
    with pytest.raises(RuntimeError, match="power"), transaction.atomic():
        events.tell(EventType.ALERT_RAISED, subject="x", institution=hook.institution_id, data={})
        raise RuntimeError("power")
    assert not WebhookDelivery.objects.exists()
    with pytest.raises(events.NotInTransaction):
        events.tell(EventType.ALERT_RAISED, subject="x", institution=hook.institution_id, data={})


def test_receiver_verifies_what_it_got_by_its_own_library(there):
    hook, secret = webhook_at(there.url, there)
    row = tell(hook, n=1)
    assert reconciling.go_on_with_webhooks() == [reconciling.Nudge("send_webhooks", keep=False)]
    assert deliveries.send_due() == 1
    (message,) = there.messages()
    assert message["valid"] == [secret] and message["id"] == f"msg_{row.event_id.hex}"
    body = json.loads(message["body"])
    assert (body["type"], body["data"]) == ("webhook.test", {"n": 1}) and body["timestamp"].startswith("20")
    row.refresh_from_db()
    assert (row.state, row.status, row.answer) == ("done", 200, "ok") and row.milliseconds is not None
    assert not reconciling.go_on_with_webhooks() and deliveries.send_due() == 0


def test_secret_is_rotated_with_two_valid_at_once_for_a_day(there):
    hook, first = webhook_at(there.url, there)
    by = person(Role.ADMINISTRATOR, hook.institution)
    second = services.rotate_secret(by=by, webhook=hook)
    there.knows(first, second)
    tell(hook)
    deliveries.send_due()
    assert set(there.messages()[-1]["valid"]) == {first, second}
    Webhook.objects.update(former_until=timezone.now())
    tell(hook)
    deliveries.send_due()
    assert there.messages()[-1]["valid"] == [second]
    row = Webhook.objects.get()
    assert first.encode() not in bytes(row.former_secret) and second.encode() not in bytes(row.secret)
    assert secret_of_the_audit(first, second) is False


def secret_of_the_audit(*secrets):
    kept = json.dumps(list(AuditEvent.objects.values_list("detail", flat=True)))
    return any(secret in kept for secret in secrets)


def test_what_fails_is_tried_again_under_the_same_id_and_given_up_after_days(there):
    hook, _ = webhook_at(there.url, there)
    row = tell(hook)
    there.answers("500")
    pauses = []
    for _ in range(9):
        due_now()
        assert deliveries.send_due() == 0
        row.refresh_from_db()
        pauses.append((row.due_at - timezone.now()).total_seconds())
    assert (row.state, row.tries, row.status) == ("waiting", 9, 500) and "500" in row.failure
    assert 25 < pauses[0] < 35 and 1000 < pauses[-1] <= 4000
    assert len({each["id"] for each in there.messages()}) == 1
    WebhookDelivery.objects.update(since=timezone.now() - timedelta(days=3, minutes=1))
    due_now()
    deliveries.send_due()
    row.refresh_from_db()
    assert row.state == "failed" and not reconciling.go_on_with_webhooks()
    there.answers("200")
    services.redeliver(by=person(Role.ADMINISTRATOR, hook.institution), delivery=row)
    assert deliveries.send_due() == 1
    row.refresh_from_db()
    assert (row.state, row.failure, row.tries) == ("done", "", 0)
    assert len({each["id"] for each in there.messages()}) == 1


def test_events_of_one_subject_keep_their_order_and_others_do_not_wait_for_them(there):
    hook, _ = webhook_at(there.url, there)
    for n in range(3):
        tell(hook, subject="scan:a", n=n)
    there.answers("500")
    assert deliveries.send_due() == 0
    assert [json.loads(each["body"])["data"]["n"] for each in there.messages()] == [0], "the others wait for the first"
    there.answers("200")
    tell(hook, subject="scan:b", n=9)
    assert deliveries.send_due() == 1 and there.got()[-1]["data"]["n"] == 9
    due_now()
    assert deliveries.send_due() == 3
    assert [each["data"]["n"] for each in there.got()] == [9, 0, 1, 2]


def test_first_that_is_given_up_lets_the_next_one_go(there):
    hook, _ = webhook_at(there.url, there)
    first, second = tell(hook, n=0), tell(hook, n=1)
    WebhookDelivery.objects.filter(pk=first.pk).update(state="failed")
    assert deliveries.send_due() == 1 and there.got()[0]["data"]["n"] == 1
    second.refresh_from_db()
    assert second.state == "done"


def test_receiver_that_is_away_keeps_no_other_waiting(there):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away, _ = webhook_at(f"http://127.0.0.1:{free.getsockname()[1]}/", events=["scan.ready"])
        here, _ = webhook_at(there.url, there)
        for n in range(10):
            tell(away, subject=f"scan:{n}")
        tell(here, subject="scan:here")
        assert deliveries.send_due() == 1 and len(there.got()) == 1
    assert WebhookDelivery.objects.filter(webhook=away, tries=1).count() == deliveries.SLOW_IN_A_ROW


def test_inactive_webhook_is_told_nothing_and_what_waits_stays(there):
    hook, _ = webhook_at(there.url, there)
    by = person(Role.ADMINISTRATOR, hook.institution)
    tell(hook)
    services.change_webhook(by=by, webhook=hook, active=False)
    assert deliveries.send_due() == 0
    with transaction.atomic():
        assert events.tell(EventType.ALERT_RAISED, subject="x", institution=hook.institution_id, data={}) == 0
    services.change_webhook(by=by, webhook=hook, active=True)
    assert deliveries.send_due() == 1


def test_redirect_is_not_followed_and_says_so(there):
    hook, _ = webhook_at(there.url, there)
    row = tell(hook)
    there.answers(f"307 {there.url}")
    deliveries.send_due()
    row.refresh_from_db()
    assert row.status == 307 and "not followed" in row.failure and len(there.messages()) == 1


def test_answer_that_never_ends_is_cut_off(monkeypatch, settings):
    settings.WEBHOOK_NETWORKS = HERE
    monkeypatch.setattr(posting, "TOTAL_SECONDS", 1.0)

    def drip(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    with talking(drip) as url:
        began = time.monotonic()
        answer = posting.post(url, b"{}", {})
        assert answer.status == 200 and time.monotonic() - began < 3

    def flood(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000_000)

    with talking(flood) as url:
        assert len(posting.post(url, b"{}", {}).text) == posting.MOST_OF_ANSWER


def test_headers_that_drip_are_cut_off(monkeypatch, settings):
    settings.WEBHOOK_NETWORKS = HERE
    monkeypatch.setattr(posting, "TOTAL_SECONDS", 1.0)

    def drip(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    with talking(drip) as url:
        began = time.monotonic()
        with pytest.raises(posting.NotReached):
            posting.post(url, b"{}", {})
        assert time.monotonic() - began < 4


@contextmanager
def talking(say):
    server = socket.create_server(("127.0.0.1", 0))

    def run():
        try:
            connection, _ = server.accept()
            with connection:
                say(connection)
        except OSError:
            pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    finally:
        server.close()


PRIVATE = [
    "https://127.0.0.1/", "https://10.0.0.1/", "https://192.168.1.1/", "https://172.16.0.1/", "https://169.254.169.254/",
    "https://0.0.0.0/", "https://[::1]/", "https://[fe80::1]/", "https://[fc00::1]/", "https://[::ffff:127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://100.64.0.1/", "https://224.0.0.1/",
    "https://255.255.255.255/", "https://[::]/",
]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE)
def test_private_address_is_refused_where_it_is_typed(url):
    with pytest.raises(posting.BadAddress):
        webhook_at(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "https:///x", "example.org", "https://a:b@example.org/",
        "https://example.org/#x", "https://exa mple.org/", "https://example.org:0/", "https://example.org:99999/",
        "https://ex\nample.org/", "javascript:alert(1)", "https://[::1", "https://münchen.example/",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_where_it_is_typed(url):
    with pytest.raises(posting.BadAddress):
        webhook_at(url)


# Names that lead to each of these, and numbers that a resolver takes for an address.
@pytest.mark.parametrize(
    "found", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "64:ff9b::a00:1"]
)
def test_name_that_leads_into_a_private_network_is_refused(monkeypatch, found):
    hook, _ = webhook_at("https://inside.example/")
    row = tell(hook)
    resolves(monkeypatch, [found])
    connected = connections(monkeypatch)
    deliveries.send_due()
    row.refresh_from_db()
    assert "private network" in row.failure and connected == []


def test_name_with_one_private_address_among_public_ones_is_refused(monkeypatch):
    resolves(monkeypatch, ["93.184.216.34", "10.0.0.1"])
    connected = connections(monkeypatch)
    with pytest.raises(posting.BadAddress):
        posting.post("https://mixed.example/", b"{}", {})
    assert connected == []


def test_name_that_changes_after_the_look_changes_nothing(monkeypatch):
    answers = [["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]]
    resolves(monkeypatch, lambda: answers.pop(0))
    connected = connections(monkeypatch)
    with pytest.raises(posting.NotReached):
        posting.post("https://rebinding.example/", b"{}", {})
    assert connected == [("93.184.216.34", 443)], "the address that was looked at, and no second look"


def resolves(monkeypatch, found):
    def getaddrinfo(host, port, *_, **__):
        if host[:1].isdigit() or ":" in host:
            return real(host, port, *_, **__)
        addresses = found() if callable(found) else found
        return [(0, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def connections(monkeypatch):
    connected = []

    def create_connection(address, timeout=None, **_):
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", create_connection)
    return connected


# --- what is told ---------------------------------------------------------------------------------------------


def told():
    return [(row.event, json.loads(row.body)) for row in WebhookDelivery.objects.order_by("pk")]


def analysed(scan, outcome):
    """A worker ends the analysis of a scan."""
    prediction = PredictionFactory(scan=scan, queued=True)
    batch = run_state.claim_waiting(limit=1)
    run_state.finish(batch=batch, outcomes={prediction.pk: outcome}, provenance=FROM)


def test_scan_and_case_are_told_in_order_and_nothing_of_what_anybody_thinks():
    place = InstitutionFactory(second_reader=SecondReader.ALL)
    webhook_at("https://example.org/", institution=place)
    live_model()
    scan = ScanFactory(institution=place)
    case = CaseFactory(scan=scan)
    analysed(scan, GOOD)
    readers = [person(Role.RADIOLOGIST, place) for _ in range(2)]
    for reader, label in zip(readers, ("tumour", "no_tumour"), strict=True):
        final(reader, case, label)
    said = told()
    assert [event for event, _ in said] == ["scan.ready", "case.disagreement"]
    final(person(Role.ADJUDICATOR, place), case, "tumour")
    said = told()
    assert [event for event, _ in said] == ["scan.ready", "case.disagreement", "case.done"]
    assert set(WebhookDelivery.objects.values_list("subject", flat=True)) == {f"scan:{scan.pk}"}
    assert said[0][1]["data"].keys() == {"scan", "study", "prediction", "model_version"}
    words = json.dumps([body for _, body in said])
    for secret in ("glioma", "no_tumour", scan.patient.pseudonym, readers[0].username):
        assert secret not in words


def test_failure_is_told_with_its_code():
    place = InstitutionFactory()
    webhook_at("https://example.org/", institution=place)
    analysed(ScanFactory(institution=place), run_state.Failure("blank", "It is blank.", rejects=True))
    ((event, body),) = told()
    assert (event, body["data"]["code"]) == ("prediction.failed", "blank")


def test_patient_is_named_only_to_whom_it_was_chosen_for():
    place = InstitutionFactory()
    webhook_at("https://example.org/without", institution=place)
    webhook_at("https://example.org/with", institution=place, with_patient=True)
    scan = ScanFactory(institution=place)
    analysed(scan, GOOD)
    without, with_patient = (body for _, body in told())
    assert "patient" not in without and scan.patient.pseudonym not in json.dumps(without)
    assert with_patient["patient"]["pseudonym"] == scan.patient.pseudonym
    assert with_patient["data"] == without["data"]


def test_each_institution_is_told_of_its_own_alone_and_of_the_model_all_share(tmp_path):
    ours, theirs = InstitutionFactory(), InstitutionFactory()
    for place in (ours, theirs):
        webhook_at("https://example.org/", institution=place)
    scan = ScanFactory(institution=ours)
    analysed(scan, GOOD)
    assert list(WebhookDelivery.objects.values_list("institution", flat=True)) == [ours.pk]
    with transaction.atomic():
        events.tell(EventType.MODEL_PROMOTED, subject="model", institution=None, data={"number": 1})
    assert WebhookDelivery.objects.filter(event="model.promoted").count() == 2


def test_control_case_is_told_to_nobody():
    place = InstitutionFactory()
    webhook_at("https://example.org/", institution=place)
    scan = ScanFactory(institution=place)
    type(scan.patient).objects.update(is_synthetic=True)
    analysed(Scan.objects.get(), GOOD)
    assert told() == []


def test_only_chosen_events_are_told():
    place = InstitutionFactory()
    webhook_at("https://example.org/", institution=place, events=["case.done"])
    analysed(ScanFactory(institution=place), GOOD)
    assert told() == []
    with pytest.raises(services.BadEvents):
        webhook_at("https://example.org/x", institution=place, events=["scan.red"])
    with pytest.raises(services.BadEvents):
        webhook_at("https://example.org/x", institution=place, events=[])


def test_nobody_but_an_administrator_of_the_institution_makes_changes_or_sends_again():
    hook, _ = webhook_at("https://example.org/")
    row = tell(hook)
    for by in (person(Role.DATA_MANAGER, hook.institution), person(Role.ADMINISTRATOR, InstitutionFactory())):
        for act in (
            lambda by=by: services.add_webhook(
                by=by, institution=hook.institution, url="https://example.org/2", events=["case.done"]
            ),
            lambda by=by: services.change_webhook(by=by, webhook=hook, active=False),
            lambda by=by: services.rotate_secret(by=by, webhook=hook),
            lambda by=by: services.send_test(by=by, webhook=hook),
            lambda by=by: services.redeliver(by=by, delivery=row),
        ):
            with pytest.raises(NotAllowed):
                act()
        assert not services.webhooks_for(by).exists() and not services.deliveries_for(by).exists()


def test_institution_has_one_webhook_of_an_address_and_not_too_many(monkeypatch):
    hook, _ = webhook_at("https://example.org/")
    with pytest.raises(services.AddressTaken):
        webhook_at("https://example.org/", institution=hook.institution)
    monkeypatch.setattr(services, "MOST_WEBHOOKS", 1)
    with pytest.raises(services.TooManyWebhooks):
        webhook_at("https://example.org/2", institution=hook.institution)


def test_log_is_kept_for_a_while_and_what_waits_for_ever(settings):
    settings.WEBHOOK_LOG_DAYS = 30
    hook, _ = webhook_at("https://example.org/")
    old, recent, waiting = (tell(hook, n=n) for n in range(3))
    long_ago = timezone.now() - timedelta(days=31)
    WebhookDelivery.objects.filter(pk=old.pk).update(state="done", finished_at=long_ago)
    WebhookDelivery.objects.filter(pk=recent.pk).update(state="failed", finished_at=timezone.now())
    WebhookDelivery.objects.filter(pk=waiting.pk).update(created_at=long_ago)
    assert deliveries.forget_old() == 1
    assert set(WebhookDelivery.objects.values_list("pk", flat=True)) == {recent.pk, waiting.pk}

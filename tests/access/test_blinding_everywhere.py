"""Whoever is blind to the AI's opinion meets the same bytes, whatever that opinion is.

Two worlds differ in nothing but what the AI says of scans that these people are blind to. Each of them asks for
everything that the installation answers (:mod:`tests.access.blind_walk`): pages, files, API, admin, filters, orders,
searches, headers, counts, mails. Every answer must be the same, byte for byte. A new address is walked by itself.
"""

import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core import mail
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management.color import no_style
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from diagnostics import pipeline
from diagnostics.models import (
    AlertRule,
    Case,
    Control,
    DatasetItem,
    GateResult,
    GateRules,
    ModelAlarm,
    Prediction,
    Promotion,
    PromotionRequest,
    Read,
    Retraining,
    RuledOut,
    Scan,
    ShadowOpinion,
    TestedScan,
)
from diagnostics.peers.models import DicomPeer, PriorSearch, PriorStudy, Sending
from diagnostics.predictions import run_state
from diagnostics.scans.access import Role
from diagnostics.scans.looks import Look
from diagnostics.scans.sealed import SealedOriginal
from diagnostics.scans.series import KeptInstance, QuarantinedFile, Series
from diagnostics.webhooks.models import Webhook, WebhookDelivery
from portal.accounts.models import Scope, issue_token
from tests.factories import AnnotationFactory, MembershipFactory, PredictionFactory, ReadFactory, ScanFactory, person
from tests.transactions import around

from . import blind_walk
from .blind_walk import Asked, Walk, ids_drawn_alike
from .world import World, build

LABELS = {"a": "glioma", "b": "no_tumour"}
P = {"a": 0.91827364, "b": 0.08172635}
NOW = timezone.now()
BLIND = ("radiologist", "adjudicator", "technologist", "reader who manages", "superuser who reads")


@pytest.fixture
def world(db, monkeypatch) -> Iterator[World]:
    cache.clear()
    monkeypatch.setattr(pipeline, "nudge", lambda *_: True)
    # Copies of every template's context, and a line for every request, cost more than the requests.
    monkeypatch.setattr("django.test.client.store_rendered_templates", lambda *_args, **_more: None)
    logging.disable(logging.CRITICAL)
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(NOW.timestamp())))  # the clock of what writes a PDF
    settings.API_REQUESTS_PER_MINUTE = 1_000_000
    made = build()
    home = made.people["radiologist"].memberships.get().institution
    manager = person(Role.RADIOLOGIST, home, is_staff=True)
    for role in (Role.DATA_MANAGER, Role.ADMINISTRATOR):
        MembershipFactory(user=manager, institution=home, role=role)
    root = person(Role.RADIOLOGIST, home, is_staff=True, is_superuser=True)
    for viewpoint, user in (("reader who manages", manager), ("superuser who reads", root)):
        made.people[viewpoint] = user
        ends = NOW + timedelta(days=1)
        made.tokens[viewpoint] = issue_token(user=user, name="t", scopes=list(Scope.values), expires_at=ends)[1]
        client = Client()
        client.force_login(user)
        made.sessions[viewpoint] = client.cookies[settings.SESSION_COOKIE_NAME].value
    _let_all_wait(made, home)
    _one_of_everything_else(made)
    yield made
    logging.disable(logging.NOTSET)


def _let_all_wait(world: World, home: Any) -> None:
    """The AI is still to say what it thinks of each open case's scan, and of a labelled one that nobody reads."""
    Prediction.objects.filter(pk=world.rows["prediction"]).update(
        state="queued", finished_at=None, label="", finding="", probabilities=None, tumour_probability=None, heatmap=""
    )
    labelled = ScanFactory(institution=home, reference_label="meningioma")
    unseen = Scan.objects.filter(pk__in=Case.objects.filter(state="open").values("scan"), predictions__isnull=True)
    for scan in [*unseen, labelled]:
        PredictionFactory(scan=scan, queued=True)


def _one_of_everything_else(world: World) -> None:
    """Rows of the tables that the world of the access tests lacks, so that each address of the admin has one."""
    AnnotationFactory(case_id=world.rows["held"], author=world.people["radiologist"])
    Promotion.objects.create(version_id=world.rows["model"], kind="install", reason="It came with the software.")
    read = Read.objects.get(pk=world.rows["read"])
    DatasetItem.objects.create(
        dataset_id=world.rows["dataset"],
        scan_id=read.case.scan_id,
        read=read,
        label=read.label,
        label_source="read",
        group="g",
        split="train",
    )
    manager = world.people["data_manager"]
    RuledOut.objects.create(
        ruling=uuid.uuid4(), scan_id=read.case.scan_id, label="glioma", reason="A twin.", by=manager
    )
    PromotionRequest.objects.create(
        version_id=world.rows["model"], proposed_by=manager, reason="Better.", expires_at=NOW + timedelta(days=1)
    )
    Retraining.objects.get_or_create(only=True)
    TestedScan.objects.create(
        version_id=world.rows["model"],
        scan_id=read.case.scan_id,
        truth="glioma",
        label="glioma",
        tumour_probability=0.8,
    )
    Control.objects.create(institution=read.case.institution, beside_id=world.rows["held"])
    first = GateRules.objects.order_by("number").first()
    rules = first or GateRules.objects.create(number=1, rules={}, reason="The first.")
    GateResult.objects.create(
        version_id=world.rows["model"], rules=rules, verdict="fail", findings=[], test_sha256="0" * 64
    )
    ModelAlarm.objects.create(version_id=world.rows["model"])
    AlertRule.objects.create(watched="overrides", limit=0.3)
    Group.objects.create(name="group")
    Look.objects.create(person=manager, scan_id=read.case.scan_id, what="image", hour=NOW)
    scan = read.case.scan
    Series.objects.create(institution=scan.institution, study=scan.study, uid="1.2.3", close_at=NOW)
    kept = {"institution": scan.institution, "size_bytes": 1}
    KeptInstance.objects.create(**kept, study=scan.study, kind="other", sop_uid="1.2.4", sha256="0" * 64)
    SealedOriginal.objects.create(**kept, stored_sha256="2" * 64, sha256="3" * 64)
    place = {"institution": scan.institution}
    peer = DicomPeer.objects.create(
        **place, name="Scanner", ae_title="SCANNER", addresses="10.0.0.1", account=manager, host="10.0.0.1"
    )
    hook = Webhook.objects.create(**place, url="https://example.org", secret=b"x", created_by=manager)
    WebhookDelivery.objects.create(
        **place, webhook=hook, event="webhook.test", event_id=uuid.uuid4(), subject="test", body="{}"
    )
    Sending.objects.create(**place, peer=peer, study=scan.study, original="x", sha256="4" * 64)
    search = PriorSearch.objects.create(**place, peer=peer, study=scan.study)
    PriorStudy.objects.create(**place, study=scan.study, search=search)
    QuarantinedFile.objects.create(**kept, sop_uid="1.2.5", sha256="1" * 64, uploaded_by=manager)


@contextmanager
def in_world(world: World, which: str) -> Iterator[None]:
    """The opinions of one of the two worlds, as the worker writes them; undone afterwards."""
    tables = connection.introspection.table_names()
    sequences = list(connection.introspection.installed_models(tables))
    for statement in connection.ops.sequence_reset_sql(no_style(), sequences):
        with connection.cursor() as cursor:
            cursor.execute(statement)
    with around(), ids_drawn_alike():
        mail.outbox.clear()
        batch = run_state.claim_waiting(limit=100)
        outcomes: dict[Any, Any] = {}
        for row in batch.predictions:
            heatmap = default_storage.save(f"heatmaps/{row.pk}.png", ContentFile(b"\x89PNG " + which.encode() * 9))
            other = "no_tumour" if LABELS[which] == "glioma" else "glioma"
            outcomes[row.pk] = run_state.Result(
                label=LABELS[which],
                finding="tumour" if which == "a" else "no_tumour",
                probabilities={LABELS[which]: max(P[which], 1 - P[which]), other: min(P[which], 1 - P[which])},
                tumour_probability=P[which],
                warnings=["ood"] if which == "a" else [],
                heatmap=heatmap,
            )
        assert run_state.finish(batch=batch, outcomes=outcomes, provenance={"weights_sha256": "0" * 64}) >= 5
        # A challenger looks at the same scans in the shadow.
        ShadowOpinion.objects.create(
            scan_id=world.rows["scan"],
            model_version_id=world.rows["model"],
            label=LABELS[which],
            finding=LABELS[which] if which == "b" else "tumour",
            probabilities={LABELS[which]: 1.0},
            tumour_probability=P[which],
            weights_sha256="0" * 64,
        )
        yield
        transaction.set_rollback(True)


def told_apart(
    world: World, viewpoint: str, *, deep: bool = False, only: Sequence[Asked] = ()
) -> tuple[list[str], Walk]:
    """The requests by which ``viewpoint`` can tell the two worlds apart, of all there are or ``only`` some."""
    first, second = Walk(world, viewpoint), Walk(world, viewpoint)
    with in_world(world, "a"):
        first.again(only) if only else first.everything(deep=deep)
        mails = [(each.subject, each.body) for each in mail.outbox]
    with in_world(world, "b"):
        second.again(list(first.answers))
        assert [(each.subject, each.body) for each in mail.outbox] == mails
    leaks = [
        f"{asked}: {_difference(answer, second.answers[asked])}"
        for asked, answer in first.answers.items()
        if second.answers[asked] != answer
    ]
    return leaks, first


def _difference(one: bytes, other: bytes) -> str:
    """Where two answers part, with what stands around it."""
    at = next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return f"…{one[max(0, at - 40) : at + 60]!r} ↔ …{other[max(0, at - 40) : at + 60]!r}"


SHALLOW = [
    pytest.param("reader who manages", False, marks=pytest.mark.timeout(1200))
]  # every page there is, and blind
DEEP = [pytest.param(each, True, marks=[pytest.mark.faults, pytest.mark.timeout(3600)]) for each in BLIND]


@pytest.mark.parametrize(("viewpoint", "deep"), [*SHALLOW, *DEEP])
def test_the_opinion_changes_nothing_that_a_blind_person_can_ask_for(world, viewpoint, deep, capsys):
    """Shallow in each run: every address once. Deep (``make faults``): every row, link, filter and parameter."""
    leaks, walk = told_apart(world, viewpoint, deep=deep)
    opened = sum(status == 200 for status in walk.statuses.values())
    with capsys.disabled():
        print(f"\n{viewpoint}: {len(walk.answers)} requests in each world, {opened} answered 200, {len(leaks)} leaks")
    assert leaks == []
    assert opened > 40, "otherwise nothing was looked at"


def test_whoever_is_not_blind_meets_the_opinion(world):
    """The same walk finds what there is to find: without this the other test could not fail."""
    rows = world.rows
    addresses = [
        "/api/v1/scans/",
        f"/api/v1/scans/{rows['scan']}/",
        "/api/v1/predictions/",
        f"/api/v1/predictions/{rows['prediction']}/heatmap/",
        f"/cases/files/predictions/{rows['prediction']}/heatmap.png",
        f"/cases/{rows['case']}/",
        f"/history/patients/{rows['patient']}/",
        f"/scans/{rows['scan']}/",
    ]
    leaks, _walk = told_apart(world, "data_manager", only=[Asked("GET", address) for address in addresses])
    assert [leak.split(":")[0] for leak in leaks] == [f"GET {address}" for address in addresses]


def test_a_read_that_is_locked_and_not_revealed_opens_no_page(world):
    """Whoever has locked a blind read and not asked for the opinion yet can tell it from nothing but by asking."""
    held = Case.objects.get(pk=world.rows["held"])
    ReadFactory(case=held, reader=world.people["radiologist"], claim=held.claims.get(released_at=None))
    (prediction,) = held.scan.predictions.all()
    pages = [
        f"/cases/{held.pk}/",
        f"/cases/{held.pk}/comments/",
        f"/cases/{held.pk}/report.pdf",
        f"/cases/files/predictions/{prediction.pk}/heatmap.png",
        f"/scans/{held.scan_id}/",
        f"/history/patients/{held.scan.patient_id}/",
        "/history/my-reads/",
        "/worklist/?tab=mine",
        f"/api/v1/cases/{held.pk}/",
        f"/api/v1/cases/{held.pk}/comments/",
        "/api/v1/reads/",
    ]
    asked = [Asked("GET", page) for page in pages] + [Asked("GET", pages[0], htmx=True)]
    leaks, walk = told_apart(
        world, "radiologist", only=[*asked, Asked("POST", f"/cases/{held.pk}/final/", name="reading:final")]
    )
    assert leaks == []
    assert sum(status == 200 for status in walk.statuses.values()) >= len(asked) - 1
    asking = [Asked("GET", f"/api/v1/scans/{held.scan_id}/")]
    assert len(told_apart(world, "radiologist", only=asking)[0]) == 1, "asking is the reveal"


def test_an_address_that_no_row_fits_into_fails(world, monkeypatch):
    monkeypatch.setitem(blind_walk.HINTS, "reading:case", "nothing")
    with pytest.raises(KeyError):
        list(blind_walk.addresses(world, deep=False))

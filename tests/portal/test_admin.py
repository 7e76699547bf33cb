"""The domain in the Django admin: who sees what, nothing is edited in place, and every act goes by its service."""

import uuid

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from diagnostics import pipeline
from diagnostics.datasets.services import freeze
from diagnostics.models import (
    Alert,
    AuditChain,
    AuditEvent,
    AuditLink,
    Control,
    DatasetPlan,
    DatasetVersion,
    DicomPeer,
    GateResult,
    GateRules,
    Institution,
    KeptInstance,
    Look,
    ModelAlarm,
    Notification,
    PriorSearch,
    PriorStudy,
    Promotion,
    PromotionRequest,
    QuarantinedFile,
    RuledOut,
    SealedOriginal,
    Sending,
    Series,
    ShadowOpinion,
    TestedScan,
    TrainingRun,
    Webhook,
    WebhookDelivery,
)
from diagnostics.monitoring import services as monitoring
from diagnostics.notifications.models import NotificationChoices
from diagnostics.registry import services as registry
from diagnostics.reviews.models import Comment, Draft, SavedView
from diagnostics.scans.access import Role
from diagnostics.training import run_state, schedule
from diagnostics.training import services as training
from portal.admin import counting
from tests.diagnostics.model_fixtures import model_folder, put_into_use, stored_model
from tests.diagnostics.test_datasets import enough, own_files  # noqa: F401 - fixture
from tests.factories import (
    AnnotationFactory,
    CaseFactory,
    ClaimFactory,
    InstitutionFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    UserFactory,
    answers_for_the_model,
    person,
)

pytestmark = pytest.mark.django_db
MODELS = [
    model
    for model in apps.get_app_config("diagnostics").get_models()
    if not model._meta.auto_created and model not in (Draft, NotificationChoices, SavedView)
]  # theirs alone whose they are


@pytest.fixture(autouse=True)
def own_cache(settings, tmp_path):
    settings.MODEL_CACHE_DIR = tmp_path / "cache"


@pytest.fixture
def north():
    return InstitutionFactory(code="north", name="North")


def staff(role, institution, **fields):
    return person(role, institution, is_staff=True, **fields)


@pytest.fixture
def keeper(north):
    return staff(Role.DATA_MANAGER, north)


@pytest.fixture
def boss(north):
    return staff(Role.ADMINISTRATOR, north)


@pytest.fixture
def root():
    return UserFactory(is_staff=True, is_superuser=True)


@pytest.fixture
def dataset(north, keeper):
    enough(north)
    return freeze(by=keeper, institutions=[north])


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response) -> str:
    return " ".join(response.content.decode().split())


def page(name: str, *args) -> str:
    return reverse(f"admin:diagnostics_{name}", args=args)


def everything(institution, keeper, tmp_path) -> dict[str, object]:
    """A row of every table, in one institution where the table belongs to one."""
    scan = ScanFactory(institution=institution, patient__pseudonym=f"{institution.code}-SECRET")
    prediction = PredictionFactory(scan=scan)
    read = ReadFactory(final=True, case=CaseFactory(scan=scan, done=True))
    enough(institution)
    dataset = freeze(by=keeper, institutions=[institution])
    run = training.queue(by=keeper, dataset=dataset, config={})
    training.cancel(by=keeper, run=run)
    version = stored_model(tmp_path)
    administrator = person(Role.ADMINISTRATOR, institution)
    comment = Comment.objects.create(case=read.case, author=read.reader, kind="asked", text="A cyst?")
    return {
        "comment": comment,
        "scan": scan,
        "patient": scan.patient,
        "study": scan.study,
        "prediction": prediction,
        "case": read.case,
        "claim": read.claim,
        "read": read,
        "annotation": AnnotationFactory(case=read.case, author=read.reader),
        "datasetversion": dataset,
        "datasetitem": dataset.items.first(),
        "ruledout": RuledOut.objects.create(
            ruling=scan.pk, scan=scan, label="tumour", reason="north-SECRET", by=keeper
        ),
        "alert": Alert.objects.create(
            watched="overrides", institution=institution, model_version=version, value=0.5, limit=0.2, n=40
        ),
        "modeladministrator": answers_for_the_model(administrator).model_administrator,
        "alertrule": monitoring.set_rule(by=administrator, watched="overrides", limit=0.2),
        "retraining": schedule.set_policy(by=keeper, enabled=True, new_labels=5, institutions=[institution]),
        "trainingrun": run,
        "modelversion": version,
        "promotion": put_into_use(administrator, version),
        "institution": institution,
        "membership": keeper.memberships.first(),
        "auditevent": AuditEvent.objects.filter(institution=institution).first(),
        "auditchain": AuditChain.objects.first(),
        "series": Series.objects.create(
            institution=institution, study=scan.study, uid="1.2.3", close_at=timezone.now()
        ),
        "image": scan.images.get(),
        "keptinstance": KeptInstance.objects.create(
            institution=institution, study=scan.study, kind="other", sop_uid="1.2.4", sha256="0" * 64, size_bytes=1
        ),
        "quarantinedfile": QuarantinedFile.objects.create(
            institution=institution, sop_uid="1.2.5", sha256="1" * 64, size_bytes=1, uploaded_by=keeper
        ),
        "sealedoriginal": SealedOriginal.objects.create(
            institution=institution, stored_sha256="2" * 64, sha256="3" * 64, size_bytes=1
        ),
        **of_peers(scan, keeper),
        **of_webhooks(institution, keeper),
        "look": Look.objects.create(person=keeper, scan=scan, what="image", hour=timezone.now()),
        "auditlink": AuditLink.objects.get(event_id=AuditEvent.objects.filter(institution=institution).first().pk),
        "notification": Notification.objects.create(
            recipient=keeper, institution=institution, kind="prediction_failed", scan=scan
        ),
        "control": Control.objects.create(
            institution=institution,
            beside=CaseFactory(scan__institution=institution),
            case=read.case,
            source=scan,
            truth="glioma",
        ),
        **of_models(scan, version, keeper),
    }


def of_peers(scan, keeper) -> dict[str, object]:
    """A row of every table about who speaks DICOM with us."""
    place = {"institution": scan.institution}
    peer = DicomPeer.objects.create(
        **place, name="north-SECRET", ae_title="NORTH", addresses="10.0.0.1", account=keeper, host="10.0.0.1"
    )
    search = PriorSearch.objects.create(**place, peer=peer, study=scan.study)
    return {
        "dicompeer": peer,
        "sending": Sending.objects.create(**place, peer=peer, study=scan.study, original="x", sha256="4" * 64),
        "priorsearch": search,
        "priorstudy": PriorStudy.objects.create(**place, study=scan.study, search=search),
    }


def of_webhooks(institution, keeper) -> dict[str, object]:
    """A webhook, and something that it was told."""
    hook = Webhook.objects.create(
        institution=institution, url=f"https://{institution.code}-SECRET.example", secret=b"x", created_by=keeper
    )
    said = {"event": "webhook.test", "event_id": uuid.uuid4(), "subject": "test", "body": "{}"}
    return {
        "webhook": hook,
        "webhookdelivery": WebhookDelivery.objects.create(webhook=hook, institution=institution, **said),
    }


def of_models(scan, version, keeper) -> dict[str, object]:
    """A row of every table about how models do."""
    rules = GateRules.objects.create(number=99, rules={}, reason="As agreed.", by=keeper)
    scored = {"scan": scan, "label": "glioma"}
    return {
        "gaterules": rules,
        "gateresult": GateResult.objects.create(
            version=version, rules=rules, verdict="fail", findings=[], test_sha256="0" * 64
        ),
        "promotionrequest": PromotionRequest.objects.create(
            version=version, proposed_by=keeper, reason="Better.", expires_at=timezone.now()
        ),
        "modelalarm": ModelAlarm.objects.create(version=version),
        "shadowopinion": ShadowOpinion.objects.create(
            **scored,
            model_version=version,
            finding="tumour",
            probabilities={"glioma": 1.0},
            tumour_probability=1.0,
            weights_sha256="0" * 64,
        ),
        "datasetplan": DatasetPlan.objects.create(by=keeper, key="0" * 64, wanted={}),
        "testedscan": TestedScan.objects.create(**scored, version=version, truth="glioma", tumour_probability=1.0),
    }


def test_every_table_of_the_domain_is_in_the_admin():
    assert [model.__name__ for model in MODELS if not admin.site.is_registered(model)] == []
    for model in MODELS:
        assert admin.site._registry[model].show_full_result_count is False


def test_superuser_opens_every_list_search_and_row(north, keeper, root, tmp_path):
    rows = everything(north, keeper, tmp_path)
    client = client_of(root)
    wrong = []
    for model in MODELS:
        name = model._meta.model_name
        urls = [page(f"{name}_changelist"), page(f"{name}_changelist") + "?q=x", page(f"{name}_change", rows[name].pk)]
        wrong += [url for url in urls if client.get(url).status_code != 200]
    assert wrong == []


SMALL = ("ModelVersion", "DatasetVersion")  # a handful of rows, whose filters may look at each


def test_no_list_counts_or_reads_the_whole_table(north, keeper, root, tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "CAP", 3)
    everything(north, keeper, tmp_path)
    ScanFactory.create_batch(4, institution=north)
    client = client_of(root)
    for model in MODELS:
        with CaptureQueriesContext(connection) as ran:
            listing = client.get(page(f"{model._meta.model_name}_changelist") + "?_facets=True")
        for sql in (query["sql"] for query in ran):
            words = sql.startswith("SELECT DISTINCT") and model.__name__ not in SMALL
            whole = words or ("COUNT(" in sql and "LIMIT" not in sql)
            assert not whole, (model.__name__, sql)
        assert listing.context["cl"].result_count <= 3, model.__name__
    shown = text(client.get(page("scan_changelist") + "?format=png"))
    assert "3+ scans" in shown and "3 results" not in shown
    assert "0 scans" in text(client.get(page("scan_changelist") + "?format=dicom"))


# Whether each role sees a table: data manager, administrator.
SEEN = {
    "scan": (True, True),
    "patient": (True, True),
    "study": (True, True),
    "prediction": (True, True),
    "case": (True, True),
    "claim": (True, True),
    "read": (True, True),
    "comment": (True, True),
    "datasetversion": (True, True),
    "datasetitem": (True, True),
    "ruledout": (True, True),
    "alert": (True, True),
    "alertrule": (False, True),
    "retraining": (True, True),
    "trainingrun": (True, True),
    "modelversion": (True, True),
    "promotion": (True, True),
    "institution": (False, True),
    "membership": (False, True),
    "auditevent": (False, True),
    "auditchain": (False, True),
    "dicompeer": (False, True),
    "sending": (False, True),
    "webhook": (False, True),
    "webhookdelivery": (False, True),
    "priorsearch": (False, True),
    "priorstudy": (False, True),
    "look": (False, True),
    "auditlink": (False, True),
}


@pytest.mark.parametrize("role", Role.values)
def test_admin_lists_open_to_the_right_roles(north, role):
    client = client_of(staff(role, north))
    expected = {"data_manager": 0, "administrator": 1}
    for name, seen in SEEN.items():
        status = client.get(page(f"{name}_changelist")).status_code
        if role in expected:
            wanted = 200 if seen[expected[role]] else 403
        elif name in ("scan", "patient", "study", "prediction", "case"):
            wanted = 200  # a role that sees scans, should somebody have made them staff
        else:
            wanted = 403
        assert status == wanted, name


def test_admin_is_closed_to_whoever_is_not_staff(north):
    client = client_of(person(Role.ADMINISTRATOR, north, is_staff=False))
    for name in SEEN:
        assert client.get(page(f"{name}_changelist")).status_code == 302


def test_administrator_of_another_institution_finds_nothing_of_ours(north, keeper, tmp_path):
    rows = everything(north, keeper, tmp_path)
    stranger = staff(Role.ADMINISTRATOR, InstitutionFactory(code="south", name="South"))
    client = client_of(stranger)
    shared = ("alertrule", "modelversion", "promotion", "auditchain")
    for name in SEEN:
        listing = text(client.get(page(f"{name}_changelist")))
        assert "north" not in listing.lower() and "SECRET" not in listing, name
        if name not in shared:
            found = client.get(page(f"{name}_changelist") + "?q=SECRET")
            assert found.context["cl"].result_count == 0, name
        if name not in shared:
            answer = client.get(page(f"{name}_change", rows[name].pk))
            # Django's admin leads back to its index where a row does not exist.
            assert answer.status_code == 302 and "north" not in text(client.get(answer.url)).lower(), name
            filtered = client.get(page(f"{name}_changelist") + "?institution=north")
            assert filtered.status_code == 302 or filtered.context["cl"].result_count == 0, name


def test_nothing_is_added_deleted_or_edited_but_institutions(north, root, keeper, tmp_path):
    rows = everything(north, keeper, tmp_path)
    client = client_of(root)
    for name, row in rows.items():
        assert client.post(page(f"{name}_delete", row.pk), {"post": "yes"}).status_code == 403, name
        assert type(row).objects.filter(pk=row.pk).exists(), name
        if name in ("institution", "dicompeer"):
            continue
        assert client.get(page(f"{name}_add")).status_code == 403, name
        before = type(row).objects.filter(pk=row.pk).values().get()
        answer = client.post(page(f"{name}_change", row.pk), {"label": "glioma", "reason": "x", "state": "live"})
        assert answer.status_code == 403, name
        assert type(row).objects.filter(pk=row.pk).values().get() == before, name


def test_a_reader_who_is_staff_finds_no_opinion_they_must_not_know(north):
    reader = staff(Role.RADIOLOGIST, north)
    reader.memberships.create(institution=north, role=Role.DATA_MANAGER)
    prediction = PredictionFactory(scan=CaseFactory(scan__institution=north).scan, p=0.987)
    client = client_of(reader)
    assert "0.987" not in text(client.get(page("prediction_changelist")))
    assert client.get(page("prediction_change", prediction.pk)).status_code == 302
    assert "0.987" in text(client_of(staff(Role.DATA_MANAGER, north)).get(page("prediction_changelist")))


def test_claim_page_hides_the_token_that_a_read_needs(north, keeper):
    claim = ClaimFactory(case=CaseFactory(scan__institution=north))
    assert str(claim.token) not in text(client_of(keeper).get(page("claim_change", claim.pk)))


def test_institution_is_changed_through_the_audited_service(north, boss, keeper):
    url = page("institution_change", north.pk)
    client_of(boss).post(url, {"name": "North General", "reading_mode": "concurrent", "code": "stolen"})
    north.refresh_from_db()
    assert (north.name, north.reading_mode, north.code) == ("North General", "concurrent", "north")
    event = AuditEvent.objects.get(act="institution_changed")
    assert (event.actor, event.detail) == (boss, {"name": "North General", "reading_mode": "concurrent"})
    assert client_of(keeper).post(url, {"name": "Mine", "reading_mode": "concurrent"}).status_code == 403


def test_institution_is_made_by_the_superuser_only(north, boss, root):
    form = {"code": "west", "name": "West", "reading_mode": "blind_first"}
    assert client_of(boss).post(page("institution_add"), form).status_code == 403
    client_of(root).post(page("institution_add"), form)
    made = Institution.objects.get(code="west")
    assert AuditEvent.objects.get(act="institution_made", target_id=str(made.pk)).actor == root


# --- acts ---


def test_freeze_shows_its_plan_and_freezes_what_was_shown(north, keeper):
    enough(north)
    client = client_of(keeper)
    url = page("datasetversion_freeze")
    shown = client.get(url)
    assert "16" in text(shown) and not DatasetVersion.objects.exists()
    form = {"institutions": north.code, "lineage": "main", "seed": 0, "include_imported": "on"}
    seen = shown.context["plan"].sha256
    looked = client.post(url, form | {"look": "1", "seed": 4, "seen": seen})
    assert looked.status_code == 200 and not DatasetVersion.objects.exists()
    changed = client.post(url, form | {"freeze": "1", "seed": 4, "seen": seen})
    assert "The plan below is new" in text(changed) and not DatasetVersion.objects.exists()
    done = client.post(url, form | {"freeze": "1", "seen": seen})
    version = DatasetVersion.objects.get()
    assert done.url == page("datasetversion_change", version.pk)
    assert version.created_by == keeper
    assert "Nothing has changed since dataset v1" in text(client.get(url))


def test_freeze_page_of_an_empty_institution_says_what_is_missing(north, keeper):
    shown = text(client_of(keeper).get(page("datasetversion_freeze")))
    assert "No scans yet in North" in shown
    assert 'value="Freeze" disabled' in shown


def test_train_queues_a_run_and_shows_its_page(dataset, keeper, monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda *args: True)
    client = client_of(keeper)
    url = page("datasetversion_train", dataset.pk)
    form = {field.name: field.initial for field in client.get(url).context["form"]} | {"epochs": 2}
    form = {name: value for name, value in form.items() if value is not False}
    answer = client.post(url, form)
    run = TrainingRun.objects.get()
    assert answer.url == page("trainingrun_change", run.pk)
    assert run.config["epochs"] == 2
    second = client.post(url, form)
    assert second.status_code == 409
    assert "Training run 1 is queued" in text(second)
    assert "Training cannot start now" in text(client.get(page("datasetversion_change", dataset.pk)))


def test_run_page_polls_and_cancels(dataset, keeper):
    run = training.queue(by=keeper, dataset=dataset, config={})
    client = client_of(keeper)
    claimed = run_state.claim(run.pk)
    epochs = [{"epoch": 1, "loss": 0.9, "val_loss": 0.8, "val_auroc": 0.7}]
    run_state.progress(run_id=run.pk, fence=claimed.fence, step=run_state.Step(0.3, 40, epochs, "epoch 1 of 8"))
    shown = text(client.get(page("trainingrun_change", run.pk)))
    assert "about 40 s left" in shown and "epoch 1 of 8" in shown and 'hx-trigger="every 2s"' in shown
    assert client.get(page("trainingrun_progress", run.pk)).status_code == 200
    assert "is lost" in text(client.get(page("trainingrun_cancel", run.pk)))
    client.post(page("trainingrun_cancel", run.pk))
    run.refresh_from_db()
    assert run.cancel_requested_at is not None
    run_state.stopped(run_id=run.pk, fence=claimed.fence)
    assert client.get(page("trainingrun_progress", run.pk)).status_code == 286


def test_promote_and_roll_back_ask_for_a_reason(boss, keeper, tmp_path):
    first = registry.install_bundled_model(model_folder(tmp_path))
    second = stored_model(tmp_path, b"second")
    client = client_of(boss)
    url = page("modelversion_promote", second.pk)
    assert "0.800" in text(client.get(url))
    refused = client.post(url, {"reason": ""})
    assert refused.status_code == 400 and "Give a reason" in text(refused)
    client_of(keeper).post(url, {"reason": "mine"})
    assert registry.live() == first and PromotionRequest.objects.get().proposed_by == keeper
    why = "Nothing is measured in this test."
    for body in ({"reason": "better", "name": str(second)}, {"reason": why}):
        refused = client.post(url, body)
        assert refused.status_code == 400 and "The gate has not judged this model." in text(refused)
    assert registry.live() == first
    client.post(url, {"reason": why, "name": str(second)})
    assert registry.live() == second
    assert "Roll back to" in text(client.get(page("modelversion_changelist")))
    shown = text(client.get(page("modelversion_roll_back")))
    assert f'name="to" value="{first.pk}"' in shown
    client.post(page("modelversion_roll_back"), {"reason": "worse", "to": first.pk})
    assert registry.live() == first
    stale = client.post(page("modelversion_roll_back"), {"reason": "worse", "to": first.pk})
    assert stale.status_code == 400 and "has just changed" in text(stale) and registry.live() == first
    assert list(Promotion.objects.values_list("kind", "reason", "by")[:2]) == [
        ("rollback", "worse", boss.pk),
        ("promote", why, boss.pk),
    ]


def test_acts_on_foreign_datasets_and_runs_do_not_exist(dataset, keeper):
    run = training.queue(by=keeper, dataset=dataset, config={})
    client = client_of(staff(Role.ADMINISTRATOR, InstitutionFactory()))
    for url in (
        page("datasetversion_train", dataset.pk),
        page("trainingrun_progress", run.pk),
        page("trainingrun_cancel", run.pk),
    ):
        assert client.get(url).status_code == 404
        assert client.post(url, {}).status_code == 404
    run.refresh_from_db()
    assert run.state == "queued"


@pytest.mark.parametrize("name", ["scan", "datasetitem", "prediction", "auditevent", "study", "read"])
def test_lists_cost_the_same_for_many_rows_as_for_few(north, keeper, root, tmp_path, name):
    everything(north, keeper, tmp_path)
    client = client_of(root)

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            client.get(page(f"{name}_changelist"))
        return len(asked)

    few = queries()
    for _ in range(3):
        read = ReadFactory(final=True, case=CaseFactory(scan=ScanFactory(institution=north), done=True))
        PredictionFactory(scan=read.case.scan)
    assert queries() == few


def test_administrator_adds_a_dicom_peer_for_their_own_institution_alone(north, boss):
    technologist, foreign = person(Role.TECHNOLOGIST, north), person(Role.TECHNOLOGIST, InstitutionFactory())
    client = client_of(boss)
    said = {
        "institution": north.pk, "name": "Archive", "ae_title": "ARCHIVE", "addresses": "10.1.0.0/16, 10.2.3.4",
        "account": technologist.pk, "may_send": "on", "port": 104, "most_priors": 3, "prior_years": 5, "active": "on",
    }  # fmt: skip
    assert client.post(page("dicompeer_add"), said).status_code == 302
    peer = DicomPeer.objects.get()
    assert peer.comes_from("10.1.200.3") and peer.comes_from("::ffff:10.2.3.4") and not peer.comes_from("10.2.3.5")
    assert AuditEvent.objects.get(act="dicom_peer_added").detail["ae_title"] == "ARCHIVE"
    for wrong in (
        {"addresses": "everywhere"},
        {"addresses": ""},
        {"ae_title": "A\\B"},
        {"ae_title": "SEVENTEEN_LETTERS"},
        {"ae_title": "ARCHIVE"},
        {"account": foreign.pk},
        {"institution": foreign.memberships.get().institution_id},
        {"is_asked_for_priors": "on", "host": ""},
    ):
        answer = client.post(page("dicompeer_add"), {**said, "ae_title": "OTHER", **wrong})
        assert answer.status_code == 200 and answer.context["errors"], wrong
    assert DicomPeer.objects.count() == 1
    stranger = client_of(staff(Role.ADMINISTRATOR, foreign.memberships.get().institution))
    stranger.post(page("dicompeer_change", peer.pk), {**said, "name": "Mine"})
    client.post(page("dicompeer_change", peer.pk), {**said, "active": ""})
    peer.refresh_from_db()
    assert (peer.name, peer.active) == ("Archive", False)

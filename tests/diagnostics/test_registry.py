"""Models are kept by hash, one is in use, and every change of that has a person and a reason."""

import random
import threading
import time

import pytest
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from diagnostics.models import AuditEvent, Institution, Membership, ModelVersion, Promotion
from diagnostics.registry import artifacts, services
from diagnostics.registry.models import ModelState
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.storage import DurableFileSystemStorage
from tests.diagnostics.model_fixtures import model_folder, put_into_use, stored_model


@pytest.fixture(autouse=True)
def own_files(settings, tmp_path):
    settings.MODEL_CACHE_DIR = tmp_path / "cache"
    settings.STORAGES = settings.STORAGES | {
        "artifacts": {
            "BACKEND": "diagnostics.scans.storage.DurableFileSystemStorage",
            "OPTIONS": {"location": tmp_path / "files", "allow_overwrite": True},
        }
    }


def person(name: str, role: str) -> object:
    user = get_user_model().objects.create_user(name, password=None)
    place, _ = Institution.objects.get_or_create(code="north", defaults={"name": "North"})
    Membership.objects.create(user=user, institution=place, role=role)
    return user


def states() -> dict[str, int]:
    return dict(ModelVersion.objects.order_by("state").values_list("state", "number"))


@pytest.mark.django_db
def test_register_keeps_the_files_and_makes_a_candidate(tmp_path):
    folder = model_folder(tmp_path)
    version = services.register(by=None, folder=folder, name="First")
    assert (version.number, version.name, version.state) == (1, "First", ModelState.CANDIDATE)
    assert version.architecture == "seed_cnn"
    assert version.report["test"]["metrics"]["auroc"]["value"] == 0.8
    assert version.card.startswith("# A toy")
    for name in ("weights.npz", "spec.json", "report.json", "card.md"):
        with storages["artifacts"].open(f"{version.sha256}/{name}") as stored:
            assert stored.read() == (folder / name).read_bytes()
    assert AuditEvent.objects.filter(act="model_registered", target_id=str(version.pk)).count() == 1


@pytest.mark.django_db
def test_register_the_same_model_again_gives_the_version_that_exists(tmp_path):
    first = stored_model(tmp_path)
    again = stored_model(tmp_path)
    assert again.pk == first.pk
    assert ModelVersion.objects.count() == 1
    assert AuditEvent.objects.filter(act="model_registered").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("missing", ["weights.npz", "spec.json"])
def test_register_an_incomplete_folder_is_refused(tmp_path, missing):
    folder = model_folder(tmp_path)
    (folder / missing).unlink()
    with pytest.raises(services.ArtifactDamaged, match=missing):
        services.register(by=None, folder=folder)
    assert not ModelVersion.objects.exists()


@pytest.mark.django_db
def test_register_in_a_storage_that_alters_bytes_is_refused(tmp_path, monkeypatch):
    store = storages["artifacts"]
    real = type(store)._save
    monkeypatch.setattr(type(store), "_save", lambda self, name, content: real(self, name, ContentFile(b"altered")))
    with pytest.raises(services.ArtifactDamaged, match="other bytes"):
        stored_model(tmp_path)
    assert not ModelVersion.objects.exists()


@pytest.mark.django_db
def test_register_again_mends_files_that_were_lost(tmp_path):
    version = stored_model(tmp_path)
    storages["artifacts"].delete(f"{version.sha256}/weights.npz")
    stored_model(tmp_path)
    assert (services.fetch(version) / "weights.npz").read_bytes() == b"weights"


@pytest.mark.django_db
def test_fetch_mends_a_local_copy_that_was_altered(tmp_path, settings):
    version = stored_model(tmp_path)
    local = services.fetch(version)
    (local / "weights.npz").write_bytes(b"tampered")
    assert (services.fetch(version) / "weights.npz").read_bytes() == b"weights"
    assert [each.name for each in settings.MODEL_CACHE_DIR.iterdir()] == [version.sha256]


@pytest.mark.django_db
@pytest.mark.parametrize("fault", ["altered", "gone"])
def test_fetch_of_damaged_storage_is_refused_and_nothing_is_given_instead(tmp_path, settings, fault):
    version = stored_model(tmp_path)
    key = f"{version.sha256}/weights.npz"
    storages["artifacts"].delete(key)
    if fault == "altered":
        storages["artifacts"].save(key, ContentFile(b"tampered"))
    with pytest.raises(services.ArtifactDamaged):
        services.fetch(version)
    assert list(settings.MODEL_CACHE_DIR.iterdir()) == []


def test_identity_is_that_of_mlcore(tmp_path):
    artifact = pytest.importorskip("mlcore.networks.artifact")
    from mlcore.model.identity import ArtifactDamaged, sha256_of

    assert artifact.sha256_of(model_folder(tmp_path)) == sha256_of(model_folder(tmp_path))
    assert artifact.ArtifactDamaged is ArtifactDamaged


@pytest.mark.django_db
def test_install_puts_the_model_in_the_box_into_use_once(tmp_path):
    box = model_folder(tmp_path)
    version = services.install_bundled_model(box)
    assert services.live() == version
    assert version.state == ModelState.LIVE
    services.install_bundled_model(box)
    decision = Promotion.objects.get()
    assert (decision.kind, decision.by, decision.version) == ("install", None, version)


@pytest.mark.django_db
def test_install_of_a_newer_box_leaves_the_model_in_use(tmp_path):
    first = services.install_bundled_model(model_folder(tmp_path))
    newer = services.install_bundled_model(model_folder(tmp_path, b"newer"))
    assert services.live() == first
    assert newer.state == ModelState.CANDIDATE


@pytest.mark.django_db
def test_promote_moves_every_version_one_place_on(tmp_path):
    boss = person("boss", Role.ADMINISTRATOR)
    versions = [stored_model(tmp_path, bytes([n])) for n in range(3)]
    for version in versions:
        put_into_use(boss, version)
    assert states() == {"retired": 1, "previous": 2, "live": 3}
    decision = Promotion.objects.first()
    assert (decision.former, decision.by) == (versions[1], boss)
    event = AuditEvent.objects.filter(act="model_promoted").first()
    assert event.target_id == str(versions[2].pk)
    assert event.detail["former"] == str(versions[1].pk)


@pytest.mark.django_db
def test_promote_the_previous_version_swaps_the_two(tmp_path):
    boss = person("boss", Role.ADMINISTRATOR)
    first, second = stored_model(tmp_path, b"1"), stored_model(tmp_path, b"2")
    put_into_use(boss, first)
    put_into_use(boss, second)
    put_into_use(boss, first)
    assert states() == {"live": 1, "previous": 2}


@pytest.mark.django_db
def test_promote_what_is_in_use_is_refused_by_name(tmp_path):
    boss = person("boss", Role.ADMINISTRATOR)
    version = services.install_bundled_model(model_folder(tmp_path))
    with pytest.raises(services.AlreadyLive, match="already live"):
        put_into_use(boss, version)
    assert Promotion.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("reason", ["", "  \n"])
def test_promote_without_a_reason_is_refused(tmp_path, reason):
    boss = person("boss", Role.ADMINISTRATOR)
    version = stored_model(tmp_path)
    with pytest.raises(services.ReasonMissing, match="Give a reason"):
        services.promote(by=boss, version=version, reason=reason)
    assert services.live() is None


@pytest.mark.django_db
@pytest.mark.parametrize("role", [r for r in Role if r != Role.ADMINISTRATOR])
def test_promote_and_roll_back_need_the_administrator(tmp_path, role):
    somebody = person("somebody", role)
    version = stored_model(tmp_path)
    with pytest.raises(NotAllowed):
        put_into_use(somebody, version)
    with pytest.raises(NotAllowed):
        services.roll_back(by=somebody, reason="mine")
    assert not Promotion.objects.exists()


@pytest.mark.django_db
def test_promote_a_damaged_model_is_refused_and_the_live_one_stays(tmp_path):
    boss = person("boss", Role.ADMINISTRATOR)
    first = services.install_bundled_model(model_folder(tmp_path))
    second = stored_model(tmp_path, b"second")
    storages["artifacts"].delete(f"{second.sha256}/spec.json")
    with pytest.raises(services.ArtifactDamaged):
        put_into_use(boss, second)
    assert services.live() == first


@pytest.mark.django_db
def test_roll_back_twice_returns_to_where_it_was(tmp_path):
    boss = person("boss", Role.ADMINISTRATOR)
    first = services.install_bundled_model(model_folder(tmp_path))
    second = stored_model(tmp_path, b"second")
    put_into_use(boss, second)
    back = services.roll_back(by=boss, reason="it was not")
    assert (back.version, back.former, back.kind) == (first, second, "rollback")
    assert states() == {"live": 1, "previous": 2}
    services.roll_back(by=boss, reason="it was after all")
    assert states() == {"live": 2, "previous": 1}


@pytest.mark.django_db
def test_roll_back_with_nothing_to_return_to_is_refused(tmp_path):
    boss = person("boss", Role.ADMINISTRATOR)
    services.install_bundled_model(model_folder(tmp_path))
    with pytest.raises(services.NothingToReturnTo, match="no previous model"):
        services.roll_back(by=boss, reason="try")


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["live", "previous", "challenger"])
def test_database_refuses_two_models_of_one_alias(tmp_path, state):
    first, second = stored_model(tmp_path, b"1"), stored_model(tmp_path, b"2")
    since = timezone.now() if state == "challenger" else None
    ModelVersion.objects.filter(pk=first.pk).update(state=state, challenged_at=since)
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelVersion.objects.filter(pk=second.pk).update(state=state, challenged_at=since)


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "reason"), [("promote", "because"), ("install", "")])
def test_database_refuses_a_promotion_without_person_or_reason(tmp_path, kind, reason):
    version = stored_model(tmp_path)
    with pytest.raises(IntegrityError), transaction.atomic():
        Promotion.objects.create(version=version, kind=kind, reason=reason)


def at_once(*acts):
    """Run the acts in threads that start together; gives what each returned or raised."""
    gate, answers = threading.Barrier(len(acts)), [None] * len(acts)

    def run(place, act):
        try:
            gate.wait(timeout=30)
            answers[place] = act()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            answers[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=240)  # a busy machine takes its time with two fits at once
    return answers


@pytest.mark.django_db(transaction=True)
def test_promote_at_once_leaves_one_live_and_one_previous(tmp_path):
    boss = person("boss", Role.ADMINISTRATOR)
    services.install_bundled_model(model_folder(tmp_path))
    rivals = [stored_model(tmp_path, bytes([n])) for n in range(4)]
    answers = at_once(
        *[lambda v=v: put_into_use(boss, v) for v in rivals],
        lambda: put_into_use(boss, rivals[0]),
    )
    assert sum(isinstance(each, Promotion) for each in answers) >= 4
    assert all(isinstance(each, Promotion | services.AlreadyLive) for each in answers), answers
    found = list(ModelVersion.objects.values_list("state", flat=True))
    assert found.count("live") == 1
    assert found.count("previous") == 1
    # Each decision names the version that it really replaced.
    chain = list(Promotion.objects.order_by("at").values_list("former", "version"))
    assert [former for former, _ in chain[1:]] == [version for _, version in chain[:-1]]


@pytest.mark.django_db(transaction=True)
def test_roll_back_at_once_happens_once(tmp_path):
    boss = person("boss", Role.ADMINISTRATOR)
    first = services.install_bundled_model(model_folder(tmp_path))
    second = stored_model(tmp_path, b"second")
    put_into_use(boss, second)
    answers = at_once(*[lambda: services.roll_back(by=boss, reason="race", to=str(first.pk))] * 2)
    assert {type(each) for each in answers} == {Promotion, services.NothingToReturnTo}, answers
    assert services.live() == first


@pytest.mark.django_db(transaction=True)
def test_register_at_once_gives_each_its_number_and_the_same_model_one(tmp_path):
    folders = [model_folder(tmp_path, bytes([n])) for n in (1, 2, 3, 3)]
    answers = at_once(*[lambda f=f: services.register(by=None, folder=f) for f in folders])
    assert sorted(version.number for version in set(answers)) == [1, 2, 3], answers
    assert answers[2] == answers[3]


def test_keep_at_once_never_deletes_what_another_wrote(tmp_path, monkeypatch):
    def save_far_away(self, name, content, real=DurableFileSystemStorage._save):
        time.sleep(random.choice((0, 0.03)))  # the network between us and a store
        return real(self, name, content)

    monkeypatch.setattr(DurableFileSystemStorage, "_save", save_far_away)
    for round_ in range(4):
        folder = model_folder(tmp_path, b"round %d" % round_)
        answers = at_once(*[lambda f=folder: artifacts.keep(f)] * 4)
        assert len(set(answers)) == 1 and isinstance(answers[0], str), answers
        assert artifacts.stored_whole(answers[0])

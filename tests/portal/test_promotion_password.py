"""The password before a model goes into use: looked at as often as the limit allows, and never left out by chance."""

import pytest
from django.core.cache import cache
from django.db import transaction
from django.urls import reverse

from diagnostics.models import Promotion
from diagnostics.registry import requests
from diagnostics.registry import services as registry
from diagnostics.scans.access import Role
from portal.accounts import attempts, freshness
from portal.accounts.models import AttemptCount, KeptAnswer, User
from tests.diagnostics.model_fixtures import model_folder, stored_model
from tests.factories import PASSWORD, InstitutionFactory, person
from tests.portal.test_promotion import V1, WHY, by_token, client_of, judged, text

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_files(settings, tmp_path):
    cache.clear()
    settings.MODEL_CACHE_DIR = tmp_path / "cache"
    settings.FRESH_TOKENS = True
    settings.STORAGES = settings.STORAGES | {
        "artifacts": {
            "BACKEND": "diagnostics.scans.storage.DurableFileSystemStorage",
            "OPTIONS": {"location": tmp_path / "files", "allow_overwrite": True},
        }
    }


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def ada(place):
    return person(Role.ADMINISTRATOR, place, username="ada")


@pytest.fixture
def candidate(tmp_path):
    registry.install_bundled_model(model_folder(tmp_path, b"live"))
    return stored_model(tmp_path, b"candidate", name="Second")


@pytest.fixture(params=["promote", "approve"])
def act(request, ada, place, candidate):
    """An address that wants the password, and a body that would put the model into use."""
    if request.param == "promote":
        return f"{V1}/model-versions/{candidate.pk}/promote/", {"reason": WHY, "name": str(candidate)}
    keeper = person(Role.DATA_MANAGER, place, username="keeper")
    asked = requests.propose(by=keeper, version=candidate, reason=WHY)
    return f"{V1}/promotion-requests/{asked.pk}/approve/", {"exception": WHY, "name": str(candidate)}


def test_wrong_passwords_count_also_with_an_idempotency_key(ada, act, candidate):
    program, (address, body) = by_token(ada, hours_old=9), act
    said = [
        program.post(
            address,
            {**body, "password": f"wrong {number}"},
            content_type="application/json",
            headers={"Idempotency-Key": f"key-{number}"},
        )
        for number in range(attempts.LIMIT_PER_NAME + 2)
    ]
    assert [answer.status_code for answer in said] == [403] * len(said)
    refused = ["Too many wrong passwords" in answer.json()["detail"] for answer in said]
    assert refused == [False] * attempts.LIMIT_PER_NAME + [True, True]
    assert AttemptCount.objects.get().count == attempts.LIMIT_PER_NAME
    right = {**body, "password": PASSWORD}
    last = program.post(address, right, content_type="application/json", headers={"Idempotency-Key": "right"})
    assert last.status_code == 403 and registry.live() != candidate
    assert not KeptAnswer.objects.exists()


def test_a_kept_answer_is_given_again_and_the_right_password_counts_for_nothing(ada, act, candidate):
    program, (address, body) = by_token(ada, hours_old=9), act
    said = [
        program.post(
            address,
            {**body, "password": PASSWORD},
            content_type="application/json",
            headers={"Idempotency-Key": "one"},
        )
        for _ in range(attempts.LIMIT_PER_NAME + 2)
    ]
    assert {answer.status_code for answer in said} == {200}, said[0].content
    assert [answer.headers.get("Idempotency-Replayed") for answer in said] == [None] + ["true"] * (len(said) - 1)
    assert Promotion.objects.filter(kind="promote").count() == 1 and registry.live() == candidate
    assert not AttemptCount.objects.exists()


def test_a_password_is_counted_in_no_transaction_that_could_take_the_count_back(ada, rf):
    request = rf.post("/")
    request.user = ada
    with pytest.raises(RuntimeError), transaction.atomic():
        freshness.check_own_password(request, "wrong")


@pytest.fixture
def ben(place):
    return person(Role.ADMINISTRATOR, place, username="ben")


@pytest.fixture(params=["the gate passes", "the other one leaves"])
def in_between(request, monkeypatch, ben, candidate):
    """Right after it was asked whether another one must approve, nobody else need."""
    asked = requests.terms_for

    def asked_and_then(**words):
        said = asked(**words)
        monkeypatch.setattr(requests, "terms_for", asked)
        if request.param == "the gate passes":
            judged(candidate)
        else:
            User.objects.filter(pk=ben.pk).update(is_active=False)
        return said

    monkeypatch.setattr(requests, "terms_for", asked_and_then)


def by_api(ada, candidate, body):
    answer = by_token(ada, hours_old=9).post(
        f"{V1}/model-versions/{candidate.pk}/promote/", body, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "promotion_refused"), answer.content
    return answer.json()["detail"]


def by_page(name):
    def act(ada, candidate, body):
        User.objects.filter(pk=ada.pk).update(is_staff=True, is_superuser=name.startswith("admin:"))
        client = client_of(ada)
        session = client.session
        session[freshness.SESSION_KEY] = 0
        session.save()
        return text(client.post(reverse(name, args=[candidate.pk]), body, follow=True))

    return act


DOORS = {"api": by_api, "lab": by_page("lab:promote"), "admin": by_page("admin:diagnostics_modelversion_promote")}


@pytest.mark.parametrize("door", DOORS)
def test_no_model_goes_into_use_without_the_password_when_the_second_person_drops_out(
    ada, candidate, in_between, door
):
    said = DOORS[door](ada, candidate, {"reason": WHY, "name": str(candidate)})
    assert "has just changed" in said and "Check and decide again" in said
    assert registry.live() != candidate and not Promotion.objects.filter(kind="promote").exists()


def test_no_proposal_is_made_where_the_person_was_to_promote(ada, ben, candidate):
    judged(candidate, "fail")
    alone = requests.Terms(approval_needed=False, exception=None)
    with pytest.raises(registry.PromotionRefused, match="has just changed"):
        requests.put_forward(by=ada, version=candidate, reason=WHY, name=str(candidate), terms=alone)
    assert not candidate.requests.exists()

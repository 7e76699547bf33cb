"""Into use over pages and API: by one where one is enough, by two where two must agree, freshly signed in."""

import html
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnostics.models import GateResult, Promotion, PromotionRequest
from diagnostics.registry import gate
from diagnostics.registry import services as registry
from diagnostics.scans.access import Role
from portal.accounts import freshness
from portal.accounts.models import ApiToken, Scope, issue_token
from tests.diagnostics.model_fixtures import model_folder, put_into_use, stored_model
from tests.factories import PASSWORD, CaseFactory, InstitutionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db
V1 = "/api/v1"
WHY = "The new scanner is not in the test part."


@pytest.fixture(autouse=True)
def own_files(settings, tmp_path):
    cache.clear()  # wrong passwords are counted there
    settings.MODEL_CACHE_DIR = tmp_path / "cache"
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
def ben(place):
    return person(Role.ADMINISTRATOR, place, username="ben")


@pytest.fixture
def keeper(place):
    return person(Role.DATA_MANAGER, place, username="keeper")


@pytest.fixture
def live(tmp_path):
    return registry.install_bundled_model(model_folder(tmp_path, b"live"))


@pytest.fixture
def candidate(live, tmp_path):
    return stored_model(tmp_path, b"candidate", name="Second")


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def by_token(user, *, hours_old=0):
    row, token = issue_token(
        user=user, name="t", scopes=list(Scope.values), expires_at=timezone.now() + timedelta(days=9)
    )
    if hours_old:
        ApiToken.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(hours=hours_old))
    return Client(headers={"authorization": f"Bearer {token}"})


def text(response) -> str:
    return " ".join(response.content.decode().split())


def judged(version, verdict="pass"):
    rule = {
        "rule": "auroc",
        "verdict": verdict,
        "numbers": [
            {
                "name": "auroc",
                "value": -0.05,
                "low": -0.08,
                "high": -0.02,
                "n": 400,
                "limit": -0.03,
                "verdict": verdict,
            }
        ],
    }
    return GateResult.objects.create(
        version=version,
        live=registry.live(),
        rules=gate.current_rules(),
        verdict=verdict,
        findings=[rule],
        test_sha256="0" * 64,
    )


def test_one_administrator_promotes_with_a_reason_and_the_page_says_that_one_is_enough(ada, candidate):
    page = client_of(ada).get(reverse("lab:model", args=[candidate.pk]))
    assert "needs no second administrator" in text(page)
    assert "<strong>The gate has not judged this model.</strong> It will analyse 0 waiting cases" in text(page)
    assert "a reason of at least 20 characters" in text(page) and f"<code>{candidate}</code>" in text(page)
    address, body = f"{V1}/model-versions/{candidate.pk}/promote/", {"reason": WHY, "name": str(candidate)}
    answer = by_token(ada).post(address, body, content_type="application/json")
    assert (answer.status_code, answer.json()["state"]) == (200, "live")
    decision = Promotion.objects.get(kind="promote")
    assert (decision.gate, decision.exception, decision.approved_by) == ("unmeasured", WHY, None)


def test_what_an_exception_needs_is_said_over_the_api(ada, candidate, place):
    judged(candidate, "fail")
    for _ in range(2):
        CaseFactory(scan=ScanFactory(institution=place))
    address = f"{V1}/model-versions/{candidate.pk}/promote/"

    def refused(**body):
        answer = by_token(ada).post(address, body, content_type="application/json")
        assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
        return answer.json()

    said = refused(reason="trial", name=str(candidate))
    assert said["code"] == "exception_needed" and list(said["errors"]) == ["reason"]
    assert said["needed"] == {
        "name": str(candidate),
        "reason_characters": 20,
        "gate": "The gate failed: AUROC.",
        "waiting_cases": 2,
        "second_administrator": False,
    }
    assert list(refused(reason=WHY)["errors"]) == ["name"]
    assert registry.live() != candidate


def test_a_model_that_passed_is_promoted_over_the_api_as_before(ada, ben, candidate):
    judged(candidate)
    address = f"{V1}/model-versions/{candidate.pk}/promote/"
    done = by_token(ada).post(address, {"reason": "ok"}, content_type="application/json")
    assert (done.status_code, done.json()["state"]) == (200, "live")


def test_an_exception_is_proposed_where_there_is_another_administrator(ada, ben, candidate):
    judged(candidate, "fail")
    address, body = f"{V1}/model-versions/{candidate.pk}/promote/", {"reason": WHY, "name": str(candidate)}
    asked = by_token(ada).post(address, body, content_type="application/json")
    assert (asked.status_code, asked.json()["status"]) == (202, "pending") and registry.live() != candidate
    page = reverse("lab:model", args=[candidate.pk])
    assert "Type the model" in text(client_of(ben).get(page))
    url = reverse("lab:decide", args=[PromotionRequest.objects.get().pk])
    unnamed = client_of(ben).post(url, {"act": "approve", "exception": WHY})
    assert unnamed.status_code == 400 and "type the model's exact name" in html.unescape(text(unnamed))
    client_of(ben).post(url, {"act": "approve", "exception": WHY, "name": str(candidate)})
    assert registry.live() == candidate


def test_one_word_no_longer_promotes_on_the_page(ada, candidate):
    judged(candidate, "fail")
    url, page = reverse("lab:promote", args=[candidate.pk]), reverse("lab:model", args=[candidate.pk])
    assert "The gate failed: AUROC." in text(client_of(ada).get(page))
    for body in ({"reason": "trial"}, {"reason": "trial", "name": str(candidate)}, {"reason": WHY, "name": "Second"}):
        assert client_of(ada).post(url, body).status_code == 400
        assert registry.live() != candidate
    assert client_of(ada).post(url, {"reason": WHY, "name": str(candidate)}).status_code == 302
    assert registry.live() == candidate


def test_two_administrators_over_the_api(ada, ben, keeper, candidate, settings):
    settings.SECOND_ADMINISTRATOR = True
    judged(candidate, "fail")
    asked = by_token(ada).post(
        f"{V1}/model-versions/{candidate.pk}/promote/", {"reason": "Better."}, content_type="application/json"
    )
    assert (asked.status_code, asked.json()["status"]) == (202, "pending")
    address = asked.headers["Location"]
    assert by_token(keeper).get(address).json()["proposed_by"] == "ada"
    again = by_token(keeper).post(
        f"{V1}/promotion-requests/",
        {"model_version": str(candidate.pk), "reason": "I agree."},
        content_type="application/json",
    )
    assert again.json()["id"] == asked.json()["id"]

    def approve(user, **body):
        return by_token(user).post(f"{address}approve/", body, content_type="application/json")

    assert (approve(keeper).status_code, approve(ada).status_code) == (403, 409)
    refused = approve(ben)
    assert refused.status_code == 400 and "exception" in refused.json()["errors"]
    done = approve(ben, exception=WHY, name=str(candidate))
    assert (done.status_code, done.json()["status"], done.json()["decided_by"]) == (200, "approved", "ben")
    assert registry.live() == candidate
    assert approve(ben, exception="again").status_code == 409
    assert Promotion.objects.get(kind="promote").exception == WHY


def test_two_administrators_on_the_page(ada, ben, keeper, candidate, settings):
    settings.SECOND_ADMINISTRATOR = True
    judged(candidate, "too_few")
    page = reverse("lab:model", args=[candidate.pk])
    first = client_of(keeper)
    assert "Propose for promotion" in text(first.get(page)) and "Promote to live" not in text(first.get(page))
    first.post(reverse("lab:promote", args=[candidate.pk]), {"reason": "Better on site."})
    asked = PromotionRequest.objects.get()
    assert "Undo ruling" in text(first.get(page)) and "Approve and promote" not in text(first.get(page))
    second = client_of(ben)
    assert "keeper proposes to promote it" in text(second.get(page))
    url = reverse("lab:decide", args=[asked.pk])
    refused = second.post(url, {"act": "approve"})
    assert refused.status_code == 400 and "Give a reason of at least" in text(refused)
    second.post(url, {"act": "approve", "exception": "Small, but it is a trial.", "name": str(candidate)})
    assert registry.live() == candidate
    assert "approved by ben" in text(second.get(page)) and "Small, but it is a trial." in text(second.get(page))


def test_calibration_error_below_its_interval_is_explained(keeper, candidate):
    below = {"name": "calibration", "value": 0.041, "low": 0.052, "high": 0.098, "n": 80, "limit": 0.1}
    result = judged(candidate)
    page = client_of(keeper).get(reverse("lab:model", args=[candidate.pk]))
    assert "can lie above the value" not in text(page)
    rule = {"rule": "calibration", "verdict": "pass", "numbers": [{**below, "verdict": "pass"}]}
    GateResult.objects.filter(pk=result.pk).update(findings=[*result.findings, rule])
    page = text(client_of(keeper).get(reverse("lab:model", args=[candidate.pk])))
    assert "0.041" in page and "0.052 to 0.098" in page and "can lie above the value" in page


def test_proposal_that_waits_is_the_first_thing_to_do(ada, ben, keeper, candidate, settings):
    settings.SECOND_ADMINISTRATOR = True
    address, page = reverse("lab:promote", args=[candidate.pk]), reverse("lab:overview")
    assert "promotion needs" not in text(client_of(ben).get(page))
    client_of(ada).post(address, {"reason": "Better."})
    assert "A promotion needs your decision" in text(client_of(ben).get(page))
    for other in (ada, keeper):
        assert "A promotion needs approval" in text(client_of(other).get(page))
    PromotionRequest.objects.update(expires_at=timezone.now())
    assert "promotion needs" not in text(client_of(ben).get(page))


def test_who_proposes_what_somebody_proposed_before_is_told_so(ada, keeper, candidate, settings):
    settings.SECOND_ADMINISTRATOR = True
    address = reverse("lab:promote", args=[candidate.pk])
    client_of(ada).post(address, {"reason": "Better."})
    answer = client_of(keeper).post(address, {"reason": "I too."}, follow=True)
    assert "ada has already proposed it" in text(answer) and "is proposed." not in text(answer)
    assert PromotionRequest.objects.get().reason == "Better."


def test_own_proposal_cannot_be_approved_on_the_page(ada, candidate, settings):
    settings.SECOND_ADMINISTRATOR = True
    client = client_of(ada)
    client.post(reverse("lab:promote", args=[candidate.pk]), {"reason": "Mine."})
    url = reverse("lab:decide", args=[PromotionRequest.objects.get().pk])
    client.post(url, {"act": "approve", "exception": "Mine."})
    assert registry.live() != candidate
    client.post(url, {"act": "withdraw"})
    assert PromotionRequest.objects.get().state == "withdrawn"


def test_old_session_must_give_the_password_again(ada, candidate):
    client = client_of(ada)
    session = client.session
    session[freshness.SESSION_KEY] = 0
    session.save()
    url = reverse("lab:promote", args=[candidate.pk])
    assert "Your password" in text(client.get(reverse("lab:model", args=[candidate.pk])))
    body = {"reason": WHY, "name": str(candidate)}
    for password in ("", "wrong"):
        assert client.post(url, {**body, "password": password}).status_code == 400
        assert registry.live() != candidate
    assert client.post(url, {**body, "password": PASSWORD}).status_code == 302
    assert registry.live() == candidate
    assert "Your password" not in text(client.get(reverse("lab:model", args=[candidate.pk])))


def test_wrong_passwords_are_counted(ada, candidate):
    client = client_of(ada)
    session = client.session
    session[freshness.SESSION_KEY] = 0
    session.save()
    url = reverse("lab:promote", args=[candidate.pk])
    for _ in range(8):
        client.post(url, {"reason": "Better.", "password": "wrong"})
    refused = client.post(url, {"reason": "Better.", "password": PASSWORD})
    assert refused.status_code == 400 and "Too many wrong passwords" in text(refused)


def test_old_token_promotes_in_a_trial(ada, candidate):
    done = by_token(ada, hours_old=99).post(
        f"{V1}/model-versions/{candidate.pk}/promote/",
        {"reason": WHY, "name": str(candidate)},
        content_type="application/json",
    )
    assert (done.status_code, registry.live()) == (200, candidate)


def test_old_token_must_give_the_password_too_where_tokens_are_held_to_it(ada, candidate, settings):
    settings.FRESH_TOKENS = True
    address = f"{V1}/model-versions/{candidate.pk}/promote/"
    client = by_token(ada, hours_old=3)
    refused = client.post(address, {"reason": "Better."}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "fresh_sign_in_needed")
    assert registry.live() != candidate
    body = {"reason": WHY, "name": str(candidate), "password": PASSWORD}
    done = client.post(address, body, content_type="application/json")
    assert done.status_code == 200 and PASSWORD not in done.content.decode()


def test_roll_back_asks_for_neither(ada, live, candidate, settings):
    put_into_use(ada, candidate)
    settings.SECOND_ADMINISTRATOR = True
    done = by_token(ada, hours_old=99).post(
        f"{V1}/model-versions/rollback/", {"reason": "It was not."}, content_type="application/json"
    )
    assert done.status_code == 200 and registry.live() == live


def test_gate_shows_each_rule_with_its_numbers(ada, candidate):
    judged(candidate, "fail")
    page = text(client_of(ada).get(reverse("lab:model", args=[candidate.pk])))
    assert "Failed" in page and "−0.050" in page and "−0.080 to −0.020" in page and "at least −0.030" in page
    said = by_token(ada).get(f"{V1}/model-versions/{candidate.pk}/gate/").json()
    assert (said["verdict"], said["passed"], said["rules"]) == ("fail", False, 1)
    assert said["findings"][0]["numbers"][0]["low"] == -0.08


def test_challenge_and_retire_over_page_and_api(keeper, candidate):
    client_of(keeper).post(reverse("lab:challenge", args=[candidate.pk]))
    assert registry.challenger() == candidate
    assert "As challenger" in text(client_of(keeper).get(reverse("lab:model", args=[candidate.pk])))
    answer = by_token(keeper).post(f"{V1}/model-versions/{candidate.pk}/retire/", {}, content_type="application/json")
    assert (answer.status_code, answer.json()["state"]) == (200, "retired")
    answer = by_token(keeper).post(
        f"{V1}/model-versions/{candidate.pk}/challenge/", {}, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["state"]) == (200, "challenger")


def test_admin_promotes_challenges_and_declares_rules(live, candidate, settings, place, monkeypatch):
    boss = person(Role.ADMINISTRATOR, place, is_staff=True)
    client = client_of(boss)

    def page(name, *args):
        return reverse(f"admin:diagnostics_{name}", args=args)

    assert "needs no second administrator" in text(client.get(page("modelversion_promote", candidate.pk)))
    client.post(page("modelversion_challenge", candidate.pk))
    assert registry.challenger() == candidate
    client.post(page("modelversion_retire", candidate.pk))
    assert registry.challenger() is None
    form = {**gate.current_rules().rules, "auroc_margin": 0.01, "reason": "Stricter."}
    assert client.post(page("gaterules_declare"), {**form, "reason": ""}).status_code == 400
    client.post(page("gaterules_declare"), form)
    assert gate.current_rules().rules["auroc_margin"] == 0.01
    assert "rules of the new software" not in text(client.get(page("gaterules_changelist")))
    monkeypatch.setattr(gate, "offered", lambda: {**gate.current_rules().rules, "accuracy_margin": 0.017})
    assert "rules of the new software" in text(client.get(page("gaterules_changelist")))
    assert 'value="0.017"' in text(client.get(page("gaterules_declare") + "?offered=1"))
    settings.SECOND_ADMINISTRATOR = True
    client.post(page("modelversion_promote", candidate.pk), {"reason": "Better."})
    assert registry.live() == live and PromotionRequest.objects.get().proposed_by == boss
    for name in ("gaterules", "gateresult", "promotionrequest", "modelalarm", "shadowopinion", "testedscan"):
        assert client.get(page(f"{name}_changelist")).status_code == 200, name

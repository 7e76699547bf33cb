"""Two people agree: who may propose, who may approve, what the gate wants in writing, and what the database holds."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnostics.models import AuditEvent, GateResult, GateRules, Promotion, PromotionRequest
from diagnostics.registry import gate, requests, services
from diagnostics.registry.models import ModelState, RegistryIsAppendOnly
from diagnostics.scans.access import NotAllowed, Role
from mlcore.gate.rules import Rules
from tests.factories import InstitutionFactory, ModelVersionFactory, UserFactory, live_model, person

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def two_administrators(settings, monkeypatch):
    settings.SECOND_ADMINISTRATOR = True
    # Their files are of no interest here; tests/diagnostics/test_registry.py holds that they are verified.
    monkeypatch.setattr(requests, "fetch", lambda version: None)


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
def candidate():
    live_model()
    return ModelVersionFactory()


WHY = "The new scanner is not in the test part."


def judged(version, verdict="pass", *, against="live"):
    return GateResult.objects.create(
        version=version,
        live=services.live() if against == "live" else against,
        rules=gate.current_rules(),
        verdict=verdict,
        findings=[],
        test_sha256="0" * 64,
    )


def test_promote_at_once_is_refused_where_two_must_agree(ada, candidate):
    with pytest.raises(services.SecondAdministratorNeeded):
        services.promote(by=ada, version=candidate, reason="mine alone")
    candidate.refresh_from_db()
    assert candidate.state == ModelState.CANDIDATE


def test_approve_what_somebody_else_proposed_puts_it_into_use(keeper, ada, candidate):
    former, result = services.live(), judged(candidate)
    asked = requests.propose(by=keeper, version=candidate, reason=" better ")
    done = requests.approve(by=ada, request=asked)
    assert (done.state, done.decided_by) == ("approved", ada)
    decision = Promotion.objects.get(kind="promote")
    assert (decision.by, decision.approved_by, decision.reason, decision.former) == (keeper, ada, "better", former)
    assert (decision.gate, decision.gate_result, decision.exception) == ("pass", result, "")
    assert services.live() == candidate and done.promotion == decision
    told = AuditEvent.objects.get(act="model_promoted")
    assert (told.actor, told.detail["second_administrator"]) == (ada, ada.pk)


def test_approve_ones_own_proposal_is_refused(ada, candidate):
    judged(candidate)
    asked = requests.propose(by=ada, version=candidate, reason="better")
    with pytest.raises(requests.OwnRequest):
        requests.approve(by=ada, request=asked)
    assert services.live() != candidate


@pytest.mark.parametrize("role", [Role.TECHNOLOGIST, Role.RADIOLOGIST, Role.ADJUDICATOR, Role.DATA_MANAGER])
def test_approve_needs_an_administrator(keeper, place, candidate, role):
    asked = requests.propose(by=keeper, version=candidate, reason="better")
    with pytest.raises(NotAllowed):
        requests.approve(by=person(role, place), request=asked, exception="I may")


@pytest.mark.parametrize("role", [Role.TECHNOLOGIST, Role.RADIOLOGIST, Role.ADJUDICATOR])
def test_propose_needs_a_data_manager_or_administrator(place, candidate, role):
    with pytest.raises(NotAllowed):
        requests.propose(by=person(role, place), version=candidate, reason="better")


@pytest.mark.parametrize("verdict", ["fail", "too_few", "unmeasured", "stale", "other rules"])
def test_approve_what_the_gate_held_needs_a_written_exception(keeper, ada, candidate, verdict):
    if verdict == "stale":
        judged(candidate, against=ModelVersionFactory())
    elif verdict == "other rules":
        judged(candidate)
        gate.declare(by=ada, rules={"auroc_margin": 0.01}, reason="stricter")
    elif verdict != "unmeasured":
        judged(candidate, verdict)
    asked = requests.propose(by=keeper, version=candidate, reason="better")
    with pytest.raises(services.ExceptionMissing):
        requests.approve(by=ada, request=asked, exception="  ")
    assert services.live() != candidate
    requests.approve(by=ada, request=asked, exception=f" {WHY} ", name=str(candidate))
    decision = Promotion.objects.get(kind="promote")
    assert decision.gate == {"other rules": "stale"}.get(verdict, verdict)
    assert decision.exception == WHY


def test_promote_where_one_is_enough_keeps_the_reason_as_the_exception(ada, candidate, settings, monkeypatch):
    settings.SECOND_ADMINISTRATOR = False
    monkeypatch.setattr(services, "fetch", lambda version: None)
    judged(candidate, "too_few")
    decision = services.promote(by=ada, version=candidate, reason=WHY, name=str(candidate))
    assert (decision.gate, decision.exception, decision.approved_by) == ("too_few", WHY, None)
    assert AuditEvent.objects.get(act="model_promoted").detail["second_administrator"] == "not required here"


def test_propose_twice_gives_the_request_that_waits(keeper, ada, candidate):
    first = requests.propose(by=keeper, version=candidate, reason="better")
    assert requests.propose(by=ada, version=candidate, reason="I think so too") == first
    assert AuditEvent.objects.filter(act="promotion_proposed").count() == 1


def test_request_that_nobody_decides_expires_and_can_be_made_again(keeper, ada, candidate):
    asked = requests.propose(by=keeper, version=candidate, reason="better")
    PromotionRequest.objects.filter(pk=asked.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(requests.RequestClosed):
        requests.approve(by=ada, request=asked, exception="late")
    assert requests.expire() == 1
    asked.refresh_from_db()
    assert asked.state == "expired"
    assert requests.propose(by=keeper, version=candidate, reason="again") != asked


def test_decline_wants_a_reason_and_closes_the_request(keeper, ada, candidate):
    asked = requests.propose(by=keeper, version=candidate, reason="better")
    with pytest.raises(services.ReasonMissing):
        requests.decline(by=ada, request=asked, words="")
    assert requests.decline(by=ada, request=asked, words="too early").state == "declined"
    with pytest.raises(requests.RequestClosed):
        requests.approve(by=ada, request=asked, exception="after all")


def test_withdraw_is_for_its_author_alone(keeper, ada, candidate):
    asked = requests.propose(by=keeper, version=candidate, reason="better")
    with pytest.raises(requests.OwnRequest):
        requests.withdraw(by=ada, request=asked)
    assert requests.withdraw(by=keeper, request=asked).state == "withdrawn"


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "approved"},  # without a decision or promotion
        {"state": "declined", "decided_at": timezone.now(), "words": ""},
        {"state": "expired"},
        {"decided_at": timezone.now()},
        {"reason": ""},
    ],
)
def test_database_refuses_a_request_that_contradicts_itself(keeper, candidate, changes):
    asked = requests.propose(by=keeper, version=candidate, reason="better")
    with pytest.raises(IntegrityError), transaction.atomic():
        PromotionRequest.objects.filter(pk=asked.pk).update(**changes)


def test_database_refuses_one_person_as_both(ada, ben, keeper, candidate):
    asked = requests.propose(by=ada, version=candidate, reason="better")
    requests.approve(by=ben, request=asked, exception=WHY, name=str(candidate))
    with pytest.raises(IntegrityError), transaction.atomic():
        PromotionRequest.objects.filter(pk=asked.pk).update(decided_by=ada)
    with pytest.raises(IntegrityError), transaction.atomic():
        Promotion.objects.filter(kind="promote").update(approved_by=ada)


def test_database_refuses_a_held_model_without_an_exception(ada, candidate):
    with pytest.raises(IntegrityError), transaction.atomic():
        Promotion.objects.create(version=candidate, kind="promote", by=ada, reason="r", gate="fail")


def test_database_refuses_a_pass_against_nothing(candidate):
    with pytest.raises(IntegrityError), transaction.atomic():
        judged(candidate, "pass", against=None)


def test_rules_are_numbered_and_never_changed(ada, keeper):
    shipped = gate.current_rules()
    assert (shipped.number, shipped.by) == (1, None)
    with pytest.raises(NotAllowed):
        gate.declare(by=keeper, rules={"auroc_margin": 0.5}, reason="easier")
    with pytest.raises(services.ReasonMissing):
        gate.declare(by=ada, rules={}, reason="")
    with pytest.raises(gate.BadRules, match="auroc_margin"):
        gate.declare(by=ada, rules={"auroc_margin": 7}, reason="typo")
    second = gate.declare(by=ada, rules={"auroc_margin": 0.01}, reason="stricter")
    assert gate.current_rules() == second and second.number == 2
    assert second.rules == shipped.rules | {"auroc_margin": 0.01}
    second.reason = "other words"
    with pytest.raises(RegistryIsAppendOnly):
        second.save()
    with pytest.raises(RegistryIsAppendOnly):
        GateRules.objects.get(number=1).delete()


def test_new_rules_of_the_software_are_offered_to_an_old_installation_and_hold_when_declared(ada):
    old = {name: value for name, value in Rules().to_dict().items() if name != "calibration_margin"}
    GateRules.objects.create(number=1, rules=old, reason="Shipped before.")
    assert gate.rules_of(gate.current_rules()).calibration_margin == -1.0, "an update changes no rule that holds"
    assert gate.offered() == Rules().to_dict()
    stricter = gate.declare(by=ada, rules={"auroc_margin": 0.01}, reason="stricter")
    assert stricter.rules["calibration_margin"] == -1.0 and gate.offered() is not None
    gate.declare(by=ada, rules=gate.offered(), reason="as offered")
    assert gate.rules_of(gate.current_rules()) == Rules() and gate.offered() is None
    gate.declare(by=ada, rules={"auroc_margin": 0.01}, reason="stricter again")
    assert gate.offered() is None, "whoever has had them is asked no more"


def test_challenge_names_one_challenger_and_retire_leaves_none(keeper, candidate, monkeypatch):
    monkeypatch.setattr("diagnostics.registry.artifacts.local_copy", lambda sha256: None)
    second = ModelVersionFactory()
    services.challenge(by=keeper, version=candidate)
    services.challenge(by=keeper, version=second)
    candidate.refresh_from_db()
    assert (candidate.state, candidate.challenged_at) == ("candidate", None)
    assert services.challenger() == second and second.challenged_at is not None
    with pytest.raises(services.PromotionRefused):
        services.challenge(by=keeper, version=second)
    services.retire(by=keeper, version=second)
    assert services.challenger() is None
    for version in (services.live(), second):
        with pytest.raises(services.PromotionRefused):
            services.retire(by=keeper, version=version)
    with pytest.raises(NotAllowed):
        services.challenge(by=UserFactory(), version=candidate)

"""A model that the gate has not let through goes into use by a written exception, and by no slip."""

import pytest

from diagnostics.audit.models import AuditEvent
from diagnostics.models import Promotion, PromotionRequest
from diagnostics.registry import requests, services
from diagnostics.scans.access import Role
from tests.diagnostics.model_fixtures import stored_model
from tests.factories import InstitutionFactory, UserFactory, person
from tests.portal.test_promotion import judged

pytestmark = pytest.mark.django_db
WHY = "The new scanner is not in the test part."
NO_REASONS = [
    "",
    "trial",
    "nineteen characters"[:19],
    "trial trial trial trial trial",
    "Trial. Trial! Trial, trial?",
    "trialtrialtrialtrialtrial",
    "a" * 40,
    "." * 40,
    "ab " * 20,
    " " * 40,
]


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def ada(place):
    return person(Role.ADMINISTRATOR, place, username="ada")


@pytest.fixture
def candidate(tmp_path, ada):
    services.promote(by=ada, version=(first := stored_model(tmp_path, b"live")), reason=WHY, name=str(first))
    return stored_model(tmp_path, b"candidate")


def put(by, version, *, reason=WHY, name=None):
    return services.promote(by=by, version=version, reason=reason, name=str(version) if name is None else name)


@pytest.mark.parametrize("verdict", ["fail", "too_few", "unmeasured"])
def test_one_word_no_longer_overrides_the_gate(ada, candidate, verdict):
    live = services.live()
    if verdict != "unmeasured":
        judged(candidate, verdict)
    for reason in ("trial", WHY):  # without the name, a reason is not enough either
        with pytest.raises(services.PromotionRefused):
            services.promote(by=ada, version=candidate, reason=reason)
    assert services.live() == live
    decision = put(ada, candidate)
    assert (decision.gate, decision.exception, services.live()) == (verdict, WHY, candidate)


@pytest.mark.parametrize("reason", NO_REASONS)
def test_what_is_no_reason_is_refused(ada, candidate, reason):
    judged(candidate, "fail")
    with pytest.raises(services.ReasonMissing) as refused:
        put(ada, candidate, reason=reason)
    assert refused.value.field == "reason"
    assert services.live() != candidate


@pytest.mark.parametrize("reason", [WHY, "Begründung: neues Gerät im Haus.", "x" * 3 + " rays of another vendor"])
def test_what_is_a_reason_is_taken(ada, candidate, reason):
    judged(candidate, "fail")
    assert put(ada, candidate, reason=f"  {reason} ").exception == reason


@pytest.mark.parametrize("name", ["", "toy", "TOY V2", "{name}.", "{name} {name}", "{live}"])
def test_another_name_is_refused_and_the_right_one_is_said(ada, candidate, name):
    judged(candidate, "fail")
    typed = name.format(name=candidate, live=services.live())
    with pytest.raises(services.ExceptionMissing, match=str(candidate)) as refused:
        put(ada, candidate, name=typed)
    assert refused.value.field == "name"
    assert services.live() != candidate


def test_the_refusal_says_in_one_line_what_failed(ada, candidate):
    judged(candidate, "fail")
    with pytest.raises(services.ExceptionMissing, match="^The gate failed: AUROC\\. Give a reason of at least 20"):
        put(ada, candidate, reason="trial")


def test_a_model_that_passed_needs_neither(ada, candidate):
    judged(candidate)
    decision = services.promote(by=ada, version=candidate, reason="ok")
    assert (decision.gate, decision.exception) == ("pass", "")


def test_the_audit_holds_the_verdict_and_the_reason(ada, candidate):
    judged(candidate, "too_few")
    put(ada, candidate)
    told = AuditEvent.objects.filter(act="model_promoted").latest("at").detail
    assert (told["gate"], told["exception"], told["reason"]) == ("too_few", WHY, WHY)


@pytest.mark.parametrize("other", ["administrator", "superuser"])
def test_where_there_is_another_administrator_they_approve_an_exception(ada, candidate, place, other):
    ben = person(Role.ADMINISTRATOR, place) if other == "administrator" else UserFactory(is_superuser=True)
    judged(candidate, "fail")
    with pytest.raises(services.SecondAdministratorNeeded, match="Another administrator must approve"):
        put(ada, candidate)
    with pytest.raises(services.ExceptionMissing):
        requests.put_forward(by=ada, version=candidate, reason=WHY)
    asked = requests.put_forward(by=ada, version=candidate, reason=WHY, name=str(candidate))
    assert isinstance(asked, PromotionRequest) and services.live() != candidate
    with pytest.raises(requests.OwnRequest):
        requests.approve(by=ada, request=asked, exception=WHY, name=str(candidate))
    for said in ({"exception": "trial", "name": str(candidate)}, {"exception": WHY}):
        with pytest.raises(services.ExceptionMissing):
            requests.approve(by=ben, request=asked, **said)
    requests.approve(by=ben, request=asked, exception=WHY, name=str(candidate))
    decision = Promotion.objects.filter(kind="promote").latest("at")
    assert (decision.by, decision.approved_by, decision.exception) == (ada, ben, WHY)
    assert services.live() == candidate


def test_where_there_is_another_one_alone_still_promotes_what_passed(ada, candidate, place):
    person(Role.ADMINISTRATOR, place)
    judged(candidate)
    assert requests.put_forward(by=ada, version=candidate, reason="ok").kind == "promote"


@pytest.mark.parametrize("other", ["inactive", "data manager", "of another institution"])
def test_who_could_not_approve_is_not_waited_for(ada, candidate, place, other):
    if other == "inactive":
        person(Role.ADMINISTRATOR, place, is_active=False)
    elif other == "data manager":
        person(Role.DATA_MANAGER, place)
    else:
        from diagnostics.scans.model_administrators import appoint

        appoint(by=None, user=ada)
        person(Role.ADMINISTRATOR, InstitutionFactory())
    judged(candidate, "fail")
    assert put(ada, candidate).approved_by is None


def test_rolling_back_stays_one_step(ada, candidate):
    judged(candidate, "fail")
    put(ada, candidate)
    services.roll_back(by=ada, reason="worse")
    assert services.live() != candidate

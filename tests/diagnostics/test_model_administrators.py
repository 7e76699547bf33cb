"""One model serves all institutions: whoever changes it where there are several must be appointed."""

import io

import pytest
from django.core.management import CommandError, call_command

from diagnostics.models import AuditEvent, ModelAdministrator
from diagnostics.monitoring import services as monitoring
from diagnostics.monitoring.models import Watched
from diagnostics.registry import gate, requests, services
from diagnostics.registry.models import ModelState
from diagnostics.scans import institutions, model_administrators, people
from diagnostics.scans.access import NotAllowed, Permission, Role, may
from diagnostics.scans.filing import InvalidEntry
from tests import factories as made
from tests.diagnostics.model_fixtures import put_into_use, stored_model
from tests.diagnostics.test_registry import own_files  # noqa: F401 - files of this test's own

pytestmark = pytest.mark.django_db


@pytest.fixture
def home():
    return made.InstitutionFactory(code="home")


@pytest.fixture
def candidate(tmp_path, home):
    stored_model(tmp_path, b"first")
    return stored_model(tmp_path, b"second")


def acts(by, version):
    """Each act that changes what serves everybody, as a call."""
    asked = requests.propose(by=made.person(Role.DATA_MANAGER, made.InstitutionFactory()), version=version, reason="B")
    return {
        "promote": lambda: put_into_use(by, version),
        "approve": lambda: requests.approve(by=by, request=asked, exception="For the trial."),
        "decline": lambda: requests.decline(by=by, request=asked, words="Too early."),
        "roll back": lambda: services.roll_back(by=by, reason="Worse."),
        "challenge": lambda: services.challenge(by=by, version=version),
        "retire": lambda: services.retire(by=by, version=version),
        "rules": lambda: gate.declare(by=by, rules={}, reason="Stricter."),
        "limits": lambda: monitoring.set_rule(by=by, watched=Watched.values[0], limit=0.5),
    }


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.DATA_MANAGER])
def test_another_institution_s_people_change_nothing_about_the_shared_model(candidate, role):
    stranger = made.person(role, made.InstitutionFactory(code="away"))
    for name, act in acts(stranger, candidate).items():
        with pytest.raises(NotAllowed):
            act()
            pytest.fail(f"{name} was allowed")
    candidate.refresh_from_db()
    assert candidate.state == ModelState.CANDIDATE


def test_a_refusal_says_which_role_is_missing(candidate):
    stranger = made.person(Role.ADMINISTRATOR, made.InstitutionFactory(code="away"))
    with pytest.raises(NotAllowed, match="model administrator, because several institutions share the model"):
        put_into_use(stranger, candidate)


def test_the_administrator_of_the_only_institution_promotes_without_being_appointed(candidate, home):
    administrator = made.person(Role.ADMINISTRATOR, home)
    assert put_into_use(administrator, candidate).by == administrator
    assert not ModelAdministrator.objects.exists()


def test_whoever_is_appointed_promotes_for_all_and_sees_no_more_patients(candidate, home):
    away = made.InstitutionFactory(code="away")
    appointed = made.person(Role.ADMINISTRATOR, away)
    model_administrators.appoint(by=made.UserFactory(is_superuser=True), user=appointed)
    assert put_into_use(appointed, candidate).by == appointed
    assert not may(appointed, Permission.SEE_SCANS, home)


def test_a_data_manager_who_is_appointed_puts_models_aside_and_promotes_none(candidate):
    manager = made.person(Role.DATA_MANAGER, made.InstitutionFactory(code="away"))
    model_administrators.appoint(by=None, user=manager)
    with pytest.raises(NotAllowed):
        put_into_use(manager, candidate)
    assert services.retire(by=manager, version=candidate).state == ModelState.RETIRED


def test_a_superuser_needs_no_appointment(candidate):
    made.InstitutionFactory(code="away")
    chief = made.UserFactory(is_superuser=True, is_staff=True)
    assert put_into_use(chief, candidate).by == chief


def test_the_second_institution_leaves_the_model_to_those_of_the_first(home):
    first = made.person(Role.ADMINISTRATOR, home)
    reader = made.person(Role.RADIOLOGIST, home)
    chief = made.UserFactory(is_superuser=True, is_staff=True)
    away = institutions.make_institution(by=chief, code="away", name="Away", reading_mode="blind_first")
    second = made.person(Role.ADMINISTRATOR, away)
    fresh = {who.pk: type(who).objects.get(pk=who.pk) for who in (first, second, reader)}
    assert [may(fresh[who.pk], Permission.PROMOTE) for who in (first, second, reader)] == [True, False, False]
    event = AuditEvent.objects.get(act="model_administrator_made")
    assert (event.actor, event.target_id) == (chief, str(first.pk))
    third = institutions.make_institution(by=chief, code="third", name="Third", reading_mode="blind_first")
    assert ModelAdministrator.objects.count() == 1, third


def test_the_command_line_s_second_institution_does_the_same(home):
    first = made.person(Role.ADMINISTRATOR, home)
    second = made.UserFactory()
    people.add_member(by=None, user=second, institution_code="south", role=Role.ADMINISTRATOR)
    assert [row.user for row in ModelAdministrator.objects.all()] == [first]
    assert not may(second, Permission.PROMOTE)


def test_only_a_superuser_appoints_and_dismisses(home):
    made.InstitutionFactory()
    appointed, colleague = made.person(Role.ADMINISTRATOR, home), made.person(Role.ADMINISTRATOR, home)
    model_administrators.appoint(by=None, user=appointed)
    for act in (model_administrators.appoint, model_administrators.dismiss):
        with pytest.raises(NotAllowed):
            act(by=appointed, user=colleague)


def test_nobody_is_appointed_whose_roles_work_with_no_model(home):
    with pytest.raises(InvalidEntry):
        model_administrators.appoint(by=None, user=made.person(Role.RADIOLOGIST, home))


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("model_administrator", *arguments, stdout=out)
    return out.getvalue().strip()


def test_the_command_appoints_lists_and_dismisses(home):
    user = made.person(Role.ADMINISTRATOR, home, username="ada")
    assert command() == "There is no model administrator."
    assert command("ada") == "ada is now a model administrator."
    assert command("ada") == "ada is already a model administrator."
    assert command() == "ada"
    assert command("ada", "--end") == "ada is a model administrator no longer."
    assert not ModelAdministrator.objects.filter(user=user).exists()
    with pytest.raises(CommandError, match="no account eve"):
        command("eve")


def test_a_superuser_appoints_in_the_admin_and_nobody_else_does(client, home):
    made.InstitutionFactory()
    user, administrator = made.person(Role.ADMINISTRATOR, home), made.person(Role.ADMINISTRATOR, home, is_staff=True)
    page, act = (f"/admin/accounts/user/{user.pk}/{word}/" for word in ("role", "model"))
    client.force_login(administrator)
    assert "Appoint" not in client.get(page).content.decode()
    assert client.post(act).status_code == 403
    client.force_login(made.UserFactory(is_superuser=True, is_staff=True))
    assert "Appoint" in client.get(page).content.decode()
    assert client.post(act, follow=True).status_code == 200
    assert ModelAdministrator.objects.filter(user=user).exists()
    client.post(act, {"end": "1"})
    assert not ModelAdministrator.objects.filter(user=user).exists()

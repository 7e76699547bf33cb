"""Who gets in, with what: tokens, their scopes and ends, and sessions."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from portal.accounts.models import ApiToken, Scope
from portal.api.resource import BaseViewSet
from portal.api.urls import router
from tests.factories import ScanFactory

from .api_client import V1, assert_problem, bearer, hand_in, token_of

pytestmark = pytest.mark.django_db


def asked_with(authorization: str, path: str = "/users/me/"):
    return APIClient().get(V1 + path, headers={"Authorization": authorization})


def test_no_token_is_401_and_says_how_to_bring_one(north):
    answer = APIClient().get(f"{V1}/users/me/")
    assert_problem(answer, 401)
    assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "authorization", ["Bearer", "Bearer  ", "Bearer ovr_wrong", "Bearer a b", "Bearer tökén", "bearer " + "x" * 5000]
)
def test_bad_token_is_401(north, authorization):
    answer = asked_with(authorization)
    assert_problem(answer, 401)
    assert answer["WWW-Authenticate"] == "Bearer"


def test_expired_revoked_and_unknown_tokens_are_answered_alike(north):
    answers = []
    for change in ({"expires_at": timezone.now() - timedelta(seconds=1)}, {"revoked_at": timezone.now()}, None):
        token = token_of(north.technologist)
        rows = ApiToken.objects.filter(digest=ApiToken.digest_of(token))
        rows.update(**change) if change else rows.delete()
        answers.append(assert_problem(asked_with(f"Bearer {token}"), 401, "invalid_token"))
    assert answers[0] == answers[1] == answers[2]


def test_deactivated_person_is_out_at_once(north):
    token, session = token_of(north.technologist), APIClient()
    session.force_login(north.technologist)
    assert asked_with(f"Bearer {token}").status_code == 200
    assert session.get(f"{V1}/users/me/").status_code == 200
    north.technologist.is_active = False
    north.technologist.save()
    assert_problem(asked_with(f"Bearer {token}"), 401)
    assert_problem(session.get(f"{V1}/users/me/"), 401)


def test_role_taken_away_works_at_the_next_request(north):
    client = bearer(north.technologist)
    scan = ScanFactory(institution=north.institution)
    assert client.get(f"{V1}/scans/{scan.pk}/").status_code == 200
    north.technologist.memberships.all().delete()
    assert_problem(client.get(f"{V1}/scans/{scan.pk}/"), 404)
    assert_problem(hand_in(client), 403)


@pytest.mark.parametrize(
    ("scope", "method", "path", "who"),
    [
        (Scope.READ, "get", "/scans/", "technologist"),
        (Scope.SUBMIT, "post", "/scans/", "technologist"),
        (Scope.REVIEW, "post", "/cases/next/", "radiologist"),
        (Scope.LEARN, "post", "/dataset-versions/", "data_manager"),
        (Scope.LEARN, "post", "/training-runs/", "data_manager"),
        (Scope.LEARN, "post", "/model-versions/rollback/", "administrator"),
    ],
)
def test_token_without_the_scope_is_403_and_names_it(north, scope, method, path, who):
    user = getattr(north, who)
    others = [value for value in Scope.values if value != scope]
    found = assert_problem(getattr(bearer(user, *others), method)(V1 + path), 403, "scope_missing")
    assert f"“{scope}”" in found["detail"]
    assert getattr(bearer(user, scope), method)(V1 + path).status_code != 403


def test_every_post_names_a_scope_of_its_own():
    """A POST without one would be open to a token that may only look."""
    unnamed = []
    posts = [(url.callback.cls, url.callback.actions["post"]) for url in router.urls if "post" in url.callback.actions]
    assert len(posts) >= 13
    for viewset, action in posts:
        assert issubclass(viewset, BaseViewSet)
        if action not in viewset.scopes:
            unnamed.append((viewset.__name__, action))
    assert unnamed == []


def test_session_needs_the_csrf_token_to_change_anything(north):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(north.radiologist)
    assert client.get(f"{V1}/cases/").status_code == 200
    assert_problem(client.post(f"{V1}/cases/next/"), 403)
    client.get("/api/docs/")
    csrf = client.cookies["csrftoken"].value
    assert client.post(f"{V1}/cases/next/", headers={"X-CSRFToken": csrf}).status_code == 204


def test_token_is_never_logged(north, caplog):
    token = token_of(north.technologist)
    with caplog.at_level("DEBUG"):
        asked_with(f"Bearer {token}")
        asked_with(f"Bearer {token}x")
    assert caplog.records
    assert token not in caplog.text


def test_too_many_requests_are_429_until_the_minute_ends(north, south, settings):
    settings.API_REQUESTS_PER_MINUTE = 3
    client = bearer(north.technologist)
    answers = [client.get(f"{V1}/users/me/") for _ in range(4)]
    assert [answer.status_code for answer in answers[:3]] == [200, 200, 200]
    problem = assert_problem(answers[3], 429, "throttled")
    assert problem["detail"].startswith("At most 3 requests per minute are accepted. Try again in ")
    assert 1 <= int(answers[3]["Retry-After"]) <= 60
    assert bearer(south.technologist).get(f"{V1}/users/me/").status_code == 200

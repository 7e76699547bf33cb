"""The page after a fault of ours."""

import re

import pytest
from django.core.cache import cache
from django.test import Client

from diagnostics.scans.access import Role
from tests.factories import InstitutionFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(monkeypatch):
    cache.clear()

    def broken(*_):
        raise RuntimeError("the canary sings")

    monkeypatch.setattr("portal.views.may", broken)
    client = Client(raise_request_exception=False)
    client.force_login(person(Role.RADIOLOGIST, InstitutionFactory()))
    return client


def test_fault_is_told_with_what_finds_it_in_the_log_and_nothing_of_itself(client):
    answer = client.get("/")
    page = answer.content.decode()
    assert answer.status_code == 500
    assert "Something went wrong on our side" in page
    assert re.search(r"It happened on .* at \d\d:\d\d:\d\d", page)
    assert re.search(r"In the log: <span[^>]*>[0-9a-f-]{36}</span>", page)
    assert "canary" not in page


def test_fault_is_told_in_the_readers_language_and_theme(client):
    client.cookies["theme"] = "light"
    page = client.get("/", headers={"Accept-Language": "de"}).content.decode()
    assert 'lang="de" data-theme="light"' in page
    assert "Something went wrong" not in page


def test_fault_of_the_database_is_told_without_it(client, django_assert_num_queries, monkeypatch):
    from portal import views

    request = client.get("/healthz").wsgi_request
    with django_assert_num_queries(0):
        assert views.server_error(request).status_code == 500

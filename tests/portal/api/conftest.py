"""One institution with a person of each role, and another that must never see any of it."""

from types import SimpleNamespace

import pytest
from django.core.cache import cache

from diagnostics import pipeline
from diagnostics.scans.access import Role
from tests.factories import InstitutionFactory, person


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """No broker is asked for, and no test inherits another's count of requests."""
    cache.clear()
    sent = []
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: sent.append((task.name, *args)))
    return sent


def staffed(code: str) -> SimpleNamespace:
    """An institution and its people, by role."""
    institution = InstitutionFactory(code=code, name=code.title())
    people = {role.value: person(role, institution, username=f"{code}-{role.value}") for role in Role}
    return SimpleNamespace(institution=institution, **people)


@pytest.fixture
def north(db):
    return staffed("north")


@pytest.fixture
def south(db):
    return staffed("south")

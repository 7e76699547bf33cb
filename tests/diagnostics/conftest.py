"""An institution and whoever looks after its data, for tests of the learning loop."""

import pytest

from diagnostics.scans.access import Role
from tests.factories import InstitutionFactory, person


@pytest.fixture
def north(db):
    return InstitutionFactory(code="north", name="North")


@pytest.fixture
def keeper(north):
    return person(Role.DATA_MANAGER, north)

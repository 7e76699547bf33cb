"""docs/api.md says what the API does."""

import re
from pathlib import Path

from django.conf import settings

from diagnostics.reviews.models import Certainty, Label, Reason
from portal.api.problems import CODES
from portal.api.refusals import STATUS_OF
from portal.api.urls import router

TEXT = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text()


def test_every_code_of_an_error_is_told():
    codes = {code for _kind, _status, code in STATUS_OF} | set(CODES.values())
    # A refused file has a code of its own; there is one representation only; an uncommon conflict has its own code.
    codes -= {"refused", "not_acceptable", "conflict"}
    assert sorted(code for code in codes if f"`{code}`" not in TEXT) == []


def test_every_code_of_a_read_is_told():
    for codes in (Label.values, Certainty.values, Reason.values):
        assert [code for code in codes if f"`{code}`" not in TEXT] == []


def test_every_resource_is_told():
    assert [name for name, _viewset, _base in router.registry if not re.search(rf"`[^`]*{name}/", TEXT)] == []

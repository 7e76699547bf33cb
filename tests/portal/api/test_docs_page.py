"""docs/api.md says what the API does."""

import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from diagnostics.errors import DomainError
from diagnostics.reviews.models import Certainty, Label, Reason
from portal.api.problems import CODES
from portal.api.urls import router

TEXT = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text()


def kinds_of(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    for narrower in kind.__subclasses__():
        yield narrower
        yield from kinds_of(narrower)


def test_every_code_of_an_error_is_told():
    ours = (kind for kind in kinds_of(DomainError) if not kind.__module__.startswith("tests."))
    codes = {kind.code for kind in ours} | set(CODES.values())
    # There is one representation only, and an uncommon conflict has its own code.
    codes -= {"not_acceptable", "conflict"}
    codes -= {"stale_draft", "already_revoked"}  # of pages alone
    codes -= {"backup_refused", "not_mended", "original_damaged"}  # of commands and workers alone
    assert sorted(code for code in codes if f"`{code}`" not in TEXT) == []


def test_every_code_of_a_read_is_told():
    for codes in (Label.values, Certainty.values, Reason.values):
        assert [code for code in codes if f"`{code}`" not in TEXT] == []


def test_every_resource_is_told():
    assert [name for name, _viewset, _base in router.registry if not re.search(rf"`[^`]*{name}/", TEXT)] == []

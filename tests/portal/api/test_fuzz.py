"""Schemathesis asks what nobody thought of: no 5xx, no undocumented status, no answer unlike the schema."""

import itertools
import warnings

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.factories import (
    CaseFactory,
    DatasetVersionFactory,
    ModelVersionFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    TrainingRunFactory,
)

from .api_client import token_of

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
APPLICATION = get_wsgi_application()
# What a description cannot say: these hang on what is there, on each other, or on what the bytes of a file are.
HANGS_ON_MORE = {
    "dataset_version", "exclude_institutions", "exclude_readers", "file", "institution", "institutions",
    "key_images", "kind", "model_version", "points", "reading", "reason", "study_date", "version", "worklist",
}  # fmt: skip
# Of a text that has characters, but none that is seen, or the one that no database stores.
CHARACTERS = ("This field may not be blank.", "Null characters are not allowed.")
ROLES = ("technologist", "radiologist", "data_manager", "administrator")


@pytest.fixture(autouse=True)
def one_connection():
    """Requests share the test's transaction, so none may close its connection; Django's own client does the same."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def rows(north):
    """A real id for each resource, so that more than 404 is asked."""
    scan = ScanFactory(institution=north.institution)
    case = CaseFactory(scan=scan)
    dataset = DatasetVersionFactory(institution=north.institution)
    return {
        "scans": scan.pk,
        "predictions": PredictionFactory(scan=scan).pk,
        "cases": case.pk,
        "reads": ReadFactory(case=case, reader=north.radiologist).pk,
        "patients": scan.patient_id,
        "studies": scan.study_id,
        "dataset-versions": dataset.pk,
        "training-runs": TrainingRunFactory(dataset=dataset).pk,
        "model-versions": ModelVersionFactory().pk,
    }


def served(environ, start_response):
    """The application behind what a server does for it: it closes each answer, and with it the file."""
    answer = APPLICATION(environ, start_response)
    try:
        return [b"".join(answer)]
    finally:
        answer.close()


def refused_though_described(response) -> set[str]:
    """Which fields a 400 names although the request keeps to the description of all that one can describe."""
    if response.status_code != 400:
        return set()
    errors = response.json().get("errors", {})
    said = {field for field, sentences in errors.items() if not all(each.endswith(CHARACTERS) for each in sentences)}
    return said - HANGS_ON_MORE


def fuzz(north, rows, examples: int, *, roles_each: int = len(ROLES)) -> int:
    """Ask every operation as so many of the roles, which take turns; how many requests were made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = schemathesis.openapi.from_wsgi("/api/schema/", served)
        operations = [found.ok() for found in schema.get_all_operations()]
    tokens = [token_of(getattr(north, role)) for role in ROLES]
    turns = itertools.cycle(tokens)
    asked = 0
    for operation in operations:
        known = next((pk for name, pk in rows.items() if operation.path.startswith(f"/api/v1/{name}/{{")), None)
        for token in itertools.islice(turns, roles_each):
            asked += ask(operation, known, token, examples)
    return asked


def ask(operation, known, token: str, examples: int) -> int:
    """Ask one operation with one token; how often."""
    asked = 0

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def once(case):
        nonlocal asked
        if known is not None:
            case.path_parameters["id"] = str(known)
        response = case.call(headers={**(case.headers or {}), "Authorization": f"Bearer {token}"})
        case.validate_response(response, checks=CHECKS)
        assert not refused_though_described(response), f"{operation.label} {case.body!r}: {response.content!r}"
        asked += 1

    once()
    return asked


@pytest.mark.django_db
def test_operations_keep_to_their_schema(north, rows):
    """One role for each operation, in turn; the slow test asks as all of them, and oftener."""
    assert fuzz(north, rows, examples=1, roles_each=1) > 40


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.django_db
def test_operations_keep_to_their_schema_at_length(north, rows):
    # Two minutes of a processor, so that half an hour is enough even where a dozen others want it too.
    assert fuzz(north, rows, examples=20) > 3_000

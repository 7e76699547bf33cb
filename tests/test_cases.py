"""The shared cases: files as scanners, viewers and phones write them, with their true values (see tests/cases.py)."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from diagnostics import pipeline
from diagnostics.scans.access import Role
from tests import cases
from tests.factories import InstitutionFactory, person

EXPECTED = cases.expected()


@pytest.fixture
def client(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Somebody who may upload; no broker is asked for."""
    cache.clear()
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: None)
    clinic = InstitutionFactory()
    signed_in = Client()
    signed_in.force_login(person(Role.TECHNOLOGIST, clinic))
    return signed_in


def upload(client: Client, name: str):
    file = SimpleUploadedFile(name, cases.content(name))
    return client.post("/api/v1/scans/", {"file": file, "patient": "P-0001"})


def fetched(client: Client, address: str) -> bytes:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


@pytest.mark.skipif(not EXPECTED, reason=cases.MISSING)
@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_is_taken_or_refused_as_expected(client: Client, name: str) -> None:
    want = EXPECTED[name]
    partners = [other for other, one in EXPECTED.items() if "pair" in want and one.get("pair") == want["pair"]]
    for other in partners:
        if other != name:
            assert upload(client, other).status_code == 201, f"its partner {other} was not stored"
    answer = upload(client, name)
    said = answer.json()
    taken = answer.status_code == 201
    if not taken:
        assert answer.status_code == 400, f"the answer is {answer.status_code}: {said}"
        assert want["accept"] in (False, "either"), f"refused: {said['detail']}"
        assert want.get("says", "") in said["detail"].lower(), f"the refusal says: {said['detail']}"
        return
    assert want["accept"] in (True, "either"), "taken, and it should be refused"
    found = cases.Container.read(fetched(client, said["links"]["pixels"]))
    preview = fetched(client, said["links"]["preview"])
    faults = cases.faults_of(found, preview, want, cases.truth(name))
    if want.get("gate") == "several_heads" and not cases.shows_several(cases.content(name)):
        faults.append("several heads pass as one")
    if said["frames"] != want.get("frames", 1):
        faults.append(f"{said['frames']} frames, not {want['frames']}")
    if faults:
        pytest.fail("; ".join(faults), pytrace=False)

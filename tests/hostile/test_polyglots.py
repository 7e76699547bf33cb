"""What is an image and something else as well is stored as it came, shown as we draw it, and never run."""

from collections import Counter

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from diagnostics.models import Scan
from diagnostics.scans.access import Role
from tests.factories import InstitutionFactory, person
from tests.hostile.bombs import SEED
from tests.hostile.polyglots import CANARY, polyglots

KINDS = {"png": "image/png", "jpeg": "image/jpeg", "dicom": "application/dicom"}
# A PNG of ours holds nothing but these.
OURS = {b"IHDR", b"IDAT", b"IEND"}


def body(answer) -> bytes:
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def chunks(png: bytes) -> set[bytes]:
    names, at = set(), 8
    while at < len(png):
        names.add(png[at + 4 : at + 8])
        at += 12 + int.from_bytes(png[at : at + 4], "big")
    return names


def check_inert(answer) -> None:
    """A browser neither guesses what it is nor lets it do anything."""
    assert answer.status_code == 200
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"] and "default-src 'none'" in answer["Content-Security-Policy"]


@pytest.mark.django_db
def test_no_polyglot_is_served_as_anything_that_runs(client, capsys):
    institution = InstitutionFactory()
    client.force_login(person(Role.TECHNOLOGIST, institution))
    outcomes, count = Counter(), 0
    for each in polyglots():
        count += 1
        name, claimed = each.claim
        answer = client.post("/api/v1/scans/", {"file": SimpleUploadedFile(name, each.data, claimed),
                                                "patient": "P-0001"}, format="multipart")  # fmt: skip
        assert answer["Content-Type"].split(";")[0] in ("application/json", "application/problem+json"), each.name
        assert answer["X-Content-Type-Options"] == "nosniff" and CANARY not in answer.content, each.name
        if answer.status_code != 201:
            assert answer.status_code == 400 and answer.json()["detail"], each.name
            outcomes[f"refused: {answer.json()['code']}"] += 1
            continue
        scan = Scan.objects.get(pk=answer.json()["id"])
        outcomes[f"stored as {scan.format}"] += 1
        page, api = f"/cases/files/{scan.pk}", f"/api/v1/scans/{scan.pk}"
        # Every second one from the pages, the others from the API.
        on_page = (f"{page}/preview.png", f"{page}/pixels", f"{page}/original")
        for places in (on_page if count % 2 else (f"{api}/preview/", f"{api}/pixels/", f"{api}/original/"),):
            preview, pixels, original = (client.get(place) for place in places)
            check_inert(preview)
            shown = body(preview)
            assert preview["Content-Type"] == "image/png" and chunks(shown) <= OURS, each.name
            check_inert(pixels)
            assert pixels["Content-Type"] == "application/octet-stream", each.name
            assert CANARY not in shown and CANARY not in body(pixels), each.name
            check_inert(original)
            assert original["Content-Type"] in (KINDS[scan.format], "application/octet-stream"), each.name
            disposition = original["Content-Disposition"]
            assert disposition.startswith("attachment") and f"{scan.pk}." in disposition, each.name
            assert body(original) == each.data, each.name
    with capsys.disabled():
        print(f"\n{count} polyglots, seed {SEED}: {dict(sorted(outcomes.items()))}")
    assert count >= 100 and sum(number for what, number in outcomes.items() if what.startswith("stored")) >= 90

"""How tests ask the API: as a person with a token, and a few requests that many of them make."""

import hashlib
from datetime import timedelta
from typing import Any

import numpy as np
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.test import APIClient

from diagnostics.scans.models import Institution, Scan
from portal.accounts.models import Scope, User, issue_token
from tests.factories import PatientFactory, ScanFactory, phantom

V1 = "/api/v1"


def token_of(user: User, *scopes: str, days: float = 1) -> str:
    """A fresh token; with every scope if none is named."""
    ends = timezone.now() + timedelta(days=days)
    return issue_token(user=user, name="test", scopes=list(scopes or Scope.values), expires_at=ends)[1]


def bearer(user: User, *scopes: str) -> APIClient:
    """A client that carries a token of ``user``."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token_of(user, *scopes)}")
    return client


def hand_in(
    client: APIClient, data: bytes | None = None, headers: dict[str, str] | None = None, **fields: Any
) -> Response:
    """POST one scan."""
    file = SimpleUploadedFile("scan.png", phantom(1) if data is None else data)
    return client.post(
        f"{V1}/scans/", {"file": file, "patient": "P-1", **fields}, format="multipart", headers=headers or {}
    )


def results(client: APIClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """Every row of a list, page after page."""
    answer = client.get(f"{V1}/{path}", query)
    found = []
    while True:
        assert answer.status_code == 200, answer.content
        found += answer.json()["results"]
        if answer.json()["next"] is None:
            return found
        answer = client.get(answer.json()["next"])


def body_of(response: Any) -> bytes:
    """The bytes of a file answer."""
    return b"".join(response.streaming_content)


def assert_problem(response: Response, status: int, code: str = "") -> dict[str, Any]:
    """The answer is a problem document of this status (and code); gives it."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    found = response.json()
    assert found["status"] == status
    assert found["type"] == f"urn:overread:problem:{found['code']}"
    assert found["title"]
    assert found["detail"]
    if code:
        assert found["code"] == code
    return found


def labelled(institution: Institution, each: int = 8) -> None:
    """Imported scans of either kind that look like no other."""
    rng = np.random.default_rng(7)
    for label in ("tumour", "no_tumour"):
        for number in range(each):
            ScanFactory(
                institution=institution,
                patient=PatientFactory(institution=institution),
                sha256=hashlib.sha256(f"{label}{number}".encode()).hexdigest(),
                source=Scan.Source.IMPORT,
                reference_label=label,
                fingerprint=rng.integers(0, 256, 1024, dtype=np.uint8).tobytes(),
            )

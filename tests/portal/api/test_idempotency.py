"""A POST that is sent again under the same Idempotency-Key acts once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from diagnostics.reviews.models import Claim
from diagnostics.scans.models import Scan
from portal.accounts.models import KeptAnswer
from tests.factories import CaseFactory, ClaimFactory, ScanFactory, phantom

from .api_client import V1, assert_problem, bearer, hand_in

pytestmark = pytest.mark.django_db
KEY = {"Idempotency-Key": "3f2a"}


def test_same_key_claims_once_and_answers_the_same(north):
    for _ in range(2):
        CaseFactory(scan=ScanFactory(institution=north.institution))
    client = bearer(north.radiologist)
    first, again = (client.post(f"{V1}/cases/next/", headers=KEY) for _ in range(2))
    assert first.json() == again.json()
    assert again["Idempotency-Replayed"] == "true"
    assert Claim.objects.count() == 1
    # Another key asks anew: the case that one holds comes first, and released another may be given.
    other = client.post(f"{V1}/cases/next/", headers={"Idempotency-Key": "other"})
    assert other.json()["case"] == first.json()["case"]
    assert "Idempotency-Replayed" not in other


def test_same_key_records_a_read_once(north):
    case = CaseFactory(scan=ScanFactory(institution=north.institution))
    claim = ClaimFactory(case=case, holder=north.radiologist)
    body = {"claim_token": str(claim.token), "stage": "blind", "label": "glioma", "certainty": "certain"}
    client = bearer(north.radiologist)
    answers = [client.post(f"{V1}/cases/{case.pk}/reads/", body, headers=KEY) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert case.reads.count() == 1
    assert_problem(client.post(f"{V1}/cases/{case.pk}/reads/", body), 409)


def test_same_key_with_another_body_is_422(north):
    client = bearer(north.technologist)
    assert hand_in(client, headers=KEY).status_code == 201
    replayed = hand_in(client, headers=KEY)
    assert (replayed.status_code, replayed["Idempotency-Replayed"]) == (201, "true")
    assert replayed["Location"].endswith(f"/scans/{replayed.json()['id']}/")
    assert_problem(hand_in(client, phantom(2), headers=KEY), 422, "idempotency_key_reused")
    assert_problem(hand_in(client, headers=KEY, patient="P-2"), 422)
    assert Scan.objects.count() == 1


def test_refused_request_may_be_sent_again_under_its_key(north):
    client = bearer(north.technologist)
    assert_problem(hand_in(client, b"no image", headers=KEY), 400)
    assert KeptAnswer.objects.count() == 0
    assert hand_in(client, headers=KEY).status_code == 201


def test_key_belongs_to_its_person_and_its_address(north):
    assert hand_in(bearer(north.technologist), headers=KEY).status_code == 201
    assert hand_in(bearer(north.data_manager), phantom(2), headers=KEY).status_code == 201
    client = bearer(north.data_manager)
    assert_problem(client.post(f"{V1}/dataset-versions/", {}, headers=KEY), 409, "not_freezable")


def test_kept_answer_is_not_given_to_somebody_whose_role_is_gone(north):
    client = bearer(north.technologist)
    hand_in(client, headers=KEY)
    north.technologist.memberships.all().delete()
    found = assert_problem(hand_in(client, headers=KEY), 403)
    assert "P-1" not in str(found)


def test_kept_answer_is_forgotten_after_a_day(north):
    client = bearer(north.technologist)
    hand_in(client, headers=KEY)
    KeptAnswer.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert hand_in(client, headers=KEY).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 201, "two words", "é"])
def test_key_that_is_none_is_400(north, key):
    assert_problem(hand_in(bearer(north.technologist), headers={"Idempotency-Key": key}), 400)

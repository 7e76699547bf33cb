"""A comment, or a reason in words, may be as long on a page as over the API."""

import pytest
from django.urls import reverse

from diagnostics.audit.models import AuditEvent
from diagnostics.limits import LONGEST_TEXT
from diagnostics.models import Claim
from diagnostics.reviews import worklist
from diagnostics.reviews.errors import InvalidRead
from diagnostics.scans.access import Role
from tests.factories import CaseFactory, ClaimFactory, person
from tests.portal.api.api_client import V1, assert_problem, bearer
from tests.portal.test_reading import Desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def held():
    """A case that somebody else holds, before another reader."""
    case = CaseFactory()
    ClaimFactory(case=case)
    return Desk(case, person(Role.RADIOLOGIST, case.institution))


@pytest.mark.parametrize("length", [600, LONGEST_TEXT])
def test_long_reason_takes_a_case_over_on_the_page(held, length):
    assert held.act("take-over", why="x" * length).status_code == 302
    assert Claim.objects.get(case=held.case, released_at=None).holder == held.user
    assert AuditEvent.objects.get(act="case_taken_over").detail["reason"] == "x" * length


def test_too_long_reason_is_refused_on_the_page_over_the_api_and_by_the_domain(held):
    too_long = "x" * (LONGEST_TEXT + 1)
    assert held.act("take-over", why=too_long).status_code == 400
    address = f"{V1}/cases/{held.case.pk}/take-over/"
    assert (
        "reason" in assert_problem(bearer(held.user).post(address, {"reason": too_long}, format="json"), 400)["errors"]
    )
    with pytest.raises(InvalidRead, match=str(LONGEST_TEXT)) as caught:
        worklist.take_over(by=held.user, case=held.case, reason=too_long)
    assert caught.value.field == "reason"
    assert not AuditEvent.objects.filter(act="case_taken_over").exists()


def test_fields_of_the_page_say_how_long_a_text_may_be(held):
    assert f'name="why" maxlength="{LONGEST_TEXT}"' in held.html()
    address = reverse("reading:comments", args=[held.case.pk])
    assert held.client.post(address, {"text": "x" * (LONGEST_TEXT + 1)}).status_code == 400

"""Mails about an account: not more of them than the limit, with links that lead somewhere."""

import pytest
from django.core import mail
from django.test import Client
from django.urls import set_script_prefix

from diagnostics.scans.access import Role
from portal.accounts import attempts, letters
from tests import factories as made

pytestmark = pytest.mark.django_db
ASKED = {"address": "new@example.org", "old_password": made.PASSWORD}


@pytest.fixture
def rita():
    return made.person(Role.RADIOLOGIST, made.InstitutionFactory(), username="rita", email="rita@example.org")


@pytest.fixture
def signed_in(client: Client, rita) -> Client:
    client.force_login(rita)
    return client


def test_wishes_for_another_address_send_no_more_mails_than_the_limit(signed_in, rita):
    said = [signed_in.post("/accounts/address/", ASKED) for _ in range(attempts.LIMIT_OF_MAILS + 5)]
    assert [answer.status_code for answer in said] == [302] * attempts.LIMIT_OF_MAILS + [400] * 5
    assert len(mail.outbox) == 2 * attempts.LIMIT_OF_MAILS
    assert "Too many emails" in said[-1].content.decode()


def test_one_person_at_many_addresses_sends_no_more_mails(signed_in, rita):
    for number in range(attempts.LIMIT_OF_MAILS + 5):
        signed_in.post("/accounts/address/", ASKED, REMOTE_ADDR=f"10.0.0.{number}")
    assert len(mail.outbox) == 2 * attempts.LIMIT_OF_MAILS


@pytest.mark.parametrize("prefix", ["/overread/", "/"], ids=["in a request", "where no prefix is set"])
@pytest.mark.parametrize(("template", "path"), [("password_changed", "password/reset"), ("address_asked", "password")])
def test_links_name_the_sub_path_once(rita, settings, prefix, template, path):
    settings.FORCE_SCRIPT_NAME, settings.PUBLIC_URL = "/overread", "https://a.example.org/overread"
    set_script_prefix(prefix)
    try:
        letters.send(template, user=rita, to=rita.email, by=None, new="new@example.org")
    finally:
        set_script_prefix("/")
    lines = mail.outbox[0].body.splitlines()
    assert [line for line in lines if "://" in line] == [f"https://a.example.org/overread/accounts/{path}/"]

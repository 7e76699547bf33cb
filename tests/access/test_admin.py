"""Django's admin: closed to whoever is no staff, and to staff for everything they lack the permission for."""

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.urls import reverse

from tests.factories import UserFactory

from .world import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    cache.clear()
    return build()


# Django's form is drawn for these, and what it says goes through a service.
SAVED_BY_A_SERVICE = ("institution", "membership", "dicompeer")


def lists() -> list[str]:
    """The list and the add page of everything that the admin shows."""
    return [reverse("admin:index")] + [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}")
        for model in admin.site._registry
        for page in ("changelist", "add")
    ]


def test_admin_is_closed_to_everybody_who_is_no_staff(world):
    open_to = []
    for viewpoint in ("nobody", *world.people):
        if viewpoint == "superuser":
            continue
        client = world.client(viewpoint, token=False)
        for address in lists():
            answer = client.get(address)
            if (
                answer.status_code != 302
                or "/sign-in/" not in answer["Location"]
                and "/login/" not in answer["Location"]
            ):
                open_to.append((viewpoint, address, answer.status_code))
    assert open_to == []


def test_a_token_is_no_key_to_the_admin(world):
    for viewpoint in ("superuser", "administrator"):
        client = world.client(viewpoint, token=True)
        assert {client.get(address).status_code for address in lists()} == {302}


def test_admin_of_rows_shows_staff_without_permissions_nothing(world):
    world.people["staff"] = UserFactory(is_staff=True)
    world.sign_everybody_in()
    client = world.client("staff", token=False)
    answers = {address: client.get(address).status_code for address in lists()[1:]}
    assert {address: status for address, status in answers.items() if status not in (302, 403)} == {}


def test_superuser_sees_every_list_and_adds_no_row_of_the_domain_by_hand(world):
    client = world.client("superuser", token=False)
    assert [address for address in lists() if client.get(address).status_code not in (200, 302, 403)] == []
    for model in admin.site._registry:
        if model._meta.app_label == "diagnostics" and model._meta.model_name not in SAVED_BY_A_SERVICE:
            add = reverse(f"admin:diagnostics_{model._meta.model_name}_add")
            assert client.get(add).status_code == 403, f"{model.__name__} can be added past the services"

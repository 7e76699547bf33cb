"""The files of a scan: who gets them, in which form, and what a browser may keep of them."""

import gzip
import struct

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnostics.models import Read
from diagnostics.scans.access import Role
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ReadFactory, ScanFactory, person

pytestmark = pytest.mark.django_db
KINDS = ("pixels", "preview", "original")


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


def body(response):
    return b"".join(response.streaming_content)


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def scan(place):
    return ScanFactory(institution=place)


@pytest.fixture
def opinion(scan):
    CaseFactory(scan=scan)
    key = default_storage.save("heatmaps/test.png", ContentFile(b"\x89PNG heat"))
    return PredictionFactory(scan=scan, heatmap=key)


@pytest.mark.parametrize("kind", KINDS)
def test_file_asked_for_by_a_stranger(scan, kind):
    stranger = person(Role.DATA_MANAGER, InstitutionFactory())
    assert signed_in(stranger).get(reverse(f"reading:{kind}", args=[scan.pk])).status_code == 404


@pytest.mark.parametrize("kind", KINDS)
def test_file_asked_for_by_nobody(scan, kind):
    response = Client().get(reverse(f"reading:{kind}", args=[scan.pk]))
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("accounts:sign-in"))


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.TECHNOLOGIST, True),
        (Role.RADIOLOGIST, False),
        (Role.ADJUDICATOR, False),
        (Role.DATA_MANAGER, True),
        (Role.ADMINISTRATOR, True),
    ],
)
def test_original_by_role(scan, place, role, allowed):
    response = signed_in(person(role, place)).get(reverse("reading:original", args=[scan.pk]))
    assert response.status_code == (200 if allowed else 403)
    if allowed:
        assert response["Content-Disposition"].startswith("attachment")
        assert response["Cache-Control"] == "private, no-store"
        assert "sandbox" in response["Content-Security-Policy"]
        with default_storage.open(scan.original) as stored:
            assert body(response) == stored.read()


def test_original_where_the_right_is_held_elsewhere(scan, place):
    reader = person(Role.RADIOLOGIST, place)
    InstitutionFactory().memberships.create(user=reader, role=Role.TECHNOLOGIST)
    assert signed_in(reader).get(reverse("reading:original", args=[scan.pk])).status_code == 403


@pytest.mark.parametrize("encoding", ["gzip, br", "identity"])
def test_pixels_carry_the_true_values(scan, place, encoding):
    reader = signed_in(person(Role.RADIOLOGIST, place))
    response = reader.get(reverse("reading:pixels", args=[scan.pk]), headers={"Accept-Encoding": encoding})
    data = body(response)
    assert response.get("Content-Encoding", "") == ("gzip" if "gzip" in encoding else "")
    assert "Accept-Encoding" in response["Vary"]
    assert response["Cache-Control"] == "private, max-age=0, must-revalidate"
    assert response["X-Content-Type-Options"] == "nosniff"
    if "gzip" in encoding:
        data = gzip.decompress(data)
    magic, version, dtype, width, height = struct.unpack_from("<4sHHII", data)
    assert (magic, version, dtype, width, height) == (b"OVRD", 1, 1, scan.width, scan.height)
    assert np.frombuffer(data, "u1", offset=48).size == width * height


@pytest.mark.parametrize("kind", ["pixels", "preview"])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_file_unchanged_since_last_time(scan, place, kind, encoding):
    reader = signed_in(person(Role.RADIOLOGIST, place))
    address = reverse(f"reading:{kind}", args=[scan.pk])
    first = reader.get(address, headers={"Accept-Encoding": encoding})
    body(first)
    again = reader.get(address, headers={"If-None-Match": first["ETag"], "Accept-Encoding": encoding})
    assert again.status_code == 304
    assert again.content == b""


def test_squeezed_and_plain_pixels_have_their_own_tag(scan, place):
    reader = signed_in(person(Role.RADIOLOGIST, place))
    address = reverse("reading:pixels", args=[scan.pk])
    answers = [reader.head(address, headers={"Accept-Encoding": each}) for each in ("gzip", "identity")]
    for answer in answers:
        answer.close()
    assert len({answer["ETag"] for answer in answers}) == 2


def test_file_whose_bytes_are_gone(scan, place):
    default_storage.delete(scan.pixels)
    reader = signed_in(person(Role.RADIOLOGIST, place))
    assert reader.get(reverse("reading:pixels", args=[scan.pk])).status_code == 404


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.TECHNOLOGIST, 404),
        (Role.RADIOLOGIST, 404),
        (Role.ADJUDICATOR, 404),
        (Role.DATA_MANAGER, 200),
        (Role.ADMINISTRATOR, 200),
    ],
)
def test_heatmap_while_the_case_is_open(opinion, place, role, status):
    response = signed_in(person(role, place)).get(reverse("reading:heatmap", args=[opinion.pk]))
    response.close()
    assert response.status_code == status


def test_heatmap_after_the_own_blind_read_once_it_is_revealed(opinion, scan):
    read = ReadFactory(case=scan.cases.get())
    assert signed_in(read.reader).get(reverse("reading:heatmap", args=[opinion.pk])).status_code == 404
    Read.objects.filter(pk=read.pk).update(revealed_at=timezone.now())
    response = signed_in(read.reader).get(reverse("reading:heatmap", args=[opinion.pk]))
    assert body(response) == b"\x89PNG heat"


def test_heatmap_after_the_blind_read_of_a_colleague(opinion, scan, place):
    ReadFactory(case=scan.cases.get())
    other = person(Role.RADIOLOGIST, place)
    assert signed_in(other).get(reverse("reading:heatmap", args=[opinion.pk])).status_code == 404


def test_heatmap_asked_for_by_a_stranger(opinion):
    stranger = person(Role.DATA_MANAGER, InstitutionFactory())
    assert signed_in(stranger).get(reverse("reading:heatmap", args=[opinion.pk])).status_code == 404

"""Passwords that are guessed quickly are refused where they are set; those that people have keep working."""

import secrets
import time

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from diagnostics.scans.access import Role
from portal.accounts.guessing import NEEDED, digits_of_guesses
from portal.accounts.models import User
from tests import factories as made

pytestmark = pytest.mark.django_db

WEAK = """
passwordpassword PasswordPassword Winter2026!! Winter2026!!! !!Winter2026 Summer2025!!! W1nter2026!!
Herbst2026!?! Sommer2026!!! Invierno2026! Primavera2026! Overread2026! 0verread2026! OverreadOverread
Overread-2026! Radiology2026! Radiologie2026! Radi0logy2026! Hospital2026!! Krankenhaus1! Klinikum2026!!
qwertyuiop12 qwertyuiopasd asdfghjkl123 1q2w3e4r5t6y 1qaz2wsx3edc !QAZ2wsx#EDC zxcvbnm12345 abcdefghijkl
abcdefgh1234 aaaaaaaaaaaa abcabcabcabc 121212121212 letmeinletmein adminadmin123 Administrator1 Welcome12345!
Willkommen2026 P@ssw0rd2026! P@ssw0rdP@ssw0rd Passw0rd!123 Passwort123456 drowssapdrowssap iloveyou2026!
dragonmonkey1 January2026!! Januar2026!! Dezember2026! December-2026 Monday2026!!! 20261231!!!! 31.12.2026!!!
password1234 Password1234567890 Changeme2026! MyPassword2026 Test1234Test1234 Winterzeit2026! Liebling2026!!
Neurology2026! Cardiology2026 Wintersemester26! Tumorboard2026! winter.2026.winter qazwsxedcrfv 1234qwerASDF
a1b2c3d4e5f6 !@#$%^&*()_+ Ov3rr34d2026!! Frühling2026! Charité2026!! Reader2-2026!! northnorth2026
North-2026!!! Clinica2026!! Brain-2026-MRI Tumour2026!! Glioma2026!!! Berlin2026!!! superman2026!
""".split()  # noqa: SIM905 - a hundred of them, to be read
STRONG = [
    "tall green windmills",
    "correct horse battery staple",
    "a sentence for tests 42",
    "a fine long sentence",
    "a much longer one 9",
    "a new long sentence 1",
    "vT9#kLq2!xRw",
    "siebzehn Regenschirme tanzen",
    "el burro come 14 manzanas azules",
    "Kirschkern-Nebel-Zahnrad",
    "漢字かな交じり文を書く人",
]


@pytest.mark.parametrize("password", WEAK)
def test_what_is_guessed_quickly_is_refused(password):
    made.InstitutionFactory(code="north", name="North Clinic")
    assert len(password) >= 12 or digits_of_guesses(password) < NEEDED
    with pytest.raises(ValidationError):
        validate_password(password, User(username="someone"))


@pytest.mark.parametrize("password", STRONG)
def test_what_nobody_guesses_is_taken(password):
    made.InstitutionFactory(code="north", name="North Clinic")
    validate_password(password, User(username="rita", first_name="Rita", last_name="Reader"))


@pytest.mark.parametrize(
    "password",
    ["Lindenhof2026!", "L1ndenh0f-2026", "lindenhoflindenhof", "fohnednil2026!!", "Kowalczyk2026!", "kowalczyk1234!"],
)
def test_names_of_the_place_and_of_the_person_are_no_secret(password):
    made.InstitutionFactory(code="lindenhof", name="Spital Lindenhof")
    with pytest.raises(ValidationError, match="easy to guess|similar"):
        validate_password(password, User(username="kowalczyk", email="k.kowalczyk@example.org"))


def test_drawn_passwords_are_taken():
    drawn = [draw() for _ in range(300) for draw in (lambda: secrets.token_urlsafe(12), lambda: secrets.token_hex(12))]
    refused = [each for each in drawn if digits_of_guesses(each, ["north", "rita"]) < NEEDED]
    assert refused == []


LONG = {"one": "a" * 5000, "walk": "1q2w3e4r" * 600, "leet": "$4$4$4$4$4" * 500, "random": secrets.token_urlsafe(4000)}


@pytest.mark.parametrize("kind", LONG)
def test_a_long_password_costs_no_time(kind):
    began = time.process_time()
    digits_of_guesses(LONG[kind])
    assert time.process_time() - began < 1


def test_whoever_has_a_weak_password_still_signs_in(client):
    rita = made.person(Role.RADIOLOGIST, made.InstitutionFactory(), username="rita")
    rita.set_password("passwordpassword")
    rita.save()
    answer = client.post("/accounts/sign-in/", {"username": "rita", "password": "passwordpassword"})
    assert answer.status_code == 302


def test_every_door_at_which_a_password_is_set_refuses(client):
    rita = made.person(Role.RADIOLOGIST, made.InstitutionFactory(), username="rita")
    client.force_login(rita)
    form = {"old_password": made.PASSWORD, "new_password1": "Winter2026!!", "new_password2": "Winter2026!!"}
    assert "easy to guess" in client.post("/accounts/password/", form).content.decode()
    client.force_login(made.UserFactory(is_superuser=True, is_staff=True))
    form = {"usable_password": "true", "password1": "Winter2026!!", "password2": "Winter2026!!"}
    assert "easy to guess" in client.post(f"/admin/accounts/user/{rita.pk}/password/", form).content.decode()
    rita.refresh_from_db()
    assert rita.check_password(made.PASSWORD)

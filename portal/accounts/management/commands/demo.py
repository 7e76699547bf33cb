"""``manage.py demo``: people of each role and a handful of synthetic phantoms: every page has something in it."""

import secrets

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from diagnostics import pipeline
from diagnostics.scans import people, phantom
from diagnostics.scans.access import Role
from diagnostics.scans.models import Priority, Scan
from portal.accounts.models import User

CODE = "demo"
PHANTOMS: tuple[tuple[int, phantom.Lesion | None, Priority], ...] = (
    (1, phantom.Lesion(0.62, 0.40, 0.09), Priority.STAT),
    (2, None, Priority.ROUTINE),
    (3, phantom.Lesion(0.36, 0.58, 0.06), Priority.ROUTINE),
    (4, None, Priority.ROUTINE),
    (5, phantom.Lesion(0.50, 0.62, 0.05), Priority.URGENT),
    (6, phantom.Lesion(0.60, 0.62, 0.08), Priority.ROUTINE),
    (7, None, Priority.ROUTINE),
    (8, phantom.Lesion(0.40, 0.36, 0.07), Priority.ROUTINE),
)


class Command(BaseCommand):
    help = (
        "Makes the institution “demo”, one person for each role with a random password that is shown once, and hands "
        "in synthetic phantom scans. Run again, it makes only what is missing and shows no password twice."
    )

    def handle(self, *args: object, **options: object) -> None:
        shown = self._people()
        technologist = get_user_model().objects.get(username=f"{CODE}-{Role.TECHNOLOGIST.value}")
        stored = self._phantoms(technologist)
        self.stdout.write(f"{stored} synthetic phantom scans uploaded.")
        if not shown:
            self.stdout.write("The demo people were here already; their passwords were shown when they were made.")
            self.stdout.write("To set a new one: .venv/bin/python manage.py changepassword demo-radiologist")
            return
        self.stdout.write("\nSign in as one of these (the passwords are shown only now):\n")
        for username, password, role in shown:
            self.stdout.write(f"  {username:<20} {password:<18} {role}")

    def _people(self) -> list[tuple[str, str, str]]:
        User = get_user_model()
        shown = []
        for role in Role:
            username = f"{CODE}-{role.value}".replace("_", "-")
            user, made = User.objects.get_or_create(username=username)
            if made:
                password = secrets.token_urlsafe(12)
                user.set_password(password)
                user.save(update_fields=["password"])
                shown.append((username, password, str(role.label)))
            people.add_member(by=None, user=user, institution_code=CODE, role=role)
        return shown

    def _phantoms(self, by: User) -> int:
        institution = by.memberships.get(institution__code=CODE).institution
        stored = 0
        for number, (seed, lesion, priority) in enumerate(PHANTOMS, 1):
            image = phantom.draw(seed, lesion)
            data = phantom.as_dicom(image, seed) if number % 2 else phantom.as_png(image)
            submitted = pipeline.submit_scan(
                by=by,
                institution=institution,
                data=data,
                patient=f"PHANTOM-{(number + 1) // 2:02}",
                accession=f"PH-{number:04}",
                priority=priority,
                source=Scan.Source.DEMO,
            )
            stored += submitted.created
        return stored

"""``manage.py create_person NAME --role ROLE --institution CODE``: an account, or one more role for an old one."""

import secrets
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from diagnostics.management.command import DomainCommand
from diagnostics.scans import people
from diagnostics.scans.access import Role
from portal.accounts.models import User
from portal.accounts.services import add_person


class Command(DomainCommand):
    help = (
        "Makes an account with a role in an institution, which is made where it is missing. For somebody who has an "
        "account already it adds the role and leaves the password alone. The password is drawn and shown once, or "
        "read from standard input with --password-stdin."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", required=True, choices=Role.values)
        parser.add_argument("--institution", required=True, metavar="CODE")
        parser.add_argument("--password-stdin", action="store_true", help="Read the password from standard input.")
        parser.add_argument("--email", default="", help="Where a link to reset the password may go.")
        parser.add_argument("--first-name", default="")
        parser.add_argument("--last-name", default="")

    def handle(self, *args: object, **options: Any) -> None:
        # Read before anything else: whoever pipes a password must not be left with a broken pipe.
        given = sys.stdin.readline().rstrip("\r\n") if options["password_stdin"] else None
        try:
            with transaction.atomic():
                said = self._make(given, options)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(said)

    def _make(self, given: str | None, options: dict[str, Any]) -> str:
        username, role, code = options["username"], options["role"], options["institution"]
        found = User.objects.named(username).first()
        if found is not None:
            joined = people.add_member(by=None, user=found, institution_code=code, role=role)
            what = f"the role {role} in {code}" if joined.created else f"nothing new: they were {role} in {code}"
            note = " The password given was not used." if given is not None else ""
            return f"{username} had an account already and now has {what}. The password stays as it was.{note}"
        password = secrets.token_urlsafe(12) if given is None else given
        add_person(
            by=None,
            username=username,
            password=password,
            role=role,
            institution_code=code,
            email=options["email"],
            first_name=options["first_name"],
            last_name=options["last_name"],
        )
        said = f"{username} is {role} in {code} and can sign in."
        return said if given is not None else f"{said}\nPassword (shown only now): {password}"

"""``manage.py deactivate_person NAME``: close an account, and say who gets the cases of its person."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from diagnostics.management.command import DomainCommand
from diagnostics.reviews.worklist import work_of
from diagnostics.scans import people
from portal.accounts import sessions
from portal.accounts.models import User


class Command(DomainCommand):
    help = "Closes an account. What its person holds or is kept goes back to everybody, or to another reader."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="The name they sign in with.")
        parser.add_argument("--work-to", metavar="NAME", default="", help="The reader who gets their open cases.")

    def handle(self, *args: object, **options: Any) -> None:
        user, heir = self._person(options["username"]), None
        if options["work_to"]:
            heir = self._person(options["work_to"])
        cases = work_of(user)
        people.deactivate(by=None, user=user, work_to=heir)
        sessions.end_others(user=user, by=None, why="deactivated")
        left = work_of(user)
        self.stdout.write(f"{user.username} cannot sign in any more. Open cases given to others: {cases - left}.")

    def _person(self, name: str) -> User:
        try:
            return User.objects.get_by_natural_key(name)
        except User.DoesNotExist as error:
            raise CommandError(_("There is no account %(name)s.") % {"name": name}) from error

"""``manage.py create_token --user U --days N [--scopes a,b]``: prints the token, and nothing else, on stdout."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.accounts.models import Scope, User
from portal.accounts.services import make_token


class Command(BaseCommand):
    help = "Makes an API token and prints it alone on standard output. It is stored only as a hash: keep it now."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", required=True, help="Whose token: the name they sign in with.")
        parser.add_argument("--days", type=int, required=True, help="How many days it lasts.")
        parser.add_argument(
            "--scopes", default=",".join(Scope.values), help=f"Comma-separated, of {', '.join(Scope.values)}; all."
        )
        parser.add_argument("--name", default="Made on the command line", help="What it is for.")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is nobody called {options['user']}. Make an account with create_person.")
        scopes = [scope.strip() for scope in options["scopes"].split(",") if scope.strip()]
        try:
            _row, token = make_token(by=None, user=user, name=options["name"], scopes=scopes, days=options["days"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(token)

"""``manage.py create_token --user U --days N [--scopes a,b]``: prints the token, and nothing else, on stdout."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from diagnostics.management.command import DomainCommand
from portal.accounts.models import Scope, User
from portal.accounts.services import make_token


class Command(DomainCommand):
    help = "Makes an API token and prints it alone on standard output. It is stored only as a hash: keep it now."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", required=True, help="Whose token: the name they sign in with.")
        parser.add_argument("--days", type=int, required=True, help="How many days it lasts.")
        parser.add_argument(
            "--scopes",
            nargs="+",
            default=Scope.values,
            help=f"Of {', '.join(Scope.values)}; with commas or spaces between them; all where left out.",
        )
        parser.add_argument("--name", default="Made on the command line", help="What it is for.")

    def handle(self, *args: object, **options: Any) -> None:
        user = User.objects.named(options["user"]).first()
        if user is None:
            raise CommandError(
                _("There is no account %(user)s. Create one with create_person.") % {"user": options["user"]}
            )
        given = options["scopes"] if isinstance(options["scopes"], str) else ",".join(options["scopes"])
        scopes = [scope.strip() for scope in given.split(",") if scope.strip()]
        _row, token = make_token(by=None, user=user, name=options["name"], scopes=scopes, days=options["days"])
        self.stdout.write(token)

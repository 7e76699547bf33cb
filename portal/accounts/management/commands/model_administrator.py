"""``manage.py model_administrator NAME``: who may change the model that all institutions share."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from diagnostics.management.command import DomainCommand
from diagnostics.scans import model_administrators
from diagnostics.scans.models import ModelAdministrator
from portal.accounts.models import User


class Command(DomainCommand):
    help = (
        "Makes somebody model administrator: where there are several institutions, only model administrators and "
        "superusers promote, roll back, put aside and set limits. Without a name it lists them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", nargs="?", help="The name they sign in with.")
        parser.add_argument("--end", action="store_true", help="Take it away instead.")

    def handle(self, *args: object, **options: Any) -> None:
        name = options["username"]
        if name is None:
            names = [row.user.username for row in ModelAdministrator.objects.select_related("user")]
            self.stdout.write("\n".join(names) if names else "There is no model administrator.")
            return
        try:
            user = User.objects.get_by_natural_key(name)
        except User.DoesNotExist as error:
            raise CommandError(
                _("There is no account %(name)s. Create one with create_person.") % {"name": name}
            ) from error
        if options["end"]:
            ended = model_administrators.dismiss(by=None, user=user)
            self.stdout.write(f"{name} is {'a model administrator no longer' if ended else 'no model administrator'}.")
            return
        made = model_administrators.appoint(by=None, user=user)
        self.stdout.write(f"{name} is {'now' if made else 'already'} a model administrator.")

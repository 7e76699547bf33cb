"""``manage.py changepassword NAME``: Django's own, and with the old password everything ends that it had opened."""

import getpass
from typing import Any

from django.contrib.auth.management.commands import changepassword

from portal.accounts import passwords
from portal.accounts.models import User


class Command(changepassword.Command):
    def handle(self, *args: Any, **options: Any) -> Any:
        user = User.objects.named(options["username"] or getpass.getuser()).first()
        if user is not None:
            options["username"] = user.username  # Django's own asks for the letters as they were written
        said = super().handle(*args, **options)
        if user is None:
            return said
        passwords.password_was_set(by=None, user=user, act="password_set")
        passwords.tell(user, by="the command line")
        self.stdout.write("Their sessions have ended, and their API tokens are revoked.")
        return said

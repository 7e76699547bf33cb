"""Which passwords are refused: those that whoever knows the person, the place and the season guesses quickly."""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from diagnostics.actors import Actor
from diagnostics.scans.models import Institution

from .guessing import NEEDED, digits_of_guesses

_OWN = ("username", "first_name", "last_name", "email")


class GuessableValidator:
    """Refuses what takes fewer than ten thousand million guesses; asked only where a password is set."""

    def validate(self, password: str, user: Actor | None = None) -> None:
        """
        Raises
        ------
        ValidationError
        """
        near = [str(getattr(user, name, "") or "") for name in _OWN]
        for code, name in Institution.objects.values_list("code", "name"):
            near += [code, name]
        if digits_of_guesses(password, near) < NEEDED:
            raise ValidationError(
                _(
                    "This password is easy to guess. It consists of common words, names, dates or keyboard "
                    "rows. Use four unrelated words or a password manager."
                ),
                code="password_guessable",
            )

    def get_help_text(self) -> str:
        return _("Common words with a year and a sign are not enough. Use four unrelated words or a password manager.")

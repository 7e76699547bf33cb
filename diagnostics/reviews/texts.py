"""What people write about a case: one rule for comments and for reasons given in words."""

from django.utils.translation import gettext_lazy as _

from diagnostics.errors import Message
from diagnostics.limits import LONGEST_TEXT

from .errors import InvalidRead


def checked_text(text: str, missing: Message, *, field: str = "comment") -> str:
    """The text without the space around it; ``missing`` is said where nothing is left.

    Raises
    ------
    InvalidRead
    """
    text = text.strip()
    if not text:
        raise InvalidRead(field, missing)
    check_length(text, field=field)
    return text


def check_length(text: str, *, field: str = "comment", limit: int = LONGEST_TEXT) -> None:
    """Refuse a text that is too long.

    Raises
    ------
    InvalidRead
    """
    if len(text) > limit:
        sentence = _("This text has %(length)s characters; at most %(most)s are accepted.")
        raise InvalidRead(field, sentence, {"most": limit, "length": len(text)})

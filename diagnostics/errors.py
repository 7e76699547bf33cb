"""The one tree of errors: what the domain refuses, and why, in a sentence for the person who asked.

A room derives its own named errors from one of the five kinds below. The kind says what a client can do about it.
Each door (pages, API, admin, command line) answers a kind in one place. A fault of our own program is none of these:
it stays an ordinary exception, and ends as an error 500.
"""

import operator
from collections.abc import Iterable, Mapping

from django.utils.functional import Promise

Message = str | Promise  # of gettext_lazy, so that the language is the reader's and not that of whoever raised it


class DomainError(Exception):
    """Something that the domain refuses.

    Attributes
    ----------
    code : str
        The stable word that a program may branch on.
    field : str or None
        The part of what was sent that is at fault.
    accepted : list of str
        The values that ``field`` would have taken, where they hang on the case.
    details : dict
        What else a program may want to know.
    """

    code = "refused"
    field: str | None = None
    message: Message = ""

    def __init__(
        self,
        message: Message = "",
        params: Mapping[str, object] | None = None,
        *,
        field: str | None = None,
        code: str = "",
        accepted: Iterable[str] = (),
    ) -> None:
        self.message = message or self.message
        self.params = dict(params or {})
        self.field = field if field is not None else self.field
        self.code = code or self.code
        self.accepted = [str(each) for each in accepted]
        self.details: dict[str, object] = {}
        super().__init__(self.message, self.params)

    def __str__(self) -> str:
        # Python's own operator, as a lazy plural takes its number from the parameters; the stubs do not know it.
        return str(operator.mod(self.message, self.params) if self.params else self.message)

    @property
    def sentence(self) -> str:
        """The message in the language of whoever reads it now."""
        return str(self)


class Invalid(DomainError):
    """What was sent is at fault; ``field`` names the part."""

    code = "invalid"


class Conflict(DomainError):
    """What was sent is well, but does not fit where things stand."""

    code = "conflict"


class Denied(DomainError):
    """The person may not do this."""

    code = "not_allowed"


class NotFound(DomainError):
    """There is no such thing, or none that the person may see."""

    code = "not_found"


class Unavailable(DomainError):
    """Something that the act needs is away; the same may be asked again later."""

    code = "unavailable"

"""Why an act on a case is refused: each with a sentence that may be shown."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _


class AlreadyClaimed(RuntimeError):
    """Somebody holds the case."""

    def __init__(self, holder: Any, until: datetime) -> None:
        super().__init__(f"{holder} holds this case until {timezone.localtime(until):%H:%M}.")
        self.holder = holder
        self.until = until


class AlreadyDone(RuntimeError):
    """The case has been read."""

    def __init__(self) -> None:
        super().__init__("This case has been read already. Its final read can be amended by its reader.")


class StaleClaim(RuntimeError):
    """The claim that came with the act is not (or no longer) the live one of this person."""

    def __init__(self) -> None:
        super().__init__(
            "Your claim on this case has ended: it was given back, taken over or left idle too long. "
            "Claim the case again; what you wrote is not lost as long as this page stays open."
        )


class StaleDraft(RuntimeError):
    """Another page of the same reader has saved something else since; ``kept`` is the draft as it is now."""

    def __init__(self, kept: Any) -> None:
        super().__init__(_("Another tab has saved something else meanwhile. Choose which of the two to keep."))
        self.kept = kept


class WrongStage(RuntimeError):
    """The act does not fit where the case stands."""


class InvalidRead(ValueError):
    """A read that cannot be stored; ``field`` names the part, ``sentence`` says what is accepted.

    ``accepted`` lists the codes that the field would have taken, where they hang on the case.
    """

    def __init__(self, field: str, sentence: str, *, accepted: Iterable[str] = ()) -> None:
        super().__init__(sentence)
        self.field = field
        self.sentence = sentence
        self.accepted = [str(code) for code in accepted]

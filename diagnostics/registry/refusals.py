"""What the registry refuses, by name; ``str()`` of each is a sentence for the person who asked."""

from django.utils.functional import Promise


class PromotionRefused(ValueError):
    """A model cannot be put where somebody wanted it."""


class AlreadyLive(PromotionRefused):
    """The model is in use already."""


class ReasonMissing(PromotionRefused):
    """Nobody said why."""

    field = "reason"


class ExceptionMissing(ReasonMissing):
    """The gate has not let the model through, and the exception is not written as it must be; ``field`` says what."""

    code = "exception_needed"

    def __init__(self, sentence: str, *, field: str = "exception") -> None:
        super().__init__(sentence)
        self.field = field


class SecondAdministratorNeeded(PromotionRefused):
    """This installation, or an exception from the gate, wants two people to agree."""


class ApprovalChanged(PromotionRefused):
    """Whether somebody else must approve is no longer as it was when the person was asked who they are."""


class OwnRequest(PromotionRefused):
    """Nobody approves what they proposed themselves."""


class RequestClosed(PromotionRefused):
    """The request was decided, or it has expired."""


class NothingToReturnTo(PromotionRefused):
    """No former model is kept."""


class WrongModelState(PromotionRefused):
    """The model's state does not allow the act."""


def needed(given: str, sentence: str | Promise, kind: type[ReasonMissing] = ReasonMissing) -> str:
    """The words without the spaces around them; raises ``kind`` with ``sentence`` where there are none."""
    if not given.strip():
        raise kind(str(sentence))
    return given.strip()

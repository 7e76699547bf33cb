"""What the registry refuses, by name; ``str()`` of each is a sentence for the person who asked."""

from diagnostics.errors import Conflict, Invalid, Message
from mlcore.model import identity


class PromotionRefused(Conflict):
    """A model cannot be put where somebody wanted it."""

    code = "promotion_refused"


class AlreadyLive(PromotionRefused):
    """The model is in use already."""


class ReasonMissing(Invalid, PromotionRefused):
    """Nobody said why."""

    field: str = "reason"


class ExceptionMissing(ReasonMissing):
    """The gate has not let the model through, and the exception is not written as it must be; ``field`` says what."""

    code = "exception_needed"
    field = "exception"


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


class ArtifactDamaged(Conflict, identity.ArtifactDamaged):
    """A model's files are gone, or are not what was registered; whoever expects the learning core's error gets it."""

    code = "artifact_damaged"


class BadRules(Invalid):
    """Rules of the gate that cannot be applied; the sentence names the one and what it may be."""


def needed(given: str, sentence: Message, kind: type[ReasonMissing] = ReasonMissing) -> str:
    """The words without the spaces around them; raises ``kind`` with ``sentence`` where there are none."""
    if not given.strip():
        raise kind(sentence)
    return given.strip()

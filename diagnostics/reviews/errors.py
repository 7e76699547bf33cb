"""Why an act on a case is refused: each with a sentence that may be shown."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from diagnostics.actors import Account
from diagnostics.errors import Conflict, Invalid, Message

from .models import Draft


class AlreadyClaimed(Conflict):
    """Somebody holds the case."""

    code = "already_claimed"
    message = _("%(holder)s has reserved this case until %(time)s.")

    def __init__(self, holder: Account, until: datetime) -> None:
        super().__init__(params={"holder": holder, "time": f"{timezone.localtime(until):%H:%M}"})
        self.holder = holder
        self.until = until


class AlreadyDone(Conflict):
    """The case has been read."""

    code = "already_done"
    message = _("This case has already been read. Its reader can amend the final read.")


class StaleClaim(Conflict):
    """The claim that came with the act is not (or no longer) the live one of this person."""

    code = "stale_claim"
    message = _(
        "Your claim on this case has ended: released, taken over or idle for too long. Claim the case again. "
        "Your entries are kept while this page stays open."
    )


class StaleDraft(Conflict):
    """Another page of the same reader has saved something else since; ``kept`` is the draft as it is now."""

    code = "stale_draft"
    message = _("Another tab has saved a newer draft. Choose which one to keep.")

    def __init__(self, kept: Draft) -> None:
        super().__init__()
        self.kept = kept


class WrongStage(Conflict):
    """The act does not fit where the case stands."""

    code = "wrong_stage"


class NewImages(Conflict):
    """Images came to the scan after its reader had opened it; ``images`` says how many it has now."""

    code = "new_images"
    message = _(
        "New images were added to this scan after you opened it. It has %(images)d images now. Look at them, then "
        "submit again. Your entries are kept."
    )


class BlindReadsFirst(WrongStage):
    """Other series of the study, which the reader holds, wait for their blind read; ``n`` says how many."""

    code = "blind_reads_first"
    message = ngettext_lazy(
        "First read the other series of this study blind: %(n)d is left. The AI results are shown after that.",
        "First read the other series of this study blind: %(n)d are left. The AI results are shown after that.",
        "n",
    )


class InvalidRead(Invalid):
    """A read that cannot be stored; ``field`` names the part, the message says what is accepted.

    ``accepted`` lists the codes that the field would have taken, where they hang on the case.
    """

    field: str

    def __init__(
        self,
        field: str,
        message: Message,
        params: Mapping[str, object] | None = None,
        *,
        accepted: Iterable[str] = (),
    ) -> None:
        super().__init__(message, params, field=field, accepted=accepted)

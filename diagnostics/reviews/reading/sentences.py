"""Reads as a person reads them in a list."""

from django.utils.translation import gettext as _

from diagnostics.cases.models import Stage
from diagnostics.reviews.models import Read

from .statement import headline, lines


def sentence_of(read: Read) -> str:
    """A read in words."""
    kind = read.get_stage_display() if read.stage == Stage.ADJUDICATION else read.get_kind_display()
    words = f"{kind}: {headline(read)}"
    if read.revision > 1:
        words += f" ({_('revision %(number)s') % {'number': read.revision}})"
    if read.adopted:
        words += f", {_('adopted from the AI')}"
    return ". ".join([words, *lines(read, texts=False)])


def seconds_in_words(seconds: int) -> str:
    """A span as a reader says it: "41 s", "2 min 05 s"."""
    if seconds < 60:
        return str(_("%(s)d s") % {"s": seconds})
    return str(_("%(min)d min %(s)02d s") % {"min": seconds // 60, "s": seconds % 60})


def time_of(seconds: int | None, before: int | None) -> str:
    """How long a read took, for the end of its sentence; ``before`` is what the blind read had taken."""
    if seconds is None:
        return ""
    own = str(_(", in %(time)s") % {"time": seconds_in_words(seconds)})
    if before is None:
        return own
    return own + str(_(" (%(time)s with the blind read)") % {"time": seconds_in_words(before + seconds)})

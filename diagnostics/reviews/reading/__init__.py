"""Reading a case: what is stated, drafts, the reveal, recording, amending and undoing, the time line.

The one door: other rooms import from here.
"""

from .adjudication import Statement, statements_for
from .drafts import UNDO_SECONDS, Undoable, draft_for, save_draft, undo_read, undoable_read
from .reasons import fitting_reasons, offered_reasons
from .recording import amend, record_read
from .revealing import reveal, reveal_before_final, reveal_scans
from .sentences import seconds_in_words
from .statement import (
    FIELDS,
    Door,
    Field,
    Kind,
    Said,
    Step,
    at,
    beside_label,
    discordant,
    headline,
    images_named,
    lines,
    spoken,
    through,
    without_leftovers,
)
from .timeline import TimelineEntry, timeline_of

__all__ = [
    "Door",
    "FIELDS",
    "Field",
    "Kind",
    "Said",
    "Statement",
    "Step",
    "TimelineEntry",
    "UNDO_SECONDS",
    "Undoable",
    "amend",
    "at",
    "beside_label",
    "discordant",
    "draft_for",
    "fitting_reasons",
    "headline",
    "images_named",
    "lines",
    "offered_reasons",
    "record_read",
    "reveal",
    "reveal_before_final",
    "reveal_scans",
    "save_draft",
    "seconds_in_words",
    "spoken",
    "statements_for",
    "through",
    "timeline_of",
    "undo_read",
    "undoable_read",
    "without_leftovers",
]

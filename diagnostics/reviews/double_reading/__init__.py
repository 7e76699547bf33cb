"""Two readers and an adjudicator: where a case goes after a read, and how far readers agree.

The one door: other rooms import from here.
"""

from .agreement import FEW, MOST_CASES, cases_behind, overseen_by, report
from .second_readers import answer, ask_second_opinion, finalize, recall, return_case
from .unclaimable import count_for, waits_for_nobody, waive_second_reader

__all__ = [
    "FEW",
    "MOST_CASES",
    "answer",
    "ask_second_opinion",
    "cases_behind",
    "count_for",
    "overseen_by",
    "recall",
    "report",
    "return_case",
    "finalize",
    "waits_for_nobody",
    "waive_second_reader",
]

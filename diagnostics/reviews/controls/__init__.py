"""Control cases: known answers mixed in among the others.

The one door: other rooms import from here.
"""

from .control_cases import Feedback, answers_for, feedback_for, may_see_results, mix_in, results_of, want_one

__all__ = [
    "Feedback",
    "answers_for",
    "feedback_for",
    "may_see_results",
    "mix_in",
    "results_of",
    "want_one",
]

"""Sentences written down in English, by a worker or by the decoder, in the language of whoever reads them."""

import re

from django.utils.translation import get_language, gettext

from mlcore.images.decoded import ACCEPTED, FORMERLY_ACCEPTED, REFUSALS
from mlcore.images.kinds import ADVICE, UNSUPPORTED

__all__ = ["ACCEPTED", "ADVICE", "REFUSALS", "UNSUPPORTED", "in_words"]

_UNSUPPORTED = re.compile(
    re.escape(UNSUPPORTED).replace(r"\{name\}", "(.+?)") + f" ({'|'.join(map(re.escape, ADVICE.values()))})"
)

# Rows of before 2026-12 keep the sentence that was said then; it is shown as it is said now.
FORMER_SENTENCES: dict[str, str] = {
    ("The loss was not a number any more: the network's steps were too far. Lower the learning rate and try again."): (
        "The loss became invalid because the learning steps were too large. Lower the learning rate and try again."
    ),
    ("The machine ran out of memory. Try the small network, or smaller steps."): (
        "Out of memory. Try the small network or a smaller batch size."
    ),
    ("The model gave numbers that are no probabilities."): ("The model returned invalid probabilities."),
    ("The model named a label that it does not know."): ("The model returned an unknown label."),
    (
        "The model's files are damaged, so nothing was analysed. An administrator must put the former model "
        "back or install this one again; then retry."
    ): (
        "The model's files are damaged, so nothing was analysed. An administrator must roll back or reinstall"
        " the model. Then retry."
    ),
    ("The stored image is missing. Tell your administrator; hand the file in again."): (
        "The stored image is missing. Tell your administrator and upload the file again."
    ),
    (
        "The worker was lost again in the middle of this run, so it was given up. Perhaps the machine ran out"
        " of memory: try the small network, or smaller steps."
    ): (
        "The worker was lost again during this run, so the run was abandoned. The machine may have run out of"
        " memory: try the small network or a smaller batch size."
    ),
}


def in_words(sentence: str, code: str = "") -> str:
    """Give a kept sentence in the reader's language.

    One that names sizes of the file is in no catalogue; then the general sentence of its ``code`` takes its place, and
    where there is none either, the sentence stays as it was written. The kind of a file is named in every language.
    """
    sentence = FORMER_SENTENCES.get(sentence, sentence)
    if (get_language() or "en").startswith("en") or not sentence:
        return sentence
    accepted = next((end for end in (ACCEPTED, *FORMERLY_ACCEPTED) if sentence.endswith(end)), "")
    what = sentence.removesuffix(accepted).rstrip()
    kind = _UNSUPPORTED.fullmatch(what)
    words = f"{gettext(UNSUPPORTED).format(name=kind[1])} {gettext(kind[2])}" if kind else gettext(what)
    if words == what and code in REFUSALS:
        words = gettext(REFUSALS[code])
    # What is accepted now is what counts for whoever reads it now.
    return f"{words} {gettext(ACCEPTED)}" if accepted else words

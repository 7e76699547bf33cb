"""Sentences written down in English, by a worker or by the decoder, in the language of whoever reads them."""

import re

from django.utils.translation import get_language, gettext

from mlcore.images.decoded import ACCEPTED, FORMERLY_ACCEPTED, REFUSALS
from mlcore.images.kinds import ADVICE, UNSUPPORTED

__all__ = ["ACCEPTED", "ADVICE", "REFUSALS", "UNSUPPORTED", "in_words"]

_UNSUPPORTED = re.compile(
    re.escape(UNSUPPORTED).replace(r"\{name\}", "(.+?)") + f" ({'|'.join(map(re.escape, ADVICE.values()))})"
)


def in_words(sentence: str, code: str = "") -> str:
    """Give a kept sentence in the reader's language.

    One that names sizes of the file is in no catalogue; then the general sentence of its ``code`` takes its place, and
    where there is none either, the sentence stays as it was written. The kind of a file is named in every language.
    """
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

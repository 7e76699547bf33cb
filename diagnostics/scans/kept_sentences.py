"""Sentences written down in English, by a worker or by the decoder, in the language of whoever reads them."""

from django.utils.translation import get_language, gettext

from mlcore.decoded import ACCEPTED, REFUSALS


def in_words(sentence: str, code: str = "") -> str:
    """Give a kept sentence in the reader's language.

    One that names sizes or formats of the file is in no catalogue; then the general sentence of its ``code`` takes its
    place, and where there is none either, the sentence stays as it was written.
    """
    if (get_language() or "en").startswith("en") or not sentence:
        return sentence
    what = sentence.removesuffix(ACCEPTED).rstrip()
    words = gettext(what)
    if words == what and code in REFUSALS:
        words = gettext(REFUSALS[code])
    return f"{words} {gettext(ACCEPTED)}" if sentence.endswith(ACCEPTED) else words

"""How many guesses a password takes whoever knows what people make passwords of.

A password is parted into the pieces that are guessed most easily: common words (also with digits for letters, turned
round or said twice), years and dates, walks along the keyboard, rows of letters, and single characters for the rest.
The guesses of the pieces are multiplied; of all ways to part it the cheapest counts. The idea is that of zxcvbn
(Wheeler, USENIX Security 2016), the lists are Django's common passwords and ``context_words.txt``. No network.
"""

import functools
import gzip
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from django.contrib.auth import password_validation

NEEDED = 10.0  # decimal digits of guesses
MOST = 64  # characters that are looked at: the cost grows with the cube, and so many are enough
# Digits and signs that stand for letters. Some stand for two.
_LETTERS = {"0": "o", "1": "li", "2": "z", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g",
            "@": "a", "$": "s", "!": "il", "|": "li", "+": "t", "€": "e", "(": "c", "#": "h"}  # fmt: skip
_ROWS = ("1234567890", "qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm", "azertyuiop", "qsdfghjklm")
_COLUMNS = ("1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik", "9ol", "0p", "1qay", "6zhn")
_SHIFTED = str.maketrans("!@#$%^&*()", "1234567890")
_DATE = re.compile(r"(?:19|20)\d\d|\d{1,2}[./-]?\d{1,2}[./-]?(?:19|20)?\d\d|(?:19|20)\d\d[./-]?\d{1,2}[./-]?\d{1,2}")
_WORD = 4.3  # a common word, whichever: one of 20,000
_UNKNOWN_WORD = 6.0  # of a language that no list here has
_WORDLIKE = re.compile(r"[A-Z]?[a-z]{3,9}|[A-Z]{4,10}")
_NEAR = 1.0  # a word of the place, the product, the person
_TURNED = 0.3  # digits for letters, or backwards


@functools.cache
def common_words() -> Mapping[str, float]:
    """The words that everybody tries, with the decimal digits of the guesses until each."""
    folder = Path(password_validation.__file__).parent
    found: dict[str, float] = {}
    with gzip.open(folder / "common-passwords.txt.gz", "rt", encoding="utf-8") as lines:
        for rank, line in enumerate(lines, 1):
            found.setdefault(line.strip().lower(), min(_WORD, math.log10(rank + 10)))
    text = (Path(__file__).parent / "context_words.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            found.update(dict.fromkeys(line.split(), 2.0))
    return {word: guesses for word, guesses in found.items() if len(word) >= 3}


def plain(text: str) -> str:
    """Without accents, so that ``Charité`` and ``Charite`` are one word."""
    parted = unicodedata.normalize("NFKD", text)
    return "".join(each for each in parted if not unicodedata.combining(each))


def digits_of_guesses(password: str, near: Iterable[str] = ()) -> float:
    """The decimal logarithm of the guesses for ``password``; ``near`` are words that belong to its person or place.

    Characters beyond ``MOST`` are not looked at.
    """
    written = plain(password)[:MOST]
    text = "".join(each.lower()[:1] for each in written)
    words = {**common_words()}
    for word in {part for phrase in near for part in re.split(r"[^\w]+", plain(phrase).lower()) if len(part) >= 3}:
        words[word] = _NEAR
    cheapest = [0.0] + [math.inf] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(end):
            cost = _cost(text, start, end, words)
            if _WORDLIKE.fullmatch(written, start, end) and _spoken(text[start:end]):
                cost = min(math.inf if cost is None else cost, _UNKNOWN_WORD)
            if cost is not None:
                cheapest[end] = min(cheapest[end], cheapest[start] + cost)
        repeated = _repeated(text, end, cheapest)
        cheapest[end] = min(cheapest[end], repeated)
    return cheapest[-1]


def _spoken(piece: str) -> bool:
    """Whether letters look like a word: as many vowels among them as words have."""
    return 0.25 <= sum(each in "aeiouy" for each in piece) / len(piece) <= 0.7


def _cost(text: str, start: int, end: int, words: Mapping[str, float]) -> float | None:
    """The guesses for one piece; None where it is none."""
    piece = text[start:end]
    if len(piece) == 1:
        return 1.0 if piece.isdigit() else 1.4 if piece.isalpha() else 1.5
    found = [cost for cost in (_of_word(piece, words), _of_walk(piece), _of_date(piece)) if cost is not None]
    return min(found, default=None)


def _of_word(piece: str, words: Mapping[str, float]) -> float | None:
    if len(piece) < 3:
        return None
    costs = []
    for turned, form in ((0.0, piece), (_TURNED, piece[::-1])):
        if form in words:
            costs.append(words[form] + turned)
        costs += [words[read] + turned + _TURNED for read in _read(form) if read in words]
    return min(costs, default=None)


def _read(piece: str) -> list[str]:
    """The words that a piece with digits for letters may stand for."""
    signs = [place for place, each in enumerate(piece) if each in _LETTERS]
    if not signs or len(signs) > 8:
        return []
    forms = [""]
    for each in piece:
        forms = [form + letter for form in forms for letter in _LETTERS.get(each, each)][:64]
    return forms


def _of_walk(piece: str) -> float | None:
    """Keys beside one another, letters or digits in order, or one character again and again."""
    if len(piece) < 3:
        return 1.5 if piece == piece[0] * 2 else None
    bare = piece.translate(_SHIFTED)
    if len(set(piece)) == 1 or any(bare in line or bare in line[::-1] for line in _ROWS):
        return 1.5 + len(piece) / 20
    steps = {ord(second) - ord(first) for first, second in zip(bare, bare[1:], strict=False)}
    if len(steps) == 1 and abs(steps.pop()) in (1, 2):
        return 1.5 + len(piece) / 20
    if len(piece) >= 4 and _zigzag(bare):
        return 2.0 + len(piece) / 20
    return None


@functools.cache
def _neighbours() -> Mapping[str, frozenset[str]]:
    """The keys beside each key, of the usual keyboards."""
    beside: dict[str, set[str]] = {}
    for line in (*_ROWS, *_COLUMNS):
        for first, second in zip(line, line[1:], strict=False):
            beside.setdefault(first, set()).add(second)
            beside.setdefault(second, set()).add(first)
    return {key: frozenset(keys) for key, keys in beside.items()}


def _zigzag(piece: str) -> bool:
    """Each key beside the one before, in any direction; or two such walks whose keys take turns (``1q2w3e4r``)."""
    near = _neighbours()
    if all(second in near.get(first, ()) for first, second in zip(piece, piece[1:], strict=False)):
        return True
    # Two walks whose keys take turns, and columns one after another.
    halves = piece[::2], piece[1::2]
    if all(len(half) > 1 and any(half in line or half in line[::-1] for line in _ROWS) for half in halves):
        return True
    return len(piece) >= 6 and all(part in _COLUMNS or part[::-1] in _COLUMNS for part in _fours(piece))


def _fours(piece: str) -> list[str]:
    return [piece[place : place + 4] for place in range(0, len(piece), 4)]


def _of_date(piece: str) -> float | None:
    if not _DATE.fullmatch(piece):
        return None
    return 2.0 if len(piece) == 4 else 3.5


def _repeated(text: str, end: int, cheapest: list[float]) -> float:
    """The guesses where the text until ``end`` ends with a piece said again: little more than for the piece once."""
    best = math.inf
    for length in range(2, end // 2 + 1):
        piece = text[end - length : end]
        times = 1
        while text[: end - length * times].endswith(piece):
            times += 1
        for said in range(2, times + 1):
            start = end - length * said
            best = min(best, cheapest[start + length] + math.log10(said))
    return best

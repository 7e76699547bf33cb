"""Pages, mails and reports say things in the field's standard words, one short thought a sentence."""

import re

import pytest

from portal.ui import catalogues
from tests.processes import ROOT

# What pages said before, or would in a private language of our own; the word to use instead stands beside it.
GONE = {
    r"\bhand(s|ed)?\b.* in\b": "upload",
    r"\bhere already\b": "already uploaded",
    r"\blook-?alikes?\b": "near-duplicates",
    r"\bgive(n|s)? back\b": "release",
    r"\bhold(s)? (it|this case)\b": "has claimed",
    r"\bloosen\b": "clear",
    r"\bby way of\b": "source",
    r"\bwhat became of\b": "results",
    r"\bsettle[sd]?\b": "resolve",
    r"\bdeal(t)? (it )?out\b": "assign",
    r"\bnarrow (the|it)\b": "filters",
    r"\bforget\b(?!.*password)": "delete",
    r"\bput .* aside\b": "retire",
    r"\bchallenges?\b(?! )": "challenger",
    r"\bby itself\b": "automatically",
    r"\ball the same\b": "anyway",
    r"\bmailed? address\b": "email address",
    r"\bcame round\b": "changed",
    r"(?<!question )(?<!\()\bmarks?\b(?! all| as)": "annotation",
    r"\bkeys (rest|as delivered)\b": "shortcuts",
    r"\bin the (middle|box)\b": "median; bundled",
    r"\b(right|wrong)-flips?\b": "corrected by AI; misled by AI",
    r"\bdummy\b": "baseline",
    r"\bgone from\b": "missing in",
    r"\bwish(es)?\b": "request",
    r"\bdrawn lesions?\b": "synthetic lesions",
    r"\bstrangers?\b": "out of distribution",
    r"\bundated\b": "no date",
    r"\btick(s|ed)?\b": "select",
    r"\bwaits? for nobody\b": "unassigned",
    r"\bnot here\b": "page not found",
    r"\bhow far\b": "progress",
}
# Help for whoever reads the tables in the admin may take a longer sentence.
MOST_WORDS = 30


@pytest.fixture(scope="module")
def said() -> list[str]:
    found: list[str] = []
    for message in catalogues.collect(ROOT):
        if message.id:
            found += [message.id] if isinstance(message.id, str) else list(message.id)
    return found


@pytest.mark.parametrize("pattern", GONE, ids=lambda pattern: GONE[pattern])
def test_old_word_is_said_nowhere(said, pattern):
    found = [sentence for sentence in said if re.search(pattern, sentence, re.IGNORECASE)]
    assert found == [], f"say instead: {GONE[pattern]}"


def test_sentences_are_short(said):
    sentences = [each for text in said for each in re.split(r"(?<=[.?!])\s+|;\s|:\s", text)]
    assert [each for each in sentences if len(each.split()) > MOST_WORDS] == []

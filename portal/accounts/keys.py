"""Which key does what on the pages for readers: as delivered, and as a person has changed it.

The list here is the truth: the pages' scripts take their keys from it (``data-keys`` of the list of keys), and every
hint beside a button shows the key that works for whoever looks.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.actors import Actor, account_of
from diagnostics.errors import Invalid
from diagnostics.reviews.models import Certainty, Label

Words = str | Promise
MAX_KEY = 8  # characters: "Shift+1" is the longest
NAMED = ("Space", *(f"Shift+{digit}" for digit in range(10)))
RESERVED = ("?",)  # the list of keys, everywhere


@dataclass(frozen=True)
class Action:
    """Something that one key does on one page."""

    name: str
    key: str
    words: Words


@dataclass(frozen=True)
class Group:
    """Actions that belong together."""

    words: Words
    actions: tuple[Action, ...]


def _each(*actions: tuple[str, str, Words]) -> tuple[Action, ...]:
    return tuple(Action(*action) for action in actions)


# By number, not by word: a page on which no label is to be chosen does not name one.
LABELS = tuple(Action(f"label-{number}", str(number), label.label) for number, label in enumerate(Label, start=1))
CERTAINTIES = tuple(
    Action(f"certainty-{number}", str((number + 7) % 10), certainty.label)
    for number, certainty in enumerate(Certainty, start=1)
)

READING = (
    Group(
        gettext_lazy("Decision"),
        (
            *LABELS,
            *CERTAINTIES,
            *_each(
                ("keep", "k", gettext_lazy("Keep my read")),
                ("adopt", "a", gettext_lazy("Accept AI")),
                ("reason", "y", gettext_lazy("Reason for disagreeing")),
                ("comment", "m", gettext_lazy("Write a comment")),
                ("train", "t", gettext_lazy("May be used for training")),
                ("heatmap", "g", gettext_lazy("Heat map")),
                ("second-opinion", "f", gettext_lazy("Request a second opinion")),
                ("submit", "n", gettext_lazy("The main button of this step")),
                ("undo", "u", gettext_lazy("Undo what was just submitted")),
                ("previous-series", "<", gettext_lazy("Previous series of the study")),
                ("next-series", ">", gettext_lazy("Next series of the study")),
                ("back", "b", gettext_lazy("Back to the worklist")),
            ),
        ),
    ),
    Group(
        gettext_lazy("Image"),
        _each(
            ("tool-window", "w", gettext_lazy("Dragging changes the window")),
            ("tool-pan", "p", gettext_lazy("Dragging moves the image")),
            ("tool-zoom", "z", gettext_lazy("Dragging zooms")),
            ("zoom-in", "+", gettext_lazy("Larger")),
            ("zoom-out", "-", gettext_lazy("Smaller")),
            ("fit", "=", gettext_lazy("Fit")),
            ("actual", "o", gettext_lazy("Actual size (1:1)")),
            ("invert", "i", gettext_lazy("Invert")),
            ("flip-h", "h", gettext_lazy("Flip left–right")),
            ("flip-v", "v", gettext_lazy("Flip top–bottom")),
            ("rotate", "r", gettext_lazy("Rotate 90°")),
            ("reset", "Space", gettext_lazy("Reset the view")),
            ("preset-file", "Shift+1", gettext_lazy("Window from the file")),
            ("preset-wide", "Shift+2", gettext_lazy("Auto window (0.5–99.5 %)")),
            ("preset-narrow", "Shift+3", gettext_lazy("Auto window (5–95 %)")),
            ("preset-full", "Shift+4", gettext_lazy("Window of all values")),
            ("preset-table", "Shift+5", gettext_lazy("The file's own table")),
            ("cine", "Shift+8", gettext_lazy("Play the stack, or stop")),
            ("peak", "Shift+9", gettext_lazy("Go to the most suspicious image")),
            ("key-image", "Shift+0", gettext_lazy("Add the shown image to the key images, or remove it")),
            ("compare", "q", gettext_lazy("Compare with another scan of the patient")),
            ("link", ",", gettext_lazy("Link / unlink views")),
        ),
    ),
    Group(
        gettext_lazy("Measure and annotate"),
        _each(
            ("mark-select", "s", gettext_lazy("Select an annotation, or the next one")),
            ("mark-length", "l", gettext_lazy("Length")),
            ("mark-angle", "c", gettext_lazy("Angle")),
            ("mark-ellipse", "e", gettext_lazy("Ellipse")),
            ("mark-rectangle", "x", gettext_lazy("Rectangle")),
            ("mark-freehand", "d", gettext_lazy("Freehand region")),
            ("mark-point", ".", gettext_lazy("Point")),
            ("mark-arrow", "j", gettext_lazy("Arrow with text")),
        ),
    ),
)
WORKLIST = (
    Group(
        gettext_lazy("Worklist"),
        _each(
            ("down", "j", gettext_lazy("Next case in the list")),
            ("up", "k", gettext_lazy("Previous case")),
            ("series", "o", gettext_lazy("Show or hide the series of a study")),
            ("next", "n", gettext_lazy("Read next")),
            ("undo", "u", gettext_lazy("Undo what was just submitted")),
            ("tick", "x", gettext_lazy("Select this case for assignment")),
            ("search", "/", gettext_lazy("Search patients")),
        ),
    ),
)
PAGES: dict[str, tuple[Group, ...]] = {"reading": READING, "worklist": WORKLIST}
TITLES: dict[str, Words] = {"reading": gettext_lazy("Reading page"), "worklist": gettext_lazy("Worklist")}


class BadKeys(Invalid):
    """Keys that cannot be; ``sentences`` says by action why."""

    def __init__(self, sentences: dict[str, str]) -> None:
        super().__init__(" ".join(sentences.values()))
        self.sentences = sentences


def actions_of(page: str) -> dict[str, Action]:
    """The page's actions by name."""
    return {action.name: action for group in PAGES[page] for action in group.actions}


def delivered(page: str) -> dict[str, str]:
    """The keys as delivered, by action."""
    return {name: action.key for name, action in actions_of(page).items()}


def spelt(raw: str) -> str:
    """A key as the scripts name it: letters small, "Space" and "Shift+1" in their usual spelling."""
    key = raw if raw == " " else raw.strip()
    if key == " ":
        return "Space"
    if len(key) == 1:
        return key.lower()
    return next((name for name in NAMED if name.lower() == key.lower()), key)


def _fault(key: str) -> str:
    if key in RESERVED:
        return _("“?” always opens the list of shortcuts.")
    if key in NAMED or key == "" or (len(key) == 1 and key.isprintable() and not key.isspace()):
        return ""
    return _("“%(key)s” cannot be used. Use a single letter, digit or sign, Space, or Shift with a digit.") % {
        "key": key[:MAX_KEY]
    }


def checked(page: str, wanted: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """All keys of the page after the wanted changes; an empty key leaves an action without one.

    Raises
    ------
    BadKeys
        An action that the page does not have, a key that cannot be used, or one that does two things.
    """
    actions = actions_of(page)
    faults = {name: _("This page has no such action.") for name in wanted if name not in actions}
    keys = {**now, **{name: spelt(key) for name, key in wanted.items() if name in actions}}
    faults |= {name: fault for name, key in keys.items() if (fault := _fault(key))}
    for name, fault in _shared(keys, actions).items():
        faults.setdefault(name, fault)
    if faults:
        raise BadKeys(faults)
    return keys


def _shared(keys: Mapping[str, str], actions: Mapping[str, Action]) -> dict[str, str]:
    """For each action whose key does something else too: what else."""
    users: dict[str, list[str]] = {}
    for name, key in keys.items():
        if key:
            users.setdefault(key, []).append(name)
    faults = {}
    for key, names in users.items():
        for name in names if len(names) > 1 else []:
            others = ", ".join(f"“{actions[other].words}”" for other in names if other != name)
            faults[name] = _("“%(key)s” is also the shortcut for %(others)s.") % {"key": key, "others": others}
    return faults


def with_own(page: str, own: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The keys that work for somebody who has stored these of their own.

    An action that came with a later version has its key as delivered, or none where that is taken already.
    """
    known = delivered(page)
    keys = {name: key for name, key in own if name in known}
    taken = set(keys.values())
    for name, key in known.items():
        if name not in keys:
            keys[name] = "" if key in taken else key
    return {name: keys[name] for name in known}


class PageKeys:
    """The keys of one page for one person; asked for when first shown."""

    def __init__(self, user: Actor, page: str) -> None:
        self.user = user
        self.page = page

    @cached_property
    def by_action(self) -> dict[str, str]:
        if not self.user.is_authenticated:
            return delivered(self.page)
        return with_own(self.page, account_of(self.user).own_keys.filter(page=self.page).values_list("action", "key"))

    def as_json(self) -> str:
        """For the page's script."""
        return json.dumps(self.by_action, ensure_ascii=False)

    def key(self, action: str) -> str:
        """The key of an action; empty where it has none."""
        return self.by_action.get(action, "")

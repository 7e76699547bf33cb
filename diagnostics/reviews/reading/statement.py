"""What a reader states, each field declared once.

Page forms, serializers, drafts, undo, amendments, the adjudicator's view, the report, the time line and the manifest
are made from :data:`FIELDS`. A further field is a column of ``Read``, a line of :class:`Said` and an entry here;
``tests/portal/test_statement.py`` walks every door and names the one that forgets it.

Only the label is compared with the AI's opinion (:mod:`diagnostics.reviews.labels`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypedDict, cast

from django.db.models import Model, TextChoices
from django.utils.translation import gettext_lazy as _

from diagnostics.limits import LONGEST_NUMBERS, LONGEST_TEXT
from diagnostics.predictions.models import Prediction
from diagnostics.reviews.errors import InvalidRead
from diagnostics.reviews.models import Certainty, Label, Laterality, Read, ReadKind, Reason
from diagnostics.reviews.texts import check_length

from .reasons import TUMOURS, fitting_reasons

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as Words
else:
    Words = str

Value = str | bool


class Step(StrEnum):
    """Where a reader stands when they state something."""

    BLIND = "blind"
    FINAL = "final"
    AMEND = "amend"
    ADJUDICATE = "adjudicate"


class Kind(StrEnum):
    CHOICE = "choice"
    TEXT = "text"
    YES_NO = "yes_no"
    IMAGES = "images"  # numbers of images of a stack, counted from 1: "12, 14"


class Door(StrEnum):
    """Where a field is met, besides the form of its step."""

    API_WRITE = "api_write"
    API_READ = "api_read"
    API_FILTER = "api_filter"
    HEADLINE = "headline"  # beside the label, on pages, in the report and in the time line
    LINE = "line"  # on a line of its own under the headline
    THREAD = "thread"  # what an adjudicator is shown of two readers
    MANIFEST = "manifest"  # of a dataset


class Said(TypedDict, total=False):
    """What is stated at once. What is left out is the default, and in an amendment what was said before."""

    label: str
    laterality: str
    key_images: str
    certainty: str
    reason: str
    comment: str
    may_train: bool
    heatmap_seen: bool


Offers = Callable[[str, Prediction | None], Collection[Value]]


@dataclass(frozen=True, eq=False)
class Field:
    """One stated field of a read.

    Attributes
    ----------
    label, help : str
        What the page and the API's description call it.
    steps : set of Step
        Where it may be stated. Elsewhere it is left out, or refused by the sentence of ``refused_at``.
    doors : set of Door
        Where it is met.
    limit : int
        The longest text; 0 where it is none.
    missing, unknown : str
        What a form says where nothing, or something that is not among the choices, was sent.
    offers : callable
        Of the label and the opinion: the values that may stand beside them, apart from the default.
    beside : set of str
        The labels beside which it may stand; empty: beside each.
    misplaced : str
        What is said where a value is stated that may not stand there; without it another module says so.
    carried : bool
        The form of the final read begins with what its reader said blind.
    anew : bool
        Each revision states it anew; the other fields keep what the former one says.
    compared : bool
        Two readers who say something else are shown so.
    """

    name: str
    kind: Kind
    label: Words
    steps: frozenset[Step]
    doors: frozenset[Door] = frozenset()
    choices: type[TextChoices] | None = None
    required: bool = False
    default: Value = ""
    limit: int = 0
    help: str = ""
    missing: Words | str = ""
    unknown: Words | str = ""
    refused_at: Mapping[Step, Words] = field(default_factory=dict)
    misplaced: Words | str = ""
    offers: Offers | None = None
    beside: frozenset[str] = frozenset()
    carried: bool = False
    anew: bool = False
    compared: bool = False

    @property
    def codes(self) -> list[str]:
        """The codes that may be sent."""
        return list(self.choices.values) if self.choices is not None else []

    def fits(self, value: object, label: str, opinion: Prediction | None) -> bool:
        """Whether ``value`` may stand beside ``label`` and the opinion."""
        if value == self.default:
            return True
        return self._stands_beside(label) and (self.offers is None or value in self.offers(label, opinion))

    def applies(self, label: str, opinion: Prediction | None) -> bool:
        """Whether there is anything to state beside ``label`` and the opinion."""
        return self._stands_beside(label) and (self.offers is None or bool(self.offers(label, opinion)))

    def _stands_beside(self, label: str) -> bool:
        return not self.beside or label in self.beside


EVERYWHERE = frozenset(Step)
SIDES = tuple(side.value for side in Laterality if side != Laterality.NOT_STATED)
SAID_TO_ALL = frozenset({Door.API_WRITE, Door.API_READ})

FIELDS: tuple[Field, ...] = (
    Field(
        "label",
        Kind.CHOICE,
        _("Finding"),
        EVERYWHERE,
        SAID_TO_ALL | {Door.API_FILTER, Door.HEADLINE, Door.THREAD, Door.MANIFEST},
        choices=Label,
        required=True,
        missing=_("Choose a finding, or “Not assessable” or “Out of scope”."),
        unknown=_("Choose a label."),
    ),
    Field(
        "laterality",
        Kind.CHOICE,
        _("Side"),
        EVERYWHERE,
        SAID_TO_ALL | {Door.API_FILTER, Door.HEADLINE, Door.THREAD, Door.MANIFEST},
        choices=Laterality,
        default=Laterality.NOT_STATED.value,
        help="The patient's side on which the tumour lies; stated of tumours only.",
        misplaced=_("Only a tumour has a side. Choose “Not stated”."),
        offers=lambda label, _opinion: SIDES if label in TUMOURS else (),
        carried=True,
        compared=True,
    ),
    Field(
        "key_images",
        Kind.IMAGES,
        _("Key images"),
        EVERYWHERE,
        SAID_TO_ALL | {Door.LINE, Door.THREAD, Door.MANIFEST},
        limit=LONGEST_NUMBERS,
        help="Of a stack: numbers of the images that show the tumour, counted from 1, with commas: `12, 14`.",
        misplaced=_("Only a tumour has key images. Leave the field empty."),
        beside=frozenset(TUMOURS),
        carried=True,
    ),
    Field(
        "certainty",
        Kind.CHOICE,
        _("Confidence"),
        EVERYWHERE,
        SAID_TO_ALL | {Door.API_FILTER, Door.HEADLINE, Door.THREAD},
        choices=Certainty,
        required=True,
        missing=_("Choose your confidence: certain, probable or unsure."),
        unknown=_("Choose certain, probable or unsure."),
        carried=True,
    ),
    Field(
        "reason",
        Kind.CHOICE,
        _("Reason for disagreeing with the AI"),
        frozenset({Step.FINAL, Step.AMEND}),
        SAID_TO_ALL | {Door.LINE},
        choices=Reason,
        help="Why it differs from the AI's opinion: needed if it does, refused if not.",
        refused_at={
            Step.BLIND: _("A blind read has no reason. Reasons belong to a final read that differs from the AI."),
            Step.ADJUDICATE: _("An adjudicator has not seen the AI result, so there is no reason for disagreeing."),
        },
        offers=fitting_reasons,
    ),
    Field(
        "comment",
        Kind.TEXT,
        _("Comment"),
        EVERYWHERE,
        SAID_TO_ALL | {Door.LINE, Door.THREAD},
        limit=LONGEST_TEXT,
        anew=True,
    ),
    Field(
        "may_train",
        Kind.YES_NO,
        _("This case may be used for training"),
        frozenset({Step.FINAL, Step.AMEND, Step.ADJUDICATE}),
        SAID_TO_ALL | {Door.API_FILTER},
        default=False,
    ),
    Field(
        "heatmap_seen",
        Kind.YES_NO,
        _("The heat map was viewed"),
        frozenset({Step.FINAL}),
        frozenset({Door.API_READ}),
        default=False,
        offers=lambda _label, opinion: (True,) if opinion is not None else (),
    ),
)
BY_NAME = {each.name: each for each in FIELDS}


def at(step: Step) -> tuple[Field, ...]:
    """The fields that may be stated at this step."""
    return tuple(each for each in FIELDS if step in each.steps)


def through(door: Door) -> tuple[Field, ...]:
    """The fields that are met at this door."""
    return tuple(each for each in FIELDS if door in each.doors)


def check_words(said: Mapping[str, object]) -> None:
    """Refuse a word that is none of its field's codes, and a text that is too long.

    Raises
    ------
    InvalidRead
    """
    for each in FIELDS:
        value = said.get(each.name, each.default)
        if each.kind == Kind.CHOICE and value not in each.codes and (each.required or value != each.default):
            raise InvalidRead(each.name, _("Choose one of: %(known)s."), {"known": ", ".join(each.codes)})
        if each.limit:
            check_length(str(value), field=each.name, limit=each.limit)
        if each.kind == Kind.IMAGES:
            images_named(str(value), field=each.name)


def images_named(text: str, *, field: str = "key_images") -> list[int]:
    """The numbers of images that a text names, counted from 1, in their order and each once.

    Raises
    ------
    InvalidRead
        It is no list of numbers.
    """
    words = [word.strip() for word in text.replace(";", ",").split(",") if word.strip()]
    if not all(word.isascii() and word.isdigit() and int(word) > 0 for word in words):
        raise InvalidRead(field, _("Enter the numbers of images with commas between them, for example 12, 14."))
    return sorted({int(word) for word in words})


def check_images(said: Mapping[str, object], images: int) -> None:
    """Refuse numbers of images that a scan of so many ``images`` does not have.

    Raises
    ------
    InvalidRead
    """
    for each in FIELDS:
        named = images_named(str(said[each.name]), field=each.name) if each.kind == Kind.IMAGES else []
        if named and images == 1:
            raise InvalidRead(each.name, _("This scan has only one image. Leave the field empty."))
        if named and named[-1] > images:
            raise InvalidRead(
                each.name,
                _("This scan has %(images)d images; there is no image %(last)d."),
                {"images": images, "last": named[-1]},
            )


def check_step(step: Step, said: Mapping[str, object]) -> None:
    """Refuse what may not be stated at this step.

    Raises
    ------
    InvalidRead
    """
    for each in FIELDS:
        if step in each.refused_at and said.get(each.name, each.default) != each.default:
            raise InvalidRead(each.name, each.refused_at[step])


def whole(step: Step, said: Mapping[str, object], opinion: Prediction | None, former: Read | None = None) -> Said:
    """All that a read of this step holds, by field.

    What was left out is the default. Of an amendment it is what the ``former`` read says, as long as that still fits.
    """
    check_step(step, said)
    label = str(said.get("label", former.label if former is not None else ""))
    return _as_said({each.name: _value(each, step, said, label, opinion, former) for each in FIELDS})


def _value(
    each: Field, step: Step, said: Mapping[str, object], label: str, opinion: Prediction | None, former: Read | None
) -> object:
    """What a read of this step holds in one field."""
    stated = step in each.steps and each.name in said
    if stated:
        value = said[each.name]
    else:
        value = each.default if former is None or each.anew else getattr(former, each.name)
    if not each.fits(value, label, opinion):
        # What no person enters needs no refusal, and what was kept explains the former label only.
        if not stated or Door.API_WRITE not in each.doors:
            value = each.default
        elif each.misplaced:
            raise InvalidRead(each.name, each.misplaced, accepted=[str(each.default)])
    if each.kind == Kind.IMAGES:
        return ", ".join(map(str, images_named(str(value), field=each.name)))
    return value.strip() if isinstance(value, str) else value


def _as_said(values: Mapping[str, object]) -> Said:
    """Values by the names of their fields; ``check_words`` has looked at what was sent."""
    return cast(Said, dict(values))


def without_leftovers(said: Said, opinion: Prediction | None) -> Said:
    """What a form says, without what was left over in it from a label that its reader has since changed.

    Programs state what they mean: of them, what does not apply is refused.
    """
    return _as_said(
        {
            name: value if BY_NAME[name].applies(said["label"], opinion) else BY_NAME[name].default
            for name, value in said.items()
        }
    )


def spoken(each: Field, value: str) -> str:
    """What was entered in a field, as a person reads it; empty where it is none of the choices."""
    if each.choices is None:
        return value
    return str(dict(each.choices.choices).get(value, ""))


def value_in_words(each: Field, read: Model) -> str:
    """What a read says in this field, as a person reads it; empty where it says nothing."""
    value = getattr(read, each.name)
    if value == each.default or not value:
        return ""
    if each.kind == Kind.IMAGES:
        return str(_("Key images: %(numbers)s") % {"numbers": value})
    return str(each.choices(value).label) if each.choices is not None else str(value)


def headline(read: Read) -> str:
    """A read in short: "Glioma, probable"."""
    return ", ".join([str(read.get_label_display()), *(words.lower() for words in _beside(read))])


def beside_label(read: Read) -> str:
    """What stands beside the label in a read's headline: "Probable"."""
    first, *more = _beside(read)
    return ", ".join([first, *(words.lower() for words in more)])


def _beside(read: Read) -> list[str]:
    return [words for each in through(Door.HEADLINE)[1:] if (words := value_in_words(each, read))]


def lines(read: Read, *, texts: bool = True) -> list[str]:
    """What stands under the headline, a line each; without ``texts`` only what was chosen."""
    shown = (each for each in through(Door.LINE) if texts or each.kind != Kind.TEXT)
    return [words for each in shown if (words := value_in_words(each, read))]


def discordant(reads: Iterable[Read]) -> list[Field]:
    """The compared fields in which the final reads of a case differ; whoever states nothing contradicts nobody.

    Only the label makes two readers disagree. What is found here is shown and settles nothing.
    """
    final = [read for read in reads if read.kind == ReadKind.FINAL]
    said = {each: {getattr(read, each.name) for read in final} - {each.default} for each in FIELDS if each.compared}
    return [each for each, values in said.items() if len(values) > 1]


def columns(door: Door) -> list[str]:
    """The names of the fields that are met at this door."""
    return [each.name for each in through(door)]

"""What may be asked of a training, said once for pages, admin, API and command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diagnostics.errors import Conflict
from mlcore.model.config import BadConfig, TrainConfig


class NotTrainable(Conflict):
    """No training can start so; ``str()`` says what is missing or wrong."""

    code = "not_trainable"


@dataclass(frozen=True)
class Hyperparameter:
    """One setting: its kind decides the form field, its limits are checked again by the learning core."""

    name: str
    label: str | Promise
    help: str | Promise
    default: Any
    kind: str
    low: float = 0
    high: float = 0
    choices: tuple[tuple[str, str | Promise], ...] = ()


HYPERPARAMETERS = (
    Hyperparameter(
        "architecture",
        _("Network"),
        _(
            "The small network trains in minutes on two cores; the others are better and several times slower. "
            "EfficientNet-Lite0 is best started from the live model's weights."
        ),
        "seed_cnn",
        "choice",
        choices=(
            ("seed_cnn", _("Small CNN (64 × 64)")),
            ("residual", _("Residual CNN (128 × 128)")),
            ("lite0", _("EfficientNet-Lite0 (128 × 128)")),
        ),
    ),
    Hyperparameter(
        "epochs",
        _("Maximum number of epochs"),
        _("How often each training scan is shown. Training stops earlier when nothing improves."),
        8,
        "whole",
        1,
        200,
    ),
    Hyperparameter(
        "patience", _("Patience"), _("Training stops after this many epochs without improvement."), 6, "whole", 1, 200
    ),
    Hyperparameter(
        "batch_size", _("Batch size"), _("Smaller values learn more slowly and more steadily."), 32, "whole", 2, 256
    ),
    Hyperparameter(
        "learning_rate",
        _("Learning rate"),
        _("Size of each learning step. Lower it if the loss jumps."),
        0.001,
        "number",
        0.000001,
        0.1,
    ),
    Hyperparameter(
        "augment",
        _("Augmentation"),
        _("Random changes to each scan, so that the network learns the brain and not the file."),
        "light",
        "choice",
        choices=(("none", _("None")), ("light", pgettext_lazy("variation", "Light")), ("strong", _("Strong"))),
    ),
    Hyperparameter(
        "implant",
        _("Synthetic lesions"),
        _(
            "Share of healthy training scans (0 to 1) into which a synthetic lesion is drawn. It keeps the "
            "model from learning that some kinds of scan are always healthy. 0.25 helps on scans unlike the "
            "dataset and costs some accuracy on similar ones, more so in short trainings."
        ),
        0.0,
        "number",
        0,
        1,
    ),
    Hyperparameter(
        "class_weights",
        _("Weight rare labels more"),
        _("Keeps the commonest label from dominating."),
        True,
        "yes_no",
    ),
    Hyperparameter(
        "warm_start",
        _("Start from the live model's weights"),
        _("Fine-tunes the live model instead of starting from scratch. The network must be the same."),
        False,
        "yes_no",
    ),
    Hyperparameter(
        "seed", _("Seed"), _("The same seed, data and settings give the same model."), 1, "whole", 0, 2**31 - 1
    ),
)
DEFAULTS: dict[str, Any] = {each.name: each.default for each in HYPERPARAMETERS}
_BY_NAME = {each.name: each for each in HYPERPARAMETERS}


def in_words(recipe: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """A recipe as the form that asked for it says it; a setting that is unknown today keeps its name."""
    shown = []
    for name, value in recipe.items():
        each = _BY_NAME.get(name)
        if each is None:
            shown.append((name, value))
            continue
        # To begin with the live model's weights is kept as that model's id, or as nothing.
        shown.append((str(each.label), dict(each.choices).get(value, False if value is None else value)))
    return shown


def checked(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Give the whole recipe, what was not asked for by default.

    Raises
    ------
    NotTrainable
        For a setting that is unknown, of the wrong type, or out of range.
    """
    unknown = sorted(set(asked) - set(_BY_NAME))
    if unknown:
        raise NotTrainable(
            _("The setting “%(unknown)s” is unknown. Known are: %(known)s."),
            {"unknown": unknown[0], "known": ", ".join(_BY_NAME)},
        )
    recipe = {**DEFAULTS, **asked}
    if not isinstance(recipe["warm_start"], bool):
        raise NotTrainable(_("The setting “warm_start” must be true or false."))
    for name, value in recipe.items():
        _check_value(name, value)
    try:
        TrainConfig.from_dict({name: value for name, value in recipe.items() if name != "warm_start"})
    except BadConfig as error:
        raise NotTrainable(str(error)) from error
    return recipe


def _check_value(name: str, value: object) -> None:
    each = _BY_NAME[name]
    known = [choice for choice, _label in each.choices]
    if known and value not in known:
        raise NotTrainable(
            _("The setting “%(name)s” must be one of %(known)s, not “%(value)s”."),
            {"name": name, "known": ", ".join(known), "value": value},
        )
    if each.kind in ("whole", "number") and isinstance(value, int | float) and not each.low <= value <= each.high:
        raise NotTrainable(
            _("The setting “%(name)s” must lie between %(low)g and %(high)g, not at %(value)g."),
            {"name": name, "low": each.low, "high": each.high, "value": value},
        )

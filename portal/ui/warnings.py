"""What an opinion warns of, in words: a sentence where there is room for one, otherwise a few words."""

from typing import Any

from django.utils.translation import gettext as _


def warning_sentence(code: object) -> str:
    """A warning as a sentence; one that is not known as it stands."""
    words = {
        "out_of_distribution": _("This image is unlike the training data. Do not rely on the AI result."),
        "low_quality": _("The image quality is low, so the AI result may be less reliable."),
        "first_frame": _("The file has several frames. The AI result is for the first one only."),
        "several_heads": _("The image may show more than one head. The AI result may refer to the wrong one."),
        "uncertain": _("Uncertain: at this probability the model is wrong more often."),
        "not_measured_on_stacks": _(
            "The model was measured on single images, not on stacks. Look at the course over the images, not at the "
            "percentage alone."
        ),
    }
    return words.get(str(code), str(code))


def warnings_in_short(codes: list[Any]) -> str:
    """All warnings of an opinion in a line of a list; empty where there is none."""
    words = {
        "out_of_distribution": _("unlike the training data"),
        "low_quality": _("low quality"),
        "first_frame": _("first frame only"),
        "several_heads": _("possibly several heads"),
        "uncertain": _("uncertain"),
        "not_measured_on_stacks": _("not measured on stacks"),
    }
    return ", ".join(words.get(str(code), str(code)) for code in codes)

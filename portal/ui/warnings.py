"""What an opinion warns of, in words: a sentence where there is room for one, otherwise a few words."""

from typing import Any

from django.utils.translation import gettext as _


def warning_sentence(code: object) -> str:
    """A warning as a sentence; one that is not known as it stands."""
    words = {
        "out_of_distribution": _(
            "This image is unlike those that the model learned from. Do not lean on its opinion."
        ),
        "low_quality": _("The image's quality is low, so the opinion may be off."),
        "first_frame": _("The file holds several frames, and the opinion is of the first alone."),
        "several_heads": _(
            "It is not certain that the image shows one head only. The opinion may be of something else."
        ),
        "uncertain": _("Uncertain: at this probability the model is wrong more often."),
    }
    return words.get(str(code), str(code))


def warnings_in_short(codes: list[Any]) -> str:
    """All warnings of an opinion in a line of a list; empty where there is none."""
    words = {
        "out_of_distribution": _("unlike what it learned from"),
        "low_quality": _("low quality"),
        "first_frame": _("first frame only"),
        "several_heads": _("possibly several heads"),
        "uncertain": _("uncertain"),
    }
    return ", ".join(words.get(str(code), str(code)) for code in codes)

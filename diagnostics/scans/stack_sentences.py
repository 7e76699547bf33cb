"""What was found when the images of a series were put in order, in words for whoever reads them.

The codes and their values are those of :func:`mlcore.images.stacks.sort_into_stacks`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

Found = Mapping[str, Any]


def sentences(problems: Sequence[Found]) -> list[str]:
    """One sentence a problem; a code of a later version is left out, as nobody has words for it."""
    gaps = [each for each in problems if each.get("code") in ("gap", "number_gap")]
    said = [_missing(gaps)] if gaps else []
    return said + [_WORDS[each["code"]](each) for each in problems if each.get("code") in _WORDS]


def _missing(gaps: Sequence[Found]) -> str:
    """All gaps in one sentence: what counts is how much is missing, and where one may look."""
    count = sum(int(each["missing"]) for each in gaps)
    places = ", ".join(str(int(each["after"]) + 1) for each in gaps[:5])
    words = ngettext(
        "%(count)d image is missing, after image %(places)s.",
        "%(count)d images are missing, after image %(places)s.",
        count,
    )
    return words % {"count": count, "places": places}


def _several(words: Callable[[], str]) -> Callable[[Found], str]:
    return lambda each: _("The series was parted: %(what)s.") % {"what": words()}


_WORDS: dict[str, Callable[[Found], str]] = {
    "same_position": lambda each: (
        _("%(images)d images share %(positions)d positions.")
        % {"images": each["images"], "positions": each["positions"]}
    ),
    "position_missing": lambda each: (
        _("%(images)d images do not say where they lie; they stand at the end.") % {"images": each["images"]}
    ),
    "no_geometry": lambda each: _("The images do not say where they lie; their numbers order them."),
    "no_order": lambda each: (
        _("%(images)d images have neither a position nor a number; their order means nothing.")
        % {"images": each["images"]}
    ),
    "same_uid": lambda each: _("Some images share a UID; the first of them counts."),
    "burned_in": lambda each: (
        ngettext(
            "The file says that text is drawn into %(images)d image. It may name the patient.",
            "The files say that text is drawn into %(images)d images. It may name the patient.",
            each["images"],
        )
        % {"images": each["images"]}
    ),
    "several_kinds": _several(lambda: _("it holds several kinds of images")),
    "mixed_sizes": _several(lambda: _("its images differ in size")),
    "several_frames_of_reference": _several(lambda: _("the patient was moved in between")),
    "several_orientations": _several(lambda: _("its images lie in several directions")),
    "several_echoes": _several(lambda: _("several echoes")),
    "several_b_values": _several(lambda: _("several b-values")),
    "several_time_points": _several(lambda: _("several points in time")),
    "several_components": _several(lambda: _("several components, such as magnitude and phase")),
    "several_acquisitions": _several(lambda: _("several acquisitions")),
    "several_directions": _several(lambda: _("several diffusion directions")),
    "several_echo_numbers": _several(lambda: _("several echoes")),
}

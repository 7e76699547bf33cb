"""What a file says of each of its frames: functional groups, those of the frame over those of all (PS3.3 C.7.6.16)."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from mlcore.images.dicom.checked import Checked, items, words
from mlcore.images.dicom.geometry import Cosines, Vector, cosines_of, dot, normal_of, vector_of
from mlcore.images.dicom.header import number_of
from mlcore.images.dicom.siemens import private_value

_LARGEST_B_VALUE = 100_000.0
_COMPONENTS = {
    "M": "magnitude",
    "MAGNITUDE": "magnitude",
    "P": "phase",
    "PHASE": "phase",
    "PHASE MAP": "phase",
    "R": "real",
    "REAL": "real",
    "I": "imaginary",
    "IMAGINARY": "imaginary",
    "W": "water",
    "WATER": "water",
    "F": "fat",
    "FAT": "fat",
    "IN_PHASE": "in_phase",
    "OPP_PHASE": "opposed_phase",
    "OUT_PHASE": "opposed_phase",
    "ADC": "adc",
    "EADC": "exponential_adc",
    "FA": "anisotropy",
    "TRACEW": "trace",
    "MIXED": "",
}


@dataclass(frozen=True)
class Frame:
    """One image of a file.

    Attributes
    ----------
    index : int
        From 0, in the order of the file.
    position : (float, float, float) or None
        Centre of the first pixel in mm (ImagePositionPatient).
    cosines : six float or None
        Directions of row and column (ImageOrientationPatient).
    spacing : (float, float) or None
        Millimetres between rows and between columns.
    thickness : float or None
        SliceThickness, mm.
    echo : float or None
        Echo time, ms.
    echo_number : int or None
        EchoNumbers.
    b_value : float or None
        s/mm².
    direction : (float, float, float) or None
        Of the diffusion gradient.
    time_point : int or None
        Temporal position.
    acquisition : int or None
        AcquisitionNumber, or that of the frame.
    component : str
        `magnitude`, `phase`, `real`, `imaginary`, `water` and the like; '' where the file does not say.
    """

    index: int
    position: Vector | None = None
    cosines: Cosines | None = None
    spacing: tuple[float, float] | None = None
    thickness: float | None = None
    echo: float | None = None
    echo_number: int | None = None
    b_value: float | None = None
    direction: Vector | None = None
    time_point: int | None = None
    acquisition: int | None = None
    component: str = ""

    @property
    def along(self) -> float | None:
        """Give the position along the slice normal in mm, None where the file does not say."""
        if self.position is None or self.cosines is None:
            return None
        return dot(self.position, normal_of(self.cosines))


class Groups:
    """The functional groups of a file, or the top of its data set where it has none.

    Attributes
    ----------
    dataset : pydicom.dataset.Dataset
        Of the file.
    frames : int
        How many the file says.
    """

    def __init__(self, dataset: Dataset, frames: int) -> None:
        self.dataset = dataset
        self.frames = frames
        self._shared = items(dataset, "SharedFunctionalGroupsSequence")[:1]
        self._own = items(dataset, "PerFrameFunctionalGroupsSequence")

    @property
    def short(self) -> bool:
        """Tell whether there are groups, though not for each frame."""
        return 0 < len(self._own) < self.frames

    def holder(self, index: int, macro: str, name: str) -> Dataset:
        """Give the data set that holds an element of a frame.

        Parameters
        ----------
        index : int
            Of the frame.
        macro : str
            Keyword of the sequence that has it in an enhanced file.
        name : str
            Keyword of the element.

        Returns
        -------
        pydicom.dataset.Dataset
            The frame's group, else the shared one, else the file.
        """
        for group in (*self._own[index : index + 1], *self._shared):
            for inside in items(group, macro)[:1]:
                if name in inside:
                    return inside
        return self.dataset


def frame_of(groups: Groups, index: int, checked: Checked) -> Frame:
    """Read what a file says of one frame.

    Parameters
    ----------
    groups : Groups
        Of the file.
    index : int
        From 0.
    checked : Checked
        Notes `orientation_malformed`, and `value_malformed` of an element.

    Returns
    -------
    Frame
        None in the place of whatever is missing or malformed.
    """
    measures = groups.holder(index, "PixelMeasuresSequence", "PixelSpacing")
    thickness = groups.holder(index, "PixelMeasuresSequence", "SliceThickness")
    return Frame(
        index=index,
        position=_position(groups, index, checked),
        cosines=_cosines(groups, index, checked),
        spacing=_spacing(measures, checked),
        thickness=checked.positive(thickness, "SliceThickness"),
        echo=echo_of(groups, index, checked),
        echo_number=_echo_number(groups.dataset, checked),
        b_value=_b_value(groups, index, checked),
        direction=_direction(groups, index, checked),
        time_point=_first_whole(
            groups,
            index,
            (("FrameContentSequence", "TemporalPositionIndex"), ("", "TemporalPositionIdentifier")),
            checked,
        ),
        acquisition=_first_whole(
            groups,
            index,
            (("FrameContentSequence", "FrameAcquisitionNumber"), ("", "AcquisitionNumber")),
            checked,
        ),
        component=_component(groups, index),
    )


def echo_of(groups: Groups, index: int, checked: Checked) -> float | None:
    """Give the echo time of a frame in ms, None where it is not told; parameters as of `frame_of`."""
    enhanced = groups.holder(index, "MREchoSequence", "EffectiveEchoTime")
    found = checked.number(enhanced, "EffectiveEchoTime")
    return checked.number(groups.dataset, "EchoTime") if found is None else found


def _b_value(groups: Groups, index: int, checked: Checked) -> float | None:
    """Give the b-value; classic files of Siemens have it in their own element only."""
    name = "DiffusionBValue"
    told = checked.number(groups.holder(index, "MRDiffusionSequence", name), name)
    if told is not None:
        return told
    own = private_value(groups.dataset, 0x0019, "SIEMENS MR HEADER", 0x0C)
    found = number_of(own.decode("ascii", "replace") if isinstance(own, bytes) else own)
    return found if found is not None and 0 <= found <= _LARGEST_B_VALUE else None


def _position(groups: Groups, index: int, checked: Checked) -> Vector | None:
    name = "ImagePositionPatient"
    holder = groups.holder(index, "PlanePositionSequence", name)
    # What stands at the top of a file of several frames is the place of one of them at most.
    if holder is groups.dataset and groups.frames > 1:
        return None
    return vector_of(checked.numbers(holder, name, 3))


def _cosines(groups: Groups, index: int, checked: Checked) -> Cosines | None:
    name = "ImageOrientationPatient"
    told = checked.numbers(groups.holder(index, "PlaneOrientationSequence", name), name, 6)
    found = cosines_of(told)
    if told is not None and found is None:
        checked.note("orientation_malformed", tag=name)
    return found


def _spacing(dataset: Dataset, checked: Checked) -> tuple[float, float] | None:
    found = checked.numbers(dataset, "PixelSpacing", 2)
    if found is not None and min(found) <= 0:
        checked.note("value_malformed", tag="PixelSpacing")
        return None
    return (found[0], found[1]) if found else None


def _echo_number(dataset: Dataset, checked: Checked) -> int | None:
    # Of an image made of several echoes there are several numbers, which tell none of them apart.
    return checked.whole(dataset, "EchoNumbers") if len(words(dataset, "EchoNumbers")) == 1 else None


def _direction(groups: Groups, index: int, checked: Checked) -> Vector | None:
    name = "DiffusionGradientOrientation"
    within = groups.holder(index, "MRDiffusionSequence", "DiffusionGradientDirectionSequence")
    inside = items(within, "DiffusionGradientDirectionSequence")[:1]
    return vector_of(checked.numbers(inside[0] if inside else groups.dataset, name, 3))


def _first_whole(groups: Groups, index: int, places: tuple[tuple[str, str], ...], checked: Checked) -> int | None:
    found = (checked.whole(groups.holder(index, macro, name), name) for macro, name in places)
    return next((each for each in found if each is not None), None)


def _component(groups: Groups, index: int) -> str:
    macro = "MRImageFrameTypeSequence"
    said = words(groups.holder(index, macro, "ComplexImageComponent"), "ComplexImageComponent")
    types = words(groups.holder(index, macro, "FrameType"), "FrameType")[2:]
    types = types or words(groups.dataset, "ImageType")[2:]
    known = (_COMPONENTS.get(each.upper(), "") for each in (*types, *said))
    return next((each for each in known if each), "")

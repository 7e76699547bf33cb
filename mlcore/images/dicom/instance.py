"""What a DICOM file says about itself, read without decoding a pixel."""

from __future__ import annotations

import dataclasses
import datetime
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from mlcore.images.decoded import BYTE_LIMIT, Refused
from mlcore.images.dicom.checked import Checked, items, words
from mlcore.images.dicom.contrast import Technique, sequence_of
from mlcore.images.dicom.file import is_dicom, read
from mlcore.images.dicom.geometry import plane_of
from mlcore.images.dicom.groups import Frame, Groups, echo_of, frame_of
from mlcore.images.dicom.header import PIXELS
from mlcore.images.dicom.mosaic import NoHeader, mosaic_of
from mlcore.images.dicom.objects import object_of, why_not_predicted
from mlcore.images.dicom.quiet import quiet
from mlcore.images.dicom.view import is_mosaic
from mlcore.images.problem import Problem

MOST_FRAMES = 20_000


@dataclass(frozen=True)
class Instance:
    """What a DICOM object says about itself. Whatever is missing or malformed is None, '' or 0, with a problem.

    Attributes
    ----------
    study_uid, series_uid, sop_uid, sop_class, frame_of_reference : str or None
        Valid by PS3.5 section 9.1.
    modality : str
        In capitals.
    patient_id, accession, series_description : str
        As sent: whoever stores them decides who may see them.
    study_date : datetime.date or None
        StudyDate.
    study_time : datetime.time or None
        StudyTime, of the scanner's clock.
    series_number, instance_number : int or None
        For an order where nothing better is told.
    sequence : str
        One of `contrast.SEQUENCES`; '' of what is no MR image.
    plane : str
        `axial`, `coronal`, `sagittal`, `oblique`; '' where it is unknown or frames differ.
    rows, columns : int
        Pixels.
    spacing : (float, float) or None
        Millimetres between rows and between columns, of the first frame.
    slice_thickness, slice_spacing : float or None
        Millimetres: SliceThickness of the first frame, SpacingBetweenSlices.
    burned_in : bool or None
        BurnedInAnnotation.
    kind : str
        One of `objects.OBJECTS`.
    not_predicted : str
        Why no model may give an opinion: `mosaic_without_header`, or see `objects.why_not_predicted`; '' where one
        may.
    frames : tuple of Frame
        In the order of the file; none without pixels. Those of a mosaic are its tiles.
    problems : tuple of Problem
        `uid_missing`, `uid_malformed`, `value_malformed`, `orientation_malformed` (each with `tag`),
        `groups_missing`, `too_many_frames`, `mosaic_without_header` (with what it `lacks`).
    """

    study_uid: str | None = None
    series_uid: str | None = None
    sop_uid: str | None = None
    sop_class: str | None = None
    frame_of_reference: str | None = None
    modality: str = ""
    patient_id: str = ""
    accession: str = ""
    series_description: str = ""
    study_date: datetime.date | None = None
    study_time: datetime.time | None = None
    series_number: int | None = None
    instance_number: int | None = None
    sequence: str = ""
    plane: str = ""
    rows: int = 0
    columns: int = 0
    spacing: tuple[float, float] | None = None
    slice_thickness: float | None = None
    slice_spacing: float | None = None
    burned_in: bool | None = None
    kind: str = "other"
    not_predicted: str = "other"
    frames: tuple[Frame, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def can_be_predicted(self) -> bool:
        """Tell whether a model may give an opinion on it."""
        return not self.not_predicted


def read_instance(source: bytes | Path) -> Instance:
    """Read what a DICOM file says about itself.

    Parameters
    ----------
    source : bytes or Path
        The whole file, or where it lies.

    Returns
    -------
    Instance
        For any data set whatever: what is wrong with a value is a problem, not an error.

    Raises
    ------
    Refused
        `not_an_image`, `too_large`, `truncated`, `damaged` where there is no data set to be read.
    """
    data = source if isinstance(source, bytes) else _bytes_of(source)
    if not is_dicom(data):
        raise Refused("not_an_image")
    with quiet():
        try:
            dataset, _ = read(data)
        except Refused:
            raise
        except Exception as error:  # the edge to hostile bytes
            raise Refused("damaged") from error
        return instance_of(dataset)


def _bytes_of(path: Path) -> bytes:
    if path.stat().st_size > BYTE_LIMIT:
        raise Refused("too_large", f"The file is larger than {BYTE_LIMIT // (1024 * 1024)} MB.")
    return path.read_bytes()


def instance_of(dataset: Dataset) -> Instance:
    """Read what a data set says about itself: see `read_instance`.

    Parameters
    ----------
    dataset : pydicom.dataset.Dataset
        Everything behind group 2.

    Returns
    -------
    Instance
        Of it.
    """
    checked = Checked()
    pixels = any(name in dataset for name in PIXELS)
    types = words(dataset, "ImageType")
    described = " ".join((*words(dataset, "SeriesDescription"), *words(dataset, "ProtocolName")))
    modality = checked.text(dataset, "Modality").upper()
    sop_class = checked.uid(dataset, "SOPClassUID")
    kind = object_of(sop_class, types, described, pixels=pixels)
    of_object = Instance(
        study_uid=checked.uid(dataset, "StudyInstanceUID"),
        series_uid=checked.uid(dataset, "SeriesInstanceUID"),
        sop_uid=checked.uid(dataset, "SOPInstanceUID"),
        sop_class=sop_class,
        modality=modality,
        patient_id=checked.text(dataset, "PatientID"),
        accession=checked.text(dataset, "AccessionNumber"),
        series_description=checked.text(dataset, "SeriesDescription", cut=True),
        study_date=checked.date(dataset, "StudyDate"),
        study_time=checked.time(dataset, "StudyTime"),
        series_number=checked.whole(dataset, "SeriesNumber"),
        instance_number=checked.whole(dataset, "InstanceNumber"),
        burned_in={"YES": True, "NO": False}.get(checked.text(dataset, "BurnedInAnnotation").upper()),
        kind=kind,
        not_predicted=why_not_predicted(kind, modality, types, pixels=pixels),
    )
    if pixels:
        of_object = _with_image(of_object, dataset, described, checked)
    return dataclasses.replace(of_object, problems=tuple(checked.problems))


def _with_image(of_object: Instance, dataset: Dataset, described: str, checked: Checked) -> Instance:
    groups = Groups(dataset, _number_of_frames(dataset, checked))
    if groups.short:
        checked.note("groups_missing")
    frames = tuple(frame_of(groups, index, checked) for index in range(groups.frames))
    first = frames[0] if frames else Frame(0)
    between = checked.positive(
        groups.holder(0, "PixelMeasuresSequence", "SpacingBetweenSlices"), "SpacingBetweenSlices"
    )
    rows, columns = (max(checked.whole(dataset, name) or 0, 0) for name in ("Rows", "Columns"))
    planes = {plane_of(frame.cosines) for frame in frames}
    mr = of_object.modality in ("", "MR")
    of_image = dataclasses.replace(
        of_object,
        frame_of_reference=_frame_of_reference(dataset, checked),
        sequence=sequence_of(_technique(groups, frames, described, checked)) if mr else "",
        plane=planes.pop() if len(planes) == 1 else "",
        rows=rows,
        columns=columns,
        spacing=first.spacing,
        slice_thickness=first.thickness,
        slice_spacing=between,
        frames=frames,
    )
    return _with_tiles(of_image, dataset, checked) if len(frames) == 1 and is_mosaic(dataset) else of_image


def _with_tiles(of_image: Instance, dataset: Dataset, checked: Checked) -> Instance:
    """Make frames of the tiles of a mosaic; where its header does not tell how, nobody can read it."""
    whole = of_image.frames[0]
    try:
        mosaic = mosaic_of(dataset, whole, of_image.rows, of_image.columns, of_image.slice_spacing)
        frames = mosaic.frames(whole)
    except NoHeader as error:
        checked.note("mosaic_without_header", lacks=error.lacks)
        return dataclasses.replace(of_image, not_predicted=of_image.not_predicted or "mosaic_without_header")
    return dataclasses.replace(of_image, rows=mosaic.rows, columns=mosaic.columns, frames=frames)


def _frame_of_reference(dataset: Dataset, checked: Checked) -> str | None:
    # Only images with a place in the patient need one: to miss it is no fault.
    return checked.uid(dataset, "FrameOfReferenceUID") if words(dataset, "FrameOfReferenceUID") else None


def _number_of_frames(dataset: Dataset, checked: Checked) -> int:
    told = checked.whole(dataset, "NumberOfFrames")
    if told is None or told == 0:
        return 1
    if not 0 < told <= MOST_FRAMES:
        checked.note("too_many_frames" if told > 0 else "value_malformed", tag="NumberOfFrames")
        return 0
    return told


def _technique(groups: Groups, frames: tuple[Frame, ...], described: str, checked: Checked) -> Technique:
    dataset = groups.dataset
    timing = groups.holder(0, "MRTimingAndRelatedParametersSequence", "RepetitionTime")
    flip = groups.holder(0, "MRTimingAndRelatedParametersSequence", "FlipAngle")
    frame_type = groups.holder(0, "MRImageFrameTypeSequence", "FrameType")
    contrast = groups.holder(0, "MRImageFrameTypeSequence", "AcquisitionContrast")
    types = (*words(dataset, "ImageType"), *words(frame_type, "FrameType"))
    return Technique(
        scanning=frozenset(each.upper() for each in words(dataset, "ScanningSequence")),
        variant=frozenset(each.upper() for each in words(dataset, "SequenceVariant")),
        image_type=frozenset(each.upper() for each in types),
        said=checked.text(contrast, "AcquisitionContrast").upper(),
        echo=echo_of(groups, 0, checked),
        repetition=checked.number(timing, "RepetitionTime"),
        inversion=_inversion(groups, checked),
        flip=checked.number(flip, "FlipAngle"),
        b_value=max((frame.b_value for frame in frames if frame.b_value is not None), default=None),
        agent=_agent(groups, checked),
        angiography=checked.text(dataset, "AngioFlag").upper() == "Y",
        words=described,
    )


def _inversion(groups: Groups, checked: Checked) -> float | None:
    enhanced = groups.holder(0, "MRModifierSequence", "InversionTimes")
    found = checked.number(enhanced, "InversionTimes") if len(words(enhanced, "InversionTimes")) == 1 else None
    return checked.number(groups.dataset, "InversionTime") if found is None else found


def _agent(groups: Groups, checked: Checked) -> str:
    """Give the contrast agent, or YES or NO where the file says only that there was one, or none."""
    named = " ".join(words(groups.dataset, "ContrastBolusAgent"))
    if named:
        return named
    usage = groups.holder(0, "ContrastBolusUsageSequence", "ContrastBolusAgentAdministered")
    told = checked.text(usage, "ContrastBolusAgentAdministered").upper()
    if told in ("YES", "NO"):
        return told
    return "YES" if items(groups.dataset, "ContrastBolusAgentSequence") else ""

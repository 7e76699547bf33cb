"""A study of a synthetic head, written as DICOM: for tests, demonstrations and measurements, never for training."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from mlcore.data.synthetic_head import CONTRASTS, HALF_AXES, Head, Lesion

MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
# Directions of row and column, and which half axis a stack runs along.
_PLANES = {
    "axial": ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 2),
    "coronal": ((1.0, 0.0, 0.0, 0.0, 0.0, -1.0), 1),
    "sagittal": ((0.0, 1.0, 0.0, 0.0, 0.0, -1.0), 0),
}
PLANES = tuple(_PLANES)
_FIELD = 220.0  # mm, both ways
# The head and a little air at both ends.
_MARGIN = 1.02
_ECHO = {"T1": 3.0, "T1ce": 3.0, "T2": 100.0, "FLAIR": 120.0}
_REPETITION = {"T1": 9.0, "T1ce": 9.0, "T2": 5000.0, "FLAIR": 9000.0}
_ENHANCED_WORD = {"T1": "T1", "T1ce": "T1", "T2": "T2", "FLAIR": "FLUID_ATTENUATED"}
_LOCALIZER_SLICES = 3


@dataclass(frozen=True)
class Wanted:
    """What a study is to hold.

    Attributes
    ----------
    seed : int
        The same one gives the same bytes.
    series : int
        How many; their contrasts are those of `CONTRASTS` in turn.
    slices : int
        Of each series.
    side : int
        Rows and columns, pixels.
    plane : str
        One of `PLANES`.
    lesion : bool
        Whether there is one, at a place that the seed chooses.
    lesion_at : Lesion or None
        Instead, where it is.
    enhanced : bool
        One file of many frames for each series, instead of one for each slice.
    localizer : bool
        Also a series of three planes, before the others.
    """

    seed: int = 1
    series: int = 4
    slices: int = 150
    side: int = 256
    plane: str = "axial"
    lesion: bool = False
    lesion_at: Lesion | None = None
    enhanced: bool = False
    localizer: bool = False


@dataclass(frozen=True)
class _Series:
    """One series: its number, name, contrast, and the places of its slices."""

    number: int
    name: str
    contrast: str
    planes: tuple[str, ...]
    slices: int


def uid_of(seed: int, *what: object) -> str:
    """Give the UID of one thing of a study: 2.25 and a number of 128 bits (PS3.5 B.2), by the seed."""
    digest = hashlib.sha256("/".join(map(str, ("overread synthetic study", seed, *what))).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def write_study(out: Path, wanted: Wanted) -> list[Path]:
    """Write a study.

    Parameters
    ----------
    out : Path
        Folder; made where it is not there. Each series is a folder in it, or a file.
    wanted : Wanted
        What it holds.

    Returns
    -------
    list of Path
        The files, series by series, slice by slice.
    """
    plain = Head(wanted.seed)
    lesion = wanted.lesion_at or (plain.lesion_by_lot() if wanted.lesion else None)
    head = Head(wanted.seed, lesion)
    files = list[Path]()
    for series in _series_of(wanted):
        enhanced = wanted.enhanced and len(series.planes) == 1
        pieces = [_enhanced(head, wanted, series)] if enhanced else _classic(head, wanted, series)
        folder = out if enhanced else out / series.name
        folder.mkdir(parents=True, exist_ok=True)
        for number, dataset in enumerate(pieces, 1):
            path = folder / (f"{series.name}.dcm" if enhanced else f"{number:04d}.dcm")
            path.write_bytes(_bytes_of(dataset))
            files.append(path)
    return files


def _series_of(wanted: Wanted) -> Iterator[_Series]:
    if wanted.localizer:
        yield _Series(1, "1-localizer", "T1", PLANES, _LOCALIZER_SLICES)
    for index in range(wanted.series):
        number, contrast = index + 1 + wanted.localizer, CONTRASTS[index % len(CONTRASTS)]
        yield _Series(number, f"{number}-{contrast}", contrast, (wanted.plane,), wanted.slices)


def _places(plane: str, slices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, np.ndarray]:
    """Give directions of row, column and normal, the distance of slices in mm, and their places along the normal."""
    cosines, axis = _PLANES[plane]
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    between = round(2 * HALF_AXES[axis] * _MARGIN / slices, 4)
    along = (np.arange(slices) - (slices - 1) / 2) * between
    return row, column, np.cross(row, column), between, along


def _slices(head: Head, wanted: Wanted, series: _Series) -> Iterator[tuple[str, float, tuple[float, ...], np.ndarray]]:
    """Draw the slices of a series; give plane, distance in mm, centre of the first pixel, greys (H, W)."""
    spacing = _FIELD / wanted.side
    ticks = (np.arange(wanted.side) - (wanted.side - 1) / 2) * spacing
    count = 0
    for plane in series.planes:
        row, column, normal, between, along = _places(plane, series.slices)
        flat = row[:, None, None] * ticks[None, None, :] + column[:, None, None] * ticks[None, :, None]
        for place in along:
            points = flat + (normal * place)[:, None, None]
            corner = tuple(round(float(each), 4) + 0.0 for each in points[:, 0, 0])
            count += 1
            yield plane, between, corner, head.section(series.contrast, points, (series.number, count))


def _classic(head: Head, wanted: Wanted, series: _Series) -> Iterator[FileDataset]:
    for number, (plane, between, corner, greys) in enumerate(_slices(head, wanted, series), 1):
        dataset = _common(wanted, series, MR, number)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER" if len(series.planes) > 1 else "M"]
        dataset.ImagePositionPatient = list(corner)
        dataset.ImageOrientationPatient = list(_PLANES[plane][0])
        dataset.SliceLocation = round(float(np.dot(corner, _places(plane, 1)[2])), 4)
        _measures(dataset, wanted, between)
        _technique(dataset, series.contrast)
        dataset.EchoTime, dataset.RepetitionTime = _ECHO[series.contrast], _REPETITION[series.contrast]
        dataset.AcquisitionNumber = 1
        dataset.WindowCenter, dataset.WindowWidth = 1000, 2000
        _pixels(dataset, greys, 1, greys.tobytes())
        yield dataset


def _enhanced(head: Head, wanted: Wanted, series: _Series) -> FileDataset:
    dataset = _common(wanted, series, ENHANCED_MR, 1)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER", "NONE"]
    drawn = [(corner, greys) for _, _, corner, greys in _slices(head, wanted, series)]
    between = _places(wanted.plane, series.slices)[3]
    measures = Dataset()
    _measures(measures, wanted, between)
    dataset.SharedFunctionalGroupsSequence = Sequence([_shared(wanted, series, measures)])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        [
            _group(
                PlanePositionSequence=_item(ImagePositionPatient=list(corner)),
                FrameContentSequence=_item(
                    StackID="1",
                    InStackPositionNumber=number,
                    FrameAcquisitionNumber=1,
                    DimensionIndexValues=[1, number],
                ),
            )
            for number, (corner, _) in enumerate(drawn, 1)
        ]
    )
    _technique(dataset, series.contrast)
    _pixels(dataset, drawn[0][1], len(drawn), b"".join(greys.tobytes() for _, greys in drawn))
    return dataset


def _shared(wanted: Wanted, series: _Series, measures: Dataset) -> Dataset:
    contrast = series.contrast
    return _group(
        PixelMeasuresSequence=measures,
        PlaneOrientationSequence=_item(ImageOrientationPatient=list(_PLANES[wanted.plane][0])),
        PixelValueTransformationSequence=_item(RescaleSlope=1, RescaleIntercept=0, RescaleType="US"),
        FrameVOILUTSequence=_item(WindowCenter=1000, WindowWidth=2000),
        MREchoSequence=_item(EffectiveEchoTime=_ECHO[contrast]),
        MRTimingAndRelatedParametersSequence=_item(RepetitionTime=_REPETITION[contrast]),
        MRImageFrameTypeSequence=_item(
            FrameType=["ORIGINAL", "PRIMARY", "OTHER", "NONE"],
            ComplexImageComponent="MAGNITUDE",
            AcquisitionContrast=_ENHANCED_WORD[contrast],
        ),
    )


def _item(**values: object) -> Dataset:
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def _group(**macros: Dataset) -> Dataset:
    return _item(**{name: Sequence([inside]) for name, inside in macros.items()})


def _common(wanted: Wanted, series: _Series, sop_class: str, number: int) -> FileDataset:
    """Make the data set of one file with all that does not depend on how it is cut."""
    seed = wanted.seed
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = uid_of(seed, "instance", sop_class, series.name, wanted.plane, number)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid_of(0, "implementation")
    meta.ImplementationVersionName = "OVERREAD"
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    values = {
        "SOPClassUID": sop_class,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": uid_of(seed, "study"),
        "SeriesInstanceUID": uid_of(seed, "series", sop_class, series.name, wanted.plane),
        "FrameOfReferenceUID": uid_of(seed, "frame of reference"),
        "StudyDate": "20260102",
        "StudyTime": "090000",
        "Modality": "MR",
        "Manufacturer": "Overread synthetic",
        "StudyDescription": "Synthetic head",
        "SeriesDescription": "localizer" if len(series.planes) > 1 else f"synthetic {series.contrast}",
        "PatientName": f"Synthetic^Head {seed}",
        "PatientID": f"SYN-{seed}",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "StudyID": str(seed)[:16],
        "AccessionNumber": f"SYN{seed}"[:16],
        "SeriesNumber": series.number,
        "InstanceNumber": number,
        "BurnedInAnnotation": "NO",
        "MagneticFieldStrength": "3",
        "PatientPosition": "HFS",
    }
    for name, value in values.items():
        setattr(made, name, value)
    return made


def _measures(dataset: Dataset, wanted: Wanted, between: float) -> None:
    dataset.PixelSpacing = [round(_FIELD / wanted.side, 6)] * 2
    dataset.SliceThickness = between
    dataset.SpacingBetweenSlices = between


def _technique(dataset: Dataset, contrast: str) -> None:
    gradient = contrast.startswith("T1")
    dataset.ScanningSequence = "GR" if gradient else ["SE", "IR"] if contrast == "FLAIR" else "SE"
    dataset.SequenceVariant = ["SK", "SP"] if gradient else "SK"
    dataset.ScanOptions = ""
    dataset.MRAcquisitionType = "3D" if gradient else "2D"
    dataset.FlipAngle = 12 if gradient else 90
    if contrast == "FLAIR":
        dataset.InversionTime = 2500
    if contrast == "T1ce":
        dataset.ContrastBolusAgent = "Gadolinium"


def _pixels(dataset: Dataset, greys: np.ndarray, frames: int, data: bytes) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = greys.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PixelData = data
    dataset["PixelData"].VR = "OW"


def _bytes_of(dataset: FileDataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()

"""What a DICOM file says about itself, whatever it says."""

import datetime
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mlcore.images.decoded import Refused
from mlcore.images.dicom.instance import Instance, read_instance
from tests.mlcore.test_decode import dicom, file

PIXELS = np.zeros((40, 32), np.uint16)
MR, ENHANCED = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
AXIAL, CORONAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]
WHOLE = {
    "SOPClassUID": MR,
    "SOPInstanceUID": "1.2.3.4",
    "SeriesInstanceUID": "1.2.3",
    "StudyInstanceUID": "1.2",
    "FrameOfReferenceUID": "1.2.9",
    "PatientID": "P-0042",
    "AccessionNumber": "A1",
    "StudyDate": "20260102",
    "StudyTime": "101500.25",
    "SeriesNumber": "3",
    "SeriesDescription": "made up",
    "InstanceNumber": "7",
    "PixelSpacing": ["0.5", "0.25"],
    "SliceThickness": "5",
    "SpacingBetweenSlices": "6",
    "ImagePositionPatient": ["-10", "-20", "12.5"],
    "ImageOrientationPatient": AXIAL,
}


def told(**tags) -> Instance:
    return read_instance(dicom(PIXELS, **{**WHOLE, **tags}))


def codes(instance: Instance) -> list[tuple]:
    return [(each.code, each.named.get("tag")) for each in instance.problems]


def group(**macros: dict) -> Dataset:
    made = Dataset()
    for name, values in macros.items():
        inside = Dataset()
        for attribute, value in values.items():
            setattr(inside, attribute, value)
        setattr(made, name, Sequence([inside]))
    return made


def test_all_that_a_classic_image_says_is_read(tmp_path):
    instance = told()
    assert instance.problems == ()
    assert (instance.study_uid, instance.series_uid, instance.sop_uid) == ("1.2", "1.2.3", "1.2.3.4")
    assert (instance.sop_class, instance.frame_of_reference) == (MR, "1.2.9")
    assert (instance.patient_id, instance.accession, instance.modality) == ("P-0042", "A1", "MR")
    assert instance.study_date == datetime.date(2026, 1, 2)
    assert instance.study_time == datetime.time(10, 15, 0, 250000)
    assert (instance.series_number, instance.instance_number) == (3, 7)
    assert (instance.rows, instance.columns, instance.spacing) == (40, 32, (0.5, 0.25))
    assert (instance.slice_thickness, instance.slice_spacing, instance.plane) == (5.0, 6.0, "axial")
    assert (instance.kind, instance.can_be_predicted) == ("image", True)
    (frame,) = instance.frames
    assert (frame.position, frame.along) == ((-10.0, -20.0, 12.5), 12.5)
    path = tmp_path / "one.dcm"
    path.write_bytes(dicom(PIXELS, **WHOLE))
    assert read_instance(path) == instance


@pytest.mark.parametrize("name", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "uid_missing"),
        ("", "uid_missing"),
        ("1.2.x", "uid_malformed"),
        ("1..2", "uid_malformed"),
        ("1.02", "uid_malformed"),
        (".1.2", "uid_malformed"),
        ("1." + "2" * 63, "uid_malformed"),
        ("../../etc", "uid_malformed"),
        ("1.\xb2", "uid_malformed"),
    ],
)
def test_a_uid_that_is_none_is_a_named_problem(name, value, code):
    instance = told(**{name: value})
    assert (code, name) in codes(instance)
    assert {"1.2", "1.2.3", "1.2.3.4", MR} - {
        instance.study_uid, instance.series_uid, instance.sop_uid, instance.sop_class
    } == {WHOLE[name]}  # fmt: skip


def test_a_uid_of_64_characters_is_one():
    longest = "1." + "2" * 62
    assert told(SOPInstanceUID=longest).sop_uid == longest


@pytest.mark.parametrize(
    ("tags", "tag"),
    [
        ({"PixelSpacing": ["0.5"]}, "PixelSpacing"),
        ({"PixelSpacing": ["0.5", "-1"]}, "PixelSpacing"),
        ({"StudyDate": "20261340"}, "StudyDate"),
        ({"StudyTime": "996000"}, "StudyTime"),
        ({"PatientID": "x" * 65}, "PatientID"),
    ],
)
def test_a_value_that_cannot_be_is_a_named_problem(tags, tag):
    assert codes(told(**tags)) == [("value_malformed", tag)]


@pytest.mark.parametrize(
    "value", [b"nan\\0\\0 ", b"inf\\0\\0 ", b"1e400\\0\\0 ", b"1\\2 ", b"1\\2\\3\\4 ", b"\\\\0 ", b"a\\b\\c "]
)
def test_a_position_of_no_three_numbers_is_none(value):
    data = written({"ImagePositionPatient": value})
    instance = read_instance(data)
    assert instance.frames[0].position is None
    assert ("value_malformed", "ImagePositionPatient") in codes(instance)


def test_an_orientation_that_cannot_be_is_a_named_problem():
    for cosines in ([1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 1, 0], [0] * 6):
        instance = told(ImageOrientationPatient=cosines)
        assert codes(instance) == [("orientation_malformed", "ImageOrientationPatient")]
        assert (instance.plane, instance.frames[0].along) == ("", None)


def turned(degrees: float) -> list[float]:
    """Axial, tilted forward."""
    lean = np.radians(degrees)
    return [1, 0, 0, 0, float(np.cos(lean)), float(np.sin(lean))]


@pytest.mark.parametrize(
    ("cosines", "plane"),
    [
        (AXIAL, "axial"),
        (CORONAL, "coronal"),
        (SAGITTAL, "sagittal"),
        ([-1, 0, 0, 0, 1, 0], "axial"),
        (turned(44), "axial"),
        (turned(45), "oblique"),
        (turned(46), "coronal"),
        ([0.7071, -0.7071, 0, 0.4082, 0.4082, -0.8165], "oblique"),
    ],
)
def test_a_plane_has_the_name_of_an_axis_within_45_degrees(cosines, plane):
    assert told(ImageOrientationPatient=cosines).plane == plane


def test_a_position_is_measured_along_the_normal():
    lean = turned(30)
    frame = told(ImageOrientationPatient=lean, ImagePositionPatient=[3, -5, 10]).frames[0]
    assert frame.along == pytest.approx(10 * np.cos(np.radians(30)) + 5 * np.sin(np.radians(30)))


SE = {"ScanningSequence": "SE", "EchoTime": "12", "RepetitionTime": "500"}
GR = {"ScanningSequence": "GR", "SequenceVariant": ["SK", "SP"], "EchoTime": "3", "RepetitionTime": "9"}
LONG = {"ScanningSequence": "SE", "EchoTime": "100", "RepetitionTime": "5000"}
INVERTED = {**LONG, "ScanningSequence": ["SE", "IR"], "EchoTime": "120", "RepetitionTime": "9000"}


@pytest.mark.parametrize(
    ("tags", "sequence"),
    [
        (SE, "T1"),
        ({**SE, "ContrastBolusAgent": "Gadolinium"}, "T1ce"),
        ({**SE, "ContrastBolusAgent": "NONE"}, "T1"),
        ({**SE, "SeriesDescription": "t1_tse_tra_KM"}, "T1ce"),
        ({**SE, "SeriesDescription": "T1 pre contrast"}, "T1"),
        ({**SE, "ContrastBolusAgent": "NO", "SeriesDescription": "T1 post"}, "T1"),
        ({**SE, "SeriesDescription": "T1 posterior fossa"}, "T1"),
        (GR, "T1"),
        ({**GR, "SequenceVariant": ["SK", "SP", "MP"], "RepetitionTime": "2000", "InversionTime": "900"}, "T1"),
        ({**GR, "SequenceVariant": ["SS"]}, "other"),
        ({**GR, "EchoTime": "20"}, "other"),
        ({**GR, "AngioFlag": "Y"}, "other"),
        (LONG, "T2"),
        ({**LONG, "ContrastBolusAgent": "Gadolinium"}, "T2"),
        ({**LONG, "EchoTime": "15"}, "other"),
        ({**INVERTED, "InversionTime": "2500"}, "FLAIR"),
        ({**INVERTED, "InversionTime": "160"}, "other"),
        ({**INVERTED, "SeriesDescription": "T2 FLAIR"}, "FLAIR"),
        ({**LONG, "ScanningSequence": ["EP", "SE"], "DiffusionBValue": 1000.0}, "DWI"),
        ({**LONG, "ScanningSequence": ["EP", "SE"], "DiffusionBValue": 0.0}, "DWI"),
        ({**LONG, "DiffusionBValue": 0.0}, "T2"),
        ({**LONG, "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}, "other"),
        ({**LONG, "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"]}, "DWI"),
        ({"ScanningSequence": "EP", "EchoTime": "30", "RepetitionTime": "2000"}, "other"),
        ({"AcquisitionContrast": "FLUID_ATTENUATED", "SeriesDescription": "T1"}, "FLAIR"),
        ({"AcquisitionContrast": "PROTON_DENSITY", **LONG}, "other"),
        ({"AcquisitionContrast": "UNKNOWN", **LONG}, "T2"),
        # A name counts only where the tags are silent.
        ({**LONG, "SeriesDescription": "T1"}, "T2"),
        ({"SeriesDescription": "AX T1 +C"}, "T1ce"),
        ({"SeriesDescription": "t1_mprage_sag"}, "T1"),
        ({"ProtocolName": "Dark-Fluid"}, "FLAIR"),
        ({"SeriesDescription": "t2_tse_tra"}, "T2"),
        ({"SeriesDescription": "T2* gre"}, "other"),
        ({"SeriesDescription": "ep2d_diff_trace"}, "DWI"),
        ({}, "other"),
        ({**SE, "Modality": "CT"}, ""),
    ],
)
def test_a_sequence_is_named_by_its_tags(tags, sequence):
    assert told(**tags).sequence == sequence


def test_an_enhanced_file_says_it_frame_by_frame():
    shared = group(
        PixelMeasuresSequence={"PixelSpacing": ["1", "1"], "SliceThickness": "2", "SpacingBetweenSlices": "3"},
        PlaneOrientationSequence={"ImageOrientationPatient": CORONAL},
        MRImageFrameTypeSequence={"AcquisitionContrast": "DIFFUSION", "ComplexImageComponent": "MAGNITUDE"},
        MREchoSequence={"EffectiveEchoTime": 90.0},
        MRDiffusionSequence={"DiffusionBValue": 0.0},
    )
    own = [
        group(
            PlanePositionSequence={"ImagePositionPatient": [0, 10 + 3 * place, 0]},
            FrameContentSequence={"TemporalPositionIndex": 1 + place, "FrameAcquisitionNumber": 5},
            **({"MRDiffusionSequence": {"DiffusionBValue": 800.0}} if place else {}),
        )
        for place in range(2)
    ]
    instance = told(
        SOPClassUID=ENHANCED,
        NumberOfFrames=2,
        PixelData=b"\0" * (2 * PIXELS.nbytes),
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence(own),
    )
    assert instance.problems == ()
    assert (instance.sequence, instance.plane, instance.slice_spacing) == ("DWI", "coronal", 3.0)
    assert [frame.along for frame in instance.frames] == [10.0, 13.0]
    assert [frame.b_value for frame in instance.frames] == [0.0, 800.0]
    assert [frame.time_point for frame in instance.frames] == [1, 2]
    for frame in instance.frames:
        assert (frame.echo, frame.acquisition, frame.component) == (90.0, 5, "magnitude")
        assert (frame.spacing, frame.thickness) == ((1.0, 1.0), 2.0)


def test_one_place_at_the_top_is_no_place_of_several_frames():
    instance = told(NumberOfFrames=3, PixelData=b"\0" * (3 * PIXELS.nbytes))
    assert [frame.index for frame in instance.frames] == [0, 1, 2]
    assert {frame.position for frame in instance.frames} == {None}


def test_fewer_groups_than_frames_and_far_too_many_frames_are_problems():
    short = told(NumberOfFrames=2, PerFrameFunctionalGroupsSequence=Sequence([group()]))
    assert codes(short) == [("groups_missing", None)]
    many = told(NumberOfFrames=2_000_000_000)
    assert (codes(many), many.frames) == ([("too_many_frames", "NumberOfFrames")], ())


def without_pixels(ending: str) -> dict:
    return {"SOPClassUID": f"1.2.840.10008.5.1.4.1.1.{ending}", "PixelData": None}


@pytest.mark.parametrize(
    ("tags", "kind", "why"),
    [
        ({}, "image", ""),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer", "localizer"),
        ({"SeriesDescription": "3-plane loc"}, "localizer", "localizer"),
        ({"SeriesDescription": "Scout"}, "localizer", "localizer"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "derived", ""),
        ({"ImageType": ["DERIVED", "PRIMARY", "ADC"]}, "derived", "map"),
        ({"ImageType": ["DERIVED", "PRIMARY", "PROJECTION IMAGE"]}, "derived", "projection"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "secondary_capture", "secondary_capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2"}, "secondary_capture", "secondary_capture"),
        (without_pixels("88.11"), "structured_report", "structured_report"),
        (without_pixels("104.1"), "encapsulated_pdf", "encapsulated_pdf"),
        (without_pixels("11.1"), "presentation_state", "presentation_state"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "other", "other"),
        ({"SOPClassUID": ENHANCED}, "image", ""),
        ({"Modality": "CT"}, "image", "not_mr"),
    ],
)
def test_what_an_object_is_decides_whether_it_is_predicted(tags, kind, why):
    instance = told(**tags)
    assert (instance.kind, instance.not_predicted, instance.can_be_predicted) == (kind, why, not why)


def test_burned_in_text_is_told_or_not():
    assert [told(BurnedInAnnotation=word).burned_in for word in ("YES", "NO", None)] == [True, False, None]


def test_what_tells_images_apart_is_read():
    frame = told(
        EchoTime="30.5",
        EchoNumbers="2",
        TemporalPositionIdentifier="4",
        AcquisitionNumber="6",
        DiffusionGradientOrientation=[1.0, 0.0, 0.0],
        ImageType=["ORIGINAL", "PRIMARY", "P", "ND"],
    ).frames[0]
    assert (frame.echo, frame.echo_number, frame.time_point, frame.acquisition) == (30.5, 2, 4, 6)
    assert (frame.direction, frame.component) == ((1.0, 0.0, 0.0), "phase")


def test_a_scanner_s_own_file_is_read():
    instance = read_instance(file("MR_small.dcm"))
    assert (instance.modality, instance.kind, len(instance.frames)) == ("MR", "derived", 1)
    assert (instance.sequence, instance.plane, instance.problems) == ("T2", "axial", ())
    assert instance.frames[0].along is not None


def test_what_is_no_dicom_file_is_refused():
    for data in (b"", b"\x89PNG\r\n\x1a\n" + bytes(2000)):
        with pytest.raises(Refused):
            read_instance(data)


READ = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality",
    "PatientID", "AccessionNumber", "StudyDate", "StudyTime", "SeriesNumber", "SeriesDescription", "ProtocolName",
    "InstanceNumber", "ScanningSequence", "SequenceVariant", "EchoTime", "RepetitionTime", "InversionTime",
    "FlipAngle", "ContrastBolusAgent", "ImageType", "DiffusionBValue", "DiffusionGradientOrientation",
    "ImageOrientationPatient",
    "ImagePositionPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "EchoNumbers", "Rows", "Columns",
    "TemporalPositionIdentifier", "AcquisitionNumber", "BurnedInAnnotation", "NumberOfFrames", "AngioFlag",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ContrastBolusAgentSequence",
    "SpecificCharacterSet",
]  # fmt: skip
LONG_VRS = {"OB", "OW", "SQ", "UN", "UT", "UC", "UR"}


def element(tag: int, vr: str, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    length = struct.pack("<HI", 0, len(value)) if vr in LONG_VRS else struct.pack("<H", len(value))
    return head + length + value


def written(values: dict[str, bytes], vrs: dict[str, str] | None = None) -> bytes:
    """Write a file whose elements hold any bytes whatever."""
    tags = {tag_for_keyword(name): name for name in values}
    body = b"".join(
        element(tag, (vrs or {}).get(name) or dictionary_VR(tag)[:2], values[name])
        for tag, name in sorted(tags.items())
    )
    syntax = element(0x00020010, "UI", b"1.2.840.10008.1.2.1")
    group_2 = element(0x00020000, "UL", struct.pack("<I", len(syntax))) + syntax
    return b"\0" * 128 + b"DICM" + group_2 + body + element(0x7FE00010, "OW", b"\0" * 64)


text = st.one_of(
    st.sampled_from(
        [b"", b"nan", b"inf", b"-inf", b"1e999", b"1\\2", b"\\", b"1\\\\3", b"1.2.3", b"0\\0\\0\\0\\0\\0"]
    ),
    st.binary(max_size=64),
    st.lists(st.floats().map(lambda each: str(each).encode()), max_size=7).map(b"\\".join),
    st.text(max_size=40).map(lambda each: each.encode("utf-8")),
)


@settings(deadline=None, max_examples=300)
@given(
    values=st.dictionaries(st.sampled_from(READ), text, max_size=len(READ)),
    vrs=st.dictionaries(
        st.sampled_from(READ), st.sampled_from(["UN", "OB", "LO", "DS", "FD", "SQ", "US"]), max_size=3
    ),
)
def test_no_value_of_any_tag_raises(values, vrs):
    try:
        instance = read_instance(written(values, vrs))
    except Refused:
        return  # a data set whose very structure is broken
    assert all(np.isfinite(frame.along or 0) for frame in instance.frames)
    for uid in (instance.study_uid, instance.series_uid, instance.sop_uid):
        assert uid is None or len(uid) <= 64


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_no_value_of_a_single_tag_raises(data):
    """In a file that is otherwise whole, so that nothing before the tag ends the reading."""
    name = data.draw(st.sampled_from(READ))
    whole = {key: b"1" for key in READ if not key.endswith("Sequence")}
    instance = read_instance(written({**whole, name: data.draw(text)}))
    assert isinstance(instance, Instance)

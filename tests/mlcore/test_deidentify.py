"""De-identification by the Basic Profile: every attribute of Table E.1-1, at every depth."""

import io

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)

from mlcore.images.decoded import Refused
from mlcore.images.deidentify.file import deidentify
from mlcore.images.deidentify.table import Action, action_of, rows
from tests.mlcore.identified import ENHANCED, KEPT_SEQUENCE, PIXELS, PSEUDONYM, RULES, image, marked, written

# Commands, group 2 and directories are no part of an image's data set; padding stands behind the pixels.
TAGS = [tag for tag in rows() if tag >> 16 not in (0x0000, 0x0002, 0x0004, 0xFFFC) and dictionary_has_tag(tag)]
MARKED = [tag for tag in TAGS if marked(tag, 0)]


def read(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(data))


def test_table_has_every_row_of_the_edition() -> None:
    codes = [row.code for row in rows().values()]
    assert len(codes) == 652
    assert set(codes) == {"X", "Z", "D", "U", "X/Z", "X/D", "Z/D", "X/Z/D", "X/Z/U*"}
    assert {tag for tag, row in rows().items() if row.code == "X/Z/U*"} == {0x00081140, 0x00082112}


@pytest.mark.parametrize("sop_class", [MRImageStorage, ENHANCED])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_no_value_of_the_table_is_left_at_the_top(sop_class: str, syntax: pydicom.uid.UID) -> None:
    values = {tag: marked(tag, number) for number, tag in enumerate(MARKED)}
    data = image({tag: value[:2] for tag, value in values.items() if value}, sop_class=sop_class, syntax=syntax)
    out, report = deidentify(data, RULES)
    for tag, value in values.items():
        assert value is not None
        assert value[2] in data
        if dictionary_VR(tag) != "TM":
            assert value[2] not in out, f"{tag:08X}"
    told = {*report.removed, *report.emptied, *report.replaced}
    assert {f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in MARKED} <= told


def test_no_value_of_the_table_is_left_in_a_sequence() -> None:
    values = {tag: marked(tag, number) for number, tag in enumerate(MARKED)}
    data = image(nested={tag: value[:2] for tag, value in values.items() if value})
    out, report = deidentify(data, RULES)
    assert "(0008,2229)" in report.kept
    for tag, value in values.items():
        assert value is not None
        assert value[2] in data
        assert value[2] not in out, f"{tag:08X}"


def test_no_value_of_the_table_is_left_in_a_private_sequence() -> None:
    item = Dataset()
    for number, tag in enumerate(MARKED):
        value = marked(tag, number)
        assert value is not None
        item.add_new(tag, *value[:2])
    out, report = deidentify(image({0x00290010: ("LO", "MAKER"), 0x00291001: ("SQ", Sequence([item]))}), RULES)
    assert b"Marker" not in out
    assert b"MAKER" not in out
    assert {"(0029,0010)", "(0029,1001)"} <= set(report.removed)


def test_every_row_gives_what_its_code_asks_for() -> None:
    for tag in TAGS:
        code = rows()[tag].code
        # Of a sequence of references its items are kept, and the UIDs in them replaced.
        allowed = set(code.replace("U*", "K").split("/"))
        for top, sop_class in ((True, MRImageStorage), (True, ENHANCED), (True, "1.2.3"), (False, MRImageStorage)):
            assert action_of(tag, sop_class, top=top).value in allowed, f"{tag:08X}"


def test_dummies_are_valid_and_not_empty() -> None:
    nested = {tag: ("SQ", Sequence([Dataset()])) for tag in TAGS if dictionary_VR(tag) == "SQ"}
    values = {tag: marked(tag, number) for number, tag in enumerate(MARKED)}
    nested |= {tag: value[:2] for tag, value in values.items() if value}
    out, _report = deidentify(image(nested=nested), RULES)
    item = read(out)[KEPT_SEQUENCE].value[0]
    for tag in nested:
        action = action_of(tag, MRImageStorage, top=False)
        assert (tag in item) == (action is not Action.REMOVE)
        if action in (Action.DUMMY, Action.UID):
            assert item[tag].value not in (None, "", b"", []), f"{tag:08X}"
        if action is Action.EMPTY:
            assert not item[tag].value


@pytest.mark.parametrize("group", [0x5000, 0x5002, 0x501E, 0x6000, 0x6002, 0x601E])
def test_curves_and_overlays_are_removed_whole(group: int) -> None:
    extra: dict[int, tuple[str, object]] = {
        group << 16 | 0x0010: ("US", 16),
        group << 16 | 0x3000: ("OW", b"Marker00"),
        group << 16 | 0x4000: ("LT", "Marker01"),
        group << 16 | 0x0022: ("LO", "Marker02"),
    }
    out, _report = deidentify(image(extra), RULES)
    assert b"Marker" not in out
    assert not any(element.tag.group == group for element in read(out))


def test_identity_beyond_the_table_is_not_kept() -> None:
    extra: dict[int, tuple[str, object]] = {
        tag_for_keyword("RetrieveURL") or 0: ("UR", "http://marker"),
        tag_for_keyword("SecondaryReviewerName") or 0: ("PN", "marker^one"),
        tag_for_keyword("RepositoryUniqueID") or 0: ("UI", "1.2.826.777"),
        0x00120097: ("LT", "marker two"),  # no attribute of the standard
    }
    assert not rows().keys() & extra.keys()
    out, _report = deidentify(image(extra), RULES)
    assert b"marker" not in out
    assert b"1.2.826.777" not in out


def test_words_in_place_of_a_kind_do_not_pass() -> None:
    out, _report = deidentify(image({0x0008010C: ("LO", "Doe^Johanna")}), RULES)  # CodingSchemeUID
    assert b"Johanna" not in out


def test_uids_are_consistent_over_files_and_references() -> None:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = MRImageStorage, "1.2.826.1.3"
    first = read(deidentify(image(), RULES)[0])
    second = deidentify(
        image(SOPInstanceUID="1.2.826.1.9", sop_class=ENHANCED, ReferencedImageSequence=Sequence([reference])), RULES
    )
    other = read(second[0])
    assert first.StudyInstanceUID == other.StudyInstanceUID == second[1].study_instance_uid != "1.2.826.1.1"
    assert first.SeriesInstanceUID == other.SeriesInstanceUID
    assert first.FrameOfReferenceUID == other.FrameOfReferenceUID
    assert first.SOPInstanceUID != other.SOPInstanceUID
    referenced = other.ReferencedImageSequence[0]
    assert referenced.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert referenced.ReferencedSOPClassUID == MRImageStorage
    assert first.SOPInstanceUID.is_valid
    assert first.SOPInstanceUID.startswith("2.25.")
    assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID


def test_references_of_a_classic_image_are_removed() -> None:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = MRImageStorage, "1.2.826.1.3"
    out, _report = deidentify(image(ReferencedImageSequence=Sequence([reference])), RULES)
    assert "ReferencedImageSequence" not in read(out)


def test_another_key_gives_other_uids() -> None:
    again = type(RULES)(key=b"x" * 32, pseudonym=PSEUDONYM)
    assert deidentify(image(), RULES)[1].sop_instance_uid != deidentify(image(), again)[1].sop_instance_uid


def test_same_input_gives_the_same_bytes() -> None:
    assert deidentify(image(), RULES) == deidentify(image(), RULES)


def test_file_says_how_it_was_done() -> None:
    out, report = deidentify(image(), RULES)
    done = read(out)
    assert out[:128] == b"\0" * 128
    assert b"MRDOE1" not in out
    assert done.PatientID == done.PatientName == PSEUDONYM
    assert done.PatientIdentityRemoved == "YES"
    assert [item.CodeValue for item in done.DeidentificationMethodCodeSequence] == ["113100"] == list(report.options)
    assert done.LongitudinalTemporalInformationModified == "REMOVED"
    assert done.StudyDate == done.PatientBirthDate == done.PatientSex == done.AccessionNumber == ""
    assert done.EchoTime == 90
    assert done.Manufacturer == "SIEMENS"
    assert "(0018,0081)" in report.kept
    assert not any("Doe" in path for path in report.kept + report.removed)


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian],
)
def test_pixels_are_the_same_bytes(syntax: pydicom.uid.UID) -> None:
    data = image(syntax=syntax)
    out, _report = deidentify(data, RULES)
    done = read(out)
    assert done.PixelData == PIXELS
    inflated = syntax == DeflatedExplicitVRLittleEndian
    assert done.file_meta.TransferSyntaxUID == (ExplicitVRLittleEndian if inflated else syntax)


def test_big_endian_stays_big_endian() -> None:
    done = read(deidentify(image(syntax=ExplicitVRBigEndian), RULES)[0])
    assert done.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    assert (done.PixelData, done.Rows) == (PIXELS, 16)


def test_what_stands_behind_the_pixels_is_dropped() -> None:
    data = image({0xFFFCFFFC: ("OB", b"Marker00")})
    out, report = deidentify(data, RULES)
    assert b"Marker" in data
    assert b"Marker" not in out
    assert report.notes == ("behind_pixels",)


@pytest.mark.parametrize("left", [200, 700, -1, -100])
def test_cut_off_file_is_refused(left: int) -> None:
    with pytest.raises(Refused) as refused:
        deidentify(image()[:left], RULES)
    assert refused.value.code in ("truncated", "damaged")


@pytest.mark.parametrize(("data", "code"), [(b"", "empty"), (b"%PDF-1.7", "not_an_image")])
def test_what_is_no_dicom_file_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        deidentify(data, RULES)
    assert refused.value.code == code


def test_object_of_no_kind_is_refused() -> None:
    dataset = Dataset()
    dataset.PatientName = "Doe^Johanna"
    with pytest.raises(Refused, match="damaged"):
        deidentify(written_without_kind(dataset), RULES)


def written_without_kind(dataset: Dataset) -> bytes:
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, "1.2.3"
    return written(dataset).replace(b"\x08\0\x16\0", b"\x08\0\x15\0", 1)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, "no"),
        ({"BurnedInAnnotation": "YES"}, "yes"),
        ({"BurnedInAnnotation": "NO", "ImageType": ["DERIVED", "PRIMARY"]}, "no"),
        ({"ImageType": ["DERIVED", "SECONDARY"]}, "unknown"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "SCREEN SAVE"]}, "unknown"),
        ({"sop_class": "1.2.840.10008.5.1.4.1.1.7", "BurnedInAnnotation": "NO"}, "unknown"),
        ({"sop_class": "1.2.840.10008.5.1.4.1.1.6.1"}, "unknown"),
        ({"extra": {0x60000010: ("US", 16)}}, "unknown"),
    ],
)
def test_report_tells_whether_text_may_be_drawn(attributes: dict, said: str) -> None:
    assert deidentify(image(**attributes), RULES)[1].burned_in == said


PLANTED = [tag for tag in MARKED if dictionary_VR(tag) not in ("UI", "CS", "AE", "DA", "DT", "TM", "UR")]


@settings(max_examples=40, deadline=None)
@given(
    tags=st.lists(st.sampled_from(PLANTED), min_size=1, max_size=12, unique=True),
    word=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", min_size=10, max_size=16),
    deep=st.integers(0, 4),
)
def test_no_planted_word_survives(tags: list[int], word: str, deep: int) -> None:
    """Whatever word stands in any of the table's texts, at any depth, its bytes are not in the output."""
    planted: dict[int, tuple[str, object]] = {}
    for tag in tags:
        vr = dictionary_VR(tag).split(" or ")[0]
        planted[tag] = (vr, word.encode().ljust(16, b"_") if vr in ("OB", "OW", "UN") else word)
    for _level in range(deep):
        item = Dataset()
        for tag, (vr, value) in planted.items():
            item.add_new(tag, vr, value)
        planted = {KEPT_SEQUENCE: ("SQ", Sequence([item]))}
    data = image(planted)
    assert word.encode() in data
    assert word.encode() not in deidentify(data, RULES)[0]

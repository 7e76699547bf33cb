"""Mosaics that the tests write themselves, with a CSA header of both versions, become their tiles."""

import dataclasses
import io
import struct

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.images.decode import NoSuchFrame, decode, frame
from mlcore.images.dicom.instance import read_instance
from mlcore.images.dicom.siemens import csa_of
from mlcore.images.stacks import sort_into_stacks
from tests.mlcore.stacks.test_instance import WHOLE
from tests.mlcore.test_decode import dicom

TILES, SIDE, ROWS, COLUMNS = 7, 3, 40, 32
SPACING, BETWEEN = (2.0, 3.0), 4.5
TAGS = {
    "EchoLinePosition": ["20"],
    "NumberOfImagesInMosaic": [str(TILES)],
    "AcquisitionMatrixText": ["32p*40"],
    "SliceNormalVector": ["0.00000000", "0.00000000", "1.00000000"],
    "Nothing": [],
}
FIRST_ITEMS = 6


def csa(tags: dict[str, list[str]], version: int) -> bytes:
    """Write a header as the scanner does: six items a tag, most of them empty."""
    out = (b"SV10\4\3\2\1" if version == 2 else b"") + struct.pack("<II", len(tags), 77)
    for name, values in tags.items():
        out += struct.pack("<64si4s3i", name.encode(), len(values), b"FD", 4, FIRST_ITEMS, 77)
        for number in range(FIRST_ITEMS):
            word = values[number].encode() + b"\0" if number < len(values) else b""
            first = len(word) + FIRST_ITEMS if version == 1 else len(word)
            out += struct.pack("<4i", first, len(word), 77, len(word)) + word + b"\0" * (-len(word) % 4)
    return out


def slices() -> np.ndarray:
    return np.random.default_rng(1).integers(1, 4000, (TILES, ROWS, COLUMNS), np.uint16)


def mosaic(*, tags: dict | None = None, version: int = 2, element: bool = True, cosines=None, **more) -> bytes:
    pixels = np.zeros((SIDE * ROWS, SIDE * COLUMNS), np.uint16)
    for k, tile in enumerate(slices()):
        top, left = k // SIDE * ROWS, k % SIDE * COLUMNS
        pixels[top : top + ROWS, left : left + COLUMNS] = tile
    cosines = cosines or [1, 0, 0, 0, 1, 0]
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    # The corner that the scanner states: of an image as large as the mosaic around the centre of the first slice.
    centre = np.array([5.0, -6.0, 7.0])
    corner = (
        centre - row * (SIDE * COLUMNS - 1) / 2 * SPACING[1] - column * (SIDE * ROWS - 1) / 2 * SPACING[0]
    ).round(6)
    values = {
        **WHOLE,
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
        "PixelSpacing": list(SPACING),
        "SpacingBetweenSlices": str(BETWEEN),
        "ImagePositionPatient": list(corner),
        "ImageOrientationPatient": cosines,
        **more,
    }
    dataset = pydicom.dcmread(io.BytesIO(dicom(pixels, **values)))
    if element:
        block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0A, "US", TILES)
        block.add_new(0x0C, "IS", "1000")
    if tags != {}:
        dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(
            0x10, "OB", csa(tags or TAGS, version)
        )
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.mark.parametrize("version", [1, 2])
def test_a_csa_header_is_read(version):
    found = csa_of(csa(TAGS, version))
    assert found == TAGS


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"SV10\4\3\2\1"]))
def test_no_bytes_of_a_csa_header_raise(some, head):
    assert isinstance(csa_of(head + some), dict)


@settings(deadline=None)
@given(st.integers(0, 2000), st.sampled_from([1, 2]))
def test_what_stands_before_a_cut_is_whole(length, version):
    assert csa_of(csa(TAGS, version)[:length]).items() <= {**TAGS}.items()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("element", [True, False])
def test_a_mosaic_is_its_tiles_with_their_true_places(version, element):
    instance = read_instance(mosaic(version=version, element=element))
    assert instance.problems == ()
    assert (instance.rows, instance.columns, len(instance.frames)) == (ROWS, COLUMNS, TILES)
    # The centre of the first slice is what the writer of this test put there.
    corner = (5.0 - (COLUMNS - 1) / 2 * SPACING[1], -6.0 - (ROWS - 1) / 2 * SPACING[0])
    for index, each in enumerate(instance.frames):
        assert each.index == index
        assert each.position == pytest.approx((*corner, 7.0 + index * BETWEEN))
    (stack,) = sort_into_stacks([instance])
    assert (len(stack.images), stack.between, stack.problems) == (TILES, pytest.approx(BETWEEN), ())


@pytest.mark.parametrize(
    ("cosines", "normal"),
    [
        ([1, 0, 0, 0, 1, 0], ["0", "0", "-1"]),
        ([1, 0, 0, 0, 0, -1], ["0", "1", "0"]),
        ([0, 1, 0, 0, 0, -1], ["1", "0", "0"]),
        ([1, 0, 0, 0, 0.8, 0.6], ["0", "-0.6", "0.8"]),
    ],
)
def test_slices_follow_each_other_as_the_header_says(cosines, normal):
    instance = read_instance(mosaic(cosines=cosines, tags={**TAGS, "SliceNormalVector": normal}))
    first, second = (np.array(each.position) for each in instance.frames[:2])
    assert second - first == pytest.approx(np.array([float(each) for each in normal]) * BETWEEN)


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        ({"tags": {}}, "normal"),
        ({"tags": {**TAGS, "SliceNormalVector": ["0", "1", "0"]}}, "normal"),
        ({"tags": {**TAGS, "SliceNormalVector": ["0", "nan", "1"]}}, "normal"),
        ({"tags": {**TAGS, "SliceNormalVector": ["0", "1"]}}, "normal"),
        ({"tags": {**TAGS, "NumberOfImagesInMosaic": []}, "element": False}, "number"),
        ({"tags": {**TAGS, "NumberOfImagesInMosaic": ["20"]}, "element": False}, "size"),
        ({"SpacingBetweenSlices": None}, "slice_spacing"),
        ({"ImagePositionPatient": None}, "position"),
        ({"PixelSpacing": None}, "spacing"),
    ],
)
def test_a_mosaic_without_what_it_takes_is_named(change, lacks):
    data = mosaic(**change)
    instance = read_instance(data)
    (problem,) = instance.problems
    assert (problem.code, problem.named) == ("mosaic_without_header", {"lacks": lacks})
    assert (instance.not_predicted, len(instance.frames)) == ("mosaic_without_header", 1)
    with pytest.raises(NoSuchFrame):
        frame(data, 1)
    assert frame(data, 0).mosaic


def test_each_tile_is_decoded_and_the_mosaic_as_a_whole_stays_what_it_was():
    data = mosaic()
    for index, tile in enumerate(slices()):
        decoded = frame(data, index)
        assert np.array_equal(decoded.pixels, tile)
        assert (decoded.frames, decoded.mosaic, decoded.spacing) == (TILES, False, SPACING)
    with pytest.raises(NoSuchFrame):
        frame(data, TILES)
    whole = decode(data)
    assert (whole.pixels.shape, whole.mosaic, whole.frames) == ((SIDE * ROWS, SIDE * COLUMNS), True, 1)


def test_the_b_value_of_siemens_own_element_counts_and_volumes_are_parted():
    instance = read_instance(mosaic())
    assert {each.b_value for each in instance.frames} == {1000.0}
    assert instance.sequence == "DWI"
    second = dataclasses.replace(
        instance, sop_uid="1.2.3.5", frames=tuple(dataclasses.replace(each, b_value=0.0) for each in instance.frames)
    )
    stacks = sort_into_stacks([instance, second])
    assert [(stack.splits, len(stack.images)) for stack in stacks] == [
        ((("b_value", 0.0),), TILES),
        ((("b_value", 1000.0),), TILES),
    ]

"""A JPEG ends where its first image ends: what lies behind is not looked at, and what is missing before is missed."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from mlcore.images.decode import Decoded, Refused, decode
from tests.mlcore.phantom import head, jpeg

GREY = head(3, tumour=True, side=128)
KINDS = {
    "grey": {},
    "colour": {"mode": "RGB"},
    "cmyk": {"mode": "CMYK"},
    "progressive": {"progressive": True},
    "progressive colour": {"mode": "RGB", "progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "progressive restarts": {"progressive": True, "restart_marker_blocks": 5},
    "thinned colour": {"mode": "RGB", "subsampling": 2, "restart_marker_rows": 1},
}


def written(kind: str, pixels: np.ndarray = GREY) -> bytes:
    options = dict(KINDS[kind])
    out = io.BytesIO()
    Image.fromarray(pixels).convert(str(options.pop("mode", "L"))).save(out, "JPEG", quality=90, **options)
    return out.getvalue()


def multi_picture() -> bytes:
    out = io.BytesIO()
    Image.fromarray(GREY).save(out, "MPO", save_all=True, append_images=[Image.fromarray(head(4, tumour=False))])
    return out.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def scans(data: bytes) -> list[int]:
    """Where each scan's header begins, in a file that holds these two bytes nowhere else."""
    return [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]


SECOND = jpeg(head(5, tumour=False, side=128))
SMALL = jpeg(head(6, tumour=False, side=64))
FILM = b"\0\0\0\x18ftypmp42" + bytes((i * 37 + 11) % 256 for i in range(4000)) + b"\xff\xda\xff\x00\xff\xd8\xff"
BEHIND = {
    "a scan's marker": b"\xff\xda",
    "many scans' markers": b"\xff\xda" * 300,
    "a scan's marker and text": b"\xff\xda and so on, without an end",
    "an end": b"\xff\xd9",
    "one byte": b"\xff",
    "zeros": bytes(5000),
    "text": b"written by a phone",
    "a film": FILM,
    "a second picture": SECOND,
    "half a second picture": SECOND[: len(SECOND) // 2],
    "the beginning of a second picture": b"\xff\xd8\xff",
    "an archive": b"PK\x03\x04" + FILM + b"PK\x05\x06",
}


def code_of(data: bytes) -> str:
    with pytest.raises(Refused) as refused:
        decode(data)
    return refused.value.code


def same(one: Decoded, other: Decoded) -> bool:
    return bool(np.array_equal(one.pixels, other.pixels))


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_behind_the_end_of_a_jpeg_is_not_looked_at(kind, behind):
    whole = written(kind)
    assert same(decode(whole + BEHIND[behind]), decode(whole))


def test_the_first_picture_of_a_multi_picture_file_is_the_image():
    assert same(decode(multi_picture()), decode(jpeg(GREY, quality=75)))


@pytest.mark.parametrize("marker", [0xE1, 0xE2, 0xED, 0xEE, 0xFE])
@pytest.mark.parametrize("inside", [b"\xff\xda", b"\xff\xd9", b"\xff\xd8\xff", SMALL, b"\xff\xc0\x00\x11\x08"])
def test_markers_within_a_segment_mean_nothing(marker, inside):
    for kind in ("grey", "progressive colour"):
        whole = written(kind)
        told = whole[:2] + segment(marker, b"Maker\0" + inside * (40_000 // len(inside) // 8)) + whole[2:]
        assert same(decode(told), decode(whole))
        late = whole[: scans(whole)[-1]] + segment(marker, b"Maker\0" + inside * 3) + whole[scans(whole)[-1] :]
        assert same(decode(late), decode(whole))


@pytest.mark.parametrize("share", [0.35, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("then", ["nothing", "second", "smaller", "twice", "film", "second's rest", "multi", "end"])
def test_a_first_picture_that_was_cut_is_refused_whatever_follows(kind, share, then):
    whole = written(kind)
    follows = {
        "nothing": b"",
        "second": SECOND,
        "smaller": SMALL,
        "twice": SECOND * 2,
        "film": FILM + SECOND,
        "second's rest": SECOND[2:],
        "multi": multi_picture(),
        "end": b"\xff\xd9" + SECOND,
    }
    assert code_of(whole[: int(len(whole) * share)] + follows[then]) in ("truncated", "damaged")


@pytest.mark.parametrize("follows", ["grey", "progressive colour", "multi"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_cut_in_its_header_never_mixes_with_the_next_one(kind, follows):
    """A segment's length then leads into the next picture; where it swallows two bytes of it, that one is whole."""
    whole = written(kind)
    then = multi_picture() if follows == "multi" else written(follows, head(5, tumour=False, side=128))
    for at in range(2, scans(whole)[0] + 12):
        try:
            decoded = decode(whole[:at] + then)
        except Refused as refused:
            assert refused.code in ("truncated", "damaged")
        else:
            assert same(decoded, decode(then))


@pytest.mark.parametrize("kind", ["progressive", "progressive colour", "progressive restarts"])
def test_a_progressive_picture_that_lacks_scans_is_refused(kind):
    whole = written(kind)
    for at in scans(whole)[1:]:
        assert code_of(whole[:at] + b"\xff\xd9") == "truncated"
        # The tables of a scan stand before it.
        assert code_of(whole[: whole.rindex(b"\xff\xc4", 0, at)] + b"\xff\xd9" + SECOND) == "truncated"


@pytest.mark.parametrize("kind", ["progressive", "progressive colour", "progressive restarts"])
def test_a_progressive_picture_cut_within_any_scan_is_refused(kind):
    whole = written(kind)
    starts = scans(whole)
    for at, end in zip(starts, [*starts[1:], len(whole) - 2], strict=True):
        cut = at + 10 + (end - at - 10) // 2
        assert code_of(whole[:cut] + b"\xff\xd9") in ("truncated", "damaged")


def test_a_hole_between_two_restarts_is_refused():
    whole = written("restarts")
    second, third = whole.index(b"\xff\xd1"), whole.index(b"\xff\xd2")
    assert code_of(whole[: (second + third) // 2] + whole[third:]) in ("truncated", "damaged")
    assert code_of(whole[:second] + whole[third:]) in ("truncated", "damaged")


@pytest.mark.parametrize("kind", KINDS)
def test_fill_bytes_before_markers_change_nothing(kind):
    whole = written(kind)
    first = scans(whole)[0]
    filled = whole[:first] + b"\xff" * 9 + whole[first:-2] + b"\xff" * 700 + whole[-2:]
    filled = filled.replace(b"\xff\xc4", b"\xff\xff\xff\xc4").replace(b"\xff\xd3", b"\xff\xff\xd3")
    assert same(decode(filled), decode(whole))
    assert same(decode(filled + b"\xff\xda"), decode(whole))


@pytest.mark.parametrize("kind", ["grey", "colour", "restarts"])
def test_a_height_that_follows_the_first_scan_is_the_height(kind):
    """DNL (ITU-T T.81, B.2.5): the frame header says 0 lines, and a segment behind the first scan says how many."""
    whole = written(kind)
    at = whole.index(b"\xff\xc0") + 5
    assert struct.unpack(">H", whole[at : at + 2]) == (128,)
    later = whole[:at] + b"\0\0" + whole[at + 2 : -2] + segment(0xDC, struct.pack(">H", 128)) + whole[-2:]
    assert same(decode(later), decode(whole))
    assert same(decode(later + b"\xff\xda"), decode(whole))
    assert code_of(whole[:at] + b"\0\0" + whole[at + 2 :]) == "damaged"
    vast = whole[:at] + b"\0\0" + whole[at + 2 : -2] + segment(0xDC, b"\xff\xff") + whole[-2:]
    assert code_of(vast) in ("too_large", "truncated", "damaged", "elongated")


def test_more_scans_than_any_picture_has_are_refused():
    whole = written("progressive")
    last = whole[scans(whole)[-1] : -2]
    assert code_of(whole[:-2] + last * 100 + b"\xff\xd9") == "damaged"


def test_a_run_of_fill_bytes_takes_no_time():
    whole = written("grey")
    decode(whole[:-2] + b"\xff" * 2_000_000 + whole[-2:])
    code_of(whole[:-2] + b"\xff" * 2_000_000 + b"\x00" * 8)

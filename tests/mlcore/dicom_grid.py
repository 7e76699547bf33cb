"""DICOM files of every combination that pydicom can write, and what pydicom's own numpy pipeline makes of each."""

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing, pixel_array
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)

ROWS, COLUMNS = 33, 37
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
SYNTAXES = (*NATIVE, RLELossless, JPEG2000Lossless, JPEGLSLossless)
BITS = ((1, 1), (8, 8), (8, 7), (8, 5), (16, 16), (16, 15), (16, 12), (16, 10), (16, 8), (32, 32), (32, 24), (32, 17))
# How much higher than the lowest place the values lie in their container.
SHIFTS = ("lowest", "middle", "highest")
MODALITIES = ("none", "rescale", "negative slope", "slope of nought", "table", "table of words in OW")
VOIS = ("none", "LINEAR", "LINEAR_EXACT", "SIGMOID", "table", "table of words in OW")
PADDINGS = ("none", "own sign", "other sign", "range", "beyond the stored bits")


@dataclass(frozen=True)
class Combination:
    """One way to write an image."""

    bits: tuple[int, int]  # allocated, stored
    shift: str
    signed: bool
    photometric: str
    syntax: UID
    modality: str
    voi: str
    padding: str

    def __str__(self) -> str:
        said = [getattr(self, each.name) for each in fields(self)]
        return ", ".join(each.name if isinstance(each, UID) else str(each) for each in said)

    @property
    def high(self) -> int:
        allocated, stored = self.bits
        return {"lowest": stored - 1, "middle": (allocated + stored) // 2 - 1, "highest": allocated - 1}[self.shift]

    @property
    def possible(self) -> bool:
        """Whether pydicom can write it, and it is none of the others under another name."""
        allocated, stored = self.bits
        shifted = self.high != stored - 1
        if (self.shift != "lowest" and not shifted) or (self.shift == "middle" and self.high == allocated - 1):
            return False
        if allocated == 1 and (self.signed or self.syntax not in NATIVE or self.padding != "none"):
            return False
        if self.syntax not in NATIVE and allocated > 16:
            return False
        if self.syntax in (JPEG2000Lossless, JPEGLSLossless) and shifted:
            return False
        if self.padding == "beyond the stored bits":
            return self.syntax in NATIVE and not shifted and stored < allocated == 16
        # The padding's elements have 16 bits and so mean nothing else in pixels of 32.
        return not (self.padding == "other sign" and allocated == 32)


def storages() -> Iterator[tuple[tuple[int, int], str, bool, UID]]:
    return itertools.product(BITS, SHIFTS, (False, True), SYNTAXES)


def transforms() -> Iterator[tuple[str, str, str, str]]:
    return itertools.product(("MONOCHROME2", "MONOCHROME1"), MODALITIES, VOIS, PADDINGS)


def whole_grid() -> Iterator[Combination]:
    """Every combination there is."""
    for (bits, shift, signed, syntax), (photometric, modality, voi, padding) in itertools.product(
        storages(), transforms()
    ):
        combination = Combination(bits, shift, signed, photometric, syntax, modality, voi, padding)
        if combination.possible:
            yield combination


def small_grid(each: int = 4) -> list[Combination]:
    """Every storage with some of the transforms, and every transform with some of the storages."""
    steps = itertools.cycle(transforms())
    chosen = []
    for bits, shift, signed, syntax in storages():
        found = 0
        for photometric, modality, voi, padding in itertools.islice(steps, 7 * each):
            combination = Combination(bits, shift, signed, photometric, syntax, modality, voi, padding)
            if combination.possible and found < each:
                chosen.append(combination)
                found += 1
    for number, (photometric, modality, voi, padding) in enumerate(transforms()):
        for signed in (False, True):
            syntax = NATIVE[number % len(NATIVE)]
            chosen.append(Combination((16, 12), "lowest", signed, photometric, syntax, modality, voi, padding))
    return list(dict.fromkeys(chosen))


@dataclass(frozen=True)
class Written:
    """A file and what it means.

    `shown` is the display by pydicom, 0 to 1, of the true values; None where the file asks for none. `table` is what
    pydicom's table makes of them.
    """

    data: bytes
    values: np.ndarray
    shown: np.ndarray | None
    table: np.ndarray | None


def write(combination: Combination, seed: int) -> Written:
    """Write a file of noise over the whole range, and read its values by pydicom."""
    rng = np.random.default_rng(seed)
    stored, padding = _stored(combination, rng)
    dataset = _header(combination)
    _pad(dataset, combination, padding)
    _transform(dataset, combination)
    data = _saved(dataset, combination, _words(combination, stored, padding, rng))
    values, shown, table = _by_pydicom(dataset, combination, stored, padding)
    return Written(data, values, shown, table)


def _range(combination: Combination) -> tuple[int, int]:
    stored = combination.bits[1]
    return (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if combination.signed else (0, 2**stored - 1)


def _stored(combination: Combination, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Give stored values (int64), ends of the range included, and which are padding."""
    low, high = _range(combination)
    stored = rng.integers(low, high, (ROWS, COLUMNS), endpoint=True)
    stored.flat[:2] = low, high
    padding = np.zeros(stored.shape, bool)
    if combination.padding != "none":
        padding[-5:] = True
        if combination.padding != "beyond the stored bits":
            ends = padding_of(combination)
            stored[(stored >= ends[0]) & (stored <= ends[1])] = low
            stored[padding] = rng.integers(*ends, int(padding.sum()), endpoint=True)
    return stored, padding


def padding_of(combination: Combination) -> tuple[int, int]:
    """The ends of the padding in stored values: high for pixels without sign, low for those with, so signs matter."""
    low, high = _range(combination)
    if combination.bits[0] == 32:
        return (low + 2, low + 5) if combination.padding == "range" and low == 0 else (3, 3)
    first = low + 1 if combination.signed else high - 1
    if combination.padding == "range":
        return (first, first + 1) if combination.signed else (first - 1, first)
    return first, first


def _words(combination: Combination, stored: np.ndarray, padding: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give the containers as unsigned words: values at their place, noise in the bits that belong to nobody."""
    allocated, bits = combination.bits
    words = (stored & (2**bits - 1)) << (combination.high + 1 - bits)
    if combination.padding == "beyond the stored bits":
        words[padding] = 2**allocated - 1 if not combination.signed else 2 ** (allocated - 1)
    elif combination.syntax in (*NATIVE, RLELossless):
        used = (2**bits - 1) << (combination.high + 1 - bits)
        words |= rng.integers(0, 2**allocated, words.shape) & ~used & (2**allocated - 1)
    kind = {1: np.uint8, 8: np.uint8, 16: np.uint16, 32: np.uint32}[allocated]
    return words.astype(kind)


def _header(combination: Combination) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, "1.2.3.4"
    meta.TransferSyntaxUID = combination.syntax
    little = combination.syntax != ExplicitVRBigEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128, is_little_endian=little)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = MRImageStorage, "1.2.3.4", "MR"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
    dataset.PhotometricInterpretation = combination.photometric
    dataset.BitsAllocated, dataset.BitsStored = combination.bits
    dataset.HighBit, dataset.PixelRepresentation = combination.high, int(combination.signed)
    return dataset


def _pad(dataset: Dataset, combination: Combination, padding: np.ndarray) -> None:
    if combination.padding == "none":
        return
    bits = combination.bits[0]
    if combination.padding == "beyond the stored bits":
        ends = [-(2 ** (bits - 1))] if combination.signed else [2**bits - 1]
    else:
        ends = sorted(set(padding_of(combination)))
    other = combination.padding == "other sign"
    vr = "SS" if combination.signed != other else "US"
    if other:
        # The same bits of the pixel, read with the other sign.
        half = 2 ** (bits - 1)
        ends = [each % (2 * half) if vr == "US" else (each + half) % (2 * half) - half for each in ends]
    for tag, value in zip((0x00280120, 0x00280121), ends, strict=False):
        dataset.add_new(tag, vr, value)


def _transform(dataset: Dataset, combination: Combination) -> None:
    low, high = _range(combination)
    first = low // 2 if combination.bits[1] <= 16 else max(low // 2, -300)
    if combination.modality.startswith("table"):
        values = [(7919 * index) % 60000 + 3 for index in range(300)]
        dataset.ModalityLUTSequence = Sequence([_table(dataset, combination, combination.modality, first, values, 16)])
    elif combination.modality != "none":
        slope = {"rescale": "0.25", "negative slope": "-2.5", "slope of nought": "0"}[combination.modality]
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, "-12.5" if slope != "0" else "0"
    if combination.voi.startswith("table"):
        shades = [(index * 13) % 4096 for index in range(500)]
        begin = 20 if combination.modality.startswith("table") else min(first, 100)
        dataset.VOILUTSequence = Sequence([_table(dataset, combination, combination.voi, begin, shades, 12)])
    elif combination.voi != "none":
        span = high - low
        dataset.WindowCenter, dataset.WindowWidth = ["", str(span // 3)], ["", str(span // 2 + 2)]
        dataset.VOILUTFunction = combination.voi


def _table(dataset: Dataset, combination: Combination, how: str, first: int, values: list[int], bits: int) -> Dataset:
    item = Dataset()
    item.add_new(0x00283002, "SS" if first < 0 else "US", [len(values), first, bits])
    if how.endswith("OW"):
        order = ">u2" if combination.syntax == ExplicitVRBigEndian else "<u2"
        item.add_new(0x00283006, "OW", np.array(values, order).tobytes())
    else:
        item.add_new(0x00283006, "US", values)
    return item


def _saved(dataset: FileDataset, combination: Combination, words: np.ndarray) -> bytes:
    little = combination.syntax != ExplicitVRBigEndian
    if combination.syntax in NATIVE:
        data = words.astype(words.dtype.newbyteorder("<" if little else ">")).tobytes()
        if combination.bits[0] == 1:
            data = np.packbits(words.ravel(), bitorder="little").tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)
        dataset["PixelData"].VR = "OB" if combination.bits[0] <= 8 else "OW"
    else:
        _compress(dataset, combination, words)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _compress(dataset: FileDataset, combination: Combination, words: np.ndarray) -> None:
    allocated, stored = combination.bits
    kept = dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    array = words
    if combination.syntax == RLELossless:
        # RLE keeps whole words; what is written into them is not its business.
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = allocated, allocated - 1, 0
    elif combination.signed:
        unused = allocated - stored
        array = (words << unused).view(words.dtype.str.replace("u", "i")) >> unused
    plugin = {RLELossless: "pydicom", JPEG2000Lossless: "pylibjpeg", JPEGLSLossless: "pyjpegls"}[combination.syntax]
    dataset.compress(combination.syntax, array, encoding_plugin=plugin, generate_instance_uid=False)
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = kept


def _by_pydicom(
    dataset: FileDataset, combination: Combination, stored: np.ndarray, padding: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """The same image written as pydicom reads it (High Bit at its usual place), through pydicom's own functions."""
    plain = FileDataset("", dataset, file_meta=dataset.file_meta)
    allocated, bits = combination.bits
    if combination.syntax in NATIVE or combination.shift != "lowest":
        plain.file_meta = FileMetaDataset()
        plain.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        words = (stored & (2**bits - 1)).astype({1: "u1", 8: "u1", 16: "<u2", 32: "<u4"}[allocated])
        data = np.packbits(words.ravel(), bitorder="little").tobytes() if allocated == 1 else words.tobytes()
        plain.PixelData, plain.HighBit = data + b"\0" * (len(data) % 2), bits - 1
    array = pixel_array(plain, index=0)
    assert np.array_equal(array[~padding], stored[~padding]), "the file does not say what it should"
    wide = array.astype(np.int64)
    plain.file_meta = dataset.file_meta  # the tables are in the byte order of the file
    if combination.modality == "slope of nought":
        plain.RescaleSlope = "1"  # 0 means nothing, and leaves nothing to see
    values = np.asarray(apply_modality_lut(wide, plain), dtype=np.float64)
    if padding.any():
        true = values[~padding]
        values[padding] = true.max() if combination.photometric == "MONOCHROME1" else true.min()
    if combination.voi == "none":
        return values, None, None
    if combination.voi.startswith("table"):
        first, entries = dataset.VOILUTSequence[0].LUTDescriptor[1], dataset.VOILUTSequence[0].LUTDescriptor[0]
        # pydicom counts in 16 bits before it stops at the last entry.
        steps = np.minimum(np.floor(values), first + entries - 1).astype(np.int64)
        return values, None, np.asarray(apply_voi(steps, plain), dtype=np.float64)
    # pydicom's windowing takes the first window only, and the first of the file is none.
    plain.WindowCenter, plain.WindowWidth = plain.WindowCenter[1], plain.WindowWidth[1]
    shown = np.asarray(apply_windowing(values, plain), dtype=np.float64)
    return values, (shown - shown_at(plain, 0)) / (shown_at(plain, 1) - shown_at(plain, 0)), None


def shown_at(dataset: Dataset, end: int) -> float:
    """What pydicom shows as black (0) or white (1): the range of stored values, transformed."""
    if dataset.get("ModalityLUTSequence"):
        return end * (2**16 - 1.0)
    bits, signed = dataset.BitsStored, dataset.PixelRepresentation
    low = -(2 ** (bits - 1)) if signed else 0
    value = low + end * (2**bits - 1)
    return float(value) * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))

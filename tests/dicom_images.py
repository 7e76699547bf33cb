"""DICOM images for tests, made of nobody: slices of a series, and files of many frames."""

import io

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from tests.mlcore.stacks.test_mosaic import csa

AXIAL, CORONAL = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1]


def uid(*words):
    return generate_uid(entropy_srcs=[str(word) for word in words])


def slice_of(n, *, study="study", series="series", side=64, orientation=AXIAL, seed=None, sop=None, **tags):
    """One DICOM image, the ``n``-th of its series, 5 mm from the one before."""
    rng = np.random.default_rng(n if seed is None else seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    pixels = np.where((x / 0.7) ** 2 + (y / 0.85) ** 2 < 1, 400, 10) + rng.integers(0, 40, (side, side))
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MRImageStorage
    meta.MediaStorageSOPInstanceUID = sop or uid(study, series, "image", n)
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = uid(study), uid(study, series)
    made.Modality, made.SeriesNumber, made.InstanceNumber = "MR", 3, 1000 - n
    made.ImageType, made.StudyDate = ["ORIGINAL", "PRIMARY"], "20240102"
    made.FrameOfReferenceUID = uid(study, "frame")
    made.ImageOrientationPatient, made.PixelSpacing, made.SliceThickness = orientation, [1, 1], 5
    made.ImagePositionPatient = [0, 0, 5 * n] if orientation == AXIAL else [0, 5 * n, 0]
    made.PhotometricInterpretation, made.SamplesPerPixel = "MONOCHROME2", 1
    made.Rows = made.Columns = side
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelData = pixels.astype("<u2").tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def frames_of(count, blank=0):
    """One enhanced file of so many frames, the first ``blank`` of them air."""
    single = pydicom.dcmread(io.BytesIO(slice_of(0)))
    meta = single.file_meta
    meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    single.SOPClassUID, single.NumberOfFrames = EnhancedMRImageStorage, count
    pictures = [pydicom.dcmread(io.BytesIO(slice_of(n))).pixel_array for n in range(count)]
    single.PixelData = np.stack([p * (n >= blank) for n, p in enumerate(pictures)]).astype("<u2").tobytes()
    del single.ImagePositionPatient, single.ImageOrientationPatient, single.PixelSpacing
    shared, groups = Dataset(), []
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient, measures.PixelSpacing, measures.SliceThickness = AXIAL, [1, 1], 5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    for n in range(count):
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, 5 * (count - n)]
        group.PlanePositionSequence = [position]
        groups.append(group)
    single.SharedFunctionalGroupsSequence, single.PerFrameFunctionalGroupsSequence = [shared], groups
    out = io.BytesIO()
    single.save_as(out, enforce_file_format=True)
    return out.getvalue()


def mosaic(per_side, tiles, header=True):
    """A mosaic of ``per_side`` × ``per_side`` places for tiles of 64 × 64, with what the scanner says of them."""
    whole = pydicom.dcmread(io.BytesIO(slice_of(0, side=64 * per_side)))
    whole.ImageType, whole.SpacingBetweenSlices = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"], "5"
    pixels = np.zeros((64 * per_side, 64 * per_side), np.uint16)
    for n in range(tiles):
        top, left = n // per_side * 64, n % per_side * 64
        pixels[top : top + 64, left : left + 64] = pydicom.dcmread(io.BytesIO(slice_of(n))).pixel_array
    whole.PixelData = pixels.tobytes()
    if header:
        whole.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", tiles)
        said = {"NumberOfImagesInMosaic": [str(tiles)], "SliceNormalVector": ["0", "0", "1"]}
        whole.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", csa(said, 2))
    out = io.BytesIO()
    whole.save_as(out, enforce_file_format=True)
    return out.getvalue()

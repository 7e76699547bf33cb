"""What an enhanced DICOM file says of a single frame: it stands in groups beside the image, not at the top."""

from __future__ import annotations

from pydicom.dataset import Dataset

# By the module that they are otherwise read from: spacing, orientation, window and rescaling
# (DICOM PS3.3 C.7.6.16.2.1, .4, .10 and C.7.6.16.2.9).
_READ = {
    "PixelMeasuresSequence": ("PixelSpacing",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
}


def with_groups_of_first_frame(dataset: Dataset) -> Dataset:
    """Put at the top what the functional groups say of the first frame, what it has alone over what all share.

    Parameters
    ----------
    dataset : pydicom.dataset.Dataset
        Of an image; changed in place.

    Returns
    -------
    pydicom.dataset.Dataset
        The same.
    """
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for first in list(dataset.get(groups) or [])[:1]:
            for macro, names in _READ.items():
                for inside in list(first.get(macro) or [])[:1]:
                    for name in names:
                        if name in inside:
                            dataset[name] = inside[name]
    return dataset

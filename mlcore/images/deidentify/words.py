"""The Clean Descriptors Option: of a description only words that say how an image was made are kept."""

from __future__ import annotations

import re

# What may keep its harmless words. All other descriptions follow the Basic Profile.
DESCRIPTIONS = frozenset({"SeriesDescription", "StudyDescription", "ProtocolName", "AcquisitionProtocolDescription"})
_WORD = re.compile(r"[A-Za-z0-9*]+")
_LIST = """
    t1 t2 t1w t2w t1c t1ce t1gd pd pdw t2* flair dark fluid stir dwi dti adc trace w fa b0 b50 b500 b800 b1000
    swi swan venbold gre tse fse se ge epi ir spgr mprage mp rage mp2rage flash fspgr bravo cube space vista tof
    mra mrv asl pwi dsc dce perf perfusion bold cbf cbv mtt ttp spectroscopy mrs csi svs
    2d 3d ax axial tra transversal transverse cor coronal sag sagittal obl oblique mpr mip minip rec reformat
    pre post contrast km gd gad gadolinium ce native nativ plain fs fatsat fat sat spair sup suppressed
    localizer localiser scout survey loc map brain head skull cranium schaedel kopf cerebral neuro mri mr
    spine orbit pituitary iac sella stroke tumor tumour epilepsy ms with without and of
    iso thin thick slice high low res resolution fast motion corrected norm nd dis2d dis3d phase mag magnitude
"""
_HARMLESS = frozenset(_LIST.split())


def harmless_words(text: str) -> str:
    """Give the words of a description that are in the list, in their order; empty where none is."""
    return " ".join(word for word in _WORD.findall(text) if word.lower() in _HARMLESS)[:64].strip()

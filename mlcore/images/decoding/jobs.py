"""What a decoder is asked to do with one file; it runs in a process of its own (`mlcore.images.decoding.server`)."""

from __future__ import annotations

import dataclasses
import io
import math
import resource
import warnings
from typing import Any

import numpy as np
import pydicom.pixels  # noqa: F401  with its plugins, before the fork
from PIL import Image

from mlcore.images.decode import decode, frame
from mlcore.images.decoded import PIXEL_LIMIT, Decoded, NoSuchFrame, Refused
from mlcore.images.deidentify.derived import under_key
from mlcore.images.deidentify.table import rows
from mlcore.images.dicom.file import is_dicom
from mlcore.images.dicom.instance import read_instance
from mlcore.images.fingerprint import fingerprint
from mlcore.images.viewer_file import container, displayed, preview

# Behind the sizes that are read from the headers: Pillow's own limit, and its warning is an error here.
Image.MAX_IMAGE_PIXELS = PIXEL_LIMIT
warnings.simplefilter("error", Image.DecompressionBombWarning)


def told(job: dict[str, Any], data: bytes, most_kb: float = math.inf) -> dict[str, Any]:
    """Do one job.

    Parameters
    ----------
    job : dict
        `do`: `take`, `frames`, `show`, `decode` or `deidentify`; `side` for `show`, `indices` for `frames`; `key` in
        hexadecimal digits for `deidentify`; `frame` where one frame is meant and not the file.
    data : bytes
        The file.
    most_kb : float
        Of memory; a decoder in C that ran out of it says no more than that it failed.

    Returns
    -------
    dict
        `value`; or `refused`, a code and a sentence; or `memory`, where there may not be so much; or `no_frame`.
    """
    try:
        if job["do"] == "deidentify":
            return {"value": under_key(data, bytes.fromhex(job["key"]))}
        if job["do"] == "frames":
            return {"value": [_shown(frame(data, int(index))) for index in job["indices"]]}
        instance = _instance(data) if job["do"] == "take" and job.get("frame") is None else None
        if instance is not None and instance["kept"]:
            return {"value": {"instance": instance}}
        decoded = decode(data) if job.get("frame") is None else frame(data, int(job["frame"]))
        if instance is not None and decoded.frames == 1 and len(instance["frames"]) > 1:
            # Of a mosaic it is the tiles that are images; the file itself is none.
            decoded = frame(data, 0)
        if job["do"] == "take":
            return {"value": _taken(decoded) | {"instance": instance}}
        if job["do"] == "show":
            return {"value": displayed(decoded, int(job["side"]))}
        return {"value": decoded}
    except Refused as refused:
        ran_out = refused.code == "damaged" and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > most_kb
        if ran_out or _for_want_of_memory(refused):
            return {"memory": True}
        return {"refused": [refused.code, refused.sentence]}
    except NoSuchFrame:
        return {"no_frame": True}
    except MemoryError:
        return {"memory": True}


def _for_want_of_memory(error: BaseException | None) -> bool:
    """Tell whether a lack of memory stands at the beginning of what the decoder took for a damage."""
    for _ in range(10):
        if error is None:
            return False
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _instance(data: bytes) -> dict[str, Any] | None:
    """What a DICOM file says of itself, `kept` where it belongs to a study and is no section of a head to read."""
    if not is_dicom(data):
        return None
    instance = read_instance(data)
    no_section = instance.not_predicted not in ("", "localizer", "no_pixels", "mosaic_without_header")
    identified = instance.study_uid is not None and instance.sop_uid is not None
    told = dataclasses.asdict(instance) | {"kept": no_section and identified}
    del told["study_time"], told["problems"]
    return told


def _shown(decoded: Decoded) -> dict[str, Any]:
    return {"preview": preview(decoded), "pixels": container(decoded)}


def _taken(decoded: Decoded) -> dict[str, Any]:
    height, width = decoded.pixels.shape
    return {
        "format": decoded.format,
        "width": width,
        "height": height,
        "bits": decoded.bits,
        "frames": decoded.frames,
        "study_date": decoded.study_date,
        "fingerprint": fingerprint(decoded),
        **_shown(decoded),
    }


def warm() -> None:
    """Decode a small image of each kind, so that a fork finds loaded what is otherwise loaded at first use."""
    y, x = np.mgrid[:64, :64]
    picture = Image.fromarray((255 - np.hypot(x - 32, y - 32) * 4).clip(0, 255).astype(np.uint8))
    for kind in ("PNG", "JPEG"):
        out = io.BytesIO()
        picture.save(out, kind)
        told({"do": "take"}, out.getvalue())
    rows()

"""``python -m tests.cases``: upload every file of the shared cases and hold what comes back against the truth.

Each file goes through the API as a client's would; then its pixel container and its preview are fetched. Prints each
file that fails and why, and how many hold; exit status 1 where one fails.
"""

import contextlib
import io
import json
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT.parent / "shared" / "cases"
MISSING = f"the shared cases are not here ({CASES})"
HEADER = struct.Struct("<4sHHIIffffffHHI")
BEYOND = struct.Struct("<3s3sHHiI")
DTYPES = {1: "<u1", 2: "<u2", 3: "<i2", 4: "<f4"}
INVERTED = 1
# From this version on row and column spacing are a ratio without millimetres.
SHAPE_ONLY = 3


def expected() -> dict[str, dict[str, Any]]:
    """What is expected, by file; empty where the cases are not here."""
    path = CASES / "expect.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def content(name: str) -> bytes:
    return (CASES / "files" / name).read_bytes()


def truth(name: str) -> np.ndarray | None:
    with np.load(CASES / "truth.npz") as values:
        return np.asarray(values[name], dtype=np.float64) if name in values else None


@dataclass(frozen=True)
class Container:
    """The pixel container as docs/api.md describes it; read anew here, as a client would."""

    values: np.ndarray
    depth: int
    window: tuple[float, float] | None
    spacing: tuple[float, float] | None
    aspect: float
    inverted: bool
    table: list[int]
    table_first: int
    table_bits: int

    @classmethod
    def read(cls, data: bytes) -> "Container":
        magic, version, kind, width, height, *numbers, flags, _, following = HEADER.unpack(data[: HEADER.size])
        assert magic == b"OVRD", "no container"
        slope, intercept, centre, wide, row, column = numbers
        pixels = np.frombuffer(data, DTYPES[kind], width * height, HEADER.size)
        beyond = data[HEADER.size + pixels.nbytes :]
        assert len(beyond) == following, "another number of bytes follows the pixels than the header says"
        assert version == SHAPE_ONLY or (version == 2) == bool(beyond), f"version {version}, {following} bytes follow"
        bits = first = count = 0
        table = np.array([], "<u2")
        if beyond:
            _, _, windows, bits, first, count = BEYOND.unpack(beyond[: BEYOND.size])
            table = np.frombuffer(beyond, "<u2", count, BEYOND.size + 8 * windows)
        return cls(
            values=pixels.reshape(height, width) * float(slope) + float(intercept),
            depth=8 * pixels.dtype.itemsize,
            window=None if np.isnan(centre) else (centre, wide),
            spacing=None if np.isnan(row) or version == SHAPE_ONLY else (row, column),
            aspect=1.0 if np.isnan(row) else row / column,
            inverted=bool(flags & INVERTED),
            table=table.tolist(),
            table_first=first,
            table_bits=bits,
        )


def faults_of(found: Container, preview: bytes, want: dict[str, Any], values: np.ndarray | None) -> list[str]:
    """What is not as expected, in words."""
    faults = [_of_values(found, want, values)] if values is not None else []
    if not _near(found.window, want["window"]):
        faults.append(f"the window is {found.window}, not {want['window']}")
    # None stands for a spacing that is not looked at, except beside an aspect: that gives no millimetres.
    if (want["spacing"] or "aspect" in want) and not _near(found.spacing, want["spacing"]):
        faults.append(f"the spacing is {found.spacing}, not {want['spacing']}")
    if found.inverted != want["inverted"]:
        faults.append(f"inverted is {found.inverted}")
    if "table" in want and found.table[: len(want["table"])] != want["table"]:
        faults.append(f"the table begins with {found.table[:5]}, not {want['table']}")
    if "first" in want and found.table_first != want["first"]:
        faults.append(f"the table's first value is {found.table_first}, not {want['first']}")
    if "bits" in want and found.table_bits != want["bits"]:
        faults.append(f"the table has {found.table_bits} bits, not {want['bits']}")
    if found.depth < want.get("depth", 0):
        faults.append(f"{found.depth} bits were kept, not {want['depth']}")
    if "aspect" in want:
        faults.append(_of_shape(found, preview, want["aspect"]))
    return [fault for fault in faults if fault]


def _near(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is None and other is None
    return bool(np.allclose(one, other, rtol=1e-6))


def _of_values(found: Container, want: dict[str, Any], values: np.ndarray) -> str:
    if found.values.shape != values.shape:
        return f"the image is {found.values.shape}, not {values.shape}"
    most = float(np.abs(found.values - values).max())
    limit = max(float(want.get("tol", 0.0)), 1e-6 * max(1.0, float(np.abs(values).max())))
    if most <= limit:
        return ""
    where = np.mean(np.abs(found.values - values) > limit)
    return f"the values are up to {most:g} from the true ones ({where:.0%} of the pixels; allowed is {limit:g})"


def _of_shape(found: Container, preview: bytes, aspect: float) -> str:
    if abs(found.aspect - aspect) > 1e-6 * aspect:
        return f"the aspect is {found.aspect:g}, not {aspect:g}"
    height, width = found.values.shape
    with Image.open(io.BytesIO(preview)) as shown:
        looks = shown.height / shown.width
    true = height * aspect / width
    return "" if abs(looks - true) < 0.03 * true else f"the preview's sides are as {looks:.3f}, not {true:.3f}"


def shows_several(data: bytes) -> bool:
    """Whether the analysis would refuse the image as one of several heads, or warn of it."""
    from mlcore.data.labels import BINARY_LEAVES
    from mlcore.images.decode import decode
    from mlcore.model.spec import ModelSpec
    from mlcore.preprocessing.preprocess import PREPROCESS_VERSION, prepare
    from mlcore.preprocessing.quality import assess

    decoded = decode(data)
    spec = ModelSpec(
        name="none",
        architecture="none",
        size=224,
        channels=1,
        leaves=BINARY_LEAVES,
        preprocess_version=PREPROCESS_VERSION,
    )
    quality = assess(decoded, prepare(decoded, spec))
    refused = quality.refusal is not None and quality.refusal.code == "several_heads"
    return refused or "several_heads" in quality.warnings


class Listing:
    """Prints, in place of pytest's own report, each file that fails and why, then how many hold."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.failed: dict[str, str] = {}

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.partition("[")[2].rstrip("]")
        if not name:
            return
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            self.failed[name] = (crash.message if crash else str(report.longrepr)).splitlines()[0]
        elif report.when == "call" and report.passed:
            self.held.append(name)

    def print(self) -> None:
        for name, why in sorted(self.failed.items()):
            print(f"{name}: {why.removeprefix('AssertionError: ').removeprefix('Failed: ')}")
        print(f"{len(self.held)} of {len(expected())} hold.")


def main() -> int:
    if not expected():
        print(f"Nothing was tried: {MISSING}.")
        return 1
    listing = Listing()
    file = str(Path(__file__).with_name("test_cases.py"))
    own_report = io.StringIO()
    with contextlib.redirect_stdout(own_report):
        code = pytest.main(["-p", "no:cacheprovider", file], plugins=[listing])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        print(own_report.getvalue())
    listing.print()
    return 0 if len(listing.held) == len(expected()) else 1


if __name__ == "__main__":
    sys.exit(main())

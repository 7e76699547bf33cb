"""What is shown is computed once for each stored value; it must be what the formula gives for each pixel."""

import numpy as np
import pytest

from mlcore.images.decode import rescaled, to_display
from mlcore.images.decoded import Decoded
from mlcore.images.percentile import of_counts

KINDS = ("uint8", "uint16", "int16")


def by_the_formula(decoded):
    """DICOM PS3.3 C.11.2.1.2 or the percentiles, pixel by pixel in float32."""
    values = rescaled(decoded)
    if decoded.centre is None:
        low, high = (float(each) for each in np.percentile(values, (0.5, 99.5)))
        if high <= low:
            low, high = float(values.min()), float(values.max())
        scaled = (values - low) / max(high - low, 1e-6)
    elif decoded.voi_function == "LINEAR_EXACT":
        scaled = (values - decoded.centre) / decoded.width + 0.5
    elif decoded.voi_function == "SIGMOID":
        scaled = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - decoded.centre) / decoded.width, -60.0, 60.0)))
    else:
        scaled = (values - (decoded.centre - 0.5)) / (decoded.width - 1.0) + 0.5
    shown = np.rint(np.clip(scaled, 0.0, 1.0) * 255.0).astype(np.uint8)
    return 255 - shown if decoded.inverted else shown


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(12))
def test_table_shows_what_the_formula_shows(kind, seed):
    rng = np.random.default_rng(seed)
    bounds = np.iinfo(kind)
    low, high = np.sort(rng.integers(bounds.min, bounds.max, 2))
    pixels = rng.integers(low, high + 1, (int(rng.integers(1, 90)), int(rng.integers(1, 90)))).astype(kind)
    window = {} if seed % 2 else {"centre": float(rng.normal(0, 9000)), "width": float(rng.uniform(2, 9000)),
                                  "voi_function": ("LINEAR", "LINEAR_EXACT", "SIGMOID")[seed % 3]}  # fmt: skip
    decoded = Decoded(pixels, slope=float(rng.choice([1.0, 0.37, -2.5, 4.1])), intercept=float(rng.choice([0, -9.5])),
                      inverted=bool(seed % 4 == 1), **window)  # fmt: skip
    assert np.array_equal(to_display(decoded), by_the_formula(decoded))
    turned = Decoded(pixels[::-1, ::2], slope=decoded.slope, inverted=True)
    assert np.array_equal(to_display(turned), by_the_formula(turned))


@pytest.mark.parametrize("kind", KINDS)
def test_image_of_one_value_is_shown_as_before(kind):
    decoded = Decoded(np.full((40, 40), 7, kind))
    assert np.array_equal(to_display(decoded), by_the_formula(decoded))


def test_large_image_is_shown_in_bands():
    pixels = np.random.default_rng(0).integers(0, 65535, (1500, 1400)).astype(np.uint16)
    assert np.array_equal(to_display(Decoded(pixels)), by_the_formula(Decoded(pixels)))


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_of_counts_are_those_of_the_whole(seed):
    rng = np.random.default_rng(seed)
    values = np.sort(rng.normal(0, 1000, 50)).astype(np.float32)
    counts = rng.integers(1, 40, 50)
    whole = np.repeat(values, counts)
    for low, high in ((0.5, 99.5), (0, 100), (3.3, 50)):
        assert of_counts(values, counts, low, high) == tuple(float(each) for each in np.percentile(whole, (low, high)))

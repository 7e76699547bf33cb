import hashlib
import time

import numpy as np
import pytest
from PIL import Image

from mlcore.data.labels import finding_of, label_from_folder
from mlcore.images.decode import decode
from mlcore.images.fingerprint import LENGTH, fingerprint, groups, twins
from tests.mlcore.phantom import DATA, head, jpeg, png


def printed(pixels: np.ndarray) -> bytes:
    return fingerprint(decode(png(pixels)))


def test_copies_are_found_and_others_are_not():
    original = head(1, tumour=True, side=200)
    border = np.pad(original, ((30, 10), (50, 5)))
    smaller = np.asarray(Image.fromarray(original).resize((120, 120)))
    prints = [
        printed(original),
        printed(original[:, ::-1].copy()),
        printed(original[::-1].copy()),
        printed(border),
        printed(smaller),
        fingerprint(decode(jpeg(original, quality=40))),
        printed(head(2, tumour=True, side=200)),
        printed(head(3, tumour=False, side=200)),
    ]
    found = groups(prints, [str(i) for i in range(8)])
    assert found[:6] == [0] * 6
    assert len({found[0], found[6], found[7]}) == 3


def test_the_same_file_is_in_one_group_whatever_it_looks_like():
    prints = [printed(head(i, tumour=False)) for i in range(3)]
    assert groups(prints, ["a", "b", "a"], threshold=0.999999) == [0, 1, 0]


def test_chains_stop_growing_by_likeness_at_the_limit():
    prints = [printed(head(1, tumour=False))] * 10
    sizes = np.bincount(groups(prints, [str(i) for i in range(10)], largest=4))
    assert sizes.max() <= 4


def test_an_empty_list_has_no_groups():
    assert groups([], []) == []


def test_lists_of_different_length_and_other_versions_are_refused():
    with pytest.raises(ValueError, match="hashes"):
        groups([b"\0" * LENGTH], [])
    with pytest.raises(ValueError, match="bytes long"):
        groups([b"\0" * 9], ["a"])


def test_six_thousand_take_seconds():
    rng = np.random.default_rng(1)
    prints = [rng.integers(0, 256, LENGTH, dtype=np.uint8).tobytes() for _ in range(6000)]
    begun = time.monotonic()
    assert len(set(groups(prints, [str(i) for i in range(6000)]))) == 6000
    assert time.monotonic() - begun < 30


def test_twins_on_real_images_never_mix_tumour_and_none():
    if not DATA.is_dir():
        pytest.skip("the shared images are not here")
    files = sorted(DATA.glob("navoneel/*/*")) + sorted(DATA.glob("nickparvar/*/*"))[::20]
    findings = [finding_of(label_from_folder(path.parent.name)) for path in files]
    contents = [path.read_bytes() for path in files]
    prints = [fingerprint(decode(data)) for data in contents]
    assert all(findings[i] == findings[j] for i, j, _ in twins(prints))
    hashes = [hashlib.sha256(data).hexdigest() for data in contents]
    assert len(set(groups(prints, hashes))) < len(files)

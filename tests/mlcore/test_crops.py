import dataclasses

import numpy as np
import pytest

from mlcore.data.dataset import read_path
from mlcore.training.crops import CropCache, load_crops


@pytest.fixture
def cache(tmp_path):
    made = CropCache.beside(tmp_path / "model", 16)
    yield made
    made.discard()
    assert list(tmp_path.iterdir()) == []


def nothing(item) -> bytes:
    raise AssertionError(f"{item.path} was read again")


def test_crops_from_the_disk_are_those_in_memory(cache, toy_items):
    kept, crops = cache.fill(toy_items)
    wanted_items, wanted = load_crops(toy_items, 16)
    assert kept == wanted_items
    assert (len(crops), crops.shape, crops.dtype) == (len(wanted), wanted.shape, wanted.dtype)
    assert np.array_equal(crops[:], wanted)
    assert np.array_equal(crops[7], wanted[7])
    assert np.array_equal(crops[3:9], wanted[3:9])
    assert crops[len(wanted) :].shape == (0, 16, 16)
    chosen = np.array([5, 1, 1, 40])
    assert np.array_equal(crops[chosen][:], wanted[chosen])
    assert np.array_equal(crops[chosen][[3, 0]][1], wanted[5])


def test_what_was_read_once_is_not_read_again(cache, toy_items, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    refused = dataclasses.replace(toy_items[0], path=str(bad), sha256="0" * 64)
    kept, crops = cache.fill([refused, *toy_items])
    again, same = cache.fill([*toy_items[::-1], refused, toy_items[0]], read=nothing)
    bad.unlink()
    assert kept == toy_items
    assert again == [*toy_items[::-1], toy_items[0]]
    assert np.array_equal(same[:-1], crops[:][::-1])


@pytest.mark.parametrize("torn", ["index", "row", "altered row", "half a line"])
def test_what_a_killed_process_left_torn_is_read_again(cache, toy_items, torn):
    _, crops = cache.fill(toy_items)
    wanted, index = crops[:], cache.path.with_name(f"{cache.path.name}.index")
    data, lines = cache.path.read_bytes(), index.read_bytes()
    if torn == "index":
        index.write_bytes(lines[: len(lines) // 2])
    elif torn == "row":
        cache.path.write_bytes(data[: 20 * 256 + 100])
    elif torn == "altered row":
        cache.path.write_bytes(data[: 20 * 256] + bytes(256) + data[21 * 256 :])
    else:
        index.write_bytes(lines[:-3])
    opened = []
    kept, again = cache.fill(toy_items, read=lambda item: opened.append(item) or read_path(item))
    assert kept == toy_items
    assert np.array_equal(again[:], wanted)
    assert 0 < len(opened) < len(toy_items)


def test_crops_of_another_side_are_not_taken(cache, toy_items):
    cache.fill(toy_items[:3])
    other = dataclasses.replace(cache, side=32)
    _, crops = other.fill(toy_items[:3])
    assert crops.shape == (3, 32, 32)

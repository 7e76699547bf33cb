"""A synthetic study is read as what it is written as."""

import numpy as np
import pytest

from mlcore.cli.main import main
from mlcore.data.synthetic_head import Lesion
from mlcore.data.synthetic_study import Wanted, write_study
from mlcore.images.decode import decode
from mlcore.images.dicom.instance import read_instance
from mlcore.images.stacks import Stack, sort_into_stacks

SMALL = {"slices": 6, "side": 64}


def stacks_of(files) -> list[Stack]:
    read = [read_instance(path) for path in files]
    assert all(each.problems == () for each in read)
    found = list[Stack]()
    for series in dict.fromkeys(each.series_uid for each in read):
        found += sort_into_stacks(each for each in read if each.series_uid == series)
    return found


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_study_is_four_whole_stacks(tmp_path, plane, enhanced):
    files = write_study(tmp_path, Wanted(**SMALL, plane=plane, enhanced=enhanced))
    assert len(files) == (4 if enhanced else 24)
    stacks = stacks_of(files)
    assert [stack.sequence for stack in stacks] == ["T1", "T1ce", "T2", "FLAIR"]
    for stack in stacks:
        assert (stack.plane, len(stack.images), stack.problems, stack.missing) == (plane, 6, (), 0)
        assert stack.between == pytest.approx(stack.images[0].instance.slice_spacing)
        assert stack.can_be_predicted
    assert len({stack.frame_of_reference for stack in stacks}) == 1
    instances = {each.instance.sop_uid: each.instance for stack in stacks for each in stack.images}
    assert len(instances) == len(files)
    assert {each.study_uid for each in instances.values()} == {stacks[0].images[0].instance.study_uid}


def test_a_localizer_is_three_stacks_that_are_not_predicted(tmp_path):
    stacks = stacks_of(write_study(tmp_path, Wanted(**SMALL, series=1, localizer=True)))
    assert [(stack.kind, stack.plane, len(stack.images)) for stack in stacks[:3]] == [
        ("localizer", plane, 3) for plane in ("axial", "coronal", "sagittal")
    ]
    assert [stack.can_be_predicted for stack in stacks] == [False, False, False, True]


def test_the_same_seed_gives_the_same_bytes_and_another_others(tmp_path):
    first, again, other = (
        write_study(tmp_path / name, Wanted(**SMALL, series=1, seed=seed, enhanced=True))[0].read_bytes()
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert first == again != other


def test_a_lesion_is_bright_at_its_rim_where_it_was_put(tmp_path):
    lesion = Lesion(30.0, -10.0, 20.0, 12.0)
    wanted = Wanted(slices=40, side=64, series=2, lesion_at=lesion)
    with_lesion = write_study(tmp_path / "a", wanted)
    without = write_study(tmp_path / "b", Wanted(slices=40, side=64, series=2))
    _, enhanced = stacks_of(with_lesion)
    lines = [abs(each.frame.along - lesion.z) for each in enhanced.images]
    middle = int(np.argmin(lines))
    pixels, plain = (decode(files[40 + middle].read_bytes()).pixels.astype(int) for files in (with_lesion, without))
    corner, spacing = enhanced.images[middle].frame.position, enhanced.spacing
    rows, columns = np.mgrid[0:64, 0:64]
    x, y = corner[0] + columns * spacing[1], corner[1] + rows * spacing[0]
    far = np.hypot(x - lesion.x, y - lesion.y)
    rim = (far > 8) & (far < 11)
    assert pixels[rim].mean() > 1900
    assert (pixels - plain)[rim].mean() > 600
    assert np.array_equal(pixels[far > 25], plain[far > 25])


def test_the_command_writes_a_study(tmp_path, capsys):
    asked = ["synthetic-study", str(tmp_path / "out"), "--series", "2", "--slices", "3", "--side", "32", "--lesion"]
    assert main(asked) == 0
    assert "6 files" in capsys.readouterr().out
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 6
    assert main([*asked[:2], "--slices", "0"]) == 2

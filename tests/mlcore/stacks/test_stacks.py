"""The images of a series, in whatever order they come, become the same stacks."""

import dataclasses
import math
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.images.dicom.groups import Frame
from mlcore.images.dicom.instance import Instance
from mlcore.images.stacks import Stack, sort_into_stacks

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def image(
    number: int | None, z: float | None = None, *, cosines=AXIAL, uid: str | None = "", rows=64, **frame
) -> Instance:
    """An axial image at z mm; the number makes its UID."""
    position = None if z is None else tuple(z * each for each in normal(cosines))
    return Instance(
        series_uid="1.2",
        sop_uid=f"1.2.3.{number}" if uid == "" else uid,
        instance_number=number,
        rows=rows,
        columns=64,
        kind="image",
        not_predicted="",
        sequence="T1",
        frames=(Frame(0, position=position, cosines=cosines, **frame),),
    )


def normal(cosines):
    return {AXIAL: (0.0, 0.0, 1.0), CORONAL: (0.0, 1.0, 0.0), SAGITTAL: (-1.0, 0.0, 0.0)}.get(cosines, (0.0, 0.0, 1.0))


def numbers(stack: Stack) -> list[int | None]:
    return [each.instance.instance_number for each in stack.images]


def problems(stack: Stack) -> list[tuple[str, dict]]:
    return [(each.code, each.named) for each in stack.problems]


def one(images: list[Instance]) -> Stack:
    (stack,) = sort_into_stacks(images)
    return stack


def test_the_place_decides_and_not_the_number():
    stack = one([image(number, z) for number, z in [(1, 10.0), (2, 0.0), (3, 5.0)]])
    assert numbers(stack) == [2, 3, 1]
    assert (stack.between, stack.missing, stack.problems, stack.plane) == (5.0, 0, (), "axial")
    assert (stack.sequence, stack.rows, stack.can_be_predicted) == ("T1", 64, True)


def test_a_gap_says_where_and_how_many_are_missing():
    stack = one([image(k, 5.0 * k) for k in range(20) if k not in (4, 5, 11)])
    assert problems(stack) == [
        ("gap", {"after": 3, "begin": 15.0, "end": 30.0, "missing": 2}),
        ("gap", {"after": 8, "begin": 50.0, "end": 60.0, "missing": 1}),
    ]
    assert (stack.missing, stack.between) == (3, 5.0)


def test_a_distance_of_one_and_a_half_is_no_gap():
    places = [0.0, 5.0, 10.0, 17.5, 22.5]
    assert one([image(k, z) for k, z in enumerate(places)]).problems == ()
    assert one([image(k, z) for k, z in enumerate([*places[:3], 17.6, 22.6])]).missing == 1


def test_two_images_at_one_place_are_named():
    stack = one([image(1, 0.0), image(2, 5.0), image(3, 5.0), image(4, 10.0), image(5, 10.001)])
    assert problems(stack) == [("same_position", {"positions": 2, "images": 4, "first": 5.0, "at": 1})]
    assert stack.missing == 0


def test_the_same_object_again_is_one_and_another_of_its_uid_a_problem():
    twice = [image(1, 0.0), image(1, 0.0), image(2, 5.0)]
    assert one(twice).problems == ()
    other = dataclasses.replace(twice[0], series_description="other")
    assert problems(one([*twice, other])) == [("same_uid", {"objects": 1})]
    assert len(one([*twice, other]).images) == 2


@pytest.mark.parametrize(
    ("attribute", "values", "code"),
    [
        ("echo", (20.0, 80.0), "several_echoes"),
        ("b_value", (0.0, 1000.0), "several_b_values"),
        ("time_point", (1, 2), "several_time_points"),
        ("component", ("magnitude", "phase"), "several_components"),
        ("acquisition", (1, 2), "several_acquisitions"),
        ("direction", ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), "several_directions"),
        ("echo_number", (1, 2), "several_echo_numbers"),
    ],
)
def test_what_tells_images_of_one_place_apart_parts_them(attribute, values, code):
    images = [image(10 * k + which, 5.0 * k, **{attribute: values[which]}) for which in (0, 1) for k in range(4)]
    stacks = sort_into_stacks(images)
    assert [numbers(stack) for stack in stacks] == [[0, 10, 20, 30], [1, 11, 21, 31]]
    for stack, value in zip(stacks, values, strict=True):
        this = {} if attribute == "direction" else {"this": value}
        assert problems(stack) == [(code, {"of": 2, **this})]


def test_acquisitions_that_interleave_are_one_stack():
    stack = one([image(k, 5.0 * k, acquisition=k % 2) for k in range(6)])
    assert (numbers(stack), stack.problems) == ([0, 1, 2, 3, 4, 5], ())


def test_a_localizer_of_three_planes_is_three_stacks():
    images = [
        image(10 * which + k, 5.0 * k, cosines=way)
        for which, way in enumerate((AXIAL, SAGITTAL, CORONAL))
        for k in range(3)
    ]
    stacks = sort_into_stacks(images)
    assert [stack.plane for stack in stacks] == ["axial", "sagittal", "coronal"]
    assert [len(stack.images) for stack in stacks] == [3, 3, 3]
    assert problems(stacks[1]) == [("several_orientations", {"of": 3, "this": "sagittal"})]


def test_directions_within_a_degree_are_one():
    near = (1.0, 0.0, 0.0, 0.0, 0.99995, 0.01)  # 0.57 degrees
    far = (1.0, 0.0, 0.0, 0.0, 0.9994, 0.0349)  # 2 degrees
    assert len(sort_into_stacks([image(1, 0.0), image(2, 5.0, cosines=near)])) == 1
    assert len(sort_into_stacks([image(1, 0.0), image(2, 5.0, cosines=far)])) == 2


def test_thousands_of_directions_are_parted_in_time():
    """A hostile file may give each of its frames a direction of its own."""
    rng = random.Random(1)
    turns = [(rng.uniform(-3, 3), rng.uniform(-1.5, 1.5)) for _ in range(4000)]
    rows = [(math.cos(b) * math.cos(a), math.cos(b) * math.sin(a), math.sin(b)) for a, b in turns]
    columns = [(-math.sin(a), math.cos(a), 0.0) for a, _ in turns]
    tilted = tuple(
        Frame(k, cosines=(*row, *column)) for k, (row, column) in enumerate(zip(rows, columns, strict=True))
    )
    begin = time.process_time()
    stacks = sort_into_stacks([dataclasses.replace(image(1), frames=tilted)])
    assert time.process_time() - begin < 10
    assert 1000 < len(stacks) < 4000


def test_mixed_sizes_are_parted():
    stacks = sort_into_stacks([image(1, 0.0), image(2, 5.0), image(3, 0.0, rows=128)])
    assert [stack.rows for stack in stacks] == [64, 128]
    assert problems(stacks[1]) == [("mixed_sizes", {"of": 2, "this": "64x128"})]


def test_an_image_without_a_place_stands_behind_the_others():
    stack = one([image(1), image(2, 5.0), image(3, 0.0)])
    assert numbers(stack) == [3, 2, 1]
    assert problems(stack) == [("position_missing", {"images": 1})]


def test_without_any_geometry_the_number_orders():
    stack = one([image(number, cosines=None) for number in (7, 2, 3, 4)])
    assert numbers(stack) == [2, 3, 4, 7]
    assert problems(stack) == [
        ("no_geometry", {"images": 4}),
        ("number_gap", {"after": 2, "number": 4, "missing": 2}),
    ]
    assert stack.missing == 2
    nothing = one([image(None, cosines=None, uid=f"1.9.{k}") for k in range(3)])
    assert problems(nothing) == [("no_geometry", {"images": 3}), ("no_order", {"images": 3})]


def test_the_frames_of_one_file_are_sorted_by_place():
    frames = tuple(Frame(k, position=(0.0, 0.0, z), cosines=AXIAL) for k, z in enumerate((9.0, 3.0, 6.0)))
    stack = one([dataclasses.replace(image(1), frames=frames)])
    assert [each.frame.index for each in stack.images] == [1, 2, 0]
    nowhere = tuple(Frame(k) for k in range(3))
    stack = one([dataclasses.replace(image(1), frames=nowhere)])
    assert [each.frame.index for each in stack.images] == [0, 1, 2]
    assert problems(stack) == [("no_geometry", {"images": 3})]


def test_what_has_no_pixels_is_no_stack_and_two_series_are_no_series():
    assert sort_into_stacks([Instance(series_uid="1.2", sop_uid="1.3")]) == []
    assert sort_into_stacks([]) == []
    with pytest.raises(ValueError, match="several series"):
        sort_into_stacks([image(1, 0.0), dataclasses.replace(image(2, 5.0), series_uid="1.4")])


maybe = st.one_of(st.none(), st.integers(0, 3))
frames = st.builds(
    Frame,
    index=st.integers(0, 3),
    position=st.one_of(st.none(), st.tuples(*[st.sampled_from([0.0, 0.001, 5.0, -7.5, 1e6])] * 3)),
    cosines=st.one_of(st.none(), st.sampled_from([AXIAL, CORONAL, SAGITTAL, (1.0, 0.0, 0.0, 0.0, 0.99985, 0.0174)])),
    spacing=st.one_of(st.none(), st.just((0.5, 0.5))),
    echo=st.one_of(st.none(), st.sampled_from([20.0, 80.0])),
    echo_number=maybe,
    b_value=st.one_of(st.none(), st.sampled_from([0.0, 1000.0])),
    time_point=maybe,
    acquisition=maybe,
    direction=st.one_of(st.none(), st.just((1.0, 0.0, 0.0))),
    component=st.sampled_from(["", "phase"]),
)
instances = st.builds(
    Instance,
    series_uid=st.just("1.2"),
    sop_uid=st.one_of(st.none(), st.integers(0, 20).map(lambda each: f"1.2.{each}")),
    instance_number=maybe,
    rows=st.sampled_from([32, 64]),
    kind=st.sampled_from(["image", "localizer"]),
    frames=st.lists(frames, max_size=3).map(tuple),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(instances, max_size=15), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_stacks(some: list[Instance], chance: random.Random):
    expected = sort_into_stacks(some)
    some = some + [each for each in some if each.sop_uid is not None]  # those came twice
    chance.shuffle(some)
    assert sort_into_stacks(some) == expected


@settings(deadline=None, max_examples=200)
@given(st.lists(instances, max_size=15))
def test_every_image_is_in_exactly_one_stack(some: list[Instance]):
    stacks = sort_into_stacks(some)
    counted = sum(len(stack.images) for stack in stacks)
    first_of = {}
    for each in sorted(some, key=repr):
        first_of.setdefault(each.sop_uid or id(each), each)
    assert counted == sum(len(each.frames) for each in first_of.values())
    for stack in stacks:
        told = [each.frame.along for each in stack.images if each.frame.along is not None]
        if len({each.frame.cosines for each in stack.images}) == 1:
            assert told == sorted(told)

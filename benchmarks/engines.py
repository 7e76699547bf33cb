"""Both engines beside `model.predict` and the bare interpreter: a call, a second of processor, start and memory."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks import starts
from benchmarks.interleaved import Ratio, compare, seconds
from benchmarks.world import World
from mlcore.images.decode import decode
from mlcore.networks import artifact
from mlcore.networks.engine import LiteRt
from mlcore.preprocessing.preprocess import prepare
from mlcore.serving.predict import Predictor

BATCH = 32
# Fewer than elsewhere: `model.predict` and a start with TensorFlow take seconds.
ROUNDS = 5
# What the bare interpreter is given at once; the engine takes the same number.
_AT_ONCE = 16
_OPINION = """
from pathlib import Path
from mlcore.serving.predict import Predictor
predictor = Predictor.load(Path({folder!r}), threads=1, engine={engine!r})
assert predictor.engine == {engine!r}
said = predictor.predict([Path({image!r}).read_bytes()])
assert said[0].label
"""
_KERAS = """
from pathlib import Path
from mlcore.networks import artifact
from mlcore.images.decode import decode
from mlcore.preprocessing.preprocess import prepare
model, spec = artifact.load(Path({folder!r}))
tensor = prepare(decode(Path({image!r}).read_bytes()), spec).tensor
assert model.predict(tensor[None], verbose=0)["logits"].shape[0] == 1
"""


def ratios(world: World) -> Iterator[Ratio]:
    """Ratios 3, 5 and 16."""
    litert, tensorflow = (Predictor.load(world.model, threads=1, engine=name) for name in ("litert", "tensorflow"))
    if litert.engine != "litert":
        raise RuntimeError("LiteRT does not run here; there is nothing to compare.")
    some = (world.images * BATCH)[:BATCH]
    tensors = np.stack([prepare(decode(data), litert.spec).tensor for data in some])
    yield from calls(world.model, litert, tensorflow, tensors)
    yield from processor(world.model, litert, tensorflow, tensors)
    image = world.model.parent / "image"
    image.write_bytes(world.images[0])
    yield from beginnings(world.model, image)


def calls(folder: Path, litert: Predictor, tensorflow: Predictor, tensors: np.ndarray) -> Iterator[Ratio]:
    """How long a caller waits, by the clock."""
    one, model = tensors[:1], artifact.load(folder)[0]
    bare = bare_loop(folder, tensors[:1], 1)

    def keras() -> float:
        return repeated(lambda: model.predict(one, verbose=0), 5)

    for number, predictor, goal in (("3a", litert, 40.0), ("3c", tensorflow, 1.0)):
        yield compare(
            number,
            f"production call, one image ({predictor.engine}) ↔ `model.predict`",
            at_least=goal,
            ours=lambda predictor=predictor: repeated(lambda: predictor.logits(one), 50),  # type: ignore[misc]
            theirs=keras,
            unit="ms an image",
            rounds=ROUNDS,
        )
    yield compare(
        "3b",
        "production call, one image (litert) ↔ the bare LiteRT interpreter",
        at_least=0.9,
        ours=lambda: repeated(lambda: litert.logits(one), 200),
        theirs=lambda: repeated(bare, 200),
        unit="ms an image",
    )
    yield compare(
        "5a",
        f"LiteRT ↔ TensorFlow's compiled forward, {BATCH} images at once, one thread",
        at_least=1.25,
        ours=lambda: repeated(lambda: litert.logits(tensors), 5) / BATCH,
        theirs=lambda: repeated(lambda: tensorflow.logits(tensors), 5) / BATCH,
        unit="ms an image",
    )


def processor(folder: Path, litert: Predictor, tensorflow: Predictor, tensors: np.ndarray) -> Iterator[Ratio]:
    """Images a second of processor time, which other work on the machine changes less than the clock."""
    model, one = artifact.load(folder)[0], tensors[:1]
    some = tensors[:_AT_ONCE]
    loop = bare_loop(folder, some, _AT_ONCE)
    acts: dict[str, tuple[Callable[[], object], int, int]] = {
        "litert": (lambda: litert.logits(tensors), len(tensors), 5),
        "tensorflow": (lambda: tensorflow.logits(tensors), len(tensors), 5),
        "bare": (loop, _AT_ONCE, 10),
        "predict": (lambda: model.predict(one, verbose=0), 1, 5),
    }

    def cost(name: str) -> Callable[[], float]:
        act, images, times = acts[name]
        return lambda: repeated(act, times, processor_seconds) / images

    words = {
        "litert": f"LiteRT, {BATCH} at once",
        "tensorflow": f"TensorFlow, {BATCH} at once",
        "bare": f"the bare LiteRT interpreter in a loop, {_AT_ONCE} at once",
        "predict": "`model.predict`, one at a time",
    }
    for number, ours, theirs, goal in (
        ("5b", "litert", "tensorflow", 1.25),
        ("5c", "litert", "bare", 0.9),
        ("5d", "litert", "predict", 40.0),
        ("5e", "tensorflow", "predict", 1.0),
    ):
        yield compare(
            number,
            f"{words[ours]} ↔ {words[theirs]}",
            at_least=goal,
            ours=cost(ours),
            theirs=cost(theirs),
            unit="images a second of processor",
            rate=True,
            rounds=ROUNDS,
        )


def beginnings(folder: Path, image: Path) -> Iterator[Ratio]:
    """From nothing to the first opinion: seconds and megabytes of a process."""
    code = {
        name: _OPINION.format(folder=str(folder), image=str(image), engine=name) for name in ("litert", "tensorflow")
    }
    code["`model.predict`"] = _KERAS.format(folder=str(folder), image=str(image))
    for letters, ours, theirs, start, memory in (
        ("cd", "litert", "tensorflow", 0.25, 0.35),
        ("ef", "tensorflow", "`model.predict`", 1.25, 1.25),
    ):
        yield from starts.both(
            letters,
            "a process to its first opinion",
            (f"by {ours}", code[ours]),
            (f"by {theirs}", code[theirs]),
            goals=(start, memory),
        )


def bare_loop(folder: Path, tensors: np.ndarray, count: int) -> Callable[[], None]:
    """The interpreter alone: set the images, run, read what it gives."""
    served = artifact.load_servable(folder)
    if served is None:
        raise RuntimeError("The model holds no engine.")
    bare = LiteRt(served.engine.content, 1)._interpreter(count)
    told = bare.get_input_details()[0]["index"]
    outputs = [each["index"] for each in bare.get_output_details()]

    def invoke() -> None:
        bare.set_tensor(told, tensors)
        bare.invoke()
        for index in outputs:
            bare.get_tensor(index)

    return invoke


def processor_seconds(act: Callable[[], object]) -> float:
    """What one call takes of the processor, in seconds, all threads of the process together."""
    began = time.process_time()
    act()
    return time.process_time() - began


def repeated(act: Callable[[], object], times: int, clock: Callable[[Callable[[], object]], float] = seconds) -> float:
    """Seconds of one call, over many."""
    return clock(lambda: [act() for _ in range(times)]) / times

"""The pool of decoding processes: its answers are those of the decoder, its limits hold, nothing brings it down."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mlcore.images import viewer_file
from mlcore.images.decode import decode
from mlcore.images.decoded import Decoded, GreyTable, Refused
from mlcore.images.decoding import wire
from mlcore.images.decoding.pool import DecodingPool, DecodingUnavailable
from mlcore.images.decoding.process import Ended, Limits
from mlcore.images.fingerprint import fingerprint
from tests.hostile import bombs
from tests.mlcore.phantom import head, jpeg, png

ROOT = Path(__file__).resolve().parents[2]
PICTURE = png(head(1, tumour=True, side=200))
SLOW = bombs.dicom_of_a_million_elements
FILES = {
    "png": PICTURE,
    "jpeg": jpeg(head(2, tumour=False, side=100)),
    "dicom": bombs.dicom(WindowCenter=["300", "400"], WindowWidth=["200", "500"], PixelSpacing=["0.5", "0.7"],
                         StudyDate="20200102", RescaleSlope="2", RescaleIntercept="-3"),
}  # fmt: skip


@pytest.fixture
def pool():
    made = DecodingPool(Limits(wall_seconds=20), most=3)
    yield made
    made.close()


def server(pool: DecodingPool) -> int:
    return pool._process.pid


def children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def until(happened, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.mark.parametrize("name", FILES)
def test_answers_are_those_of_the_decoder(pool, name):
    data = FILES[name]
    here, there = decode(data), pool.decode(data)
    for field in vars(here):
        mine, theirs = getattr(here, field), getattr(there, field)
        assert np.array_equal(mine, theirs) if field == "pixels" else mine == theirs, field
    taken = pool.take(data)
    assert taken["pixels"] == viewer_file.container(here) and taken["preview"] == viewer_file.preview(here)
    assert taken["fingerprint"] == fingerprint(here) and taken["study_date"] == here.study_date
    assert np.array_equal(pool.show(data, 90), viewer_file.displayed(here, 90))


def test_every_kind_of_value_crosses_the_border():
    table = GreyTable(first=-3, bits=12, values=np.arange(9, dtype="<u2"))
    one = Decoded(np.ones((2, 3), np.int16), grey_table=table, presets=(("Window 1", 1.5, 2.0),), meta={"a": "b"})
    pieces = []
    packed = wire.pack({"of": one, "bytes": b"xy", "none": None, "numbers": (1, 2.5, True)}, pieces)
    back = wire.unpack(packed, [bytes(piece) for piece in pieces])
    assert back["bytes"] == b"xy" and back["none"] is None and back["numbers"] == (1, 2.5, True)
    assert np.array_equal(back["of"].pixels, one.pixels) and np.array_equal(back["of"].grey_table.values, table.values)
    assert (back["of"].presets, back["of"].meta) == (one.presets, one.meta)


@pytest.mark.parametrize(
    "told",
    [{"$array": 0, "dtype": "|O8", "shape": [1]}, {"$array": 0, "dtype": "<u2", "shape": [-1]}, {"$bytes": 7},
     {"a": 1}, {"$array": 0, "dtype": "<u2", "shape": [9, 9]}, {"$kind": "Refused", "fields": {}}, {"$date": "never"},
     {"$kind": "Decoded", "fields": {"unknown": 1}}],
)  # fmt: skip
def test_what_is_no_answer_is_not_believed(told):
    with pytest.raises(wire.Broken):
        wire.unpack(told, [b"ab"])


def test_refusal_comes_back_with_code_and_sentence(pool):
    with pytest.raises(Refused) as refused:
        pool.take(b"hello")
    assert refused.value.code == "not_an_image" and not isinstance(refused.value, Ended)


def test_file_that_needs_too_much_memory_is_refused_and_the_next_is_read(pool):
    small = DecodingPool(Limits(memory_mb=16))
    try:
        with pytest.raises(Ended) as ended:
            small.take(png(np.zeros((3000, 3000, 3), np.uint8)))
        assert (ended.value.code, ended.value.cause) == ("too_much_memory", "memory")
        assert small.take(PICTURE)["width"] == 200
    finally:
        small.close()


def test_file_that_takes_too_long_is_refused_at_its_limit_and_the_next_is_read():
    quick = DecodingPool(Limits(cpu_seconds=0.4))
    try:
        with pytest.raises(Ended) as ended:
            quick.take(SLOW())
        assert (ended.value.code, ended.value.cause) == ("too_slow", "time")
        assert ended.value.used.cpu_seconds < 0.8
        assert quick.take(PICTURE)["width"] == 200
    finally:
        quick.close()


def test_decoder_that_stands_still_is_killed_when_its_time_is_up():
    short = DecodingPool(Limits(wall_seconds=1))
    try:
        short.take(PICTURE)
        (decoder,) = children(server(short))
        os.kill(decoder, signal.SIGSTOP)
        with pytest.raises(Ended) as ended:
            short.take(PICTURE)
        assert ended.value.code == "too_slow"
        until(lambda: gone(decoder))
        assert short.take(PICTURE)["width"] == 200
    finally:
        short.close()


@pytest.mark.parametrize(("by", "code"), [(signal.SIGSEGV, "damaged"), (signal.SIGKILL, "too_much_memory")])
def test_decoder_that_dies_over_a_file_takes_no_other_with_it(pool, by, code):
    with ThreadPoolExecutor(3) as threads:
        slow = threads.submit(pool.take, SLOW())
        until(lambda: pool._process is not None and pool._ready and children(server(pool)))
        (victim,) = children(server(pool))
        time.sleep(0.2)
        others = [threads.submit(pool.take, PICTURE) for _ in range(10)]
        os.kill(victim, by)
        with pytest.raises(Ended) as ended:
            slow.result()
        assert ended.value.code == code
        assert [other.result()["width"] for other in others] == [200] * 10


def test_one_slow_file_holds_up_nobody(pool):
    pool.take(PICTURE)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(pool.take, SLOW())
        until(lambda: pool._busy == 1)
        begun, done = time.monotonic(), 0
        while not slow.done() and done < 20:
            pool.take(PICTURE)
            done += 1
        assert done == 20, f"{done} files in {time.monotonic() - begun:.1f} s"
        with pytest.raises(Ended):
            slow.result()


def test_slow_file_steps_behind_the_others(pool):
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(pool.take, SLOW())
        until(lambda: pool._ready and children(server(pool)))
        (decoder,) = children(server(pool))
        began = os.getpriority(os.PRIO_PROCESS, server(pool))
        until(lambda: os.getpriority(os.PRIO_PROCESS, decoder) > began)
        with pytest.raises(Ended):
            slow.result()


def test_process_is_kept_for_the_next_file_and_replaced_after_so_many():
    some = DecodingPool(Limits(files=3))
    try:
        seen = []
        for _ in range(6):
            some.take(PICTURE)
            seen.append(children(server(some)))
        assert seen[0] == seen[1] and seen[0] != seen[3] and seen[3] == seen[4]
    finally:
        some.close()


def test_many_threads_are_served_by_so_many_processes_and_no_more(pool):
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: pool.take(PICTURE)["preview"], range(80)))
    assert len(set(taken)) == 1 and len(children(server(pool))) <= 3


def test_file_for_which_no_process_comes_free_is_answered_in_time():
    one = DecodingPool(Limits(wall_seconds=1.0, cpu_seconds=5), most=1)
    try:
        held = one._borrowed()
        with pytest.raises(DecodingUnavailable):
            one.take(PICTURE)
        one._give_back(held, kept=True)
        assert one.take(PICTURE)["width"] == 200
    finally:
        one.close()


def test_server_that_was_killed_is_started_again(pool):
    pool.take(PICTURE)
    os.kill(server(pool), signal.SIGKILL)
    assert pool.take(PICTURE)["width"] == 200


@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/false"])
def test_without_processes_nothing_is_decoded(pool, program, monkeypatch):
    monkeypatch.setattr(sys, "executable", program)
    monkeypatch.setattr("mlcore.images.decode.decode", lambda data: pytest.fail("decoded here"))
    with pytest.raises(DecodingUnavailable):
        pool.take(PICTURE)
    monkeypatch.undo()
    assert pool.take(PICTURE)["width"] == 200


def test_processes_know_no_secret_and_no_terminal(pool, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "not for you")
    monkeypatch.setenv("DATABASE_URL", "postgres://not-for-you")
    pool.take(PICTURE)
    for process in (server(pool), *children(server(pool))):
        known = Path(f"/proc/{process}/environ").read_bytes()
        assert b"not for you" not in known and b"not-for-you" not in known
    (decoder,) = children(server(pool))
    assert {str(Path(f"/proc/{decoder}/fd/{number}").readlink()) for number in range(3)} == {"/dev/null"}
    limits = Path(f"/proc/{decoder}/limits").read_text()
    assert "Max file size             0" in limits and "Max core file size        0" in limits


ASKS = """
import os, signal, sys, time
from mlcore.images.decoding.pool import DecodingPool
from tests.mlcore.phantom import head, png
pool = DecodingPool()
PICTURE = png(head(1, tumour=True, side=200))
pool.take(PICTURE)
"""


def running(code: str, **more: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-W", "error", "-c", ASKS + code], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)  # fmt: skip


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_outlives_whoever_asked(by):
    # Whoever runs the tests in the background has them ignore SIGINT, and their children inherit that.
    heeding = "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    process = running(f"{heeding}print(pool._process.pid, flush=True)\ntime.sleep(60)", start_new_session=True)
    try:
        number = int(process.stdout.readline())
        mine = [number, *children(number)]
        assert len(mine) == 2
        if by == signal.SIGINT:
            os.killpg(process.pid, by)  # as Ctrl-C at a terminal reaches all
        else:
            os.kill(process.pid, by)
        process.wait(10)
        until(lambda: all(gone(each) for each in mine), 5)
    finally:
        process.communicate()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_forked_child_has_processes_of_its_own_and_leaves_its_parents_alone():
    process = running(
        "before = pool._process.pid\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    assert pool.take(PICTURE)['width'] == 200 and pool._process.pid != before\n"
        "    pool.close()\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert pool.take(PICTURE)['width'] == 200 and pool._process.pid == before\n"
        "print('well')"
    )
    out, err = process.communicate(timeout=60)
    assert out.strip() == "well" and "Traceback" not in err and "ResourceWarning" not in err, err


def test_asking_process_loads_no_decoder():
    code = (
        "import sys\nfrom mlcore.images.decoding.pool import DecodingPool\npool = DecodingPool()\n"
        f"print(pool.take(open({str(ROOT / 'tests/mlcore/golden/grey.png')!r}, 'rb').read())['width'])\n"
        "print(sorted(m for m in ('cv2', 'pydicom', 'PIL.Image', 'tensorflow', 'mlcore.images.decode', "
        "'mlcore.images.viewer_file')"
        " if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def test_closing_ends_every_process(pool):
    pool.take(PICTURE)
    mine = [server(pool), *children(server(pool))]
    pool.close()
    until(lambda: all(gone(each) for each in mine), 5)
    assert threading.active_count() < 20

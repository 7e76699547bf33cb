"""No file costs more than a scan may: each bomb goes the whole way in and is refused, or stored like any other."""

import contextlib
from pathlib import Path

import pytest

from diagnostics import pipeline
from diagnostics.models import AuditEvent, Scan
from diagnostics.scans import decoding
from diagnostics.scans.access import Role
from diagnostics.scans.intake import FileRefused
from mlcore.images.decoding.pool import DecodingPool
from mlcore.images.decoding.process import Limits
from tests.factories import InstitutionFactory, person, phantom
from tests.hostile.bombs import BOMBS, SEED

# What the audit keeps of a file that was ended.
KEPT = {"code", "sha256", "size_bytes"}
MOST_CPU, MOST_MB = 2.0, 300.0


@pytest.fixture
def one_file_a_process(monkeypatch):
    """The real limits, but each process ends after its file: then the kernel tells what that file took."""
    limits = Limits(**{**vars(decoding.pool().limits), "files": 1})
    made = DecodingPool(limits, most=2)
    monkeypatch.setattr(decoding, "pool", lambda: made)
    made.decode(phantom())
    yield made
    made.close()


@contextlib.contextmanager
def own_growth():
    """How many MB this process, which stands for the web process, grows by at most."""
    Path("/proc/self/clear_refs").write_text("5")
    before, grown = _kilobytes("VmRSS"), []
    yield grown
    grown.append((_kilobytes("VmHWM") - before) / 1024)


def _kilobytes(name: str) -> int:
    return next(
        int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)
    )


@pytest.mark.django_db
def test_no_bomb_costs_more_than_a_scan_may(one_file_a_process, capsys):
    institution = InstitutionFactory()
    by = person(Role.TECHNOLOGIST, institution)
    lines, dear = [], []
    for name, make in BOMBS.items():
        data = make()
        one_file_a_process.last = None
        with own_growth() as grown:
            try:
                done = pipeline.submit_scan(by=by, institution=institution, data=data, patient="P-0001")
                outcome = f"stored {done.scan.width} x {done.scan.height}"
            except FileRefused as refused:
                outcome = refused.code
                assert refused.sentence and "\n" not in refused.sentence
                assert Scan.objects.filter(size_bytes=len(data)).count() == 0
        used = one_file_a_process.last
        assert used is not None and used.status is not None, name
        memory = used.memory_mb + grown[0]
        lines.append(f"{name:52} {len(data) / 1024:8.0f} KB {used.cpu_seconds:6.2f} s {memory:5.0f} MB  {outcome}")
        if used.cpu_seconds > MOST_CPU or memory > MOST_MB:
            dear.append(lines[-1])
    with capsys.disabled():
        print(f"\n{len(BOMBS)} bombs, seed {SEED}: processor time and most memory, of the decoder and here together")
        print("\n".join(lines))
    assert len(BOMBS) >= 25
    assert dear == []
    # Whatever had to be ended, instead of refused from what it says of itself, is an event.
    ended = AuditEvent.objects.filter(act="file_ended")
    assert ended.count() == one_file_a_process.ended and all(set(event.detail) == KEPT for event in ended)

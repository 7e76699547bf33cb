"""Kill -9 of a training while it reads, learns and measures: the same command then ends in the very same model."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlcore.data.dataset import write_manifest
from mlcore.networks import artifact
from tests.mlcore.phantom import items

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]
ROOT = Path(__file__).resolve().parents[2]
WAIT = 300  # seconds


def command(manifest: Path, out: Path) -> list[str]:
    settings = "--architecture seed_cnn --size 32 --epochs 3 --batch-size 16 --augment light --threads 1"
    return [sys.executable, "-u", *f"-m mlcore train {manifest} --out {out} {settings}".split(" ")]


def killed_when(said: str, call: list[str]) -> None:
    """Start a training and kill it, hard, at the first line of its progress that has these words."""
    with subprocess.Popen(call, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if said in line:
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait(WAIT) == -signal.SIGKILL, f"it ended before it said {said!r}"


def test_training_killed_at_every_stage_ends_in_the_same_model(tmp_path):
    (tmp_path / "images").mkdir()
    manifest = tmp_path / "manifest.jsonl"
    write_manifest(items(tmp_path / "images", 300), manifest)
    whole, torn = tmp_path / "whole" / "model", tmp_path / "torn" / "model"
    subprocess.run(command(manifest, whole), cwd=ROOT, check=True, timeout=WAIT)
    call = command(manifest, torn)
    for said in ("checking the data", "epoch 1", "epoch 2", "intervals for the validation", "for serving"):
        killed_when(said, call)
        assert not torn.exists()
    subprocess.run(call, cwd=ROOT, check=True, timeout=WAIT)
    assert artifact.sha256_of(torn) == artifact.sha256_of(whole)
    assert [path.name for path in torn.parent.iterdir()] == ["model"]

"""What share of pictures that are no MRI of a head is refused or flagged, by kind; and what share of real scans.

    python -m benchmarks.ood [MODEL] [--data ../shared/data] [--pictures FOLDER] [--out docs/strangers.md]

The pictures are made on the spot from scikit-learn's two photographs and handwritten digits, from the files that
pydicom brings for its own tests, and by drawing; with `--pictures` also from any folder, whole, cut at random, and
grey in an oval; the folder may hold pictures, or wheels of Python packages with pictures inside. Photographs and
drawings come from few sources, so the figures say that nothing common slips through, not that nothing can. None of
them is among the drawn pictures that a model learns strangers from.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.ood_samples import of_folder, phantoms, strangers
from mlcore.images.decode import decode
from mlcore.images.decoded import Refused
from mlcore.measure.agreement import share
from mlcore.measure.metrics import group_weights
from mlcore.preprocessing.quality import MOST_COLOUR
from mlcore.serving.predict import OUT_OF_DISTRIBUTION, Predictor

BUNDLED = Path(__file__).resolve().parents[1] / "mlcore" / "bundled_model"


def judged(predictor: Predictor, files: list[bytes]) -> Counter[str]:
    """Count what became of each file: refused or flagged and why, `low_quality` alone, or `accepted`."""
    verdicts: Counter[str] = Counter()
    for start in range(0, len(files), 64):
        some = files[start : start + 64]
        for data, said in zip(some, predictor.predict(some), strict=True):
            if isinstance(said, Refused):
                verdicts[f"refused: {said.code}"] += 1
            elif OUT_OF_DISTRIBUTION in said.warnings:
                coloured = decode(data).colour > MOST_COLOUR
                verdicts["flagged: coloured" if coloured else "flagged: unlike the training"] += 1
            elif "low_quality" in said.warnings:
                verdicts["low_quality alone"] += 1
            else:
                verdicts["accepted"] += 1
    return verdicts


def _caught(verdicts: Counter[str]) -> float:
    missed = verdicts["accepted"] + verdicts["low_quality alone"]
    return 1.0 - missed / max(sum(verdicts.values()), 1)


def main() -> None:
    """Measure and print."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("model", type=Path, nargs="?", default=BUNDLED)
    ask.add_argument("--data", type=Path, help="folder of class folders: its test part is judged beside")
    ask.add_argument("--pictures", type=Path, help="folder of pictures that are no scans of heads, judged too")
    ask.add_argument("--count", type=int, default=100, help="pictures of each kind")
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--out", type=Path, help="markdown file to write the table to")
    ask.add_argument("--json", action="store_true")
    asked = ask.parse_args()
    predictor = Predictor.load(asked.model, threads=1)
    made = strangers(asked.count, asked.seed)
    if asked.pictures is not None:
        for kind, data in of_folder(asked.pictures, asked.count, asked.seed):
            made.setdefault(kind, []).append(data)
    rows = {kind: judged(predictor, files) for kind, files in made.items()}
    whole = sum(rows.values(), Counter())
    drawn = judged(predictor, phantoms(asked.count))
    real, interval = (Counter(), (0.0, 0.0)) if asked.data is None else of_true_scans(predictor, asked.data)
    if asked.json:
        told = {
            "strangers": rows,
            "caught": _caught(whole),
            "real": real,
            "real_caught": _caught(real),
            "drawn": drawn,
        }
        print(json.dumps({**told, "real_interval": interval}))
    lines = table(rows, whole, drawn, real, interval)
    if not asked.json:
        print(f"model {predictor.spec.name} {predictor.sha256[:12]}", *lines, sep="\n")
    if asked.out is not None:
        command = shlex.join(["python", "-m", "benchmarks.ood", *sys.argv[1:]])
        asked.out.write_text(
            "# What is no scan of a head, and what becomes of it\n\n"
            f"Made by the command below with the model `{predictor.spec.name}` (`{predictor.sha256[:12]}`); nothing "
            "here is typed in. Flagged is what carries `out_of_distribution`, being coloured or unlike the training "
            "part; a refused file gets no opinion at all, and the word is the reason. In brackets the 95 % interval: "
            "by Wilson, for true scans by bootstrap over groups. The true scans are the test part, whose groups took "
            "no part in anything that was chosen"
            + (", though the weights of this model have seen them in the end. " if predictor.spec.measured else ". ")
            + "Drawn heads are the phantoms of the demo: no strangers, and not counted among them."
            + _whence(asked.pictures)
            + "\n\n"
            + "\n".join(lines)
            + f"\n\n```\n{command}\n```\n",
            encoding="utf-8",
        )


def of_true_scans(predictor: Predictor, data: Path) -> tuple[Counter[str], tuple[float, float]]:
    """Judge the test part of a folder: verdicts, and the 95 % interval of the share refused or flagged."""
    from mlcore.data.dataset import from_folder, read_path

    seed = int(str(predictor.spec.settings.get("seed", 1)))
    test = [item for item in from_folder(data, seed=seed) if item.split == "test"]
    each = [judged(predictor, [read_path(item)]) for item in test]
    weights = group_weights([item.group for item in test], 1)
    caught = np.array([_caught(verdict) for verdict in each])
    low, high = np.quantile(weights @ caught / weights.sum(axis=1), (0.025, 0.975))
    return sum(each, Counter()), (float(low), float(high))


def _whence(folder: Path | None) -> str:
    """Say what the other pictures are, where there are any."""
    if folder is None:
        return ""
    names = ["-".join(path.name.split("-")[:2]) for path in sorted(folder.rglob("*.whl"))]
    return " The other pictures are all of 100 pixels or more in " + (", ".join(names) if names else "a folder") + "."


def table(
    rows: dict[str, Counter[str]],
    whole: Counter[str],
    drawn: Counter[str],
    real: Counter[str],
    interval: tuple[float, float],
) -> list[str]:
    """Write the table, as markdown."""
    lines = ["| what | pictures | refused or flagged | what became of them, and why |", "|---|---:|---|---|"]
    beside = [("**all strangers**", whole), ("drawn heads", drawn), ("**true scans**", real)]
    for kind, verdicts in [*rows.items(), *beside]:
        count = sum(verdicts.values())
        if not count:
            continue
        found = share(round(_caught(verdicts) * count), count)
        low, high = interval if verdicts is real else (found.low, found.high)
        words = ", ".join(f"{name} {n}" for name, n in verdicts.most_common())
        lines.append(f"| {kind} | {count} | {_caught(verdicts):.1%} [{low:.1%}, {high:.1%}] | {words} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())

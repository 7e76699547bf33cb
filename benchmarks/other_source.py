"""What a model is worth on a source that it has never seen.

    python -m mlcore train ../shared/data --out other --leave-out navoneel …
    python -m benchmarks.other_source other [another …] --source navoneel [--data ../shared/data]

A test part of the sources that a model was trained on says little of a hospital of which it has seen nothing. Here one
source was left out of training, and is asked about. Many of its images have a near-duplicate in the others; only those
are asked about whose whole group the model has seen nothing of.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.shortcuts import interval, scored
from mlcore.data.dataset import Item, from_folder
from mlcore.measure.evaluate import compare, evaluate
from mlcore.measure.metrics import Scored
from mlcore.serving.predict import Predictor

_SHOWN = ("auroc", "accuracy", "sensitivity", "specificity", "macro_f1")
_COMPARED = ("auroc", "accuracy", "sensitivity")


def unseen(items: list[Item], source: str) -> list[Item]:
    """Give the images of a source whose groups hold, of the other sources, images of the test part only."""
    seen = {item.group for item in items if item.source != source and item.split != "test"}
    return [item for item in items if item.source == source and item.group not in seen]


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(
        prog="python -m benchmarks.other_source",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    asked.add_argument("models", type=Path, nargs="+", metavar="model")
    asked.add_argument("--source", required=True)
    asked.add_argument("--data", type=Path, default=Path("../shared/data"))
    wish = asked.parse_args()
    predictors = [Predictor.load(path) for path in wish.models]
    for predictor in predictors:
        if predictor.spec.measured or wish.source in _learned(predictor):
            sys.exit(f"{predictor.spec.name} has seen {wish.source}; train one with --leave-out {wish.source}.")
    seeds = {int(str(predictor.spec.settings.get("seed", 1))) for predictor in predictors}
    if len(seeds) > 1:
        sys.exit("The models were trained with several seeds, so on several parts.")
    items = from_folder(wish.data, seed=seeds.pop())
    sources = sorted({item.source for item in items})
    if wish.source not in sources:
        sys.exit(f"There is no source {wish.source}; there are {', '.join(sources)}.")
    first: Scored | None = None
    for predictor in predictors:
        own = [item for item in items if item.source in _learned(predictor) and item.split == "test"]
        answers = scored(predictor, unseen(items, wish.source), None)
        for name, each in ((wish.source, answers), ("test part of its own sources", scored(predictor, own, None))):
            report = evaluate(each)
            known = {metric: report["metrics"].get(metric) for metric in _SHOWN}
            words = ", ".join(f"{metric} {interval(said)}" for metric, said in known.items() if _said(said))
            print(f"{predictor.spec.name}, {name}: {report['n']} images, {report['n_tumour']} with a tumour: {words}")
        if first is None:
            first = answers
        else:
            apart = compare(first, answers)
            known = {metric: apart[metric] for metric in _COMPARED}
            words = ", ".join(f"{metric} {interval(said)}" for metric, said in known.items() if _said(said))
            print(f"  less the first: {words}")


def _learned(predictor: Predictor) -> set[str]:
    return {name.split("/")[0] for part in predictor.spec.trained_on.values() for name in part}


def _said(metric: dict[str, float | None] | None) -> bool:
    """Tell whether there is such a figure: images without a type have no F1 over the types."""
    return metric is not None and metric["value"] is not None


if __name__ == "__main__":
    main()

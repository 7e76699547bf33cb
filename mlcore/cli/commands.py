"""The commands: what each does."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcore.cli.inputs import Fault, check_beginning, items_of, left_out, looked, say
from mlcore.images.decoded import Refused
from mlcore.model.config import TrainConfig

if TYPE_CHECKING:
    from mlcore.training.progress import Progress


def run_duplicates(asked: argparse.Namespace, command: str) -> None:
    """Tell what in a folder is there twice."""
    from mlcore.data.duplicates import duplicates

    if not 0.5 <= asked.threshold < 1.0:
        raise Fault("The threshold must lie between 0.5 and 1.")
    found = duplicates(asked.data, threshold=asked.threshold, on_refused=left_out, on_read=looked(asked.quiet))
    if asked.json:
        print(json.dumps(found, ensure_ascii=False))
        return
    print(f"{found['images']} images are {found['different']} different ones; {found['left_out']} could not be read")
    print(f"  {found['same_file']:6} repeat the file of an earlier one")
    print(f"  {found['same_hash']:6} have the perceptual hash of an earlier one")
    print(f"  {found['alike']:6} stand in a group of look-alikes that has an earlier one")
    print(f"{len(found['groups'])} groups, the largest of {max(map(len, found['groups']), default=0)}")
    for title, pairs in (("pairs of twins", found["pairs"]), ("pairs whose labels contradict", found["conflicts"])):
        print(f"{len(pairs)} {title}")
        for pair in pairs[: asked.show]:
            same = ", same file" if pair["same_file"] else f", {pair['hash_distance']} bits of the hash apart"
            print(f"  {pair['correlation']:.4f} {pair['a']} = {pair['b']}{same}")
        if len(pairs) > asked.show:
            print(f"  and {len(pairs) - asked.show} more (--json lists all)")


def run_train(asked: argparse.Namespace, command: str) -> None:
    """Train a model on a folder or manifest."""
    from mlcore.data.dataset import write_manifest
    from mlcore.training.train import train

    names = {field.name for field in dataclasses.fields(TrainConfig)}
    config = TrainConfig.from_dict({name: value for name, value in vars(asked).items() if name in names})
    check_beginning(config)
    if asked.split != "honest":
        from mlcore.training.baseline_protocol import LEAKS, split_at_random

        say(f"Warning: {LEAKS}")
        items = split_at_random(asked.data, seed=config.seed)
    else:
        items = items_of(asked.data, config.seed, asked.quiet, asked.files, asked.leave_out)
    if asked.manifest is not None:
        write_manifest(items, asked.manifest)

    def progress(where: Progress) -> None:
        if not asked.quiet:
            say(where.line)

    done = train(items, config, asked.out, on_progress=progress, command=command, resume=asked.resume)
    if asked.json:
        print(json.dumps({"folder": str(done.folder), "sha256": done.sha256, "report": done.report}))
    else:
        print(f"{done.folder} {done.sha256}")
        _print_metrics(done.report["test"] or done.report["validation"])


def run_refit(asked: argparse.Namespace, command: str) -> None:
    """Let a measured model go on learning from all of its images."""
    from mlcore.networks.artifact import load_spec
    from mlcore.training.refit import refit

    seed = load_spec(asked.measured).settings.get("seed", 1)

    def progress(where: Progress) -> None:
        if not asked.quiet:
            say(where.line)

    done = refit(
        asked.measured,
        items_of(asked.data, int(str(seed)), asked.quiet, asked.files, asked.leave_out),
        asked.out,
        epochs=asked.epochs,
        keep=asked.keep_weights,
        name=asked.name,
        threads=asked.threads,
        on_progress=progress,
        command=command,
    )
    if asked.json:
        print(json.dumps({"folder": str(done.folder), "sha256": done.sha256, "report": done.report}))
    else:
        print(f"{done.folder} {done.sha256}")


def run_predict(asked: argparse.Namespace, command: str) -> None:
    """Give an opinion on each file."""
    from mlcore.data.dataset import IMAGE_SUFFIXES
    from mlcore.serving.predict import Predictor

    files: list[Path] = []
    for path in asked.files:
        if path.is_dir():
            files += sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        elif path.is_file():
            files.append(path)
        else:
            raise Fault(f"{path} does not exist.")
    predictor = Predictor.load(asked.model, threads=asked.threads)
    answers = []
    for start in range(0, len(files), 64):
        some = files[start : start + 64]
        for path, said in zip(some, predictor.predict([p.read_bytes() for p in some]), strict=True):
            if isinstance(said, Refused):
                row: dict[str, Any] = {"file": str(path), "refused": said.code, "sentence": said.sentence}
                line = f"{path}: refused ({said.code}): {said.sentence}"
            else:
                row = {
                    "file": str(path),
                    "finding": said.finding,
                    "label": said.label,
                    "tumour_probability": said.tumour_probability,
                    "probabilities": said.probabilities,
                    "label_set": list(said.label_set),
                    "warnings": list(said.warnings),
                }
                notes = f" ({', '.join(said.warnings)})" if said.warnings else ""
                line = f"{path}: {said.label}, tumour {said.tumour_probability:.3f}{notes}"
            answers.append(row)
            if not asked.json:
                print(line)
    if asked.json:
        print(json.dumps({"model": predictor.sha256, "predictions": answers}))


def run_evaluate(asked: argparse.Namespace, command: str) -> None:
    """Measure a model."""
    from mlcore.measure.evaluate import evaluate, scored_items
    from mlcore.networks.artifact import load
    from mlcore.networks.runtime import forward, limit_threads
    from mlcore.training.crops import load_crops
    from mlcore.training.loop import logits_of

    limit_threads(asked.threads)
    model, spec = load(asked.model)
    items = items_of(asked.data, 1, asked.quiet, asked.files)
    if asked.split is not None:
        items = [item for item in items if item.split == asked.split]
    kept, crops = load_crops(items, spec.size)
    if not kept:
        raise Fault("There are no images to measure on.")
    logits, _ = logits_of(forward(model, spec), crops, spec.channels)
    report = evaluate(scored_items(kept, logits, spec))
    if asked.json:
        print(json.dumps(report))
    else:
        _print_metrics(report)


def run_augment(asked: argparse.Namespace, command: str) -> None:
    """Write the augmented set of the baseline protocol."""
    from mlcore.training.baseline_protocol import augment_files

    def progress(done: int, total: int) -> None:
        if not asked.quiet and (done == total or done % 100 == 0):
            say(f"augmented {done} of {total} images")

    written = augment_files(asked.data, asked.out, seed=asked.seed, on_refused=left_out, on_done=progress)
    if asked.json:
        print(json.dumps(written))
    else:
        print(", ".join(f"{count} {label}" for label, count in sorted(written.items())) + f" in {asked.out}")


def run_synthetic_study(asked: argparse.Namespace, command: str) -> None:
    """Write a study of a synthetic head."""
    from mlcore.data.synthetic_head import Lesion
    from mlcore.data.synthetic_study import Wanted, write_study

    if min(asked.series, asked.slices) < 1 or not 32 <= asked.side <= 2048 or asked.seed < 0:
        raise Fault("A study has a series and a slice at least, 32 to 2048 pixels a side, and a seed from 0.")
    wanted = Wanted(
        seed=asked.seed,
        series=asked.series,
        slices=asked.slices,
        side=asked.side,
        plane=asked.plane,
        lesion=asked.lesion,
        lesion_at=Lesion(*asked.lesion_at) if asked.lesion_at else None,
        enhanced=asked.enhanced,
        localizer=asked.localizer,
    )
    files = write_study(asked.out, wanted)
    if asked.json:
        print(json.dumps({"files": [str(path) for path in files]}))
    else:
        print(f"{len(files)} files in {asked.out}")


def run_recalibrate(asked: argparse.Namespace, command: str) -> None:
    """Choose threshold, sets and warnings anew."""
    from mlcore.networks.artifact import load_spec
    from mlcore.training.finalize import Choices
    from mlcore.training.recalibrate import recalibrate

    checked = TrainConfig(error_rate=asked.error_rate, sensitivity=asked.sensitivity)
    seed = load_spec(asked.model).settings.get("seed", 1)
    items = items_of(asked.data, int(str(seed)), asked.quiet, asked.files, asked.leave_out)

    def progress(where: Progress) -> None:
        if not asked.quiet:
            say(where.line)

    choices = Choices(checked.error_rate, checked.sensitivity)
    done = recalibrate(
        asked.model, items, choices, out=asked.out, threads=asked.threads, on_progress=progress, command=command
    )
    if asked.json:
        print(json.dumps({"folder": str(done.folder), "sha256": done.sha256, "report": done.report}))
    else:
        print(f"{done.folder} {done.sha256}")
        _print_metrics(done.report["test"] or done.report["validation"])


def run_engine(asked: argparse.Namespace, command: str) -> None:
    """Prepare a model for serving."""
    import numpy as np

    from mlcore.networks.artifact import load_all, load_report, save, seen_by
    from mlcore.networks.runtime import limit_threads, published

    limit_threads(1)
    model, spec, detector = load_all(asked.model)
    report = load_report(asked.model)
    # No image is at hand, and noise stirs every part of the network.
    noise = np.random.default_rng(1).random((16, spec.size, spec.size, spec.channels), np.float32)
    engine, report["engine"] = published(model, spec, noise)
    sha256 = save(asked.model, model, spec, report, detector, engine, seen=seen_by(asked.model))
    if asked.json:
        print(json.dumps({"sha256": sha256, **report["engine"]}))
    else:
        print(f"{asked.model} {sha256} is served by {report['engine']['engine']}")


def run_card(asked: argparse.Namespace, command: str) -> None:
    """Write a model's card."""
    from mlcore.model.card import card
    from mlcore.networks.artifact import load_report, load_spec, sha256_of

    text = card(load_spec(asked.model), load_report(asked.model), sha256_of(asked.model))
    if asked.out is None:
        print(text, end="")
    else:
        asked.out.write_text(text, encoding="utf-8")


def _print_metrics(report: dict[str, Any]) -> None:
    for title, part in [("all", report), *report["by_source"].items()]:
        print(f"{title}: {part['n']} images in {part['n_groups']} groups")
        for name, metric in part["metrics"].items():
            if metric["value"] is None:
                continue
            spread = f"[{metric['low']:.3f}, {metric['high']:.3f}]" if metric["low"] is not None else ""
            dummy = part["dummy"][name]["value"]
            beside = f"dummy {dummy:.3f}" if dummy is not None else ""
            print(f"  {name:14} {metric['value']:.3f} {spread:16} {beside}")

"""The command line."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcore.config import ARCHITECTURE_NAMES, AUGMENT_LEVELS, BadConfig, TrainConfig
from mlcore.decoded import Refused

if TYPE_CHECKING:
    from mlcore.dataset import Item
    from mlcore.progress import Progress


class Fault(Exception):
    """What ends a command with exit code 2 and one sentence."""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """Give the parser of all commands."""
    whole = argparse.ArgumentParser(prog="python -m mlcore", description="The learning core of Overread.")
    whole.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    whole.add_argument("--quiet", action="store_true", help="no progress")
    commands = whole.add_subparsers(dest="command", required=True)

    train = commands.add_parser("train", help="train a model on a folder or manifest")
    train.add_argument("data", type=Path, help="folder of class folders, folder of such folders, or manifest.jsonl")
    train.add_argument("--out", type=Path, required=True, help="model folder to write")
    _files(train)
    train.add_argument("--manifest", type=Path, help="also write the manifest with groups and parts here")
    defaults = TrainConfig()
    train.add_argument("--architecture", choices=ARCHITECTURE_NAMES, default=defaults.architecture)
    train.add_argument(
        "--split",
        choices=("honest", "original"),
        default="honest",
        help="original: of a folder made by `augment`, file by file at random; leaks",
    )
    train.add_argument("--weights", type=Path, help="file of published weights for resnet50 or vgg16, without the top")
    train.add_argument("--augment", choices=AUGMENT_LEVELS, default=defaults.augment)
    train.add_argument("--no-class-weights", dest="class_weights", action="store_false")
    for name, kind in (("epochs", int), ("batch_size", int), ("seed", int), ("patience", int), ("threads", int)):
        train.add_argument(f"--{name.replace('_', '-')}", type=kind, default=getattr(defaults, name))
    train.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    train.add_argument("--least-share", type=float, default=defaults.least_share)
    train.add_argument("--mixup", type=float, default=defaults.mixup, help="blend images in pairs (0.2 is usual)")
    _choices(train, defaults)
    train.add_argument("--size", type=int)
    train.add_argument("--minutes", type=float)
    train.add_argument("--warm-start", type=Path)
    train.add_argument("--afresh", dest="resume", action="store_false", help="forget a training that was broken off")
    train.add_argument("--name", default="")

    predict = commands.add_parser("predict", help="give an opinion on each file")
    predict.add_argument("model", type=Path)
    predict.add_argument("files", type=Path, nargs="+", help="files, or folders of them")
    predict.add_argument("--threads", type=int, default=1)

    evaluate = commands.add_parser("evaluate", help="measure a model on a folder or manifest")
    evaluate.add_argument("model", type=Path)
    evaluate.add_argument("data", type=Path)
    _files(evaluate)
    evaluate.add_argument("--split", choices=("train", "validation", "test"), help="this part of a manifest only")
    evaluate.add_argument("--threads", type=int, default=2)

    more = commands.add_parser("augment", help="write the original project's augmented set: 7 of a tumour, 10 of none")
    more.add_argument("data", type=Path, help="folder of class folders, or of such folders")
    more.add_argument("--out", type=Path, required=True, help="folder to write to")
    more.add_argument("--seed", type=int, default=1)

    table = commands.add_parser("table", help="train networks under the original and the honest protocol, and compare")
    table.add_argument("data", type=Path, help="folder of class folders")
    table.add_argument("--out", type=Path, required=True, help="markdown file; results are kept beside it as JSON")
    table.add_argument("--architectures", nargs="+", choices=ARCHITECTURE_NAMES, default=["seed_cnn", "seed_cnn_240"])
    table.add_argument("--protocols", nargs="+", choices=("original", "honest"), default=["original", "honest"])
    table.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    table.add_argument("--epochs", type=int, default=12)
    table.add_argument("--patience", type=int, default=6)
    table.add_argument("--minutes", type=float, help="for each training")
    table.add_argument("--threads", type=int, default=2)

    double = commands.add_parser("duplicates", help="tell what in a folder is there twice, and where labels clash")
    double.add_argument("data", type=Path, help="folder of images; names of folders count as labels")
    double.add_argument("--threshold", type=float, default=0.93, help="correlation above which two are twins")
    double.add_argument("--show", type=int, default=20, help="pairs to list")

    again = commands.add_parser(
        "recalibrate", help="choose threshold, sets and warnings anew and measure anew, without training"
    )
    again.add_argument("model", type=Path)
    again.add_argument("data", type=Path, help="the folder or manifest that the model was trained on")
    _files(again)
    again.add_argument("--out", type=Path, help="model folder to write; otherwise in its own place")
    again.add_argument("--threads", type=int, default=2)
    _choices(again, defaults)

    engine = commands.add_parser("engine", help="prepare a model for serving by LiteRT; gives it a new identity")
    engine.add_argument("model", type=Path)

    card = commands.add_parser("card", help="write a model's card as markdown")
    card.add_argument("model", type=Path)
    card.add_argument("--out", type=Path, help="instead of standard output")
    return whole


def _files(of: argparse.ArgumentParser) -> None:
    """Add where the files of a manifest lie."""
    of.add_argument(
        "--files", type=Path, help="folder in which a manifest's files lie, at their paths or known by their hashes"
    )


def _choices(of: argparse.ArgumentParser, defaults: TrainConfig) -> None:
    """Add what a user may want of a finished network."""
    of.add_argument(
        "--error-rate", type=float, default=defaults.error_rate, help="share of scans whose set may lack the truth"
    )
    of.add_argument("--sensitivity", type=float, help="choose the threshold that finds this share of the tumours")


def main(arguments: Sequence[str]) -> int:
    """Run a command; 0 when done, 2 with a sentence on standard error for a fault of the input."""
    asked = parser().parse_args(arguments)
    # TensorFlow greets the terminal before it can be asked not to.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # The heavy imports wait until a command needs them, so that --help answers at once.
    from mlcore.artifact import ArtifactDamaged
    from mlcore.dataset import NotADataset
    from mlcore.train import NotTrainable

    commands = {
        "train": _train,
        "predict": _predict,
        "evaluate": _evaluate,
        "augment": _augment,
        "table": _table,
        "duplicates": _duplicates,
        "recalibrate": _recalibrate,
        "engine": _engine,
        "card": _card,
    }
    run = commands[asked.command]
    try:
        run(asked, shlex.join(["python", "-m", "mlcore", *arguments]))
    except (Fault, BadConfig, NotTrainable, NotADataset, ArtifactDamaged, OSError) as fault:
        _say(f"mlcore: {fault}")
        return 2
    except KeyboardInterrupt:
        _say("mlcore: stopped. A training goes on from its last whole epoch when the same command is given again.")
        return 130
    return 0


def _items(data: Path, seed: int, quiet: bool, files: Path | None = None) -> list[Item]:
    """Read a manifest, or a folder with its groups and split."""
    from mlcore.dataset import NotADataset, from_folder, placed, read_manifest

    if data.is_file():
        listed = read_manifest(data)
        return listed if files is None else placed(listed, files)
    if files is not None:
        raise Fault("--files says where the files of a manifest lie; a folder has its own.")
    if not data.exists():
        raise NotADataset(f"{data} does not exist.")
    return from_folder(data, seed=seed, on_refused=_left_out, on_read=_looked(quiet))


def _left_out(path: Path, why: Refused) -> None:
    _say(f"left out {path.name}: {why.sentence}")


def _looked(quiet: bool) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if not quiet and (done == total or done % 500 == 0):
            _say(f"looked for near-duplicates in {done} of {total} images")

    return progress


def _duplicates(asked: argparse.Namespace, command: str) -> None:
    from mlcore.duplicates import duplicates

    if not 0.5 <= asked.threshold < 1.0:
        raise Fault("The threshold must lie between 0.5 and 1.")
    found = duplicates(asked.data, threshold=asked.threshold, on_refused=_left_out, on_read=_looked(asked.quiet))
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


def _train(asked: argparse.Namespace, command: str) -> None:
    from mlcore.dataset import write_manifest
    from mlcore.train import train

    names = {field.name for field in dataclasses.fields(TrainConfig)}
    config = TrainConfig.from_dict({name: value for name, value in vars(asked).items() if name in names})
    if asked.split == "original":
        from mlcore.original import LEAKS, split_at_random

        _say(f"Warning: {LEAKS}")
        items = split_at_random(asked.data, seed=config.seed)
    else:
        items = _items(asked.data, config.seed, asked.quiet, asked.files)
    if asked.manifest is not None:
        write_manifest(items, asked.manifest)

    def progress(where: Progress) -> None:
        if not asked.quiet:
            _say(where.line)

    done = train(items, config, asked.out, on_progress=progress, command=command, resume=asked.resume)
    if asked.json:
        print(json.dumps({"folder": str(done.folder), "sha256": done.sha256, "report": done.report}))
    else:
        print(f"{done.folder} {done.sha256}")
        _print_metrics(done.report["test"] or done.report["validation"])


def _predict(asked: argparse.Namespace, command: str) -> None:
    from mlcore.dataset import IMAGE_SUFFIXES
    from mlcore.predict import Predictor

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


def _evaluate(asked: argparse.Namespace, command: str) -> None:
    from mlcore.artifact import load
    from mlcore.dataset import load_crops
    from mlcore.evaluate import evaluate, scored_items
    from mlcore.loop import logits_of
    from mlcore.runtime import forward, limit_threads

    limit_threads(asked.threads)
    model, spec = load(asked.model)
    items = _items(asked.data, 1, asked.quiet, asked.files)
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


def _augment(asked: argparse.Namespace, command: str) -> None:
    from mlcore.original import augment_files

    def progress(done: int, total: int) -> None:
        if not asked.quiet and (done == total or done % 100 == 0):
            _say(f"augmented {done} of {total} images")

    written = augment_files(asked.data, asked.out, seed=asked.seed, on_refused=_left_out, on_done=progress)
    if asked.json:
        print(json.dumps(written))
    else:
        print(", ".join(f"{count} {label}" for label, count in sorted(written.items())) + f" in {asked.out}")


def _table(asked: argparse.Namespace, command: str) -> None:
    from mlcore import table

    kept = asked.out.with_suffix(".json")
    rows = table.kept_rows(kept)
    for architecture in asked.architectures:
        config = TrainConfig(
            architecture=architecture,
            epochs=asked.epochs,
            patience=asked.patience,
            minutes=asked.minutes,
            threads=asked.threads,
        )
        for protocol in asked.protocols:
            say = (lambda line: None) if asked.quiet else _say
            row = table.measured(asked.data, protocol, config, asked.seeds, command=command, say=say)
            rows = table.with_row(rows, row)
            # After every row, so that what was broken off is not lost.
            kept.write_text(json.dumps({"rows": rows}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            asked.out.write_text(table.markdown(rows, asked.data.resolve().name), encoding="utf-8")
    print(json.dumps(rows) if asked.json else f"{asked.out}: {len(rows)} rows")


def _recalibrate(asked: argparse.Namespace, command: str) -> None:
    from mlcore.artifact import load_spec
    from mlcore.recalibrate import recalibrate
    from mlcore.settle import Choices

    checked = TrainConfig(error_rate=asked.error_rate, sensitivity=asked.sensitivity)
    seed = load_spec(asked.model).settings.get("seed", 1)
    items = _items(asked.data, int(str(seed)), asked.quiet, asked.files)

    def progress(where: Progress) -> None:
        if not asked.quiet:
            _say(where.line)

    choices = Choices(checked.error_rate, checked.sensitivity)
    done = recalibrate(
        asked.model, items, choices, out=asked.out, threads=asked.threads, on_progress=progress, command=command
    )
    if asked.json:
        print(json.dumps({"folder": str(done.folder), "sha256": done.sha256, "report": done.report}))
    else:
        print(f"{done.folder} {done.sha256}")
        _print_metrics(done.report["test"] or done.report["validation"])


def _engine(asked: argparse.Namespace, command: str) -> None:
    import numpy as np

    from mlcore.artifact import load_all, load_report, save
    from mlcore.runtime import limit_threads, published

    limit_threads(1)
    model, spec, familiar = load_all(asked.model)
    report = load_report(asked.model)
    # No image is at hand, and noise stirs every part of the network.
    noise = np.random.default_rng(1).random((16, spec.size, spec.size, spec.channels), np.float32)
    engine, report["engine"] = published(model, spec, noise)
    sha256 = save(asked.model, model, spec, report, familiar, engine)
    if asked.json:
        print(json.dumps({"sha256": sha256, **report["engine"]}))
    else:
        print(f"{asked.model} {sha256} is served by {report['engine']['engine']}")


def _card(asked: argparse.Namespace, command: str) -> None:
    from mlcore.artifact import load_report, load_spec, sha256_of
    from mlcore.card import card

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

"""The model card: made from spec and report, nothing typed in by hand (Mitchell et al. 2019, arXiv:1810.03993)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlcore.data.labels import LEAVES, NO_TUMOUR, TUMOUR
from mlcore.model.spec import ModelSpec

# What is known of public sources, by the name of their folder.
SOURCES = {
    "navoneel": "Kaggle “Brain MRI Images for Brain Tumor Detection” (navoneel); licence not stated",
    "nickparvar": "Kaggle “Brain Tumor MRI Dataset” (masoudnickparvar), made of three sets; CC0. Most of its tumours "
    "are T1 images with contrast medium, its healthy heads are of all kinds: a network goes by the kind of scan too, "
    "and may miss a tumour on another kind, however large (`docs/the-science.md`, “When the kind of scan gives it "
    "away”)",
}
# What is known of published weights, by what the name of their file begins with.
STARTS = {
    "efficientnet": "ImageNet weights of EfficientNet-Lite0 (Google; for PyTorch by ML Illustrated), Apache-2.0",
}
# Letters from a probability of 0 to one of 1.
_WIDE = 51
_ROWS = (
    ("accuracy", "Accuracy (tumour or not)"),
    ("auroc", "AUROC"),
    ("auprc", "AUPRC"),
    ("sensitivity", "Sensitivity"),
    ("specificity", "Specificity"),
    ("macro_f1", "Macro F1 over the labels"),
    ("type_accuracy", "Accuracy over the labels"),
    ("brier", "Brier score (lower is better)"),
    ("ece", "Calibration error (lower is better)"),
)


def card(spec: ModelSpec, report: Mapping[str, Any], sha256: str) -> str:
    """Write the card.

    Parameters
    ----------
    spec : ModelSpec
        The model's description.
    report : mapping
        Its `report.json`.
    sha256 : str
        Its identity.

    Returns
    -------
    str
        Markdown.
    """
    parts = [
        f"# Model card: {spec.name}",
        f"`{sha256}`",
        _what(spec, report),
        _begun(spec, report),
        _use(),
        _data(spec, report),
        *(_part(report, name, words) for name, words in (("test", "test"), ("validation", "validation"))),
        _sets(spec, report),
        _warnings(spec, report),
        _making(spec, report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(spec: ModelSpec, report: Mapping[str, Any]) -> str:
    training = report.get("training", {})
    sensitivity = report.get("choices", {}).get("sensitivity")
    return "\n".join(
        (
            "## What it is",
            "",
            f"- Network `{spec.architecture}`, {training.get('parameters', 0):,} parameters, "
            f"input {spec.size} × {spec.size} × {spec.channels}, preprocessing {spec.preprocess_version}",
            f"- Labels: {', '.join(f'`{leaf}`' for leaf in spec.leaves)}",
            f"- Finding `tumour` from a probability of {spec.threshold:.3f}, chosen on the validation part"
            + (f" to find {sensitivity:.1%} of its tumours" if sensitivity is not None else "")
            + f"; temperature {spec.temperature:.3f}",
        )
    )


def _begun(spec: ModelSpec, report: Mapping[str, Any]) -> str:
    """Say whose figures these are, and with what the training began; nothing where both go without saying."""
    paragraphs = []
    if spec.measured:
        again = report.get("refit", {})
        paragraphs.append(
            f"**Its weights have seen all {again.get('images', 0):,} images below.** The figures of this card are "
            f"those of the model `{spec.measured[:16]}`, on images that it had not seen. Temperature, threshold, sets "
            f"and band were chosen on that one too. It then went on learning for {again.get('epochs', 0)} epochs with "
            "validation and test part among the images, and became this one, on which nothing can be measured with "
            "these images."
        )
    start = spec.settings.get("weights")
    if isinstance(start, str):
        known = next((words for name, words in STARTS.items() if start.startswith(name)), "published weights")
        paragraphs.append(f"Training began with {known}: `{start}`.")
    return "\n\n".join(paragraphs)


def _use() -> str:
    return "\n".join(
        (
            "## What it is for, and what not",
            "",
            "For research, teaching and the trial of reading work with a second opinion, on single 2-D slices of "
            "brain MRI like those it was trained on.",
            "",
            "It is no medical device. It must not be used to diagnose, to rule out a tumour, to decide on treatment, "
            "or to sort patients without a radiologist. It has seen neither whole volumes nor children’s scans known "
            "as such, nor other diseases that look like a tumour (bleeding, infarction, abscess, inflammation) with "
            "labels of their own. Sex, age, scanner and hospital are unknown for the public images, so nothing can be "
            "said of how it does for each. Figures on public images do not carry over to a hospital.",
        )
    )


def _data(spec: ModelSpec, report: Mapping[str, Any]) -> str:
    rows = sorted({key for counts in spec.trained_on.values() for key in counts})
    lines = ["## Data", "", "| source / label | training | validation | test |", "|---|---:|---:|---:|"]
    for row in rows:
        numbers = (str(spec.trained_on.get(part, {}).get(row, 0)) for part in ("train", "validation", "test"))
        lines.append(f"| {row} | {' | '.join(numbers)} |")
    groups = report.get("training", {}).get("groups", {})
    if groups:
        words = " | ".join(str(groups.get(part, 0)) for part in ("train", "validation", "test"))
        lines.append(f"| groups | {words} |")
    lines += [
        "",
        "A group holds what comes from one patient, where patients are known, and near-duplicates (same file, or a "
        "correlation above 0.93 of the cropped head, flips included). No group lies in two parts.",
        "",
    ]
    for source in sorted({row.split("/")[0] for row in rows}):
        lines.append(f"- `{source}`: {SOURCES.get(source, 'source and licence as its owner knows them')}")
    left_out = report.get("training", {}).get("left_out", 0)
    if left_out:
        lines.append(f"- {left_out} files could not be read and were left out")
    return "\n".join(lines)


def _part(report: Mapping[str, Any], name: str, words: str) -> str:
    measured = report.get(name)
    heading = f"## On the {words} part"
    if measured is None:
        return f"{heading}\n\nNot measured: the part does not hold both classes."
    note = {
        "test": "Groups that took no part in training, nor in the choice of epoch, temperature or threshold.",
        "validation": "The epoch, the temperature and the threshold were chosen here, so these figures flatter.",
    }[name]
    lines = [
        heading,
        "",
        f"{note} In brackets the 95 % interval, by bootstrap over groups; "
        "that of the calibration error lies high, as drawing again adds noise to every bin.",
        "",
    ]
    sections = [("all sources", measured), *sorted(measured["by_source"].items())]
    for title, part in sections:
        lines += [
            f"### {title}: {part['n']} images ({part['n_tumour']} with a tumour) in {part['n_groups']} groups",
            "",
            "| | model | dummy: always the commonest |",
            "|---|---|---|",
        ]
        for key, label in _ROWS:
            if part["metrics"][key]["value"] is not None:
                dummy = part["dummy"][key]
                lines.append(f"| {label} | {_interval(part['metrics'][key])} | {_interval(dummy)} |")
        lines.append("")
    lines += _classes(measured)
    if name == "test":
        lines += [*_plot(measured.get("calibration", [])), *_failures(measured, report.get("uncertain", {}).get(name))]
    return "\n".join(lines).rstrip()


def _classes(measured: Mapping[str, Any]) -> list[str]:
    lines = ["| label | images | sensitivity | precision |", "|---|---:|---|---|"]
    # Not the order of the keys, which a report loses when it is written.
    for leaf in measured["confusion"]["opinion"]:
        row = measured["per_class"][leaf]
        sensitivity, precision = _interval(row["sensitivity"]), _interval(row["precision"])
        lines.append(f"| {leaf} | {row['n']} | {sensitivity} | {precision} |")
    table = measured["confusion"]
    lines += ["", "Opinions (columns) by truth (rows):", ""]
    lines += ["| | " + " | ".join(table["opinion"]) + " |", "|---|" + "---:|" * len(table["opinion"])]
    for truth, counts in zip(table["truth"], table["counts"], strict=True):
        lines.append(f"| {truth} | " + " | ".join(str(count) for count in counts) + " |")
    return lines


def _plot(bins: Sequence[Mapping[str, float]]) -> list[str]:
    """Draw what was said against what was so, in letters: a card is read where no picture can be shown."""
    if not bins:
        return []
    lines = ["", "### Does it mean what it says?", ""]
    lines += [
        "Probability of a tumour as said (`|`) and as found (`o`, `*` where both fall together), from 0 to 1:",
        "",
    ]
    lines += ["```", f"  said  found  images  0{' ' * (_WIDE - 2)}1"]
    for each in bins:
        row = ["."] * _WIDE
        said, found = (round(each[key] * (_WIDE - 1)) for key in ("predicted", "observed"))
        row[said], row[found] = "|", "o"
        if said == found:
            row[said] = "*"
        lines.append(f" {each['predicted']:.3f}  {each['observed']:.3f}  {each['n']:6}  {''.join(row)}")
    return [*lines, "```"]


def _failures(measured: Mapping[str, Any], band: Mapping[str, float] | None) -> list[str]:
    """Say which label is taken for which, and how many of the wrong findings carry a warning."""
    table = measured["confusion"]
    wrong = []
    for truth, counts in zip(table["truth"], table["counts"], strict=True):
        for opinion, count in zip(table["opinion"], counts, strict=True):
            # A tumour without a type is wrong only where none is seen.
            mistaken = opinion == NO_TUMOUR if truth == TUMOUR else opinion != truth
            if count and mistaken:
                wrong.append((count, sum(counts), truth, opinion))
    lines = ["", "### Where it fails", ""]
    if not wrong:
        return [*lines, "On none of these images."]
    for count, of, truth, opinion in sorted(wrong, key=lambda each: (-each[0], each[2:])):
        kind = " (a tumour missed)" if opinion == NO_TUMOUR else " (a false alarm)" if truth == NO_TUMOUR else ""
        lines.append(f"- {count} of {of} `{truth}` called `{opinion}`{kind}")
    if band is not None and band["wrong_inside"] is not None:
        inside = round(band["wrong_inside"] * band["share"] * measured["n"])
        outside = round((band["wrong_outside"] or 0.0) * (1.0 - band["share"]) * measured["n"])
        lines += ["", f"Of {inside + outside} wrong findings (tumour or not) {inside} carry the warning `uncertain`."]
    return lines


def _sets(spec: ModelSpec, report: Mapping[str, Any]) -> str:
    measured = {name: part for name, part in sorted(report.get("sets", {}).items()) if part}
    if spec.error_rate is None or not measured:
        return ""
    lines = [
        "## Sets of labels",
        "",
        f"Beside its opinion the model names the labels that it cannot rule out. The set should hold the truth for "
        f"{1.0 - spec.error_rate:.0%} of the scans of each label; it was chosen on the validation part.",
        "",
    ]
    for name, part in measured.items():
        lines += [
            f"On the {name} part a set holds {part['size']:.2f} labels; {part['single']:.1%} hold one.",
            "",
            "| label | images | the set holds it |",
            "|---|---:|---|",
            *(f"| {label} | {row['n']} | {_interval(row['covered'])} |" for label, row in _labels(part["by_label"])),
            f"| all | {part['all']['n']} | {_interval(part['all']['covered'])} |",
            "",
        ]
    free = [leaf for leaf, cut in zip(spec.leaves, spec.cuts, strict=True) if cut == 0.0]
    if free:
        lines.append(f"Too few groups to rule out: {', '.join(free)}.")
    return "\n".join(lines).rstrip()


def _labels(by_label: Mapping[str, Any]) -> list[tuple[str, Any]]:
    # Not the order of the keys, which a report loses when it is written.
    return [(label, by_label[label]) for label in (*LEAVES, TUMOUR) if label in by_label]


def _warnings(spec: ModelSpec, report: Mapping[str, Any]) -> str:
    flagged = report.get("novelty", {}).get("flagged", {})
    lines = ["## Warnings that it gives", ""]
    intervals = report.get("novelty", {}).get("flagged_interval", {})
    for name, share in sorted(flagged.items()):
        ends = "[{:.1%}, {:.1%}] ".format(*intervals[name]) if name in intervals else ""
        lines.append(f"- `out_of_distribution`: {share:.1%} {ends}of the {name} part")
    if spec.measured:
        lines.append(
            "- these shares are this network’s own, which has seen those images; what is familiar it learned from the "
            "training part alone"
        )
    low, high = spec.uncertain
    for name, band in sorted(report.get("uncertain", {}).items()):
        inside, outside = band["wrong_inside"], band["wrong_outside"]
        wrong = f"{inside:.0%} of them wrong" if inside is not None else "none"
        rest = f", {outside:.1%} of the others" if outside is not None else ""
        lines.append(
            f"- `uncertain` (probability {low:.3f} to {high:.3f}): "
            f"{band['share']:.1%} of the {name} part, {wrong}{rest}"
        )
    return "\n".join(lines)


def _making(spec: ModelSpec, report: Mapping[str, Any]) -> str:
    training = report.get("training", {})
    lines = ["## How it was made", ""]
    if training.get("command"):
        lines += ["```", training["command"], "```", ""]
    began = training.get("began_with")
    if began:
        made = f", made in {began['epochs']} epochs by `{began['command']}`" if began["command"] else ""
        lines.append(f"- begun with the weights of `{began['name']}` (`{began['sha256'][:16]}`){made}")
    lines += [
        f"- {len(training.get('history', []))} epochs in {training.get('seconds', 0) / 60:.0f} minutes, the best was "
        f"{training.get('best_epoch', 0)}; ended because {training.get('stopped', 'unknown')}",
        f"- data `{spec.data_sha256}`",
        f"- code of mlcore `{spec.code_revision}`",
    ]
    refit = report.get("refit")
    if refit:
        lines += [
            f"- then {refit['epochs']} epochs on all images at a rate of {refit['learning_rate']:g}, in "
            f"{refit['seconds'] / 60:.0f} minutes, by `{refit['command']}`",
        ]
    again = report.get("recalibrated")
    if again:
        what = "" if spec.measured else "temperature, threshold, sets and "
        lines.append(
            f"- {what}the limit of the familiar chosen anew, without training, by `{again['command']}` with code of "
            f"mlcore `{again['code_revision']}`"
        )
    return "\n".join(lines)


def _interval(metric: Mapping[str, float | None]) -> str:
    if metric["value"] is None:
        return "–"
    if metric["low"] is None or metric["high"] is None:
        return f"{metric['value']:.3f}"
    return f"{metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}]"

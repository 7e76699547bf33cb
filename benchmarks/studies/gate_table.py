"""The table of the gate's simulation, written from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.studies.gate_simulation import FORMER, READERS, SHARES, WAYS, stopped
from mlcore.gate.rules import PASS, RULES, Rules
from mlcore.measure.agreement import share

_WORDS = {
    "at random": "at random, each into any other label",
    "one class": "of one class, all into one other",
    "one reader": f"of one reader of {READERS}, each into any other label",
}


def markdown(
    rows: Sequence[dict[str, Any]], rules: Rules, commands: Sequence[str], source: str, sizes: dict[str, int]
) -> str:
    """Write the table.

    Parameters
    ----------
    rows : sequence of dict
        Of `benchmarks.studies.gate_simulation.simulate`.
    rules : Rules
        By which they were judged.
    commands : sequence of str
        That made them.
    source : str
        Name of the folder of images.
    sizes : dict of str to int
        `images` that the frozen network describes, in so many `groups`; and of a seed's `test` part.

    Returns
    -------
    str
        Markdown.
    """
    clean = [row for row in rows if row["way"] == "clean"]
    spoilt = [row for row in rows if row["way"] != "clean"]
    worse = [row for row in spoilt if row["worse"]]
    good = [row for row in clean if not row["worse"]]
    caught, false = sum(map(stopped, worse)), sum(map(stopped, good))
    seeds = sorted({row["seed"] for row in spoilt})
    return "\n".join(
        [
            "# Does the gate keep its promise?",
            "",
            f"Made from the images of `{source}` by the command below; nothing here is typed in. In brackets the 95 % "
            "interval (Wilson).",
            "",
            f"- **Worse candidates stopped: {caught} of {len(worse)}**, {_interval(caught, len(worse))}.",
            f"- **False stops on clean labels: {false} of {len(good)}**, {_interval(false, len(good))}.",
            "",
            f"By the rules of before ({_apart(rules)}) the same candidates: "
            f"{_interval(sum(map(formerly, worse)), len(worse))} of the worse ones stopped, "
            f"{_interval(sum(map(formerly, good)), len(good))} of the good ones on clean labels.",
            "",
            "## What was done",
            "",
            "A small network was trained on a fifth of the groups of near-duplicates, and frozen. It describes the "
            f"{sizes['images']} images of the other {sizes['groups']} groups, which it has never seen. For each seed "
            "these are parted anew, no group in two parts: 30 % to train, 35 % as the frozen test part "
            f"({sizes['test']} images at the first seed), 35 % held out. The model in use is a linear head over the "
            "tree of labels, trained on clean labels of half the training part; the candidate is one trained on all "
            "of it, as when labels have come in since. A fifth of the training groups calibrates. Flipped labels "
            "are those of the candidate's training and calibration; the share is of all of them, "
            f"{', '.join(f'{share:.0%}' for share in SHARES)}.",
            "",
            "**Worse** was defined before: on the held-out part, with clean labels, the candidate loses more than the "
            "rules allow in accuracy, AUROC or the sensitivity of any class, or its calibration error is beyond the "
            "limit. The gate sees the test part alone. It **stops** whatever it does not pass: a fault, or too few to "
            "say. What is spoilt and yet not worse may be stopped too: caution, not a fault.",
            "",
            f"Rules: {_said(rules)}. The table shows seeds {seeds[0]} to {seeds[-1]} for flipped labels and "
            f"{len(clean)} seeds from {clean[0]['seed']} on for clean ones.",
            "",
            "## Flipped labels",
            "",
            "| labels flipped | share | candidates | worse | of these stopped | not worse | of these stopped | "
            "accuracy | AUROC | worst class | calibration error |",
            "|---|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|",
            *[_row(rows, way, part) for way in WAYS for part in SHARES],
            "",
            "Accuracy, AUROC and the class that loses most: mean true difference to the model in use; calibration "
            "error: mean of the candidate.",
            "",
            "## Clean labels",
            "",
            "| candidates | worse | not worse | of these stopped | accuracy | AUROC | worst class | "
            "calibration error |",
            "|---:|---:|---:|---|---:|---:|---:|---:|",
            f"| {len(clean)} | {len(clean) - len(good)} | {len(good)} | {_interval(false, len(good))} | "
            f"{_means(clean)} |",
            "",
            "## Which rule spoke",
            "",
            "Candidates that each rule did not pass, on clean and on flipped labels:",
            "",
            "| rule | clean | flipped |",
            "|---|---:|---:|",
            *[f"| {name.replace('_', ' ')} | {_held(clean, name)} | {_held(spoilt, name)} |" for name in RULES],
            "",
            *_missed(worse),
            "## What it does not show",
            "",
            "Whole networks retrained, or readers who are wrong in their own way; labels flipped in the test part "
            "itself, whose labels only an administrator's dataset can correct; a test part much smaller than this "
            "one, where the gate says “too few to say” and stops good candidates too.",
            "",
            "## How it was made",
            "",
            "```",
            *commands,
            "```",
            "",
        ]
    )


def _row(rows: Sequence[dict[str, Any]], way: str, part: float) -> str:
    some = [row for row in rows if (row["way"], row["share"]) == (way, part)]
    worse, other = [row for row in some if row["worse"]], [row for row in some if not row["worse"]]
    caught = sum(map(stopped, worse))
    return (
        f"| {_WORDS[way]} | {part:.0%} | {len(some)} | {len(worse)} | {_interval(caught, len(worse))} | "
        f"{len(other)} | "
        f"{sum(map(stopped, other))} | {_means(some)} |"
    )


def _means(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "– | – | – | –"
    names = ("accuracy", "auroc", "sensitivity", "ece")
    means = [sum(row[name] for row in rows) / len(rows) for name in names]
    return " | ".join([*(f"{mean:+.3f}" for mean in means[:3]), f"{means[3]:.3f}"])


def _interval(hits: int, of: int) -> str:
    if not of:
        return "–"
    found = share(hits, of)
    return f"{hits} = {found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"


def _held(rows: Sequence[dict[str, Any]], name: str) -> int:
    return sum(row["rules"][name] != "pass" for row in rows)


def _said(rules: Rules) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in rules.to_dict().items())


def formerly(row: dict[str, Any]) -> bool:
    """Whether the rules of before would have stopped a candidate."""
    return bool(row["former"] != PASS)


def _apart(rules: Rules) -> str:
    """Where the rules of before differ."""
    now = rules.to_dict()
    apart = {name: value for name, value in FORMER.to_dict().items() if now[name] != value}
    return ", ".join(f"{name.replace('_', ' ')} {value:g} and not {now[name]:g}" for name, value in apart.items())


def _missed(worse: Sequence[dict[str, Any]]) -> list[str]:
    """Name the worse candidates that passed, so that nobody has to look for them."""
    passed = [row for row in worse if not stopped(row)]
    if not passed:
        return []
    lines = [
        f"- {_WORDS[row['way']]}, {row['share']:.0%}, seed {row['seed']}: accuracy {row['accuracy']:+.3f}, AUROC "
        f"{row['auroc']:+.3f}, worst class {row['sensitivity']:+.3f}, calibration error {row['ece']:.3f}"
        for row in passed
    ]
    return ["## Worse candidates that passed", "", *lines, ""]

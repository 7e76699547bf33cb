"""``python -m benchmarks.rounds``: the product's loop on real images, round by round; writes ``docs/rounds.md``.

An installation that is thrown away afterwards: scans are handed in, a reader reads them, a dataset version is frozen,
a run trains, the gate judges its candidate, an administrator promotes it. The same services do it as in use; the
reader's eyes alone are replaced, by the labels that came with the images.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.__main__ import ROOT, use

ROUNDS = 5
FIRST = 2 / 7  # of the groups: 70 % of them train, which is a fifth of all
RULES = {"least_scans": 200, "least_groups": 60}


@dataclass(frozen=True)
class Image:
    """One file with the label of its folder, and the group of look-alikes that it is handed in with."""

    data: bytes
    label: str
    group: int


@dataclass(frozen=True)
class Round:
    """What one round came to. ``report`` is the candidate's; ``gate`` its verdict and the rules that did not pass."""

    number: int
    reads: int
    trained: int
    version: Any
    report: dict[str, Any]
    gate: str
    became: str


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.rounds", description=__doc__)
    asked.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of class folders")
    asked.add_argument("--every", type=int, default=1, help="take each so manieth file only, to be quicker")
    asked.add_argument("--architecture", default="seed_cnn")
    asked.add_argument("--epochs", type=int, default=12)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--out", type=Path, default=ROOT / "docs" / "rounds.md")
    wish = asked.parse_args()
    command = "python -m benchmarks.rounds" + "".join(f" {word}" for word in sys.argv[1:])
    began = time.process_time()
    with tempfile.TemporaryDirectory(prefix="overread-rounds-") as folder:
        use(Path(folder))
        installation = Installation(images(wish.data, wish.every), wish.seed)
        recipe = {"architecture": wish.architecture, "epochs": wish.epochs, "patience": wish.epochs, "seed": wish.seed}
        rounds = [installation.round(number, recipe) for number in range(ROUNDS + 1)]
        spent = time.process_time() - began
        wish.out.write_text(markdown(rounds, installation, recipe, command, spent), encoding="utf-8")
    print(f"Written to {wish.out}.")


def images(folder: Path, every: int) -> list[Image]:
    """Every scan of the class folders below once, with the number of its group of look-alikes."""
    from mlcore.data.dataset import labelled_files
    from mlcore.images.decode import decode
    from mlcore.images.decoded import Refused
    from mlcore.images.fingerprint import fingerprint, groups

    found: dict[bytes, str] = {}
    prints = []
    for file, label, _source in labelled_files(folder)[::every]:
        data = file.read_bytes()
        if data in found:
            continue
        try:
            prints.append(fingerprint(decode(data)))
        except Refused:
            continue
        found[data] = label
    said(f"{len(found)} images are read")
    numbers = groups(prints, [str(number) for number in range(len(prints))])
    return [Image(data, label, int(group)) for (data, label), group in zip(found.items(), numbers, strict=True)]


class Installation:
    """One institution with a reader, a data manager and an administrator, and scans that wait to be labelled."""

    def __init__(self, found: Sequence[Image], seed: int) -> None:
        from diagnostics import pipeline
        from diagnostics.registry import gate
        from diagnostics.scans.access import Role
        from diagnostics.scans.models import Institution, Membership, ReadingMode
        from portal.accounts.models import User

        pipeline.nudge = lambda task, *args: True  # type: ignore[assignment] # no broker runs here
        self.place = Institution.objects.create(code="rounds", name="Rounds", reading_mode=ReadingMode.CONCURRENT)

        def somebody(name: str, *roles: Role) -> User:
            made = User.objects.create_user(username=name)
            for role in roles:
                Membership.objects.create(user=made, institution=self.place, role=role)
            return made

        self.reader = somebody("reader", Role.RADIOLOGIST)
        self.keeper = somebody("keeper", Role.DATA_MANAGER, Role.TECHNOLOGIST)
        self.boss = somebody("boss", Role.ADMINISTRATOR)
        self.rules = gate.declare(
            by=self.boss,
            rules=RULES,
            reason="Before the first round: so few groups begin that the test part is smaller than the default asks.",
        )
        groups = np.random.default_rng(seed).permutation(sorted({image.group for image in found}))
        first = round(FIRST * len(groups))
        parts = [groups[:first], *np.array_split(groups[first:], ROUNDS)]
        turn = {group: number for number, part in enumerate(parts) for group in part.tolist()}
        self.waiting: list[list[Image]] = [[] for _ in parts]
        for image in found:
            self.waiting[turn[image.group]].append(image)
        self.images, self.groups = len(found), len(groups)

    def round(self, number: int, recipe: dict[str, Any]) -> Round:
        """Hand in and read what comes now, freeze, train, judge, and promote what may go into use."""
        from diagnostics import pipeline
        from diagnostics.datasets.services import freeze
        from diagnostics.registry import gate
        from diagnostics.registry import services as registry
        from diagnostics.training import fitting

        reads = self._read(self.waiting[number], number)
        dataset = freeze(by=self.keeper, institutions=[self.place])
        run = pipeline.start_training(by=self.keeper, dataset=dataset, config=recipe)
        version = fitting.fit(run.pk)
        run.refresh_from_db()
        if version is None:
            raise SystemExit(f"{run} made no model: {run.failure}")
        stands = gate.standing(version)
        held = [each["rule"] for each in stands.result.findings if each["verdict"] != "pass"] if stands.result else []
        words = stands.verdict.replace("too_few", "too few to say")
        verdict = f"{words} ({', '.join(name.replace('_', ' ') for name in held)})" if held else words
        became = "kept as a candidate"
        if number == 0 or stands.verdict != "fail":
            reason = "The first model." if number == 0 else f"Round {number}."
            exception = "" if stands.passed else " No rule is broken; the test part is too small for more."
            registry.promote(by=self.boss, version=version, reason=reason + exception, name=str(version))
            became = "promoted" if stands.passed else "promoted by written exception"
        trained = dataset.items.filter(split="train").count()
        found = Round(number, reads, trained, version, version.report, verdict, became)
        said(f"round {number}: {trained} train, AUROC {_of(found.report['test']['metrics']['auroc'])}; {verdict}")
        return found

    def _read(self, arrived: Sequence[Image], number: int) -> int:
        """Hand the images in, and let the reader say of each what its folder says."""
        from diagnostics import pipeline
        from diagnostics.predictions.models import Prediction
        from diagnostics.reviews import reading, worklist
        from diagnostics.scans.intake import Refused

        truth: dict[Any, str] = {}
        for at, image in enumerate(arrived):
            patient = f"P-{number}-{at}"
            try:
                taken = pipeline.submit_scan(by=self.keeper, institution=self.place, data=image.data, patient=patient)
            except Refused:
                continue
            truth[taken.scan.pk] = image.label
        # The opinion plays no part here: what the reader says does not depend on it.
        Prediction.objects.all().delete()
        done = 0
        while (claim := worklist.claim_next(by=self.reader)) is not None:
            reading.record_read(
                by=self.reader,
                case=claim.case,
                claim_token=claim.token,
                kind="final",
                label=truth[claim.case.scan_id],
                certainty="certain",
                may_train=True,
            )
            done += 1
        return done


def markdown(
    rounds: Sequence[Round], installation: Installation, recipe: dict[str, Any], command: str, spent: float
) -> str:
    """Write the table."""
    part = rounds[0].report["test"]
    lines = [
        "# Five rounds of the learning loop",
        "",
        f"Made by `{command}` in {spent / 60:.0f} CPU minutes; nothing here is typed in. In brackets 95 % intervals,",
        "by bootstrap over groups of look-alikes.",
        "",
        f"{installation.images} different images in {installation.groups} groups of look-alikes are parted by groups:",
        f"{FIRST:.1%} of the groups come first, so that after the split the model begins with a fifth of all; the",
        f"others come in {ROUNDS} equal parts. Each time scans are handed in, a reader claims and reads them (saying",
        "what the image's folder says), a dataset version is frozen, a run trains from nothing, the gate judges, and",
        "an administrator promotes what the gate has not failed. The same services do it as in use.",
        "",
        f"The frozen test part is that of the first version: {part['n']} scans in {part['n_groups']} groups, never",
        f"trained on. Recipe: {', '.join(f'{name} {value}' for name, value in recipe.items())}; the rest by default.",
        f"Gate rules were declared before the first round: {RULES['least_scans']} scans and {RULES['least_groups']}",
        "groups at least, for the test part of so small a beginning does not reach the default.",
        "",
        "| round | reads | scans that train | AUROC | accuracy | AUROC against the model in use | gate | then |",
        "|---:|---:|---:|---|---|---|---|---|",
    ]
    for row in rounds:
        metrics = row.report["test"]["metrics"]
        apart = row.report.get("compared_with_live", {}).get("difference", {}).get("auroc")
        lines.append(
            f"| {row.number} | {row.reads} | {row.trained} | {_of(metrics['auroc'])} | {_of(metrics['accuracy'])} | "
            f"{_of(apart, sign='+') if apart else '–'} | {row.gate} | {row.became} |"
        )
    lines += [
        "",
        "In round 0 there is no model in use to compare with. One seed; another draws other groups, and where the",
        "intervals of two rounds overlap widely their order is no finding.",
    ]
    return "\n".join(lines) + "\n"


def _of(measure: dict[str, float], sign: str = "") -> str:
    return f"{measure['value']:{sign}.3f} [{measure['low']:{sign}.3f}, {measure['high']:{sign}.3f}]"


def said(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Do readers agree, and does the AI turn wrong reads right or right ones wrong? Each number with the cases behind it.

Only done cases count, and only what each reader said by themselves: the first revision, before an adjudicator sent
anything back.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from django.db.models import QuerySet

from diagnostics.actors import Actor
from diagnostics.cases.models import Case, CaseQuerySet, CaseState, SecondRead, Stage
from diagnostics.reviews.labels import contradicts
from diagnostics.reviews.models import Label, Read, ReadKind
from diagnostics.reviews.queries import deciding_reads
from diagnostics.scans.access import Permission, institutions_where
from diagnostics.scans.models import Institution
from mlcore.measure import agreement as measures
from mlcore.measure.agreement import Measured, Pairs

MOST_CASES = 5000  # the newest; a page has to come at once
FEW = 30  # cases below which an interval says little
DRAWN = (SecondRead.POLICY, SecondRead.SHARE)
OfTables = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Twice:
    """A case that two people read."""

    case: uuid.UUID
    patient: uuid.UUID
    readers: tuple[int, int]
    names: tuple[str, str]
    said: tuple[str, str]

    @property
    def agree(self) -> bool:
        return self.said[0] == self.said[1]


@dataclass(frozen=True)
class Agreed:
    """How far some cases were agreed upon. ``key`` and ``name`` say which."""

    key: str
    name: str
    n: int
    disagreed: int
    percent: Measured
    cohen: Measured
    fleiss: Measured | None = None

    @property
    def few(self) -> bool:
        return self.n < FEW


@dataclass(frozen=True)
class Flips:
    """What the reveal did to reads whose right answer is known from elsewhere."""

    wrong_before: int
    right_flips: int
    right_before: int
    wrong_flips: int
    unknown: int
    right_share: Measured
    wrong_share: Measured

    @property
    def few(self) -> bool:
        return min(self.wrong_before, self.right_before) < FEW


@dataclass(frozen=True)
class Report:
    """All of it. ``chosen``: cases whose second read was asked for or picked by the AI, which count only if wanted."""

    overall: Agreed | None
    classes: list[Agreed]
    pairs: list[Agreed]
    flips: Flips
    chosen: int
    unsettled: int
    capped: bool


def overseen_by(user: Actor) -> QuerySet[Institution]:
    """The institutions of which ``user`` may see how their readers agree."""
    sees = institutions_where(user, Permission.SEE_READS)
    settles = institutions_where(user, Permission.ADJUDICATE)
    return Institution.objects.filter(
        pk__in=[*sees.values_list("pk", flat=True), *settles.values_list("pk", flat=True)]
    )


def read_twice(user: Actor, *, kind: str = ReadKind.FINAL, all_cases: bool = False) -> list[Twice]:
    """The done cases that two people read, newest first; ``kind`` picks the blind or the final reads.

    Without ``all_cases`` only those whose second read was drawn without a look at any answer: cases that the AI or
    a reader picked are harder than the rest.
    """
    cases = _done(user)
    if not all_cases:
        cases = cases.filter(second_read__in=DRAWN)
    newest = list(cases.order_by("-done_at", "-id").values_list("pk", flat=True)[:MOST_CASES])
    rows = (
        Read.objects.filter(case__in=newest, kind=ReadKind.FINAL, revision=1, stage__in=(Stage.FIRST, Stage.SECOND))
        .select_related("reader", "case__scan")
        .order_by("-case__done_at", "-case__id")
    )
    found: dict[uuid.UUID, dict[str, Read]] = {}
    for read in rows:
        found.setdefault(read.case_id, {})[read.stage] = read
    both = [(said[Stage.FIRST], said[Stage.SECOND]) for said in found.values() if len(said) == 2]
    if kind == ReadKind.FINAL:
        return [_twice(first, second, (first.label, second.label)) for first, second in both]
    blind = _blind_labels(newest)
    keys = [((first.case_id, first.reader_id), (second.case_id, second.reader_id)) for first, second in both]
    return [
        _twice(first, second, (blind[a], blind[b]))
        for (first, second), (a, b) in zip(both, keys, strict=True)
        if a in blind and b in blind
    ]


def _done(user: Actor) -> CaseQuerySet:
    return Case.objects.filter(institution__in=overseen_by(user), state=CaseState.DONE, control=False)


def _blind_labels(cases: Sequence[uuid.UUID]) -> dict[tuple[uuid.UUID, int], str]:
    rows = Read.objects.filter(case__in=cases, kind=ReadKind.BLIND).values_list("case", "reader", "label")
    return {(case, reader): label for case, reader, label in rows}


def _twice(first: Read, second: Read, said: tuple[str, str]) -> Twice:
    return Twice(
        case=first.case_id,
        patient=first.case.scan.patient_id,
        readers=(first.reader_id, second.reader_id),
        names=(str(first.reader), str(second.reader)),
        said=said,
    )


def _measured(
    key: str, name: str, read: Sequence[Twice], *, class_: int | None = None, with_fleiss: bool = False
) -> Agreed:
    """Measure some cases; with ``class_`` (its place in ``Label``) that label against all others."""
    pairs = Pairs(
        [each.said[0] for each in read], [each.said[1] for each in read], Label.values, [each.patient for each in read]
    )
    if class_ is None:
        return Agreed(
            key=key,
            name=name,
            n=pairs.n,
            disagreed=sum(not each.agree for each in read),
            percent=pairs.measure(measures.percent),
            cohen=pairs.measure(measures.cohen),
            fleiss=pairs.measure(measures.fleiss_of_two) if with_fleiss else None,
        )
    against = partial(measures.one_against_rest, k=class_)
    either = [each for each in read if key in each.said]
    return Agreed(
        key=key,
        name=name,
        n=len(either),
        disagreed=sum(not each.agree for each in either),
        percent=pairs.measure(_after(measures.specific, against)),
        cohen=pairs.measure(_after(measures.cohen, against)),
    )


def _after(of: OfTables, narrow: OfTables) -> OfTables:
    return lambda tables: of(narrow(tables))


def _in_order(each: Twice) -> Twice:
    """The same case with its readers in a fixed order, so that a pair is one pair, whoever read first."""
    if each.readers[0] <= each.readers[1]:
        return each
    return Twice(each.case, each.patient, each.readers[::-1], each.names[::-1], each.said[::-1])


def report(user: Actor, *, kind: str = ReadKind.FINAL, all_cases: bool = False) -> Report:
    """Agreement overall, by class and by pair of readers, and what the reveal did."""
    read = read_twice(user, kind=kind, all_cases=all_cases)
    by_pair: dict[tuple[int, int], list[Twice]] = {}
    for each in map(_in_order, read):
        by_pair.setdefault(each.readers, []).append(each)
    pairs = [
        _measured(f"{a}-{b}", " · ".join(cases[0].names), cases)
        for (a, b), cases in sorted(by_pair.items(), key=lambda item: -len(item[1]))
    ]
    classes = [
        _measured(label.value, str(label.label), read, class_=place)
        for place, label in enumerate(Label)
        if any(label.value in each.said for each in read)
    ]
    twice = _done(user).exclude(second_read="")
    return Report(
        overall=_measured("all", "", read, with_fleiss=True) if read else None,
        classes=classes,
        pairs=pairs,
        flips=_flips(user),
        chosen=twice.exclude(second_read__in=DRAWN).count(),
        unsettled=Case.objects.filter(
            institution__in=overseen_by(user), state=CaseState.OPEN, stage=Stage.ADJUDICATION
        ).count(),
        capped=twice.count() > MOST_CASES,
    )


def _revealed(user: Actor) -> list[tuple[uuid.UUID, str, str, str]]:
    """(case, blind label, final label, right label or "") of each reader who had seen the AI's opinion.

    What is right is known from an adjudicator, who saw no AI, or from the reference label of an imported scan.
    """
    cases = list(_done(user).order_by("-done_at", "-id").values_list("pk", flat=True)[:MOST_CASES])
    blind = _blind_labels(cases)
    settled = dict(deciding_reads().filter(case__in=cases, stage=Stage.ADJUDICATION).values_list("case", "label"))
    finals = (
        Read.objects.filter(case__in=cases, kind=ReadKind.FINAL, revision=1, prediction__isnull=False)
        .order_by("-case__done_at", "-case__id", "stage")
        .values_list("case", "reader", "label", "case__scan__reference_label")
    )
    return [
        (case, blind[case, reader], label, settled.get(case) or reference)
        for case, reader, label, reference in finals
        if (case, reader) in blind
    ]


def _flip_of(before: str, after: str, right: str) -> str:
    """``right | wrong``, or empty where the reveal turned nothing over."""
    was, now = not contradicts(before, right), not contradicts(after, right)
    return "" if was == now else ("right" if now else "wrong")


def _flips(user: Actor) -> Flips:
    rows = _revealed(user)
    known = [(before, after, right) for _case, before, after, right in rows if right]
    wrong_before = [row for row in known if contradicts(row[0], row[2])]
    right_flips = sum(_flip_of(*row) == "right" for row in known)
    wrong_flips = sum(_flip_of(*row) == "wrong" for row in known)
    right_before = len(known) - len(wrong_before)
    return Flips(
        wrong_before=len(wrong_before),
        right_flips=right_flips,
        right_before=right_before,
        wrong_flips=wrong_flips,
        unknown=len(rows) - len(known),
        right_share=measures.share(right_flips, len(wrong_before)),
        wrong_share=measures.share(wrong_flips, right_before),
    )


def cases_behind(
    user: Actor,
    *,
    kind: str = ReadKind.FINAL,
    all_cases: bool = False,
    key: str = "",
    disagreed: bool = False,
    flip: str = "",
) -> list[tuple[uuid.UUID, str, str]]:
    """The cases behind a number, newest first: (case, one label, the other label).

    ``key`` is that of an :class:`Agreed`: a label, or two readers' ids. ``flip`` is ``right`` or ``wrong``: then the
    labels are those before and after the reveal.
    """
    if flip:
        return [
            (case, before, after)
            for case, before, after, right in _revealed(user)
            if right and _flip_of(before, after, right) == flip
        ]
    read = map(_in_order, read_twice(user, kind=kind, all_cases=all_cases))
    found = [each for each in read if not (disagreed and each.agree)]
    if key in Label.values:
        found = [each for each in found if key in each.said]
    elif key not in ("", "all"):
        found = [each for each in found if f"{each.readers[0]}-{each.readers[1]}" == key]
    return [(each.case, *each.said) for each in found]

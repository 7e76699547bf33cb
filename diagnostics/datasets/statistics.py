"""What a dataset holds, in numbers, and how it differs from the version before."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from diagnostics.scans.models import Institution
from mlcore.data.labels import contradict

from .labelling import Labelled
from .models import DatasetVersion
from .splits import Planned

_CONFLICTS_LISTED = 100
_CHANGES_LISTED = 100


def counts(items: Sequence[Planned], institutions: Sequence[Institution], left_out: Counter[str]) -> dict[str, object]:
    """Count scans, groups and patients; by part, label, label source and institution."""
    codes = {institution.pk: institution.code for institution in institutions}
    table = Counter(
        (each.part, each.labelled.label, str(each.labelled.source), codes[each.labelled.institution]) for each in items
    )
    found: dict[str, object] = {
        "scans": len(items),
        "groups": len({each.group for each in items}),
        "patients": len({each.labelled.patient for each in items}),
        "left_out": {reason: number for reason, number in sorted(left_out.items()) if number},
        "table": [
            {"split": part, "label": label, "label_source": source, "institution": code, "n": number}
            for (part, label, source, code), number in sorted(table.items())
        ],
    }
    for place, name in enumerate(("by_split", "by_label", "by_label_source", "by_institution")):
        sums: Counter[str] = Counter()
        for key, number in table.items():
            sums[key[place]] += number
        found[name] = dict(sorted(sums.items()))
    return found


def conflicts(sets: Sequence[Sequence[Labelled]]) -> dict[str, object]:
    """Count the sets of look-alikes whose labels cannot all be right, and list the first of them."""
    there = [inside for inside in sets if contradict(each.label for each in inside)]
    return {
        "conflicts": len(there),
        "conflicts_listed": [
            [{"scan": str(each.scan), "label": each.label} for each in inside] for inside in there[:_CONFLICTS_LISTED]
        ],
    }


def named(readers: Sequence[Any], institutions: Sequence[Institution]) -> dict[str, list[str]]:
    """Who is excluded, by the names under which they sign in, and which institutions, by code."""
    return {
        "readers": sorted(reader.get_username() for reader in readers),
        "institutions": sorted(place.code for place in institutions),
    }


def difference(
    items: Sequence[Planned], former: DatasetVersion | None, institutions: Sequence[Institution]
) -> dict[str, object] | None:
    """What came, went and changed its label since ``former``; None where there was none.

    Of the former version only the scans of ``institutions`` count: others' are not for this person to know of.
    """
    if former is None:
        return None
    codes = {place.pk: place.code for place in institutions}
    rows = former.items.filter(scan__institution__in=codes).values_list(
        "scan", "label", "label_source", "scan__institution"
    )
    before = {scan: (label, source, place) for scan, label, source, place in rows.iterator(chunk_size=5000)}
    came: Counter[tuple[str, str, str]] = Counter()
    changed: Counter[tuple[str, str, str]] = Counter()
    listed, confirmed = [], 0
    for each in items:
        now = each.labelled
        was = before.pop(now.scan, None)
        if was is None:
            came[now.label, str(now.source), codes[now.institution]] += 1
        elif was[0] != now.label:
            changed[was[0], now.label, codes[now.institution]] += 1
            listed.append({"scan": str(now.scan), "from": was[0], "to": now.label})
        elif was[1] != now.source:
            confirmed += 1
    went = Counter((label, source, codes[place]) for label, source, place in before.values())
    return {
        "former": former.number,
        "added": sum(came.values()),
        "removed": sum(went.values()),
        "relabelled": sum(changed.values()),
        "same_label_from_another_source": confirmed,
        "added_by": _rows(came),
        "removed_by": _rows(went),
        "relabelled_by": [
            {"from": old, "to": new, "institution": code, "n": number}
            for (old, new, code), number in sorted(changed.items())
        ],
        "relabelled_listed": sorted(listed, key=lambda row: row["scan"])[:_CHANGES_LISTED],
    }


def _rows(found: Counter[tuple[str, str, str]]) -> list[dict[str, object]]:
    return [
        {"label": label, "label_source": source, "institution": code, "n": number}
        for (label, source, code), number in sorted(found.items())
    ]

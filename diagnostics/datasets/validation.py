"""Why what is labelled cannot be frozen, as whole sentences: languages build them differently."""

from collections import Counter
from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mlcore.data.labels import NO_TUMOUR, TUMOUR, finding_of

from . import splits
from .labelling import Labelled
from .models import DatasetVersion, Split
from .splits import Planned

MINIMUM_GROUPS = 3
_FINDINGS = (TUMOUR, NO_TUMOUR)


def in_groups(found: Sequence[Labelled], groups: Sequence[str], left_out: Counter[str], names: Sequence[str]) -> str:
    """What the labelled scans lack to be parted; empty where nothing. ``names``: of the institutions."""
    if not found:
        return _nothing_labelled(left_out, ", ".join(names))
    independent = splits.groups_by_finding(found, groups)
    for finding in _FINDINGS:
        if not independent[finding]:
            return _one_kind(finding) % {"n": len(found)}
        if independent[finding] < MINIMUM_GROUPS:
            return _too_few(finding, independent[finding])
    return ""


def in_parts(lineage: str, items: Sequence[Planned]) -> str:
    """Which part would lack which finding; empty where none."""
    have = {(each.part, finding_of(each.labelled.label)) for each in items}
    for part in Split.values:
        for finding in _FINDINGS:
            if (part, finding) not in have:
                return _lacks(part, finding) % {"lineage": lineage}
    return ""


def in_former(lineage: str, sha256: str) -> str:
    """That the very same is frozen already; empty where it is not."""
    same = DatasetVersion.objects.filter(lineage=lineage, sha256=sha256).first()
    if same is None:
        return ""
    return _("Nothing has changed since %(name)s: same scans, same labels. Use that version.") % {"name": same}


def _nothing_labelled(left_out: Counter[str], names: str) -> str:
    waiting = left_out["unlabelled"] + left_out["may_not_train"] + left_out["not_judged"]
    if waiting:
        there = ngettext(
            "No labels yet in %(names)s: %(n)d scan without a label for training.",
            "No labels yet in %(names)s: %(n)d scans without a label for training.",
            waiting,
        ) % {"names": names, "n": waiting}
    else:
        there = _("No scans yet in %(names)s.") % {"names": names}
    advice = _(
        "Read cases and select “This case may be used for training”, or import a labelled folder (manage.py "
        "import_folder PATH --institution CODE --labels)."
    )
    return f"{there} {advice}"


def _one_kind(finding: str) -> str:
    return {
        TUMOUR: _("All %(n)d labelled scans are without a tumour. Scans with a tumour are needed."),
        NO_TUMOUR: _("All %(n)d labelled scans are with a tumour. Scans without a tumour are needed."),
    }[finding]


def _too_few(finding: str, number: int) -> str:
    if finding == TUMOUR:
        words = ngettext(
            "Too few to split: %(n)d independent group with a tumour (one patient with all near-duplicates), "
            "%(least)d needed for training, validation and test.",
            "Too few to split: %(n)d independent groups with a tumour (one patient with all near-duplicates "
            "each), %(least)d needed for training, validation and test.",
            number,
        )
    else:
        words = ngettext(
            "Too few to split: %(n)d independent group without a tumour (one patient with all "
            "near-duplicates), %(least)d needed for training, validation and test.",
            "Too few to split: %(n)d independent groups without a tumour (one patient with all near-duplicates "
            "each), %(least)d needed for training, validation and test.",
            number,
        )
    return words % {"n": number, "least": MINIMUM_GROUPS}


def _lacks(part: str, finding: str) -> str:
    never_refilled = _("Start a new lineage under another name.")
    more = _("More patients with such scans are needed.")
    sentences = {
        ("train", TUMOUR): _("The training set would have no scan with a tumour."),
        ("train", NO_TUMOUR): _("The training set would have no scan without a tumour."),
        ("validation", TUMOUR): _("The validation set would have no scan with a tumour."),
        ("validation", NO_TUMOUR): _("The validation set would have no scan without a tumour."),
        ("test", TUMOUR): _(
            "The test set of lineage “%(lineage)s” has no scan with a tumour left, and it is never refilled."
        ),
        ("test", NO_TUMOUR): _(
            "The test set of lineage “%(lineage)s” has no scan without a tumour left, and it is never refilled."
        ),
    }
    return f"{sentences[part, finding]} {never_refilled if part == Split.TEST else more}"

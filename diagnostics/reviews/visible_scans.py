"""A scan as one person may know it: the one way to the AI's opinion.

Whether somebody is blind is said by the database (:func:`.queries.blinded`) with the row, and the row becomes a
:class:`VisibleScan` here and nowhere else. A plain scan leads to no opinion, by type and when it is tried.
"""

from collections.abc import Iterable
from dataclasses import InitVar, dataclass

from django.db.models import Prefetch, QuerySet

from diagnostics.actors import Actor
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.predictions.services import current
from diagnostics.scans.access import READING_ROLES, Permission, may, places_with
from diagnostics.scans.models import Scan

from .queries import blinded

_MADE_HERE = object()


@dataclass(frozen=True)
class VisibleScan:
    """A scan, whether the person is blind to the AI's opinion of it, and that opinion as far as they may know it.

    ``prediction`` is None while they are blind, and while there is no opinion.
    """

    scan: Scan
    blinded: bool
    prediction: Prediction | None
    key: InitVar[object] = None

    def __post_init__(self, key: object) -> None:
        if key is not _MADE_HERE:
            raise TypeError("Ask scans_for(user) for a scan as that person may know it.")


class VisibleScans(QuerySet[Scan]):
    """Scans with ``blinded`` and ``newest_predictions`` (newest first) on each row."""

    def visible(self) -> list[VisibleScan]:
        """The rows as their person may know them."""
        return visible(self)


def scans_for(user: Actor) -> VisibleScans:
    """The scans that ``user`` may see, as they may know them."""
    return scans_as_shown_to(user, Scan.objects.visible_to(user))


def scans_as_shown_to(user: Actor, scans: QuerySet[Scan]) -> VisibleScans:
    """Scans that are known to be visible, as :func:`scans_for` gives them."""
    newest = Prediction.objects.with_model().order_by("-created_at", "-id")
    return (
        VisibleScans(scans.model, scans.query.chain(), scans.db)
        .select_related("institution", "patient", "study", "series", "uploaded_by")
        .prefetch_related(Prefetch("predictions", queryset=newest, to_attr="newest_predictions"))
        .annotate(blinded=blinded(user, scan="pk", institution="institution"))
    )


def visible(rows: Iterable[Scan]) -> list[VisibleScan]:
    """Rows that came from :func:`scans_for`, as its person may know them.

    Raises
    ------
    TypeError
        A row came from somewhere else, so that nobody has said who is blind to it.
    """
    return [_visible(row) for row in rows]


def _visible(row: Scan) -> VisibleScan:
    said = vars(row).get("blinded")
    if not isinstance(said, bool | int):
        raise TypeError("This scan was not asked for as somebody may know it: ask scans_for(user).")
    return _made(row, hidden=bool(said))


def _made(scan: Scan, *, hidden: bool) -> VisibleScan:
    newest = None if hidden else current(scan)
    told = newest if newest is not None and newest.state == PredictionState.READY else None
    return VisibleScan(scan, hidden, told, _MADE_HERE)


def just_stored(user: Actor, scan: Scan, prediction: Prediction | None) -> VisibleScan:
    """A scan that ``user`` uploaded a moment ago, without asking the database.

    Nobody can have claimed or read it, so only what their roles say counts.
    """
    reads = scan.institution_id in places_with(user, READING_ROLES)
    scan.newest_predictions = [] if prediction is None else [prediction]  # type: ignore[attr-defined]
    return _made(scan, hidden=reads or not may(user, Permission.SEE_OPINIONS, scan.institution))


def visible_scan(user: Actor, scan: Scan) -> VisibleScan | None:
    """The scan as ``user`` may know it now, asked anew; None where they may not see it."""
    found = scans_for(user).filter(pk=scan.pk).visible()
    return found[0] if found else None


def opinion_for(seen: VisibleScan) -> Prediction | None:
    """The AI's opinion as far as the person may know it who asked for the scan; no query is made.

    Raises
    ------
    TypeError
        For anything but a :class:`VisibleScan`.
    """
    if not isinstance(seen, VisibleScan):
        raise TypeError("Only a scan as somebody may know it leads to an opinion: ask scans_for(user).")
    return seen.prediction

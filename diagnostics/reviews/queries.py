"""What a person may see of cases, reads and opinions. Blinding lives here and nowhere else.

A reader is blind to the AI's opinion of a scan until the case is done or they have recorded their own blind read of
it. Portal code gets at an opinion only through :func:`opinion_for`, or through rows annotated ``blinded`` here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import (
    BooleanField,
    Count,
    Exists,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models import (
    Case as SqlCase,
)
from django.db.models.functions import Coalesce, Concat, NullIf, Trim
from django.utils import timezone
from django.utils.translation import gettext as _

from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.predictions.services import current
from diagnostics.scans.access import READING_ROLES, Permission, institutions_where, may
from diagnostics.scans.models import Institution, ReadingMode, Scan

from .models import Case, CaseQuerySet, CaseState, Claim, Label, Read, ReadKind

COUNT_LIMIT = 1000  # a tab shows "999+" beyond: an exact count of a million rows is asked of nobody


def blinded(user: Any, *, scan: str, institution: str) -> Any:
    """SQL for "is ``user`` blind to the AI's opinion here?".

    ``scan`` and ``institution`` are the paths from the row to the scan's and the institution's id.
    """
    if not user.is_authenticated or not user.is_active:
        return Value(True, output_field=BooleanField())
    reads_in = user.memberships.filter(role__in=READING_ROLES).values("institution")
    sees_in = institutions_where(user, Permission.SEE_OPINIONS).exclude(pk__in=reads_in).values("pk")
    open_case = Case.objects.filter(scan=OuterRef(scan), state=CaseState.OPEN)
    spoken = Read.objects.filter(
        case__scan=OuterRef(scan), case__state=CaseState.OPEN, reader=user, kind=ReadKind.BLIND
    )
    holding = Claim.objects.filter(
        case__scan=OuterRef(scan),
        case__state=CaseState.OPEN,
        holder=user,
        released_at__isnull=True,
        expires_at__gt=timezone.now(),
    )
    mode_in = {
        mode: Institution.objects.filter(reading_mode=mode, pk__in=reads_in).values("pk")
        for mode in (ReadingMode.BLIND_FIRST, ReadingMode.CONCURRENT)
    }
    sees = (
        Q(**{f"{institution}__in": sees_in})
        | (Q(Exists(Case.objects.filter(scan=OuterRef(scan)))) & ~Q(Exists(open_case)))
        | (Q(**{f"{institution}__in": mode_in[ReadingMode.BLIND_FIRST]}) & Q(Exists(spoken)))
        | (Q(**{f"{institution}__in": mode_in[ReadingMode.CONCURRENT]}) & Q(Exists(holding)))
    )
    return SqlCase(When(sees, then=Value(False)), default=Value(True), output_field=BooleanField())


def scans_for(user: Any) -> QuerySet[Scan]:
    """Visible scans with ``blinded`` and ``newest_predictions`` (newest first) on each."""
    newest = Prediction.objects.with_model().order_by("-created_at", "-id")
    return (
        Scan.objects.visible_to(user)
        .select_related("institution", "patient", "study", "uploaded_by")
        .prefetch_related(Prefetch("predictions", queryset=newest, to_attr="newest_predictions"))
        .annotate(blinded=blinded(user, scan="pk", institution="institution"))
    )


def predictions_for(user: Any) -> QuerySet[Prediction]:
    """Visible predictions with ``blinded`` on each."""
    return (
        Prediction.objects.visible_to(user)
        .with_model()
        .select_related("scan", "scan__institution", "scan__patient")
        .annotate(blinded=blinded(user, scan="scan", institution="scan__institution"))
    )


def _name(person: str) -> Any:
    """SQL for a person's name as ``str(user)`` gives it; ``person`` is the path to them."""
    full = Trim(Concat(f"{person}__first_name", Value(" "), f"{person}__last_name"))
    return Coalesce(NullIf(full, Value("")), f"{person}__username")


def cases_for(user: Any) -> CaseQuerySet:
    """Visible cases with ``blinded`` and the live claim's ``holder_id``, ``holder_name``, ``expires_at`` on each."""
    live = Claim.objects.filter(case=OuterRef("pk"), released_at__isnull=True, expires_at__gt=timezone.now()).order_by(
        "-claimed_at"
    )
    newest = Prediction.objects.with_model().order_by("-created_at", "-id")
    return (
        Case.objects.visible_to(user)
        .select_related("institution", "scan", "scan__institution", "scan__patient", "scan__study")
        .prefetch_related(Prefetch("scan__predictions", queryset=newest, to_attr="newest_predictions"))
        .annotate(
            blinded=blinded(user, scan="scan", institution="institution"),
            holder_id=Subquery(live.values("holder")[:1]),
            holder_name=Subquery(live.values(name=_name("holder"))[:1]),
            expires_at=Subquery(live.values("expires_at")[:1]),
        )
    )


def is_blinded(user: Any, scan: Scan) -> bool:
    """Whether ``user`` must not learn the AI's opinion of ``scan`` now."""
    # Asked anew each time: an annotation on the object may be older than the reader's own blind read.
    answer = (
        Scan.objects.visible_to(user)
        .filter(pk=scan.pk)
        .values_list(blinded(user, scan="pk", institution="institution"), flat=True)
        .first()
    )
    return answer is None or bool(answer)


def opinion_for(user: Any, scan: Scan) -> Prediction | None:
    """The AI's opinion as far as ``user`` may know it: None while blinded, or while there is none.

    On rows of :func:`scans_for` and :func:`cases_for` no query is made.
    """
    hidden = scan.blinded if hasattr(scan, "blinded") else is_blinded(user, scan)
    if hidden:
        return None
    prediction = current(scan)
    return prediction if prediction is not None and prediction.state == PredictionState.READY else None


def readable_cases(user: Any) -> CaseQuerySet:
    """Cases whose scan the quality gate did not reject."""
    return cases_for(user).filter(scan__rejected_code="")


def waiting_for(user: Any) -> CaseQuerySet:
    """The cases that ``user`` may claim now, in the order of the policy: STAT first, then the oldest."""
    claimed = Claim.objects.filter(case=OuterRef("pk"), released_at__isnull=True, expires_at__gt=timezone.now())
    return (
        Case.objects.filter(
            institution__in=institutions_where(user, Permission.READ_CASE),
            state=CaseState.OPEN,
            scan__rejected_code="",
        )
        .filter(~Exists(claimed))
        .order_by("priority", "opened_at", "id")
    )


TABS = ("mine", "unclaimed", "others", "done")


def tab(user: Any, name: str) -> CaseQuerySet:
    """The cases of one tab of the worklist, in its order; done ones with ``final_label`` and ``final_reader``.

    Raises
    ------
    KeyError
        There is no such tab.
    """
    cases = readable_cases(user)
    if name == "mine":
        return cases.filter(state=CaseState.OPEN, holder_id=user.pk).order_by("priority", "opened_at", "id")
    if name == "unclaimed":
        return cases.filter(state=CaseState.OPEN, holder_id__isnull=True).order_by("priority", "opened_at", "id")
    if name == "others":
        held = cases.filter(state=CaseState.OPEN, holder_id__isnull=False)
        return held.exclude(holder_id=user.pk).order_by("priority", "opened_at", "id")
    if name == "done":
        final = Read.objects.filter(case=OuterRef("pk"), kind=ReadKind.FINAL).order_by("-created_at", "-id")
        return (
            cases.filter(state=CaseState.DONE)
            .annotate(
                final_label=Subquery(final.values("label")[:1]),
                final_reader=Subquery(final.values(name=_name("reader"))[:1]),
            )
            .order_by("-done_at", "-id")
        )
    raise KeyError(name)


def with_status(cases: CaseQuerySet, status: str) -> CaseQuerySet:
    """The cases whose scan's analysis is ``queued | analysing | ready | failed``; how it came out stays hidden."""
    newest = Prediction.objects.filter(scan=OuterRef("scan")).order_by("-created_at", "-id").values("state")[:1]
    wanted = {
        "queued": Q(analysis=PredictionState.QUEUED) | Q(analysis__isnull=True),
        "analysing": Q(analysis=PredictionState.RUNNING),
        "ready": Q(analysis=PredictionState.READY),
        "failed": Q(analysis=PredictionState.FAILED),
    }
    return cases.annotate(analysis=Subquery(newest)).filter(wanted[status])


def tab_counts(user: Any) -> dict[str, int]:
    """Cases in each tab, and ``all``; counting stops at ``COUNT_LIMIT``. Three queries, however many tabs."""
    here = Case.objects.visible_to(user).filter(scan__rejected_code="")
    waiting = here.filter(state=CaseState.OPEN)
    held = Claim.objects.filter(
        case__in=waiting.values("pk"), released_at__isnull=True, expires_at__gt=timezone.now()
    ).aggregate(mine=Count("pk", filter=Q(holder=user)), others=Count("pk", filter=~Q(holder=user)))
    claimed = held["mine"] + held["others"]
    # Claims are as few as readers; the cases beside them may be a million.
    unclaimed = waiting[: COUNT_LIMIT + claimed].count() - claimed
    done = here.filter(state=CaseState.DONE)[:COUNT_LIMIT].count()
    return {**held, "unclaimed": unclaimed, "done": done, "all": unclaimed + claimed + done}


def live_claim(user: Any, case: Case) -> Claim | None:
    """The user's own live claim on the case."""
    return case.claims.filter(holder=user, released_at__isnull=True, expires_at__gt=timezone.now()).first()


def own_blind_read(user: Any, case: Case) -> Read | None:
    """The blind read that ``user`` has locked on this case."""
    return case.reads.filter(reader=user, kind=ReadKind.BLIND).order_by("-revision").first()


def step_of(user: Any, case: Case) -> str:
    """Where ``user`` stands with ``case``: ``claim | blind | final | done | taken``."""
    if case.state == CaseState.DONE:
        return "done"
    if live_claim(user, case) is None:
        taken = case.claims.filter(released_at__isnull=True, expires_at__gt=timezone.now()).exists()
        return "taken" if taken else "claim"
    if case.institution.reading_mode != ReadingMode.BLIND_FIRST or own_blind_read(user, case) is not None:
        return "final"
    return "blind"


def latest(reads: QuerySet[Read]) -> QuerySet[Read]:
    """Reads that no newer revision supersedes."""
    newer = Read.objects.filter(
        case=OuterRef("case"),
        reader=OuterRef("reader"),
        kind=OuterRef("kind"),
        revision__gt=OuterRef("revision"),
    )
    return reads.filter(~Exists(newer))


def reads_for(user: Any) -> QuerySet[Read]:
    """Reads that ``user`` may see: their own, those of done cases, and all where they may see reads.

    While a case is open, whoever may still be asked to read it must not learn what others said, and nobody blind to
    the AI's opinion learns it from a final read.
    """
    reads_in = user.memberships.filter(role__in=READING_ROLES).values("institution")
    sees_in = institutions_where(user, Permission.SEE_READS).exclude(pk__in=reads_in).values("pk")
    return (
        Read.objects.filter(case__institution__in=institutions_where(user, Permission.SEE_SCANS))
        .filter(Q(reader=user) | Q(case__state=CaseState.DONE) | Q(case__institution__in=sees_in))
        .select_related("case", "case__scan", "case__scan__patient", "case__institution", "reader", "prediction")
    )


@dataclass(frozen=True)
class Moment:
    """One thing that happened to a scan. ``kind``: ``handed_in | opinion | no_opinion | claim | read``."""

    at: datetime
    kind: str
    who: str
    sentence: str
    obj: Any
    scan_id: Any = None


def history_of(user: Any, scan: Scan) -> list[Moment]:
    """What happened to a scan, oldest first, as far as ``user`` may know it."""
    return moments_of(user, list(scans_for(user).filter(pk=scan.pk)))


def moments_of(user: Any, scans: Sequence[Scan]) -> list[Moment]:
    """What happened to some scans of :func:`scans_for`, oldest first, in a fixed number of queries."""
    moments = [moment for scan in scans for moment in _moments_on(scan)]
    places = {scan.pk for scan in scans}
    moments += [
        Moment(read.created_at, "read", str(read.reader), sentence_of(read), read, read.case.scan_id)
        for read in reads_for(user).filter(case__scan__in=places)
    ]
    claims = Claim.objects.filter(case__scan__in=places).select_related("holder", "case").exclude(release="done")
    for claim in claims:
        how = claim.get_release_display().lower() if claim.release else "holds the case"
        moments.append(
            Moment(
                claim.claimed_at, "claim", str(claim.holder), f"Claimed the case ({how})", claim, claim.case.scan_id
            )
        )
    return sorted(moments, key=lambda moment: moment.at)


def _moments_on(scan: Any) -> list[Moment]:
    """What the rows of :func:`scans_for` already hold."""
    moments = [Moment(scan.created_at, "handed_in", str(scan.uploaded_by), "Handed in", scan, scan.pk)]
    for prediction in scan.newest_predictions:
        at = prediction.finished_at or prediction.created_at
        who = str(prediction.model_version)
        if prediction.state == PredictionState.FAILED:
            said = f"No AI result: {prediction.failure}"
            moments.append(Moment(at, "no_opinion", who, said, prediction, scan.pk))
        elif prediction.state == PredictionState.READY and not scan.blinded:
            said = f"AI's opinion: {label_in_words(prediction.label)}"
            moments.append(Moment(at, "opinion", who, said, prediction, scan.pk))
    return moments


def own_statements(user: Any) -> QuerySet[Read]:
    """What ``user`` has stated, one row a case: the final read, or the blind one while the case is open.

    ``blind_label`` is what they had said blind. The AI's label is on ``prediction`` of a final read.
    """
    blind = Read.objects.filter(case=OuterRef("case"), reader=user, kind=ReadKind.BLIND).order_by("-revision")
    own = latest(reads_for(user).filter(reader=user)).select_related("case__scan__study")
    return own.filter(Q(kind=ReadKind.FINAL) | Q(case__state=CaseState.OPEN)).annotate(
        blind_label=Subquery(blind.values("label")[:1])
    )


def label_in_words(label: str) -> str:
    """A label as a person reads it in a list; of a tumour whose type is not stated, that it is one."""
    if label == Label.TUMOUR:
        return str(_("Tumour"))
    return str(Label(label).label) if label in Label.values else label


def sentence_of(read: Read) -> str:
    """A read in words."""
    words = f"{read.get_kind_display()}: {read.get_label_display()}, {read.get_certainty_display().lower()}"
    if read.revision > 1:
        words += f" (revision {read.revision})"
    if read.adopted:
        words += ", adopted from the AI"
    if read.reason:
        words += f". {read.get_reason_display()}"
    return words


def may_read(user: Any, case: Case) -> bool:
    """Whether ``user`` may claim and read in the case's institution."""
    return may(user, Permission.READ_CASE, case.institution)

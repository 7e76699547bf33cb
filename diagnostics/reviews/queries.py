"""What a person may see of cases, reads and opinions. Blinding lives here and nowhere else.

A reader is blind to the AI's opinion of a scan until the case is done, or until it was revealed to them after they had
locked their own blind read of it (:mod:`.reading.revealing`), and to what other readers said until the case is done.
Where an institution hides the AI, its readers stay blind.
Portal code gets at an opinion only through :func:`.visible_scans.opinion_for`, or through rows annotated ``blinded``
here.
"""

from django.db.models import (
    BooleanField,
    Exists,
    F,
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

from diagnostics.actors import Actor, account_of
from diagnostics.cases.models import Case, CaseQuerySet, CaseState, Stage
from diagnostics.predictions.models import Prediction
from diagnostics.scans.access import READING_ROLES, Permission, may, places_with, roles_with, within
from diagnostics.scans.models import ReadingMode, Scan

from .models import Claim, Read, ReadKind


def blinded(user: Actor, *, scan: str, institution: str) -> SqlCase | Value:
    """SQL for "is ``user`` blind to the AI's opinion here?".

    ``scan`` and ``institution`` are the paths from the row to the scan's and the institution's id.
    """
    if not user.is_authenticated or not user.is_active:
        return Value(True, output_field=BooleanField())
    # Ids that are known already, not sub-queries: this stands in every list, and building it was most of its cost.
    reads_in = places_with(user, READING_ROLES)
    sees = _sees_before_reading(user, institution, reads_in)
    open_case = Case.objects.filter(scan=OuterRef(scan), state=CaseState.OPEN)
    done = Q(Exists(Case.objects.filter(scan=OuterRef(scan)))) & ~Q(Exists(open_case))
    if reads_in:
        # Where the AI stays hidden, its readers do not meet it afterwards either: it would colour the next case, and
        # an amendment of this one.
        done &= ~_mode_in(institution, ReadingMode.AI_HIDDEN, reads_in)
        sees |= _sees_after_speaking(user, scan, institution, reads_in)
    sees |= done
    return SqlCase(When(sees, then=Value(False)), default=Value(True), output_field=BooleanField())


def _sees_before_reading(user: Actor, institution: str, reads_in: frozenset[int]) -> Q:
    """Rows whose opinion ``user`` may always see: where their role says so, and no role has them read."""
    if user.is_superuser:
        return ~Q(**{f"{institution}__in": reads_in})
    return Q(**{f"{institution}__in": places_with(user, roles_with(Permission.SEE_OPINIONS)) - reads_in})


def _sees_after_speaking(user: Actor, scan: str, institution: str, reads_in: frozenset[int]) -> Q:
    """Rows whose opinion a reader may see by the reading mode of the institution and what they have said."""
    revealed = Read.objects.filter(
        case__scan=OuterRef(scan),
        case__state=CaseState.OPEN,
        reader=account_of(user),
        kind=ReadKind.BLIND,
        revealed_at__isnull=False,
    )
    # An adjudicator sees two readers' answers, and the AI's only after their own.
    holding = Claim.objects.filter(
        case__scan=OuterRef(scan),
        case__state=CaseState.OPEN,
        stage__in=(Stage.FIRST, Stage.SECOND),
        holder=account_of(user),
        released_at__isnull=True,
        expires_at__gt=timezone.now(),
    )
    finished = Read.objects.filter(
        case__scan=OuterRef(scan), case__state=CaseState.OPEN, reader=account_of(user), kind=ReadKind.FINAL
    )
    return (_mode_in(institution, ReadingMode.BLIND_FIRST, reads_in) & Q(Exists(revealed))) | (
        _mode_in(institution, ReadingMode.CONCURRENT, reads_in) & (Q(Exists(holding)) | Q(Exists(finished)))
    )


def unrevealed_reads(user: Actor) -> QuerySet[Read]:
    """The blind reads that ``user`` has locked and can still undo: the AI's opinion has not been shown to them."""
    return Read.objects.filter(
        _mode_in("case__institution", ReadingMode.BLIND_FIRST, places_with(user, READING_ROLES)),
        reader=account_of(user),
        kind=ReadKind.BLIND,
        revealed_at__isnull=True,
        case__state=CaseState.OPEN,
    )


def may_be_revealed(user: Actor, *, scan: str) -> Exists:
    """SQL for "is ``user`` blind here only until they ask?"; ``scan`` is the path from the row to the scan's id."""
    return Exists(unrevealed_reads(user).filter(case__scan=OuterRef(scan)))


def _mode_in(institution: str, mode: ReadingMode, places: frozenset[int]) -> Q:
    """Rows of those of the ``places`` that read in this mode."""
    return Q(**{f"{institution}__in": sorted(places), f"{institution}__reading_mode": mode})


def predictions_for(user: Actor) -> QuerySet[Prediction]:
    """Visible predictions with ``blinded`` on each."""
    return (
        Prediction.objects.visible_to(user)
        .with_model()
        .select_related("scan", "scan__institution", "scan__patient")
        .annotate(blinded=blinded(user, scan="scan", institution="scan__institution"))
    )


def name_of(person: str) -> Coalesce:
    """SQL for a person's name as ``str(user)`` gives it; ``person`` is the path to them."""
    full = Trim(Concat(f"{person}__first_name", Value(" "), f"{person}__last_name"))
    return Coalesce(NullIf(full, Value("")), f"{person}__username")


def cases_for(user: Actor) -> CaseQuerySet:
    """Visible cases with ``blinded`` and the live claim's ``holder_id``, ``holder_name``, ``expires_at`` on each."""
    return as_shown_to(user, Case.objects.visible_to(user))


def _live_claims_of_case() -> QuerySet[Claim]:
    unended = Claim.objects.filter(case=OuterRef("pk"), released_at__isnull=True, expires_at__gt=timezone.now())
    return unended.order_by("-claimed_at")


def holder_of_case() -> Subquery:
    """SQL for who holds a case now, by id."""
    return Subquery(_live_claims_of_case().values("holder")[:1])


def as_shown_to(user: Actor, cases: CaseQuerySet) -> CaseQuerySet:
    """Cases that are known to be visible, as :func:`cases_for` gives them."""
    live = _live_claims_of_case()
    newest = Prediction.objects.with_model().order_by("-created_at", "-id")
    return (
        cases.select_related("institution", "scan", "scan__institution", "scan__patient", "scan__study")
        .prefetch_related(Prefetch("scan__predictions", queryset=newest, to_attr="newest_predictions"))
        .annotate(
            blinded=blinded(user, scan="scan", institution="institution"),
            holder_id=holder_of_case(),
            holder_name=Subquery(live.values(name=name_of("holder"))[:1]),
            expires_at=Subquery(live.values("expires_at")[:1]),
        )
    )


def is_blinded(user: Actor, scan: Scan) -> bool:
    """Whether ``user`` must not learn the AI's opinion of ``scan`` now."""
    # Asked anew each time: an annotation on the object may be older than the reader's own blind read.
    answer = (
        Scan.objects.visible_to(user)
        .filter(pk=scan.pk)
        .values_list(blinded(user, scan="pk", institution="institution"), flat=True)
        .first()
    )
    return answer is None or bool(answer)


def live_claim(user: Actor, case: Case) -> Claim | None:
    """The user's own live claim on the case."""
    return case.claims.filter(holder=account_of(user), released_at__isnull=True, expires_at__gt=timezone.now()).first()


def own_blind_read(user: Actor, case: Case) -> Read | None:
    """The blind read that ``user`` has locked on this case."""
    return case.reads.filter(reader=account_of(user), kind=ReadKind.BLIND).order_by("-revision").first()


def own_final_read(user: Actor, case: Case) -> Read | None:
    """The final read that ``user`` has given on this case, in its newest revision."""
    return case.reads.filter(reader=account_of(user), kind=ReadKind.FINAL).order_by("-revision").first()


def final_read_at(case: Case, stage: str) -> Read | None:
    """What the reader in this seat says now."""
    return case.reads.filter(stage=stage, kind=ReadKind.FINAL).order_by("-revision").first()


def step_of(user: Actor, case: Case) -> str:
    """Where ``user`` stands with ``case``: ``claim | blind | reveal | final | adjudicate | waiting | done | taken``.

    ``reveal``: their blind read is locked and can be undone until they ask for the AI's opinion. ``waiting`` is a case
    that they have spoken on and that others go on with.
    """
    if case.state == CaseState.DONE:
        return "done"
    held = live_claim(user, case)
    if held is None:
        if case.second_read and case.assigned_to_id != user.pk and own_final_read(user, case) is not None:
            return "waiting"
        taken = case.claims.filter(released_at__isnull=True, expires_at__gt=timezone.now()).exists()
        return "taken" if taken else "claim"
    if held.stage == Stage.ADJUDICATION:
        return "adjudicate"
    if case.institution.reading_mode != ReadingMode.BLIND_FIRST:
        return "final"
    blind = own_blind_read(user, case)
    if blind is None:
        return "blind"
    return "reveal" if blind.revealed_at is None else "final"


def latest(reads: QuerySet[Read]) -> QuerySet[Read]:
    """Reads that no newer revision supersedes."""
    newer = Read.objects.filter(
        case=OuterRef("case"),
        reader=OuterRef("reader"),
        kind=OuterRef("kind"),
        revision__gt=OuterRef("revision"),
    )
    return reads.filter(~Exists(newer))


def oversees(user: Actor) -> Q:
    """Rows of cases whose reads ``user`` may see while they are open: where a role says so and none has them read."""
    reads_in = Q(case__institution__in=sorted(places_with(user, READING_ROLES)))
    return within(user, Permission.SEE_READS, "case__institution") & ~reads_in


def reads_for(user: Actor) -> QuerySet[Read]:
    """Reads that ``user`` may see: their own, those of done cases, and all where they may see reads.

    While a case is open, whoever may still be asked to read it must not learn what others said, and nobody blind to
    the AI's opinion learns it from a final read.
    """
    return (
        Read.objects.filter(within(user, Permission.SEE_SCANS, "case__institution"))
        .filter(Q(reader=user) | Q(case__state=CaseState.DONE) | oversees(user))
        # What others said of a control measures them and is no opinion to go by.
        .filter(Q(reader=user) | Q(case__control=False))
        .select_related("case", "case__scan", "case__scan__patient", "case__institution", "reader", "prediction")
    )


def own_statements(user: Actor) -> QuerySet[Read]:
    """What ``user`` has stated, one row a case: the final read, or the blind one while the case is open.

    ``blind_label`` is what they had said blind, after ``blind_seconds``. The AI's label is on ``prediction`` of a
    final read.
    """
    blind = Read.objects.filter(case=OuterRef("case"), reader=account_of(user), kind=ReadKind.BLIND).order_by(
        "-revision"
    )
    final = Read.objects.filter(case=OuterRef("case"), reader=account_of(user), kind=ReadKind.FINAL)
    own = latest(reads_for(user).filter(reader=account_of(user))).select_related("case__scan__study")
    # A control that was read to the end stands among the controls.
    own = own.exclude(case__control=True, case__state=CaseState.DONE)
    return own.filter(Q(kind=ReadKind.FINAL) | Q(case__state=CaseState.OPEN) & ~Exists(final)).annotate(
        blind_label=Subquery(blind.values("label")[:1]), blind_seconds=Subquery(blind.values("seconds")[:1])
    )


def permission_for(stage: str) -> Permission:
    """What whoever takes this seat must be allowed."""
    return Permission.ADJUDICATE if stage == Stage.ADJUDICATION else Permission.READ_CASE


def may_read(user: Actor, case: Case) -> bool:
    """Whether ``user`` may take the case as it stands, to read or to settle it; a done one: whether they read here."""
    if case.state == CaseState.DONE:
        return any(may(user, permission_for(stage), case.institution) for stage in Stage)
    return may(user, permission_for(case.stage), case.institution) and obstacle(user, case) == ""


def obstacle(user: Actor, case: Case) -> str:
    """Why ``user``, whose role would allow it, may not take an open case's seat all the same; empty where they may."""
    if case.stage == Stage.ADJUDICATION:
        if case.reads.filter(reader=account_of(user)).exists():
            return str(_("You have read this case yourself. Another adjudicator must resolve it."))
        return ""
    if case.assigned_to_id not in (None, user.pk):
        return str(_("This case is reserved for one reader: it was returned or assigned to them."))
    if case.reads.filter(reader=account_of(user), kind=ReadKind.FINAL).exclude(stage=case.stage).exists():
        return str(_("You have already read this case. Its other reader must be somebody else."))
    return ""


def deciding_reads() -> QuerySet[Read]:
    """The one read that decides each done case, in its newest revision: the adjudicator's, or the last reader's.

    Each row has ``withheld``: the other of two agreeing readers says that the case may not train, and ``sole``:
    nobody else came to this label without the AI.
    """
    other = latest(Read.objects.filter(kind=ReadKind.FINAL, stage=Stage.FIRST)).filter(case=OuterRef("case"))
    agreed = Q(stage=Stage.SECOND)
    return latest(
        Read.objects.filter(
            kind=ReadKind.FINAL, case__state=CaseState.DONE, case__control=False, stage=F("case__stage")
        )
    ).annotate(
        withheld=SqlCase(
            When(agreed & Q(Exists(other.filter(may_train=False))), then=Value(True)),
            default=Value(False),
            output_field=BooleanField(),
        ),
        sole=SqlCase(
            When(agreed & Q(Exists(other.filter(adopted=False))), then=Value(False)),
            default=Value(True),
            output_field=BooleanField(),
        ),
    )

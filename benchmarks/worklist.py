"""Each tab, filter and sort of the worklist at very many scans against a thousand."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks import clones
from benchmarks.databases import Databases
from benchmarks.interleaved import Ratio, compare, seconds
from benchmarks.world import World
from diagnostics.models import Case, Claim, Institution, Membership, Patient, Prediction, Read, Scan, Study
from diagnostics.predictions.models import PredictionState
from diagnostics.reviews.worklist import place_of
from diagnostics.reviews.worklist import refresh_order as refresh
from diagnostics.scans.access import Role
from portal.accounts.models import User

FEW = 1_000
# As in a hospital: most is routine, little is at once.
PRIORITIES = [0] + [1] * 9 + [2] * 40
READY = {
    "state": PredictionState.READY, "label": "glioma", "finding": "tumour", "tumour_probability": 0.9,
    "probabilities": {"no_tumour": 0.1, "glioma": 0.9},
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """One look at the list: who, at which address, and what to call it."""

    who: str
    query: str
    what: str


# Rare things are there as often at a million as at a thousand: to find them is what may grow.
LOOKS = [
    Look("reader", "", "unclaimed"),
    Look("reader", "?tab=unclaimed&after=HALF", "unclaimed, a page half-way down"),
    Look("reader", "?tab=mine", "mine (3)"),
    Look("reader", "?tab=second", "second read (20)"),
    Look("reader", "?tab=others", "with others (16)"),
    Look("reader", "?tab=done", "done"),
    Look("reader", "?priority=0", "STAT"),
    Look("reader", "?priority=1", "urgent"),
    Look("reader", "?priority=2", "routine"),
    Look("reader", "?analysis=ready", "analysis ready"),
    Look("reader", "?analysis=failed", "no AI result (4)"),
    Look("reader", "?analysis=queued", "queued (none)"),
    Look("reader", "?analysis=analysing", "analysing (none)"),
    Look("reader", "?due=overdue", "overdue (30)"),
    Look("reader", "?priority=0&due=overdue", "overdue and STAT (none)"),
    Look("reader", "?priority=1&analysis=failed", "urgent and no AI result (none)"),
    Look("reader", "?patient=B-17", "a patient (B-17…)"),
    Look("reader", "?patient=B", "every patient (B…)"),
    Look("reader", "?tab=done&analysis=failed", "done, no AI result (none)"),
    Look("reader", "?tab=done&priority=0", "done, STAT"),
    Look("reader", "?tab=done&patient=ACC-B-17", "done, an accession number (ACC-B-17…)"),
    Look("adjudicator", "?tab=adjudicate", "adjudicate (5)"),
    Look("adjudicator", "?tab=returned", "returned (3)"),
    Look("adjudicator", "?tab=mine", "adjudicator's own (none)"),
    Look("several", "", "two institutions: unclaimed, by priority"),
    Look("several", "?tab=done", "two institutions: done"),
    Look("several", "?analysis=failed", "two institutions: no AI result (4)"),
    Look("several", "?priority=1", "two institutions: urgent"),
    Look("several", "?due=overdue", "two institutions: overdue (30)"),
]


def ratios(world: World, folder: Path, many: list[int]) -> Iterator[Ratio]:
    """Ratio 7, a line a look."""
    databases = Databases(folder)
    people = _people(world)
    filled(world, FEW - Scan.objects.count())
    _rarities(world, people)
    databases.looked_over()
    for count in many:
        large = databases.copy(f"with_{count}")
        databases.turn_to(large)
        while (left := count - Scan.objects.count()) > 0:
            filled(world, min(left, 50_000))
        databases.looked_over()
        yield from _compared(databases, large, people, count)
        databases.drop(large)


def _compared(databases: Databases, large: str, people: dict[str, Any], count: int) -> Iterator[Ratio]:
    for look in LOOKS:
        pages = {name: _Page(databases, name, people[look.who], look.query) for name in (databases.first, large)}
        asked = max(page.queries for page in pages.values())
        yield compare(
            "7",
            f"worklist of {count:,} scans ↔ of {FEW:,}, {connection.vendor}, {asked} queries: {look.what}",
            at_most=1.3,
            ours=pages[large],
            theirs=pages[databases.first],
            rounds=5,
        )


class _Page:
    """One page at one database; called, it says how many seconds it took."""

    def __init__(self, databases: Databases, database: str, person: Any, query: str) -> None:
        self._databases, self._database = databases, database
        databases.turn_to(database)
        self._client = Client()
        self._client.force_login(person)
        if "HALF" in query:
            waiting = Case.objects.filter(state="open", institution__code="bench", stage="first", lane=3)
            half = waiting.order_by("lane", "turn", "due_at", "id")[waiting.count() // 2]
            query = query.replace("HALF", f"3~0~{half.due_at.isoformat()}~{half.pk}".replace("+", "%2B"))
        self._address = f"/worklist/{query}"
        self._client.get(self._address)
        with CaptureQueriesContext(connection) as asked:
            self._client.get(self._address)
        self.queries = len(asked)

    def __call__(self) -> float:
        self._databases.turn_to(self._database)
        connection.ensure_connection()
        # Of several in a row, so that opening the database is no part of it.
        self._get()
        return min(seconds(self._get) for _ in range(2))

    def _get(self) -> None:
        response = self._client.get(self._address)
        assert response.status_code == 200, response.status_code


def _people(world: World) -> dict[str, Any]:
    """A reader, one of two institutions that order their lists differently, an adjudicator, a colleague."""
    elsewhere = Institution.objects.create(code="elsewhere", name="Elsewhere", worklist_order="priority")
    people: dict[str, Any] = {"reader": world.by}
    for name, role, places in (
        ("several", Role.RADIOLOGIST, [world.institution, elsewhere]),
        ("adjudicator", Role.ADJUDICATOR, [world.institution]),
        ("colleague", Role.RADIOLOGIST, [world.institution]),
    ):
        people[name] = User.objects.create_user(username=name)
        for place in places:
            Membership.objects.create(user=people[name], institution=place, role=role)
    return people


def _rarities(world: World, people: dict[str, Any]) -> None:
    """What there is little of, however many scans there are, on cases of the reader's institution."""
    waiting = Case.objects.filter(state="open", institution=world.institution, priority=2, stage="first")
    free = iter(list(waiting.order_by("pk")[:150]))
    reader, colleague, now = people["reader"], people["colleague"], timezone.now()

    def change(number: int, **fields: Any) -> list[Any]:
        cases = [next(free) for _ in range(number)]
        Case.objects.filter(pk__in=[case.pk for case in cases]).update(**fields)
        return cases

    change(3, assigned_to=reader)
    change(3, assigned_to=colleague)
    change(20, stage="second", second_read="policy")
    change(5, stage="adjudication", second_read="policy")
    change(3, stage="first", second_read="policy", assigned_to=colleague, returned_at=now)
    for case in change(10, lane=3):
        Claim.objects.create(case=case, holder=colleague, expires_at=now + timedelta(days=1))
    change(30, due_at=now - timedelta(hours=1))
    refresh()
    for case in change(4, lane=3):
        blank: dict[str, Any] = {"label": "", "finding": "", "probabilities": None, "tumour_probability": None}
        Prediction.objects.filter(scan=case.scan_id).update(state="failed", failure="It broke off.", **blank)
        if hasattr(Case, "analysis"):  # so that a revision of before can be measured with this script
            Case.objects.filter(pk=case.pk).update(analysis="failed")
    assert not Read.objects.exists()


def filled(world: World, count: int) -> None:
    """Rows of scans with opinions and cases, half of them done; a fifth in a second institution where there is one."""
    pattern = world.scans[0]
    now = timezone.now()
    others = list(Institution.objects.exclude(pk=world.institution.pk))
    first = Patient.objects.count()
    studies = []
    for number in range(first, first + max(1, count // 5)):
        place = others[0] if others and number % 5 == 0 else world.institution
        patient = Patient(institution=place, pseudonym=f"B-{number}")
        studies.append(Study(patient=patient, institution=place, accession=f"ACC-{patient.pseudonym}"))
    Patient.objects.bulk_create([study.patient for study in studies], batch_size=2000)
    Study.objects.bulk_create(studies, batch_size=2000)
    scans, predictions, cases = [], [], []
    for number in range(count):
        study = studies[number % len(studies)]
        place = study.patient.institution
        scan = Scan(
            institution=place, patient=study.patient, study=study, sha256=uuid.uuid4().hex * 2,
            size_bytes=1, format="png", width=64, height=64, bits=8, original=pattern.original,
            pixels=pattern.pixels, preview=pattern.preview, fingerprint=b"", source=Scan.Source.API,
            uploaded_by=world.by, priority=PRIORITIES[number % len(PRIORITIES)],
        )  # fmt: skip
        done = number // 5 % 2
        case = Case(
            scan=scan, institution=place, priority=scan.priority, state="done" if done else "open",
            done_at=now - timedelta(seconds=number) if done else None, **place_of(place, scan.priority),
        )  # fmt: skip
        case.analysis = "ready"
        scans.append(scan)
        cases.append(case)
        predictions.append(Prediction(scan=scan, model_version=world.version, finished_at=now, **READY))
    for model, rows in ((Scan, scans), (Prediction, predictions), (Case, cases)):
        model.objects.bulk_create(rows, batch_size=500)
    clones.give_images()

"""Many readers at one moment, over real HTTP, each request with a connection of its own to the database."""

import json
import threading
import time
from collections import Counter
from datetime import timedelta
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from diagnostics.audit.models import AuditEvent
from diagnostics.cases.models import Case, CaseState
from diagnostics.reviews.models import Claim, Read
from diagnostics.scans.access import Role
from portal.accounts.models import Scope, issue_token
from tests.factories import CaseFactory, InstitutionFactory, PatientFactory, ScanFactory, StudyFactory, person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(live_server) -> str:
    """A server that lets all of them in at once: the test server's own queue holds ten."""
    live_server.thread.httpd.socket.listen(256)
    return live_server.url


FEW_AND_ALL = [(12, 48), pytest.param(50, 200, marks=pytest.mark.faults)]


class Reader:
    """Somebody who asks over HTTP: every second one on the pages, the others by token."""

    def __init__(self, address: str, user, *, on_pages: bool) -> None:
        self.place, self.user, self.on_pages = urlsplit(address).netloc, user, on_pages
        if on_pages:
            client = Client()
            client.force_login(user)
            session, token = client.cookies[settings.SESSION_COOKIE_NAME].value, "t" * 32
            cookies = f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={token}"
            self.headers = {"Cookie": cookies, "X-CSRFToken": token}
        else:
            ends = timezone.now() + timedelta(days=1)
            secret = issue_token(user=user, name="t", scopes=list(Scope.values), expires_at=ends)[1]
            self.headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}

    def post(self, path: str, body: str = "") -> tuple[int, str, bytes]:
        """(status, Location, body)."""
        asked = HTTPConnection(self.place, timeout=120)
        try:
            asked.request("POST", path, body, self.headers)
            answer = asked.getresponse()
            return answer.status, answer.getheader("Location") or "", answer.read()
        finally:
            asked.close()

    def read_next(self) -> str | None:
        """The case that *Read next* gave, or None when nothing waits."""
        if self.on_pages:
            status, location, _body = self.post("/worklist/next/")
            assert status == 302, status
            return None if location == "/worklist/" else location.split("/")[2]
        status, _location, body = self.post("/api/v1/cases/next/", "{}")
        assert status in (200, 204), (status, body)
        return json.loads(body)["case"] if status == 200 else None


def together(acts: list) -> list:
    """What each act gave or raised; all start at one moment."""
    gate, answers = threading.Barrier(len(acts)), [None] * len(acts)

    def run(place: int) -> None:
        try:
            gate.wait(timeout=60)
            answers[place] = acts[place]()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            answers[place] = error

    threads = [threading.Thread(target=run, args=[place]) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=240)
    return answers


def cases(institution, count: int) -> list[Case]:
    study = StudyFactory(patient=PatientFactory(institution=institution))
    scan = {"institution": institution, "patient": study.patient, "study": study}
    return [CaseFactory(scan=ScanFactory(**scan, seed=number)) for number in range(count)]


@pytest.mark.parametrize(("readers", "waiting"), FEW_AND_ALL)
def test_readers_pressing_read_next_at_once_share_the_cases_out(server, capsys, readers, waiting):
    institution = InstitutionFactory()
    made = cases(institution, waiting)
    people = [
        Reader(server, person(Role.RADIOLOGIST, institution), on_pages=bool(number % 2)) for number in range(readers)
    ]
    begun = time.monotonic()
    rounds = []
    for _ in range(waiting // readers + 1):
        rounds.append(together([reader.read_next for reader in people]))
        # As if each had read theirs: what one holds unread would come again.
        Case.objects.filter(pk__in=filter(None, rounds[-1])).update(state=CaseState.DONE, done_at=timezone.now())
    seconds = time.monotonic() - begun
    given = [answer for answers in rounds for answer in answers if answer is not None]
    with capsys.disabled():
        print(
            f"\n{connection.vendor}: {readers} readers at once, {waiting} cases: {len(given)} given, "
            f"{len(set(map(str, given)))} different, {seconds:.1f} s"
        )
    assert [answer for answer in given if not isinstance(answer, str)] == []
    assert Counter(given) == Counter(str(case.pk) for case in made), "each case once"
    assert rounds[-1] == [None] * readers, "nobody is told of a case that is not there"
    assert set(Claim.objects.values_list("holder").distinct()) == {(reader.user.pk,) for reader in people}
    assert Claim.objects.filter(released_at__isnull=True).count() == waiting
    assert AuditEvent.objects.filter(act="case_claimed").count() == waiting


@pytest.mark.parametrize("presses", [12, pytest.param(50, marks=pytest.mark.faults)])
@pytest.mark.parametrize("stage", ["blind", "final"])
def test_submits_of_one_case_at_once_are_one_read_and_conflicts(server, capsys, presses, stage):
    institution = InstitutionFactory()
    (case,) = cases(institution, 1)
    reader = Reader(server, person(Role.RADIOLOGIST, institution), on_pages=False)
    claim = json.loads(reader.post(f"/api/v1/cases/{case.pk}/claim/", "{}")[2])
    said = {"claim_token": claim["claim_token"], "label": "not_assessable", "certainty": "certain"}
    path = f"/api/v1/cases/{case.pk}/reads/"
    if stage == "final":
        assert reader.post(path, json.dumps({**said, "stage": "blind"}))[0] == 201
    body = json.dumps({**said, "stage": stage})
    answers = together([lambda: reader.post(path, body)] * presses)
    statuses = Counter(answer[0] if isinstance(answer, tuple) else repr(answer) for answer in answers)
    with capsys.disabled():
        print(f"\n{connection.vendor}: {presses} {stage} submits of one case at once: {dict(statuses)}")
    assert statuses == {201: 1, 409: presses - 1}
    assert Read.objects.filter(case=case, kind=stage).count() == 1
    assert Case.objects.get().state == (CaseState.DONE if stage == "final" else CaseState.OPEN)

"""How far the reading has come, and how long it took: only what is finished counts."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnostics import pipeline
from diagnostics.models import Claim, Read
from diagnostics.reviews import errors, reading, worklist
from diagnostics.reviews.worklist import progress_for
from diagnostics.scans.access import Role
from diagnostics.scans.models import ReadingMode
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def ada(place):
    return person(Role.RADIOLOGIST, place, username="ada")


def case_in(place):
    case = CaseFactory(scan=ScanFactory(institution=place))
    PredictionFactory(scan=case.scan, p=0.94)
    return case


def said(user, case, kind, **more):
    token = Claim.objects.get(case=case, released_at=None).token
    words = {"label": "tumour", "certainty": "certain", **more}
    return reading.record_read(by=user, case=case, claim_token=token, kind=kind, **words)


def html_of(user, address):
    client = Client()
    client.force_login(user)
    return client.get(address).content.decode()


def test_progress_counts_final_reads_and_nothing_before(place, ada):
    first, second = case_in(place), case_in(place)
    case_in(InstitutionFactory())
    claim = worklist.claim(by=ada, case=first)
    reading.save_draft(by=ada, case=first, claim_token=claim.token, entries={"label": "glioma"})
    said(ada, first, "blind")
    progress = progress_for(ada)
    assert (progress.done, progress.total, progress.today, progress.capped) == (0, 2, 0, False)
    said(ada, first, "final")
    worklist.claim(by=ada, case=second)
    assert (progress_for(ada).done, progress_for(ada).today) == (1, 1)
    html = html_of(ada, reverse("reading:case", args=[second.pk]))
    assert "1 of 2 read, 1 by you today" in html


def test_a_read_that_was_undone_counts_no_longer(place, ada):
    case = case_in(place)
    worklist.claim(by=ada, case=case)
    said(ada, case, "blind")
    pipeline.undo_read(by=ada, read=said(ada, case, "final"))
    assert (progress_for(ada).done, progress_for(ada).today) == (0, 0)


def test_what_was_read_yesterday_is_not_of_today(place, ada):
    case = case_in(place)
    worklist.claim(by=ada, case=case)
    said(ada, case, "blind")
    said(ada, case, "final")
    Read.objects.update(created_at=timezone.now() - timedelta(days=1))
    assert (progress_for(ada).done, progress_for(ada).today) == (1, 0)


def test_time_of_the_first_read_and_of_all_of_it_stand_in_the_history(place, ada):
    case = case_in(place)
    worklist.claim(by=ada, case=case)
    Claim.objects.update(claimed_at=timezone.now() - timedelta(seconds=41))
    blind = said(ada, case, "blind")
    Read.objects.filter(pk=blind.pk).update(created_at=timezone.now() - timedelta(seconds=30))
    final = said(ada, case, "final")
    assert (blind.seconds, final.seconds) == (41, 30)
    history = html_of(ada, reverse("reading:case", args=[case.pk]))
    assert "Blind read: Tumour, unspecified, certain, in 41 s" in history
    assert "certain, in 30 s (1 min 11 s with the blind read)" in history
    mine = html_of(ada, reverse("history:my-reads"))
    assert "1 min 11 s" in mine and "first read 41 s" in mine


def test_where_the_ai_stays_hidden_its_readers_never_meet_it(place, ada):
    """Not while they read, not when the case is done, not when they amend; whoever manages the data does."""
    place.reading_mode = ReadingMode.AI_HIDDEN
    place.save()
    case = case_in(place)
    worklist.claim(by=ada, case=case)
    address = reverse("reading:case", args=[case.pk])
    assert "94 %" not in html_of(ada, address)
    final = said(ada, case, "final", label="no_tumour")  # no reason is asked for
    assert (final.mode, final.prediction) == ("ai_hidden", None)
    done = html_of(ada, address)
    assert "94 %" not in done and "Readers do not see it afterwards either." in done
    assert "94 %" not in html_of(person(Role.ADJUDICATOR, place), address)
    amended = reading.amend(by=ada, read=final, label="glioma", certainty="unsure", comment="Seen again.")
    assert (amended.mode, amended.prediction) == ("ai_hidden", None)
    assert "94 %" in html_of(person(Role.DATA_MANAGER, place), address)


def test_where_reading_is_concurrent_there_is_one_read_beside_the_opinion(place, ada):
    place.reading_mode = ReadingMode.CONCURRENT
    place.save()
    case = case_in(place)
    address = reverse("reading:case", args=[case.pk])
    assert "94 %" not in html_of(ada, address)  # it comes with the claim
    worklist.claim(by=ada, case=case)
    assert "94 %" in html_of(ada, address)
    with pytest.raises(errors.WrongStage):
        said(ada, case, "blind")
    with pytest.raises(errors.InvalidRead):
        said(ada, case, "final", label="no_tumour")  # it differs from what was shown
    final = said(ada, case, "final", label="no_tumour", reason="false_positive")
    assert (final.mode, final.prediction.scan_id, final.adopted) == ("concurrent", case.scan_id, False)

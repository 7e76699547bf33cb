"""Whom a comment reaches while its case is open, and when a mention is told."""

from datetime import timedelta

import pytest
from django.core import mail as outbox
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnostics.mail import services as mail
from diagnostics.notifications.models import Notification
from diagnostics.reviews import comments, reading, worklist
from diagnostics.reviews.comments import mentioned, people_like, who_may_see
from diagnostics.reviews.errors import InvalidRead
from diagnostics.reviews.models import Comment
from diagnostics.reviews.notices import notifications_for
from diagnostics.reviews.thread import comments_for, thread_of
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.models import ReadingMode, SecondReader
from tests.diagnostics.test_two_readers import final, send_back, settle
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def institution():
    return InstitutionFactory(second_reader=SecondReader.ALL)


@pytest.fixture
def people(institution):
    """One of each role by its first letter, and a second radiologist ``s``."""
    named = {"t": Role.TECHNOLOGIST, "r": Role.RADIOLOGIST, "s": Role.RADIOLOGIST, "a": Role.ADJUDICATOR}
    named |= {"d": Role.DATA_MANAGER, "m": Role.ADMINISTRATOR}
    return {letter: person(role, institution, username=f"{letter}-{role}") for letter, role in named.items()}


@pytest.fixture
def case(institution):
    """An open case whose AI says "tumour"."""
    scan = ScanFactory(institution=institution)
    PredictionFactory(scan=scan, p=0.94)
    return CaseFactory(scan=scan)


def blind(by, case):
    claim = worklist.claim(by=by, case=case)
    reading.record_read(by=by, case=case, claim_token=claim.token, kind="blind", label="tumour", certainty="certain")
    reading.reveal(by=by, case=case, claim_token=claim.token)


def reached(people, case, text):
    """The letters of those whom the comment reaches."""
    return "".join(
        letter for letter, user in people.items() if comments_for(user).filter(case=case, text=text).exists()
    )


def write(by, case, text):
    return comments.comment(by=by, case=case, text=text)


# --- whom it reaches


def test_word_of_somebody_who_knows_nothing_reaches_everybody(people, case):
    write(people["t"], case, "moved")
    assert reached(people, case, "moved") == "trsadm"


def test_readers_word_reaches_no_other_reader_before_the_case_is_done(people, case):
    write(people["r"], case, "before")
    assert reached(people, case, "before") == "trdm", "a view, not the AI's"
    blind(people["r"], case)
    write(people["r"], case, "after")
    assert reached(people, case, "after") == "rdm", "what was said after the reveal may hold the AI's opinion"
    final(people["r"], case)
    blind(people["s"], case)
    assert reached(people, case, "before") == "trdm" and reached(people, case, "after") == "rdm"
    final(people["s"], case)
    assert reached(people, case, "before") == reached(people, case, "after") == "trsadm"


def test_adjudicator_does_not_read_what_readers_wrote_before_settling(people, case):
    final(people["r"], case)
    write(people["r"], case, "first")
    final(people["s"], case, "no_tumour")
    write(people["s"], case, "second")
    worklist.claim(by=people["a"], case=case)
    assert "a" not in reached(people, case, "first") + reached(people, case, "second")
    settle(people["a"], case)
    assert reached(people, case, "first") == reached(people, case, "second") == "trsadm"


def test_returned_reader_does_not_read_the_others_words(people, case):
    final(people["r"], case)
    final(people["s"], case, "no_tumour")
    write(people["s"], case, "second")
    send_back(people["a"], case, "a")
    worklist.claim(by=people["r"], case=case)
    assert "r" not in reached(people, case, "second")


def test_data_managers_word_reaches_the_first_reader_only_after_the_reveal(people, case):
    write(people["d"], case, "look")
    assert reached(people, case, "look") == "dm"
    blind(people["r"], case)
    assert reached(people, case, "look") == "rdm"
    final(people["r"], case)
    assert reached(people, case, "look") == "dm", "a second reader is at it: it may hold what that one says"
    blind(people["s"], case)
    assert reached(people, case, "look") == "dm"


def test_data_managers_word_stays_away_where_another_has_spoken_already(people, case):
    blind(people["s"], case)
    worklist.release(by=people["s"], case=case, claim_token=case.claims.get(released_at=None).token)
    write(people["d"], case, "the other says tumour")
    blind(people["r"], case)
    assert reached(people, case, "the other says tumour") == "dm"


def test_technologist_who_has_read_a_readers_word_passes_it_on_to_no_reader(people, case):
    write(people["r"], case, "glioma?")
    write(people["t"], case, "r says glioma")
    assert reached(people, case, "r says glioma") == "tdm"


def test_hidden_ai_keeps_a_data_managers_word_from_readers_until_the_end(people, case, institution):
    institution.reading_mode, institution.second_reader = ReadingMode.AI_HIDDEN, SecondReader.NONE
    institution.save()
    write(people["d"], case, "look")
    worklist.claim(by=people["r"], case=case)
    assert reached(people, case, "look") == "dm"
    final(people["r"], case)
    assert reached(people, case, "look") == "trsadm"


def test_reader_is_a_role_while_the_case_is_open_and_a_name_afterwards(people, case):
    write(people["r"], case, "hm")
    who = lambda letter: [remark.who for remark in thread_of(people[letter], case)]  # noqa: E731
    assert (who("r"), who("t"), who("d")) == (["You"], ["A reader"], ["r-radiologist"])
    final(people["r"], case)
    final(people["s"], case)
    assert who("s") == ["r-radiologist"]


def test_stranger_neither_writes_nor_reads(people, case):
    write(people["t"], case, "moved")
    stranger = person(Role.ADMINISTRATOR, InstitutionFactory())
    assert not comments_for(stranger).exists()
    with pytest.raises(NotAllowed):
        write(stranger, case, "hello")


@pytest.mark.parametrize("text", ["", "  ", "x" * 4001])
def test_comment_that_says_nothing_or_too_much_is_refused(people, case, text):
    with pytest.raises(InvalidRead) as refused:
        write(people["t"], case, text)
    assert refused.value.field == "text"


@pytest.mark.parametrize("broken", [{"author_exposure": "all"}, {"kind": "asked"}, {"kind": "answer"}, {"text": ""}])
def test_comment_that_cannot_be_is_refused_by_the_database(people, case, broken):
    made = write(people["t"], case, "moved")
    with pytest.raises(IntegrityError), transaction.atomic():
        Comment.objects.filter(pk=made.pk).update(**broken)


# --- mentions


def told(user):
    return [row.kind for row in notifications_for(user)]


def test_mention_tells_whoever_may_see_the_case_and_nobody_else(people, case):
    stranger = person(Role.RADIOLOGIST, InstitutionFactory(), username="stranger")
    off = person(Role.RADIOLOGIST, case.institution, username="off", is_active=False)
    write(people["t"], case, "@r-radiologist, (@d-data_manager). a@r-x @stranger @off @nobody @t-technologist @s-")
    assert {letter for letter, user in people.items() if told(user)} == {"r", "d"}
    assert not Notification.objects.filter(recipient__in=[stranger, off, people["t"]]).exists()


@pytest.mark.parametrize("text", ["@anna", "ask @anna.", "@anna, please", "(@anna)", "@anna @anna"])
def test_name_is_found_where_a_sentence_puts_it(text, case):
    anna = person(Role.RADIOLOGIST, case.institution, username="anna")
    assert mentioned(text, case) == [anna]


@pytest.mark.parametrize("text", ["anna", "x@anna", "@annabel", "@@anna"])
def test_what_is_no_mention_is_plain_text(text, case):
    person(Role.RADIOLOGIST, case.institution, username="anna")
    assert mentioned(text, case) == []


def test_mention_in_a_readers_word_waits_for_the_other_reader_until_the_case_is_done(people, case):
    final(people["r"], case)
    write(people["r"], case, "@s-radiologist @a-adjudicator what do you think? @d-data_manager knows.")
    assert (told(people["s"]), told(people["a"]), told(people["d"])) == ([], [], ["mentioned"])
    Notification.objects.update(mail_due_at=timezone.now() - timedelta(seconds=1))
    assert mail.send_due() == 1 and outbox.outbox[0].to == [people["d"].email]
    before = timezone.now()
    final(people["s"], case)
    assert (told(people["s"]), told(people["a"])) == (["mentioned"], ["mentioned"])
    assert notifications_for(people["s"]).filter(updated_at__gte=before).exists(), "a client hears of it"
    Notification.objects.filter(mail_state="waiting").update(mail_due_at=timezone.now() - timedelta(seconds=1))
    assert mail.send_due() == 2
    assert "think" not in outbox.outbox[1].body


def test_mention_vanishes_with_access(people, case):
    write(people["t"], case, "@r-radiologist")
    people["r"].memberships.all().delete()
    assert told(people["r"]) == []


def test_only_people_who_may_see_the_case_are_offered(people, case):
    person(Role.RADIOLOGIST, InstitutionFactory(), username="r-elsewhere")
    person(Role.RADIOLOGIST, case.institution, username="zoe", first_name="Rita")
    assert [each.username for each in people_like(people["t"], case, "r")] == ["r-radiologist", "zoe"]
    person(Role.RADIOLOGIST, case.institution, username="ada", last_name="Rivers")
    assert [each.username for each in people_like(people["t"], case, "r")] == ["r-radiologist", "ada", "zoe"]
    assert people["t"] not in people_like(people["t"], case, "")
    assert who_may_see(case).count() == len(people) + 2

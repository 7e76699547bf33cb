"""Who is told what, when they may know it, and that a mail leaves once."""

import smtplib
from datetime import timedelta
from itertools import pairwise

import pytest
from django.core import mail as mailbox
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnostics import pipeline
from diagnostics.audit.services import NotInTransaction
from diagnostics.mail import outbox
from diagnostics.mail import services as mail
from diagnostics.notifications import services as notifications
from diagnostics.notifications.models import Kind, MailState, Notification
from diagnostics.predictions import run_state
from diagnostics.predictions import services as predictions
from diagnostics.reviews import double_reading, reading, worklist
from diagnostics.reviews.notices import notifications_for
from diagnostics.scans.access import Role
from diagnostics.scans.models import SecondReader
from tests.diagnostics.test_two_readers import disagreement, final, send_back, settle
from tests.factories import (
    CaseFactory,
    InstitutionFactory,
    MembershipFactory,
    PredictionFactory,
    ScanFactory,
    UserFactory,
    person,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def institution():
    return InstitutionFactory(second_reader=SecondReader.ALL)


@pytest.fixture
def anna(institution):
    return person(Role.RADIOLOGIST, institution, username="anna")


@pytest.fixture
def bert(institution):
    return person(Role.RADIOLOGIST, institution, username="bert")


@pytest.fixture
def judge(institution):
    return person(Role.ADJUDICATOR, institution, username="judge")


@pytest.fixture
def case(institution):
    """An open case whose AI says "tumour"."""
    scan = ScanFactory(institution=institution)
    PredictionFactory(scan=scan, p=0.94)
    return CaseFactory(scan=scan)


def told(user):
    """The kinds of what is new to ``user``."""
    return [row.kind for row in notifications_for(user).filter(read_at__isnull=True)]


def later():
    """As if the time had come for every mail."""
    Notification.objects.filter(mail_state=MailState.WAITING).update(mail_due_at=timezone.now() - timedelta(seconds=1))


# --- who is told


def test_assigning_tells_the_reader_and_taking_back_untells(case, anna, bert, judge):
    worklist.assign(by=judge, cases=[case], to=anna)
    assert (told(anna), told(bert), told(judge)) == (["assigned"], [], [])
    worklist.assign(by=judge, cases=[case], to=bert)
    assert (told(anna), told(bert)) == ([], ["assigned"])
    worklist.assign(by=judge, cases=[case], to=None)
    assert told(bert) == []


def test_claiming_the_case_is_reading_what_told_of_it(case, anna, judge):
    worklist.assign(by=judge, cases=[case], to=anna)
    worklist.claim(by=anna, case=case)
    assert told(anna) == [] and notifications_for(anna).get().read_at is not None


def test_disagreement_tells_adjudicators_who_have_not_read_and_nobody_else(case, anna, bert, judge, institution):
    MembershipFactory(user=anna, institution=institution, role=Role.ADJUDICATOR)
    others = [person(role, institution) for role in (Role.TECHNOLOGIST, Role.RADIOLOGIST, Role.DATA_MANAGER)]
    stranger = person(Role.ADJUDICATOR, InstitutionFactory())
    disagreement(case, anna, bert)
    assert told(judge) == ["disagreement"]
    assert [told(each) for each in (anna, bert, stranger, *others)] == [[]] * 6
    settle(judge, case)
    assert told(judge) == []


def test_undone_read_takes_the_disagreement_back(case, anna, bert, judge):
    final(anna, case, "tumour")
    read = final(bert, case, "no_tumour")
    assert told(judge) == ["disagreement"]
    pipeline.undo_read(by=bert, read=read)
    assert not Notification.objects.exists()


def test_returned_case_tells_its_reader_only(case, anna, bert, judge):
    send_back(judge, disagreement(case, anna, bert))
    assert (told(anna), told(bert), told(judge)) == (["returned"], [], [])
    double_reading.recall(by=judge, case=case, reason="It is urgent.")
    assert told(anna) == []


def test_second_opinion_tells_the_other_radiologists_once_it_can_be_given(institution, anna, bert, judge, case):
    institution.second_reader = SecondReader.NONE
    institution.save()
    claim = worklist.claim(by=anna, case=case)
    double_reading.ask_second_opinion(by=anna, case=case, claim_token=claim.token, comment="A cyst?")
    assert told(bert) == [], "there is nothing to read yet"
    final(anna, case)
    assert (told(bert), told(anna), told(judge)) == (["second_opinion"], [], [])


def test_second_reader_by_policy_is_no_news(case, anna, bert):
    """Where the AI picks who is read twice, being told would tell that it and the first reader differ."""
    final(anna, case)
    assert told(bert) == []


def test_failed_analysis_tells_whoever_handed_the_scan_in_until_it_is_retried(institution):
    technologist = person(Role.TECHNOLOGIST, institution)
    scan = ScanFactory(institution=institution, uploaded_by=technologist)
    PredictionFactory(scan=scan, queued=True, attempts=3)
    assert run_state.abandon_exhausted() == 1
    assert told(technologist) == ["prediction_failed"]
    predictions.retry(by=technologist, scan=scan)
    assert told(technologist) == []


def test_cause_that_is_rolled_back_tells_nobody(case, anna, judge):
    with pytest.raises(RuntimeError), transaction.atomic():
        worklist.assign(by=judge, cases=[case], to=anna)
        raise RuntimeError
    assert not Notification.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_notification_outside_a_transaction_is_refused():
    case = CaseFactory()
    with pytest.raises(NotInTransaction):
        notifications.notify(people=[1], kind=Kind.ASSIGNED, scan=case.scan, case=case.pk)


# --- what one may still know


def test_lost_membership_takes_the_notifications_along(case, anna, judge):
    worklist.assign(by=judge, cases=[case], to=anna)
    anna.memberships.all().delete()
    assert told(anna) == []
    MembershipFactory(user=anna, institution=case.institution, role=Role.TECHNOLOGIST)
    assert told(anna) == [], "another role in the same institution is not the one that was told"


def test_deactivated_person_has_none(case, anna, judge):
    worklist.assign(by=judge, cases=[case], to=anna)
    anna.is_active = False
    assert told(anna) == []


# --- what one chose


def test_kind_that_is_wanted_in_neither_way_is_not_written(case, anna, judge):
    notifications.choose(by=anna, in_portal=["returned"], by_mail=["returned"], digest=False)
    worklist.assign(by=judge, cases=[case], to=anna)
    assert not Notification.objects.exists()


def test_each_way_is_chosen_for_itself(case, anna, bert, judge):
    notifications.choose(by=anna, in_portal=["assigned"], by_mail=[], digest=False)
    notifications.choose(by=bert, in_portal=[], by_mail=["assigned"], digest=False)
    for reader in (anna, bert):
        worklist.assign(by=judge, cases=[case], to=reader)
        row = Notification.objects.get()
        assert (row.in_portal, row.mail_state) == ((True, "none") if reader == anna else (False, "waiting"))
    later()
    assert mail.send_due() == 1 and mailbox.outbox[0].to == [bert.email]


def test_unknown_kind_is_refused(anna):
    with pytest.raises(ValueError, match="prediction_failed"):
        notifications.choose(by=anna, in_portal=["gossip"], by_mail=[], digest=False)


# --- mail


@pytest.fixture
def assigned(case, anna, judge):
    worklist.assign(by=judge, cases=[case], to=anna)
    return Notification.objects.get()


def test_mail_waits_until_the_cause_can_no_longer_be_undone(assigned):
    assert not outbox.anything_to_mail() and mail.send_due() == 0
    assert assigned.mail_due_at - assigned.created_at > timedelta(seconds=reading.UNDO_SECONDS + 2)
    later()
    assert outbox.anything_to_mail() and mail.send_due() == 1
    assert not outbox.anything_to_mail() and mail.send_due() == 0
    assert len(mailbox.outbox) == 1


def test_mail_tells_the_kind_and_a_link_and_nothing_of_the_patient(assigned, case, anna, settings):
    settings.PUBLIC_URL = "https://overread.example.org"
    later()
    mail.send_due()
    (sent,) = mailbox.outbox
    assert sent.subject == "Overread: A case was assigned to you"
    assert f"https://overread.example.org/notifications/{assigned.pk}/" in sent.body
    whole = sent.message().as_string()
    scan = case.scan
    for secret in (scan.patient.pseudonym, scan.study.accession, str(case.pk), str(scan.pk), "tumour", "94", "judge"):
        assert secret not in whole.replace(str(assigned.pk), ""), secret
    assert sent.to == [anna.email]


def test_one_mail_takes_everything_that_is_due_for_one_person(case, anna, bert, judge):
    cases = [case, CaseFactory(scan=ScanFactory(institution=case.institution))]
    worklist.assign(by=judge, cases=cases, to=anna)
    later()
    assert mail.send_due() == 1
    assert mailbox.outbox[0].subject == "Overread: 2 notifications"
    assert set(Notification.objects.values_list("mail_state", flat=True)) == {"sent"}


@pytest.mark.parametrize("spoilt", ["access", "read", "address"])
def test_mail_about_what_is_no_longer_theirs_or_new_does_not_leave(assigned, anna, spoilt):
    if spoilt == "access":
        anna.memberships.all().delete()
    elif spoilt == "read":
        notifications.mark_read(Notification.objects.all())
    else:
        type(anna).objects.filter(pk=anna.pk).update(email="")
    later()
    assert mail.send_due() == 0 and mailbox.outbox == []
    assert Notification.objects.get().mail_state == MailState.NONE


def test_digest_waits_for_its_hour_and_takes_single_mails_in(assigned, anna, settings):
    notifications.choose(by=anna, in_portal=Kind.values, by_mail=Kind.values, digest=True)
    due = timezone.localtime(Notification.objects.get().mail_due_at)
    assert (due.hour, due.minute) == (settings.DIGEST_HOUR, 0)
    assert timezone.now() < due <= timezone.now() + timedelta(days=1)
    assert mail.send_due() == 0


@pytest.mark.parametrize(("hour", "days"), [(5, 0), (6, 1), (23, 1)])
def test_next_digest_is_today_before_its_hour_and_tomorrow_after(hour, days):
    now = timezone.localtime().replace(hour=hour, minute=0, second=0, microsecond=0)
    due = notifications.mail_due(notifications.NotificationChoices(digest=True), now)
    assert due == now.replace(hour=6) + timedelta(days=days)


def test_mail_that_the_server_refuses_is_tried_again_later_and_given_up_with_a_reason(assigned, monkeypatch, settings):
    def refuse(*_args, **_kwargs):
        raise smtplib.SMTPServerDisconnected("no")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    waits = []
    for attempt in range(settings.MAIL_ATTEMPTS):
        row = Notification.objects.get()
        assert (row.mail_state, row.mail_attempts) == (MailState.WAITING, attempt)
        later()
        before = timezone.now()
        assert mail.send_due() == 0
        waits.append(Notification.objects.get().mail_due_at - before)
    row = Notification.objects.get()
    assert row.mail_state == MailState.FAILED and "SMTPServerDisconnected" in row.mail_failure
    assert all(one < next_one for one, next_one in pairwise(waits)), "each wait is longer"
    assert not outbox.anything_to_mail()


def test_worker_that_dies_before_it_hands_over_is_followed_by_another(assigned):
    later()
    fence, _rows = outbox.claim_mail()
    assert outbox.claim_mail() is None, "nobody else takes it meanwhile"
    Notification.objects.update(mail_lease_until=timezone.now() - timedelta(seconds=1))
    assert outbox.anything_to_mail() and mail.send_due() == 1
    assert outbox.begin_sending(fence, [assigned.pk]) == [], "the one who slept sends nothing"
    assert len(mailbox.outbox) == 1


def test_worker_that_dies_while_it_hands_over_leaves_a_mail_that_is_not_sent_twice(assigned, monkeypatch):
    def die(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("django.core.mail.EmailMessage.send", die)
    later()
    with pytest.raises(KeyboardInterrupt):
        mail.send_due()
    monkeypatch.undo()
    assert mail.send_due() == 0
    Notification.objects.update(mail_lease_until=timezone.now() - timedelta(seconds=1))
    assert outbox.anything_to_mail() and mail.send_due() == 0
    row = Notification.objects.get()
    assert (row.mail_state, mailbox.outbox) == (MailState.FAILED, []) and "Nobody can tell" in row.mail_failure


# --- what the database holds


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": "gossip"},
        {"kind": "mentioned"},
        {"case": None},
        {"mail_state": "claimed"},
        {"mail_state": "sent"},
        {"mail_state": "failed"},
        {"mail_state": "none", "mail_failure": "why"},
        {"mail_due_at": None},
    ],
)
def test_row_that_cannot_be_is_refused_by_the_database(assigned, broken):
    with pytest.raises(IntegrityError), transaction.atomic():
        Notification.objects.filter(pk=assigned.pk).update(**broken)


def test_same_matter_unread_is_there_once(assigned, case, anna):
    with transaction.atomic():
        notifications.notify(people=[anna.pk, anna.pk], kind=Kind.ASSIGNED, scan=case.scan, case=case.pk)
    assert Notification.objects.count() == 1
    copy = Notification.objects.get()
    copy.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        copy.save(force_insert=True)
    notifications.mark_read(Notification.objects.all())
    with transaction.atomic():
        notifications.notify(people=[anna.pk], kind=Kind.ASSIGNED, scan=case.scan, case=case.pk)
    assert Notification.objects.count() == 2
    assert not notifications.mark_unread(Notification.objects.exclude(read_at=None).get())


def test_person_without_any_role_is_told_nothing():
    assert told(UserFactory()) == []

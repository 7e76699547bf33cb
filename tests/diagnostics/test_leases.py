"""What holds of every row that is leased to a worker, whoever leases it."""

import contextlib
from datetime import timedelta

import pytest
from django.utils import timezone

from diagnostics.training.run_state import LostLease
from tests.diagnostics.leased import USERS
from tests.diagnostics.test_registry import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture(params=USERS)
def user(request):
    return USERS[request.param]


@pytest.fixture
def row(user):
    return user.make().pk


def finish(user, held):
    """End the work; a worker that has lost its row may be told so."""
    with contextlib.suppress(LostLease):
        user.finish(held)


def taken_over(user, row):
    """What a worker holds that slept past its lease, and what the one holds that followed it."""
    slow = user.claim(row)
    user.let_the_lease_run_out(row)
    return slow, user.claim(row)


@pytest.mark.django_db(transaction=True)
def test_row_that_four_claim_at_once_is_claimed_by_one(user, row):
    answers = at_once(*[lambda: user.claim(row)] * 4)
    held = [answer for answer in answers if answer is not None]
    assert len(held) == 1, answers
    now = user.now(row)
    assert (now.state, now.fence, now.attempts) == (user.leases.running, user.token(held[0]), 1)
    assert now.lease_until > timezone.now()


def test_held_row_is_claimed_by_nobody_else(user, row):
    held = user.claim(row)
    assert user.claim(row) is None and user.now(row).fence == user.token(held)


def test_row_of_a_dead_worker_is_claimed_again_under_another_token(user, row):
    slow, quick = taken_over(user, row)
    now = user.now(row)
    assert (now.fence, now.attempts) == (user.token(quick), 2) and user.token(slow) != user.token(quick)
    assert now.lease_until > timezone.now()


def test_finish_under_an_old_token_changes_nothing(user, row):
    slow, quick = taken_over(user, row)
    before = user.now(row)
    finish(user, slow)
    assert user.now(row) == before
    finish(user, quick)
    assert user.now(row).state == user.done and user.now(row).lease_until is None


def test_finish_twice_is_once(user, row):
    held = user.claim(row)
    finish(user, held)
    before = user.now(row)
    finish(user, held)
    assert user.now(row) == before and before.state == user.done
    assert user.claim(row) is None, "what has ended is not begun again"


def test_renew_keeps_the_lease_and_is_refused_after_the_row_was_lost(user, row):
    slow = user.claim(row)
    user.let_the_lease_run_out(row)
    assert user.leases.renew(user.token(slow)) == 1, "nobody has taken it yet"
    assert user.now(row).lease_until > timezone.now() and user.claim(row) is None
    user.let_the_lease_run_out(row)
    user.claim(row)
    before = user.now(row)
    assert user.leases.renew(user.token(slow)) == 0 and user.now(row) == before


def test_row_that_is_given_back_waits_and_its_token_is_worth_nothing(user, row):
    held = user.claim(row)
    assert user.leases.give_back(user.token(held)) == 1
    now = user.now(row)
    assert (now.state, now.fence, now.lease_until, now.attempts) == (user.leases.waiting, None, None, 1)
    finish(user, held)
    assert user.now(row) == now and user.leases.give_back(user.token(held)) == 0
    assert user.claim(row) is not None and user.now(row).attempts == 2


def test_look_that_was_no_attempt_does_not_count(user, row):
    for _ in range(user.leases.attempts() + 1):
        held = user.claim(row)
        user.leases.give_back(user.token(held), counted=False)
    assert user.now(row).attempts == 0


def test_row_that_brings_each_worker_down_ends_with_a_reason(user, row):
    for _ in range(user.leases.attempts()):
        assert user.claim(row) is not None
        user.let_the_lease_run_out(row)
    assert user.claim(row) is None
    user.reconcile()
    now = user.now(row)
    assert now.state == "failed" and now.lease_until is None and now.reason.endswith("."), now
    assert user.claim(row) is None and not user.reconcile()
    assert user.now(row) == now


def test_row_that_a_worker_holds_is_never_given_up(user, row):
    for _ in range(user.leases.attempts()):
        held = user.claim(row)
        user.let_the_lease_run_out(row)
    user.leases.renew(user.token(held))
    user.reconcile()
    assert user.now(row).fence == user.token(held)
    finish(user, held)
    assert user.now(row).state == user.done


def test_row_that_was_claimed_meanwhile_is_neither_given_up_nor_queued_again(user, row):
    user.claim(row)
    user.let_the_lease_run_out(row)
    seen = user.leases.model._default_manager.get(pk=row)
    quick = user.claim(row)
    user.let_the_lease_run_out(row)
    assert user.leases.abandon(user.leases.as_seen(seen), state="failed") == 0
    assert user.leases.requeue(user.leases.as_seen(seen)) == 0
    assert user.now(row).fence == user.token(quick)


def test_reconcile_finds_a_waiting_row_whose_message_was_lost(user, row):
    user.let_it_wait_long(row)
    assert user.reconcile()
    assert user.claim(row) is not None and not user.reconcile(), "a worker has it"


def test_reconcile_finds_the_row_of_a_dead_worker(user, row):
    user.claim(row)
    assert not user.reconcile()
    user.let_the_lease_run_out(row)
    assert user.reconcile()
    assert user.claim(row) is not None


@pytest.mark.django_db(transaction=True)
def test_reconcile_at_once_gives_up_once(user, row):
    for _ in range(user.leases.attempts()):
        user.claim(row)
        user.let_the_lease_run_out(row)
    answers = at_once(*[user.reconcile] * 4)
    assert not [answer for answer in answers if isinstance(answer, Exception)], answers
    assert user.now(row).state == "failed"


def test_restart_takes_the_row_from_its_worker_and_counts_anew(user, row):
    held = user.claim(row)
    user.leases.restart(user.leases.model._default_manager.filter(pk=row))
    now = user.now(row)
    assert (now.state, now.fence, now.lease_until, now.attempts) == (user.leases.waiting, None, None, 0)
    finish(user, held)
    assert user.now(row) == now


def test_lease_is_as_long_as_its_room_says(user, row):
    before = timezone.now()
    user.claim(row)
    wanted = before + timedelta(seconds=user.leases.seconds())
    assert abs(user.now(row).lease_until - wanted) < timedelta(seconds=10)

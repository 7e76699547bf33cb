"""A transaction around what a test does, which is taken back."""

from django.db import transaction


def around() -> transaction.Atomic:
    """``transaction.atomic()`` of the test's own: what runs inside may ask for an outermost one, as it would get it in
    a request. Django marks the transactions of its own test cases in the same way."""
    block = transaction.atomic()
    block._from_testcase = True
    return block

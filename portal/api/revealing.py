"""Being told the AI's opinion is the reveal: a reader's program that asks for it can no longer undo the blind read.

On the reading page the reveal is a button. Here it is the question itself, so that a program that states a blind read
and then asks for the opinion needs no further request. What is asked for is recorded before it is answered.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from diagnostics.actors import Actor
from diagnostics.reviews import reading


def told(person: Actor, rows: Sequence[Any], *, scan: Callable[[Any], UUID], says: Callable[[Any], bool]) -> None:
    """Take the blinds off ``rows`` that ``person`` has locked a blind read of, and record where an opinion is told.

    Each row has ``blinded`` and ``revealable`` (:func:`diagnostics.reviews.queries.may_be_revealed`). ``scan`` gives
    its scan's id, ``says`` whether there is an opinion to be told.
    """
    waiting = [row for row in rows if row.blinded and row.revealable]
    wanted = {scan(row) for row in waiting if says(row)}
    revealed = reading.reveal_scans(by=person, scans=wanted) if wanted else set()
    for row in waiting:
        row.blinded = says(row) and scan(row) not in revealed


def before_final(person: Actor, case: Any, said: Any) -> None:
    """Reveal before a final read that comes with an Idempotency-Key: a refusal would take back what it did."""
    if case is not None and isinstance(said, Mapping) and said.get("stage") == "final":
        reading.reveal_before_final(by=person, case=case, claim_token=said.get("claim_token"))

"""What two readers said, without their names, for the adjudicator who settles between them."""

from dataclasses import dataclass

from diagnostics.actors import Actor
from diagnostics.cases.models import Case, Stage
from diagnostics.reviews.models import ReadKind
from diagnostics.reviews.queries import final_read_at, live_claim
from diagnostics.reviews.thread import READERS

from .statement import Door, beside_label, columns


@dataclass(frozen=True)
class Statement:
    """What one of two readers said, without who it was: by field, and in words. ``reader`` is ``a`` or ``b``."""

    reader: str
    said: dict[str, object]
    label_words: str
    beside: str
    comment: str


def statements_for(user: Actor, case: Case) -> list[Statement]:
    """Both readers' labels for the adjudicator who holds the case, unnamed; for anybody else nothing.

    A comment is shown only from a blind read by which its reader stood: whatever was written after the reveal, and a
    change of mind itself, would tell what the AI thinks.
    """
    held = live_claim(user, case)
    if held is None or held.stage != Stage.ADJUDICATION:
        return []
    said = []
    for letter, stage in READERS.items():
        final = final_read_at(case, stage)
        if final is None:
            continue
        blind = case.reads.filter(reader=final.reader_id, kind=ReadKind.BLIND, label=final.label).first()
        comment = blind.comment if blind is not None else ""
        fields = {name: getattr(final, name) for name in columns(Door.THREAD)} | {"comment": comment}
        said.append(
            Statement(
                reader=letter,
                said=fields,
                label_words=str(final.get_label_display()),
                beside=beside_label(final).lower(),
                comment=comment,
            )
        )
    return said

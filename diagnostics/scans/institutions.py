"""Make an institution, and change what may be changed about one."""

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.audit.services import record

from .access import NotAllowed, Permission, require
from .model_administrators import appoint_those_of_the_only_institution
from .models import Institution

# How cases are read, and in which order; each has a default.
POLICIES = (
    "second_reader",
    "second_share",
    "control_share",
    "worklist_order",
    "identity",
    "due_stat",
    "due_urgent",
    "due_routine",
)


def _known(policies: dict[str, object]) -> dict[str, object]:
    unknown = sorted(set(policies) - set(POLICIES))
    if unknown:
        raise TypeError(f"No such policy: {', '.join(unknown)}. Known are: {', '.join(POLICIES)}.")
    return {name: value for name, value in policies.items() if value is not None}


@transaction.atomic
def make_institution(*, by: Actor, code: str, name: str, reading_mode: str, **policies: object) -> Institution:
    """Make an institution; only whoever administers the whole installation may. ``policies`` are of ``POLICIES``.

    Raises
    ------
    NotAllowed
        ``by`` is no superuser.
    ValidationError
        The code is taken or cannot be one, or the policies do not go together.
    """
    if not (by.is_active and by.is_superuser):
        raise NotAllowed(_("Only the administrator of the installation makes institutions."))
    institution = Institution(code=code, name=name, reading_mode=reading_mode, **_known(policies))
    institution.full_clean()
    appoint_those_of_the_only_institution(by=by)
    institution.save()
    record(by=by, act="institution_made", target=institution, institution=institution, code=code)
    return institution


@transaction.atomic
def change_institution(
    *, by: Actor, institution: Institution, name: str, reading_mode: str, **policies: object
) -> Institution:
    """Change an institution's name or policies (of ``POLICIES``; None leaves one as it is).

    Reads keep the mode in which they were made, a case that has a second reader keeps them, and one that waits keeps
    the time by which it is due.

    Raises
    ------
    NotAllowed
        ``by`` does not administer it.
    ValidationError
        The name or a policy cannot be one, or the policies do not go together.
    """
    require(by, Permission.ADMINISTER, institution)
    row = Institution.objects.select_for_update().get(pk=institution.pk)
    wanted: dict[str, object] = {"name": name, "reading_mode": reading_mode, **_known(policies)}
    changed = {key: value for key, value in wanted.items() if getattr(row, key) != value}
    for key, value in changed.items():
        setattr(row, key, value)
    row.full_clean()
    if changed:
        row.save(update_fields=list(changed))
        record(by=by, act="institution_changed", target=row, institution=row, **changed)
    return row

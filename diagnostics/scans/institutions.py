"""Make an institution, and change what may be changed about one."""

from typing import Any

from django.db import transaction

from diagnostics.audit.services import record

from .access import NotAllowed, Permission, require
from .models import Institution


@transaction.atomic
def make_institution(*, by: Any, code: str, name: str, reading_mode: str) -> Institution:
    """Make an institution; only whoever administers the whole installation may.

    Raises
    ------
    NotAllowed
        ``by`` is no superuser.
    ValidationError
        The code is taken or cannot be one.
    """
    if not (by.is_active and by.is_superuser):
        raise NotAllowed("Only the administrator of the installation makes institutions.")
    institution = Institution(code=code, name=name, reading_mode=reading_mode)
    institution.full_clean()
    institution.save()
    record(by=by, act="institution_made", target=institution, institution=institution, code=code)
    return institution


@transaction.atomic
def change_institution(*, by: Any, institution: Institution, name: str, reading_mode: str) -> Institution:
    """Change an institution's name or how its cases are read; reads keep the mode in which they were made.

    Raises
    ------
    NotAllowed
        ``by`` does not administer it.
    ValidationError
        The name or mode cannot be one.
    """
    require(by, Permission.ADMINISTER, institution)
    row = Institution.objects.select_for_update().get(pk=institution.pk)
    before = {"name": row.name, "reading_mode": row.reading_mode}
    row.name, row.reading_mode = name, reading_mode
    row.full_clean()
    changed = {key: value for key, value in (("name", name), ("reading_mode", reading_mode)) if before[key] != value}
    if changed:
        row.save(update_fields=list(changed))
        record(by=by, act="institution_changed", target=row, institution=row, **changed)
    return row

"""Make an institution, and change what may be changed about one."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from diagnostics.audit.services import record

from .access import NotAllowed, Permission, require
from .models import Institution, SecondReader


@transaction.atomic
def make_institution(
    *,
    by: Any,
    code: str,
    name: str,
    reading_mode: str,
    second_reader: str = SecondReader.NONE,
    second_share: int = 10,
) -> Institution:
    """Make an institution; only whoever administers the whole installation may.

    Raises
    ------
    NotAllowed
        ``by`` is no superuser.
    ValidationError
        The code is taken or cannot be one, or the policies do not go together.
    """
    if not (by.is_active and by.is_superuser):
        raise NotAllowed(_("Only the administrator of the installation makes institutions."))
    institution = Institution(
        code=code, name=name, reading_mode=reading_mode, second_reader=second_reader, second_share=second_share
    )
    institution.full_clean()
    institution.save()
    record(by=by, act="institution_made", target=institution, institution=institution, code=code)
    return institution


@transaction.atomic
def change_institution(
    *,
    by: Any,
    institution: Institution,
    name: str,
    reading_mode: str,
    second_reader: str | None = None,
    second_share: int | None = None,
) -> Institution:
    """Change an institution's name or how its cases are read; None leaves a policy as it is.

    Reads keep the mode in which they were made, and a case that has a second reader keeps them.

    Raises
    ------
    NotAllowed
        ``by`` does not administer it.
    ValidationError
        The name or a policy cannot be one, or the policies do not go together.
    """
    require(by, Permission.ADMINISTER, institution)
    row = Institution.objects.select_for_update().get(pk=institution.pk)
    wanted: dict[str, Any] = {
        "name": name,
        "reading_mode": reading_mode,
        "second_reader": second_reader,
        "second_share": second_share,
    }
    changed = {key: value for key, value in wanted.items() if value is not None and getattr(row, key) != value}
    for key, value in changed.items():
        setattr(row, key, value)
    row.full_clean()
    if changed:
        row.save(update_fields=list(changed))
        record(by=by, act="institution_changed", target=row, institution=row, **changed)
    return row

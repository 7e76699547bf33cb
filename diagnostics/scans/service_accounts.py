"""Accounts that belong to a program, not to a person."""

from django.contrib.auth import get_user_model
from django.db import transaction

from diagnostics.actors import Account
from diagnostics.audit.services import record

from .access import Role
from .models import Institution, Membership


@transaction.atomic
def importer_of(institution: Institution) -> Account:
    """The account in whose name ``manage.py import_folder`` uploads; made where it is missing.

    It has no password, so nobody can sign in with it.
    """
    User = get_user_model()
    importer, made = User.objects.get_or_create(
        username=f"import-{institution.code}", defaults={"last_name": "Import"}
    )
    if made:
        importer.set_unusable_password()
        importer.save(update_fields=["password"])
    _, given = Membership.objects.get_or_create(user=importer, institution=institution, role=Role.TECHNOLOGIST)
    if given:
        record(by=None, act="role_given", target=importer, institution=institution, role=Role.TECHNOLOGIST.value)
    return importer

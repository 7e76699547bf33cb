"""Who may change the model that all institutions share (ADR 0012)."""

from django.contrib.auth import get_user_model
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Account, Actor, account_of
from diagnostics.audit.services import record

from .access import OF_THE_SHARED_MODEL, NotAllowed, roles_with
from .models import Institution, Membership, ModelAdministrator
from .services import InvalidEntry

_ROLES = sorted({role for permission in OF_THE_SHARED_MODEL for role in roles_with(permission)})


@transaction.atomic
def appoint(*, by: Actor | None, user: Actor) -> bool:
    """Make ``user`` a model administrator; whether they were none before. ``by`` None is the command line.

    Raises
    ------
    NotAllowed
        ``by`` is no superuser.
    InvalidEntry
        ``user`` has no role that works with models, so nothing would come of it.
    """
    _require_the_installation(by)
    if not user.is_superuser and not Membership.objects.filter(user=account_of(user), role__in=_ROLES).exists():
        raise InvalidEntry("user", _("Make this person a data manager or administrator first."))
    _row, made = ModelAdministrator.objects.get_or_create(user=account_of(user))
    user.__dict__.pop("_answers", None)
    if made:
        record(by=by, act="model_administrator_made", target=account_of(user))
    return made


@transaction.atomic
def dismiss(*, by: Actor | None, user: Actor) -> bool:
    """Let ``user`` be a model administrator no longer; whether they were one.

    Raises
    ------
    NotAllowed
        ``by`` is no superuser.
    """
    _require_the_installation(by)
    ended, _by_model = ModelAdministrator.objects.filter(user=account_of(user)).delete()
    user.__dict__.pop("_answers", None)
    if ended:
        record(by=by, act="model_administrator_ended", target=account_of(user))
    return bool(ended)


def appoint_those_of_the_only_institution(*, by: Actor | None) -> list[Account]:
    """Before a second institution is made: whoever changes models now keeps that; the people appointed.

    Called in the transaction that makes an institution. A superuser may dismiss them afterwards.
    """
    places = list(Institution.objects.order_by().values_list("pk", flat=True)[:2])
    if len(places) != 1 or ModelAdministrator.objects.exists():
        return []
    people = appointable().filter(memberships__institution=places[0]).distinct()
    for person in people:
        ModelAdministrator.objects.create(user=person)
        record(by=by, act="model_administrator_made", target=person)
    return list(people)


def appointable() -> models.QuerySet[Account]:
    """The active people whose roles work with models."""
    people = get_user_model()._default_manager.filter(is_active=True)
    return people.filter(pk__in=Membership.objects.filter(role__in=_ROLES).values("user"))


def _require_the_installation(by: Actor | None) -> None:
    if by is not None and not (by.is_active and by.is_superuser):
        raise NotAllowed(_("Only the administrator of the installation appoints model administrators."))

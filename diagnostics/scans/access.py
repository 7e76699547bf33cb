"""Who may do what where: the questions asked before every act.

The answers live in the domain, not in the views, so that a page, the API and the admin cannot differ (ADR 0003).
"""

from collections.abc import Iterable, Sequence

from django.db import models
from django.utils.functional import lazy
from django.utils.text import get_text_list
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.errors import Denied, Message

from .institution_models import Institution, Membership, ModelAdministrator
from .roles import OF_THE_SHARED_MODEL, PERMISSIONS, READING_ROLES, Permission, Role, roles_with

__all__ = [
    "OF_THE_SHARED_MODEL",
    "PERMISSIONS",
    "READING_ROLES",
    "NotAllowed",
    "Permission",
    "Role",
    "hold",
    "institutions_where",
    "may",
    "memberships_of",
    "places_with",
    "require",
    "roles_with",
    "within",
]


# Kept on the user for one request, under these names.
_HELD, _ANSWERS = "_held", "_answers"


class NotAllowed(Denied):
    """The person lacks the permission; ``str()`` is a sentence that may be shown to them."""


def institutions_where(user: Actor, permission: Permission) -> models.QuerySet[Institution]:
    """Institutions in which ``user`` has ``permission``.

    A superuser of the installation acts as administrator everywhere. Nobody inactive has any permission.
    """
    if not user.is_authenticated or not user.is_active:
        return Institution.objects.none()
    if user.is_superuser and permission in PERMISSIONS[Role.ADMINISTRATOR]:
        return Institution.objects.all()
    return Institution.objects.filter(pk__in=places_with(user, roles_with(permission)))


def within(user: Actor, permission: Permission, path: str = "institution") -> models.Q:
    """SQL for "the row belongs to an institution in which ``user`` has ``permission``"; ``path`` leads there from it.

    The same as ``institution__in=institutions_where(…)``, with ids that are known instead of sub-queries: making their
    SQL was most of what a page cost.
    """
    if not user.is_authenticated or not user.is_active:
        return models.Q(pk__in=())
    if user.is_superuser and permission in PERMISSIONS[Role.ADMINISTRATOR]:
        return models.Q(**{f"{path}__isnull": False})
    return models.Q(**{f"{path}__in": sorted(places_with(user, roles_with(permission)))})


def may(user: Actor, permission: Permission, institution: object = None) -> bool:
    """Whether ``user`` has ``permission`` in ``institution``, or (None) in any."""
    if not user.is_authenticated or not user.is_active:
        return False
    if user.is_superuser and permission in PERMISSIONS[Role.ADMINISTRATOR]:
        return True
    wanted = roles_with(permission)
    place = getattr(institution, "pk", institution)
    held = any(role in wanted and place in (None, pk) for pk, role in _held_roles(user))
    return held and (permission not in OF_THE_SHARED_MODEL or _answers_for_the_model(user))


def _answers_for_the_model(user: Actor) -> bool:
    """Whether ``user`` may change what serves every institution: there is only theirs, or they are appointed."""
    kept: bool | None = getattr(user, _ANSWERS, None)  # for one request, as the memberships are
    if kept is None:
        several = len(Institution.objects.order_by().values_list("pk")[:2]) > 1
        kept = not several or ModelAdministrator.objects.filter(user=account_of(user)).exists()
        setattr(account_of(user), _ANSWERS, kept)
    return kept


def places_with(user: Actor, roles: Iterable[str]) -> frozenset[int]:
    """The ids of the institutions in which ``user`` holds one of ``roles``."""
    wanted = frozenset(roles)
    return frozenset(place for place, role in _held_roles(user) if role in wanted)


def _held_roles(user: Actor) -> frozenset[tuple[int, str]]:
    """(institution id, role) of each membership."""
    return frozenset((each.institution_id, each.role) for each in memberships_of(user))


def memberships_of(user: Actor) -> list[Membership]:
    """The memberships of ``user``, each with its institution.

    Kept on the user for one request: a page asks a dozen times. A new request loads the user anew.
    """
    held: list[Membership] | None = getattr(user, _HELD, None)
    if held is None:
        held = list(account_of(user).memberships.select_related("institution"))
        hold(user, held)
    return held


def hold(user: Actor, memberships: list[Membership]) -> None:
    """Let a user who was loaded together with their memberships know them, for one request."""
    setattr(account_of(user), _HELD, memberships)


def require(user: Actor, permission: Permission, institution: object = None, *, sentence: Message = "") -> None:
    """Raise unless ``user`` has ``permission`` in ``institution`` (None: anywhere).

    Raises
    ------
    NotAllowed
        With ``sentence``, or one that names the roles that may.
    """
    if may(user, permission, institution):
        return
    if sentence:
        raise NotAllowed(sentence)
    roles = roles_with(permission)
    if permission in OF_THE_SHARED_MODEL and places_with(user, roles):
        raise NotAllowed(_("This needs a model administrator, because several institutions share the model."))
    raise NotAllowed(_("This needs the role %(roles)s."), {"roles": lazy(_either, str)(roles)})


def _either(roles: Sequence[Role]) -> str:
    return get_text_list([str(role.label) for role in roles], gettext("or"))

"""Who may do what where: roles, the permissions they carry, and the questions asked before every act.

The answers live in the domain, not in the views, so that a page, the API and the admin cannot differ (ADR 0003).
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from django.db import models
from django.utils.functional import lazy
from django.utils.text import get_text_list
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.errors import Denied, Message


class Role(models.TextChoices):
    TECHNOLOGIST = "technologist", _("Technologist")
    RADIOLOGIST = "radiologist", _("Radiologist")
    ADJUDICATOR = "adjudicator", _("Adjudicator")
    DATA_MANAGER = "data_manager", _("Data manager")
    ADMINISTRATOR = "administrator", _("Administrator")


class Permission(StrEnum):
    SEE_SCANS = "see_scans"  # scans, patients and cases of the institution
    SUBMIT_SCAN = "submit_scan"
    RETRY_PREDICTION = "retry_prediction"
    READ_CASE = "read_case"  # claim, read, amend one's own reads
    ADJUDICATE = "adjudicate"
    SEE_OPINIONS = "see_opinions"  # the AI's opinion before the reader has spoken
    SEE_READS = "see_reads"  # reads of others while a case is open
    FREEZE_DATASET = "freeze_dataset"
    TRAIN = "train"
    SEE_MODELS = "see_models"
    PROPOSE_PROMOTION = "propose_promotion"  # asks, and changes nothing
    ASSIGN_MODEL_ALIASES = "assign_model_aliases"  # let a model challenge, put one aside
    PROMOTE = "promote"  # also: approve what somebody proposed, roll back, declare the gate's rules
    SET_LIMITS = "set_limits"  # of the alerts about the model in use
    SEE_AUDIT = "see_audit"
    ADMINISTER = "administer"


_DATA_MANAGER = frozenset(
    {
        Permission.SEE_SCANS,
        Permission.SUBMIT_SCAN,  # imports folders, so uploads
        Permission.RETRY_PREDICTION,
        Permission.SEE_OPINIONS,
        Permission.SEE_READS,
        Permission.FREEZE_DATASET,
        Permission.TRAIN,
        Permission.SEE_MODELS,
        Permission.PROPOSE_PROMOTION,
        Permission.ASSIGN_MODEL_ALIASES,
    }
)
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.TECHNOLOGIST: frozenset({Permission.SEE_SCANS, Permission.SUBMIT_SCAN, Permission.RETRY_PREDICTION}),
    Role.RADIOLOGIST: frozenset({Permission.SEE_SCANS, Permission.READ_CASE, Permission.RETRY_PREDICTION}),
    Role.ADJUDICATOR: frozenset({Permission.SEE_SCANS, Permission.ADJUDICATE, Permission.RETRY_PREDICTION}),
    Role.DATA_MANAGER: _DATA_MANAGER,
    Role.ADMINISTRATOR: _DATA_MANAGER
    | {Permission.PROMOTE, Permission.SET_LIMITS, Permission.SEE_AUDIT, Permission.ADMINISTER},
}
# All institutions are served by one model: where there are several, a role in one of them is not enough (ADR 0012).
OF_THE_SHARED_MODEL = frozenset({Permission.ASSIGN_MODEL_ALIASES, Permission.PROMOTE, Permission.SET_LIMITS})
# Whoever may still be asked to read a case stays blind to it, whatever other roles they hold.
READING_ROLES = (Role.RADIOLOGIST, Role.ADJUDICATOR)


class NotAllowed(Denied):
    """The person lacks the permission; ``str()`` is a sentence that may be shown to them."""


def roles_with(permission: Permission) -> list[Role]:
    """The roles that carry a permission."""
    return [role for role, carried in PERMISSIONS.items() if permission in carried]


def institutions_where(user: Actor, permission: Permission) -> models.QuerySet[Any]:
    """Institutions in which ``user`` has ``permission``.

    A superuser of the installation acts as administrator everywhere. Nobody inactive has any permission.
    """
    from .models import Institution  # the models need Role first

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
    from .models import Institution, ModelAdministrator  # the models need Role first

    kept: bool | None = getattr(user, "_answers", None)  # for one request, as the memberships are
    if kept is None:
        several = len(Institution.objects.order_by().values_list("pk")[:2]) > 1
        kept = not several or ModelAdministrator.objects.filter(user=account_of(user)).exists()
        account_of(user)._answers = kept
    return kept


def places_with(user: Actor, roles: Iterable[str]) -> frozenset[Any]:
    """The ids of the institutions in which ``user`` holds one of ``roles``."""
    wanted = frozenset(roles)
    return frozenset(place for place, role in _held_roles(user) if role in wanted)


def _held_roles(user: Actor) -> frozenset[tuple[Any, str]]:
    """(institution id, role) of each membership."""
    return frozenset((each.institution_id, each.role) for each in memberships_of(user))


def memberships_of(user: Actor) -> list[Any]:
    """The memberships of ``user``, each with its institution.

    Kept on the user for one request: a page asks a dozen times. A new request loads the user anew.
    """
    held: list[Any] | None = getattr(user, "_held", None)
    if held is None:
        held = list(account_of(user).memberships.select_related("institution"))
        hold(user, held)
    return held


def hold(user: Actor, memberships: list[Any]) -> None:
    """Let a user who was loaded together with their memberships know them, for one request."""
    account_of(user)._held = memberships


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

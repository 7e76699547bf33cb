"""Who belongs where: give a role, take it away, and what an administrator may look up about it."""

from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.dispatch import Signal
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Account, Actor, account_of
from diagnostics.audit.models import AuditEvent
from diagnostics.audit.services import record

from .access import PERMISSIONS, NotAllowed, Permission, Role, institutions_where, require
from .folding import folded
from .model_administrators import appoint_those_of_the_only_institution
from .models import Institution, Membership
from .services import InvalidEntry

# The Django admin is a place of work for these; what they may do in it is asked of `may` again at each act.
ADMIN_ROLES = tuple(role for role, carried in PERMISSIONS.items() if Permission.TRAIN in carried)


@dataclass(frozen=True)
class Joined:
    """The membership, and what was new about it."""

    membership: Membership
    created: bool
    institution_made: bool


@transaction.atomic
def add_member(*, by: Actor | None, user: Actor, institution_code: str, role: Role | str) -> Joined:
    """Give ``user`` a role in an institution. ``by`` None is the command line, which also makes the institution.

    Giving a role twice is giving it once: ``created`` says which it was.

    Raises
    ------
    NotAllowed
        ``by`` does not administer this institution.
    InvalidEntry
        There is no such role or institution, or the code cannot be one.
    """
    if role not in Role.values:
        raise InvalidEntry(
            "role",
            _("There is no role “%(role)s”. Choose one of: %(known)s."),
            {"role": role, "known": ", ".join(Role.values)},
        )
    if by is not None:
        require(by, Permission.ADMINISTER)
    institution = _institution(by, institution_code)
    institution_made = institution is None
    if institution is None:
        institution = _make_institution(institution_code)
    account = account_of(user)
    membership, created = Membership.objects.get_or_create(user=account, institution=institution, role=role)
    if role in ADMIN_ROLES and not account.is_staff:
        type(account).objects.filter(pk=account.pk).update(is_staff=True)
        account.is_staff = True
    if created:
        account.__dict__.pop("_held", None)
        record(by=by, act="role_given", target=account, institution=institution, role=str(role))
    return Joined(membership, created, institution_made)


# What becomes of the work of somebody who leaves is known to the rooms further on the way, which listen here. Sent
# inside the transaction, with ``by``, ``user`` and ``work_to``: before the act, which a listener may refuse by raising
# ``InvalidEntry``, and after it.
leaving = Signal()
left = Signal()


@transaction.atomic
def remove_member(*, by: Actor | None, membership: Membership, work_to: Actor | None = None) -> None:
    """Take a role away from somebody; what they did stays theirs.

    What they hold or are kept as a reader here goes back to everybody, or to the reader ``work_to``.

    Raises
    ------
    NotAllowed
        ``by`` does not administer this institution.
    InvalidEntry
        It is one's own role of administrator: nobody locks themselves out. Or ``work_to`` cannot get the work.
    """
    if by is not None:
        require(by, Permission.ADMINISTER, membership.institution)
        if membership.user_id == by.pk and membership.role == Role.ADMINISTRATOR and not by.is_superuser:
            raise InvalidEntry("role", _("You cannot remove your own administrator role. Ask another administrator."))
    user = membership.user
    leaving.send(sender=Membership, by=by, user=user, work_to=work_to)
    record(by=by, act="role_taken", target=user, institution=membership.institution, role=str(membership.role))
    membership.delete()
    if not user.is_superuser and not user.memberships.filter(role__in=ADMIN_ROLES).exists():
        type(user).objects.filter(pk=user.pk).update(is_staff=False)
    left.send(sender=Membership, by=by, user=user, work_to=work_to)


@transaction.atomic
def deactivate(*, by: Actor | None, user: Actor, work_to: Actor | None = None) -> None:
    """Let somebody sign in no longer; what they did stays theirs. Twice is once. ``by`` None is the command line.

    What they hold or are kept as a reader goes back to everybody, or to the reader ``work_to``.

    Raises
    ------
    NotAllowed
        ``by`` does not administer all that this person belongs to.
    InvalidEntry
        It is one's own account, or ``work_to`` cannot get the work.
    """
    if by is not None:
        require(by, Permission.ADMINISTER)
        if by.pk == user.pk:
            raise InvalidEntry("is_active", _("You cannot deactivate your own account. Ask another administrator."))
        if not people_administered_by(by).filter(pk=account_of(user).pk).exists():
            raise NotAllowed(_("Only an administrator of this person may do this."))
    account = account_of(user)
    leaving.send(sender=type(user), by=by, user=user, work_to=work_to)
    if type(account).objects.filter(pk=account.pk, is_active=True).update(is_active=False):
        places = list(Institution.objects.filter(memberships__user=account).distinct()[:2])
        only = places[0] if len(places) == 1 else None
        record(by=by, act="person_deactivated", target=account, institution=only)
    account.is_active = False
    left.send(sender=type(user), by=by, user=user, work_to=work_to)


def _institution(by: Actor | None, code: str) -> Institution | None:
    """The institution with this code, as far as ``by`` administers it; None only where it may be made."""
    if by is None:
        return Institution.objects.filter(code_folded=folded(code)).first()
    found = institutions_where(by, Permission.ADMINISTER).filter(code_folded=folded(code)).first()
    if found is None:
        raise InvalidEntry("institution", _("You do not administer an institution “%(code)s”."), {"code": code})
    return found


def _make_institution(code: str) -> Institution:
    institution = Institution(code=code, name=code.replace("-", " ").replace("_", " ").capitalize())
    try:
        institution.full_clean()
    except ValidationError as error:
        raise InvalidEntry(
            "institution",
            _("“%(code)s” cannot be an institution's code: use up to 40 letters, digits, hyphens and underscores."),
            {"code": code},
        ) from error
    appoint_those_of_the_only_institution(by=None)
    institution.save()
    record(by=None, act="institution_made", target=institution, institution=institution, code=code)
    return institution


def people_administered_by(user: Actor) -> models.QuerySet[Account]:
    """The people whom ``user`` may change: those who belong to institutions of theirs and to no other.

    Somebody who also works elsewhere, or who administers the installation, is out of one institution's reach: who
    sets a person's password becomes that person.
    """
    people = get_user_model().objects.all()
    if user.is_active and user.is_superuser:
        return people
    theirs = institutions_where(user, Permission.ADMINISTER)
    elsewhere = Membership.objects.exclude(institution__in=theirs.values("pk"))
    return people.filter(
        Q(pk__in=Membership.objects.filter(institution__in=theirs.values("pk")).values("user")),
        ~Q(pk__in=elsewhere.values("user")),
        is_superuser=False,
    )


def audit_events_for(user: Actor) -> models.QuerySet[AuditEvent]:
    """The events that ``user`` may look at: those of institutions in which they may, or all for a superuser.

    What was done to models concerns everybody whom they serve, so every administrator sees it.
    """
    events = AuditEvent.objects.select_related("actor", "institution")
    if user.is_authenticated and user.is_active and user.is_superuser:
        return events
    theirs = institutions_where(user, Permission.SEE_AUDIT)
    if not theirs.exists():
        return events.none()
    return events.filter(
        Q(institution__in=theirs.values("pk")) | Q(institution__isnull=True, target_type="modelversion")
    )

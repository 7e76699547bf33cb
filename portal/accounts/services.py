"""Acts about accounts and tokens: each atomic, with its audit event inside."""

from datetime import timedelta

from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy

from diagnostics.audit.services import record
from diagnostics.errors import Conflict, Invalid
from diagnostics.scans import people
from diagnostics.scans.access import NotAllowed, Permission, Role, require
from diagnostics.scans.models import Institution

from .models import ApiToken, User, issue_token

MAX_TOKEN_DAYS = 366


class AlreadyRevoked(Conflict):
    """The token was revoked before."""

    code = "already_revoked"


def home_of(user: User) -> Institution | None:
    """The institution whose administrators may look up what concerns this account: its only one."""
    several = list(Institution.objects.filter(memberships__user=user).distinct()[:2])
    return several[0] if len(several) == 1 else None


@transaction.atomic
def add_person(
    *,
    by: User | None,
    username: str,
    password: str,
    role: Role | str,
    institution_code: str,
    email: str = "",
    first_name: str = "",
    last_name: str = "",
) -> User:
    """Make an account with its first role. ``by`` None is the command line.

    Raises
    ------
    ValidationError
        The name or the password is not acceptable; by field.
    NotAllowed, InvalidEntry
        As :func:`diagnostics.scans.people.add_member`.
    """
    if by is not None:
        require(by, Permission.ADMINISTER)
    user = User(username=username, email=email, first_name=first_name, last_name=last_name)
    user.password = "!"  # noqa: S105 - replaced below; full_clean wants one
    user.full_clean()
    validate_password(password, user)
    user.set_password(password)
    user.save()
    joined = people.add_member(by=by, user=user, institution_code=institution_code, role=role)
    record(by=by, act="person_added", target=user, institution=joined.membership.institution)
    return user


@transaction.atomic
def make_token(*, by: User | None, user: User, name: str, scopes: list[str], days: int) -> tuple[ApiToken, str]:
    """Make an API token for ``user``; the second value is the token itself, which exists only now.

    Raises
    ------
    NotAllowed
        It is neither one's own nor within the reach of an administrator.
    Invalid
        An unknown scope, no scope, or a span that is not between a day and a year.
    """
    _require_reach(by, user)
    if not 1 <= days <= MAX_TOKEN_DAYS:
        raise Invalid(
            gettext_lazy("A token can be valid for 1 to %(max_token_days)s days."),
            {"max_token_days": MAX_TOKEN_DAYS},
            field="days",
        )
    row, token = issue_token(user=user, name=name, scopes=scopes, expires_at=timezone.now() + timedelta(days=days))
    record(
        by=by,
        act="token_made",
        target=row,
        institution=home_of(user),
        user=user.pk,
        start=row.start,
        scopes=row.scopes,
        days=days,
    )
    return row, token


@transaction.atomic
def revoke_token(*, by: User | None, token: ApiToken) -> None:
    """End a token now.

    Raises
    ------
    NotAllowed, AlreadyRevoked
    """
    _require_reach(by, token.user)
    if not ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now()):
        raise AlreadyRevoked(gettext_lazy("This token was already revoked."))
    record(
        by=by,
        act="token_revoked",
        target=token,
        institution=home_of(token.user),
        user=token.user_id,
        start=token.start,
    )


def _require_reach(by: User | None, user: User) -> None:
    if by is None or by.pk == user.pk:
        return
    if not people.people_administered_by(by).filter(pk=user.pk).exists():
        raise NotAllowed(gettext_lazy("Only an administrator of this person may do this."))


@transaction.atomic
def note(*, act: str, user: User, by: User | None = None, **detail: object) -> None:
    """Record what happened to an account: signing in and out, a failed try, a new password."""
    record(by=by, act=act, target=user, institution=home_of(user), **detail)

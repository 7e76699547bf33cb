"""Who is signed in, asked for once: the account and its memberships come in one question to the database."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from diagnostics.scans.access import hold
from diagnostics.scans.models import Membership


class WithMemberships(ModelBackend):
    """Django's own accounts. Every page asks what a person may do where, so their roles come with them."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **more: Any
    ) -> Any:
        user = super().authenticate(request, username, password, **more)
        if user is None:
            # Django's own backend would look at the same password once more.
            raise PermissionDenied
        return user

    def get_user(self, user_id: Any) -> Any:
        held = list(Membership.objects.filter(user=user_id).select_related("user", "institution"))
        if not held:  # nobody's member, or nobody at all
            return super().get_user(user_id)
        user = held[0].user
        hold(user, held)
        return user if self.user_can_authenticate(user) else None

"""What a token may be used for. What its person may do is the domain's to answer (``diagnostics.scans.access``)."""

from typing import Any

from django.utils.translation import gettext as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from portal.accounts.models import ApiToken, Scope


class HasScope(BasePermission):
    """The token carries the scope of the action. A session has no scopes: it may what its person may."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.auth, ApiToken):
            return True
        if view.action in (None, "metadata"):
            return True  # the method is not one of this address: the answer will be 405
        needed = view.scope_of(view.action)
        if needed in request.auth.scopes:
            return True
        self.message = _("This token lacks the scope “%(scope)s” (%(meaning)s). Create a token with it.") % {
            "scope": needed,
            "meaning": Scope(needed).label.lower(),
        }
        self.code = "scope_missing"
        return False

"""Bearer tokens of the REST API."""

from datetime import timedelta

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from portal.accounts.models import ApiToken, User


class BearerTokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer TOKEN``. The token's row becomes ``request.auth``."""

    keyword = "Bearer"

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != b"bearer":
            return None
        if len(parts) != 2:
            raise AuthenticationFailed("Send one token: Authorization: Bearer TOKEN.")
        try:
            given = parts[1].decode("ascii")
        except UnicodeDecodeError:
            raise AuthenticationFailed("A token has plain letters and digits only.") from None
        token = ApiToken.objects.select_related("user").filter(digest=ApiToken.digest_of(given)).first()
        if token is None or not token.usable:
            # One sentence for unknown, revoked and expired: a stranger learns nothing from it.
            raise AuthenticationFailed("This token is not valid, or no longer. Make a new one on your account page.")
        if token.last_used_at is None or timezone.now() - token.last_used_at > timedelta(minutes=1):
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=timezone.now())
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return self.keyword

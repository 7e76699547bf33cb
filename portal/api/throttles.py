"""How often one token, or one person's session, may ask."""

import math
import time

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from portal.accounts.models import ApiToken

WINDOW_SECONDS = 60


class PerToken(BaseThrottle):
    """A counter for each minute.

    DRF's own keeps the time of every request in a list, which thousands a minute outgrow.
    """

    def allow_request(self, request: Request, view: object) -> bool:
        auth = request.auth
        who = f"token-{auth.pk}" if isinstance(auth, ApiToken) else f"user-{request.user.pk}"
        self.now = time.time()
        key = f"api-rate:{who}:{int(self.now // WINDOW_SECONDS)}"
        if cache.add(key, 1, timeout=2 * WINDOW_SECONDS):
            return True
        try:
            return bool(cache.incr(key) <= settings.API_REQUESTS_PER_MINUTE)
        except ValueError:  # the counter ran out between the two calls: a new minute
            return True

    def wait(self) -> float:
        """Seconds until the next minute begins."""
        return max(1.0, math.ceil(WINDOW_SECONDS - self.now % WINDOW_SECONDS))

"""``Idempotency-Key``: a request that is sent again, because its answer was lost, acts once.

The key's row is written in the transaction of the act itself, so either both are there or neither: a refused or broken
request leaves no trace and may be sent again under the same key. Two at the same instant wait for each other at the
unique constraint, and the second gets the first one's answer.

What must stay although the act is refused (a wrong password that was counted) is done before that transaction begins.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics.scans.access import NotAllowed
from portal.accounts.models import ApiToken, KeptAnswer
from portal.accounts.signed_in import person_of

from .problems import InvalidInput, KeyReused

HEADER = "Idempotency-Key"
KEPT_FOR = timedelta(hours=24)
_KEY = re.compile(r"[!-~]{1,200}\Z")


def once(
    handler: Callable[..., Response], before: Callable[[], object], request: Request, *args: Any, **kwargs: Any
) -> Response:
    """``handler``'s answer, or the one that was given to the same key before.

    ``before`` is called outside the transaction, and only where no answer is kept yet.

    Raises
    ------
    InvalidInput, KeyReused, NotAllowed
        The key is no key; came with another body; was used when the person had other roles or scopes.
    """
    key = request.headers[HEADER]
    if not _KEY.match(key):
        raise InvalidInput({HEADER: [_("A key has 1 to 200 visible ASCII characters.")]})
    digest, standing = _digest_of(request.data), _standing_of(request)
    person = person_of(request)
    oldest = timezone.now() - KEPT_FOR
    known = KeptAnswer.objects.filter(user=person, key=key, address=request.path, created_at__gte=oldest)
    if not known.exists():
        before()
    with transaction.atomic():
        KeptAnswer.objects.filter(user=person, created_at__lt=oldest).delete()
        kept, new = KeptAnswer.objects.get_or_create(
            user=person,
            key=key,
            address=request.path,
            defaults={"body_sha256": digest, "standing": standing},
        )
        if not new:
            return _again(kept, digest, standing)
        response = handler(request, *args, **kwargs)
        body = getattr(response, "to_keep", response.data)  # a secret is shown once, and kept by nobody
        KeptAnswer.objects.filter(pk=kept.pk).update(
            status=response.status_code, body=body, location=response.headers.get("Location", "")
        )
    return response


def _again(kept: KeptAnswer, digest: str, standing: str) -> Response:
    if kept.body_sha256 != digest:
        raise KeyReused(_("This key was used with another request body. Use a new key for a new request."))
    if kept.standing != standing:
        raise NotAllowed(gettext_lazy("Your roles or the token's scopes have changed. Use a new key."))
    headers = {"Idempotency-Replayed": "true"}
    if kept.location:
        headers["Location"] = kept.location
    return Response(kept.body, status=kept.status, headers=headers)


def _digest_of(data: object) -> str:
    """Hash of what was sent, whatever the boundary between the parts or the order of the keys."""
    found = hashlib.sha256()
    for name, values in sorted(data.lists()) if isinstance(data, QueryDict) else [("", [data])]:
        for value in values:
            found.update(json.dumps(name).encode())
            if isinstance(value, UploadedFile):
                for chunk in value.chunks():
                    found.update(chunk)
                value.seek(0)
            else:
                found.update(json.dumps(value, sort_keys=True).encode())
    return found.hexdigest()


def _standing_of(request: Request) -> str:
    user = person_of(request)
    roles = sorted(user.memberships.values_list("institution", "role"))
    scopes = request.auth.scopes if isinstance(request.auth, ApiToken) else None
    return hashlib.sha256(json.dumps([roles, user.is_superuser, scopes]).encode()).hexdigest()

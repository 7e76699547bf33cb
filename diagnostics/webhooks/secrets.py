"""A webhook's secret: drawn here, shown once, kept encrypted, and used to sign (Standard Webhooks)."""

import base64
import hashlib
import os
from datetime import datetime

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.utils import timezone
from standardwebhooks.webhooks import Webhook as Signer

from .models import Webhook

_BYTES, _NONCE = 32, 12


def drawn() -> str:
    """A new secret, as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(os.urandom(_BYTES)).decode()


def encrypted(secret: str) -> bytes:
    """A secret as a row keeps it."""
    nonce = os.urandom(_NONCE)
    return nonce + _cipher().encrypt(nonce, secret.encode(), None)


def opened(kept: bytes | memoryview) -> str:
    """The secret that a row keeps.

    Raises
    ------
    cryptography.exceptions.InvalidTag
        The installation has another SECRET_KEY now.
    """
    row = bytes(kept)
    return _cipher().decrypt(row[:_NONCE], row[_NONCE:], None).decode()


def signatures(webhook: Webhook, message_id: str, at: datetime, body: str) -> str:
    """The header ``webhook-signature``: by the secret, and while a former one still holds by that too."""
    kept = [webhook.secret]
    if webhook.former_secret and webhook.former_until and webhook.former_until > timezone.now():
        kept.append(webhook.former_secret)
    return " ".join(Signer(opened(each)).sign(message_id, at, body) for each in kept)


def _cipher() -> AESGCM:
    return AESGCM(hashlib.sha256(b"overread.webhooks\0" + settings.SECRET_KEY.encode()).digest())

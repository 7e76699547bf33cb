"""Mails about an account: to the person, nothing of a patient in them."""

import smtplib

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import get_script_prefix
from django.utils import translation

from .models import User

log = structlog.get_logger(__name__)


class NotSent(RuntimeError):
    """The mail server took nothing."""


def send(template: str, *, user: User, to: str, **words: object) -> None:
    """Send one mail: ``accounts/mail/<template>.txt``, its first line the subject, ``host`` for links.

    Raises
    ------
    NotSent
    """
    if not to:
        return
    # PUBLIC_URL ends with the sub-path, and so begins what {% url %} gives: it must stand there once.
    host = settings.PUBLIC_URL.removesuffix(get_script_prefix().rstrip("/"))
    with translation.override(user.language or settings.LANGUAGE_CODE):
        text = render_to_string(f"accounts/mail/{template}.txt", {"person": user, "host": host, **words})
    subject, _, body = text.strip().partition("\n")
    message = EmailMessage(
        subject=subject, body=body.strip() + "\n", to=[to], headers={"Auto-Submitted": "auto-generated"}
    )
    try:
        message.send()
    except (smtplib.SMTPException, OSError) as error:
        # What a mail server says may name the address: the kind of the error is enough.
        log.warning("mail_not_sent", person=user.pk, error=type(error).__name__)
        raise NotSent(type(error).__name__) from error


def tell(template: str, *, user: User, to: str, **words: object) -> bool:
    """Send a notice of something that has happened already; whether it left."""
    try:
        send(template, user=user, to=to, **words)
    except NotSent:
        return False
    return True

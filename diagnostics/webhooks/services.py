"""Make a webhook, change it, give it another secret, send to it again: by an administrator, audited."""

import uuid
from collections.abc import Collection
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.errors import Conflict, Invalid
from diagnostics.scans.access import Permission, require, within
from diagnostics.scans.models import Institution

from . import events, secrets
from .deliveries import DELIVERIES
from .models import CHOSEN, EventType, Webhook, WebhookDelivery
from .posting import checked

BOTH_SECRETS_HOLD = timedelta(hours=24)
MOST_WEBHOOKS = 20  # of one institution: each event is written once for each


class BadEvents(Invalid):
    """Events that there are not, or none at all."""

    field = "events"
    message = _("Choose at least one event.")


class TooManyWebhooks(Conflict):
    """One more than an institution may have."""

    code = "too_many_webhooks"
    message = _("This institution has as many webhooks as it may have. Change one that is no longer used.")


class AddressTaken(Conflict):
    """The institution has a webhook of this address."""

    code = "address_taken"
    field = "url"
    message = _("This institution already has a webhook with this address.")


def webhooks_for(user: Actor) -> QuerySet[Webhook]:
    """The webhooks of the institutions that ``user`` administers."""
    return Webhook.objects.filter(within(user, Permission.ADMINISTER)).select_related("institution")


def deliveries_for(user: Actor) -> QuerySet[WebhookDelivery]:
    """What was told to these webhooks."""
    rows = WebhookDelivery.objects.filter(within(user, Permission.ADMINISTER))
    return rows.select_related("webhook", "institution")


def add_webhook(
    *,
    by: Actor,
    institution: Institution,
    url: str,
    events: Collection[str],
    description: str = "",
    with_patient: bool = False,
) -> tuple[Webhook, str]:
    """Add a webhook; with its secret, which nobody is shown again.

    Raises
    ------
    NotAllowed, BadAddress, BadEvents, TooManyWebhooks, AddressTaken
    """
    require(by, Permission.ADMINISTER, institution)
    checked(url)
    chosen = _known(events)
    secret = secrets.drawn()
    with transaction.atomic():
        Institution.objects.select_for_update(no_key=True).get(pk=institution.pk)
        if Webhook.objects.filter(institution=institution).count() >= MOST_WEBHOOKS:
            raise TooManyWebhooks
        if Webhook.objects.filter(institution=institution, url=url).exists():
            raise AddressTaken
        hook = Webhook.objects.create(
            institution=institution,
            url=url,
            events=chosen,
            description=description,
            with_patient=with_patient,
            secret=secrets.encrypted(secret),
            created_by=account_of(by),
        )
        record(
            by=by,
            act="webhook_added",
            target=hook,
            institution=institution,
            events=chosen,
            with_patient=with_patient,
        )
    return hook, secret


def change_webhook(*, by: Actor, webhook: Webhook, **wanted: object) -> Webhook:
    """Change ``url``, ``events``, ``description``, ``with_patient`` or ``active``; what is not named stays.

    Raises
    ------
    NotAllowed, BadAddress, BadEvents, AddressTaken
    """
    require(by, Permission.ADMINISTER, webhook.institution)
    unknown = wanted.keys() - {"url", "events", "description", "with_patient", "active"}
    if unknown:
        raise TypeError(f"A webhook has no {', '.join(sorted(unknown))}.")
    if "url" in wanted:
        checked(str(wanted["url"]))
    if "events" in wanted:
        events_wanted = wanted["events"]
        wanted["events"] = _known(events_wanted if isinstance(events_wanted, Collection) else ())
    try:
        with transaction.atomic():
            row = Webhook.objects.select_for_update(no_key=True, of=("self",)).get(pk=webhook.pk)
            changed = {name: value for name, value in wanted.items() if getattr(row, name) != value}
            for name, value in changed.items():
                setattr(row, name, value)
            if changed:
                row.save(update_fields=[*changed, "updated_at"])
                told = {name: value for name, value in changed.items() if name not in ("url", "description")}
                record(by=by, act="webhook_changed", target=row, institution=row.institution, **told)
    except IntegrityError as error:
        raise AddressTaken from error
    return row


def rotate_secret(*, by: Actor, webhook: Webhook) -> str:
    """Give a webhook another secret, and return it; the former one holds beside it for a day.

    Raises
    ------
    NotAllowed
    """
    require(by, Permission.ADMINISTER, webhook.institution)
    secret = secrets.drawn()
    with transaction.atomic():
        row = Webhook.objects.select_for_update(no_key=True, of=("self",)).get(pk=webhook.pk)
        row.former_secret, row.former_until = row.secret, timezone.now() + BOTH_SECRETS_HOLD
        row.secret = secrets.encrypted(secret)
        row.save(update_fields=["secret", "former_secret", "former_until", "updated_at"])
        record(by=by, act="webhook_secret_rotated", target=row, institution=row.institution)
    return secret


def send_test(*, by: Actor, webhook: Webhook) -> WebhookDelivery:
    """Send an event that says nothing, to see whether it arrives.

    Raises
    ------
    NotAllowed
    """
    require(by, Permission.ADMINISTER, webhook.institution)
    with transaction.atomic():
        (row,) = events.queue([webhook], EventType.TEST, subject=f"test:{uuid.uuid4()}", data={"webhook": webhook.pk})
        record(by=by, act="webhook_tested", target=webhook, institution=webhook.institution)
    return row


def redeliver(*, by: Actor, delivery: WebhookDelivery) -> None:
    """Send an event once more, under its old id.

    Raises
    ------
    NotAllowed
    """
    require(by, Permission.ADMINISTER, delivery.institution)
    with transaction.atomic():
        DELIVERIES.try_again(WebhookDelivery.objects.filter(pk=delivery.pk))
        record(by=by, act="webhook_redelivered", target=delivery, institution=delivery.institution)
        transaction.on_commit(events.nudge)


def _known(chosen: Collection[str]) -> list[str]:
    known = [each.value for each in CHOSEN]
    unknown = [each for each in chosen if each not in known]
    if unknown:
        raise BadEvents(
            _("There is no event %(event)s. Choose of: %(known)s."),
            {"event": unknown[0], "known": ", ".join(known)},
            accepted=known,
        )
    if not chosen:
        raise BadEvents(accepted=known)
    return [each for each in known if each in chosen]

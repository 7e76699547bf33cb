"""Which programs may speak DICOM with us: set by an administrator of the institution, audited."""

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.scans.access import Permission, require

from .models import HEARD_EVERY, DicomPeer, Network, networks

# What the audit keeps of a change: no address and no host.
_TOLD = ("ae_title", "may_send", "is_asked_for_priors", "active")


def save_peer(*, by: Actor, peer: DicomPeer) -> DicomPeer:
    """Add a peer, or change one.

    Raises
    ------
    NotAllowed
        ``by`` does not administer its institution.
    ValidationError
        It cannot be like this; names the field.
    """
    with transaction.atomic():
        before = DicomPeer.objects.select_related("institution").select_for_update(of=("self",)).filter(pk=peer.pk)
        was = before.first()
        for institution in {each.institution for each in (was, peer) if each is not None}:
            require(by, Permission.ADMINISTER, institution)
        peer.full_clean()
        peer.save()
        record(
            by=by,
            act="dicom_peer_changed" if was else "dicom_peer_added",
            target=peer,
            institution=peer.institution,
            **{name: getattr(peer, name) for name in _TOLD},
        )
    return peer


def peer_called(ae_title: str, address: str) -> DicomPeer | None:
    """The peer that calls itself so and comes from there, with its account; None where there is none."""
    rows = DicomPeer.objects.select_related("institution", "account")
    peer = rows.filter(ae_title=ae_title, active=True).first()
    return peer if peer is not None and peer.comes_from(address) else None


def addresses_of_peers() -> list[Network]:
    """Every address and network that an active peer sends from."""
    rows = DicomPeer.objects.filter(active=True, may_send=True).values_list("addresses", flat=True)
    return [network for addresses in rows for network in networks(addresses)]


def heard_of(peer: DicomPeer) -> None:
    """Note that the peer is alive, at most once a minute."""
    now = timezone.now()
    long_ago = Q(last_heard_at__isnull=True) | Q(last_heard_at__lt=now - HEARD_EVERY)
    DicomPeer.objects.filter(long_ago, pk=peer.pk).update(last_heard_at=now)

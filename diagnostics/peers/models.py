"""Programs that speak DICOM with us: which of them may send to whom, and what is sent to them."""

import ipaddress
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnostics.jobs.retried import JobState, RetriedRow
from diagnostics.scans.access import Permission, may
from diagnostics.scans.institution_models import Institution
from diagnostics.scans.models import Study

LONGEST_AE_TITLE = 16  # PS3.8, section 9.3.2
HEARD_EVERY = timedelta(minutes=1)

_ae_title = RegexValidator(
    r"^[!-\[\]-~](?:[ -\[\]-~]*[!-\[\]-~])?$",
    _("An AE title has at most 16 printable ASCII characters, no backslash, and no space at its ends."),
)


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(text: str) -> list[Network]:
    """The addresses and networks of a list with commas.

    Raises
    ------
    ValidationError
    """
    found = []
    for word in text.replace(",", " ").split():
        try:
            found.append(ipaddress.ip_network(word))
        except ValueError as error:
            raise ValidationError(
                _("“%(word)s” is no IP address and no network. Examples: 10.1.2.3, 10.1.0.0/16."),
                params={"word": word},
            ) from error
    if not found:
        raise ValidationError(_("Enter at least one IP address or network, for example 10.1.2.3."))
    return found


def lies_in(address: str, places: Iterable[Network]) -> bool:
    """Whether an address lies in one of these networks; one of IPv4 that is written as IPv6 counts as what it is."""
    try:
        here = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(here, ipaddress.IPv6Address) and here.ipv4_mapped is not None:
        here = here.ipv4_mapped
    return any(here in network for network in places)


def known_networks(text: str) -> None:
    """Raise the ValidationError of :func:`networks`."""
    networks(text)


class DicomPeer(models.Model):
    """A scanner or an archive that speaks DICOM with us, bound to one institution.

    It is known by its AE title *and* by the address that it comes from: the title alone can be claimed by anybody.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="dicom_peers")
    name = models.CharField(max_length=80, help_text=_("For people: “Archive”, “Scanner 2”."))
    ae_title = models.CharField(
        _("AE title"), max_length=LONGEST_AE_TITLE, unique=True, validators=[_ae_title], help_text=_("Case matters.")
    )
    addresses = models.CharField(
        max_length=400,
        validators=[known_networks],
        help_text=_("IP addresses or networks that it sends from, separated by commas."),
    )
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("What it sends is uploaded in this account's name. The account must be allowed to upload scans."),
    )
    may_send = models.BooleanField(_("may send to us"), default=True)
    host = models.CharField(
        max_length=253, blank=True, default="", help_text=_("Where it accepts what we send. Empty: nothing is sent.")
    )
    port = models.PositiveIntegerField(
        default=104, validators=[MinValueValidator(1), MaxValueValidator(65535)], help_text=_("Of that host.")
    )
    is_asked_for_priors = models.BooleanField(
        _("is asked for priors"),
        default=False,
        help_text=_("When a study arrives, older studies of its patient are requested from this peer."),
    )
    most_priors = models.PositiveSmallIntegerField(
        _("most priors"),
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
        help_text=_("Studies that are requested of one patient, the latest first."),
    )
    prior_years = models.PositiveSmallIntegerField(
        _("years back"),
        default=5,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text=_("Older studies are not requested."),
    )
    active = models.BooleanField(default=True)
    last_heard_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["institution", "name", "id"]
        verbose_name = _("DICOM peer")
        verbose_name_plural = _("DICOM peers")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=~Q(ae_title=""), name="peer_has_an_ae_title"),
            models.CheckConstraint(
                condition=Q(is_asked_for_priors=False) | ~Q(host=""),
                name="asked_peer_has_a_host",
                violation_error_message=_("A peer that is asked for priors needs a host."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.ae_title})"

    def clean(self) -> None:
        """Refuse an account that may not upload here."""
        super().clean()
        if self.account_id and self.institution_id and not may(self.account, Permission.SUBMIT_SCAN, self.institution):
            raise ValidationError({"account": _("This account may not upload scans in this institution.")})

    def comes_from(self, address: str) -> bool:
        """Whether ``address`` is one of its own."""
        return lies_in(address, networks(self.addresses))


class Sending(RetriedRow):
    """A stored DICOM file on its way to a peer (C-STORE)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="+")
    peer = models.ForeignKey(DicomPeer, on_delete=models.PROTECT, related_name="sendings")
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="sendings")
    original = models.CharField(max_length=200, help_text=_("Storage key of the file."))
    sha256 = models.CharField(max_length=64, help_text=_("Of the file's bytes."))
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        verbose_name = _("sending")
        verbose_name_plural = _("sendings")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["peer", "sha256"], name="one_sending_per_peer_and_file"),
            models.CheckConstraint(
                condition=Q(state__in=[each.value for each in JobState]), name="sending_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["due_at"], condition=Q(state__in=["waiting", "running"]), name="sending_due"),
        ]

    def __str__(self) -> str:
        return f"sending {str(self.id)[:8]}"


class PriorSearch(RetriedRow):
    """A question to an archive: older studies of the patient of a study that has come."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="+")
    peer = models.ForeignKey(DicomPeer, on_delete=models.PROTECT, related_name="searches")
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="prior_searches")
    message = models.PositiveIntegerField(
        default=0, help_text=_("Message ID of the request: the archive names it with each image that it sends for it.")
    )
    found = models.PositiveSmallIntegerField(null=True, blank=True, help_text=_("Studies that the archive has."))
    requested = models.PositiveSmallIntegerField(null=True, blank=True, help_text=_("Studies that were requested."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        verbose_name = _("prior search")
        verbose_name_plural = _("prior searches")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["peer", "study"], name="one_search_per_peer_and_study"),
            models.CheckConstraint(
                condition=Q(state__in=[each.value for each in JobState]), name="prior_search_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["due_at"], condition=Q(state__in=["waiting", "running"]), name="prior_search_due"),
        ]

    def __str__(self) -> str:
        return f"prior search {str(self.id)[:8]}"


class PriorStudy(models.Model):
    """A study that is here because we requested it as a prior: it is analysed, and waits for no reader."""

    study = models.OneToOneField(Study, on_delete=models.PROTECT, primary_key=True, related_name="as_prior")
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="+")
    search = models.ForeignKey(PriorSearch, on_delete=models.PROTECT, related_name="priors")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        verbose_name = _("prior study")
        verbose_name_plural = _("prior studies")

    def __str__(self) -> str:
        return f"prior {str(self.pk)[:8]}"

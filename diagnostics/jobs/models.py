"""What every row has that a worker takes on."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class LeasedRow(models.Model):
    """A row of work: how often it was tried, and who may finish it until when. :mod:`.leases` writes these columns."""

    attempts = models.PositiveSmallIntegerField(default=0)
    fence = models.UUIDField(null=True, blank=True, help_text=_("Token of the claim that may finish this row."))
    lease_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

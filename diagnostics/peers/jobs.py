"""The rows of work that hang on a peer, for whoever only asks whether something waits: nothing of DICOM is loaded."""

from django.conf import settings

from diagnostics.jobs.retried import Retries

from .models import PriorSearch, Sending

SENDINGS = Retries(Sending, seconds=600, days=lambda: settings.DICOM_SENDING_DAYS)
# A reader wants the priors with the study: days later nobody does.
SEARCHES = Retries(PriorSearch, seconds=900, days=lambda: 1.0)


def anything_to_send() -> bool:
    """Whether a file is due for a peer."""
    return SENDINGS.anything_due()


def anything_to_ask() -> bool:
    """Whether a peer is to be asked for priors."""
    return SEARCHES.anything_due()

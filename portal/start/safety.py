"""Whether a production may start: each process asks at its own start, since nobody else asks in its stead."""

import sys
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

NO_PROXY = (
    "OVERREAD_BEHIND_PROXY is not set: behind a proxy each request looks like plain HTTP, and all people like one "
    "address, which a few wrong passwords shut out for all. Set it to the number of your proxies."
)
BEGINNING = "Overread does not start in production as it is set up:"


def refuse_unsafe() -> None:
    """Run the checks of a deployment, where this is one; what is only advised is said once and holds nothing up.

    Raises
    ------
    ImproperlyConfigured
        With a line for each fault that says how to put it right.
    """
    import django
    from django.conf import settings

    if not settings.PRODUCTION:
        return
    django.setup()
    from django.core.checks import ERROR, WARNING, run_checks

    from portal.checks import OURS

    found = list(run_checks(tags=OURS, include_deployment_checks=True))
    faults = [f"- {_in_words(message)}" for message in found if message.level >= ERROR]
    if faults:
        raise ImproperlyConfigured("\n".join([BEGINNING, *faults]))
    advice = [_in_words(m) for m in found if m.level >= WARNING and str(m.id).startswith("overread.")]
    if settings.HTTPS and not settings.PROXY_HOPS:
        # No fault in itself: the web server may be given a certificate of its own.
        advice.append(NO_PROXY)
    for sentence in advice:
        print(f"Warning: {sentence}", file=sys.stderr, flush=True)


def _in_words(message: "CheckMessage") -> str:
    """What a check found, and how to put it right."""
    return f"{message.msg} {message.hint or ''}".rstrip()


def or_exit() -> None:
    """The same for a process at a terminal: ends it with the sentence alone, without a trace."""
    try:
        refuse_unsafe()
    except ImproperlyConfigured as refusal:
        sys.exit(str(refusal))

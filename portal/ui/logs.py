"""What stays out of the logs: the part of an address behind the question mark holds what people search for."""

import logging
import re

QUERY = re.compile(r"(?<=[/\w])\?[^\s'\"<>]*")
# Of the server, which says whole request lines, and of refusals, which say whole addresses.
WITH_ADDRESSES = ("gunicorn", "django.request", "django.security", "django.server")


class WithoutWhatWasAsked(logging.Filter):
    """Lets every line through, without queries and without the trace of what was only refused.

    The trace of a refusal ("there is no such page") tells the value that was given, and helps nobody find a fault.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(WITH_ADDRESSES):
            return True
        text = record.getMessage()
        if "?" in text:
            record.msg, record.args = QUERY.sub("", text), ()
        if getattr(record, "status_code", 500) < 500:
            record.exc_info = record.exc_text = None
        return True

"""What is derived under a secret key: the same input gives the same output, and without the key nothing leads back."""

from __future__ import annotations

import datetime
import hashlib
import hmac

_LONGEST_SHIFT = 3650


def new_uid(key: bytes, uid: str) -> str:
    """Give the UID that stands for another: `2.25.` and a number of 128 bits (PS3.5 B.2)."""
    return f"2.25.{_number(key, 'uid', uid)}"


def days_back(key: bytes, pseudonym: str) -> int:
    """Give by how many days the dates of a patient move back: 1 to 3650."""
    return 1 + _number(key, "days", pseudonym) % _LONGEST_SHIFT


def _number(key: bytes, purpose: str, of: str) -> int:
    digest = hmac.new(key, f"{purpose}\0{of}".encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:16], "big")


def shifted(value: str, vr: str, days: int) -> str | None:
    """Move a date, or the date of a date and time, back by whole days; times stay.

    Parameters
    ----------
    value : str
        One value of VR DA, TM or DT.
    vr : str
        `DA`, `TM` or `DT`.
    days : int
        0 leaves a well-formed value as it is.

    Returns
    -------
    str or None
        None where the value is no whole date or time: words in its place must not pass.
    """
    value = value.strip(" \0")
    if vr == "TM":
        return value if _is_time(value) else None
    day = value[:8]
    if not (len(day) == 8 and day.isascii() and day.isdigit()):
        return None
    if vr == "DA" and len(value) != 8:
        return None
    if vr == "DT" and not _is_rest_of_moment(value[8:]):
        return None
    try:
        date = datetime.date(int(day[:4]), int(day[4:6]), int(day[6:])) - datetime.timedelta(days)
    except (ValueError, OverflowError):
        return None
    return f"{date:%Y%m%d}".rjust(8, "0") + value[8:]


def _is_time(value: str) -> bool:
    whole, _dot, part = value.partition(".")
    digits = whole + part
    return digits.isascii() and digits.isdigit() and len(whole) in (2, 4, 6) and len(part) <= 6


def _is_rest_of_moment(value: str) -> bool:
    time, zone = value, ""
    for sign in "+-":
        if sign in value:
            time, _sign, zone = value.partition(sign)
            if not (len(zone) == 4 and zone.isascii() and zone.isdigit()):
                return False
    return not time or _is_time(time)

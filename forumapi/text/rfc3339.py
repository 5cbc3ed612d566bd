"""Parser of times that clients send (RFC 3339): a `T` or a space between date and time, at most nine decimals."""

from __future__ import annotations

import datetime
import re
from typing import Final

_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?",
    re.ASCII,
)


def _digits(text: str) -> tuple[str, str]:
    """Split the time `text` into two texts: date and time of day in ISO format with six decimals, further ones cut off,
    and the offset, `Z` or such as "+02:00", "" if there is none. Raises ValueError for a text that has not the form of
    a time; a date that does not exist passes.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError
    date, time, fraction, offset = match.groups(default="")
    return f"{date}T{time}.{fraction or '0':0<6.6}", offset.upper()


def instant(text: str) -> datetime.datetime | None:
    """Parse a time that has an offset, and return it in UTC; None for any other text, also without offset, and outside
    the years 1 to 9999.
    """
    try:
        digits, offset = _digits(text)
        moment = datetime.datetime.fromisoformat(digits + offset)
        return moment.astimezone(datetime.UTC) if offset else None
    except (ValueError, OverflowError):
        return None


def wall_clock(text: str) -> datetime.datetime | None:
    """Parse a time as that of a clock on the wall, and return it without a time zone: its offset is ignored, and may be
    absent. None for any other text.
    """
    try:
        return datetime.datetime.fromisoformat(_digits(text)[0])
    except ValueError:
        return None

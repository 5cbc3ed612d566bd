"""Conversion of values in other forums' tables to the types of the neutral layout."""

from __future__ import annotations

import datetime
import ipaddress
import re
from typing import Any, Final

UNTITLED: Final = "…"
"""Title given to a thing that has none."""

_LATEST: Final = 253_402_300_799
_FIRST: Final = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_ENTITY = re.compile(r"&(?:(amp|lt|gt|quot|apos|nbsp)|#0*([0-9]{1,7})|#x([0-9a-f]{1,6}));", re.I)
_NAMED: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": "\xa0"}


def decoded(text: str) -> str:
    """Return a text that a board stores HTML-escaped with its entities decoded, once: `&amp;lt;` becomes `&lt;`.
    Numeric entities and amp, lt, gt, quot, apos and nbsp are decoded; others stay. A numeric entity that names no
    character becomes U+FFFD.
    """
    return _ENTITY.sub(_character, text) if "&" in text else text


def _character(match: re.Match[str]) -> str:
    if match[1]:
        return _NAMED[match[1].lower()]
    number = int(match[2]) if match[2] else int(match[3], 16)
    if 0 < number < 0xD800 or 0xDFFF < number < 0x110000:
        return chr(number)
    return "\ufffd"


def as_number(value: Any) -> int:
    """Return a value as int, a float without its fraction; 0 for None, and for a text that is no whole number."""
    try:
        return int(value or 0)
    except (TypeError, ValueError, OverflowError):
        return 0


def as_text(value: Any) -> str:
    """Return a value as str, bytes decoded as UTF-8 with U+FFFD for what is none; "" for None."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def as_time(value: Any) -> datetime.datetime | None:
    """Return seconds since 1970 as a time in UTC; None for 0 and negative ones, for a time after the year 9999, and for
    what is no number.
    """
    seconds = as_number(value)
    if not 0 < seconds <= _LATEST:
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def as_moment(value: Any) -> datetime.datetime | None:
    """Parse a time with its zone as PostgreSQL writes it; return it in UTC, None for anything else, and for a time that
    is before the year 1 or after the year 9999 in UTC.
    """
    moment = _parsed(value)
    try:
        return moment.astimezone(datetime.UTC) if moment and moment.tzinfo else None
    except OverflowError:
        return None


def as_end(value: Any) -> datetime.datetime | None:
    """Parse the end of something, such as a ban, given as a time with its zone as PostgreSQL writes it; return it in
    UTC, and for an end before the year 1 the first moment of that year: for `-infinity`, a year before Christ, and a
    time that is in the year 1 in its own zone alone. None for anything else, such as `infinity`.
    """
    text = as_text(value)
    moment = _parsed(text)
    is_before = (
        (moment is not None and moment.year == 1) or text == "-infinity" or text.endswith(" BC")
    )
    return as_moment(text) or (_FIRST if is_before else None)


def days_after(moment: datetime.datetime | None, days: int) -> datetime.datetime | None:
    """Return the time `days` after `moment`; None without a time, for 0 days, and for a time out of range."""
    try:
        return moment + datetime.timedelta(days=days) if moment and days else None
    except OverflowError:
        return None


def as_utc(value: Any) -> datetime.datetime | None:
    """Parse a time as PostgreSQL or SQLite writes it, one without a zone as UTC; return it in UTC, None for anything
    else, and for a time in the year 1 or 9999.
    """
    moment = _parsed(value)
    if moment is None or not 1 < moment.year < datetime.MAXYEAR:
        return None
    return moment.replace(tzinfo=moment.tzinfo or datetime.UTC).astimezone(datetime.UTC)


def _parsed(value: Any) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(as_text(value))
    except ValueError:
        return None


def as_title(value: Any) -> str:
    """Return as plain text a title that was stored HTML-escaped; UNTITLED, "…", for an empty or blank one."""
    title = decoded(as_text(value))
    return title if title.strip() else UNTITLED


def as_address(value: Any) -> str:
    """Return as text an IP address that is stored as text, as 4 or 16 bytes, or as a number; "" for anything else."""
    try:
        return str(ipaddress.ip_address(value)) if value else ""
    except ValueError:
        return ""

"""Range requests: the one range of bytes that a client asks for of a download (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from forumapi.errors import RangeNotSatisfiable

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def byte_range(
    asked: str, condition: str, size: int, validators: Collection[str]
) -> tuple[int, int] | None:
    """Return (first byte, length) of the range to send, cut at the end of the whole; None to send the whole.

    `asked`: header Range, `condition`: header If-Range, each "" for none; `size`: bytes of the whole, `validators`: its
    ETag and Last-Modified. Several ranges, malformed ones, and any whose `condition` is not among `validators` count as
    none. Raises RangeNotSatisfiable for a range that begins beyond the last byte, or of no bytes.
    """
    match = _RANGE.fullmatch(asked.replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    if condition and condition.strip() not in validators:
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        start = size - length
    else:
        start = int(first)
        if last and int(last) < start:
            return None
        end = min(int(last) + 1, size) if last else size
        length = end - start
    if length <= 0:
        raise RangeNotSatisfiable(size)
    return start, length

"""Range of a download that a request asks for (RFC 9110, 14)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from forumapi.errors import RangeNotSatisfiable

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def byte_range(
    asked: str, condition: str, size: int, validators: Collection[str]
) -> tuple[int, int] | None:
    """Return (first byte, length) of a single range; None for the whole. `asked`: Range, `condition`: If-Range.

    `validators`: ETag and Last-Modified of what there is. Raises RangeNotSatisfiable.
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

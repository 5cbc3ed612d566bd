"""Numbers that people type or pages send, as texts of any length."""

from __future__ import annotations

from typing import overload

# An id has eight bytes on the wire; every number of so many digits fits in them.
MOST_DIGITS = 18


@overload
def typed_number(text: str, default: int, most_digits: int = MOST_DIGITS) -> int: ...
@overload
def typed_number(text: str, default: None = None, most_digits: int = MOST_DIGITS) -> int | None: ...
def typed_number(
    text: str, default: int | None = None, most_digits: int = MOST_DIGITS
) -> int | None:
    """Return the number that `text` is, from 0 on; `default` unless `text` is 1 to `most_digits` of the digits 0 to 9.

    A bare `int` raises ValueError for more than 4,300 digits.
    """
    if text.isascii() and text.isdigit() and len(text) <= most_digits:
        return int(text)
    return default

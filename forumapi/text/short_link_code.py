"""Codes of short links: twelve random characters; in earlier releases, the link's number (platform 6.3)."""

import random
import secrets
from typing import Final

ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""The digits in order: no l, o, 0, 1, I or O."""

LENGTH: Final = 12
"""Characters of a code: 69 random bits."""

_VALUES = {digit: value for value, digit in enumerate(ALPHABET)}
_MAX_NUMBER = 2**63 - 1
_SECRET = secrets.SystemRandom()


def draw(source: random.Random = _SECRET) -> str:
    """Draw a new code at random. `source`: the system's generator; another one only for codes that need not be
    secret.
    """
    return "".join(source.choices(ALPHABET, k=LENGTH))


def decode(code: str) -> int | None:
    """Return the number of the short link that a code of earlier releases stands for, whether that link exists or not;
    None for any other text.

    Such a code is a lead character, then the number in base 56, the least digit first.
    """
    if not 2 <= len(code) <= 12 or code[-1] == ALPHABET[0]:
        return None  # too long for a bigint, or with a leading zero: an alias of another code
    number = 0
    for digit in reversed(code[1:]):
        value = _VALUES.get(digit)
        if value is None:
            return None
        number = number * len(ALPHABET) + value
    return number if code[0] in _VALUES and number <= _MAX_NUMBER else None

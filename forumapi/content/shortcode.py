"""Codes of short links: one lead character, then a number in base 56 (platform 6.3)."""

ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""The digits in order: no l, o, 0, 1, I or O."""

_VALUES = {digit: value for value, digit in enumerate(ALPHABET)}
_MAX_NUMBER = 2**63 - 1


def encode(number: int, lead: str) -> str:
    """The code of link `number` (1 to 2**63 - 1), least significant digit first, after `lead`.

    `lead` is one character of ALPHABET, drawn at random when the link is made. Raises ValueError.
    """
    if not 1 <= number <= _MAX_NUMBER or len(lead) != 1 or lead not in _VALUES:
        raise ValueError("a code needs a positive number and one lead character")
    digits = [lead]
    while number:
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(digits)


def decode(code: str) -> int | None:
    """The number of `code`, or None where `encode` can't have made it."""
    if not 2 <= len(code) <= 12 or code[-1] == ALPHABET[0]:
        return None  # too long for a bigint, or with a leading zero: an alias of another code
    number = 0
    for digit in reversed(code[1:]):
        value = _VALUES.get(digit)
        if value is None:
            return None
        number = number * len(ALPHABET) + value
    return number if code[0] in _VALUES and number <= _MAX_NUMBER else None

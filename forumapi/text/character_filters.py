"""Filters of characters, and the rule against texts all in capitals (content 1.7 and 11.2)."""

import re

JOINERS = "\u200c\u200d"
"""Format characters that are kept all the same: emoji and some scripts need them (C-04)."""

WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""Unicode's White_Space. `str.isspace` also takes U+001C to U+001F, which are control characters."""

_BLOCK = frozenset(JOINERS + WHITE_SPACE)
_SENTENCE = frozenset(JOINERS)
_ASCII_LOWER = re.compile("[a-z]")


def block_characters(text: str) -> str:
    """Remove characters that are neither printable nor white space; the zero-width joiner and non-joiner (JOINERS)
    stay.
    """
    # Fast path: most texts are printable except for newlines.
    if text.replace("\n", "").isprintable():
        return text
    return _without(text, {c for c in set(text) if not c.isprintable() and c not in _BLOCK})


def sentence_characters(text: str) -> str:
    """Remove characters that are not printable, and white space other than U+0020; the zero-width joiner and non-joiner
    (JOINERS) stay.
    """
    if text.isprintable():
        return text
    return _without(text, {c for c in set(text) if not c.isprintable() and c not in _SENTENCE})


def word_characters(text: str) -> str:
    """Remove characters that are not printable, and all white space; the zero-width joiner and non-joiner (JOINERS)
    stay.
    """
    return sentence_characters(text).replace(" ", "")


def _without(text: str, dropped: set[str]) -> str:
    return text.translate(dict.fromkeys(map(ord, dropped))) if dropped else text


def lower_if_all_caps(text: str) -> str:
    """Convert a text to lower case if none of its letters is lower-case; else return it unchanged."""
    if _ASCII_LOWER.search(text) or any(map(str.islower, text)):
        return text
    return text.lower()

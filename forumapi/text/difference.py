"""Difference between two texts, word by word, for revisions."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from diff_match_patch import diff_match_patch

EQUAL: Final = "equal"
DELETE: Final = "delete"
INSERT: Final = "insert"
_OPERATIONS: Final = {0: EQUAL, -1: DELETE, 1: INSERT}

# Tokens: words, white space, and every other character by itself.
_TOKEN: Final = re.compile(r"\w+|\s+|[^\w\s]")
_BEFORE_SURROGATES: Final = 0xD800
_SURROGATES: Final = 0x800

# Time after which the rest is one change: unrelated texts cost the square of their length.
LIMIT_S: Final = 0.05


class Segment(NamedTuple):
    """Segment of two texts. `op`: EQUAL (in both), DELETE (in the old text alone) or INSERT (in the new one alone). The
    texts of all EQUAL and DELETE segments, joined in order, are the old text, those of EQUAL and INSERT the new one.
    """

    op: str
    text: str


class _Differ(diff_match_patch):  # type: ignore[misc]
    """Differ of the package diff_match_patch, without its search for a long common middle, which ignores the time
    limit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Diff_Timeout = LIMIT_S

    def diff_halfMatch(self, text1: str, text2: str) -> None:  # noqa: N802 - the library's name
        return None


def changes(old: str, new: str) -> list[Segment]:
    """Return the segments that turn `old` into `new`, in order, none empty; two neighbours never have the same `op`.
    The comparison takes LIMIT_S seconds at most; a stretch not compared by then is deleted and inserted as a whole.
    """
    known: dict[str, str] = {}
    words: list[str] = []

    def letters(text: str) -> str:
        """Return the old or the new text with one character in place of each token (a word, white space, a sign); equal
        tokens have the same character in both texts.
        """
        found = []
        for word in _TOKEN.findall(text):
            letter = known.get(word)
            if letter is None:
                number = len(words)
                skipped = _SURROGATES if number >= _BEFORE_SURROGATES else 0
                letter = known[word] = chr(number + skipped)
                words.append(word)
            found.append(letter)
        return "".join(found)

    def spelled(text: str) -> str:
        numbers = (ord(letter) for letter in text)
        return "".join(
            words[number - _SURROGATES if number >= _BEFORE_SURROGATES else number]
            for number in numbers
        )

    found = _Differ().diff_main(letters(old), letters(new), checklines=False)
    return [Segment(_OPERATIONS[kind], spelled(text)) for kind, text in found if text]

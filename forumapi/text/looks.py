"""Looks of a name: its skeletons by Unicode's Technical Standard 39. Names that share one can be taken for each other.

The table is Unicode's confusables, from the package confusable-homoglyphs, which lists each pair both ways; a letter
that many are confused with stands for all of them.
"""

from __future__ import annotations

import json
import unicodedata
from functools import cache
from html import unescape
from importlib.resources import files
from typing import Final

# Marks of direction that the package left around letters of scripts written from right to left.
_MARKS: Final = "\u200e\u200f"


@cache
def _prototypes() -> dict[int, str]:
    """Letter -> what stands for it, for str.translate."""
    text = files("confusable_homoglyphs").joinpath("confusables.json").read_text(encoding="utf-8")
    pairs = {
        letter.strip(_MARKS): [other["c"].strip(_MARKS) for other in others]
        for letter, others in json.loads(text).items()
    }
    found = {}
    for letter, others in pairs.items():
        if len(letter) != 1 or len(others) != 1 or unicodedata.normalize("NFKC", letter) != letter:
            continue  # several letters, one that stands for others, or one that is gone before
        (other,) = others
        is_alone = len(other) == 1 and len(pairs.get(other, ())) == 1
        if other and not (is_alone and letter < other):
            found[ord(letter)] = other
    return found


def looks(name: str) -> list[str]:
    """The looks of a name as it is stored, one or two: as it is written, and as it is without regard to case."""
    plain = unicodedata.normalize("NFKC", unescape(name))
    return sorted({_skeleton(plain), _skeleton(plain.casefold())})


def _skeleton(text: str) -> str:
    """The skeleton without regard to case, of what is seen of the text."""
    for _ in range(
        2
    ):  # what stands for a letter may have another case, and then look like something else
        seen = "".join(one for one in unicodedata.normalize("NFD", text) if _is_seen(one))
        text = unicodedata.normalize("NFC", seen.translate(_prototypes()).casefold())
    return text


def _is_seen(letter: str) -> bool:
    return unicodedata.category(letter) != "Cf"

"""Skeletons of names (Unicode Technical Standard 39): two names that look alike have the same skeleton.

The table is Unicode's confusables, from the package confusable-homoglyphs, which lists each pair both ways; the letter
with the most pairs is the prototype of its group.
"""

from __future__ import annotations

import json
import unicodedata
from functools import cache
from html import unescape
from importlib.resources import files
from typing import Final

# Direction marks that the package has around letters of right-to-left scripts.
_MARKS: Final = "\u200e\u200f"


@cache
def _prototypes() -> dict[int, str]:
    """Return, by the code point of each confusable letter, the prototype that replaces it, for str.translate; read once
    a process.
    """
    text = files("confusable_homoglyphs").joinpath("confusables.json").read_text(encoding="utf-8")
    pairs = {
        letter.strip(_MARKS): [other["c"].strip(_MARKS) for other in others]
        for letter, others in json.loads(text).items()
    }
    found = {}
    for letter, others in pairs.items():
        if len(letter) != 1 or len(others) != 1 or unicodedata.normalize("NFKC", letter) != letter:
            continue  # several letters, a prototype of others, or a letter mapped before
        (other,) = others
        is_alone = len(other) == 1 and len(pairs.get(other, ())) == 1
        if other and not (is_alone and letter < other):
            found[ord(letter)] = other
    return found


def looks(name: str) -> list[str]:
    """Return the skeletons, one or two, sorted, of a stored (HTML-escaped) profile name: of the name as written and, if
    that has another skeleton, of the case-folded name. Two names look alike if they have a skeleton in common.
    """
    plain = unicodedata.normalize("NFKC", unescape(name))
    return sorted({_skeleton(plain), _skeleton(plain.casefold())})


def _skeleton(text: str) -> str:
    """Return the skeleton of `text`, which is in NFKC; it is in lower case and without invisible (format) characters.
    The two cases of a letter can have different skeletons: `I` has `l`, `i` has `i`.
    """
    for _ in range(2):  # a prototype may have another case, and then another prototype
        seen = "".join(one for one in unicodedata.normalize("NFD", text) if _is_seen(one))
        text = unicodedata.normalize("NFC", seen.translate(_prototypes()).casefold())
    return text


def _is_seen(letter: str) -> bool:
    return unicodedata.category(letter) != "Cf"

"""Visible text of HTML, as a person reads it, in one line."""

from __future__ import annotations

import re
from html import unescape
from typing import Final
from unicodedata import normalize

_GONE: Final = re.compile(r"<(script|style|cite|template)\b.*?</\1\s*>|<!--.*?-->", re.S | re.I)
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>")
_ALT: Final = re.compile(r"\balt\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.I)
_BLOCKS: Final = frozenset(
    (
        *(
            "address",
            "article",
            "aside",
            "blockquote",
            "body",
            "br",
            "caption",
            "center",
            "col",
            "dd",
            "details",
        ),
        *(
            "dialog",
            "div",
            "dl",
            "dt",
            "fieldset",
            "figcaption",
            "figure",
            "footer",
            "form",
            "h1",
            "h2",
            "h3",
            "h4",
        ),
        *(
            "h5",
            "h6",
            "header",
            "hr",
            "html",
            "legend",
            "li",
            "main",
            "nav",
            "ol",
            "p",
            "pre",
            "section",
            "summary",
        ),
        *("table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
    )
)
# Soft hyphens, zero-width characters, direction marks and variation selectors.
_MARKS: Final = re.compile(
    "[\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufe0e\ufe0f]"
)


def visible_text(html: str) -> str:
    """Return the text that HTML shows: pictures by their `alt`, a space between blocks, each run of white space as one
    space, no invisible characters; without comments and the content of `script`, `style`, `template` and `cite`.
    """

    def replaced(tag: re.Match[str]) -> str:
        name = tag[2].lower()
        if name == "img":
            alt = _ALT.search(tag[3])
            return (alt[1] or alt[2] or "") if alt else ""
        return " " if name in _BLOCKS else ""

    text = unescape(_TAG.sub(replaced, _GONE.sub("", html)))
    return " ".join(normalize("NFC", _MARKS.sub("", text)).split())

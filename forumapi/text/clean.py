"""Cleaning of titles and other short fields (content 1.7, platform 1.14).

Each function returns the HTML-escaped string that is stored and served; clients insert it raw, so this is a security
boundary. Cleaning is idempotent.
"""

from collections.abc import Callable
from html import unescape
from unicodedata import normalize

from forumapi.text.chars import (
    block_characters,
    lower_if_all_caps,
    sentence_characters,
    word_characters,
)
from forumapi.text.html_tokenizer import strip_tags

_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"},
)


def word(text: str, *, quiet: bool = True) -> str:
    """Clean a word: printable characters, all white space removed. `quiet` applies the case rule."""
    return _clean(text, word_characters, quiet)


def sentence(text: str, *, quiet: bool = True) -> str:
    """Clean a line: printable characters and U+0020, trimmed. `quiet` applies the case rule."""
    return _clean(text, sentence_characters, quiet)


def block(text: str, *, quiet: bool = True) -> str:
    """Clean several lines: printable characters and white space, trimmed. `quiet` applies the case rule."""
    return _clean(text, block_characters, quiet)


def length(cleaned: str) -> int:
    """Return the number of code points before escaping, for length limits."""
    return len(unescape(cleaned)) if "&" in cleaned else len(cleaned)


def escape(text: str) -> str:
    """Escape the five special characters of HTML as in stored fields."""
    return text.translate(_ESCAPES)


def _clean(text: str, characters: Callable[[str], str], quiet: bool) -> str:
    text = characters(text)
    if "<" in text:
        text = strip_tags(text)
    if "&" in text:
        # An entity can encode a character that is removed.
        text = characters(unescape(text))
    text = normalize("NFC", text)
    # The case rule applies to the text without tags and entities: their names would else make a second cleaning
    # differ from the first.
    if quiet:
        text = normalize("NFC", lower_if_all_caps(text))
    return escape(text.strip())

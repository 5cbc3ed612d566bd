"""Cleaning of titles and other short fields (content 1.7, platform 1.14).

Each grade takes what a client sent and gives the HTML-escaped string that is stored and served;
clients insert it raw, so this is a security boundary. Cleaning what was cleaned changes nothing.
"""

from collections.abc import Callable
from html import unescape
from unicodedata import normalize

from forumapi.text.chars import (
    block_characters,
    quieten,
    sentence_characters,
    word_characters,
)
from forumapi.text.markup import strip_tags

_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"},
)


def word(text: str, *, quiet: bool = True) -> str:
    """One word: printable characters, all white space removed. `quiet` applies the case rule."""
    return _clean(text, word_characters, quiet)


def sentence(text: str, *, quiet: bool = True) -> str:
    """One line: printable characters and U+0020, trimmed. `quiet` applies the case rule."""
    return _clean(text, sentence_characters, quiet)


def block(text: str, *, quiet: bool = True) -> str:
    """Several lines: printable characters and white space, trimmed. `quiet` applies the case rule."""
    return _clean(text, block_characters, quiet)


def length(cleaned: str) -> int:
    """How many code points a cleaned text has before escaping: what length limits count."""
    return len(unescape(cleaned)) if "&" in cleaned else len(cleaned)


def escape(text: str) -> str:
    """`text` with the five characters of HTML escaped the way stored fields have them."""
    return text.translate(_ESCAPES)


def _clean(text: str, characters: Callable[[str], str], quiet: bool) -> str:
    text = characters(text)
    if "<" in text:
        text = strip_tags(text)
    if "&" in text:
        # An entity can stand for a character that the grade drops.
        text = characters(unescape(text))
    text = normalize("NFC", text)
    # The case rule looks at the text alone: were tag names and entity names letters too, a second
    # cleaning could find shouting that the first did not.
    if quiet:
        text = normalize("NFC", quieten(text))
    return escape(text.strip())

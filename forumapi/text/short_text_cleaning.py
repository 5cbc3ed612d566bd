"""Cleaning of titles, names and other short fields (content 1.7, platform 1.14).

Each function returns the HTML-escaped text that is stored and served. Clients insert it into pages as it is, so this is
a security boundary. Cleaning a cleaned text again changes nothing.
"""

from collections.abc import Callable
from html import unescape
from unicodedata import normalize

from forumapi.text.character_filters import (
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
    """Clean a field of one word, and HTML-escape it: all white space, tags and characters that are not printable are
    removed, and entities decoded. `quiet`: a text all in capitals becomes lower case.
    """
    return _clean(text, word_characters, quiet)


def sentence(text: str, *, quiet: bool = True) -> str:
    """Clean a field of one line, and HTML-escape it: tags, characters that are not printable and white space other than
    U+0020 are removed, entities decoded, and the text is trimmed. `quiet`: a text all in capitals becomes lower case.
    """
    return _clean(text, sentence_characters, quiet)


def block(text: str, *, quiet: bool = True) -> str:
    """Clean a field of several lines, and HTML-escape it: tags and characters that are neither printable nor white
    space are removed, entities decoded, and the text is trimmed. `quiet`: a text all in capitals becomes lower case.
    """
    return _clean(text, block_characters, quiet)


def length(cleaned: str) -> int:
    """Return the number of characters of a cleaned text before its escaping, for limits of length."""
    return len(unescape(cleaned)) if "&" in cleaned else len(cleaned)


def escape(text: str) -> str:
    """Escape the five special characters of HTML, in the form that stored fields have."""
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

"""Cleaning of imported values for our columns: names, titles, texts, ids and times."""

from __future__ import annotations

import datetime
import hashlib
import zoneinfo
from functools import cache
from typing import Final
from unicodedata import normalize

from forumapi.porting.layout import MAX_ID
from forumapi.text import short_text_cleaning
from forumapi.text.character_filters import block_characters, sentence_characters, word_characters

# Characters of a title; the longest of the products is 255.
MAX_LINE: Final = 1000
MAX_BLOCK: Final = 10_000
# Characters of a name. Mentions find names of up to 50.
MAX_NAME: Final = 100
_FORBIDDEN_IN_NAMES: Final = str.maketrans({"@": "_", "+": "_", " ": "_"})
EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def plain(text: str) -> str:
    """Return a text without what PostgreSQL refuses: NUL is removed, halves of surrogate pairs become "?"."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def line(text: str, fallback: str = "") -> str:
    """Return a text as a title is stored: one line, trimmed and cut to 1,000 characters, then HTML-escaped; for an
    empty text `fallback`, which is escaped too. Unlike a typed title, the result keeps `<`, `&` and capitals.
    """
    cleaned = normalize("NFC", sentence_characters(" ".join(plain(text).split())))
    return short_text_cleaning.escape(cleaned[:MAX_LINE].strip() or fallback)


def block(text: str, fallback: str = "") -> str:
    """Return a text as a description is stored: several lines, trimmed and cut to 10,000 characters, then HTML-escaped;
    for an empty text `fallback`, which is escaped too.
    """
    cleaned = normalize("NFC", block_characters(plain(text))).strip()
    return short_text_cleaning.escape(cleaned[:MAX_BLOCK] or fallback)


def name(text: str) -> str:
    """Return a profile's name as it is stored: cut to 100 characters, then HTML-escaped; "" for an empty name.

    Spaces, `@` and `+`, at which mentions end, become `_`; a name of one character or of digits alone gets `_` at its
    end.
    """
    words = " ".join(plain(text).split()).translate(_FORBIDDEN_IN_NAMES)
    cleaned = normalize("NFC", word_characters(words))[:MAX_NAME]
    if cleaned.isdigit():
        # A name of digits alone would be an id.
        cleaned = f"{cleaned}_"
    return short_text_cleaning.escape(cleaned.ljust(2, "_")) if cleaned else ""


def old_id(text: str) -> str:
    """Return an old id as it is stored: itself, or `sha1:` and its SHA-1 digest in hexadecimal if it has more than 64
    characters.
    """
    text = plain(text)
    return text if len(text) <= MAX_ID else f"sha1:{hashlib.sha1(text.encode()).hexdigest()}"


def guest_id(author_name: str) -> str:
    """Return the old id of the profile for guests who wrote under this name, in any letter case; "0" for no name."""
    folded = normalize("NFKC", plain(author_name)).strip().casefold()
    return f"guest:{hashlib.sha1(folded.encode()).hexdigest()}" if folded else "0"


def time(value: datetime.datetime | None, fallback: datetime.datetime) -> str:
    """Return `value`, or `fallback` for None, in ISO 8601 for a JSON parameter; a time without a zone is taken as
    UTC.
    """
    chosen = value or fallback
    return (chosen if chosen.tzinfo else chosen.replace(tzinfo=datetime.UTC)).isoformat()


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def time_zone(text: str, fallback: str) -> str:
    """Return `text` if it names a known time zone, such as Europe/Berlin, else `fallback`."""
    return text if text in _time_zones() else fallback

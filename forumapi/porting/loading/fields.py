"""Fields of imported rows: names, titles, ids and times brought within what our tables take, as far as they must be."""

from __future__ import annotations

import datetime
import hashlib
import zoneinfo
from functools import cache
from typing import Final
from unicodedata import normalize

from forumapi.porting.layout import MAX_ID
from forumapi.text import clean
from forumapi.text.chars import block_characters, sentence_characters, word_characters

# Characters of a title; the longest of the products is 255.
MAX_LINE: Final = 1000
MAX_BLOCK: Final = 10_000
# Characters of a name. Mentions find names of up to 50.
MAX_NAME: Final = 100
_FORBIDDEN_IN_NAMES: Final = str.maketrans({"@": "_", "+": "_", " ": "_"})
EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def plain(text: str) -> str:
    """Return a text without what PostgreSQL refuses: NUL and halves of surrogate pairs."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def line(text: str, fallback: str = "") -> str:
    """Return a line as it is stored, HTML-escaped. Unlike typed titles, it keeps `<`, `&` and capitals."""
    cleaned = normalize("NFC", sentence_characters(" ".join(plain(text).split())))
    return clean.escape(cleaned[:MAX_LINE].strip() or fallback)


def block(text: str, fallback: str = "") -> str:
    """Return a text of several lines as it is stored, HTML-escaped."""
    cleaned = normalize("NFC", block_characters(plain(text))).strip()
    return clean.escape(cleaned[:MAX_BLOCK] or fallback)


def name(text: str) -> str:
    """Return a profile's name as it is stored: spaces, `@` and `+` become `_`, since mentions end there."""
    words = " ".join(plain(text).split()).translate(_FORBIDDEN_IN_NAMES)
    cleaned = normalize("NFC", word_characters(words))[:MAX_NAME]
    if cleaned.isdigit():
        # A name of digits alone would be an id.
        cleaned = f"{cleaned}_"
    return clean.escape(cleaned.ljust(2, "_")) if cleaned else ""


def old_id(text: str) -> str:
    """Return an old id as it is stored: one that is too long, by its digest."""
    text = plain(text)
    return text if len(text) <= MAX_ID else f"sha1:{hashlib.sha1(text.encode()).hexdigest()}"


def guest_id(author_name: str) -> str:
    """Return the id under which the profile of guests of this name is kept; of no name, `0`."""
    folded = normalize("NFKC", plain(author_name)).strip().casefold()
    return f"guest:{hashlib.sha1(folded.encode()).hexdigest()}" if folded else "0"


def time(value: datetime.datetime | None, fallback: datetime.datetime) -> str:
    """Return a time for a JSON parameter; one without a zone is UTC."""
    chosen = value or fallback
    return (chosen if chosen.tzinfo else chosen.replace(tzinfo=datetime.UTC)).isoformat()


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def time_zone(text: str, fallback: str) -> str:
    """Return the name of a known time zone, or the fallback."""
    return text if text in _time_zones() else fallback

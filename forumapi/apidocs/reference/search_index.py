"""Search over the reference: operations, objects and their fields, and codes of errors.

`templates/reference/search.js` searches the same entries by the same rules in the browser; a test holds both together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

MOST_HITS: Final = 40
LONGEST_QUERY: Final = 100
_MOST_WORDS: Final = 8
# Words of a name in camel case, of a path, or with underscores.
_PART: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
# What counts first where names match equally well: operations and errors, objects, fields.
_OPERATION, _OBJECT, _FIELD = range(3)


class SearchHit(NamedTuple):
    """Entry that was found: its title, a note beside it, and its address."""

    title: str
    note: str
    address: str


class _Entry(NamedTuple):
    kind: int
    name: str
    parts: frozenset[str]
    text: str
    hit: SearchHit


class SearchIndex:
    """Index of the entries of `published`, the JSON that browsers search in by themselves.

    `operations`: [id, method and path, summary, page, names of parameters] each; `objects`: [name, page, names of
    fields]; `errors`: [name, number, status, meaning]. Names of parameters and fields have spaces between; a page is
    the last part of its address.
    """

    def __init__(self, published: dict[str, list[list[Any]]]) -> None:
        self._entries = list(_entries(published))

    def find(self, query: str) -> list[SearchHit]:
        """Return the entries in which every word of the query occurs, the best first, MOST_HITS at most; none for a
        query without words. Of a longer query the first LONGEST_QUERY characters count, and of these the first eight
        words.
        """
        words = query[:LONGEST_QUERY].lower().split()[:_MOST_WORDS]
        if not words:
            return []
        ranked = [
            (4 * sum(_score(entry, word) for word in words) + entry.kind, len(entry.name), place)
            for place, entry in enumerate(self._entries)
            if all(word in entry.name or word in entry.text for word in words)
        ]
        return [self._entries[place].hit for _, _, place in sorted(ranked)[:MOST_HITS]]


def _score(entry: _Entry, word: str) -> int:
    """Return how badly a word fits that occurs in the entry: 0 for a word of the name or the whole name, 1 for the
    beginning of one, 2 for another part of the name, 3 for a part of the text alone.
    """
    if word in entry.parts or word == entry.name:
        return 0
    if any(part.startswith(word) for part in entry.parts):
        return 1
    return 2 if word in entry.name else 3


def _entries(published: dict[str, list[list[Any]]]) -> Iterable[_Entry]:
    for id, place, summary, page, parameters in published["operations"]:
        hit = SearchHit(place, summary, f"/api/v1/docs/{page}#{id}")
        yield _entry(_OPERATION, f"{id} {place}", f"{summary} {parameters}", hit)
    for name, number, status, meaning in published["errors"]:
        hit = SearchHit(name, f"{status}: {meaning}", f"/api/v1/docs/errors#error-{name}")
        yield _entry(_OPERATION, f"{name} {number or ''} {status}", meaning, hit)
    for name, page, fields in published["objects"]:
        address = f"/api/v1/docs/{page}#object-{name}"
        yield _entry(_OBJECT, name, "", SearchHit(name, "object", address))
        for field in fields.split():
            yield _entry(_FIELD, field, name, SearchHit(field, f"field of {name}", address))


def _entry(kind: int, name: str, text: str, hit: SearchHit) -> _Entry:
    parts = frozenset(part.lower() for part in _PART.findall(name))
    return _Entry(kind, name.lower(), parts, text.lower(), hit)

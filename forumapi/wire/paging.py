"""Paging of lists by limit and offset: parsing and checking them, and page objects with their links (platform 1.8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import quote_plus, unquote_plus

from forumapi.errors import OUT_OF_RANGE, WRONG_TYPE, Invalid
from forumapi.wire.json_fragments import dumps

Pairs = Sequence[tuple[str, str]]

DEFAULT_LIMIT: Final = 25
MAX_LIMIT: Final = 250
STEP: Final = 5
# Above the length of any list; offset and limit together stay within 32 bits.
_MAX_OFFSET: Final = 2_000_000_000


class Paging(NamedTuple):
    """Page of a list that a query asks for: up to `limit` entries after the first `offset` ones."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0


def _number(name: str, text: str, default: int) -> int:
    if text == "":
        return default
    digits = text[1:] if text[0] in "+-" else text
    if not digits.isascii() or not digits.isdigit() or len(digits) > 19:
        raise Invalid(name, "must be a whole number", code=WRONG_TYPE)
    return int(text)


def parse(limit: str, offset: str) -> Paging:
    """Parse the query parameters `limit` and `offset`; "", for an absent one, is DEFAULT_LIMIT and 0. Raises Invalid,
    code WRONG_TYPE unless both are whole numbers, OUT_OF_RANGE unless `limit` is a multiple of STEP from STEP to
    MAX_LIMIT, and `offset` 0 or a multiple of `limit` up to 2,000,000,000.
    """
    size = _number("limit", limit, DEFAULT_LIMIT)
    if not 1 <= size <= MAX_LIMIT or size % STEP:
        raise Invalid(
            "limit", f"must be a multiple of {STEP} from {STEP} to {MAX_LIMIT}", code=OUT_OF_RANGE
        )
    start = _number("offset", offset, 0)
    if start < 0 or start % size:
        raise Invalid("offset", "must be 0 or a positive multiple of limit", code=OUT_OF_RANGE)
    if start > _MAX_OFFSET:
        raise Invalid("offset", "is beyond the last page", code=OUT_OF_RANGE)
    return Paging(size, start)


def max_offset(total: int, limit: int) -> int:
    """Return the offset of the last page, of `limit` entries at most, of a list of `total` entries; 0 for an empty
    list.
    """
    return (total - 1) // limit * limit if total else 0


def check(total: int, paging: Paging) -> None:
    """Raise Invalid, code OUT_OF_RANGE, if the offset is beyond the last page of a list of `total` entries."""
    if paging.offset > max_offset(total, paging.limit):
        raise Invalid("offset", "is beyond the last page", code=OUT_OF_RANGE)


def page_offset(position: int, limit: int) -> int:
    """Return the offset of the page, of `limit` entries, that holds the entry at `position`, which counts from 1; 0 for
    a lower position.
    """
    return (max(position, 1) - 1) // limit * limit


def href(path: str, pairs: Pairs, **changed: int | str | None) -> str:
    """Return a link to `path` with the query `pairs` (decoded keys and values), sorted by key, without `access_token`.

    `changed`: values of parameters, by key, that take the place of those in `pairs`; None: the parameter is dropped.
    """
    kept = [(key, value) for key, value in pairs if key != "access_token" and key not in changed]
    kept += [(key, str(value)) for key, value in changed.items() if value is not None]
    kept.sort(key=lambda pair: pair[0])
    query = "&".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in kept)
    return f"{path}?{query}" if query else path


def _self_href(path: str, query: str, pairs: Pairs, offset: int) -> str:
    """Return the `self` link of a page: path and query as received, without `access_token`; at offset 0 the link as
    `href` writes it, without offset. `query`: as received, `pairs`: the same decoded, `offset`: the page's.
    """
    if not query:
        return path
    if offset == 0:
        return href(path, pairs, offset=None)
    kept = "&".join(
        part for part in query.split("&") if unquote_plus(part.partition("=")[0]) != "access_token"
    )
    return f"{path}?{kept}" if kept else path


def page(
    items: bytes,
    total: int,
    paging: Paging,
    type_path: str,
    path: str,
    query: str = "",
    pairs: Pairs = (),
) -> bytes:
    """Return the page object of a list as JSON, with its links (platform 1.8).

    `items`: the page's entries as a JSON array; `total`: number of entries in the whole list; `paging`: limit and
    offset of the page; `type_path`: value of the key `type`, a path of the API that stands for the kind of entries,
    such as /api/v1/profiles; `path`, `query` (as received), `pairs` (the query decoded): of the request, for the links.
    """
    limit, offset = paging
    last = max_offset(total, limit)
    links: list[dict[str, str]] = []

    def link(rel: str, to: int) -> None:
        links.append(
            {
                "rel": rel,
                "href": href(path, pairs, offset=to or None),
                "title": str(to // limit + 1),
            }
        )

    if offset > limit:
        link("first", 0)
    if offset > 0:
        link("prev", offset - limit)
    links.append(
        {
            "rel": "self",
            "href": _self_href(path, query, pairs, offset),
            "title": str(offset // limit + 1),
        }
    )
    if offset < last:
        link("next", offset + limit)
    if offset + limit < last:
        link("last", last)
    head = (
        b'{"total":%d,"limit":%d,"offset":%d,"maxOffset":%d,"totalPages":%d,"page":%d,"links":'
        % (
            total,
            limit,
            offset,
            last,
            -(-total // limit),
            offset // limit + 1,
        )
    )
    return b'%b%b,"type":%b,"items":%b}' % (head, dumps(links), dumps(type_path), items)


def preview(items: bytes, total: int, limit: int, type_path: str) -> bytes:
    """Return a page object that is part of another document, as JSON: the first page of a list, without links.

    `items`: the first `limit` entries, or fewer, as a JSON array; `total`: number of entries in the whole list;
    `type_path`: as in `page`.
    """
    return (
        b'{"total":%d,"limit":%d,"offset":0,"maxOffset":%d,"totalPages":%d,"page":1,"type":%b,"items":%b}'
        % (
            total,
            limit,
            max_offset(total, limit),
            -(-total // limit),
            dumps(type_path),
            items,
        )
    )

"""Search for the latest active items of some types and nothing else, as front pages ask: a cached page of it, the same
for all who may read the same microcosms and ignore the same items (decision 0008).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Encoded, Query, Replica, Row, encoded
from forumapi.itemtypes import CONVERSATION, EVENT, POLL
from forumapi.models.content import item_page, item_summary, type_specific_fields
from forumapi.models.discovery import search
from forumapi.models.discovery.search import Hit, SearchResult, Viewer
from forumapi.models.discovery.search_query import ParsedSearch
from forumapi.models.microcosms.microcosm_summary import ALL_READ
from forumapi.models.pages import page_cache
from forumapi.models.pages.page_cache import CachedPage, PageCache, digest
from forumapi.wire.paging import Paging

# Types of items that stand in microcosms: everybody who may read the microcosm sees the same of them.
_TYPES: Final = frozenset((CONVERSATION, EVENT, POLL))
# Parameters of `search.filters` that all of this search's filters are.
_USED: Final = frozenset(
    (
        "site_id",
        "me",
        "kinds",
        "with_comments",
        "parents",
        "readable",
        "everywhere",
        "ignored_items",
        "ignored_people",
        "ordering",
    )
)
# What the database answers as rank of everything that was found without words.
_RANK: Final = 0.5

PAGE = Query(
    "latest_items.page",
    f"""
    SELECT f.total, {page_cache.SNAPSHOT}, {item_summary.SUMMARY_COLUMNS}, {item_summary.SUMMARY_TIMES}
      FROM search_latest(%(site_id)s, %(kinds)s::smallint[], %(readable)s::bigint[], %(ignored_items)s::bigint[],
                         %(most)s::integer, %(limit)s::integer, %(offset)s::integer) f
      LEFT JOIN items i ON i.site_id = %(site_id)s AND i.item_id = f.item_id
      LEFT JOIN profiles a ON a.site_id = i.site_id AND a.profile_id = i.created_by
      LEFT JOIN profiles l ON l.site_id = i.site_id AND l.profile_id = i.last_comment_by
      LEFT JOIN item_views v ON v.site_id = i.site_id AND v.item_id = i.item_id
     ORDER BY f.place""",
    replica=Replica.ACKNOWLEDGED,
)
_HEAD: Final = 2
_TIMES: Final = _HEAD + item_summary.SUMMARY_WIDTH
_DETAILS: Final = 16  # the item type's own columns in SUMMARY_COLUMNS

# As item_page.READ_TIME for the types of this search; the mark of the whole site is looked up once.
_READ_TIME: Final = f"""greatest({ALL_READ},
                   (SELECT r.read_at FROM read_marks r
                     WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                       AND r.item_type_id = i.item_type_id AND r.item_id = i.item_id),
                   (SELECT r.read_at FROM read_marks r
                     WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                       AND r.item_type_id = {itemtypes.MICROCOSM} AND r.item_id = i.microcosm_id),
                   '-infinity'::timestamptz)"""

# The part of a page that belongs to the viewer `me`: how many comments are new in each item in which something is
# unread, the viewer's columns of item types; and whether the cached page is still current.
VIEWER = Query(
    "latest_items.viewer",
    f"""
    SELECT {page_cache.IS_CURRENT}, {page_cache.SNAPSHOT}, n.ids, n.new, t.ids, t.mine
      FROM (SELECT array_agg(i.item_id) AS ids, array_agg(i.new) AS new
              FROM (SELECT i.item_id, {item_page.new_comments(_READ_TIME)} AS new
                      FROM items i
                     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(shown)s::bigint[])
                       AND i.last_activity > coalesce({ALL_READ}, '-infinity') OFFSET 0) i
             WHERE i.new IS NOT NULL) n
     CROSS JOIN (SELECT array_agg(i.item_id) AS ids, array_agg({type_specific_fields.MINE}) AS mine
                   FROM (SELECT (k.key & 31)::smallint AS item_type_id, k.key >> 5 AS item_id
                           FROM unnest(%(typed)s::bigint[]) AS k (key)) i) t""",
)


class LatestItems(NamedTuple):
    """Page of the latest active items, without the viewer's part. `total`: matches that were counted; `items`:
    SUMMARY_COLUMNS of each item on the page, and `times`, SUMMARY_TIMES in the same order. SQL arrays for `VIEWER`:
    `shown`, ids of the items; `typed`, id * 32 + type of those with details. `stamp`: hash of all that is shown.
    """

    total: int
    items: list[Row]
    times: list[Row]
    shown: Encoded
    typed: Encoded
    stamp: bytes


def find(
    pages: PageCache, tx: Reader, who: Viewer, asked: ParsedSearch, at: Paging
) -> SearchResult | None:
    """Return the page `at` of the result for the search `asked`, as `search.find` does; None for a search for anything
    but the latest active items of some types in microcosms. `pages`: this process's cache, which is used while it is
    current.
    """
    given = search.filters(who, asked)
    kinds = given["kinds"]
    others = any(value is not None for name, value in given.items() if name not in _USED)
    if asked.text or given["with_comments"] or others or not _TYPES.issuperset(kinds):
        return None
    if asked.sort not in ("", "date"):
        return None
    readable, ignored = tuple(given["readable"]), tuple(who.ignored_items)
    key = ("latest", who.site_id, kinds, readable, ignored, at.offset, at.limit)

    def read() -> CachedPage[LatestItems]:
        rows = tx.rows(
            PAGE,
            site_id=who.site_id,
            kinds=kinds,
            readable=readable,
            ignored_items=ignored,
            most=search.reach(at),
            limit=at.limit,
            offset=at.offset,
        )
        return _page(rows, tx.snapshot)

    found: CachedPage[LatestItems] | None = pages.get(key) if who.me else None
    if found is not None:
        current, new, mine = _viewer(tx, who, found)
        if current:
            return _result(found.value, new, mine, at)
    fresh = pages.get_or_read(tx, who.site_id, page_cache.ANYTHING, key, read, stale=found)
    assert fresh is not None
    _, new, mine = _viewer(tx, who, fresh) if who.me else (True, {}, {})
    return _result(fresh.value, new, mine, at)


def _page(rows: list[Row], snapshot: str | None) -> CachedPage[LatestItems]:
    total, own_snapshot = rows[0][:_HEAD]
    shown = [row for row in rows if row[_HEAD] is not None]
    items = [row[_HEAD:_TIMES] for row in shown]
    times = [row[_TIMES:] for row in shown]
    typed = [row[0] << 5 | row[1] for row in items if row[_DETAILS] is not None]
    moments = [type_specific_fields.until(row[1], row[_DETAILS]) for row in items]
    until = min((one.timestamp() for one in moments if one is not None), default=None)
    # The other times move with the item's version or its last comment.
    active = [row[2].isoformat() for row in times]
    made = LatestItems(
        total,
        items,
        times,
        encoded([row[0] for row in items]),
        encoded(typed),
        digest((total, items, active)),
    )
    return CachedPage(snapshot or own_snapshot, made, until)


def _viewer(
    tx: Reader, who: Viewer, found: CachedPage[LatestItems]
) -> tuple[bool, dict[int, int], dict[int, str]]:
    """Return (is current, new, mine), read in one statement: True if the page `found` is still current; by item id, the
    number of comments that are new to the viewer in each item in which something is unread; by item id, the viewer's
    part of items' details.
    """
    row = found.revalidate(
        tx,
        VIEWER,
        site_id=who.site_id,
        me=who.me,
        concerns=page_cache.ANYTHING,
        shown=found.value.shown,
        typed=found.value.typed,
        ignored_people=who.ignored_people,
    )
    assert row is not None
    current, _, unread, new, typed, mine = row
    counts = dict(zip(unread, new, strict=True)) if unread else {}
    return current, counts, dict(zip(typed, mine, strict=True)) if typed else {}


def _result(
    page: LatestItems, new: dict[int, int], mine: dict[int, str], at: Paging
) -> SearchResult:
    hits = [
        Hit(
            item[1],
            item[0],
            _RANK,
            times[2],
            new.get(item[0]),
            mine.get(item[0]),
            "",
            item,
            times,
            None,
            0,
            0,
            "",
        )
        for item, times in zip(page.items, page.times, strict=True)
    ]
    stamp = (page.stamp, sorted(new.items()), sorted(mine.items()))
    return SearchResult(page.total, False, page.total >= search.reach(at), hits, stamp)

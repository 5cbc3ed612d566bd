"""Microcosms: the tree's places, their page of children and items, counters, writing (content 2)."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import (
    Encoded,
    Query,
    Reader,
    Replica,
    Row,
    encoded,
)
from forumapi.models.content import item_details, item_page
from forumapi.models.microcosms import microcosm_links
from forumapi.models.pages import page_cache
from forumapi.models.pages.documents import Documents, Kind, Loaded
from forumapi.models.pages.page_cache import (
    Kept,
    Pages,
    digest,
    is_current,
)
from forumapi.models.people import profile
from forumapi.permissions.evaluator import Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, Hole, dumps
from forumapi.wire.paging import Paging

# ---------------------------------------------------------------- documents

LOAD = Query(
    "microcosm.load",
    """
    SELECT m.microcosm_id, m.version, coalesce(m.parent_id, 0), m.title, m.description, m.logo_url, m.visibility,
           m.item_types, m.created, m.is_sticky, m.is_open, m.is_deleted, m.is_moderated
      FROM microcosms m
     WHERE m.site_id = %(site_id)s AND m.microcosm_id = ANY(%(ids)s)""",
    replica=Replica.ACKNOWLEDGED,
)


def _load_summaries(_: Documents, tx: Reader, site_id: int, ids: list[int]) -> Loaded:
    """Summaries with the holes breadcrumb, children, totals, author, unread and links."""
    for row in tx.rows(LOAD, site_id=site_id, ids=ids):
        (
            id,
            version,
            parent_id,
            title,
            description,
            logo_url,
            visibility,
            types,
            created,
            *state,
        ) = row
        is_sticky, is_open, is_deleted, is_moderated = state
        data: dict[str, Any] = {"id": id}
        if parent_id:
            data["parentId"] = parent_id
        data[json_fragments.OPTIONAL] = Hole("breadcrumb")
        data |= {
            "siteId": site_id,
            "visibility": visibility,
            "title": title,
            "description": description,
            "logoUrl": logo_url,
            "itemTypes": [itemtypes.name_of(one) for one in types],
        }
        text = dumps(data)[:-1]
        flags = {
            "sticky": is_sticky,
            "open": is_open,
            "deleted": is_deleted,
            "moderated": is_moderated,
            "visible": not is_deleted and not is_moderated,
            json_fragments.OPTIONAL: Hole("unread"),
        }
        meta = dumps(
            {
                "created": json_fragments.when(created),
                "createdBy": Hole("author"),
                "flags": flags,
                "links": Hole("links"),
            }
        )
        yield (
            id,
            version,
            json_fragments.cut(
                b'%b,"?":\0children\0,"moderators":[],"?":\0totals\0,"meta":%b}' % (text, meta),
            ),
        )


SUMMARY: Final = Kind("microcosm/1", _load_summaries)

# ---------------------------------------------------------------- one microcosm with its page of items

# Items of a microcosm that are listed, but for those the viewer ignores; used wherever they are counted or walked.
_LISTED: Final = """
    i.site_id = %(site_id)s AND i.microcosm_id = %(id)s AND NOT i.is_deleted AND NOT i.is_moderated
    AND i.item_type_id IN (6, 9)"""
_NOT_IGNORED: Final = "i.item_id <> ALL(%(ignored)s::bigint[])"

# The list mixes child microcosms and items: sticky microcosms, sticky items, microcosms, items (content 2.7). The
# caller knows the `a` sticky and `b` other children; the statement works out which items the page holds, and walks
# them from the nearer end, so that the last page costs what the first one does. What belongs to the viewer alone is
# VIEWER's.
PAGE = Query(
    "microcosm.page",
    f"""
    WITH head AS MATERIALIZED (
        SELECT m.*, mc.item_count - mc.poll_count + coalesce(d.items, 0)
                  - (SELECT count(*) FROM unnest(%(ignored)s::bigint[]) AS g (id)
                      CROSS JOIN LATERAL (
                            SELECT i.* FROM items i
                             WHERE i.site_id = %(site_id)s AND i.item_id = g.id LIMIT 1) i
                      WHERE i.microcosm_id = %(id)s AND NOT i.is_deleted AND NOT i.is_moderated
                        AND i.item_type_id IN (6, 9)) AS items,
               (SELECT count(*) FROM items i WHERE {_LISTED} AND i.is_sticky AND {_NOT_IGNORED}) AS sticky
          FROM microcosms m
          JOIN microcosm_counts mc ON mc.site_id = m.site_id AND mc.microcosm_id = m.microcosm_id
          LEFT JOIN LATERAL (SELECT sum(x.items - x.polls) AS items FROM microcosm_deltas x
                              WHERE x.site_id = m.site_id AND x.microcosm_id = m.microcosm_id) d ON true
         WHERE m.site_id = %(site_id)s AND m.microcosm_id = %(id)s),
    span AS MATERIALIZED (
        SELECT head.*,
               greatest(0, CASE WHEN %(offset)s <= a THEN 0
                                        WHEN %(offset)s <= a + sticky THEN %(offset)s - a
                                        WHEN %(offset)s <= a + sticky + b THEN sticky
                                        ELSE %(offset)s - a - b END) AS first,
               least(items, CASE WHEN %(offset)s + %(limit)s <= a THEN 0
                                 WHEN %(offset)s + %(limit)s <= a + sticky THEN %(offset)s + %(limit)s - a
                                 WHEN %(offset)s + %(limit)s <= a + sticky + b THEN sticky
                                 ELSE %(offset)s + %(limit)s - a - b END) AS past
          FROM head, (SELECT %(a)s::bigint AS a, %(b)s::bigint AS b) AS known)
    SELECT {item_page.SUMMARY_COLUMNS},
           {item_page.SUMMARY_TIMES},
           h.microcosm_id, h.version, h.title, h.created_by, ha.version, coalesce(h.edited_by, 0),
           coalesce(he.version, 0), h.edit_reason, h.items::int, h.sticky::int,
           h.created, h.edited, h.description, h.visibility, {page_cache.SNAPSHOT}
      FROM span h
      JOIN profiles ha ON ha.site_id = h.site_id AND ha.profile_id = h.created_by
      LEFT JOIN profiles he ON he.site_id = h.site_id AND he.profile_id = h.edited_by
      LEFT JOIN LATERAL (
          (SELECT i.* FROM items i
            WHERE h.first <= h.items / 2 AND {_LISTED} AND {_NOT_IGNORED}
            ORDER BY i.is_sticky DESC, i.last_activity DESC, i.item_id DESC
            LIMIT greatest(h.past - h.first, 0) OFFSET h.first)
          UNION ALL
          (SELECT i.* FROM items i
            WHERE h.first > h.items / 2 AND {_LISTED} AND {_NOT_IGNORED}
            ORDER BY i.is_sticky, i.last_activity, i.item_id
            LIMIT greatest(h.past - h.first, 0) OFFSET greatest(h.items - h.past, 0))) i ON true
      LEFT JOIN profiles a ON a.site_id = i.site_id AND a.profile_id = i.created_by
      LEFT JOIN profiles l ON l.site_id = i.site_id AND l.profile_id = i.last_comment_by
      LEFT JOIN item_views v ON v.site_id = i.site_id AND v.item_id = i.item_id
     ORDER BY i.is_sticky DESC, i.last_activity DESC, i.item_id DESC""",
    replica=Replica.ACKNOWLEDGED,
)
_HEAD: Final = item_page.SUMMARY_WIDTH + item_page.TIMES_WIDTH
_HEAD_STAMPED: Final = 10

# Child microcosms with everything of their subtrees, one row each, from base counters and unfolded deltas. The last
# column is the viewer's alone: null in what is kept of a page.
_CHILDREN: Final = f"""
    WITH place AS (
        SELECT u.id, u.top, u.is_child, u.pos
          FROM unnest(%(ids)s::bigint[], %(tops)s::bigint[], %(kids)s::boolean[]) WITH ORDINALITY
               AS u (id, top, is_child, pos)),
    delta AS (
        SELECT d.microcosm_id, sum(d.items) AS items, sum(d.comments) AS comments, max(d.activity) AS activity,
               (array_agg(d.item_id ORDER BY d.activity DESC NULLS LAST))[1] AS item_id
          FROM microcosm_deltas d
         WHERE d.site_id = %(site_id)s
         GROUP BY d.microcosm_id),
    counted AS (
        SELECT p.id, p.top, p.is_child, p.pos, c.item_count + coalesce(d.items, 0) AS items,
               c.comment_count + coalesce(d.comments, 0) AS comments,
               greatest(c.last_activity, d.activity) AS activity,
               CASE WHEN d.activity >= c.last_activity THEN d.item_id ELSE c.last_item_id END AS item_id
          FROM place p
          JOIN microcosm_counts c ON c.site_id = %(site_id)s AND c.microcosm_id = p.id
          LEFT JOIN delta d ON d.microcosm_id = p.id),
    grouped AS (
        SELECT c.top, sum(c.items)::int AS items, sum(c.comments)::int AS comments,
               (array_agg(c.item_id ORDER BY c.activity DESC) FILTER (WHERE c.item_id IS NOT NULL))[1] AS item_id,
               coalesce(array_agg(c.id ORDER BY c.comments DESC, c.pos) FILTER (WHERE c.is_child),
                        ARRAY[]::bigint[]) AS children
          FROM counted c
         GROUP BY c.top)
    SELECT {item_page.SUMMARY_COLUMNS},
           {item_page.SUMMARY_TIMES},
           g.top, m.version, m.created_by, ma.version, g.items, g.comments, g.children,
           g.item_id IS NOT NULL AND i.item_id IS NULL, {{mine}}
      FROM grouped g
      JOIN microcosms m ON m.site_id = %(site_id)s AND m.microcosm_id = g.top
      JOIN profiles ma ON ma.site_id = m.site_id AND ma.profile_id = m.created_by
      LEFT JOIN items i ON i.site_id = %(site_id)s AND i.item_id = g.item_id AND NOT i.is_deleted
                       AND NOT i.is_moderated
      LEFT JOIN profiles a ON a.site_id = i.site_id AND a.profile_id = i.created_by
      LEFT JOIN profiles l ON l.site_id = i.site_id AND l.profile_id = i.last_comment_by
      LEFT JOIN item_views v ON v.site_id = i.site_id AND v.item_id = i.item_id"""
CHILDREN = Query(
    "microcosm.children", _CHILDREN.format(mine="NULL::text"), replica=Replica.ACKNOWLEDGED
)
CHILDREN_OF_MINE = Query(
    "microcosm.children_of_mine",
    _CHILDREN.format(mine=item_details.MINE),
    replica=Replica.ACKNOWLEDGED,
)

# The most recently active item of each subtree for a viewer who ignores the one that the counters name.
_LATEST: Final = f"""
    SELECT {item_page.SUMMARY_COLUMNS}, {item_page.SUMMARY_TIMES}, {{mine}}, i.top
      FROM (SELECT DISTINCT ON (u.top) u.top, one.*
              FROM unnest(%(ids)s::bigint[], %(tops)s::bigint[]) AS u (id, top)
              CROSS JOIN LATERAL (
                  SELECT i.* FROM items i
                   WHERE i.site_id = %(site_id)s AND i.microcosm_id = u.id AND NOT i.is_deleted AND NOT i.is_moderated
                     AND i.item_type_id IN (6, 9) AND {_NOT_IGNORED}
                   ORDER BY i.last_activity DESC LIMIT 1) one
             ORDER BY u.top, one.last_activity DESC) i
      {item_page.SUMMARY_JOINS}"""
LATEST = Query("microcosm.latest", _LATEST.format(mine="NULL::text"), replica=Replica.ACKNOWLEDGED)
LATEST_OF_MINE = Query(
    "microcosm.latest_of_mine", _LATEST.format(mine=item_details.MINE), replica=Replica.ACKNOWLEDGED
)

_ALL_READ: Final = """(SELECT p.all_read_at FROM profiles p
                        WHERE p.site_id = %(site_id)s AND p.profile_id = %(me)s)"""

# Which of the microcosms `tops` have something unread in one of their places: an item later than every mark that could
# cover it (discovery 7.3).
_UNREAD: Final = f"""
    WITH place AS MATERIALIZED (
        SELECT u.top, u.id,
               greatest(c.last_activity, (SELECT max(d.activity) FROM microcosm_deltas d
                                           WHERE d.site_id = %(site_id)s AND d.microcosm_id = u.id)) AS activity
          FROM unnest(%(ids)s::bigint[], %(tops)s::bigint[]) AS u (id, top)
          JOIN microcosm_counts c ON c.site_id = %(site_id)s AND c.microcosm_id = u.id)
    SELECT t.top
      FROM (SELECT p.top, array_agg(p.id) AS ids, array_agg(p.activity) AS activities
              FROM place p GROUP BY p.top) t
     WHERE EXISTS (
        SELECT 1
          FROM (SELECT p.id, p.activity, greatest({_ALL_READ}, (
                       SELECT r.read_at FROM read_marks r
                        WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                          AND r.item_type_id = 2 AND r.item_id = p.id)) AS read_at
                  FROM unnest(t.ids, t.activities) AS p (id, activity) OFFSET 0) p
         WHERE p.activity > p.read_at
           AND EXISTS (
               SELECT 1 FROM items i
                WHERE i.site_id = %(site_id)s AND i.microcosm_id = p.id AND NOT i.is_deleted
                  AND NOT i.is_moderated AND i.item_type_id IN (6, 9) AND i.is_sticky = ANY('{{f,t}}')
                  AND i.last_activity > p.read_at AND {_NOT_IGNORED}
                  AND coalesce((SELECT r.read_at FROM read_marks r
                                 WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                                   AND r.item_type_id = i.item_type_id AND r.item_id = i.item_id), '-infinity')
                      < i.last_activity))"""
UNREAD = Query("microcosm.unread", _UNREAD)

# What only the viewer `me` sees of a page: marks of what stands on it (each key is id * 32 + type), the watcher, what
# the types of its items show of their own; and whether the page that is kept is still right.
_VIEWER: Final = f"""
    SELECT {page_cache.IS_CURRENT}, {page_cache.SNAPSHOT}, nullif({_ALL_READ}, '-infinity'), w.send_email, w.send_sms,
           m.marked, m.read, t.ids, t.mine, {{unread}}
      FROM (SELECT array_agg(k.key) AS marked, array_agg(r.read_at) AS read
              FROM unnest(%(keys)s::bigint[]) AS k (key)
             CROSS JOIN LATERAL (
                    SELECT r.read_at FROM read_marks r
                     WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                       AND r.item_type_id = (k.key & 31)::smallint AND r.item_id = k.key >> 5 LIMIT 1) r) m
     CROSS JOIN (SELECT array_agg(i.item_id) AS ids, array_agg({item_details.MINE}) AS mine
                   FROM (SELECT (k.key & 31)::smallint AS item_type_id, k.key >> 5 AS item_id
                           FROM unnest(%(typed)s::bigint[]) AS k (key)) i) t
      LEFT JOIN watchers w ON w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = 2
                          AND w.item_id = %(id)s"""
VIEWER = Query("microcosm.viewer", _VIEWER.format(unread="NULL::boolean"))
# With UNREAD at once, for pages that mostly show nothing unread: a round trip less.
VIEWER_AND_UNREAD = Query(
    "microcosm.viewer_and_unread", _VIEWER.format(unread=f"EXISTS ({_UNREAD})")
)


class Child(NamedTuple):
    """A child microcosm in its parent's list, with what its subtree adds up to."""

    id: int
    version: int
    author_id: int
    author_version: int
    items: int
    comments: int
    children: list[int]  # by own comment count
    latest: Row | None  # SUMMARY_COLUMNS of the most recently active item
    times: Row
    mine: str | None = (
        None  # what only the viewer sees of that item (models/content/item_details.py)
    )


class Latest(NamedTuple):
    """The most recently active item of a child, as its fields of that name say it."""

    latest: Row | None
    times: Row
    mine: str | None


NOTHING: Final = Latest(None, (), None)


class Head(NamedTuple):
    """A microcosm with one page of its list, as everybody sees it who may list and ignores the same."""

    id: int
    version: int
    title: str
    author_id: int
    author_version: int
    editor_id: int
    editor_version: int
    edit_reason: str
    item_total: int  # items that are not hidden or ignored
    sticky_total: int  # of those, the sticky ones
    created: datetime.datetime
    edited: datetime.datetime | None
    description: str
    visibility: str
    items: list[Row]  # SUMMARY_COLUMNS
    times: list[Row]
    sticky: list[int]  # the child microcosms on the page, sticky ones and the others
    others: list[int]
    total: int  # entries of the whole list
    children: dict[int, Child]
    keys: Encoded  # of the marks that say what on the page is unread
    typed: Encoded  # keys of the items with details
    stamp: bytes

    @property
    def shown(self) -> list[Child]:
        """The child microcosms on the page, in order."""
        return [self.children[id] for id in (*self.sticky, *self.others) if id in self.children]


class Viewer(NamedTuple):
    """What only one member sees of a page: never kept. Of a guest, nothing."""

    all_read: datetime.datetime | None = None
    send_email: bool | None = None  # None: not watched
    send_sms: bool | None = None
    marks: dict[int, datetime.datetime] = {}
    mine: dict[int, str] = {}
    # Whether anything in it is, on the page or not; None: was not asked along.
    has_unread: bool | None = None

    def is_unread(self, latest: Row, times: Row) -> bool:
        """Whether the item of a SUMMARY_COLUMNS row is unread (discovery 7.3)."""
        moment = times[2]
        keys = (latest[0] << 5 | latest[1], latest[3] << 5 | itemtypes.MICROCOSM)
        read = [mark for mark in map(self.marks.get, keys) if mark is not None]
        if self.all_read is not None:
            read.append(self.all_read)
        return not read or moment > max(read)


class Place(NamedTuple):
    """What is asked for: a page of a microcosm's list, by whom."""

    site_id: int
    id: int
    me: int
    ignored: list[int]  # items
    ignored_here: tuple[int, ...]  # those of them that stand in this microcosm
    tree: Tree
    listable: ReadableMicrocosms  # readable, live, not ignored
    at: Paging


class Seen(NamedTuple):
    """A page of a microcosm with what its viewer sees of it."""

    head: Head
    viewer: Viewer | None  # None: a guest
    unread_items: list[bool]  # of head.items
    unread_children: frozenset[int]
    is_unread: bool  # anything in it or below it
    latest: dict[int, Latest]  # of children whose latest item the viewer ignores, the one before it

    @property
    def stamp(self) -> Any:
        """Everything that the bytes depend on, but for permission, address and tree."""
        if self.viewer is None:
            return self.head.stamp
        return (
            self.head.stamp,
            self.unread_items,
            sorted(self.unread_children),
            self.is_unread,
            self.viewer.send_email,
            self.viewer.send_sms,
            sorted(self.viewer.mine.items()),
            [(id, one.latest, one.mine) for id, one in sorted(self.latest.items())],
        )


def page(pages: Pages, tx: Reader, place: Place) -> Seen | None:
    """The microcosm with the page of its list, as `place.me` sees it; None if it never was. Asks no permission."""
    at, me = place.at, place.me
    key = (
        "place",
        place.site_id,
        place.id,
        place.tree.acl_version,
        place.listable.ids,
        at.offset,
        at.limit,
        place.ignored_here,
    )
    found: Kept[Head] | None = None
    if me:
        found = pages.get(key)
        if found is not None:
            current, viewer = _viewer(tx, place, found)
            if current:
                return _seen(tx, place, found.value, viewer)

    def read() -> Kept[Head] | None:
        again: Kept[Head] | None = pages.get(key)
        if (
            again is not None
            and again is not found
            and is_current(tx, place.site_id, again, page_cache.ANYTHING)
        ):
            return again
        fresh = _read(tx, place)
        if fresh is not None:
            pages.keep(key, fresh)
        return fresh

    # All who may see the same hold the same list of it, which is long: it is not looked through again.
    fresh = pages.single_flight.do((*key[:4], id(place.listable), *key[5:]), tx, read)
    if fresh is None:
        return None
    return _seen(tx, place, fresh.value, _viewer(tx, place, fresh)[1] if me else None)


def _read(tx: Reader, place: Place) -> Kept[Head] | None:
    tree, at = place.tree, place.at
    node = tree.nodes.get(place.id)
    below = [id for id in node.children if id in place.listable.set] if node else []
    sticky = [id for id in below if tree.nodes[id].is_sticky]
    others = [id for id in below if not tree.nodes[id].is_sticky]
    rows = tx.rows(
        PAGE,
        site_id=place.site_id,
        id=place.id,
        ignored=place.ignored_here,
        limit=at.limit,
        offset=at.offset,
        a=len(sticky),
        b=len(others),
    )
    if not rows or node is None:
        return None
    *head, snapshot = rows[0][_HEAD:]
    shown = [row for row in rows if row[0] is not None]
    items = [row[: item_page.SUMMARY_WIDTH] for row in shown]
    times = [row[item_page.SUMMARY_WIDTH : _HEAD] for row in shown]
    item_total, sticky_total = head[8], head[9]
    before = len(sticky) + sticky_total
    start, end = at.offset, at.offset + at.limit
    on_page = sticky[start:end], others[max(start - before, 0) : max(end - before, 0)]
    found = children(tx, place.site_id, tree, place.listable, (*on_page[0], *on_page[1]))
    total = len(sticky) + len(others) + item_total
    latest = [child.latest for child in found.values() if child.latest is not None]
    keys = {row[0] << 5 | row[1] for row in (*items, *latest)}
    keys |= {row[3] << 5 | itemtypes.MICROCOSM for row in (*items, *latest)}
    typed = [row[0] << 5 | row[1] for row in (*items, *latest) if row[_DETAILS] is not None]
    made = (
        *head,
        items,
        times,
        *on_page,
        total,
        found,
        encoded(sorted(keys)),
        encoded(typed),
        digest(
            (head[:_HEAD_STAMPED], items, [tuple(child[:8]) for child in found.values()], total)
        ),
    )
    moments = [item_details.until(row[1], row[_DETAILS]) for row in (*items, *latest)]
    until = min((one.timestamp() for one in moments if one is not None), default=None)
    return Kept(tx.snapshot or snapshot, Head._make(made), until)


def children(
    tx: Reader,
    site_id: int,
    tree: Tree,
    listable: ReadableMicrocosms,
    tops: Sequence[int],
    me: int = 0,
) -> dict[int, Child]:
    """The child microcosms `tops`, each with its `listable` subtree, as `me` sees them; 0: anybody."""
    if not tops:
        return {}
    ids, owners, kids = _subtrees(tree, listable, [(top, top) for top in tops])
    found: dict[int, Child] = {}
    hidden: list[int] = []
    given = {"site_id": site_id, "ids": ids, "tops": owners, "kids": kids}
    rows = tx.rows(CHILDREN_OF_MINE, me=me, **given) if me else tx.rows(CHILDREN, **given)
    for row in rows:
        *columns, is_hidden, mine = row[_HEAD:]
        latest: Row | None = row[: item_page.SUMMARY_WIDTH] if row[0] is not None else None
        times = row[item_page.SUMMARY_WIDTH : _HEAD]
        if is_hidden:
            hidden.append(columns[0])
        found[columns[0]] = Child._make((*columns, latest, times, mine))
    for id, latest in _latest(tx, site_id, tree, listable, hidden, [], me).items():
        found[id] = found[id]._replace(**latest._asdict())
    return found


def watched(
    tx: Reader,
    site_id: int,
    tree: Tree,
    view: ReadableMicrocosms,
    tops: Sequence[int],
    me: int,
    ignored_microcosms: list[int],
    ignored_items: Sequence[int],
) -> dict[int, Child]:
    """The microcosms `tops` with the latest item that `me` sees, who ignores these."""
    found = children(tx, site_id, tree, view, tops, me)
    listable = microcosm_links.visible(view, tree, ignored_microcosms)
    quiet = [
        child.id
        for child in found.values()
        if child.latest is not None
        and (child.latest[0] in ignored_items or child.latest[3] not in listable.set)
    ]
    before = _latest(tx, site_id, tree, listable, quiet, ignored_items, me)
    for id in quiet:
        found[id] = found[id]._replace(**before.get(id, NOTHING)._asdict())
    return found


def _latest(
    tx: Reader,
    site_id: int,
    tree: Tree,
    listable: ReadableMicrocosms,
    tops: Sequence[int],
    ignored: Sequence[int],
    me: int,
) -> dict[int, Latest]:
    """The most recently active item at or below each of `tops`, where there is one, for `me`, who ignores these."""
    if not tops:
        return {}
    ids, owners, _ = _subtrees(tree, listable, [(top, top) for top in tops])
    width = item_page.SUMMARY_WIDTH
    given = {"site_id": site_id, "ids": ids, "tops": owners, "ignored": ignored}
    rows = tx.rows(LATEST_OF_MINE, me=me, **given) if me else tx.rows(LATEST, **given)
    return {row[-1]: Latest(row[:width], row[width:-2], row[-2]) for row in rows}


def _viewer(tx: Reader, place: Place, found: Kept[Head]) -> tuple[bool, Viewer]:
    """Whether the page is still right, and what the viewer sees of it."""
    head = found.value
    given = {
        "site_id": place.site_id,
        "id": place.id,
        "me": place.me,
        "concerns": page_cache.ANYTHING,
        "keys": head.keys,
        "typed": head.typed,
    }
    # What stands behind the first page is older and mostly read: whether something else is not has to be known as well.
    if place.at.offset and not head.shown:
        ids, tops = _where(place, (), head)
        given |= {"ignored": place.ignored, "ids": ids, "tops": tops}
        row = page_cache.ask(tx, VIEWER_AND_UNREAD, found, **given)
    else:
        row = page_cache.ask(tx, VIEWER, found, **given)
    assert row is not None
    current, _, all_read, send_email, send_sms, marked, read, typed, mine, has_unread = row
    marks = dict(zip(marked, read, strict=True)) if marked else {}
    shown = dict(zip(typed, mine, strict=True)) if typed else {}
    return current, Viewer(all_read, send_email, send_sms, marks, shown, has_unread)


def _seen(tx: Reader, place: Place, head: Head, viewer: Viewer | None) -> Seen:
    if viewer is None:
        return Seen(head, None, [False] * len(head.items), frozenset(), False, {})
    unread_items = [
        viewer.is_unread(row, times) for row, times in zip(head.items, head.times, strict=True)
    ]
    unread: set[int] = set()
    unsure: list[int] = []
    quiet = [
        child.id
        for child in head.shown
        if child.latest is not None and child.latest[0] in place.ignored
    ]
    before = _latest(tx, place.site_id, place.tree, place.listable, quiet, place.ignored, place.me)
    latest = {id: before.get(id, NOTHING) for id in quiet}
    for child in head.shown:
        if child.id in latest:
            unsure.append(child.id)
        elif child.latest is not None and viewer.is_unread(child.latest, child.times):
            unread.add(child.id)
        elif child.latest is not None:
            unsure.append(child.id)
    is_unread = bool(unread) or any(unread_items) or bool(viewer.has_unread)
    is_open = not is_unread and viewer.has_unread is None
    if unsure or is_open:
        found = _unread(tx, place, unsure, head if is_open else None)
        unread |= found - {place.id}
        is_unread = is_unread or bool(found)
    return Seen(head, viewer, unread_items, frozenset(unread), is_unread, latest)


def _unread(tx: Reader, place: Place, tops: Sequence[int], head: Head | None) -> set[int]:
    """Those of `tops` that have something unread in or below them; and `head`, if that is asked (see `_where`)."""
    ids, owners = _where(place, tops, head)
    rows = tx.rows(
        UNREAD, site_id=place.site_id, me=place.me, ignored=place.ignored, ids=ids, tops=owners
    )
    return {row[0] for row in rows}


def _where(place: Place, tops: Sequence[int], head: Head | None) -> tuple[Encoded, Encoded]:
    """The microcosms in which UNREAD looks, and the one each counts for: those in and below `tops`; and for `head`, if
    that is asked, itself and those in and below its children that are not on the page."""
    asked = [(top, top) for top in tops]
    if head is None:
        return _subtrees(place.tree, place.listable, asked)[:2]
    on_page = {*head.sticky, *head.others}
    rest = [
        (id, head.id)
        for id in place.tree.nodes[head.id].children
        if id in place.listable.set and id not in on_page
    ]
    ids, owners, _ = _subtrees(place.tree, place.listable, [*asked, *rest])
    separator = b"," if len(ids) > 2 else b""
    return (
        Encoded(b"%b%b%d}" % (ids[:-1], separator, head.id)),
        Encoded(b"%b%b%d}" % (owners[:-1], separator, head.id)),
    )


def unread(
    tx: Reader,
    site_id: int,
    me: int,
    ignored: Sequence[int],
    tree: Tree,
    listable: ReadableMicrocosms,
    tops: Sequence[int],
) -> set[int]:
    """Those of `tops` that have something unread in or below them (discovery 7.3). `ignored` are items."""
    ids, owners, _ = _subtrees(tree, listable, [(top, top) for top in tops])
    rows = tx.rows(UNREAD, site_id=site_id, me=me, ignored=ignored, ids=ids, tops=owners)
    return {row[0] for row in rows}


def _below(tree: Tree, listable: ReadableMicrocosms, top: int) -> tuple[int, bytes, bytes]:
    """How many listable microcosms are at and below `top`, their ids, and whether each is its direct child."""
    key = ("below", top)
    found: tuple[int, bytes, bytes] | None = listable.cache.get(key)
    if found is None:
        inside = [id for id in tree.nodes[top].subtree if id in listable.set]
        # Ties of the children's order are broken by title (content 2.5), so they go in in that order.
        inside.sort(key=lambda id: tree.nodes[id].title)
        ids = b",".join(b"%d" % id for id in inside)
        kids = b",".join(b"t" if tree.nodes[id].parent_id == top else b"f" for id in inside)
        found = listable.keep(key, (len(inside), ids, kids))
    return found


def _subtrees(
    tree: Tree, listable: ReadableMicrocosms, tops: Sequence[tuple[int, int]]
) -> tuple[Encoded, Encoded, Encoded]:
    """The microcosms below some tops with the one each counts for, and whether it is its direct child.

    `tops` are pairs: a microcosm, and the one that it and those below it count for.
    """
    ids: list[bytes] = []
    owners: list[bytes] = []
    kids: list[bytes] = []
    for top, owner in tops:
        count, below, direct = _below(tree, listable, top)
        if count:
            ids.append(below)
            owners += [b"%d" % owner] * count
            kids.append(direct)
    return (
        Encoded(b"{%b}" % b",".join(ids)),
        Encoded(b"{%b}" % b",".join(owners)),
        Encoded(b"{%b}" % b",".join(kids)),
    )


def child_summary(
    fragment: Fragment,
    child: Child,
    people: dict[int, Fragment],
    tree: Tree,
    view: ReadableMicrocosms,
    site_id: int,
    *,
    unread: bool | None,
) -> bytes:
    """The summary of a microcosm (content 2.5). `unread` None leaves the flag out."""
    crumbs = microcosm_links.breadcrumb(tree, view, child.id, with_itself=False)
    below = sorted(child.children, key=lambda id: not tree.nodes[id].is_sticky)
    links = b",".join([microcosm_links.child_link(tree, view, id) for id in below])
    recent = b""
    if child.latest is not None:
        latest = item_page.summary(
            child.latest, child.times, people, tree, view, unread=None, mine=child.mine
        )
        recent = b',"mostRecentUpdate":' + item_page.container(child.latest[1], latest)
    flag = b"" if unread is None else b',"unread":true' if unread else b',"unread":false'
    return json_fragments.fill(
        fragment,
        {
            b"breadcrumb": b"" if crumbs == b"[]" else b',"breadcrumb":' + crumbs,
            b"children": b',"children":[%b]' % links if links else b"",
            b"totals": b',"totalItems":%d,"totalComments":%d%b'
            % (child.items, child.comments, recent),
            b"author": people[child.author_id][0] if child.author_id in people else b"null",
            b"unread": flag,
            b"links": _links(tree, view, child.id, site_id),
        },
    )


def _links(tree: Tree, view: ReadableMicrocosms, id: int, site_id: int) -> bytes:
    """self, parent (unless that is the root) and site of a summary."""
    key = ("links", id)
    found: bytes | None = view.cache.get(key)
    if found is None:
        links: list[dict[str, Any]] = [
            {"rel": "self", "href": itemtypes.href(itemtypes.MICROCOSM, id)}
        ]
        parent = tree.nodes.get(tree.nodes[id].parent_id)
        if parent is not None and parent.parent_id:
            link: dict[str, Any] = {
                "rel": "parent",
                "href": itemtypes.href(itemtypes.MICROCOSM, parent.id),
            }
            if parent.id in view.set:
                link["title"] = parent.title
            links.append(link)
        links.append({"rel": "site", "href": itemtypes.href(itemtypes.SITE, site_id)})
        found = view.keep(key, dumps(links))
    return found


def _entry(
    fragment: Fragment,
    child: Child,
    people: dict[int, Fragment],
    tree: Tree,
    view: ReadableMicrocosms,
    site_id: int,
    *,
    unread: bool,
) -> bytes:
    """A child's list entry; the one made last for this view if nothing that it shows has changed since."""
    key = ("entry", child.id, unread, child.mine)
    made: tuple[Child, bytes] | None = view.cache.get(key)
    if made is not None and made[0] == child:
        return made[1]
    new = child_summary(fragment, child, people, tree, view, site_id, unread=unread)
    entry = item_page.container(itemtypes.MICROCOSM, new)
    view.keep(key, (child, entry))
    return entry


def _shown(seen: Seen, child: Child) -> Child:
    """The child with the latest item that this viewer sees."""
    if child.id in seen.latest:
        return child._replace(**seen.latest[child.id]._asdict())
    if seen.viewer is not None and child.latest is not None and seen.viewer.mine:
        return child._replace(mine=seen.viewer.mine.get(child.latest[0]))
    return child


def wanted(seen: Seen) -> dict[Any, dict[int, int]]:
    """The documents that a microcosm's page is made of."""
    head = seen.head
    people = item_page.summary_people(head.items)
    people[head.author_id] = head.author_version
    if head.editor_id:
        people[head.editor_id] = head.editor_version
    microcosms: dict[int, int] = {}
    for listed in head.shown:
        child = _shown(seen, listed)
        microcosms[child.id] = child.version
        people[child.author_id] = child.author_version
        if child.latest is not None:
            people.update(item_page.summary_people([child.latest]))
    return {SUMMARY: microcosms, profile.SUMMARY: people}


def entries(
    seen: Seen,
    documents: dict[int, Fragment],
    people: dict[int, Fragment],
    tree: Tree,
    view: ReadableMicrocosms,
    site_id: int,
) -> bytes:
    """The JSON array of a page's entries."""
    head, mine = seen.head, seen.viewer.mine if seen.viewer else {}

    def microcosms(ids: Sequence[int]) -> list[bytes]:
        return [
            _entry(
                documents[id],
                _shown(seen, head.children[id]),
                people,
                tree,
                view,
                site_id,
                unread=id in seen.unread_children,
            )
            for id in ids
            if id in head.children and id in documents
        ]

    def items(sticky: bool) -> list[bytes]:
        return [
            item_page.entry(row, times, people, tree, view, unread=unread, mine=mine.get(row[0]))
            for row, times, unread in zip(head.items, head.times, seen.unread_items, strict=True)
            if row[_STICKY] is sticky
        ]

    parts = microcosms(head.sticky) + items(True) + microcosms(head.others) + items(False)
    return b"[%b]" % b",".join(parts)


_STICKY: Final = 12  # is_sticky in SUMMARY_COLUMNS
_DETAILS: Final = 16  # the type's details in it


def detail(
    seen: Seen,
    people: dict[int, Fragment],
    items_page: bytes,
    permissions: bytes,
    tree: Tree,
    view: ReadableMicrocosms,
    site_id: int,
    *,
    is_ignored: bool,
) -> bytes:
    """The detail of a microcosm (content 2.4)."""
    head, viewer = seen.head, seen.viewer
    node = tree.nodes[head.id]
    crumbs = microcosm_links.breadcrumb(tree, view, head.id, with_itself=False)
    data: dict[str, Any] = {"id": head.id}
    if node.parent_id:
        data["parentId"] = node.parent_id
    if crumbs != b"[]":
        data["breadcrumb"] = json_fragments.raw(crumbs)
    data |= {
        "siteId": site_id,
        "visibility": head.visibility,
        "title": head.title,
        "description": head.description,
        "logoUrl": node.logo_url,
        "itemTypes": [itemtypes.name_of(one) for one in node.item_types],
        "moderators": [],
        "items": json_fragments.raw(items_page),
    }
    meta: dict[str, Any] = {
        "created": json_fragments.when(head.created),
        "createdBy": _person(people, head.author_id),
    }
    if head.edited is not None:
        meta["edited"] = json_fragments.when(head.edited)
        meta["editedBy"] = _person(people, head.editor_id)
        meta["editReason"] = head.edit_reason
    flags = {
        "sticky": node.is_sticky,
        "open": node.is_open,
        "deleted": node.is_deleted,
        "moderated": node.is_moderated,
        "visible": not node.is_deleted and not node.is_moderated,
        "unread": seen.is_unread,
    }
    if viewer is not None:
        flags |= profile.relation(viewer.send_email, viewer.send_sms, is_ignored=is_ignored)
    meta["flags"] = flags
    meta["links"] = [
        {"rel": "self", "href": itemtypes.href(itemtypes.MICROCOSM, head.id)},
        {"rel": "site", "href": itemtypes.href(itemtypes.SITE, site_id)},
    ]
    meta["permissions"] = json_fragments.raw(permissions)
    data["meta"] = meta
    return dumps(data)


def _person(people: dict[int, Fragment], id: int) -> Any:
    found = people.get(id)
    return json_fragments.raw(found[0]) if found else None

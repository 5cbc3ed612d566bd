"""Page of a microcosm: its child microcosms and items, and the detail around them (content 2.4, 2.7)."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Encoded, Query, Replica, Row, encoded
from forumapi.models.content import item_page, item_summary, type_specific_fields
from forumapi.models.microcosms import microcosm_links, microcosm_summary
from forumapi.models.microcosms.microcosm_counters import LISTED_TYPES
from forumapi.models.microcosms.microcosm_summary import (
    ALL_READ,
    NO_ITEM,
    NOT_IGNORED,
    UNREAD,
    UNREAD_SQL,
    ChildMicrocosm,
    LatestItem,
    children,
    latest_items,
    subtrees,
)
from forumapi.models.pages import page_cache
from forumapi.models.pages.page_cache import CachedPage, PageCache, digest
from forumapi.models.people import profile_summary
from forumapi.permissions.evaluator import Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, dumps
from forumapi.wire.paging import Paging

# Condition: the item is listed in the microcosm. Used wherever these items are counted or walked.
_LISTED: Final = f"""
    i.site_id = %(site_id)s AND i.microcosm_id = %(id)s AND NOT i.is_deleted AND NOT i.is_moderated
    AND i.item_type_id IN ({LISTED_TYPES})"""

# The list mixes child microcosms and items: sticky microcosms, sticky items, microcosms, items (content 2.7). The
# caller knows the `a` sticky and `b` other children; the statement works out which items the page holds, and walks
# them from the nearer end, so that the last page costs as much as the first. VIEWER reads the viewer's own part.
PAGE = Query(
    "microcosm_page.page",
    f"""
    WITH head AS MATERIALIZED (
        SELECT m.*, mc.item_count - mc.poll_count + coalesce(d.items, 0)
                  - (SELECT count(*) FROM unnest(%(ignored)s::bigint[]) AS g (id)
                      CROSS JOIN LATERAL (
                            SELECT i.* FROM items i
                             WHERE i.site_id = %(site_id)s AND i.item_id = g.id LIMIT 1) i
                      WHERE i.microcosm_id = %(id)s AND NOT i.is_deleted AND NOT i.is_moderated
                        AND i.item_type_id IN ({LISTED_TYPES})) AS items,
               (SELECT count(*) FROM items i WHERE {_LISTED} AND i.is_sticky AND {NOT_IGNORED}) AS sticky
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
    SELECT {item_summary.SUMMARY_COLUMNS},
           {item_summary.SUMMARY_TIMES},
           h.microcosm_id, h.version, h.title, h.created_by, ha.version, coalesce(h.edited_by, 0),
           coalesce(he.version, 0), h.edit_reason, h.items::int, h.sticky::int,
           h.created, h.edited, h.description, h.visibility, {page_cache.SNAPSHOT}
      FROM span h
      JOIN profiles ha ON ha.site_id = h.site_id AND ha.profile_id = h.created_by
      LEFT JOIN profiles he ON he.site_id = h.site_id AND he.profile_id = h.edited_by
      LEFT JOIN LATERAL (
          (SELECT i.* FROM items i
            WHERE h.first <= h.items / 2 AND {_LISTED} AND {NOT_IGNORED}
            ORDER BY i.is_sticky DESC, i.last_activity DESC, i.item_id DESC
            LIMIT greatest(h.past - h.first, 0) OFFSET h.first)
          UNION ALL
          (SELECT i.* FROM items i
            WHERE h.first > h.items / 2 AND {_LISTED} AND {NOT_IGNORED}
            ORDER BY i.is_sticky, i.last_activity, i.item_id
            LIMIT greatest(h.past - h.first, 0) OFFSET greatest(h.items - h.past, 0))) i ON true
      LEFT JOIN profiles a ON a.site_id = i.site_id AND a.profile_id = i.created_by
      LEFT JOIN profiles l ON l.site_id = i.site_id AND l.profile_id = i.last_comment_by
      LEFT JOIN item_views v ON v.site_id = i.site_id AND v.item_id = i.item_id
     ORDER BY i.is_sticky DESC, i.last_activity DESC, i.item_id DESC""",
    replica=Replica.ACKNOWLEDGED,
)
_HEAD: Final = item_summary.SUMMARY_WIDTH + item_summary.TIMES_WIDTH
_HEAD_STAMPED: Final = 10

# As item_page.READ_TIME for items `i` of the microcosm, whose own mark is looked up once.
_READ_TIME: Final = f"""greatest({ALL_READ},
                     (SELECT r.read_at FROM read_marks r
                       WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                         AND r.item_type_id = {itemtypes.MICROCOSM} AND r.item_id = %(id)s),
                     (SELECT r.read_at FROM read_marks r
                       WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                         AND r.item_type_id = i.item_type_id AND r.item_id = i.item_id),
                     '-infinity'::timestamptz)"""

# The part of a page that belongs to the viewer `me`: read marks of its entries (each key is id * 32 + type), the
# watcher, the viewer's columns of item types, how many comments are new; and whether the cached page is still current.
_VIEWER: Final = f"""
    SELECT {page_cache.IS_CURRENT}, {page_cache.SNAPSHOT}, nullif({ALL_READ}, '-infinity'), w.send_email, w.send_sms,
           m.marked, m.read, t.ids, t.mine, n.ids, n.new, {{unread}}
      FROM (SELECT array_agg(k.key) AS marked, array_agg(r.read_at) AS read
              FROM unnest(%(keys)s::bigint[]) AS k (key)
             CROSS JOIN LATERAL (
                    SELECT r.read_at FROM read_marks r
                     WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                       AND r.item_type_id = (k.key & 31)::smallint AND r.item_id = k.key >> 5 LIMIT 1) r) m
     CROSS JOIN (SELECT array_agg(i.item_id) AS ids, array_agg({type_specific_fields.MINE}) AS mine
                   FROM (SELECT (k.key & 31)::smallint AS item_type_id, k.key >> 5 AS item_id
                           FROM unnest(%(typed)s::bigint[]) AS k (key)) i) t
     CROSS JOIN (SELECT array_agg(i.item_id) AS ids, array_agg(i.new) AS new
                   FROM (SELECT i.item_id, {item_page.new_comments(_READ_TIME)} AS new
                           FROM items i
                          WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(shown)s::bigint[])
                            AND i.last_activity > coalesce({ALL_READ}, '-infinity') OFFSET 0) i
                  WHERE i.new > 0) n
      LEFT JOIN watchers w ON w.site_id = %(site_id)s AND w.profile_id = %(me)s
                          AND w.item_type_id = {itemtypes.MICROCOSM} AND w.item_id = %(id)s"""
VIEWER = Query("microcosm_page.viewer", _VIEWER.format(unread="NULL::boolean"))
# Together with UNREAD, for pages on which nothing is unread in most cases: saves a round trip.
VIEWER_AND_UNREAD = Query(
    "microcosm_page.viewer_and_unread", _VIEWER.format(unread=f"EXISTS ({UNREAD_SQL})")
)


class MicrocosmHead(NamedTuple):
    """Microcosm with one page of its list, without the viewer's part: the same for all callers who may list the same
    microcosms and ignore the same items here.

    `author_version` and `editor_version`: those of the profiles; `editor_id` 0 and `edited` None: it was never edited;
    `item_total` and `sticky_total`: numbers of conversations and events, and of sticky ones among them, that such
    callers see; `total`: entries of the whole list. On the page are `items` with `times`, in the same order, and the
    child microcosms with the ids `sticky` and `others`, found in `children` by id. SQL arrays for `_viewer`: `keys`, of
    the items and microcosms whose read marks count, each id * 32 + type; `typed`, the same of the items with details;
    `commented`, ids of the items with comments. `stamp`: hash of all that is shown.
    """

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
    children: dict[int, ChildMicrocosm]
    keys: Encoded  # of the marks that say what on the page is unread
    typed: Encoded  # keys of the items with details
    commented: Encoded  # ids of the items
    stamp: bytes

    @property
    def shown(self) -> list[ChildMicrocosm]:
        """Return the child microcosms on the page, in its order: sticky ones before the others."""
        return [self.children[id] for id in (*self.sticky, *self.others) if id in self.children]


class MicrocosmViewer(NamedTuple):
    """Part of a page that only one member sees; never cached.

    `all_read`: time up to which the member has marked all of the site as read; `send_email` and `send_sms` None: the
    microcosm is not followed; `marks`: read marks of items and microcosms on the page, by id * 32 + type; `mine`: the
    member's part of items' details, by item id; `new`: numbers of comments that are new to the member, by item id, of
    the page's items that have some; `has_unread`: a conversation or event in the microcosm, or in or below a child that
    is not on the page, is unread, None: not looked for.
    """

    all_read: datetime.datetime | None = None
    send_email: bool | None = None  # None: not watched
    send_sms: bool | None = None
    marks: dict[int, datetime.datetime] = {}
    mine: dict[int, str] = {}
    new: dict[int, int] = {}
    # True if anything in the microcosm is unread, on the page or not; None: not asked with this statement.
    has_unread: bool | None = None

    def is_unread(self, latest: Row, times: Row) -> bool:
        """Return True if no read mark of the member covers the last activity of an item (discovery 7.3). `latest`: its
        SUMMARY_COLUMNS, `times`: its SUMMARY_TIMES.
        """
        moment = times[2]
        keys = (latest[0] << 5 | latest[1], latest[3] << 5 | itemtypes.MICROCOSM)
        read = [mark for mark in map(self.marks.get, keys) if mark is not None]
        if self.all_read is not None:
            read.append(self.all_read)
        return not read or moment > max(read)


class MicrocosmScope(NamedTuple):
    """Request of the profile `me` (0: a guest) for the page `at` of the list of the microcosm `id`. `ignored`: ids of
    all items that the profile ignores, `ignored_people`: ids of all profiles that it ignores, `ignored_here`: those of
    `ignored` that are in this microcosm; `listable`: microcosms that the profile may read and does not ignore, without
    deleted and moderated ones.
    """

    site_id: int
    id: int
    me: int
    ignored: list[int]  # items
    ignored_people: Sequence[int]
    ignored_here: tuple[int, ...]  # the ignored items that are in this microcosm
    tree: Tree
    listable: ReadableMicrocosms  # readable, live, not ignored
    at: Paging


class MicrocosmView(NamedTuple):
    """Page of a microcosm (`head`) with its viewer's part (`viewer`, None for a guest). `unread_items`: a flag for each
    of the head's items, in the same order; `unread_children`: ids of the child microcosms on the page in or below which
    something is unread; `is_unread`: a conversation or event in or below the microcosm is unread. `latest`, by the id
    of a child whose latest item the viewer ignores: its latest item that the viewer does not ignore, NO_ITEM for none.
    """

    head: MicrocosmHead
    viewer: MicrocosmViewer | None  # None: a guest
    unread_items: list[bool]  # of head.items
    unread_children: frozenset[int]
    is_unread: bool  # anything in it or below it
    # The latest item that is not ignored, of children whose latest item the viewer ignores.
    latest: dict[int, LatestItem]

    @property
    def stamp(self) -> Any:
        """Return values of which one differs whenever the shown page does, for the entity tag; permission, address and
        tree are not among them.
        """
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
            sorted(self.viewer.new.items()),
            [(id, one.latest, one.mine) for id, one in sorted(self.latest.items())],
        )


def page(pages: PageCache, tx: Reader, scope: MicrocosmScope) -> MicrocosmView | None:
    """Read the page of a microcosm, hidden or not, as `scope.me` sees it; None if it never existed here. `pages`: this
    process's cache, which is used while it is current. The caller checks permission.
    """
    at, me = scope.at, scope.me
    key = (
        "place",
        scope.site_id,
        scope.id,
        scope.tree.acl_version,
        scope.listable.ids,
        at.offset,
        at.limit,
        scope.ignored_here,
    )
    found: CachedPage[MicrocosmHead] | None = None
    if me:
        found = pages.get(key)
        if found is not None:
            current, viewer = _viewer(tx, scope, found)
            if current:
                return _view(tx, scope, found.value, viewer)

    # Callers who may read the same share one long list of ids, so its identity replaces it in the shared key.
    fresh = pages.get_or_read(
        tx,
        scope.site_id,
        page_cache.ANYTHING,
        (*key[:4], id(scope.listable), *key[5:]),
        lambda: _read(tx, scope),
        find=lambda: pages.get(key),
        key_of=lambda _: key,
        stale=found,
    )
    if fresh is None:
        return None
    return _view(tx, scope, fresh.value, _viewer(tx, scope, fresh)[1] if me else None)


def _read(tx: Reader, scope: MicrocosmScope) -> CachedPage[MicrocosmHead] | None:
    tree, at = scope.tree, scope.at
    node = tree.nodes.get(scope.id)
    below = [id for id in node.children if id in scope.listable.set] if node else []
    sticky = [id for id in below if tree.nodes[id].is_sticky]
    others = [id for id in below if not tree.nodes[id].is_sticky]
    rows = tx.rows(
        PAGE,
        site_id=scope.site_id,
        id=scope.id,
        ignored=scope.ignored_here,
        limit=at.limit,
        offset=at.offset,
        a=len(sticky),
        b=len(others),
    )
    if not rows or node is None:
        return None
    *head, snapshot = rows[0][_HEAD:]
    shown = [row for row in rows if row[0] is not None]
    items = [row[: item_summary.SUMMARY_WIDTH] for row in shown]
    times = [row[item_summary.SUMMARY_WIDTH : _HEAD] for row in shown]
    item_total, sticky_total = head[8], head[9]
    before = len(sticky) + sticky_total
    start, end = at.offset, at.offset + at.limit
    on_page = sticky[start:end], others[max(start - before, 0) : max(end - before, 0)]
    found = children(tx, scope.site_id, tree, scope.listable, (*on_page[0], *on_page[1]))
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
        encoded([row[0] for row in items if row[_COMMENTS]]),
        digest(
            (head[:_HEAD_STAMPED], items, [tuple(child[:8]) for child in found.values()], total)
        ),
    )
    moments = [type_specific_fields.until(row[1], row[_DETAILS]) for row in (*items, *latest)]
    until = min((one.timestamp() for one in moments if one is not None), default=None)
    return CachedPage(tx.snapshot or snapshot, MicrocosmHead._make(made), until)


def _viewer(
    tx: Reader, scope: MicrocosmScope, found: CachedPage[MicrocosmHead]
) -> tuple[bool, MicrocosmViewer]:
    """Return (is current, part), read in one statement: True if the page `found` is still current, and the viewer's
    part of it.
    """
    head = found.value
    given = {
        "site_id": scope.site_id,
        "id": scope.id,
        "me": scope.me,
        "concerns": page_cache.ANYTHING,
        "keys": head.keys,
        "typed": head.typed,
        "shown": head.commented,
        "ignored_people": scope.ignored_people,
    }
    # Entries behind the first page are older and mostly read, so the rest of the microcosm has to be looked at as well.
    if scope.at.offset and not head.shown:
        ids, tops = _where(scope, (), head)
        given |= {"ignored": scope.ignored, "ids": ids, "tops": tops}
        row = found.revalidate(tx, VIEWER_AND_UNREAD, **given)
    else:
        row = found.revalidate(tx, VIEWER, **given)
    assert row is not None
    current, _, all_read, send_email, send_sms, marked, read, typed, mine, *counted = row
    with_new, new, has_unread = counted
    marks = dict(zip(marked, read, strict=True)) if marked else {}
    shown = dict(zip(typed, mine, strict=True)) if typed else {}
    counts = dict(zip(with_new, new, strict=True)) if with_new else {}
    return current, MicrocosmViewer(
        all_read, send_email, send_sms, marks, shown, counts, has_unread
    )


def _view(
    tx: Reader, scope: MicrocosmScope, head: MicrocosmHead, viewer: MicrocosmViewer | None
) -> MicrocosmView:
    if viewer is None:
        return MicrocosmView(head, None, [False] * len(head.items), frozenset(), False, {})
    unread_items = [
        viewer.is_unread(row, times) for row, times in zip(head.items, head.times, strict=True)
    ]
    unread: set[int] = set()
    unsure: list[int] = []
    quiet = [
        child.id
        for child in head.shown
        if child.latest is not None and child.latest[0] in scope.ignored
    ]
    before = latest_items(
        tx, scope.site_id, scope.tree, scope.listable, quiet, scope.ignored, scope.me
    )
    latest = {id: before.get(id, NO_ITEM) for id in quiet}
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
        found = _unread(tx, scope, unsure, head if is_open else None)
        unread |= found - {scope.id}
        is_unread = is_unread or bool(found)
    return MicrocosmView(head, viewer, unread_items, frozenset(unread), is_unread, latest)


def _unread(
    tx: Reader, scope: MicrocosmScope, tops: Sequence[int], head: MicrocosmHead | None
) -> set[int]:
    """Return the ids in `tops` of microcosms in or below which something is unread for the viewer. With `head` also the
    id of that microcosm, if something is unread there (see `_where`).
    """
    ids, owners = _where(scope, tops, head)
    rows = tx.rows(
        UNREAD, site_id=scope.site_id, me=scope.me, ignored=scope.ignored, ids=ids, tops=owners
    )
    return {row[0] for row in rows}


def _where(
    scope: MicrocosmScope, tops: Sequence[int], head: MicrocosmHead | None
) -> tuple[Encoded, Encoded]:
    """Return two SQL arrays of equal length, the parameters `ids` and `tops` of the statement UNREAD: ids of the
    microcosms in which it looks for something unread, and for each the id of the microcosm for which that counts.

    Each of `tops` and all below it count for that top. With `head`, its own microcosm, and its children that are not on
    the page with all below these children, count for `head`.
    """
    asked = [(top, top) for top in tops]
    if head is None:
        return subtrees(scope.tree, scope.listable, asked)[:2]
    on_page = {*head.sticky, *head.others}
    rest = [
        (id, head.id)
        for id in scope.tree.nodes[head.id].children
        if id in scope.listable.set and id not in on_page
    ]
    ids, owners, _ = subtrees(scope.tree, scope.listable, [*asked, *rest])
    separator = b"," if len(ids) > 2 else b""
    return (
        Encoded(b"%b%b%d}" % (ids[:-1], separator, head.id)),
        Encoded(b"%b%b%d}" % (owners[:-1], separator, head.id)),
    )


def _entry(
    fragment: Fragment,
    child: ChildMicrocosm,
    people: dict[int, Fragment],
    tree: Tree,
    view: ReadableMicrocosms,
    site_id: int,
    *,
    unread: bool,
) -> bytes:
    """Return the JSON of a child microcosm as a list entry, wrapped by item_summary.container; parameters as in
    microcosm_summary.summary. The JSON is cached in `view`, and made anew if the child's row differs.
    """
    key = ("entry", child.id, unread, child.mine)
    made: tuple[ChildMicrocosm, bytes] | None = view.cache.get(key)
    if made is not None and made[0] == child:
        return made[1]
    new = microcosm_summary.summary(fragment, child, people, tree, view, site_id, unread=unread)
    entry = item_summary.container(itemtypes.MICROCOSM, new)
    view.keep(key, (child, entry))
    return entry


def _shown(seen: MicrocosmView, child: ChildMicrocosm) -> ChildMicrocosm:
    """Return `child`, in which the viewer's part of its latest item is filled in; if the viewer of `seen` ignores that
    item, it is replaced by the latest one that the viewer does not ignore.
    """
    if child.id in seen.latest:
        return child._replace(**seen.latest[child.id]._asdict())
    if seen.viewer is not None and child.latest is not None and seen.viewer.mine:
        return child._replace(mine=seen.viewer.mine.get(child.latest[0]))
    return child


def wanted(seen: MicrocosmView) -> dict[Any, dict[int, int]]:
    """Return the documents that a microcosm's page is made of, as `Documents.fetch` takes them: by kind of document,
    version by id.
    """
    head = seen.head
    people = item_summary.summary_people(head.items)
    people[head.author_id] = head.author_version
    if head.editor_id:
        people[head.editor_id] = head.editor_version
    microcosms: dict[int, int] = {}
    for listed in head.shown:
        child = _shown(seen, listed)
        microcosms[child.id] = child.version
        people[child.author_id] = child.author_version
        if child.latest is not None:
            people.update(item_summary.summary_people([child.latest]))
    return {microcosm_summary.SUMMARY: microcosms, profile_summary.SUMMARY: people}


def entries(
    seen: MicrocosmView,
    documents: dict[int, Fragment],
    people: dict[int, Fragment],
    tree: Tree,
    view: ReadableMicrocosms,
    site_id: int,
) -> bytes:
    """Render the entries of a page as a JSON array: sticky microcosms, sticky items, other microcosms, other items.
    `documents`: those of the microcosms, and `people`, those of the profiles, that `wanted` names, by id; a microcosm
    whose document is missing is left out, a missing author is null. `view`: microcosms of `tree` that the viewer may
    list.
    """
    head, mine = seen.head, seen.viewer.mine if seen.viewer else {}
    new = seen.viewer.new if seen.viewer else {}

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
            item_summary.entry(
                row,
                times,
                people,
                tree,
                view,
                unread=unread,
                new=new.get(row[0], 0) if unread else 0,
                mine=mine.get(row[0]),
            )
            for row, times, unread in zip(head.items, head.times, seen.unread_items, strict=True)
            if row[_STICKY] is sticky
        ]

    parts = microcosms(head.sticky) + items(True) + microcosms(head.others) + items(False)
    return b"[%b]" % b",".join(parts)


_COMMENTS: Final = 7  # comment_count in SUMMARY_COLUMNS
_STICKY: Final = 12  # is_sticky in SUMMARY_COLUMNS
_DETAILS: Final = 16  # the item type's own columns in SUMMARY_COLUMNS


def detail(
    seen: MicrocosmView,
    people: dict[int, Fragment],
    items_page: bytes,
    permissions: bytes,
    tree: Tree,
    view: ReadableMicrocosms,
    site_id: int,
    *,
    is_ignored: bool,
    moderators: Sequence[tuple[int, bytes]] = (),
) -> bytes:
    """Render the detail of a microcosm as JSON (content 2.4). `people`: documents of profiles by id; `items_page`: JSON
    of its page of entries; `permissions`: JSON of the viewer's permissions on it; `view`: microcosms of `tree` that the
    viewer may list; `is_ignored`: the viewer ignores the microcosm; `moderators`: (profile id, JSON summary) of each
    moderator that it names.
    """
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
        "moderators": [id for id, _ in moderators],
    }
    if moderators:
        data["moderatedBy"] = [json_fragments.raw(summary) for _, summary in moderators]
    data["items"] = json_fragments.raw(items_page)
    meta: dict[str, Any] = {
        "created": json_fragments.format_time(head.created),
        "createdBy": profile_summary.person(people, head.author_id),
    }
    if head.edited is not None:
        meta["edited"] = json_fragments.format_time(head.edited)
        meta["editedBy"] = profile_summary.person(people, head.editor_id)
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
        flags |= profile_summary.relation(viewer.send_email, viewer.send_sms, is_ignored=is_ignored)
    meta["flags"] = flags
    meta["links"] = [
        {"rel": "self", "href": itemtypes.href(itemtypes.MICROCOSM, head.id)},
        {"rel": "site", "href": itemtypes.href(itemtypes.SITE, site_id)},
    ]
    meta["permissions"] = json_fragments.raw(permissions)
    data["meta"] = meta
    return dumps(data)

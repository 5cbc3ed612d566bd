"""Microcosms: the tree's places, their page of children and items, counters, writing (content 2)."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from forumapi import fragments, itemtypes
from forumapi.db import Encoded, Query, Reader, Row, encoded
from forumapi.fragments import Fragment, Hole, dumps
from forumapi.models import item, places, profile
from forumapi.models.documents import Documents, Kind, Loaded
from forumapi.paging import Paging
from forumapi.permissions import Tree, View

# ---------------------------------------------------------------- documents

LOAD = Query(
    "microcosm.load",
    """
    SELECT m.microcosm_id, m.version, coalesce(m.parent_id, 0), m.title, m.description, m.logo_url, m.visibility,
           m.item_types, m.created, m.is_sticky, m.is_open, m.is_deleted, m.is_moderated
      FROM microcosms m
     WHERE m.site_id = %(site_id)s AND m.microcosm_id = ANY(%(ids)s)""",
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
        data[fragments.OPTIONAL] = Hole("breadcrumb")
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
            fragments.OPTIONAL: Hole("unread"),
        }
        meta = dumps(
            {
                "created": fragments.when(created),
                "createdBy": Hole("author"),
                "flags": flags,
                "links": Hole("links"),
            }
        )
        yield (
            id,
            version,
            fragments.cut(
                b'%b,"?":\0children\0,"moderators":[],"?":\0totals\0,"meta":%b}' % (text, meta),
            ),
        )


SUMMARY: Final = Kind("microcosm/1", _load_summaries)

# ---------------------------------------------------------------- one microcosm with its page of items

# Items of a microcosm that the viewer may list; used wherever they are counted or walked.
_LISTED: Final = """
    i.site_id = %(site_id)s AND i.microcosm_id = %(id)s AND NOT i.is_deleted AND NOT i.is_moderated
    AND i.item_type_id IN (6, 9)"""
_NOT_IGNORED: Final = "i.item_id <> ALL(%(ignored)s::bigint[])"

# An item later than every mark that could cover it (discovery 7.3). `microcosm` and `after` are SQL.
_UNREAD_ITEM: Final = """
    SELECT 1 FROM items i
     WHERE i.site_id = %(site_id)s AND i.microcosm_id = {microcosm} AND NOT i.is_deleted
       AND NOT i.is_moderated AND i.item_type_id IN (6, 9) AND i.is_sticky = ANY('{{f,t}}')
       AND i.last_activity > {after} AND i.item_id <> ALL(%(ignored)s::bigint[])
       AND coalesce((SELECT r.read_at FROM read_marks r
                      WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                        AND r.item_type_id = i.item_type_id AND r.item_id = i.item_id), '-infinity')
           < i.last_activity"""

# The viewer's mark of an item `i`.
_MARK: Final = """(SELECT r.read_at FROM read_marks r
                    WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                      AND r.item_type_id = i.item_type_id AND r.item_id = i.item_id)"""
_ALL_READ: Final = """(SELECT p.all_read_at FROM profiles p
                        WHERE p.site_id = %(site_id)s AND p.profile_id = %(me)s)"""

# The list mixes child microcosms and items: sticky microcosms, sticky items, microcosms, items (content 2.7). The
# caller knows the `a` sticky and `b` other children; the statement works out which items the page holds, and walks
# them from the nearer end, so that the last page costs what the first one does.
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
               (SELECT count(*) FROM items i WHERE {_LISTED} AND i.is_sticky AND {_NOT_IGNORED}) AS sticky,
               greatest({_ALL_READ}, (SELECT r.read_at FROM read_marks r
                                       WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                                         AND r.item_type_id = 2 AND r.item_id = %(id)s),
                        '-infinity'::timestamptz) AS read_time
          FROM microcosms m
          JOIN microcosm_counts mc ON mc.site_id = m.site_id AND mc.microcosm_id = m.microcosm_id
          LEFT JOIN LATERAL (SELECT sum(x.items - x.polls) AS items FROM microcosm_deltas x
                              WHERE x.site_id = m.site_id AND x.microcosm_id = m.microcosm_id) d ON true
         WHERE m.site_id = %(site_id)s AND m.microcosm_id = %(id)s),
    span AS MATERIALIZED (
        SELECT head.*,
               %(me)s <> 0
               AND EXISTS ({_UNREAD_ITEM.format(microcosm="head.microcosm_id", after="head.read_time")}) AS has_unread,
               greatest(0, CASE WHEN %(offset)s <= a THEN 0
                                        WHEN %(offset)s <= a + sticky THEN %(offset)s - a
                                        WHEN %(offset)s <= a + sticky + b THEN sticky
                                        ELSE %(offset)s - a - b END) AS first,
               least(items, CASE WHEN %(offset)s + %(limit)s <= a THEN 0
                                 WHEN %(offset)s + %(limit)s <= a + sticky THEN %(offset)s + %(limit)s - a
                                 WHEN %(offset)s + %(limit)s <= a + sticky + b THEN sticky
                                 ELSE %(offset)s + %(limit)s - a - b END) AS past
          FROM head, (SELECT %(a)s::bigint AS a, %(b)s::bigint AS b) AS known)
    SELECT {item.SUMMARY_COLUMNS},
           %(me)s <> 0 AND i.last_activity > greatest(h.read_time, {_MARK}),
           h.microcosm_id, h.version, h.title, h.created_by, ha.version, coalesce(h.edited_by, 0),
           coalesce(he.version, 0), h.edit_reason, h.items::int, h.sticky::int, w.send_email, w.send_sms,
           h.has_unread,
           {item.SUMMARY_TIMES}, h.created, h.edited, h.description, h.visibility
      FROM span h
      JOIN profiles ha ON ha.site_id = h.site_id AND ha.profile_id = h.created_by
      LEFT JOIN profiles he ON he.site_id = h.site_id AND he.profile_id = h.edited_by
      LEFT JOIN watchers w ON w.site_id = h.site_id AND w.profile_id = %(me)s AND w.item_type_id = 2
                          AND w.item_id = h.microcosm_id
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
)
_HEAD: Final = item.SUMMARY_WIDTH + 1
_TIMES: Final = _HEAD + 13

# Child microcosms with everything of their subtrees, one row each, from base counters and unfolded deltas.
CHILDREN = Query(
    "microcosm.children",
    f"""
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
               coalesce(array_agg(c.id ORDER BY c.comments DESC, c.pos) FILTER (WHERE c.is_child), '{{}}') AS children
          FROM counted c
         GROUP BY c.top),
    latest AS (
        SELECT g.*, i.item_id IS NOT NULL AND {_NOT_IGNORED} AS is_good,
               %(me)s <> 0 AND i.last_activity > greatest({_ALL_READ}, {_MARK}, (
                   SELECT r.read_at FROM read_marks r
                    WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s AND r.item_type_id = 2
                      AND r.item_id = i.microcosm_id)) AS is_unread
          FROM grouped g
          LEFT JOIN items i ON i.site_id = %(site_id)s AND i.item_id = g.item_id AND NOT i.is_deleted
                           AND NOT i.is_moderated)
    SELECT {item.SUMMARY_COLUMNS},
           g.top, m.version, m.created_by, ma.version, g.items, g.comments, g.children, g.is_good OR g.item_id IS NULL,
           CASE WHEN %(me)s = 0 OR g.item_id IS NULL THEN false
                WHEN g.is_good AND g.is_unread THEN true
                ELSE EXISTS (
                    SELECT 1
                      FROM (SELECT p.id, p.activity, greatest({_ALL_READ}, (
                                   SELECT r.read_at FROM read_marks r
                                    WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                                      AND r.item_type_id = 2 AND r.item_id = p.id)) AS read_at
                              FROM counted p WHERE p.top = g.top OFFSET 0) p
                     WHERE p.activity > p.read_at
                       AND EXISTS ({_UNREAD_ITEM.format(microcosm="p.id", after="p.read_at")}))
           END,
           {item.SUMMARY_TIMES}
      FROM latest g
      JOIN microcosms m ON m.site_id = %(site_id)s AND m.microcosm_id = g.top
      JOIN profiles ma ON ma.site_id = m.site_id AND ma.profile_id = m.created_by
      LEFT JOIN items i ON g.is_good AND i.site_id = %(site_id)s AND i.item_id = g.item_id
      LEFT JOIN profiles a ON a.site_id = i.site_id AND a.profile_id = i.created_by
      LEFT JOIN profiles l ON l.site_id = i.site_id AND l.profile_id = i.last_comment_by
      LEFT JOIN item_views v ON v.site_id = i.site_id AND v.item_id = i.item_id""",
)
_GROUP: Final = item.SUMMARY_WIDTH

# The most recently active item of a subtree for a viewer who ignores the one that the counters name.
LATEST = Query(
    "microcosm.latest",
    f"""
    SELECT {item.SUMMARY_COLUMNS}, {item.SUMMARY_TIMES}
      FROM (SELECT one.* FROM unnest(%(ids)s::bigint[]) AS u (id)
              CROSS JOIN LATERAL (
                  SELECT i.* FROM items i
                   WHERE i.site_id = %(site_id)s AND i.microcosm_id = u.id AND NOT i.is_deleted AND NOT i.is_moderated
                     AND i.item_type_id IN (6, 9) AND {_NOT_IGNORED}
                   ORDER BY i.last_activity DESC LIMIT 1) one
             ORDER BY one.last_activity DESC LIMIT 1) i
      {item.SUMMARY_JOINS}""",
)


class Head(NamedTuple):
    """A microcosm with one page of its items, as its statement returned it."""

    id: int
    version: int
    title: str
    author_id: int
    author_version: int
    editor_id: int
    editor_version: int
    edit_reason: str
    item_total: int  # items that this viewer sees
    sticky_total: int  # of those, the sticky ones
    send_email: bool | None
    send_sms: bool | None
    has_unread: bool  # an item directly in it is unread
    created: datetime.datetime
    edited: datetime.datetime | None
    description: str
    visibility: str
    items: list[Row]  # SUMMARY_COLUMNS and the unread flag
    times: list[Row]
    stamp: Any


def page(
    tx: Reader,
    site_id: int,
    id: int,
    me: int,
    ignored: Sequence[int],
    at: Paging,
    sticky_children: int,
    other_children: int,
) -> Head | None:
    """The microcosm with those items that stand on page `at` of its list, as `me` sees them; None if it never was."""
    rows = tx.rows(
        PAGE,
        site_id=site_id,
        id=id,
        me=me,
        ignored=ignored,
        limit=at.limit,
        offset=at.offset,
        a=sticky_children,
        b=other_children,
    )
    if not rows:
        return None
    first = rows[0]
    found = [row for row in rows if row[0] is not None]
    items = [row[:_HEAD] for row in found]
    times = [row[_TIMES : _TIMES + 2] for row in found]
    head = first[_HEAD:_TIMES]
    return Head._make((*head, *first[_TIMES + 2 :], items, times, (head, items)))


class Child(NamedTuple):
    """A child microcosm in its parent's list, with what its subtree adds up to for this viewer."""

    id: int
    version: int
    author_id: int
    author_version: int
    items: int
    comments: int
    children: list[int]  # by own comment count
    is_unread: bool
    latest: Row | None  # SUMMARY_COLUMNS of the most recently active item
    times: Row


def children(
    tx: Reader,
    site_id: int,
    me: int,
    ignored: Sequence[int],
    tree: Tree,
    listable: View,
    tops: Sequence[int],
) -> dict[int, Child]:
    """The child microcosms `tops`, each with its `listable` subtree: readable and not ignored."""
    if not tops:
        return {}
    ids, owners, kids = _subtrees(tree, listable, tuple(tops))
    found: dict[int, Child] = {}
    for row in tx.rows(
        CHILDREN, site_id=site_id, me=me, ignored=ignored, ids=ids, tops=owners, kids=kids
    ):
        top, version, author_id, author_version, items, comments, order, is_good, is_unread = row[
            _GROUP : _GROUP + 9
        ]
        latest: Row | None = row[:_GROUP] if row[0] is not None else None
        times = row[_GROUP + 9 :]
        if not is_good:
            inside = [id for id in tree.nodes[top].subtree if id in listable.set]
            other = tx.row(LATEST, site_id=site_id, me=me, ignored=ignored, ids=inside)
            latest, times = (other[:_GROUP], other[_GROUP:]) if other else (None, ())
        found[top] = Child(
            top,
            version,
            author_id,
            author_version,
            items,
            comments,
            order,
            is_unread,
            latest,
            times,
        )
    return found


def _subtrees(
    tree: Tree, listable: View, tops: tuple[int, ...]
) -> tuple[Encoded, Encoded, Encoded]:
    """The microcosms below `tops` with the one each counts for, and whether it is its direct child."""
    key = ("subtrees", tops)
    found: tuple[Encoded, Encoded, Encoded] | None = listable.cache.get(key)
    if found is None:
        ids: list[int] = []
        owners: list[int] = []
        kids: list[bool] = []
        for top in tops:
            inside = [id for id in tree.nodes[top].subtree if id in listable.set]
            # Ties of the children's order are broken by title (content 2.5), so they go in in that order.
            inside.sort(key=lambda id: tree.nodes[id].title)
            ids += inside
            owners += [top] * len(inside)
            kids += [tree.nodes[id].parent_id == top for id in inside]
        found = (encoded(ids), encoded(owners), encoded(kids))
        listable.keep(key, found)
    return found


def child_summary(
    fragment: Fragment,
    child: Child,
    people: dict[int, Fragment],
    tree: Tree,
    view: View,
    site_id: int,
    *,
    unread: bool,
) -> bytes:
    """The summary of a microcosm (content 2.5). `unread` False leaves the flag out."""
    crumbs = places.breadcrumb(tree, view, child.id, with_itself=False)
    below = sorted(child.children, key=lambda id: not tree.nodes[id].is_sticky)
    links = b",".join([places.child_link(tree, view, id) for id in below])
    recent = b""
    if child.latest is not None:
        latest = item.summary(child.latest, child.times, people, tree, view, unread=None)
        recent = b',"mostRecentUpdate":' + item.container(child.latest[1], latest)
    flag = (b',"unread":true' if child.is_unread else b',"unread":false') if unread else b""
    return fragments.fill(
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


def _links(tree: Tree, view: View, id: int, site_id: int) -> bytes:
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
    view: View,
    site_id: int,
) -> bytes:
    """A child's list entry; the one made last for this view if nothing that it shows has changed since."""
    key = ("entry", child.id)
    kept: tuple[Child, bytes] | None = view.cache.get(key)
    if kept is not None and kept[0] == child:
        return kept[1]
    made = child_summary(fragment, child, people, tree, view, site_id, unread=True)
    entry = item.container(itemtypes.MICROCOSM, made)
    view.keep(key, (child, entry))
    return entry


class Listing(NamedTuple):
    """A page of a microcosm's list: which children stand on it, and how many entries the whole list has."""

    sticky: Sequence[int]
    others: Sequence[int]
    total: int


def listing(head: Head, sticky: Sequence[int], others: Sequence[int], at: Paging) -> Listing:
    """The children on page `at`: sticky ones, sticky items, the others, the other items, in this order."""
    before = len(sticky) + head.sticky_total
    start, end = at.offset, at.offset + at.limit
    return Listing(
        sticky[start:end],
        others[max(start - before, 0) : max(end - before, 0)],
        len(sticky) + len(others) + head.item_total,
    )


def wanted(head: Head, shown: Iterable[Child]) -> dict[Any, dict[int, int]]:
    """The documents that a microcosm's page is made of."""
    people = item.summary_people(head.items)
    people[head.author_id] = head.author_version
    if head.editor_id:
        people[head.editor_id] = head.editor_version
    microcosms: dict[int, int] = {}
    for child in shown:
        microcosms[child.id] = child.version
        people[child.author_id] = child.author_version
        if child.latest is not None:
            people.update(item.summary_people([child.latest]))
    return {SUMMARY: microcosms, profile.SUMMARY: people}


def entries(
    head: Head,
    listed: Listing,
    found: dict[int, Child],
    documents: dict[int, Fragment],
    people: dict[int, Fragment],
    tree: Tree,
    view: View,
    site_id: int,
) -> bytes:
    """The JSON array of a page's entries."""

    def microcosms(ids: Sequence[int]) -> list[bytes]:
        return [
            _entry(documents[id], found[id], people, tree, view, site_id)
            for id in ids
            if id in found and id in documents
        ]

    def items(sticky: bool) -> list[bytes]:
        return [
            item.entry(row[:_GROUP], times, people, tree, view, unread=bool(row[_GROUP]))
            for row, times in zip(head.items, head.times, strict=True)
            if row[_STICKY] is sticky
        ]

    parts = microcosms(listed.sticky) + items(True) + microcosms(listed.others) + items(False)
    return b"[%b]" % b",".join(parts)


_STICKY: Final = 12  # is_sticky in SUMMARY_COLUMNS


def detail(
    head: Head,
    people: dict[int, Fragment],
    items_page: bytes,
    permissions: bytes,
    tree: Tree,
    view: View,
    site_id: int,
    *,
    is_unread: bool,
    is_ignored: bool,
) -> bytes:
    """The detail of a microcosm (content 2.4)."""
    node = tree.nodes[head.id]
    crumbs = places.breadcrumb(tree, view, head.id, with_itself=False)
    data: dict[str, Any] = {"id": head.id}
    if node.parent_id:
        data["parentId"] = node.parent_id
    if crumbs != b"[]":
        data["breadcrumb"] = fragments.raw(crumbs)
    data |= {
        "siteId": site_id,
        "visibility": head.visibility,
        "title": head.title,
        "description": head.description,
        "logoUrl": node.logo_url,
        "itemTypes": [itemtypes.name_of(one) for one in node.item_types],
        "moderators": [],
        "items": fragments.raw(items_page),
    }
    meta: dict[str, Any] = {
        "created": fragments.when(head.created),
        "createdBy": _person(people, head.author_id),
    }
    if head.edited is not None:
        meta["edited"] = fragments.when(head.edited)
        meta["editedBy"] = _person(people, head.editor_id)
        meta["editReason"] = head.edit_reason
    flags = {
        "sticky": node.is_sticky,
        "open": node.is_open,
        "deleted": node.is_deleted,
        "moderated": node.is_moderated,
        "visible": not node.is_deleted and not node.is_moderated,
        "unread": is_unread,
    }
    flags |= profile.relation(head.send_email, head.send_sms, is_ignored=is_ignored)
    meta["flags"] = flags
    meta["links"] = [
        {"rel": "self", "href": itemtypes.href(itemtypes.MICROCOSM, head.id)},
        {"rel": "site", "href": itemtypes.href(itemtypes.SITE, site_id)},
    ]
    meta["permissions"] = fragments.raw(permissions)
    data["meta"] = meta
    return dumps(data)


def _person(people: dict[int, Fragment], id: int) -> Any:
    found = people.get(id)
    return fragments.raw(found[0]) if found else None

"""Summaries of microcosms in lists: each with the counts of its subtree and the latest item in it (content 2.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Encoded, Query, Replica, Row
from forumapi.models.content import item_summary, type_specific_fields
from forumapi.models.microcosms import microcosm_links
from forumapi.models.microcosms.microcosm_counters import LISTED_TYPES
from forumapi.models.pages.document_reader import Documents, Kind, Loaded
from forumapi.permissions.evaluator import Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, Hole, dumps

# ---------------------------------------------------------------- documents

LOAD = Query(
    "microcosm_summary.load",
    """
    SELECT m.microcosm_id, m.version, coalesce(m.parent_id, 0), m.title, m.description, m.logo_url, m.visibility,
           m.item_types, m.created, m.is_sticky, m.is_open, m.is_deleted, m.is_moderated
      FROM microcosms m
     WHERE m.site_id = %(site_id)s AND m.microcosm_id = ANY(%(ids)s)""",
    replica=Replica.ACKNOWLEDGED,
)


def _load_summaries(_: Documents, tx: Reader, site_id: int, ids: list[int]) -> Loaded:
    """Load (id, version, document) of each of these microcosms, hidden ones too, in any order; the documents have the
    holes breadcrumb, children, totals, author, unread and links. Unknown ids are left out.
    """
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
                "created": json_fragments.format_time(created),
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

# ---------------------------------------------------------------- children, and what is unread in them

NOT_IGNORED: Final = "i.item_id <> ALL(%(ignored)s::bigint[])"
_WIDTH: Final = item_summary.SUMMARY_WIDTH + item_summary.TIMES_WIDTH

# Child microcosms with the sums of their subtrees, one row each, from base counters and unfolded deltas. The last
# column belongs to the viewer: null in the cached part of a page.
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
    SELECT {item_summary.SUMMARY_COLUMNS},
           {item_summary.SUMMARY_TIMES},
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
    "microcosm_summary.children",
    _CHILDREN.format(mine="NULL::text"),
    replica=Replica.ACKNOWLEDGED,
    unrestricted="the newest item is that of counters of named microcosms",
)
CHILDREN_OF_MINE = Query(
    "microcosm_summary.children_of_mine",
    _CHILDREN.format(mine=type_specific_fields.MINE),
    replica=Replica.ACKNOWLEDGED,
    unrestricted="the newest item is that of counters of named microcosms",
)

# The most recently active item of each subtree for a viewer who ignores the one that the counters name.
_LATEST: Final = f"""
    SELECT {item_summary.SUMMARY_COLUMNS}, {item_summary.SUMMARY_TIMES}, {{mine}}, i.top
      FROM (SELECT DISTINCT ON (u.top) u.top, one.*
              FROM unnest(%(ids)s::bigint[], %(tops)s::bigint[]) AS u (id, top)
              CROSS JOIN LATERAL (
                  SELECT i.* FROM items i
                   WHERE i.site_id = %(site_id)s AND i.microcosm_id = u.id AND NOT i.is_deleted AND NOT i.is_moderated
                     AND i.item_type_id IN ({LISTED_TYPES}) AND {NOT_IGNORED}
                   ORDER BY i.last_activity DESC LIMIT 1) one
             ORDER BY u.top, one.last_activity DESC) i
      {item_summary.SUMMARY_JOINS}"""
LATEST = Query(
    "microcosm_summary.latest", _LATEST.format(mine="NULL::text"), replica=Replica.ACKNOWLEDGED
)
LATEST_OF_MINE = Query(
    "microcosm_summary.latest_of_mine",
    _LATEST.format(mine=type_specific_fields.MINE),
    replica=Replica.ACKNOWLEDGED,
)

ALL_READ: Final = """(SELECT p.all_read_at FROM profiles p
                        WHERE p.site_id = %(site_id)s AND p.profile_id = %(me)s)"""

# Those of the microcosms `tops` that have an unread item in their subtrees: an item later than every mark that could
# cover it (discovery 7.3). Counts and marks of all microcosms are read at once, items by microcosm.
UNREAD_SQL: Final = f"""
    WITH counted AS MATERIALIZED (
        SELECT c.microcosm_id, c.last_activity FROM microcosm_counts c
         WHERE c.site_id = %(site_id)s AND c.microcosm_id = ANY(%(ids)s::bigint[])),
    delta AS MATERIALIZED (
        SELECT d.microcosm_id, max(d.activity) AS activity FROM microcosm_deltas d
         WHERE d.site_id = %(site_id)s
         GROUP BY d.microcosm_id),
    mark AS MATERIALIZED (
        SELECT r.item_id, r.read_at FROM read_marks r
         WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
           AND r.item_type_id = {itemtypes.MICROCOSM} AND r.item_id = ANY(%(ids)s::bigint[])),
    place AS MATERIALIZED (
        SELECT u.top, u.id, greatest(c.last_activity, d.activity) AS activity,
               greatest({ALL_READ}, r.read_at) AS read_at
          FROM unnest(%(ids)s::bigint[], %(tops)s::bigint[]) AS u (id, top)
          JOIN counted c ON c.microcosm_id = u.id
          LEFT JOIN delta d ON d.microcosm_id = u.id
          LEFT JOIN mark r ON r.item_id = u.id)
    SELECT t.top
      FROM (SELECT p.top, array_agg(p.id) AS ids, array_agg(p.read_at) AS marks
              FROM place p
             WHERE p.activity > p.read_at
             GROUP BY p.top) t
     WHERE EXISTS (
        SELECT 1
          FROM unnest(t.ids, t.marks) AS p (id, read_at)
         WHERE EXISTS (
               SELECT 1 FROM items i
                WHERE i.site_id = %(site_id)s AND i.microcosm_id = p.id AND NOT i.is_deleted
                  AND NOT i.is_moderated AND i.item_type_id IN ({LISTED_TYPES}) AND i.is_sticky = ANY('{{f,t}}')
                  AND i.last_activity > p.read_at AND {NOT_IGNORED}
                  AND coalesce((SELECT r.read_at FROM read_marks r
                                 WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                                   AND r.item_type_id = i.item_type_id AND r.item_id = i.item_id), '-infinity')
                      < i.last_activity))"""
UNREAD = Query("microcosm_summary.unread", UNREAD_SQL)


class ChildMicrocosm(NamedTuple):
    """Microcosm in a list. `author_version`: that of the author's profile. `items` and `comments`: counts of those
    microcosms at and below it that the viewer may list; `children`: ids of such microcosms directly below it, those
    with most comments of their own first; `latest` and `times`: item_summary's SUMMARY_COLUMNS and SUMMARY_TIMES of the
    most recently active item at or below it, of which polls are none, `latest` None without one; `mine`: the viewer's
    part of that item's details.
    """

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
        None  # the viewer's part of that item (models/content/type_specific_fields.py)
    )


class LatestItem(NamedTuple):
    """Most recently active item at or below a microcosm; the three fields mean what they mean in ChildMicrocosm."""

    latest: Row | None
    times: Row
    mine: str | None


NO_ITEM: Final = LatestItem(None, (), None)


def children(
    tx: Reader,
    site_id: int,
    tree: Tree,
    listable: ReadableMicrocosms,
    tops: Sequence[int],
    me: int = 0,
) -> dict[int, ChildMicrocosm]:
    """Read the microcosms of `tree` with the ids `tops`, by id, each with the counts and latest item of the `listable`
    microcosms at and below it; one with no listable microcosm at or below it is left out. `me`: id of the viewer's
    profile, 0 for a guest.
    """
    if not tops:
        return {}
    ids, owners, kids = subtrees(tree, listable, [(top, top) for top in tops])
    found: dict[int, ChildMicrocosm] = {}
    hidden: list[int] = []
    given = {"site_id": site_id, "ids": ids, "tops": owners, "kids": kids}
    rows = tx.rows(CHILDREN_OF_MINE, me=me, **given) if me else tx.rows(CHILDREN, **given)
    for row in rows:
        *columns, is_hidden, mine = row[_WIDTH:]
        latest: Row | None = row[: item_summary.SUMMARY_WIDTH] if row[0] is not None else None
        times = row[item_summary.SUMMARY_WIDTH : _WIDTH]
        if is_hidden:
            hidden.append(columns[0])
        found[columns[0]] = ChildMicrocosm._make((*columns, latest, times, mine))
    for id, latest in latest_items(tx, site_id, tree, listable, hidden, [], me).items():
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
) -> dict[int, ChildMicrocosm]:
    """Read the microcosms with the ids `tops` as `children` does, but each with its latest item that the profile `me`
    does not ignore, in a microcosm that `me` does not ignore. `view`: microcosms that `me` may read; `ignored_…`: ids
    of what `me` ignores.
    """
    found = children(tx, site_id, tree, view, tops, me)
    listable = microcosm_links.visible(view, tree, ignored_microcosms)
    quiet = [
        child.id
        for child in found.values()
        if child.latest is not None
        and (child.latest[0] in ignored_items or child.latest[3] not in listable.set)
    ]
    before = latest_items(tx, site_id, tree, listable, quiet, ignored_items, me)
    for id in quiet:
        found[id] = found[id]._replace(**before.get(id, NO_ITEM)._asdict())
    return found


def latest_items(
    tx: Reader,
    site_id: int,
    tree: Tree,
    listable: ReadableMicrocosms,
    tops: Sequence[int],
    ignored: Sequence[int],
    me: int,
) -> dict[int, LatestItem]:
    """Read the most recently active visible item, other than a poll, at or below each of `tops`, in `listable`
    microcosms, without the items with the ids `ignored`, and return them by the id of the top. `me`: id of the viewer's
    profile, 0 for a guest.

    A top without such an item has no entry.
    """
    if not tops:
        return {}
    ids, owners, _ = subtrees(tree, listable, [(top, top) for top in tops])
    width = item_summary.SUMMARY_WIDTH
    given = {"site_id": site_id, "ids": ids, "tops": owners, "ignored": ignored}
    rows = tx.rows(LATEST_OF_MINE, me=me, **given) if me else tx.rows(LATEST, **given)
    return {row[-1]: LatestItem(row[:width], row[width:-2], row[-2]) for row in rows}


def unread(
    tx: Reader,
    site_id: int,
    me: int,
    ignored: Sequence[int],
    tree: Tree,
    listable: ReadableMicrocosms,
    tops: Sequence[int],
) -> set[int]:
    """Return the ids in `tops` of microcosms in or below which, in `listable` ones, there is a conversation or event
    that the profile `me` has not read (discovery 7.3); polls don't count. `ignored`: ids of items that don't count
    either.
    """
    ids, owners, _ = subtrees(tree, listable, [(top, top) for top in tops])
    rows = tx.rows(UNREAD, site_id=site_id, me=me, ignored=ignored, ids=ids, tops=owners)
    return {row[0] for row in rows}


def _below(tree: Tree, listable: ReadableMicrocosms, top: int) -> tuple[int, bytes, bytes]:
    """Return (number, ids, direct) about the listable microcosms at and below `top`: how many they are, their ids, and
    for each, in the same order, t if it is a direct child of `top`, else f; the latter two as the inner parts of SQL
    arrays.
    """
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


def subtrees(
    tree: Tree, listable: ReadableMicrocosms, tops: Sequence[tuple[int, int]]
) -> tuple[Encoded, Encoded, Encoded]:
    """Return three SQL arrays about the listable microcosms at and below `tops`: their ids, the ids that each counts
    for, and for each true if it is a direct child of its top.

    `tops` are pairs: id of a microcosm, and the id that its subtree counts for.
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


def summary(
    fragment: Fragment,
    child: ChildMicrocosm,
    people: dict[int, Fragment],
    tree: Tree,
    view: ReadableMicrocosms,
    site_id: int,
    *,
    unread: bool | None,
) -> bytes:
    """Render the summary of a microcosm as JSON (content 2.5). `fragment`: its document, split at its holes; `people`:
    documents of the profiles that it shows, by id; `view`: microcosms of `tree` that the viewer may list; `unread` None
    leaves the flag out.
    """
    crumbs = microcosm_links.breadcrumb(tree, view, child.id, with_itself=False)
    below = sorted(child.children, key=lambda id: not tree.nodes[id].is_sticky)
    links = b",".join([microcosm_links.child_link(tree, view, id) for id in below])
    recent = b""
    if child.latest is not None:
        latest = item_summary.summary(
            child.latest, child.times, people, tree, view, unread=None, mine=child.mine
        )
        recent = b',"mostRecentUpdate":' + item_summary.container(child.latest[1], latest)
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
    """Render the links of a summary as JSON: self, parent (left out if the parent is the root) and site."""
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

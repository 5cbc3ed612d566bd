"""Summaries of items in lists, and the list of one type across microcosms (content 3.1, 3.6); for conversations, events
and polls, and parts of them for huddles.

An item has so few columns that its summary is made from the statement's row; only comments and profiles, which carry
text or stand on many pages, are cached documents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Replica, Row
from forumapi.models.content import reaction, type_specific_fields
from forumapi.models.content.item_page import new_comments
from forumapi.models.microcosms import microcosm_links
from forumapi.models.pages.document_reader import Documents
from forumapi.models.people import profile_summary
from forumapi.permissions.evaluator import Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, dumps

# SQL: the summary of an item `i` in a list, with its author `a`, last commenter `l` and views `v`.
SUMMARY_COLUMNS: Final = f"""
           i.item_id, i.item_type_id, i.version, i.microcosm_id, i.title, i.created_by, a.version, i.comment_count,
           coalesce(v.views, 0), coalesce(i.last_comment_id, 0), coalesce(i.last_comment_by, 0),
           coalesce(l.version, 0), i.is_sticky, i.is_open, i.is_deleted, i.is_moderated,
           {type_specific_fields.COLUMN}, i.by_agent"""

SUMMARY_TIMES: Final = "i.created, i.last_comment_at, i.last_activity"

SUMMARY_JOINS: Final = """
      JOIN profiles a ON a.site_id = i.site_id AND a.profile_id = i.created_by
      LEFT JOIN profiles l ON l.site_id = i.site_id AND l.profile_id = i.last_comment_by
      LEFT JOIN item_views v ON v.site_id = i.site_id AND v.item_id = i.item_id"""

SUMMARY_WIDTH: Final = 18

TIMES_WIDTH: Final = 3


def summary_people(rows: Sequence[Row], at: int = 0) -> dict[int, int]:
    """Return the versions of all profiles that summaries of these rows show, by profile id. `at`: index in each row at
    which SUMMARY_COLUMNS begin; a row with null there is skipped.
    """
    people: dict[int, int] = {}
    for row in rows:
        if row[at]:
            people[row[at + 5]] = row[at + 6]
            if row[at + 9]:
                people[row[at + 10]] = row[at + 11]
    return people


_JSON: Final = {True: b"true", False: b"false"}


def summary(
    row: Row,
    times: Row,
    people: dict[int, Fragment],
    tree: Tree,
    view: ReadableMicrocosms,
    *,
    unread: bool | None,
    new: int = 0,
    mine: str | None = None,
    whole: bool = False,
) -> bytes:
    """Render the summary of an item as JSON (content 3.1). `row` holds SUMMARY_COLUMNS, `times` SUMMARY_TIMES;
    `people`: documents of the profiles of `summary_people`, by id; `view`: microcosms of `tree` that the viewer may
    list.

    `unread` None: the flag is left out. `new`: number of comments that are new to the viewer. `mine`: the viewer's part
    of the details (type_specific_fields.py). `whole`: the members that only the type has are those of a detail.
    """
    (
        item_id,
        item_type,
        _,
        microcosm_id,
        title,
        author_id,
        _,
        comment_count,
        views,
        last_id,
        last_by,
        _,
        is_sticky,
        is_open,
        is_deleted,
        is_moderated,
        own,
        by_agent,
    ) = row
    last = b""
    if last_id and last_by in people and type_specific_fields.has_last_comment(item_type):
        last = b',"lastComment":{"id":%d,"created":"%b","createdBy":%b}' % (
            last_id,
            json_fragments.format_time(times[1]).encode(),
            people[last_by][0],
        )
    return (
        b'{"id":%d,"title":%b,"microcosmId":%d,"breadcrumb":%b%b,"totalComments":%d,"totalViews":%d%b,'
        b'"meta":{"created":"%b","createdBy":%b,"flags":{"sticky":%b,"open":%b,"deleted":%b,"moderated":%b,'
        b'"visible":%b%b%b},"links":[{"rel":"self","href":"%b"},%b]%b%b}}'
    ) % (
        item_id,
        dumps(title),
        microcosm_id,
        microcosm_links.breadcrumb(tree, view, microcosm_id, with_itself=True),
        type_specific_fields.inline(item_type, own, mine, whole=whole),
        comment_count,
        views,
        last,
        json_fragments.format_time(times[0]).encode(),
        people[author_id][0] if author_id in people else b"null",
        _JSON[is_sticky],
        _JSON[is_open],
        _JSON[is_deleted],
        _JSON[is_moderated],
        _JSON[not is_deleted and not is_moderated],
        b"" if unread is None else b',"unread":' + _JSON[unread],
        b"".join(
            b',"%b":%b' % (name.encode(), _JSON[bool(value)])
            for name, value in type_specific_fields.flags(item_type, own, mine).items()
        ),
        itemtypes.href(item_type, item_id).encode(),
        microcosm_links.microcosm_link(tree, view, microcosm_id),
        b',"byAgent":true' if by_agent else b"",
        _new_comments(new),
    )


def _new_comments(new: int) -> bytes:
    """Render the member `newComments`, the last one of an item's `meta`, as JSON with a leading comma; b"" for 0."""
    return b',"newComments":%d' % new if new else b""


BY_IDS = Query(
    "item_summary.by_ids",
    f"""
    SELECT {SUMMARY_COLUMNS}, {SUMMARY_TIMES}, i.reactions::text
      FROM items i
      {SUMMARY_JOINS}
     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[]) AND i.item_type_id <> {itemtypes.HUDDLE}""",
)


def by_ids(
    tx: Reader, documents: Documents, site_id: int, ids: Sequence[int]
) -> dict[int, Callable[[Tree, ReadableMicrocosms], bytes]]:
    """Return a function for each item, hidden ones too, by item id, that renders the item for a tree and the microcosms
    of it that a viewer may list. Huddles and unknown ids are left out.

    The function renders a summary with all details and reactions, without a part of any viewer (`unread` false, no vote
    or answer). The caller checks permission.
    """
    if not ids:
        return {}
    rows = tx.rows(BY_IDS, site_id=site_id, ids=list(ids))
    wanted = {profile_summary.SUMMARY: summary_people(rows)}
    people = documents.fetch(tx, site_id, wanted)[profile_summary.SUMMARY]

    def shown(row: Row) -> Callable[[Tree, ReadableMicrocosms], bytes]:
        times = row[SUMMARY_WIDTH : SUMMARY_WIDTH + TIMES_WIDTH]

        def render(tree: Tree, view: ReadableMicrocosms) -> bytes:
            made = summary(row[:SUMMARY_WIDTH], times, people, tree, view, unread=False, whole=True)
            # Before the ends of `meta` and of the whole.
            return made[:-2] + reaction.shown(row[-1]) + made[-2:]

        return render

    return {row[0]: shown(row) for row in rows}


def entry(
    row: Row,
    times: Row,
    people: dict[int, Fragment],
    tree: Tree,
    view: ReadableMicrocosms,
    *,
    unread: bool,
    new: int,
    mine: str | None,
) -> bytes:
    """Return the JSON of an item in a list, wrapped by `container`; parameters as in `summary`. The JSON is cached in
    `view`, the readable microcosms, and made anew if row, times, `unread` or `mine` differ. `new` is inserted after the
    look-up: otherwise the cache would have an entry for each number.
    """
    key = ("item", row[0], unread, mine)
    made: tuple[Row, Row, bytes] | None = view.cache.get(key)
    if made is None or made[0] != row or made[1] != times:
        made_now = summary(row, times, people, tree, view, unread=unread, mine=mine)
        made = view.keep(key, (row, times, container(row[1], made_now)))
    wrapped = made[2]
    # Before the ends of `meta`, of the item and of the container.
    return wrapped[:-3] + _new_comments(new) + wrapped[-3:] if new else wrapped


_CONTAINER: Final = {
    kind.id: b'{"itemType":%b,"item":' % dumps(kind.name) for kind in itemtypes.TYPES
}


def container(item_type: int, item: bytes) -> bytes:
    """Wrap the JSON of an item as a list entry: `{"itemType": ..., "item": ...}`."""
    return b"%b%b}" % (_CONTAINER[item_type], item)


def listed(key: str, page: bytes, path: str, permissions: bytes) -> bytes:
    """Render the document of a list: the JSON `page` as its member `key`, and `meta` with the link `self` to `path`,
    the list's host-relative address, and the JSON `permissions`, those of the viewer.
    """
    return b'{%b:%b,"meta":{"links":[{"rel":"self","href":%b}],"permissions":%b}}' % (
        dumps(key),
        page,
        dumps(path),
        permissions,
    )


LIST = Query(
    "item_summary.list",
    f"""
    SELECT {SUMMARY_COLUMNS}, {SUMMARY_TIMES}, {new_comments()}, {type_specific_fields.MINE}
      FROM (SELECT i.* FROM items i
             WHERE i.site_id = %(site_id)s AND i.item_type_id = %(item_type)s AND NOT i.is_deleted
               AND NOT i.is_moderated AND i.microcosm_id = ANY(%(readable)s::bigint[])
               AND i.item_id <> ALL(%(ignored)s::bigint[])
             ORDER BY i.is_sticky DESC, i.last_activity DESC, i.item_id DESC
             LIMIT %(limit)s OFFSET %(offset)s) i
      {SUMMARY_JOINS}
     ORDER BY i.is_sticky DESC, i.last_activity DESC, i.item_id DESC""",
    replica=Replica.ALL,
)

COUNT = Query(
    "item_summary.count",
    """
    SELECT count(*)
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_type_id = %(item_type)s AND NOT i.is_deleted AND NOT i.is_moderated
       AND i.microcosm_id = ANY(%(readable)s::bigint[])
               AND i.item_id <> ALL(%(ignored)s::bigint[])""",
    replica=Replica.ACKNOWLEDGED,
)

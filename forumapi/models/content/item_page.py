"""Page of one item with its comments; for conversations, events and polls, and parts of it for huddles."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Replica, Row
from forumapi.itemtypes import ItemRef
from forumapi.models.content import (
    bookmark,
    comment_documents,
    draft,
    reaction,
    type_specific_fields,
)
from forumapi.models.content.comment_documents import CommentRow
from forumapi.models.microcosms import microcosm_links
from forumapi.models.pages import page_cache
from forumapi.models.pages.document_reader import Documents
from forumapi.models.pages.page_cache import CachedPage, PageCache, digest
from forumapi.models.people import profile_summary
from forumapi.models.trust import latest_statement_link
from forumapi.permissions.evaluator import Target, Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import dumps
from forumapi.wire.paging import Paging

# SQL: the time up to which the viewer `me` has read an item `i` (discovery 7.3); -infinity for guests.
READ_TIME: Final = f"""greatest(
                   (SELECT CASE i.item_type_id WHEN {itemtypes.HUDDLE} THEN p.huddles_read_at ELSE p.all_read_at END
                      FROM profiles p
                     WHERE p.site_id = %(site_id)s AND p.profile_id = %(me)s),
                   (SELECT r.read_at FROM read_marks r
                     WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                       AND r.item_type_id = i.item_type_id AND r.item_id = i.item_id),
                   (SELECT r.read_at FROM read_marks r
                     WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s
                       AND r.item_type_id = {itemtypes.MICROCOSM} AND r.item_id = i.microcosm_id),
                   '-infinity'::timestamptz)"""

# Columns of the item that the page statement returns on every row; the first _PARENT_STAMPED are for the entity tag.
_PARENT: Final = f"""
           i.item_id, i.version, i.microcosm_id, i.title, i.created_by, ia.version,
           coalesce(i.edited_by, 0), coalesce(ie.version, 0), i.edit_reason, i.is_sticky, i.is_open,
           i.is_deleted, i.is_moderated, i.total, i.others_wrote, i.created, i.edited, i.last_activity,
           i.by_agent, i.reactions::text,
           CASE WHEN i.details IS NOT NULL AND picked.seq IS NOT DISTINCT FROM (SELECT min(p.seq) FROM picked p)
                THEN i.details END,
           i.authors, {page_cache.SNAPSHOT}"""
_PARENT_STAMPED: Final = 15

# A viewer who ignores others shares the page of viewers who don't, if none of the ignored wrote in the item. That is
# only worked out for items of at most this many authors.
_MAX_AUTHORS: Final = 200

# SQL: how many comments of an item `i` the viewer sees.
TOTAL: Final = """i.comment_count - coalesce((
                   SELECT sum(x.live) FROM item_authors x
                    WHERE x.site_id = i.site_id AND x.item_id = i.item_id
                      AND x.profile_id = ANY(%(ignored)s::bigint[])), 0)::int"""

# Most comments that are counted as new; the number stands for more as well.
MOST_NEW: Final = 100

# How many comments from the end of an item are looked at, hidden and ignored ones and the viewer's own among them: each
# costs a read of its row, however few of them count.
_LOOKED_AT: Final = 500

# SQL: comments of an item `i` that the viewer sees and that others wrote, newest first.
_NEWEST: Final = f"""SELECT n.seq, n.created FROM comments n
                      WHERE n.site_id = %(site_id)s AND n.item_id = i.item_id AND n.seq > i.last_seq - {_LOOKED_AT}
                        AND NOT n.is_deleted AND NOT n.is_moderated AND n.created_by <> %(me)s::bigint
                        AND n.created_by <> ALL(%(ignored_people)s::bigint[])
                      ORDER BY n.seq DESC"""
_FEW: Final = 10


def new_comments(read_time: str = READ_TIME, only: str = "true") -> str:
    """Return an SQL expression: how many comments of an item `i` are new to the viewer `me` (discovery 7.3, R-13), at
    most MOST_NEW; null if nothing in the item is unread, and for guests. Counted are visible comments among the last
    _LOOKED_AT that neither `me` nor one of `ignored_people` wrote.

    `read_time`: SQL of the time up to which the viewer has read the item; `only`: SQL of the condition under which
    comments are counted, otherwise the number is 0. Mostly few are new: the newest _FEW comments are read, and more
    only if all of these are new.
    """
    return f"""(
        SELECT CASE WHEN few.tenth > r.read_at
                    THEN (SELECT count(*)::int FROM ({_NEWEST} LIMIT {MOST_NEW}) n WHERE n.created > r.read_at)
                    ELSE few.new END
          FROM (SELECT {read_time} AS read_at OFFSET 0) r
         CROSS JOIN LATERAL (
               SELECT count(*) FILTER (WHERE n.created > r.read_at)::int AS new,
                      (array_agg(n.created ORDER BY n.seq DESC))[{_FEW}] AS tenth
                 FROM ({_NEWEST} LIMIT {_FEW}) n
                WHERE {only} OFFSET 0) few
         WHERE %(me)s::bigint <> 0 AND i.last_activity > r.read_at)"""


# Page k of a thread is `seq > offset` while nothing in it is hidden from this viewer. Otherwise the
# numbers are walked, in the index alone, from the nearer end, so that the last page costs what the
# first one does. Exactly one of the three branches runs.
PICKED: Final = """
        (SELECT s.seq FROM one
          CROSS JOIN LATERAL generate_series(%(offset)s + 1, least(%(offset)s + %(limit)s, one.total)) s (seq)
          WHERE one.total = one.last_seq)
         UNION ALL
        (SELECT c.seq FROM one
          CROSS JOIN LATERAL (
                SELECT c.seq FROM comments c
                 WHERE c.site_id = one.site_id AND c.item_id = one.item_id AND NOT c.is_deleted
                   AND NOT c.is_moderated AND c.created_by <> ALL(%(ignored)s::bigint[])
                 ORDER BY c.seq LIMIT %(limit)s OFFSET %(offset)s) c
          WHERE one.total <> one.last_seq AND %(offset)s <= one.total / 2)
         UNION ALL
        (SELECT c.seq FROM one
          CROSS JOIN LATERAL (
                SELECT c.seq FROM comments c
                 WHERE c.site_id = one.site_id AND c.item_id = one.item_id AND NOT c.is_deleted
                   AND NOT c.is_moderated AND c.created_by <> ALL(%(ignored)s::bigint[])
                 ORDER BY c.seq DESC LIMIT greatest(least(%(limit)s, one.total - %(offset)s), 0)
                OFFSET greatest(one.total - %(offset)s - %(limit)s, 0)) c
          WHERE one.total <> one.last_seq AND %(offset)s > one.total / 2)"""

# The item and a page of its comments, without what only the viewer sees (VIEWER).
PAGE = Query(
    "item_page.page",
    f"""
    WITH one AS MATERIALIZED (
        SELECT i.site_id, i.item_id, i.item_type_id, i.version, i.microcosm_id, i.title, i.created_by,
               i.edited_by, i.edit_reason, i.is_sticky, i.is_open, i.is_deleted, i.is_moderated,
               i.last_seq, i.last_activity, i.created, i.edited, i.by_agent, i.reactions, {TOTAL} AS total,
               i.comment_count > coalesce((
                   SELECT x.live FROM item_authors x
                    WHERE x.site_id = i.site_id AND x.item_id = i.item_id
                      AND x.profile_id = i.created_by), 0) AS others_wrote,
               ARRAY(SELECT x.profile_id FROM item_authors x
                      WHERE x.site_id = i.site_id AND x.item_id = i.item_id AND x.live > 0
                      LIMIT {_MAX_AUTHORS + 1}) AS authors,
               {type_specific_fields.COLUMN} AS details
          FROM items i
         WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s
           AND i.item_type_id = %(item_type)s),
    picked AS MATERIALIZED ({PICKED})
    SELECT {comment_documents.COLUMNS.format(unread="false")}, c.created, {_PARENT}
      FROM one i
      JOIN profiles ia ON ia.site_id = i.site_id AND ia.profile_id = i.created_by
      LEFT JOIN profiles ie ON ie.site_id = i.site_id AND ie.profile_id = i.edited_by
      LEFT JOIN picked ON true
      LEFT JOIN LATERAL (
            SELECT c.* FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = %(item_id)s AND c.seq = picked.seq LIMIT 1) c ON true
      LEFT {comment_documents.JOINS.lstrip()}
     ORDER BY c.seq""",
    replica=Replica.ACKNOWLEDGED,
)

_STATEMENT: Final = latest_statement_link.LATEST.format(
    site="%(site_id)s", item_type="i.item_type_id", item="i.item_id"
).strip()

# What only the viewer `me` sees of an item, and whether its cached page is still current.
VIEWER = Query(
    "item_page.viewer",
    f"""
    SELECT {page_cache.IS_CURRENT}, {page_cache.SNAPSHOT}, nullif({READ_TIME}, '-infinity'), w.send_email, w.send_sms,
           {type_specific_fields.MINE}, {reaction.OWN_OF_COMMENTS.strip()},
           {bookmark.IS_OWN.strip()},
           {bookmark.OWN_OF_COMMENTS.strip()},
           {draft.IS_THERE.strip()}, {_STATEMENT}
      FROM (SELECT %(item_type)s::smallint AS item_type_id, %(item_id)s::bigint AS item_id,
                   %(microcosm_id)s::bigint AS microcosm_id) i
      LEFT JOIN watchers w ON w.site_id = %(site_id)s AND w.profile_id = %(me)s
                          AND w.item_type_id = i.item_type_id AND w.item_id = i.item_id""",
)


# A read mark never moves back, and only up to what the viewer has really seen; losing it in a crash does no harm.
MARK_ALL = Query(
    "item_page.mark_all",
    """
    INSERT INTO read_marks (site_id, profile_id, item_type_id, item_id, read_at)
    SELECT %(site_id)s, %(me)s, %(item_type)s, %(item_id)s, %(read_at)s
      FROM (SELECT set_config('synchronous_commit', 'off', true)) AS quick
        ON CONFLICT (site_id, profile_id, item_type_id, item_id)
        DO UPDATE SET read_at = greatest(read_marks.read_at, EXCLUDED.read_at)""",
)
MARK_AT = Query(
    "item_page.mark_at",
    """
    INSERT INTO read_marks (site_id, profile_id, item_type_id, item_id, read_at)
    SELECT %(site_id)s, %(me)s, %(item_type)s, %(item_id)s, c.created
      FROM comments c, (SELECT set_config('synchronous_commit', 'off', true)) AS quick
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(comment_id)s
        ON CONFLICT (site_id, profile_id, item_type_id, item_id)
        DO UPDATE SET read_at = greatest(read_marks.read_at, EXCLUDED.read_at)""",
)


class ItemPage(NamedTuple):
    """Item with one page of its comments, without the viewer's part: the same for all viewers who ignore the same of
    its authors.

    `title` and `edit_reason` are HTML-escaped; `author_version` and `editor_version`: those of the profiles;
    `editor_id` 0 and `edited` None: the item was never edited; `total`: number of the item's comments that such viewers
    see; `others_wrote`: others than the item's author wrote visible comments in it; `comments` and `times`, at which
    they were written, are in the same order; `authors`: profiles that wrote visible comments in the item, None if they
    are too many; `by_agent`: an agent began the item in its author's name; `reactions`: JSON, number by name;
    `details`: those of its type, as type_specific_fields.py reads them; `stamp`: hash of all that is shown.
    """

    item_type: int
    id: int
    version: int
    microcosm_id: int
    title: str
    author_id: int
    author_version: int
    editor_id: int
    editor_version: int
    edit_reason: str
    is_sticky: bool
    is_open: bool
    is_deleted: bool
    is_moderated: bool
    total: int  # comments that are not hidden or ignored
    others_wrote: bool
    created: datetime.datetime
    edited: datetime.datetime | None
    last_activity: datetime.datetime
    by_agent: bool
    reactions: str | None  # how many of each, as JSON
    details: str | None  # of its type (models/content/type_specific_fields.py)
    authors: frozenset[int] | None  # None: more than _MAX_AUTHORS
    comments: list[CommentRow]
    times: list[datetime.datetime]  # when each of them was written
    stamp: bytes

    @property
    def target(self) -> Target:
        """Return the item as a target of permissions, for the evaluator."""
        return Target(
            self.item_type,
            self.id,
            self.microcosm_id or 0,
            (self.author_id,),
            others_wrote=self.others_wrote,
        )


class ViewerState(NamedTuple):
    """State of an item for one member; never cached. `read_time`: time up to which it was read, None for never;
    `send_email` and `send_sms` None: not followed; `mine`: the viewer's part of the item's details; `is_bookmarked`:
    the member has bookmarked the item; `bookmarked`: ids of the shown comments that the member has bookmarked;
    `reacted`: the member's reactions to the shown comments, as reaction.py reads them, None for none; `has_draft`: the
    member has a draft of a comment on the item; `statement_id`: id of the latest statement of reasons about the item,
    None if there is none or the member is not its author.
    """

    read_time: datetime.datetime | None  # None: nothing was read
    send_email: bool | None  # None: not watched
    send_sms: bool | None
    mine: str | None  # of its type (models/content/type_specific_fields.py)
    reacted: str | None  # to which of the comments, and how (models/content/reaction.py)
    is_bookmarked: bool
    bookmarked: list[int]  # which of the comments
    has_draft: bool  # of a comment on it
    statement_id: int | None = None  # of reasons, for the author of an item that was taken away

    @property
    def flags(self) -> dict[str, bool]:
        """Return `bookmarked` and `drafted`, each only if it is true, for meta.flags of the item."""
        marks = {"bookmarked": self.is_bookmarked, "drafted": self.has_draft}
        return {name: True for name, is_there in marks.items() if is_there}

    def has_unread(self, moment: datetime.datetime) -> bool:
        """Return True if `moment` is later than the viewer's read mark, or there is no read mark."""
        return self.read_time is None or moment > self.read_time


class ItemView(NamedTuple):
    """Page of an item with the state of its viewer; `viewer` None: a guest."""

    page: ItemPage
    viewer: ViewerState | None

    @property
    def unread(self) -> list[bool]:
        """Return a flag for each comment of the page, in its order: True if the viewer has not read the comment; for a
        guest all are False.
        """
        if self.viewer is None:
            return [False] * len(self.page.comments)
        return [self.viewer.has_unread(moment) for moment in self.page.times]

    @property
    def statement_id(self) -> int | None:
        """Return the id of the statement of reasons for which the item is hidden; None if it isn't hidden, there is no
        statement, or the viewer is not its author.
        """
        is_hidden = self.page.is_deleted or self.page.is_moderated
        return self.viewer.statement_id if self.viewer is not None and is_hidden else None

    @property
    def stamp(self) -> Any:
        """Return values of which one differs whenever the shown page does, for the entity tag; permission, address and
        tree are not among them.
        """
        if self.viewer is None:
            return self.page.stamp
        _, *shown = self.viewer
        return (self.page.stamp, self.unread, *shown)


def page(
    pages: PageCache,
    tx: Reader,
    site_id: int,
    ref: ItemRef,
    me: int,
    ignored: Sequence[int],
    at: Paging,
) -> ItemView | None:
    """Read an item, hidden or not, with the page `at` of its comments as the profile `me` sees them (0: a guest),
    without those of the profiles `ignored`; None if it never existed here. `pages`: this process's cache, which is used
    while it is current.

    The caller checks permission, and that the viewer may see a deleted or moderated item, before it shows anything.
    """
    key = ("item", site_id, *ref, at.offset, at.limit)
    cached: CachedPage[ItemPage] | None = None
    viewer: ViewerState | None = None
    if me:
        cached = _cached(pages, key, ignored)
        if cached is not None:
            current, viewer = _viewer(tx, site_id, cached, me)
            if current:
                return ItemView(cached.value, viewer)

    def read() -> CachedPage[ItemPage] | None:
        rows = tx.rows(
            PAGE,
            site_id=site_id,
            item_type=ref.type,
            item_id=ref.id,
            ignored=ignored,
            limit=at.limit,
            offset=at.offset,
        )
        return _read(tx, ref.type, rows) if rows else None

    fresh = pages.get_or_read(
        tx,
        site_id,
        ref.id,
        (*key, tuple(ignored)),
        read,
        find=lambda: _cached(pages, key, ignored),
        key_of=lambda page: (*key, tuple(_relevant(page, ignored))),
        stale=cached,
    )
    if fresh is None:
        return None
    if me and (
        viewer is None
        or cached is None
        or cached.value.microcosm_id != fresh.value.microcosm_id
        or not _shown(fresh.value) <= _shown(cached.value)
        or not _reacted(fresh.value) <= _reacted(cached.value)
    ):
        _, viewer = _viewer(tx, site_id, fresh, me)
    return ItemView(fresh.value, viewer)


def _cached(
    pages: PageCache, key: tuple[Any, ...], ignored: Sequence[int]
) -> CachedPage[ItemPage] | None:
    """Return the cached page for viewers who ignore the profiles `ignored`; None if there is none. `key`: key of the
    page in `pages`, without the ignored profiles, which are its last part.

    The page of viewers who ignore nobody is returned if it is certain that none of `ignored` wrote in the item.
    """
    cached: CachedPage[ItemPage] | None
    if ignored:
        cached = pages.get((*key, tuple(ignored)))
        if cached is not None:
            return cached
    cached = pages.get((*key, ()))
    if cached is not None and _relevant(cached.value, ignored):
        return None
    return cached


def _relevant(page: ItemPage, ignored: Sequence[int]) -> Sequence[int]:
    """Return `ignored` unchanged if one of these profiles wrote, or may have written, in the item; else ()."""
    if page.authors is not None and page.authors.isdisjoint(ignored):
        return ()
    return ignored


def _read(tx: Reader, item_type: int, rows: list[Row]) -> CachedPage[ItemPage]:
    parent = rows[0][comment_documents.WIDTH + 1 :]
    *columns, authors, snapshot = parent
    shown = [row for row in rows if row[0] is not None]
    comments = [CommentRow(*row[: comment_documents.WIDTH]) for row in shown]
    covered = (parent[:_PARENT_STAMPED], columns[-2:], [tuple(comment) for comment in comments])
    page = ItemPage._make(
        (
            item_type,
            *columns,
            frozenset(authors) if len(authors) <= _MAX_AUTHORS else None,
            comments,
            [row[comment_documents.WIDTH] for row in shown],
            digest(covered),
        )
    )
    until = type_specific_fields.until(item_type, page.details)
    return CachedPage(tx.snapshot or snapshot, page, until.timestamp() if until else None)


def _shown(page: ItemPage) -> set[int]:
    """Return the ids of the comments on a page."""
    return {row.id for row in page.comments}


def _reacted(page: ItemPage) -> set[int]:
    """Return the ids of the comments on a page that have reactions."""
    return {row.id for row in page.comments if row.reactions}


def _viewer(
    tx: Reader, site_id: int, cached: CachedPage[ItemPage], me: int
) -> tuple[bool, ViewerState]:
    """Return (is current, state), read in one statement: True if the cached page is still current, and the state of its
    item for the profile `me`, with the marks of `me` on the cached page's comments alone. After False the state fits a
    fresh page only if that is in the same microcosm and has no other comments, nor others with reactions.
    """
    row = cached.revalidate(
        tx,
        VIEWER,
        site_id=site_id,
        item_type=cached.value.item_type,
        item_id=cached.value.id,
        microcosm_id=cached.value.microcosm_id,
        me=me,
        reacted=list(_reacted(cached.value)),
        shown=[row.id for row in cached.value.comments],
        concerns=cached.value.id,
    )
    assert row is not None
    return row[0], ViewerState(*row[2:])


def mark_read(tx: Reader, site_id: int, view: ItemView, me: int, at: Paging) -> None:
    """Move the read mark of the profile `me` in the item `view` forward: on the last page to the item's last activity,
    else to the last comment shown. `at`: the page that `view` holds.

    Nothing is written for a guest, or if the item's last activity, or on an earlier page the last comment shown, was
    read before.
    """
    page, viewer = view
    if viewer is None or not viewer.has_unread(page.last_activity):
        return
    if at.offset + at.limit >= page.total:
        # Up to what this page showed, not to now: a comment that is being committed is not seen yet.
        tx.run(
            MARK_ALL,
            site_id=site_id,
            me=me,
            item_type=page.item_type,
            item_id=page.id,
            read_at=page.last_activity,
        )
    elif page.comments and viewer.has_unread(page.times[-1]):
        tx.run(
            MARK_AT,
            site_id=site_id,
            me=me,
            item_type=page.item_type,
            item_id=page.id,
            comment_id=page.comments[-1].id,
        )


# ---------------------------------------------------------------- detail


def flags(view: ItemView, *, is_ignored: bool) -> dict[str, bool]:
    """Return meta.flags of an item's detail (content 1.9). `is_ignored`: the viewer ignores the item."""
    page, viewer = view
    shown = {
        "sticky": page.is_sticky,
        "open": page.is_open,
        "deleted": page.is_deleted,
        "moderated": page.is_moderated,
        "visible": not page.is_deleted and not page.is_moderated,
    }
    if viewer is not None:
        shown |= profile_summary.relation(viewer.send_email, viewer.send_sms, is_ignored=is_ignored)
        shown |= viewer.flags
    mine = viewer.mine if viewer is not None else None
    for name, value in type_specific_fields.flags(page.item_type, page.details, mine).items():
        if value is not None:
            shown[name] = value
    return shown


def wanted(page: ItemPage) -> dict[Any, dict[int, int]]:
    """Return the documents that the detail of `page` is made of, as `Documents.fetch` takes them: by kind of document,
    version by id.
    """
    people = comment_documents.profiles_of(page.comments)
    people[page.author_id] = page.author_version
    if page.editor_id:
        people[page.editor_id] = page.editor_version
    return {
        comment_documents.SUMMARY: {row.id: row.version for row in page.comments},
        profile_summary.SUMMARY: people,
    }


def detail(
    tx: Reader,
    documents: Documents,
    site_id: int,
    view: ItemView,
    comments_page: Callable[[bytes], bytes],
    permissions: bytes,
    tree: Tree,
    readable: ReadableMicrocosms,
    *,
    is_ignored: bool,
    rights: comment_documents.CommentRights | None,
) -> bytes:
    """Render the detail of an item as JSON (content 3.2). `permissions`: JSON of the viewer's permissions on it;
    `readable`: microcosms of `tree` that the viewer may list, for breadcrumb and links; `is_ignored`: the viewer
    ignores the item; `rights`: the viewer's on its comments, None for a guest.

    `comments_page` turns the JSON array of the comments into the JSON of their page.
    """
    page, viewer = view
    fetched = documents.fetch(tx, site_id, wanted(page))
    people = fetched[profile_summary.SUMMARY]
    parent = comment_documents.ParentLink(page.item_type, page.id, page.title)
    comments = comment_documents.summaries(
        fetched[comment_documents.SUMMARY], page.comments, people, parent, view.unread, rights
    )
    meta: dict[str, Any] = {
        "created": json_fragments.format_time(page.created),
        "createdBy": profile_summary.person(people, page.author_id),
    }
    if page.edited is not None:
        meta["edited"] = json_fragments.format_time(page.edited)
        meta["editedBy"] = profile_summary.person(people, page.editor_id)
        meta["editReason"] = page.edit_reason
    meta["flags"] = flags(view, is_ignored=is_ignored)
    meta["links"] = [
        {"rel": "self", "href": itemtypes.href(page.item_type, page.id)},
        json_fragments.raw(microcosm_links.microcosm_link(tree, readable, page.microcosm_id)),
    ]
    if view.statement_id:
        meta["links"].append(latest_statement_link.link(view.statement_id))
    meta["permissions"] = json_fragments.raw(permissions)
    if page.by_agent:
        meta["byAgent"] = True
    if page.reactions:
        meta["reactions"] = json_fragments.raw(page.reactions.encode())
    data: dict[str, Any] = {
        "id": page.id,
        "title": page.title,
        "microcosmId": page.microcosm_id,
        "breadcrumb": json_fragments.raw(
            microcosm_links.breadcrumb(tree, readable, page.microcosm_id, with_itself=True)
        ),
        **type_specific_fields.members(
            page.item_type, page.details, viewer.mine if viewer else None
        ),
        "comments": json_fragments.raw(comments_page(comments)),
        "meta": meta,
    }
    return dumps(data)

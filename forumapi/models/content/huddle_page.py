"""Pages of huddles: one huddle with its comments, the caller's list, the participants (content 8).

Every statement finds a huddle by the caller's own participation, so that it doesn't exist for anybody else. huddle.py
writes huddles.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query, Replica, Row
from forumapi.models.content import bookmark, comment_documents, draft, item_page
from forumapi.models.content.comment_documents import CommentRow
from forumapi.models.content.item_page import ViewerState
from forumapi.models.pages import page_cache
from forumapi.models.pages.document_reader import Documents
from forumapi.models.pages.page_cache import CachedPage, PageCache
from forumapi.models.people import profile_summary, read_mark
from forumapi.permissions.evaluator import Target
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, dumps
from forumapi.wire.paging import Paging

# SQL: the participants of a huddle `i`, by id, with the versions of their documents; two empty arrays without any.
PEOPLE: Final = """
      CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(h.profile_id ORDER BY h.profile_id), '{}') AS ids,
                   coalesce(array_agg(p.version ORDER BY h.profile_id), '{}') AS versions
              FROM huddle_participants h
              JOIN profiles p ON p.site_id = h.site_id AND p.profile_id = h.profile_id
             WHERE h.site_id = i.site_id AND h.item_id = i.item_id) people"""

# ---------------------------------------------------------------- one huddle

# Columns of the huddle that the page statement returns on every row: those for the entity tag, then what only the
# viewer sees (as in VIEWER), then the snapshot.
_PARENT: Final = f"""
           i.item_id, i.version, i.title, i.is_confidential, i.created_by, ia.version, i.total, people.ids,
           people.versions, i.created, i.last_activity,
           nullif(i.read_time, '-infinity'), w.send_email, w.send_sms,
           {bookmark.IS_OWN.strip()}, {draft.IS_THERE.strip()},
           ARRAY(SELECT b.item_id FROM picked p
                   JOIN comments k ON k.site_id = %(site_id)s AND k.item_id = %(item_id)s AND k.seq = p.seq
                   JOIN bookmarks b ON b.site_id = k.site_id AND b.profile_id = %(me)s
                                   AND b.item_type_id = {itemtypes.COMMENT} AND b.item_id = k.comment_id
                  ORDER BY b.item_id), {page_cache.SNAPSHOT},
           CASE WHEN c.reactions IS NOT NULL THEN
                ARRAY(SELECT r.name FROM reactions r
                       WHERE r.site_id = c.site_id AND r.item_type_id = {itemtypes.COMMENT} AND r.item_id = c.comment_id
                         AND r.profile_id = %(me)s ORDER BY r.name) END"""
_PARENT_STAMPED: Final = 9
_PARENT_SHARED: Final = 11

_WATCHED: Final = f"""
      LEFT JOIN watchers w ON w.site_id = %(site_id)s AND w.profile_id = %(me)s
                          AND w.item_type_id = {itemtypes.HUDDLE} AND w.item_id = i.item_id"""

PAGE = Query(
    "huddle_page.page",
    f"""
    WITH one AS MATERIALIZED (
        SELECT i.site_id, i.item_id, i.item_type_id, i.version, i.title, u.is_confidential, i.created_by, i.last_seq,
               i.last_activity, i.created, {item_page.READ_TIME} AS read_time, {item_page.TOTAL} AS total
          FROM huddle_participants me
          JOIN huddles u ON u.site_id = me.site_id AND u.item_id = me.item_id
          JOIN items i ON i.site_id = me.site_id AND i.item_id = me.item_id
         WHERE me.site_id = %(site_id)s AND me.item_id = %(item_id)s AND me.profile_id = %(me)s),
    picked AS MATERIALIZED ({item_page.PICKED})
    SELECT {comment_documents.COLUMNS.format(unread="false")}, c.created, {_PARENT}
      FROM one i
      JOIN profiles ia ON ia.site_id = i.site_id AND ia.profile_id = i.created_by
      {_WATCHED.strip()}
      {PEOPLE.strip()}
      LEFT JOIN picked ON true
      LEFT JOIN LATERAL (
            SELECT c.* FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = %(item_id)s AND c.seq = picked.seq LIMIT 1) c ON true
      LEFT {comment_documents.JOINS.lstrip()}
     ORDER BY c.seq""",
)

# Whether the viewer's cached page is still current, and the viewer's state; no row for somebody who does not
# participate, whatever is cached.
VIEWER = Query(
    "huddle_page.viewer",
    f"""
    SELECT {page_cache.IS_CURRENT}, {page_cache.SNAPSHOT}, nullif({item_page.READ_TIME}, '-infinity'), w.send_email,
           w.send_sms, {bookmark.IS_OWN.strip()}, {draft.IS_THERE.strip()},
           {bookmark.OWN_OF_COMMENTS.strip()}
      FROM (SELECT {itemtypes.HUDDLE}::smallint AS item_type_id, me.item_id, NULL::bigint AS microcosm_id
              FROM huddle_participants me
             WHERE me.site_id = %(site_id)s AND me.item_id = %(item_id)s AND me.profile_id = %(me)s) i
      {_WATCHED.strip()}""",
)


class HuddlePage(NamedTuple):
    """A huddle with one page of its comments, as a participant sees it; cached for that participant alone.

    `author_version`: that of the author's profile; `total`: number of comments that the viewer sees; `participant_ids`
    and `participant_versions`, of their profiles, are in the same order, as are `comments` and `times`, at which they
    were written; `reacted`: the viewer's reactions by comment id; `stamp`: hash of what can change of huddle and
    comments, without `reacted`.
    """

    id: int
    version: int
    title: str
    is_confidential: bool
    author_id: int
    author_version: int
    total: int  # comments that this viewer sees
    participant_ids: list[int]
    participant_versions: list[int]
    created: datetime.datetime
    last_activity: datetime.datetime
    comments: list[CommentRow]
    times: list[datetime.datetime]  # when each of them was written
    reacted: dict[int, list[str]]  # to which of them the viewer did, and how
    stamp: bytes

    @property
    def target(self) -> Target:
        """Return the huddle as a target of permissions, for the evaluator; its viewer participates."""
        return Target(itemtypes.HUDDLE, self.id, 0, (self.author_id,), is_participant=True)


class HuddleView(NamedTuple):
    """Page of a huddle, with the state of the huddle (`viewer`) for the participant who views it."""

    page: HuddlePage
    viewer: ViewerState  # never cached

    @property
    def is_unread(self) -> bool:
        """Return True if anything happened in the huddle that the viewer has not read."""
        return self.viewer.has_unread(self.page.last_activity)

    @property
    def unread(self) -> list[bool]:
        """Return a flag for each comment of the page, in its order: True if the viewer has not read the comment."""
        return [self.viewer.has_unread(moment) for moment in self.page.times]

    @property
    def stamp(self) -> Any:
        """Return values of which one differs whenever the shown page does, for the entity tag; permissions, the
        viewer's reactions and the address are not among them.
        """
        _, *shown = self.viewer
        return (self.page.stamp, self.unread, *shown)


def page(
    pages: PageCache, tx: Reader, site_id: int, id: int, me: int, ignored: Sequence[int], at: Paging
) -> HuddleView | None:
    """Read a huddle with the page `at` of its comments, without those of the profiles `ignored`; None if it doesn't
    exist, or the profile `me` does not participate. `pages`: this process's cache, which is used while it is current.
    """
    # The viewer is part of the key: nobody else finds this page of the huddle in the cache.
    key = ("huddle", site_id, id, me, tuple(ignored), at.offset, at.limit)
    cached: CachedPage[HuddlePage] | None = pages.get(key)
    if cached is not None:
        row = cached.revalidate(
            tx,
            VIEWER,
            site_id=site_id,
            item_id=id,
            me=me,
            shown=[comment.id for comment in cached.value.comments],
            concerns=id,
        )
        if row is None:
            return None
        if row[0]:
            return HuddleView(cached.value, _viewer(row[2:]))
    rows = tx.rows(
        PAGE,
        site_id=site_id,
        item_id=id,
        me=me,
        ignored=ignored,
        limit=at.limit,
        offset=at.offset,
    )
    if not rows:
        return None
    *parent, snapshot, _ = rows[0][comment_documents.WIDTH + 1 :]
    shown = [row for row in rows if row[0] is not None]
    comments = [CommentRow(*row[: comment_documents.WIDTH]) for row in shown]
    times = [row[comment_documents.WIDTH] for row in shown]
    reacted = {row[0]: row[-1] for row in shown if row[-1]}
    covered = (parent[:_PARENT_STAMPED], [tuple(comment) for comment in comments])
    fresh = HuddlePage._make(
        (*parent[:_PARENT_SHARED], comments, times, reacted, page_cache.digest(covered))
    )
    pages.put(key, CachedPage(snapshot, fresh))
    return HuddleView(fresh, _viewer(parent[_PARENT_SHARED:]))


def _viewer(columns: Sequence[Any]) -> ViewerState:
    """Make the state of a viewer from `columns`, those of the statements PAGE and VIEWER that are about the viewer. The
    field `reacted` is None: reactions are in the page, which is the viewer's own.
    """
    read_time, send_email, send_sms, is_bookmarked, has_draft, bookmarked = columns
    return ViewerState(
        read_time, send_email, send_sms, None, None, is_bookmarked, bookmarked, has_draft
    )


def mark_read(tx: Transaction, site_id: int, view: HuddleView, me: int, at: Paging) -> None:
    """Move the read mark of the profile `me` in the huddle `view` forward: on the last page to the huddle's last
    activity, else to the last comment shown. Recount that profile's unread huddles (discovery 7.4). `at`: the page that
    `view` holds.

    Nothing is written if the last comment of a page before the last is read already.
    """
    page = view.page
    if at.offset + at.limit >= page.total:
        tx.run(
            item_page.MARK_ALL,
            site_id=site_id,
            me=me,
            item_type=itemtypes.HUDDLE,
            item_id=page.id,
            read_at=page.last_activity,
        )
        read_mark.count_huddles(tx, site_id, [me])
    elif page.comments and view.viewer.has_unread(page.times[-1]):
        mark_read_to(tx, site_id, page.id, me, page.comments[-1].id)


def mark_read_to(tx: Transaction, site_id: int, id: int, me: int, comment_id: int) -> None:
    """Move the read mark of the profile `me` in the huddle `id` forward to the time of its comment `comment_id`, never
    back, and recount that profile's unread huddles.
    """
    tx.run(
        item_page.MARK_AT,
        site_id=site_id,
        me=me,
        item_type=itemtypes.HUDDLE,
        item_id=id,
        comment_id=comment_id,
    )
    read_mark.count_huddles(tx, site_id, [me])


def detail(
    tx: Reader,
    documents: Documents,
    site_id: int,
    view: HuddleView,
    comments_page: Callable[[bytes], bytes],
    permissions: bytes,
    *,
    is_ignored: bool,
    rights: comment_documents.CommentRights | None,
) -> bytes:
    """Render the detail of a huddle as JSON (content 8.4). `permissions`: JSON of the viewer's permissions on it;
    `is_ignored`: the viewer ignores the huddle; `rights`: the viewer's on its comments, None leaves them out.

    `comments_page` turns the JSON array of the comments into the JSON of their page.
    """
    page, viewer = view
    people = comment_documents.profiles_of(page.comments)
    people.update(zip(page.participant_ids, page.participant_versions, strict=True))
    people[page.author_id] = page.author_version
    fetched = documents.fetch(
        tx,
        site_id,
        {
            comment_documents.SUMMARY: {row.id: row.version for row in page.comments},
            profile_summary.SUMMARY: people,
        },
    )
    known = fetched[profile_summary.SUMMARY]
    parent = comment_documents.ParentLink(itemtypes.HUDDLE, page.id, page.title)
    comments = comment_documents.summaries(
        fetched[comment_documents.SUMMARY], page.comments, known, parent, view.unread, rights
    )
    return dumps(
        {
            "id": page.id,
            "title": page.title,
            "isConfidential": page.is_confidential,
            "participants": json_fragments.raw(_people(known, page.participant_ids)),
            "comments": json_fragments.raw(comments_page(comments)),
            "meta": {
                "created": json_fragments.format_time(page.created),
                "createdBy": profile_summary.person(known, page.author_id),
                "flags": {
                    **profile_summary.relation(
                        viewer.send_email, viewer.send_sms, is_ignored=is_ignored
                    ),
                    **viewer.flags,
                },
                "links": [{"rel": "self", "href": itemtypes.href(itemtypes.HUDDLE, page.id)}],
                "permissions": json_fragments.raw(permissions),
            },
        }
    )


def _people(people: dict[int, Fragment], ids: Sequence[int]) -> bytes:
    return b"[%b]" % b",".join([people[id][0] for id in ids if id in people])


# ---------------------------------------------------------------- one's own huddles

# The huddles of `me`, without ignored ones and those begun by somebody whom `me` ignores (I-02).
_MINE: Final = f"""
        SELECT i.site_id, i.item_id, i.version, i.title, i.created_by, i.comment_count, i.created, i.last_activity,
               i.last_comment_id, i.last_comment_at, i.last_comment_by, p.profile_id, {read_mark.LATE} AS is_late
          FROM huddle_participants h
          JOIN profiles p ON p.site_id = h.site_id AND p.profile_id = h.profile_id
          JOIN items i ON i.site_id = h.site_id AND i.item_id = h.item_id
          LEFT JOIN read_marks r ON r.site_id = h.site_id AND r.profile_id = h.profile_id
                                AND r.item_type_id = {itemtypes.HUDDLE} AND r.item_id = h.item_id
         WHERE h.site_id = %(site_id)s AND h.profile_id = %(me)s AND NOT i.is_deleted
           AND i.created_by <> ALL(%(ignored_profiles)s::bigint[])
           AND i.item_id <> ALL(%(ignored_items)s::bigint[])"""
# `i` is a row of mine, and the profile `p` of it the reader.
_UNREAD: Final = f"i.is_late AND {read_mark.WRITTEN.replace('p.profile_id', 'i.profile_id')}"

LIST = Query(
    "huddle_page.list",
    f"""
    WITH mine AS MATERIALIZED ({_MINE}),
    wanted AS MATERIALIZED (
        SELECT i.* FROM mine i WHERE NOT %(unread)s::boolean OR ({_UNREAD})),
    page AS MATERIALIZED (
        SELECT i.* FROM wanted i
         ORDER BY i.last_activity DESC, i.item_id DESC
         LIMIT %(limit)s OFFSET %(offset)s)
    SELECT n.total, i.item_id, i.version, i.title, i.created_by, a.version, i.comment_count,
           coalesce(i.last_comment_id, 0), coalesce(i.last_comment_by, 0), coalesce(l.version, 0), people.ids,
           people.versions, {_UNREAD}, i.created, i.last_comment_at
      FROM (SELECT count(*) AS total FROM wanted) n
      LEFT JOIN (page i
            JOIN profiles a ON a.site_id = i.site_id AND a.profile_id = i.created_by
            {PEOPLE.strip()}) ON true
      LEFT JOIN profiles l ON l.site_id = i.site_id AND l.profile_id = i.last_comment_by
     ORDER BY i.last_activity DESC, i.item_id DESC""",
    replica=Replica.ALL,
)


# The huddles of `me` among some ids.
SOME = Query(
    "huddle_page.some",
    f"""
    WITH mine AS MATERIALIZED ({_MINE}
           AND i.item_id = ANY(%(ids)s::bigint[]))
    SELECT i.item_id, i.version, i.title, i.created_by, a.version, i.comment_count,
           coalesce(i.last_comment_id, 0), coalesce(i.last_comment_by, 0), coalesce(l.version, 0), people.ids,
           people.versions, {_UNREAD}, i.created, i.last_comment_at
      FROM mine i
      JOIN profiles a ON a.site_id = i.site_id AND a.profile_id = i.created_by
      {PEOPLE.strip()}
      LEFT JOIN profiles l ON l.site_id = i.site_id AND l.profile_id = i.last_comment_by""",
)


# Some huddles by id, for viewers whose participation is checked elsewhere; without anybody's own state.
BY_IDS = Query(
    "huddle_page.by_ids",
    f"""
    SELECT i.item_id, i.version, i.title, i.created_by, a.version, i.comment_count,
           coalesce(i.last_comment_id, 0), coalesce(i.last_comment_by, 0), coalesce(l.version, 0), people.ids,
           people.versions, NULL::boolean, i.created, i.last_comment_at
      FROM items i
      JOIN profiles a ON a.site_id = i.site_id AND a.profile_id = i.created_by
      {PEOPLE.strip()}
      LEFT JOIN profiles l ON l.site_id = i.site_id AND l.profile_id = i.last_comment_by
     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[]) AND i.item_type_id = {itemtypes.HUDDLE}""",
)


class HuddleRow(NamedTuple):
    """Row of a huddle in a list. `author_version`: that of the author's profile; `comment_count`: number of visible
    comments. `last_id`, `last_by`, `last_by_version`: id of its last comment, id and version of that comment's author,
    0 for none; `last_at`: time of that comment; `participant_ids` and `participant_versions`, of their profiles, are in
    the same order; `is_unread` None: no such flag is shown. The entity tag covers the first twelve fields.
    """

    id: int
    version: int
    title: str
    author_id: int
    author_version: int
    comment_count: int
    last_id: int  # of the last comment; 0 without one
    last_by: int
    last_by_version: int
    participant_ids: list[int]
    participant_versions: list[int]
    is_unread: bool | None  # None: no flag
    created: datetime.datetime
    last_at: datetime.datetime | None

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Return the fields that cover everything the summary shows, for the entity tag."""
        return self[:12]

    @property
    def people(self) -> dict[int, int]:
        """Return the versions of all profiles that the summary shows, by profile id."""
        versions = dict(zip(self.participant_ids, self.participant_versions, strict=True))
        versions[self.author_id] = self.author_version
        if self.last_id:
            versions[self.last_by] = self.last_by_version
        return versions


def own(
    tx: Reader,
    site_id: int,
    me: int,
    ignored_profiles: Sequence[int],
    ignored_items: Sequence[int],
    at: Paging,
    *,
    unread: bool,
) -> tuple[int, list[HuddleRow]]:
    """Return (number, page): the number of the huddles in which the profile `me` participates, and the page `at` of
    them, last activity first. Both leave out huddles in `ignored_items`, those begun by `ignored_profiles`, and with
    `unread` those that are read.
    """
    rows = tx.rows(
        LIST,
        site_id=site_id,
        me=me,
        ignored_profiles=ignored_profiles,
        ignored_items=ignored_items,
        unread=unread,
        limit=at.limit,
        offset=at.offset,
    )
    return rows[0][0], [HuddleRow(*row[1:]) for row in rows if row[1] is not None]


def summaries(
    tx: Reader, documents: Documents, site_id: int, huddles: Sequence[HuddleRow]
) -> bytes:
    """Render huddles as a JSON array of summaries (content 8.4), in the order of `huddles`."""
    versions: dict[int, int] = {}
    for row in huddles:
        versions |= row.people
    people = documents.fetch(tx, site_id, {profile_summary.SUMMARY: versions})[
        profile_summary.SUMMARY
    ]
    return b"[%b]" % b",".join([summary(row, people) for row in huddles])


def some(
    tx: Reader,
    site_id: int,
    me: int,
    ignored_profiles: Sequence[int],
    ignored_items: Sequence[int],
    ids: Sequence[int],
) -> dict[int, HuddleRow]:
    """Return rows of those huddles in `ids` that `own` would list for the same viewer, read or unread, by huddle id."""
    rows = tx.rows(
        SOME,
        site_id=site_id,
        me=me,
        ignored_profiles=ignored_profiles,
        ignored_items=ignored_items,
        ids=ids,
    )
    return {row[0]: HuddleRow(*row) for row in rows}


def by_ids(tx: Reader, documents: Documents, site_id: int, ids: Sequence[int]) -> dict[int, bytes]:
    """Return summaries of huddles as JSON, by huddle id, without the flag `unread`; unknown ids are left out. The
    caller checks participation.
    """
    if not ids:
        return {}
    huddles = [HuddleRow(*row) for row in tx.rows(BY_IDS, site_id=site_id, ids=list(ids))]
    versions: dict[int, int] = {}
    for row in huddles:
        versions |= row.people
    people = documents.fetch(tx, site_id, {profile_summary.SUMMARY: versions})[
        profile_summary.SUMMARY
    ]
    return {row.id: summary(row, people) for row in huddles}


def summary(row: HuddleRow, people: dict[int, Fragment]) -> bytes:
    """Render the summary of a huddle as JSON (content 8.4). `people`: documents of all profiles in `row.people`."""
    data: dict[str, Any] = {
        "id": row.id,
        "title": row.title,
        "totalComments": row.comment_count,
        "participants": json_fragments.raw(_people(people, row.participant_ids)),
    }
    if row.last_id and row.last_at is not None:
        data["lastCommentId"] = row.last_id
        data["lastCommentCreatedBy"] = profile_summary.person(people, row.last_by)
        data["lastCommentCreated"] = json_fragments.format_time(row.last_at)
    data["meta"] = {
        "created": json_fragments.format_time(row.created),
        "createdBy": profile_summary.person(people, row.author_id),
        "flags": {} if row.is_unread is None else {"unread": row.is_unread},
        "links": [{"rel": "self", "href": itemtypes.href(itemtypes.HUDDLE, row.id)}],
    }
    return dumps(data)


# ---------------------------------------------------------------- participants

# At least one row for the huddle, if the caller participates.
PARTICIPANTS = Query(
    "huddle_page.participants",
    """
    SELECT i.version, i.created_by,
           (SELECT count(*) FROM huddle_participants n WHERE n.site_id = i.site_id AND n.item_id = i.item_id),
           p.profile_id, p.version
      FROM huddle_participants me
      JOIN items i ON i.site_id = me.site_id AND i.item_id = me.item_id
      LEFT JOIN LATERAL (
            SELECT p.profile_id, p.version
              FROM huddle_participants h
              JOIN profiles p ON p.site_id = h.site_id AND p.profile_id = h.profile_id
             WHERE h.site_id = me.site_id AND h.item_id = me.item_id
               AND (%(one)s::bigint IS NULL OR h.profile_id = %(one)s::bigint)
             ORDER BY h.profile_id
             LIMIT %(limit)s OFFSET %(offset)s) p ON true
     WHERE me.site_id = %(site_id)s AND me.item_id = %(item_id)s AND me.profile_id = %(me)s
     ORDER BY p.profile_id""",
)


class Participants(NamedTuple):
    """Page of the participants of a huddle: `versions` of their profiles by id, ascending; `total`: number of all
    participants; `version`: that of the huddle; `author_id`: profile that began the huddle.
    """

    huddle_id: int
    version: int
    author_id: int
    total: int
    versions: dict[int, int]

    @property
    def target(self) -> Target:
        """Return the huddle as a target of permissions, for the evaluator; permissions on the list of participants are
        those on the huddle.
        """
        return Target(itemtypes.HUDDLE, self.huddle_id, 0, (self.author_id,), is_participant=True)


def participants(
    tx: Reader, site_id: int, id: int, me: int, at: Paging, *, one: int | None = None
) -> Participants | None:
    """Read the page `at` of a huddle's participants, or of them only the profile `one`, which the first page holds.

    None if the huddle doesn't exist, or the profile `me` does not participate in it. If `one` does not participate,
    `versions` is empty and `total` still counts all.
    """
    rows: list[Row] = tx.rows(
        PARTICIPANTS,
        site_id=site_id,
        item_id=id,
        me=me,
        one=one,
        limit=at.limit,
        offset=at.offset,
    )
    if not rows:
        return None
    version, author_id, total = rows[0][:3]
    versions = {row[3]: row[4] for row in rows if row[3] is not None}
    return Participants(id, version, author_id, total, versions)


def participant_documents(
    tx: Reader, documents: Documents, site_id: int, versions: dict[int, int]
) -> list[bytes]:
    """Render `{"id", "participant"}` as JSON (content 8.6) for each profile in `versions`, in its order. `versions`:
    version of the profile by its id; a profile whose document is gone is left out.
    """
    people = documents.fetch(tx, site_id, {profile_summary.SUMMARY: versions})[
        profile_summary.SUMMARY
    ]
    return [b'{"id":%d,"participant":%b}' % (id, people[id][0]) for id in versions if id in people]

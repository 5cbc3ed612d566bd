"""Pages of huddles: one with its comments, the reader's list, participants (content 8).

Every statement finds a huddle by the caller's own participation, so that for anybody else it is not there at all.
huddle.py writes them.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import (
    Query,
    Reader,
    Replica,
    Row,
    Transaction,
)
from forumapi.models.content import comment_page, item_page
from forumapi.models.content.comment_page import Stub
from forumapi.models.content.item_page import Viewer
from forumapi.models.pages import page_cache
from forumapi.models.pages.documents import Documents
from forumapi.models.pages.page_cache import Kept, Pages
from forumapi.models.people import profile, read_mark
from forumapi.permissions.evaluator import Target
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, dumps
from forumapi.wire.paging import Paging

# The participants of a huddle `i`, by id, with the versions of their documents.
PEOPLE: Final = """
      CROSS JOIN LATERAL (
            SELECT array_agg(h.profile_id ORDER BY h.profile_id) AS ids,
                   array_agg(p.version ORDER BY h.profile_id) AS versions
              FROM huddle_participants h
              JOIN profiles p ON p.site_id = h.site_id AND p.profile_id = h.profile_id
             WHERE h.site_id = i.site_id AND h.item_id = i.item_id) people"""

# ---------------------------------------------------------------- one huddle

# Columns of the huddle that the page statement returns on every row: those for the entity tag, then what only the
# viewer sees (as in VIEWER), then the snapshot.
_PARENT: Final = f"""
           i.item_id, i.version, i.title, i.is_confidential, i.created_by, ia.version, i.total, people.ids,
           people.versions, i.created, i.last_activity,
           nullif(i.read_time, '-infinity'), w.send_email, w.send_sms, {page_cache.SNAPSHOT},
           CASE WHEN c.reactions IS NOT NULL THEN
                ARRAY(SELECT r.name FROM reactions r
                       WHERE r.site_id = c.site_id AND r.item_type_id = 4 AND r.item_id = c.comment_id
                         AND r.profile_id = %(me)s ORDER BY r.name) END"""
_PARENT_STAMPED: Final = 9
_PARENT_SHARED: Final = 11

_WATCHED: Final = """
      LEFT JOIN watchers w ON w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = 5
                          AND w.item_id = i.item_id"""

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
    SELECT {comment_page.COLUMNS.format(unread="false")}, c.created, {_PARENT}
      FROM one i
      JOIN profiles ia ON ia.site_id = i.site_id AND ia.profile_id = i.created_by
      {_WATCHED.strip()}
      {PEOPLE.strip()}
      LEFT JOIN picked ON true
      LEFT JOIN LATERAL (
            SELECT c.* FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = %(item_id)s AND c.seq = picked.seq LIMIT 1) c ON true
      LEFT {comment_page.JOINS.lstrip()}
     ORDER BY c.seq""",
)

# Whether the page that is kept for the viewer is still right, and what only they see of it; no row for whoever is not
# in the huddle, whatever is kept.
VIEWER = Query(
    "huddle_page.viewer",
    f"""
    SELECT {page_cache.IS_CURRENT}, {page_cache.SNAPSHOT}, nullif({item_page.READ_TIME}, '-infinity'), w.send_email,
    w.send_sms
      FROM (SELECT 5::smallint AS item_type_id, me.item_id, NULL::bigint AS microcosm_id
              FROM huddle_participants me
             WHERE me.site_id = %(site_id)s AND me.item_id = %(item_id)s AND me.profile_id = %(me)s) i
      {_WATCHED.strip()}""",
)


class HuddlePage(NamedTuple):
    """A huddle with one page of its comments, as a participant sees it; kept for that participant alone."""

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
    comments: list[Stub]
    times: list[datetime.datetime]  # when each of them was written
    reacted: dict[int, list[str]]  # to which of them the viewer did, and how
    stamp: bytes

    @property
    def target(self) -> Target:
        """What its permission is asked for."""
        return Target(itemtypes.HUDDLE, self.id, 0, (self.author_id,), is_participant=True)


class Seen(NamedTuple):
    """A huddle's page with what its viewer sees of it now."""

    page: HuddlePage
    viewer: Viewer  # never kept

    @property
    def is_unread(self) -> bool:
        """Whether anything happened in it that was not read yet."""
        return self.viewer.has_unread(self.page.last_activity)

    @property
    def unread(self) -> list[bool]:
        """Whether each of the comments is unread."""
        return [self.viewer.has_unread(moment) for moment in self.page.times]

    @property
    def stamp(self) -> Any:
        """Everything that the bytes depend on, but for permission and address."""
        _, *shown = self.viewer
        return (self.page.stamp, self.unread, *shown)


def page(
    pages: Pages, tx: Reader, site_id: int, id: int, me: int, ignored: Sequence[int], at: Paging
) -> Seen | None:
    """The huddle with the page `at` of its comments; None if `me` is not in it, or there is none."""
    # The viewer is part of the key: what a huddle's page holds is found again by nobody else.
    key = ("huddle", site_id, id, me, tuple(ignored), at.offset, at.limit)
    found: Kept[HuddlePage] | None = pages.get(key)
    if found is not None:
        row = page_cache.ask(tx, VIEWER, found, site_id=site_id, item_id=id, me=me, concerns=id)
        if row is None:
            return None
        if row[0]:
            return Seen(found.value, Viewer._make((*row[2:], None, None)))
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
    *parent, snapshot, _ = rows[0][comment_page.WIDTH + 1 :]
    shown = [row for row in rows if row[0] is not None]
    stubs = [Stub(*row[: comment_page.WIDTH]) for row in shown]
    times = [row[comment_page.WIDTH] for row in shown]
    reacted = {row[0]: row[-1] for row in shown if row[-1]}
    covered = (parent[:_PARENT_STAMPED], [tuple(stub) for stub in stubs])
    fresh = HuddlePage._make(
        (*parent[:_PARENT_SHARED], stubs, times, reacted, page_cache.digest(covered))
    )
    pages.keep(key, Kept(snapshot, fresh))
    return Seen(fresh, Viewer._make((*parent[_PARENT_SHARED:], None, None)))


def mark_read(tx: Transaction, site_id: int, seen: Seen, me: int, at: Paging) -> None:
    """Move the reader's mark to what the page showed, and count their unread huddles anew (discovery 7.4).

    A mark that would not move is not written.
    """
    found = seen.page
    if at.offset + at.limit >= found.total:
        tx.run(
            item_page.MARK_ALL,
            site_id=site_id,
            me=me,
            item_type=itemtypes.HUDDLE,
            item_id=found.id,
            read_at=found.last_activity,
        )
        read_mark.count_huddles(tx, site_id, [me])
    elif found.comments and seen.viewer.has_unread(found.times[-1]):
        mark_read_to(tx, site_id, found.id, me, found.comments[-1].id)


def mark_read_to(tx: Transaction, site_id: int, id: int, me: int, comment_id: int) -> None:
    """Move the reader's mark to one of the huddle's comments, and count their unread huddles anew."""
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
    seen: Seen,
    comments_page: Any,
    permissions: bytes,
    *,
    is_ignored: bool,
    own: comment_page.Own | None,
) -> bytes:
    """The huddle as its participants see it (content 8.4). `comments_page(items)` wraps the comments."""
    found, viewer = seen
    people = comment_page.profiles_of(found.comments)
    people.update(zip(found.participant_ids, found.participant_versions, strict=True))
    people[found.author_id] = found.author_version
    fetched = documents.fetch(
        tx,
        site_id,
        {
            comment_page.SUMMARY: {stub.id: stub.version for stub in found.comments},
            profile.SUMMARY: people,
        },
    )
    known = fetched[profile.SUMMARY]
    parent = comment_page.Parent(itemtypes.HUDDLE, found.id, found.title)
    comments = comment_page.summaries(
        fetched[comment_page.SUMMARY], found.comments, known, parent, seen.unread, own
    )
    return dumps(
        {
            "id": found.id,
            "title": found.title,
            "isConfidential": found.is_confidential,
            "participants": json_fragments.raw(_people(known, found.participant_ids)),
            "comments": json_fragments.raw(comments_page(comments)),
            "meta": {
                "created": json_fragments.when(found.created),
                "createdBy": _person(known, found.author_id),
                "flags": profile.relation(
                    viewer.send_email, viewer.send_sms, is_ignored=is_ignored
                ),
                "links": [{"rel": "self", "href": itemtypes.href(itemtypes.HUDDLE, found.id)}],
                "permissions": json_fragments.raw(permissions),
            },
        }
    )


def _person(people: dict[int, Fragment], id: int) -> Any:
    found = people.get(id)
    return json_fragments.raw(found[0]) if found else None


def _people(people: dict[int, Fragment], ids: Sequence[int]) -> bytes:
    return b"[%b]" % b",".join([people[id][0] for id in ids if id in people])


# ---------------------------------------------------------------- one's own huddles

# What somebody has of huddles: those begun by people they ignore, and ignored ones, are left out (I-02).
_MINE: Final = f"""
        SELECT i.site_id, i.item_id, i.version, i.title, i.created_by, i.comment_count, i.created, i.last_activity,
               i.last_comment_id, i.last_comment_at, i.last_comment_by, p.profile_id, {read_mark.LATE} AS is_late
          FROM huddle_participants h
          JOIN profiles p ON p.site_id = h.site_id AND p.profile_id = h.profile_id
          JOIN items i ON i.site_id = h.site_id AND i.item_id = h.item_id
          LEFT JOIN read_marks r ON r.site_id = h.site_id AND r.profile_id = h.profile_id AND r.item_type_id = 5
                                AND r.item_id = h.item_id
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


# Some of them, whose ids are known.
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


# Some of them, for those who were found to be in them; nobody's own part is asked for.
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
     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[]) AND i.item_type_id = 5""",
)


class Entry(NamedTuple):
    """A huddle of the list; its first fields are what the entity tag covers."""

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
    is_unread: bool | None  # None: not said
    created: datetime.datetime
    last_at: datetime.datetime | None

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Plain data that the summary depends on."""
        return self[:12]

    @property
    def people(self) -> dict[int, int]:
        """id -> version of everybody whom the summary shows."""
        found = dict(zip(self.participant_ids, self.participant_versions, strict=True))
        found[self.author_id] = self.author_version
        if self.last_id:
            found[self.last_by] = self.last_by_version
        return found


def own(
    tx: Reader,
    site_id: int,
    me: int,
    ignored_profiles: Sequence[int],
    ignored_items: Sequence[int],
    at: Paging,
    *,
    unread: bool,
) -> tuple[int, list[Entry]]:
    """(how many, the page `at`) of the huddles of `me`, last activity first; with `unread` only unread ones."""
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
    return rows[0][0], [Entry(*row[1:]) for row in rows if row[1] is not None]


def summaries(tx: Reader, documents: Documents, site_id: int, entries: Sequence[Entry]) -> bytes:
    """The JSON array of some huddles as lists show them (content 8.4)."""
    versions: dict[int, int] = {}
    for entry in entries:
        versions |= entry.people
    people = documents.fetch(tx, site_id, {profile.SUMMARY: versions})[profile.SUMMARY]
    return b"[%b]" % b",".join([summary(entry, people) for entry in entries])


def some(
    tx: Reader,
    site_id: int,
    me: int,
    ignored_profiles: Sequence[int],
    ignored_items: Sequence[int],
    ids: Sequence[int],
) -> dict[int, Entry]:
    """Those of some huddles that `me` is in and does not ignore, by id."""
    rows = tx.rows(
        SOME,
        site_id=site_id,
        me=me,
        ignored_profiles=ignored_profiles,
        ignored_items=ignored_items,
        ids=ids,
    )
    return {row[0]: Entry(*row) for row in rows}


def by_ids(tx: Reader, documents: Documents, site_id: int, ids: Sequence[int]) -> dict[int, bytes]:
    """Read huddles by id as lists show them, without `unread`. Who is in them is asked by whoever shows them."""
    if not ids:
        return {}
    entries = [Entry(*row) for row in tx.rows(BY_IDS, site_id=site_id, ids=list(ids))]
    versions: dict[int, int] = {}
    for entry in entries:
        versions |= entry.people
    people = documents.fetch(tx, site_id, {profile.SUMMARY: versions})[profile.SUMMARY]
    return {entry.id: summary(entry, people) for entry in entries}


def summary(entry: Entry, people: dict[int, Fragment]) -> bytes:
    """A huddle as lists show it (content 8.4). `people` holds everybody of `entry.people`."""
    data: dict[str, Any] = {
        "id": entry.id,
        "title": entry.title,
        "totalComments": entry.comment_count,
        "participants": json_fragments.raw(_people(people, entry.participant_ids)),
    }
    if entry.last_id and entry.last_at is not None:
        data["lastCommentId"] = entry.last_id
        data["lastCommentCreatedBy"] = _person(people, entry.last_by)
        data["lastCommentCreated"] = json_fragments.when(entry.last_at)
    data["meta"] = {
        "created": json_fragments.when(entry.created),
        "createdBy": _person(people, entry.author_id),
        "flags": {} if entry.is_unread is None else {"unread": entry.is_unread},
        "links": [{"rel": "self", "href": itemtypes.href(itemtypes.HUDDLE, entry.id)}],
    }
    return dumps(data)


# ---------------------------------------------------------------- participants

# One row for the huddle at least, if the caller is in it.
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
    """Some participants of a huddle: versions by id, in order of ids; `total` counts all of them."""

    huddle_id: int
    version: int
    author_id: int
    total: int
    versions: dict[int, int]

    @property
    def target(self) -> Target:
        """What permission is asked for: that of the huddle."""
        return Target(itemtypes.HUDDLE, self.huddle_id, 0, (self.author_id,), is_participant=True)


def participants(
    tx: Reader, site_id: int, id: int, me: int, at: Paging, *, one: int | None = None
) -> Participants | None:
    """The page `at` of a huddle's participants, or the `one`; None if `me` is not in it, or there is none."""
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
    """`{"id", "participant"}` of each (content 8.6)."""
    people = documents.fetch(tx, site_id, {profile.SUMMARY: versions})[profile.SUMMARY]
    return [b'{"id":%d,"participant":%b}' % (id, people[id][0]) for id in versions if id in people]

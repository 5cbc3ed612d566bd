"""Moderation queue: items and comments with the flag `moderated` that are not deleted, as a moderator reads them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.errors import Invalid
from forumapi.models.content import comment_documents
from forumapi.models.microcosms import microcosm_links
from forumapi.models.pages.document_reader import Documents
from forumapi.models.people import profile_summary
from forumapi.permissions.evaluator import Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import dumps

# Types that can be in the queue, in the order that `counts` shows.
KINDS: Final = (
    itemtypes.COMMENT,
    itemtypes.CONVERSATION,
    itemtypes.EVENT,
    itemtypes.POLL,
)

# Huddles have no microcosm, so they and their comments are never in the queue. `after` is the last entry seen.
QUEUE = Query(
    "moderation_queue.queue",
    f"""
    WITH waiting AS MATERIALIZED (
        SELECT i.site_id, i.item_type_id AS kind, i.item_id AS id, i.created, i.created_by, i.title, i.microcosm_id
          FROM items i
         WHERE i.site_id = %(site_id)s AND i.is_moderated AND NOT i.is_deleted
           AND i.microcosm_id = ANY(%(moderated)s::bigint[]) AND i.item_type_id = ANY(%(shown)s::smallint[])
         UNION ALL
        SELECT c.site_id, {itemtypes.COMMENT}::smallint, c.comment_id, c.created, c.created_by, i.title, i.microcosm_id
          FROM comments c
          JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id AND NOT i.is_deleted
         WHERE c.site_id = %(site_id)s AND c.is_moderated AND NOT c.is_deleted
           AND i.microcosm_id = ANY(%(moderated)s::bigint[]) AND i.item_type_id = ANY(%(shown)s::smallint[])
           AND {itemtypes.COMMENT} = ANY(%(shown)s::smallint[])
         UNION ALL
        SELECT c.site_id, {itemtypes.COMMENT}::smallint, c.comment_id, c.created, c.created_by, p.profile_name, 0
          FROM comments c
          JOIN profiles p ON p.site_id = c.site_id AND p.profile_id = c.on_profile_id
         WHERE %(on_profiles)s::boolean AND c.site_id = %(site_id)s AND c.is_moderated AND NOT c.is_deleted),
    page AS (
        SELECT w.* FROM waiting w
         WHERE %(after)s::timestamptz IS NULL
            OR (w.created, w.kind, w.id) > (%(after)s::timestamptz, %(after_kind)s::smallint, %(after_id)s::bigint)
         ORDER BY w.created, w.kind, w.id
         LIMIT %(limit)s)
    SELECT n.counts, w.kind, w.id, w.created, w.created_by, a.version, w.title, w.microcosm_id
      FROM (SELECT ARRAY(SELECT (SELECT count(*) FROM waiting o WHERE o.kind = k.kind)
                           FROM unnest(%(kinds)s::smallint[]) WITH ORDINALITY AS k (kind, place)
                          ORDER BY k.place) AS counts) n
      LEFT JOIN (page w JOIN profiles a ON a.site_id = w.site_id AND a.profile_id = w.created_by) ON true
     ORDER BY w.created, w.kind, w.id""",
)

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_CURSOR: Final = re.compile(r"(\d{1,18})-(\d{1,2})-(\d{1,18})", re.ASCII)
_LAST_US: Final = 253_402_300_799_999_999  # the end of the year 9999


class Cursor(NamedTuple):
    """Position in the queue, right after an entry: the entry's time, type and id."""

    created: datetime.datetime
    kind: int
    id: int

    @classmethod
    def read(cls, text: str) -> Cursor | None:
        """Parse the cursor that a client sends back; None for "". Raises Invalid for a text that is no cursor."""
        if not text:
            return None
        match = _CURSOR.fullmatch(text)
        if match is None or int(match[1]) > _LAST_US:
            raise Invalid("after", "must be taken from the link `next`")
        created = _EPOCH + datetime.timedelta(microseconds=int(match[1]))
        return cls(created, int(match[2]), int(match[3]))

    @property
    def text(self) -> str:
        """Return the cursor as a text, which clients send back and `read` parses."""
        return (
            f"{(self.created - _EPOCH) // datetime.timedelta(microseconds=1)}-{self.kind}-{self.id}"
        )


class QueueEntry(NamedTuple):
    """Item or comment in the queue. `kind`: its type; `author_version`: that of the author's profile; `title`: that of
    the item, of the comment's item, or the name of the comment's profile, HTML-escaped; `microcosm_id` 0: a comment on
    a profile.
    """

    kind: int
    id: int
    created: datetime.datetime
    author_id: int
    author_version: int
    title: str
    microcosm_id: int

    @property
    def cursor(self) -> Cursor:
        """Return the position right after this entry."""
        return Cursor(self.created, self.kind, self.id)


class ModerationQueue(NamedTuple):
    """Page of the queue of moderated items and comments that are not deleted, oldest first. `counts`: numbers of
    entries of the whole queue by type, each of KINDS; `next`: cursor of the next page, None on the last.
    """

    counts: dict[int, int]
    entries: list[QueueEntry]
    next: Cursor | None


def queue(
    tx: Reader,
    site_id: int,
    moderated: Sequence[int],
    limit: int,
    after: Cursor | None,
    *,
    on_profiles: bool,
    shown: Collection[int],
) -> ModerationQueue:
    """Read up to `limit` moderated items and comments that are not deleted, oldest first, after the cursor `after`
    (None: from the beginning), in the microcosms with the ids `moderated`, and on profiles if `on_profiles`; comments
    on deleted items are left out.

    `shown`: types that may be shown; for a comment the type of its item or profile must be among them too.
    """
    rows = tx.rows(
        QUEUE,
        site_id=site_id,
        moderated=moderated,
        on_profiles=on_profiles and {itemtypes.COMMENT, itemtypes.PROFILE} <= set(shown),
        shown=sorted(shown),
        kinds=KINDS,
        after=after.created if after else None,
        after_kind=after.kind if after else 0,
        after_id=after.id if after else 0,
        limit=limit + 1,
    )
    counts = dict(zip(KINDS, rows[0][0], strict=True))
    entries = [QueueEntry(*row[1:]) for row in rows if row[1] is not None]
    has_more = len(entries) > limit
    entries = entries[:limit]
    return ModerationQueue(counts, entries, entries[-1].cursor if has_more else None)


def documents(
    tx: Reader,
    cache: Documents,
    site_id: int,
    found: ModerationQueue,
    tree: Tree,
    view: ReadableMicrocosms,
) -> bytes:
    """Render the entries of the page `found` as a JSON array, in its order; an entry that is gone meanwhile is left
    out. `view`: microcosms of `tree` that the moderator may list.
    """
    ids = [one.id for one in found.entries if one.kind == itemtypes.COMMENT]
    comments = comment_documents.by_ids(tx, cache, site_id, ids)
    versions = {one.author_id: one.author_version for one in found.entries}
    people = cache.fetch(tx, site_id, {profile_summary.SUMMARY: versions})[profile_summary.SUMMARY]
    made = []
    for one in found.entries:
        if one.author_id not in people:
            continue
        data: dict[str, Any] = {
            "itemType": itemtypes.name_of(one.kind),
            "itemId": one.id,
            "title": one.title,
        }
        if one.microcosm_id:
            data["microcosmId"] = one.microcosm_id
        if one.kind == itemtypes.COMMENT:
            if one.id not in comments:
                continue
            data["comment"] = json_fragments.raw(comments[one.id])
        links: list[Any] = [{"rel": "self", "href": itemtypes.href(one.kind, one.id)}]
        if one.microcosm_id:
            links.append(
                json_fragments.raw(microcosm_links.microcosm_link(tree, view, one.microcosm_id))
            )
        data["meta"] = {
            "created": json_fragments.format_time(one.created),
            "createdBy": json_fragments.raw(people[one.author_id][0]),
            "links": links,
        }
        made.append(dumps(data))
    return b"[%b]" % b",".join(made)

"""Removal of an import, but for what others have used since.

What others have used (`touched`) is listed, and stays: a conversation in which somebody has written, edited, voted or
put themselves down stays whole, with its microcosm and its authors. The caller decides if the untouched rest is removed
then. Batches are transactions of their own, so that the same command continues after a break.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from psycopg import errors as pgerrors

from forumapi import itemtypes
from forumapi.database.connections import Database, Reader, Transaction
from forumapi.database.query import Query
from forumapi.porting.loading import counters
from forumapi.porting.loading.imported_ids import Origin
from forumapi.porting.loading.people import ImportedPeople

_ITEM_TYPES: Final = (
    f"{itemtypes.CONVERSATION}, {itemtypes.EVENT}, {itemtypes.POLL}, {itemtypes.HUDDLE}"
)
# SQL: comment `c` did not come with the import.
_OF_OTHERS: Final = f"""
    NOT EXISTS (SELECT FROM imported_items n
                 WHERE n.site_id = %(site_id)s AND n.origin_id = %(origin_id)s AND n.item_id = c.comment_id
                   AND n.item_type_id = {itemtypes.COMMENT})
    AND NOT EXISTS (SELECT FROM imported_items n
                     WHERE n.site_id = %(site_id)s AND n.origin_id = %(origin_id)s AND n.item_id = c.item_id
                       AND n.item_type_id = {itemtypes.HUDDLE} AND n.detail = c.comment_id::text)"""

# SQL: comment `c`, which came with the import, has more revisions than the import wrote. Notes of what was written are
# those of comments.written_note.
_EDITED: Final = f"""
    EXISTS (SELECT FROM imported_items n
             WHERE n.site_id = %(site_id)s AND n.origin_id = %(origin_id)s AND n.item_id = c.comment_id
               AND n.item_type_id = {itemtypes.COMMENT} AND c.revisions > split_part(n.written, ' ', 1)::int)"""
# SQL: profile `p` is of somebody who is here, and not of a stand-in for one of the old forum's people.
_IS_HERE: Final = """
    NOT EXISTS (SELECT FROM users u WHERE u.user_id = p.user_id AND u.person_key LIKE 'imported:%%')"""
# SQL: since the import `o` began, somebody who is here has edited item `i`, cast ballot `b`, answered event `a`.
_ITEM_EDITED: Final = f"""
    i.edited > o.created
    AND EXISTS (SELECT FROM profiles p
                 WHERE p.site_id = i.site_id AND p.profile_id = i.edited_by AND {_IS_HERE})"""
_BALLOT_CAST: Final = """
    b.cast_at > o.created
    AND NOT EXISTS (SELECT FROM users u WHERE u.user_id = b.user_id AND u.person_key LIKE 'imported:%%')"""
_ANSWERED: Final = f"""
    a.rsvpd_on > o.created
    AND EXISTS (SELECT FROM profiles p
                 WHERE p.site_id = a.site_id AND p.profile_id = a.profile_id AND {_IS_HERE})"""

TOUCHED = Query(
    "undoing.touched",
    f"""
    SELECT 'comment' AS kind, c.comment_id AS id, h.item_type_id::int, h.item_id, c.created AS at
      FROM imported_items h
      JOIN comments c ON c.site_id = h.site_id AND c.item_id = h.item_id
     WHERE h.site_id = %(site_id)s AND h.origin_id = %(origin_id)s AND h.item_type_id IN ({_ITEM_TYPES})
       AND coalesce(h.detail, '') <> 'alias' AND {_OF_OTHERS}
     UNION
    SELECT 'comment', c.comment_id, h.item_type_id::int, h.item_id, c.created
      FROM imported_items h
      JOIN comments c ON c.site_id = h.site_id AND c.on_profile_id = h.item_id
     WHERE h.site_id = %(site_id)s AND h.origin_id = %(origin_id)s AND h.item_type_id = {itemtypes.PROFILE}
       AND {_OF_OTHERS}
     UNION
    SELECT 'edit', c.comment_id, h.item_type_id::int, h.item_id, c.edited
      FROM imported_items h
      JOIN comments c ON c.site_id = h.site_id AND c.item_id = h.item_id
     WHERE h.site_id = %(site_id)s AND h.origin_id = %(origin_id)s AND h.item_type_id IN ({_ITEM_TYPES})
       AND {_EDITED}
     UNION
    SELECT 'edit', i.item_id, h.item_type_id::int, h.item_id, i.edited
      FROM imported_items h
      JOIN import_origins o ON o.site_id = h.site_id AND o.origin_id = h.origin_id
      JOIN items i ON i.site_id = h.site_id AND i.item_id = h.item_id
     WHERE h.site_id = %(site_id)s AND h.origin_id = %(origin_id)s AND h.item_type_id IN ({_ITEM_TYPES})
       AND {_ITEM_EDITED}
     UNION
    SELECT 'ballots', h.item_id, h.item_type_id::int, h.item_id, max(b.cast_at)
      FROM imported_items h
      JOIN import_origins o ON o.site_id = h.site_id AND o.origin_id = h.origin_id
      JOIN poll_ballots b ON b.site_id = h.site_id AND b.item_id = h.item_id
     WHERE h.site_id = %(site_id)s AND h.origin_id = %(origin_id)s AND h.item_type_id = {itemtypes.POLL}
       AND {_BALLOT_CAST}
     GROUP BY h.item_id, h.item_type_id
     UNION
    SELECT 'attendee', a.profile_id, h.item_type_id::int, h.item_id, a.rsvpd_on
      FROM imported_items h
      JOIN import_origins o ON o.site_id = h.site_id AND o.origin_id = h.origin_id
      JOIN attendees a ON a.site_id = h.site_id AND a.item_id = h.item_id
     WHERE h.site_id = %(site_id)s AND h.origin_id = %(origin_id)s AND h.item_type_id = {itemtypes.EVENT}
       AND {_ANSWERED}
     UNION
    SELECT t.name, i.item_id, h.item_type_id::int, h.item_id, i.created
      FROM imported_items h
      JOIN items i ON i.site_id = h.site_id AND i.microcosm_id = h.item_id
      JOIN item_types t ON t.item_type_id = i.item_type_id
     WHERE h.site_id = %(site_id)s AND h.origin_id = %(origin_id)s AND h.item_type_id = {itemtypes.MICROCOSM}
       AND NOT EXISTS (SELECT FROM imported_items n
                        WHERE n.site_id = h.site_id AND n.origin_id = h.origin_id
                          AND n.item_type_id = i.item_type_id AND n.item_id = i.item_id)
     UNION
    SELECT 'microcosm', m.microcosm_id, h.item_type_id::int, h.item_id, m.created
      FROM imported_items h
      JOIN microcosms m ON m.site_id = h.site_id AND m.parent_id = h.item_id
     WHERE h.site_id = %(site_id)s AND h.origin_id = %(origin_id)s AND h.item_type_id = {itemtypes.MICROCOSM}
       AND NOT EXISTS (SELECT FROM imported_items n
                        WHERE n.site_id = h.site_id AND n.origin_id = h.origin_id
                          AND n.item_type_id = {itemtypes.MICROCOSM} AND n.item_id = m.microcosm_id)
     UNION
    SELECT 'claim', p.profile_id, h.item_type_id::int, h.item_id, NULL
      FROM imported_items h
      JOIN profiles p ON p.site_id = h.site_id AND p.profile_id = h.item_id
      JOIN users u ON u.user_id = p.user_id
     WHERE h.site_id = %(site_id)s AND h.origin_id = %(origin_id)s AND h.item_type_id = {itemtypes.PROFILE}
       AND u.person_key NOT LIKE 'imported:%%'
     ORDER BY at NULLS FIRST, kind, id""",
    unrestricted="for the operator who removes the import; no text is shown",
)
NEXT_ITEMS = Query(
    "undoing.next_items",
    f"""
    SELECT DISTINCT h.item_id
      FROM imported_items h
      JOIN import_origins o ON o.site_id = h.site_id AND o.origin_id = h.origin_id
     WHERE h.site_id = %(site_id)s AND h.origin_id = %(origin_id)s AND h.item_type_id IN ({_ITEM_TYPES})
       AND h.item_id > %(after)s
       AND NOT EXISTS (SELECT FROM comments c
                        WHERE c.site_id = h.site_id AND c.item_id = h.item_id AND ({_OF_OTHERS} OR {_EDITED}))
       AND NOT EXISTS (SELECT FROM items i
                        WHERE i.site_id = h.site_id AND i.item_id = h.item_id AND {_ITEM_EDITED})
       AND NOT EXISTS (SELECT FROM poll_ballots b
                        WHERE b.site_id = h.site_id AND b.item_id = h.item_id AND {_BALLOT_CAST})
       AND NOT EXISTS (SELECT FROM attendees a
                        WHERE a.site_id = h.site_id AND a.item_id = h.item_id AND {_ANSWERED})
     ORDER BY h.item_id
     LIMIT %(limit)s""",
    unrestricted="for the operator who removes the import",
)
LOCK_ITEMS = Query(
    "undoing.lock_items",
    """
    SELECT i.item_id
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[])
     ORDER BY i.item_id
       FOR UPDATE""",
)
COMMENTS_OF = Query(
    "undoing.comments_of",
    """
    SELECT c.comment_id
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.item_id = ANY(%(ids)s::bigint[])""",
)
BIOS_OF = Query(
    "undoing.bios_of",
    f"""
    SELECT c.comment_id
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.on_profile_id = ANY(%(ids)s::bigint[])
       AND EXISTS (SELECT FROM imported_items n
                    WHERE n.site_id = c.site_id AND n.origin_id = %(origin_id)s
                      AND n.item_type_id = {itemtypes.COMMENT} AND n.item_id = c.comment_id)""",
)


def _deletion(name: str, table: str, where: str) -> Query:
    """Return the statement `undoing.<name>`, which deletes the rows of a table that belong to the site `site_id` and
    for which the condition `where` holds. In SQL the table is `t`; the condition reads the parameter `ids`.
    """
    return Query(
        f"undoing.{name}", f"DELETE FROM {table} t WHERE t.site_id = %(site_id)s AND {where}"
    )


_ON_COMMENTS: Final = f"t.item_type_id = {itemtypes.COMMENT} AND t.item_id = ANY(%(ids)s::bigint[])"
_ON_ITEMS: Final = f"t.item_type_id IN ({_ITEM_TYPES}) AND t.item_id = ANY(%(ids)s::bigint[])"
_ON_MICROCOSMS: Final = (
    f"t.item_type_id = {itemtypes.MICROCOSM} AND t.item_id = ANY(%(ids)s::bigint[])"
)
_ON_PEOPLE: Final = f"t.item_type_id = {itemtypes.PROFILE} AND t.item_id = ANY(%(ids)s::bigint[])"
_BY_PEOPLE: Final = "t.profile_id = ANY(%(ids)s::bigint[])"

# The number of attachments of a file is kept in its row.
UNHANG = Query(
    "undoing.unhang",
    """
    WITH gone AS (
        DELETE FROM attachments t
         WHERE t.site_id = %(site_id)s AND t.item_type_id = %(type)s AND t.item_id = ANY(%(ids)s::bigint[])
     RETURNING t.file_hash),
    counted AS (
        SELECT gone.file_hash, count(*) AS times FROM gone GROUP BY gone.file_hash ORDER BY gone.file_hash)
    UPDATE files f
       SET attach_count = greatest(0, f.attach_count - counted.times)
      FROM counted
     WHERE f.file_hash = counted.file_hash""",
)
_COMMENT_PARTS: Final = (
    _deletion("comment_reactions", "reactions", _ON_COMMENTS),
    _deletion("comment_bookmarks", "bookmarks", _ON_COMMENTS),
    _deletion("comment_attributes", "attributes", _ON_COMMENTS),
    _deletion("comment_mentions", "comment_mentions", "t.comment_id = ANY(%(ids)s::bigint[])"),
    _deletion("comment_links", "link_uses", "t.comment_id = ANY(%(ids)s::bigint[])"),
    _deletion("comment_revisions", "comment_revisions", "t.comment_id = ANY(%(ids)s::bigint[])"),
    _deletion("comments", "comments", "t.comment_id = ANY(%(ids)s::bigint[])"),
    _deletion("mapped_comments", "imported_items", _ON_COMMENTS),
)
_BY_ITEM: Final = "t.item_id = ANY(%(ids)s::bigint[])"
_ITEM_PARTS: Final = (
    _deletion("item_reactions", "reactions", _ON_ITEMS),
    _deletion("item_bookmarks", "bookmarks", _ON_ITEMS),
    _deletion("item_attributes", "attributes", _ON_ITEMS),
    _deletion("item_watchers", "watchers", _ON_ITEMS),
    _deletion("item_ignores", "ignores", _ON_ITEMS),
    _deletion("item_marks", "read_marks", _ON_ITEMS),
    _deletion("item_carried", "carried_marks", _BY_ITEM),
    _deletion("item_authors", "item_authors", _BY_ITEM),
    _deletion("item_views", "item_views", _BY_ITEM),
    _deletion("item_scores", "trending_scores", _BY_ITEM),
    _deletion("attendees", "attendees", _BY_ITEM),
    _deletion("events", "events", _BY_ITEM),
    _deletion("ballots", "poll_ballots", _BY_ITEM),
    _deletion("choices", "poll_choices", _BY_ITEM),
    _deletion("polls", "polls", _BY_ITEM),
    _deletion("participants", "huddle_participants", _BY_ITEM),
    _deletion("huddles", "huddles", _BY_ITEM),
    _deletion("items", "items", _BY_ITEM),
    _deletion("mapped_items", "imported_items", _ON_ITEMS),
)
# Microcosms of the import in which nothing stands, and below which none stands.
EMPTY_MICROCOSMS = Query(
    "undoing.empty_microcosms",
    f"""
    SELECT DISTINCT h.item_id
      FROM imported_items h
     WHERE h.site_id = %(site_id)s AND h.origin_id = %(origin_id)s AND h.item_type_id = {itemtypes.MICROCOSM}
       AND NOT EXISTS (SELECT FROM items i WHERE i.site_id = h.site_id AND i.microcosm_id = h.item_id)
       AND NOT EXISTS (SELECT FROM microcosms m WHERE m.site_id = h.site_id AND m.parent_id = h.item_id)
     ORDER BY h.item_id""",
    unrestricted="for the operator who removes the import",
)
ROLES_OF = Query(
    "undoing.roles_of",
    """
    SELECT r.role_id
      FROM roles r
     WHERE r.site_id = %(site_id)s AND r.microcosm_id = ANY(%(ids)s::bigint[])""",
)
_ROLE_PARTS: Final = (
    _deletion("role_profiles", "role_profiles", "t.role_id = ANY(%(ids)s::bigint[])"),
    _deletion("criteria", "criteria", "t.role_id = ANY(%(ids)s::bigint[])"),
    _deletion("settlings", "role_settlings", "t.role_id = ANY(%(ids)s::bigint[])"),
    _deletion("roles", "roles", "t.role_id = ANY(%(ids)s::bigint[])"),
    _deletion(
        "mapped_roles",
        "imported_items",
        f"t.item_type_id = {itemtypes.ROLE} AND t.item_id = ANY(%(ids)s::bigint[])",
    ),
)
_MICROCOSM_PARTS: Final = (
    _deletion("microcosm_watchers", "watchers", _ON_MICROCOSMS),
    _deletion("microcosm_ignores", "ignores", _ON_MICROCOSMS),
    _deletion("microcosm_marks", "read_marks", _ON_MICROCOSMS),
    _deletion("microcosm_attributes", "attributes", _ON_MICROCOSMS),
    _deletion("microcosm_deltas", "microcosm_deltas", "t.microcosm_id = ANY(%(ids)s::bigint[])"),
    _deletion("microcosm_counts", "microcosm_counts", "t.microcosm_id = ANY(%(ids)s::bigint[])"),
    _deletion("microcosms", "microcosms", "t.microcosm_id = ANY(%(ids)s::bigint[])"),
    _deletion("mapped_microcosms", "imported_items", _ON_MICROCOSMS),
)
MOVE_RIGHTS = Query(
    "undoing.move_rights",
    """
    UPDATE sites s
       SET acl_version = s.acl_version + 1
     WHERE s.site_id = %(site_id)s
 RETURNING s.acl_version""",
)
# People whom nobody has become, and who wrote nothing that stays.
NEXT_PEOPLE = Query(
    "undoing.next_people",
    f"""
    SELECT DISTINCT h.item_id, p.user_id
      FROM imported_items h
      JOIN profiles p ON p.site_id = h.site_id AND p.profile_id = h.item_id
      JOIN users u ON u.user_id = p.user_id AND u.person_key LIKE 'imported:%%'
     WHERE h.site_id = %(site_id)s AND h.origin_id = %(origin_id)s AND h.item_type_id = {itemtypes.PROFILE}
       AND h.item_id > %(after)s
       AND NOT EXISTS (SELECT FROM items i WHERE i.site_id = h.site_id AND i.created_by = h.item_id)
       AND NOT EXISTS (SELECT FROM comments c
                        WHERE c.site_id = h.site_id AND c.created_by = h.item_id
                          AND c.on_profile_id IS DISTINCT FROM h.item_id)
       AND NOT EXISTS (SELECT FROM comments c
                        WHERE c.site_id = h.site_id AND c.on_profile_id = h.item_id AND {_OF_OTHERS})
     ORDER BY h.item_id
     LIMIT %(limit)s""",
    unrestricted="for the operator who removes the import",
)
# A claim gives a profile to another user: what it has by then is that user's.
LOCK_PEOPLE = Query(
    "undoing.lock_people",
    """
    SELECT p.profile_id, p.user_id
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s::bigint[])
       AND p.user_id = ANY(%(user_ids)s::bigint[])
     ORDER BY p.profile_id
       FOR UPDATE""",
)
_PERSON_PARTS: Final = (
    _deletion("person_attributes", "attributes", _ON_PEOPLE),
    _deletion("person_watchers", "watchers", _ON_PEOPLE),
    _deletion("person_ignores", "ignores", _ON_PEOPLE),
    _deletion("person_marks", "read_marks", _ON_PEOPLE),
    _deletion("own_watchers", "watchers", _BY_PEOPLE),
    _deletion("own_ignores", "ignores", _BY_PEOPLE),
    _deletion("own_marks", "read_marks", _BY_PEOPLE),
    _deletion("own_bookmarks", "bookmarks", _BY_PEOPLE),
    _deletion("own_carried", "carried_marks", _BY_PEOPLE),
    _deletion("own_roles", "role_profiles", _BY_PEOPLE),
    _deletion("own_counters", "profile_counters", _BY_PEOPLE),
    _deletion("own_options", "profile_options", _BY_PEOPLE),
    _deletion("own_uploads", "file_uploads", _BY_PEOPLE),
    _deletion("own_claims", "imported_profiles", _BY_PEOPLE),
    _deletion("own_mentions", "comment_mentions", _BY_PEOPLE),
    _deletion("mapped_people", "imported_items", _ON_PEOPLE),
)
FREE_ROOM = Query(
    "undoing.free_room",
    """
    WITH gone AS (
        DELETE FROM file_usage t
         WHERE t.site_id = %(site_id)s AND t.profile_id = ANY(%(ids)s::bigint[])
     RETURNING t.bytes)
    UPDATE file_usage u
       SET bytes = greatest(0, u.bytes - (SELECT coalesce(sum(gone.bytes), 0) FROM gone))
     WHERE u.site_id = %(site_id)s AND u.profile_id = 0""",
)
DELETE_BANS = Query(
    "undoing.delete_bans",
    """
    DELETE FROM bans b
     WHERE b.site_id = %(site_id)s AND b.user_id = ANY(%(user_ids)s::bigint[])""",
)
DELETE_PEOPLE = Query(
    "undoing.delete_people",
    """
    WITH gone AS (
        DELETE FROM profiles p
         WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s::bigint[])
     RETURNING 1)
    UPDATE site_people s
       SET total = s.total - (SELECT count(*) FROM gone), changes = s.changes + 1
     WHERE s.site_id = %(site_id)s""",
)
DELETE_USERS = Query(
    "undoing.delete_users",
    """
    DELETE FROM users u
     WHERE u.user_id = ANY(%(user_ids)s::bigint[]) AND u.person_key LIKE 'imported:%%'""",
)
DELETE_DOMAIN_BANS = Query(
    "undoing.delete_domain_bans",
    f"""
    WITH mapped AS (
        DELETE FROM imported_items i
         WHERE i.site_id = %(site_id)s AND i.origin_id = %(origin_id)s AND i.item_type_id = {itemtypes.USER}
     RETURNING i.item_id)
    DELETE FROM bans b
     WHERE b.site_id = %(site_id)s AND b.ban_id IN (SELECT mapped.item_id FROM mapped)""",
)
# Ids of what is gone, and of what was never a row: attachments, further old ids.
FORGET_ATTACHMENTS = Query(
    "undoing.forget_attachments",
    f"""
    DELETE FROM imported_items i
     WHERE i.site_id = %(site_id)s AND i.origin_id = %(origin_id)s AND i.item_type_id = {itemtypes.ATTACHMENT}
       AND NOT EXISTS (SELECT FROM attachments a
                        WHERE a.site_id = i.site_id AND a.attachment_id = i.item_id)""",
)
LEFT = Query(
    "undoing.left",
    """
    SELECT count(*) FROM imported_items i WHERE i.site_id = %(site_id)s AND i.origin_id = %(origin_id)s""",
    unrestricted="counted alone",
)
DELETE_ORIGIN = Query(
    "undoing.delete_origin",
    """
    WITH left_out AS (
        DELETE FROM import_leftouts l WHERE l.site_id = %(site_id)s AND l.origin_id = %(origin_id)s),
    marks AS (
        DELETE FROM import_marks m WHERE m.site_id = %(site_id)s AND m.origin_id = %(origin_id)s)
    DELETE FROM import_origins o WHERE o.site_id = %(site_id)s AND o.origin_id = %(origin_id)s""",
)

BATCH: Final = 100


class Touched(NamedTuple):
    """Use of an import by others: a comment on an imported thing, an item or microcosm in an imported microcosm, an
    edit, a vote, an answer to an event, or the takeover of an imported profile.

    `kind`, `id`: what others made ("comment", the name of the item's type, "microcosm"), "edit" and the comment or
    item, "ballots" and the poll, "attendee" and the profile, or "claim" and the profile; `on_type`, `on_id`: item type
    and id of the imported thing; `at`: time of it, of ballots the latest one's, None for a claim.
    """

    kind: str
    id: int
    on_type: int
    on_id: int
    at: datetime.datetime | None


class Undone(NamedTuple):
    """Result of a removal: numbers of the items, microcosms and people removed. `left`: number of imported things that
    stay.
    """

    items: int
    microcosms: int
    people: int
    left: int


def touched(tx: Reader, origin: Origin) -> list[Touched]:
    """Return each use that others have made of an import since, such as a comment or the takeover of a profile, sorted
    by time, then kind and id, claims first; [] for none.
    """
    return [Touched(*row) for row in tx.rows(TOUCHED, site_id=origin.site_id, origin_id=origin.id)]


def undo(
    database: Database, origin: Origin, show: Callable[[str, int], None] = lambda _, __: None
) -> Undone:
    """Remove all imported things that others have not used, and the import itself if nothing is left of it; the
    redirects from old addresses end. Each batch is a transaction of its own. `show`: called after each batch with
    "items", "microcosms" or "people", and the number of these removed so far.
    """
    with database.write() as tx:
        origin.lock(tx)
        origin.switch(tx, on=False)
        origin.set_stage(tx, "undoing")
        origin.forget_written(tx)
    items = 0
    for count in _remove_items(database, origin):
        items += count
        show("items", items)
    microcosms = 0
    while count := _remove_microcosms(database, origin):
        microcosms += count
        show("microcosms", microcosms)
    people = 0
    for count in _remove_people(database, origin):
        people += count
        show("people", people)
    with database.write() as tx:
        origin.lock(tx)
        key = {"site_id": origin.site_id, "origin_id": origin.id}
        tx.run(DELETE_DOMAIN_BANS, **key)
        tx.run(FORGET_ATTACHMENTS, **key)
        left = int(tx.value(LEFT, **key))
        if not left:
            tx.run(DELETE_ORIGIN, **key)
    if left:
        _count_again(database, origin)
    return Undone(items, microcosms, people, left)


def _remove_items(database: Database, origin: Origin) -> Iterator[int]:
    after = 0
    while True:
        with database.write() as tx:
            origin.lock(tx)
            rows = tx.rows(
                NEXT_ITEMS, site_id=origin.site_id, origin_id=origin.id, after=after, limit=BATCH
            )
            if not rows:
                return
            ids = [row[0] for row in rows]
            after = ids[-1]
            # Nobody can write in them from here on.
            tx.rows(LOCK_ITEMS, site_id=origin.site_id, ids=ids)
            still = {
                row[0]
                for row in tx.rows(
                    NEXT_ITEMS,
                    site_id=origin.site_id,
                    origin_id=origin.id,
                    after=ids[0] - 1,
                    limit=len(ids),
                )
            }
            ids = [id for id in ids if id in still]
            comments = [row[0] for row in tx.rows(COMMENTS_OF, site_id=origin.site_id, ids=ids)]
            _remove_comments(tx, origin.site_id, comments)
            _run(tx, _ITEM_PARTS, origin.site_id, ids)
        yield len(ids)


def _remove_comments(tx: Transaction, site_id: int, ids: Sequence[int]) -> None:
    if ids:
        tx.run(UNHANG, site_id=site_id, type=itemtypes.COMMENT, ids=list(ids))
        _run(tx, _COMMENT_PARTS, site_id, ids)


def _remove_microcosms(database: Database, origin: Origin) -> int:
    """Remove those imported microcosms that hold neither items nor microcosms; return their number. The caller repeats
    the call until it returns 0, as each call may empty the microcosms above.
    """
    with database.write() as tx:
        origin.lock(tx)
        tx.rows(MOVE_RIGHTS, site_id=origin.site_id)
        rows = tx.rows(EMPTY_MICROCOSMS, site_id=origin.site_id, origin_id=origin.id)
        ids = [row[0] for row in rows]
        if ids:
            roles = [row[0] for row in tx.rows(ROLES_OF, site_id=origin.site_id, ids=ids)]
            _run(tx, _ROLE_PARTS, origin.site_id, roles)
            _run(tx, _MICROCOSM_PARTS, origin.site_id, ids)
    return len(ids)


def _remove_people(database: Database, origin: Origin) -> Iterator[int]:
    after = 0
    while True:
        reader = database.read()
        try:
            rows = reader.rows(
                NEXT_PEOPLE, site_id=origin.site_id, origin_id=origin.id, after=after, limit=BATCH
            )
        finally:
            reader.end()
        if not rows:
            return
        after = rows[-1][0]
        yield _remove_some(database, origin, [(row[0], row[1]) for row in rows])


def _remove_some(database: Database, origin: Origin, people: Sequence[tuple[int, int]]) -> int:
    """Remove profiles, `people` as (profile id, user id), each with its user, its bans and all else that is its own;
    where other rows refer to the profile or to the user, both stay, as does a profile that has another user by then.
    Return the number of profiles removed. Each batch that succeeds is a transaction of its own.
    """
    try:
        with database.write() as tx:
            origin.lock(tx)
            site_id = origin.site_id
            ids, users = [id for id, _ in people], [user for _, user in people]
            locked = tx.rows(LOCK_PEOPLE, site_id=site_id, ids=ids, user_ids=users)
            ids, users = [row[0] for row in locked], [row[1] for row in locked]
            if not ids:
                return 0
            bios = [
                row[0] for row in tx.rows(BIOS_OF, site_id=site_id, origin_id=origin.id, ids=ids)
            ]
            _remove_comments(tx, site_id, bios)
            tx.run(UNHANG, site_id=site_id, type=itemtypes.PROFILE, ids=ids)
            _run(tx, _PERSON_PARTS, site_id, ids)
            tx.run(FREE_ROOM, site_id=site_id, ids=ids)
            tx.run(DELETE_BANS, site_id=site_id, user_ids=users)
            tx.run(DELETE_PEOPLE, site_id=site_id, ids=ids)
            tx.run(DELETE_USERS, user_ids=users)
    except pgerrors.ForeignKeyViolation:
        if len(people) == 1:
            return 0
        half = len(people) // 2
        return _remove_some(database, origin, people[:half]) + _remove_some(
            database, origin, people[half:]
        )
    return len(ids)


def _count_again(database: Database, origin: Origin) -> None:
    """Count anew, and store, the counters of the imported things and people that the undoing left."""
    people = ImportedPeople(origin)
    reader = database.read()
    try:
        people.load(reader)
    finally:
        reader.end()
    for _ in counters.count_all(database, origin, people):
        pass


def _run(tx: Transaction, queries: Sequence[Query], site_id: int, ids: Sequence[int]) -> None:
    if ids:
        for query in queries:
            tx.run(query, site_id=site_id, ids=list(ids))

"""Counting of what an import brought: comments of items, items of microcosms, counters and roles of people, from their
rows; the counting may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from forumapi import itemtypes
from forumapi.database.connections import Database, Transaction
from forumapi.database.query import Query
from forumapi.models.people import read_mark
from forumapi.models.roles import role_recomputation
from forumapi.porting.loading.imported_ids import Origin
from forumapi.porting.loading.people import ImportedPeople

NEXT_ITEMS: Final = Query(
    "counters.next_items",
    f"""
    SELECT DISTINCT i.item_id
      FROM imported_items i
     WHERE i.site_id = %(site_id)s AND i.origin_id = %(origin_id)s AND i.item_id > %(after)s
       AND i.item_type_id IN ({itemtypes.CONVERSATION}, {itemtypes.EVENT}, {itemtypes.POLL}, {itemtypes.HUDDLE})
     ORDER BY i.item_id
     LIMIT %(limit)s""",
    unrestricted="for the operator who imports them",
)
LOCK_ITEMS = Query(
    "counters.lock_items",
    """
    SELECT i.item_id
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[])
     ORDER BY i.item_id
       FOR NO KEY UPDATE""",
)
# The last comment is the last in reading order; its item was last active then, even where times do not rise.
COUNT_ITEMS = Query(
    "counters.count_items",
    """
    UPDATE items i
       SET comment_count = n.live, last_seq = n.last_seq, last_comment_id = l.comment_id, last_comment_at = l.created,
           last_comment_by = l.created_by, last_activity = coalesce(l.created, i.created)
      FROM unnest(%(ids)s::bigint[]) AS u (id)
     CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE NOT c.is_deleted AND NOT c.is_moderated) AS live,
                   coalesce(max(c.seq), 0) AS last_seq
              FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = u.id) n
      LEFT JOIN LATERAL (
            SELECT c.comment_id, c.created, c.created_by FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = u.id AND c.seq > 0 AND NOT c.is_deleted
               AND NOT c.is_moderated
             ORDER BY c.seq DESC LIMIT 1) l ON true
     WHERE i.site_id = %(site_id)s AND i.item_id = u.id
       AND (i.comment_count, i.last_seq, i.last_comment_id, i.last_activity)
           IS DISTINCT FROM (n.live, n.last_seq, l.comment_id, coalesce(l.created, i.created))""",
)
COUNT_AUTHORS = Query(
    "counters.count_authors",
    """
    INSERT INTO item_authors AS a (site_id, item_id, profile_id, live)
    SELECT c.site_id, c.item_id, c.created_by, count(*) FILTER (WHERE NOT c.is_deleted AND NOT c.is_moderated)
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.item_id = ANY(%(ids)s::bigint[])
     GROUP BY c.site_id, c.item_id, c.created_by
        ON CONFLICT (site_id, item_id, profile_id) DO UPDATE SET live = EXCLUDED.live""",
)
# The rows of counts are locked before anything is counted.
LOCK_MICROCOSMS = Query(
    "counters.lock_microcosms",
    """
    SELECT c.microcosm_id
      FROM microcosm_counts c
     WHERE c.site_id = %(site_id)s AND c.microcosm_id = ANY(%(ids)s::bigint[])
     ORDER BY c.microcosm_id
       FOR NO KEY UPDATE""",
)
COUNT_MICROCOSMS = Query(
    "counters.count_microcosms",
    f"""
    WITH folded AS (
        DELETE FROM microcosm_deltas d
         WHERE d.site_id = %(site_id)s AND d.microcosm_id = ANY(%(ids)s::bigint[]))
    UPDATE microcosm_counts c
       SET item_count = n.items, poll_count = n.polls, comment_count = n.comments, last_item_id = l.item_id,
           last_activity = coalesce(l.last_activity, '-infinity')
      FROM unnest(%(ids)s::bigint[]) AS u (id)
     CROSS JOIN LATERAL (
            SELECT count(*) AS items, count(*) FILTER (WHERE i.item_type_id = {itemtypes.POLL}) AS polls,
                   coalesce(sum(i.comment_count), 0) AS comments
              FROM items i
             WHERE i.site_id = %(site_id)s AND i.microcosm_id = u.id AND NOT i.is_deleted AND NOT i.is_moderated) n
      LEFT JOIN LATERAL (
            SELECT i.item_id, i.last_activity FROM items i
             WHERE i.site_id = %(site_id)s AND i.microcosm_id = u.id AND NOT i.is_deleted AND NOT i.is_moderated
               AND i.item_type_id IN ({itemtypes.CONVERSATION}, {itemtypes.EVENT})
             ORDER BY i.last_activity DESC, i.item_id DESC LIMIT 1) l ON true
     WHERE c.site_id = %(site_id)s AND c.microcosm_id = u.id""",
)
LOCK_PEOPLE = Query(
    "counters.lock_people",
    """
    SELECT n.profile_id
      FROM profile_counters n
     WHERE n.site_id = %(site_id)s AND n.profile_id = ANY(%(profile_ids)s::bigint[])
     ORDER BY n.profile_id
       FOR NO KEY UPDATE""",
)
COUNT_PEOPLE = Query(
    "counters.count_people",
    f"""
    UPDATE profile_counters n
       SET item_count = (SELECT count(*) FROM items i
                          WHERE i.site_id = n.site_id AND i.created_by = n.profile_id
                            AND i.item_type_id = {itemtypes.CONVERSATION} AND NOT i.is_deleted AND NOT i.is_moderated),
           comment_count = (SELECT count(*) FROM comments c
                             WHERE c.site_id = n.site_id AND c.created_by = n.profile_id AND NOT c.is_deleted
                               AND NOT c.is_moderated),
           last_active = least(now(), greatest(n.last_active,
                               (SELECT max(c.created) FROM comments c
                                 WHERE c.site_id = n.site_id AND c.created_by = n.profile_id))),
           unread_huddles = ({read_mark.UNREAD_HUDDLES})
     WHERE n.site_id = %(site_id)s AND n.profile_id = ANY(%(profile_ids)s::bigint[])""",
)
BIOS = Query(
    "counters.bios",
    """
    UPDATE profiles p
       SET bio_comment_id = l.id, version = p.version + 1
      FROM (SELECT u.id AS profile_id,
                   (SELECT max(c.comment_id) FROM comments c
                     WHERE c.site_id = %(site_id)s AND c.on_profile_id = u.id AND NOT c.is_deleted
                       AND NOT c.is_moderated) AS id
              FROM unnest(%(profile_ids)s::bigint[]) AS u (id)) l
     WHERE p.site_id = %(site_id)s AND p.profile_id = l.profile_id AND p.bio_comment_id IS DISTINCT FROM l.id""",
)

BATCH: Final = 500


def count_all(database: Database, origin: Origin, people: ImportedPeople) -> Iterator[int]:
    """Set the counters of everything that an import brought, and of its `people` also the roles that they are in and
    the comment about themselves, batch by batch in transactions of their own, each of which locks the site against
    other imports into it; yield after each batch how many items, microcosms or people it counted. The caller reads to
    the end, or the rest stays uncounted.
    """
    after = 0
    while True:
        with database.write() as tx:
            origin.lock(tx)
            rows = tx.rows(
                NEXT_ITEMS,
                site_id=origin.site_id,
                origin_id=origin.id,
                after=after,
                limit=BATCH,
            )
            ids = [row[0] for row in rows]
            if ids:
                _count_items(tx, origin.site_id, ids)
        if not ids:
            break
        after = ids[-1]
        yield len(ids)
    reader = database.read()
    try:
        microcosms = sorted(one.id for one in origin.all_of(reader, itemtypes.MICROCOSM).values())
        # Polls of an import stand where their conversations do: in microcosms of the import.
    finally:
        reader.end()
    for start in range(0, len(microcosms), 50):
        with database.write() as tx:
            origin.lock(tx)
            part = microcosms[start : start + 50]
            tx.rows(LOCK_MICROCOSMS, site_id=origin.site_id, ids=part)
            tx.run(COUNT_MICROCOSMS, site_id=origin.site_id, ids=part)
        yield len(part)
    everybody = sorted(set(people.everybody()))
    for start in range(0, len(everybody), BATCH):
        with database.write() as tx:
            origin.lock(tx)
            part = everybody[start : start + BATCH]
            role_recomputation.lock_roles_shared(tx, origin.site_id)
            tx.rows(LOCK_PEOPLE, site_id=origin.site_id, profile_ids=part)
            tx.run(COUNT_PEOPLE, site_id=origin.site_id, profile_ids=part)
        with database.write() as tx:
            origin.lock(tx)
            role_recomputation.recompute_roles(tx, origin.site_id, part)
            tx.run(BIOS, site_id=origin.site_id, profile_ids=part)
        yield len(part)


def _count_items(tx: Transaction, site_id: int, ids: list[int]) -> None:
    tx.rows(LOCK_ITEMS, site_id=site_id, ids=ids)
    tx.run(COUNT_ITEMS, site_id=site_id, ids=ids)
    tx.run(COUNT_AUTHORS, site_id=site_id, ids=ids)

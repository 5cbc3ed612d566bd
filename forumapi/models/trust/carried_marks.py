"""Marks of people on an item (follows, bookmarks, read marks) that a merge or split copies to another item.

The marks on the old item stay as they are, so an undo only takes back what the target was given.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.itemtypes import ItemRef

# Follows and bookmarks: a copy that another merge has made already is noted for this one too, so that the undo of one
# alone leaves it there.
_NOTED: Final = """
        INSERT INTO carried_marks (site_id, action_id, from_id, kind, profile_id, item_type_id, item_id)
        SELECT %(site_id)s, %(action_id)s, w.item_id, '{kind}', w.profile_id, %(item_type)s, %(item_id)s
          FROM {table} w
          JOIN unnest(%(from_types)s::smallint[], %(from_ids)s::bigint[]) AS f (item_type_id, item_id)
            ON f.item_type_id = w.item_type_id AND f.item_id = w.item_id
         WHERE w.site_id = %(site_id)s
           AND (NOT EXISTS (SELECT FROM {table} h
                             WHERE h.site_id = %(site_id)s AND h.profile_id = w.profile_id
                               AND h.item_type_id = %(item_type)s AND h.item_id = %(item_id)s)
                OR EXISTS (SELECT FROM carried_marks k
                            WHERE k.site_id = %(site_id)s AND k.item_id = %(item_id)s AND k.kind = '{kind}'
                              AND k.profile_id = w.profile_id))
            ON CONFLICT DO NOTHING"""
# One row for each person with marks, named w, on the items that they are copied from; none for who has one already.
_OF_EACH_PERSON: Final = """
      JOIN unnest(%(from_types)s::smallint[], %(from_ids)s::bigint[]) AS f (item_type_id, item_id)
        ON f.item_type_id = w.item_type_id AND f.item_id = w.item_id
     WHERE w.site_id = %(site_id)s
     GROUP BY w.profile_id
     ORDER BY w.profile_id
        ON CONFLICT DO NOTHING"""
CARRY_WATCHERS = Query(
    "carried_marks.carry_watchers",
    f"""
    WITH noted AS ({_NOTED.format(kind="watcher", table="watchers")})
    INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email, send_sms)
    SELECT %(site_id)s, w.profile_id, %(item_type)s, %(item_id)s, bool_or(w.send_email), bool_or(w.send_sms)
      FROM watchers w
      {_OF_EACH_PERSON}""",
)
CARRY_BOOKMARKS = Query(
    "carried_marks.carry_bookmarks",
    f"""
    WITH noted AS ({_NOTED.format(kind="bookmark", table="bookmarks")})
    INSERT INTO bookmarks (site_id, profile_id, item_type_id, item_id, created)
    SELECT %(site_id)s, w.profile_id, %(item_type)s, %(item_id)s, min(w.created)
      FROM bookmarks w
      {_OF_EACH_PERSON}""",
)
CARRY_READ_MARKS = Query(
    "carried_marks.carry_read_marks",
    """
    WITH furthest AS (
        SELECT DISTINCT ON (r.profile_id) r.profile_id, r.item_id, r.read_at, h.read_at AS before
          FROM read_marks r
          JOIN unnest(%(from_types)s::smallint[], %(from_ids)s::bigint[]) AS f (item_type_id, item_id)
            ON f.item_type_id = r.item_type_id AND f.item_id = r.item_id
          LEFT JOIN read_marks h ON h.site_id = %(site_id)s AND h.profile_id = r.profile_id
                                AND h.item_type_id = %(item_type)s AND h.item_id = %(item_id)s
         WHERE r.site_id = %(site_id)s
         ORDER BY r.profile_id, r.read_at DESC),
    moved AS (
        SELECT x.profile_id, x.item_id, x.read_at, x.before FROM furthest x
         WHERE x.before IS NULL OR x.read_at > x.before),
    noted AS (
        INSERT INTO carried_marks (site_id, action_id, from_id, kind, profile_id, item_type_id, item_id, before, after)
        SELECT %(site_id)s, %(action_id)s, m.item_id, 'read mark', m.profile_id, %(item_type)s, %(item_id)s, m.before,
               m.read_at
          FROM moved m
            ON CONFLICT DO NOTHING)
    INSERT INTO read_marks (site_id, profile_id, item_type_id, item_id, read_at)
    SELECT %(site_id)s, m.profile_id, %(item_type)s, %(item_id)s, m.read_at
      FROM moved m
     ORDER BY m.profile_id
        ON CONFLICT (site_id, profile_id, item_type_id, item_id)
        DO UPDATE SET read_at = greatest(read_marks.read_at, EXCLUDED.read_at)""",
)
# A read mark that its owner has moved since stays. Where a later merge began from this one's, it begins from what was
# before.
TAKE_BACK = Query(
    "carried_marks.take_back",
    """
    WITH gone AS (
        DELETE FROM carried_marks k
         WHERE k.site_id = %(site_id)s AND k.action_id = %(action_id)s AND k.from_id = ANY(%(from_ids)s::bigint[])
     RETURNING k.kind, k.profile_id, k.item_type_id, k.item_id, k.before, k.after),
    kept AS (
        SELECT k.kind, k.profile_id, k.item_id
          FROM carried_marks k
         WHERE k.site_id = %(site_id)s AND k.item_id IN (SELECT g.item_id FROM gone g)
           AND NOT (k.action_id = %(action_id)s AND k.from_id = ANY(%(from_ids)s::bigint[]))),
    unwatched AS (
        DELETE FROM watchers w
         USING gone g
         WHERE w.site_id = %(site_id)s AND w.profile_id = g.profile_id AND w.item_type_id = g.item_type_id
           AND w.item_id = g.item_id AND g.kind = 'watcher'
           AND NOT EXISTS (SELECT FROM kept k
                            WHERE k.kind = g.kind AND k.profile_id = g.profile_id AND k.item_id = g.item_id)),
    unbookmarked AS (
        DELETE FROM bookmarks b
         USING gone g
         WHERE b.site_id = %(site_id)s AND b.profile_id = g.profile_id AND b.item_type_id = g.item_type_id
           AND b.item_id = g.item_id AND g.kind = 'bookmark'
           AND NOT EXISTS (SELECT FROM kept k
                            WHERE k.kind = g.kind AND k.profile_id = g.profile_id AND k.item_id = g.item_id)),
    passed AS (
        UPDATE carried_marks k
           SET before = g.before
          FROM gone g
         WHERE k.site_id = %(site_id)s AND k.item_id = g.item_id AND k.kind = g.kind AND k.profile_id = g.profile_id
           AND k.before = g.after
           AND NOT (k.action_id = %(action_id)s AND k.from_id = ANY(%(from_ids)s::bigint[]))),
    reread AS (
        UPDATE read_marks r
           SET read_at = g.before
          FROM gone g
         WHERE r.site_id = %(site_id)s AND r.profile_id = g.profile_id AND r.item_type_id = g.item_type_id
           AND r.item_id = g.item_id AND g.kind = 'read mark' AND r.read_at = g.after AND g.before IS NOT NULL)
    DELETE FROM read_marks r
     USING gone g
     WHERE r.site_id = %(site_id)s AND r.profile_id = g.profile_id AND r.item_type_id = g.item_type_id
       AND r.item_id = g.item_id AND g.kind = 'read mark' AND r.read_at = g.after AND g.before IS NULL""",
)
FORGET = Query(
    "carried_marks.forget",
    "DELETE FROM carried_marks k WHERE k.created < now() - make_interval(days => %(days)s::int)",
    scope=PLATFORM,
)


def carry(
    tx: Transaction,
    site_id: int,
    action_id: int,
    sources: Collection[ItemRef],
    into: ItemRef,
    *,
    with_bookmarks: bool,
) -> None:
    """Copy follows and read marks of the items `sources` and, with `with_bookmarks`, bookmarks of them (not of their
    comments) to the item `into`; note the copies, so that an undo of the action can take them back. A follow or
    bookmark of `into` that exists already stays; of two read marks the later counts.
    """
    named = {
        "site_id": site_id,
        "action_id": action_id,
        "from_types": [one.type for one in sources],
        "from_ids": [one.id for one in sources],
        "item_type": into.type,
        "item_id": into.id,
    }
    tx.run(CARRY_WATCHERS, **named)
    if with_bookmarks:
        tx.run(CARRY_BOOKMARKS, **named)
    tx.run(CARRY_READ_MARKS, **named)


def take_back(tx: Transaction, site_id: int, action_id: int, from_ids: Collection[int]) -> None:
    """Take back what the action copied from the items with the ids `from_ids`: delete follows and bookmarks, changed
    since or not, unless another action, or this one from another item, has copied them too; put read marks back to what
    they were before, or delete those that are new, unless their owners have moved them since.
    """
    tx.run(TAKE_BACK, site_id=site_id, action_id=action_id, from_ids=sorted(from_ids))


def forget(tx: Transaction, days: int) -> None:
    """Delete the notes of all sites that are older than `days` days; the marks themselves stay."""
    tx.run(FORGET, days=days)

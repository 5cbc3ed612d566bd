"""Counters of microcosms: each write adds a delta row; deltas are folded into the base row from time to time.

No microcosm row is updated per comment. Readers add the deltas that are not folded yet, so counts are right at once,
and stay right while the cron process is stopped (docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Database, Transaction
from forumapi.database.query import Query
from forumapi.errors import ApiError
from forumapi.observability.log import logger

# Types of items that lists of a microcosm show: polls have lists of their own (content 2.7).
LISTED_TYPES: Final = f"{itemtypes.CONVERSATION}, {itemtypes.EVENT}"

# One write in so many folds its site's deltas after its commit.
FOLD_EVERY: Final = 64

ADD = Query(
    "microcosm_counters.add",
    """
    INSERT INTO microcosm_deltas (site_id, microcosm_id, items, polls, comments, item_id, activity)
    VALUES (%(site_id)s, %(microcosm_id)s, %(items)s, %(polls)s, %(comments)s, NULL, NULL)""",
)

ADD_EACH = Query(
    "microcosm_counters.add_each",
    """
    INSERT INTO microcosm_deltas (site_id, microcosm_id, items, polls, comments, item_id, activity)
    SELECT %(site_id)s, w.microcosm_id, w.items, w.polls, w.comments, NULL, NULL
      FROM unnest(%(ids)s::bigint[], %(items)s::int[], %(polls)s::int[], %(comments)s::int[])
           AS w (microcosm_id, items, polls, comments)""",
)

_LOCK: Final = """
    SELECT c.microcosm_id
      FROM microcosm_counts c
     WHERE c.site_id = %(site_id)s
       AND (%(ids)s::bigint[] IS NULL AND c.microcosm_id IN (SELECT d.microcosm_id FROM microcosm_deltas d
                                                             WHERE d.site_id = %(site_id)s)
            OR c.microcosm_id = ANY(%(ids)s::bigint[]))
     ORDER BY c.microcosm_id
       FOR NO KEY UPDATE"""
LOCK = Query("microcosm_counters.lock", _LOCK)
# Locks the rows that no other transaction has locked.
TRY_LOCK = Query("microcosm_counters.try_lock", f"{_LOCK} SKIP LOCKED")

FOLD = Query(
    "microcosm_counters.fold",
    """
    WITH taken AS (
        DELETE FROM microcosm_deltas d
         WHERE d.site_id = %(site_id)s AND d.microcosm_id = ANY(%(ids)s::bigint[])
     RETURNING d.microcosm_id, d.items, d.polls, d.comments, d.item_id, d.activity),
    summed AS (
        SELECT t.microcosm_id, sum(t.items) AS items, sum(t.polls) AS polls, sum(t.comments) AS comments,
               max(t.activity) AS activity,
               (array_agg(t.item_id ORDER BY t.activity DESC NULLS LAST))[1] AS item_id
          FROM taken t
         GROUP BY t.microcosm_id)
    UPDATE microcosm_counts c
       SET item_count = c.item_count + s.items, poll_count = c.poll_count + s.polls,
           comment_count = c.comment_count + s.comments,
           last_item_id = CASE WHEN s.activity >= c.last_activity THEN s.item_id ELSE c.last_item_id END,
           last_activity = greatest(c.last_activity, s.activity)
      FROM summed s
     WHERE c.site_id = %(site_id)s AND c.microcosm_id = s.microcosm_id""",
)

LATEST = Query(
    "microcosm_counters.latest",
    f"""
    UPDATE microcosm_counts c
       SET last_item_id = l.item_id, last_activity = coalesce(l.last_activity, '-infinity')
      FROM unnest(%(ids)s::bigint[]) AS u (id)
      LEFT JOIN LATERAL (
            (SELECT i.item_id, i.last_activity FROM items i
              WHERE i.site_id = %(site_id)s AND i.microcosm_id = u.id AND NOT i.is_deleted AND NOT i.is_moderated
                AND i.item_type_id IN ({LISTED_TYPES}) AND i.is_sticky
              ORDER BY i.last_activity DESC LIMIT 1)
             UNION ALL
            (SELECT i.item_id, i.last_activity FROM items i
              WHERE i.site_id = %(site_id)s AND i.microcosm_id = u.id AND NOT i.is_deleted AND NOT i.is_moderated
                AND i.item_type_id IN ({LISTED_TYPES}) AND NOT i.is_sticky
              ORDER BY i.last_activity DESC LIMIT 1)
             ORDER BY last_activity DESC LIMIT 1) l ON true
     WHERE c.site_id = %(site_id)s AND c.microcosm_id = u.id""",
)


def add(
    tx: Transaction,
    site_id: int,
    microcosm_id: int,
    *,
    items: int = 0,
    polls: int = 0,
    comments: int = 0,
) -> None:
    """Add a delta to a microcosm's own counters, not to those of its ancestors. `items` and `comments`: what to add to
    the numbers of items and of comments, perhaps negative; `polls`: how many of `items` are polls.
    """
    tx.run(
        ADD,
        site_id=site_id,
        microcosm_id=microcosm_id,
        items=items,
        polls=polls,
        comments=comments,
    )


class CountChange(NamedTuple):
    """Change of a microcosm's own counters: what to add to each, perhaps negative. `polls` is the part of `items` that
    are polls.
    """

    items: int = 0
    polls: int = 0
    comments: int = 0


def add_each(tx: Transaction, site_id: int, changes: Mapping[int, CountChange]) -> None:
    """Add a delta to the own counters of each of many microcosms. `changes`: what to add, by microcosm id."""
    ids = sorted(changes)
    tx.run(
        ADD_EACH,
        site_id=site_id,
        ids=ids,
        items=[changes[id].items for id in ids],
        polls=[changes[id].polls for id in ids],
        comments=[changes[id].comments for id in ids],
    )


def refresh(tx: Transaction, site_id: int, microcosm_ids: Sequence[int]) -> None:
    """Fold the deltas of these microcosms, and store anew which visible item in each, other than a poll, is the most
    recently active.

    For use after an item was hidden, shown or moved. Locks the counters until the transaction ends.
    """
    ids = sorted(set(microcosm_ids))
    tx.rows(LOCK, site_id=site_id, ids=ids)
    tx.run(FOLD, site_id=site_id, ids=ids)
    tx.run(LATEST, site_id=site_id, ids=ids)


def fold(database: Database, site_id: int) -> None:
    """Fold the deltas of a site's microcosms in a transaction of its own, except those of microcosms whose counters
    another transaction has locked.

    The request that calls it is committed already: so it waits for no lock, and a failure is only logged.
    """
    try:
        with database.write() as tx:
            ids = [row[0] for row in tx.rows(TRY_LOCK, site_id=site_id, ids=None)]
            if ids:
                tx.run(FOLD, site_id=site_id, ids=ids)
    except ApiError as error:
        logger.warning("counters of site %d are not folded: %s", site_id, error)


def maybe_fold(database: Database, tx: Transaction, site_id: int, id: int) -> None:
    """Have `fold` called after the commit if `id`, that of the delta row just inserted, is a multiple of FOLD_EVERY."""
    if id % FOLD_EVERY == 0:
        tx.after_commit(lambda: fold(database, site_id))

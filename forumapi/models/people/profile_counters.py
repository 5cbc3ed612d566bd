"""Counters of a profile: items and comments. Roles are recomputed when a count reaches a number that a criterion names.

Costs one statement, and the recomputation only for a profile that crosses such a number. The transaction has taken the
shared lock on the site's roles (`role_recomputation.LOCK_ROLES_SHARED`) in a statement before, so that a criterion
which is being written is either seen here or sees the new count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.roles import role_recomputation

_CROSSES: Final = """
    EXISTS (SELECT FROM criteria c
             WHERE c.site_id = n.site_id AND c.kind = '{kind}'
               AND c.number_value BETWEEN least(n.{column}, n.{column} - {by})
                                      AND greatest(n.{column}, n.{column} - {by}))"""
# SQL after a counter of n moved `by`: does a criterion compare with a number between the old count and the new one?
COMMENTS_CROSS: Final = _CROSSES.format(kind="commentCount", column="comment_count", by="%(by)s")
ITEMS_CROSS: Final = _CROSSES.format(kind="itemCount", column="item_count", by="%(by)s")

COUNT_COMMENTS = Query(
    "profile_counters.comments",
    f"""
    UPDATE profile_counters n
       SET comment_count = n.comment_count + %(by)s
     WHERE n.site_id = %(site_id)s AND n.profile_id = %(profile_id)s
 RETURNING {COMMENTS_CROSS}""",
)

COUNT_ITEMS = Query(
    "profile_counters.items",
    f"""
    UPDATE profile_counters n
       SET item_count = n.item_count + %(by)s
     WHERE n.site_id = %(site_id)s AND n.profile_id = %(profile_id)s
 RETURNING {ITEMS_CROSS}""",
)

# The same for a new thing that the transaction may hide next. The counters of its microcosm, which this would change,
# are locked before the row of the author: the inner query runs first.
_LOCK_PLACE: Final = """
       AND (SELECT count(*)
              FROM (SELECT FROM microcosm_counts c
                     WHERE c.site_id = %(site_id)s AND c.microcosm_id = %(place_id)s
                       FOR NO KEY UPDATE) place) >= 0"""
COUNT_COMMENTS_IN = Query(
    "profile_counters.comments_in",
    f"""
    UPDATE profile_counters n
       SET comment_count = n.comment_count + %(by)s
     WHERE n.site_id = %(site_id)s AND n.profile_id = %(profile_id)s{_LOCK_PLACE}
 RETURNING {COMMENTS_CROSS}""",
)
COUNT_ITEMS_IN = Query(
    "profile_counters.items_in",
    f"""
    UPDATE profile_counters n
       SET item_count = n.item_count + %(by)s
     WHERE n.site_id = %(site_id)s AND n.profile_id = %(profile_id)s{_LOCK_PLACE}
 RETURNING {ITEMS_CROSS}""",
)

LOCK_EACH = Query(
    "profile_counters.lock_each",
    """
    SELECT n.profile_id
      FROM profile_counters n
     WHERE n.site_id = %(site_id)s AND n.profile_id = ANY(%(profile_ids)s::bigint[])
     ORDER BY n.profile_id
       FOR NO KEY UPDATE""",
)
COUNT_EACH = Query(
    "profile_counters.count_each",
    f"""
    UPDATE profile_counters n
       SET comment_count = n.comment_count + w.comments, item_count = n.item_count + w.items
      FROM unnest(%(profile_ids)s::bigint[], %(comments)s::int[], %(items)s::int[]) AS w (profile_id, comments, items)
     WHERE n.site_id = %(site_id)s AND n.profile_id = w.profile_id
 RETURNING n.profile_id,
           w.comments <> 0 AND {_CROSSES.format(kind="commentCount", column="comment_count", by="w.comments")}
           OR w.items <> 0 AND {_CROSSES.format(kind="itemCount", column="item_count", by="w.items")}""",
)


def add_comments(
    tx: Transaction, site_id: int, profile_id: int, by: int, *, place_id: int = 0
) -> None:
    """Add `by`, which may be negative, to a profile's number of comments; recompute the profile's roles if a criterion
    compares with a number between the old one and the new one. The caller holds the shared lock on the site's roles.

    `place_id`: microcosm whose counters are locked before those of the profile, because the transaction may change them
    later; 0 for none.
    """
    query = COUNT_COMMENTS_IN if place_id else COUNT_COMMENTS
    _count(tx, query, site_id, profile_id, by, place_id)


def add_items(
    tx: Transaction, site_id: int, profile_id: int, by: int, *, place_id: int = 0
) -> None:
    """Add `by`, which may be negative, to a profile's number of visible conversations; no other items are counted.
    `place_id`, the recomputing of roles, and the lock to hold, as in `add_comments`.
    """
    query = COUNT_ITEMS_IN if place_id else COUNT_ITEMS
    _count(tx, query, site_id, profile_id, by, place_id)


def _count(
    tx: Transaction, query: Query, site_id: int, profile_id: int, by: int, place_id: int
) -> None:
    place = {"place_id": place_id} if place_id else {}
    if tx.value(query, site_id=site_id, profile_id=profile_id, by=by, **place):
        role_recomputation.recompute_roles(tx, site_id, [profile_id])


def count_each(
    tx: Transaction, site_id: int, comments: Mapping[int, int], items: Mapping[int, int]
) -> None:
    """Add to many profiles' numbers of written comments and visible conversations, and recompute roles as
    `add_comments` does, under the same lock. `comments` and `items`: what to add to the two numbers, perhaps negative,
    by profile id.
    """
    ids = sorted(comments.keys() | items.keys())
    tx.rows(LOCK_EACH, site_id=site_id, profile_ids=ids)
    counted = tx.rows(
        COUNT_EACH,
        site_id=site_id,
        profile_ids=ids,
        comments=[comments.get(id, 0) for id in ids],
        items=[items.get(id, 0) for id in ids],
    )
    crossed = sorted(id for id, is_crossed in counted if is_crossed)
    if crossed:
        role_recomputation.recompute_roles(tx, site_id, crossed)

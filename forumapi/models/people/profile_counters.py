"""Counters of a profile: items and comments. Roles are recomputed when a count reaches a number that a criterion names.

Costs one statement, and the recomputation only for a profile that crosses such a number. The transaction has taken the
shared lock on the site's roles (`role_recomputation.LOCK_ROLES_SHARED`) in a statement before, so that a criterion
which is being written is either seen here or sees the new count.
"""

from __future__ import annotations

from typing import Final

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.people import role_recomputation

_CROSSES: Final = """
    EXISTS (SELECT FROM criteria c
             WHERE c.site_id = n.site_id AND c.kind = '{kind}'
               AND c.number_value BETWEEN least(n.{column}, n.{column} - %(by)s)
                                      AND greatest(n.{column}, n.{column} - %(by)s))"""
# SQL after a counter of n moved `by`: does a criterion compare with a number between the old count and the new one?
COMMENTS_CROSS: Final = _CROSSES.format(kind="commentCount", column="comment_count")
ITEMS_CROSS: Final = _CROSSES.format(kind="itemCount", column="item_count")

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


def add_comments(tx: Transaction, site_id: int, profile_id: int, by: int) -> None:
    """Add `by`, which may be negative, to a profile's number of comments."""
    _count(tx, COUNT_COMMENTS, site_id, profile_id, by)


def add_items(tx: Transaction, site_id: int, profile_id: int, by: int) -> None:
    """Add `by`, which may be negative, to a profile's number of visible conversations."""
    _count(tx, COUNT_ITEMS, site_id, profile_id, by)


def _count(tx: Transaction, query: Query, site_id: int, profile_id: int, by: int) -> None:
    if tx.value(query, site_id=site_id, profile_id=profile_id, by=by):
        role_recomputation.recompute_roles(tx, site_id, [profile_id])

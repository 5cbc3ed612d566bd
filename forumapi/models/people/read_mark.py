"""Marking things read on request (discovery 7.2). Marks only move forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from forumapi import itemtypes
from forumapi.database.connections import Query, Transaction
from forumapi.permissions.evaluator import Tree

MARK = Query(
    "read_mark.mark",
    """
    INSERT INTO read_marks AS r (site_id, profile_id, item_type_id, item_id, read_at)
    SELECT DISTINCT %(site_id)s::bigint, %(me)s::bigint, m.item_type_id, m.item_id, now()
      FROM unnest(%(types)s::smallint[], %(ids)s::bigint[]) AS m (item_type_id, item_id)
     ORDER BY m.item_type_id, m.item_id
        ON CONFLICT (site_id, profile_id, item_type_id, item_id) DO UPDATE
       SET read_at = greatest(r.read_at, EXCLUDED.read_at)""",
)

# Marks that the new time covers are dropped with it.
MARK_SITE = Query(
    "read_mark.mark_site",
    """
    WITH covered AS (
        DELETE FROM read_marks r
         WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s AND r.item_type_id IN (2, 6, 7, 9)
           AND r.read_at <= now())
    UPDATE profiles p
       SET all_read_at = greatest(p.all_read_at, now())
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(me)s""",
)
MARK_HUDDLES = Query(
    "read_mark.mark_huddles",
    """
    WITH covered AS (
        DELETE FROM read_marks r
         WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s AND r.item_type_id = 5 AND r.read_at <= now())
    UPDATE profiles p
       SET huddles_read_at = greatest(p.huddles_read_at, now())
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(me)s""",
)

# A huddle `i` of profile `p`, whose mark of it is `r`, is unread for its last activity after the later mark, if
# somebody who is not ignored wrote since (discovery 7.5); the first half alone is cheap.
LATE: Final = "i.last_activity > greatest(r.read_at, p.huddles_read_at)"
WRITTEN: Final = """
              EXISTS (SELECT 1 FROM comments c
                       WHERE c.site_id = i.site_id AND c.item_id = i.item_id AND c.created >= i.last_activity
                         AND NOT c.is_deleted AND NOT c.is_moderated
                         AND NOT EXISTS (SELECT 1 FROM ignores g
                                          WHERE g.site_id = c.site_id AND g.profile_id = p.profile_id
                                            AND g.item_type_id = 3 AND g.item_id = c.created_by))"""

# Counting waits for whoever counts for the same profile, and then sees what they have written: else the later of two
# would store what it saw before the earlier one. In the order of ids, as all profiles are locked.
HOLD = Query(
    "read_mark.hold",
    """
    SELECT n.profile_id
      FROM profile_counters n
     WHERE n.site_id = %(site_id)s AND n.profile_id = ANY(%(profile_ids)s::bigint[])
     ORDER BY n.profile_id
       FOR NO KEY UPDATE""",
)

# The list of huddles leaves out those that are ignored or were begun by somebody who is: so does the count.
UNREAD_HUDDLES: Final = f"""
           SELECT count(*)
             FROM huddle_participants h
             JOIN profiles p ON p.site_id = h.site_id AND p.profile_id = h.profile_id
             JOIN items i ON i.site_id = h.site_id AND i.item_id = h.item_id
             LEFT JOIN read_marks r ON r.site_id = h.site_id AND r.profile_id = h.profile_id AND r.item_type_id = 5
                                   AND r.item_id = h.item_id
            WHERE h.site_id = n.site_id AND h.profile_id = n.profile_id AND NOT i.is_deleted AND {LATE} AND {WRITTEN}
              AND NOT EXISTS (SELECT 1 FROM ignores g
                               WHERE g.site_id = i.site_id AND g.profile_id = n.profile_id
                                 AND (g.item_type_id, g.item_id) IN ((5, i.item_id), (3, i.created_by)))"""

COUNT_HUDDLES = Query(
    "read_mark.count_huddles",
    f"""
    UPDATE profile_counters n
       SET unread_huddles = ({UNREAD_HUDDLES})
     WHERE n.site_id = %(site_id)s AND n.profile_id = ANY(%(profile_ids)s::bigint[])""",
)

# Entries of one batch.
MOST_AT_ONCE: Final = 100

MARKABLE: Final = frozenset(
    {
        itemtypes.SITE,
        itemtypes.MICROCOSM,
        itemtypes.HUDDLE,
        itemtypes.CONVERSATION,
        itemtypes.EVENT,
        itemtypes.POLL,
    }
)


def mark(
    tx: Transaction, site_id: int, tree: Tree, me: int, things: Sequence[tuple[int, int]]
) -> None:
    """These things, each with its type, are read now: items, microcosms of the site with all below them, everything on
    the site but huddles (type site), or all huddles (type huddle, id 0). Asks no permission."""
    marks: list[tuple[int, int]] = []
    for kind, id in things:
        if kind == itemtypes.MICROCOSM:
            marks += [(kind, below) for below in tree.nodes[id].subtree]
        elif kind != itemtypes.SITE and id:
            marks.append((kind, id))
    if any(kind == itemtypes.SITE for kind, _ in things):
        tx.run(MARK_SITE, site_id=site_id, me=me)
        marks = [one for one in marks if one[0] == itemtypes.HUDDLE]
    if (itemtypes.HUDDLE, 0) in things:
        tx.run(MARK_HUDDLES, site_id=site_id, me=me)
        marks = [one for one in marks if one[0] != itemtypes.HUDDLE]
    if marks:
        types, ids = zip(*marks, strict=True)
        tx.run(MARK, site_id=site_id, me=me, types=types, ids=ids)
    if any(kind == itemtypes.HUDDLE for kind, _ in things):
        count_huddles(tx, site_id, [me])


def count_huddles(tx: Transaction, site_id: int, profile_ids: Sequence[int]) -> None:
    """Count the unread huddles of these profiles anew (discovery 7.5). Locks their counters."""
    tx.rows(HOLD, site_id=site_id, profile_ids=profile_ids)
    tx.run(COUNT_HUDDLES, site_id=site_id, profile_ids=profile_ids)

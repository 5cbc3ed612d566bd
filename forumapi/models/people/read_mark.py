"""Read marks: each is the time up to which a profile has read a thing (discovery 7.2). Marks only move forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.journal.journal import Author
from forumapi.permissions.evaluator import Tree

INSERT = Query(
    "read_mark.insert",
    """
    INSERT INTO read_marks AS r (site_id, profile_id, item_type_id, item_id, read_at)
    SELECT DISTINCT %(site_id)s::bigint, %(me)s::bigint, m.item_type_id, m.item_id, now()
      FROM unnest(%(types)s::smallint[], %(ids)s::bigint[]) AS m (item_type_id, item_id)
     ORDER BY m.item_type_id, m.item_id
        ON CONFLICT (site_id, profile_id, item_type_id, item_id) DO UPDATE
       SET read_at = greatest(r.read_at, EXCLUDED.read_at)""",
)

_COVERED: Final = ", ".join(
    str(kind)
    for kind in (itemtypes.MICROCOSM, itemtypes.CONVERSATION, itemtypes.POLL, itemtypes.EVENT)
)
# Marks that the new time covers are deleted.
READ_SITE = Query(
    "read_mark.read_site",
    f"""
    WITH covered AS (
        DELETE FROM read_marks r
         WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s AND r.item_type_id IN ({_COVERED})
           AND r.read_at <= now())
    UPDATE profiles p
       SET all_read_at = greatest(p.all_read_at, now())
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(me)s""",
)
READ_HUDDLES = Query(
    "read_mark.read_huddles",
    f"""
    WITH covered AS (
        DELETE FROM read_marks r
         WHERE r.site_id = %(site_id)s AND r.profile_id = %(me)s AND r.item_type_id = {itemtypes.HUDDLE}
           AND r.read_at <= now())
    UPDATE profiles p
       SET huddles_read_at = greatest(p.huddles_read_at, now())
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(me)s""",
)

# A huddle `i` of profile `p` with the mark `r` is unread if its last activity is later than both marks, and
# somebody who is not ignored wrote since (discovery 7.5). LATE alone is cheap.
LATE: Final = "i.last_activity > greatest(r.read_at, p.huddles_read_at)"
WRITTEN: Final = f"""
              EXISTS (SELECT 1 FROM comments c
                       WHERE c.site_id = i.site_id AND c.item_id = i.item_id AND c.created >= i.last_activity
                         AND NOT c.is_deleted AND NOT c.is_moderated
                         AND NOT EXISTS (SELECT 1 FROM ignores g
                                          WHERE g.site_id = c.site_id AND g.profile_id = p.profile_id
                                            AND g.item_type_id = {itemtypes.PROFILE} AND g.item_id = c.created_by))"""

# Two counts for one profile take turns, so that the later one sees what the earlier one counted. Counters are locked in
# the order of their ids, as profiles are.
LOCK_COUNTERS = Query(
    "read_mark.lock_counters",
    """
    SELECT n.profile_id
      FROM profile_counters n
     WHERE n.site_id = %(site_id)s AND n.profile_id = ANY(%(profile_ids)s::bigint[])
     ORDER BY n.profile_id
       FOR NO KEY UPDATE""",
)

# Ignored huddles, and huddles that an ignored profile began, are not in the list of huddles, so they are not counted.
UNREAD_HUDDLES: Final = f"""
           SELECT count(*)
             FROM huddle_participants h
             JOIN profiles p ON p.site_id = h.site_id AND p.profile_id = h.profile_id
             JOIN items i ON i.site_id = h.site_id AND i.item_id = h.item_id
             LEFT JOIN read_marks r ON r.site_id = h.site_id AND r.profile_id = h.profile_id
                                   AND r.item_type_id = {itemtypes.HUDDLE} AND r.item_id = h.item_id
            WHERE h.site_id = n.site_id AND h.profile_id = n.profile_id AND NOT i.is_deleted AND {LATE} AND {WRITTEN}
              AND NOT EXISTS (SELECT 1 FROM ignores g
                               WHERE g.site_id = i.site_id AND g.profile_id = n.profile_id
                                 AND (g.item_type_id, g.item_id) IN (({itemtypes.HUDDLE}, i.item_id),
                                                                     ({itemtypes.PROFILE}, i.created_by)))"""

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


class ReadMark(NamedTuple):
    """Thing that the author marks as read, by type and id; several are written at a time.

    The type site means everything on the site except huddles; the type huddle with id 0 all huddles.
    """

    item_type: int
    item_id: int

    @classmethod
    def insert(
        cls, tx: Transaction, author: Author, tree: Tree, things: Sequence[ReadMark]
    ) -> None:
        """Store that the author has read these things up to now, and count the author's unread huddles anew if huddles
        are among them. A microcosm is marked with all microcosms below it in the site's `tree`; KeyError if `tree`
        lacks it. The caller checks permission.
        """
        site_id, me = author.site_id, author.profile_id
        marks: list[tuple[int, int]] = []
        for kind, id in things:
            if kind == itemtypes.MICROCOSM:
                marks += [(kind, below) for below in tree.nodes[id].subtree]
            elif kind != itemtypes.SITE and id:
                marks.append((kind, id))
        if any(kind == itemtypes.SITE for kind, _ in things):
            tx.run(READ_SITE, site_id=site_id, me=me)
            marks = [one for one in marks if one[0] == itemtypes.HUDDLE]
        if (itemtypes.HUDDLE, 0) in things:
            tx.run(READ_HUDDLES, site_id=site_id, me=me)
            marks = [one for one in marks if one[0] != itemtypes.HUDDLE]
        if marks:
            types, ids = zip(*marks, strict=True)
            tx.run(INSERT, site_id=site_id, me=me, types=types, ids=ids)
        if any(kind == itemtypes.HUDDLE for kind, _ in things):
            count_huddles(tx, site_id, [me])


def count_huddles(tx: Transaction, site_id: int, profile_ids: Sequence[int]) -> None:
    """Count the unread huddles of these profiles anew and store the numbers (discovery 7.5). Locks the profiles'
    counters.
    """
    tx.rows(LOCK_COUNTERS, site_id=site_id, profile_ids=profile_ids)
    tx.run(COUNT_HUDDLES, site_id=site_id, profile_ids=profile_ids)

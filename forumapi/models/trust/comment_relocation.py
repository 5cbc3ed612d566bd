"""Moves of comments from locked items to others, with their numbers, counters, search documents, updates and cases.

Comments of an item keep their order; those that come from several are ordered by time.
"""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.content.item import Item
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author, WrittenThing
from forumapi.models.microcosms import microcosm_counters
from forumapi.models.microcosms.microcosm_counters import CountChange
from forumapi.models.people import profile_counters
from forumapi.models.roles import role_recomputation
from forumapi.models.trust.targets import HeldItem

COMMENTS_OF = Query(
    "comment_relocation.comments_of",
    """
    SELECT c.item_id, c.comment_id
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.item_id = ANY(%(item_ids)s::bigint[])
     ORDER BY c.item_id, c.seq""",
)
# No two comments of an item may have one number, even within a statement: so new numbers are stored below zero first.
# A comment is ordered by the latest time up to it in its old item, so that comments which came together stay in order.
MOVE = Query(
    "comment_relocation.move",
    """
    WITH going AS (
        SELECT g.comment_id, g.item_id
          FROM unnest(%(comment_ids)s::bigint[], %(into_ids)s::bigint[]) AS g (comment_id, item_id)),
    keyed AS (
        SELECT c.comment_id, c.item_id AS was, coalesce(g.item_id, c.item_id) AS item_id, c.seq,
               max(c.created) OVER w AS reached, max(c.comment_id) OVER w AS mark
          FROM comments c
          LEFT JOIN going g ON g.comment_id = c.comment_id
         WHERE c.site_id = %(site_id)s AND c.item_id = ANY(%(item_ids)s::bigint[])
        WINDOW w AS (PARTITION BY c.item_id, g.item_id ORDER BY c.seq)),
    numbered AS (
        SELECT k.comment_id, k.was, k.item_id,
               row_number() OVER (PARTITION BY k.item_id ORDER BY k.reached, k.mark, k.seq) AS seq
          FROM keyed k),
    moved AS (
        UPDATE comments c
           SET item_id = n.item_id, seq = -n.seq,
               version = CASE WHEN n.was <> n.item_id THEN c.version + 1 ELSE c.version END
          FROM numbered n
         WHERE c.site_id = %(site_id)s AND c.comment_id = n.comment_id AND (n.was <> n.item_id OR c.seq <> n.seq)
     RETURNING c.comment_id, c.version, n.was, n.item_id)
    SELECT m.comment_id, m.version, m.was, m.item_id
      FROM moved m
     WHERE m.was <> m.item_id
     ORDER BY m.item_id, m.comment_id""",
)
NUMBER = Query(
    "comment_relocation.number",
    """
    UPDATE comments c
       SET seq = -c.seq
     WHERE c.site_id = %(site_id)s AND c.item_id = ANY(%(item_ids)s::bigint[]) AND c.seq < 0""",
)
COUNT_AUTHORS = Query(
    "comment_relocation.count_authors",
    """
    INSERT INTO item_authors (site_id, item_id, profile_id, live)
    SELECT %(site_id)s, u.item_id, u.profile_id, sum(u.live)
      FROM (SELECT a.item_id, a.profile_id, 0 AS live
              FROM item_authors a
             WHERE a.site_id = %(site_id)s AND a.item_id = ANY(%(item_ids)s::bigint[])
             UNION ALL
            SELECT c.item_id, c.created_by, (NOT c.is_deleted AND NOT c.is_moderated)::int
              FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = ANY(%(item_ids)s::bigint[])) u
     GROUP BY u.item_id, u.profile_id
        ON CONFLICT (site_id, item_id, profile_id) DO UPDATE SET live = EXCLUDED.live""",
)
# Without a live comment the last activity stays as it is (content 7.7), or is what it was before.
SET_ITEMS = Query(
    "comment_relocation.set_items",
    """
    UPDATE items i
       SET is_deleted = w.is_deleted, merged_into = nullif(w.merged_into, 0), version = i.version + 1,
           comment_count = n.live, last_seq = n.all_of_them, last_comment_id = l.comment_id,
           last_comment_at = l.created, last_comment_by = l.created_by,
           last_activity = coalesce(l.created, w.activity, i.last_activity)
      FROM unnest(%(item_ids)s::bigint[], %(is_deleted)s::boolean[], %(merged_into_ids)s::bigint[],
                  %(activities)s::timestamptz[])
           AS w (item_id, is_deleted, merged_into, activity)
     CROSS JOIN LATERAL (
            SELECT count(*) AS all_of_them, count(*) FILTER (WHERE NOT c.is_deleted AND NOT c.is_moderated) AS live
              FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = w.item_id) n
      LEFT JOIN LATERAL (
            SELECT c.comment_id, c.created, c.created_by FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = w.item_id AND c.seq > 0 AND NOT c.is_deleted
               AND NOT c.is_moderated
             ORDER BY c.seq DESC LIMIT 1) l ON true
     WHERE i.site_id = %(site_id)s AND i.item_id = w.item_id
 RETURNING i.item_id, i.version, i.comment_count, i.last_seq, i.last_activity""",
)
# What else names the item that a comment is on.
FOLLOW = Query(
    "comment_relocation.follow",
    f"""
    WITH moved AS (
        SELECT m.comment_id, i.item_id, i.item_type_id, i.microcosm_id
          FROM unnest(%(comment_ids)s::bigint[], %(into_ids)s::bigint[]) AS m (comment_id, item_id)
          JOIN items i ON i.site_id = %(site_id)s AND i.item_id = m.item_id),
    searched AS (
        UPDATE search_documents d
           SET place_id = m.item_id
          FROM moved m
         WHERE d.site_id = %(site_id)s AND d.item_type_id = {itemtypes.COMMENT} AND d.item_id = m.comment_id),
    cased AS (
        UPDATE cases k
           SET in_item_id = m.item_id, microcosm_id = m.microcosm_id
          FROM moved m
         WHERE k.site_id = %(site_id)s AND k.item_type_id = {itemtypes.COMMENT} AND k.item_id = m.comment_id),
    mailed AS (
        UPDATE mail_outbox x
           SET item_type_id = m.item_type_id, item_id = m.item_id
          FROM moved m
         WHERE x.site_id = %(site_id)s AND x.comment_id = m.comment_id AND x.state = 'unwritten'
           AND x.profile_id IS NOT NULL AND x.item_id = ANY(%(item_ids)s::bigint[])),
    pushed AS (
        UPDATE push_messages x
           SET item_type_id = m.item_type_id, item_id = m.item_id
          FROM moved m
         WHERE x.site_id = %(site_id)s AND x.comment_id = m.comment_id AND x.state = 'queued'
           AND x.item_id = ANY(%(item_ids)s::bigint[]))
    UPDATE updates u
       SET parent_item_type_id = m.item_type_id, parent_item_id = m.item_id
      FROM moved m
     WHERE u.site_id = %(site_id)s AND u.item_type_id = {itemtypes.COMMENT} AND u.item_id = m.comment_id
       AND u.parent_item_id IS NOT NULL""",
)


def comments_of(
    tx: Transaction, site_id: int, item_ids: Sequence[int]
) -> defaultdict[int, list[int]]:
    """Return the ids of all comments of items, hidden and deleted ones too, by item id; those of one item in the order
    of their numbers. An item without comments has no entry; looking it up gives [].
    """
    found: defaultdict[int, list[int]] = defaultdict(list)
    for item_id, comment_id in tx.rows(COMMENTS_OF, site_id=site_id, item_ids=sorted(item_ids)):
        found[item_id].append(comment_id)
    return found


class _Counted(NamedTuple):
    """Share of an item in the counters of its microcosm and of its author, as `change`; all 0 for a hidden or deleted
    item.
    """

    microcosm_id: int
    author_id: int
    change: CountChange

    @classmethod
    def of(cls, item: Item) -> _Counted:
        if not item.is_visible:
            return cls(item.microcosm_id, item.author_id, CountChange())
        is_poll = item.item_type == itemtypes.POLL
        change = CountChange(1, int(is_poll), item.comment_count)
        return cls(item.microcosm_id, item.author_id, change)


class CommentRelocation:
    """Moves of comments between the locked items `held`, planned by `move` and stored by `write`.

    Between the two calls the caller may set `is_deleted` and `merged_into` of the items, which are stored with the
    moves. `new`: one more item for moves, not among `held`, that no counter counts yet; None for none.
    """

    def __init__(
        self, tx: Transaction, author: Author, held: Iterable[HeldItem], new: HeldItem | None = None
    ) -> None:
        self._tx = tx
        self._author = author
        self._held = {one.item.id: one for one in held}
        self._before = {id: _Counted.of(one.item) for id, one in self._held.items()}
        if new is not None:
            self._held[new.item.id] = new
            item = new.item
            self._before[item.id] = _Counted(item.microcosm_id, item.author_id, CountChange())
        self._going: dict[int, int] = {}

    def move(self, comment_ids: Iterable[int], into_id: int) -> None:
        """Plan the move of these comments, each on one of the items, to the item `into_id`, another of the items."""
        self._going.update(dict.fromkeys(comment_ids, into_id))

    def write(self, activities: Mapping[int, datetime.datetime | None]) -> None:
        """Store the planned moves, the comments of each item numbered anew in the order of their times, with all
        counters; and record each moved comment and each item in audit and event log. Takes the shared lock on roles.

        `activities`, by item id: the last activity to store for an item that has no comment afterwards but deleted and
        hidden ones; an item that is not in it, or has None there, keeps its own.
        """
        tx, site_id = self._tx, self._author.site_id
        ids = sorted(self._held)
        role_recomputation.lock_roles_shared(tx, site_id)
        moved = tx.rows(
            MOVE,
            site_id=site_id,
            item_ids=ids,
            comment_ids=list(self._going),
            into_ids=list(self._going.values()),
        )
        tx.run(NUMBER, site_id=site_id, item_ids=ids)
        tx.run(COUNT_AUTHORS, site_id=site_id, item_ids=ids)
        rows = tx.rows(
            SET_ITEMS,
            site_id=site_id,
            item_ids=ids,
            is_deleted=[self._held[id].item.is_deleted for id in ids],
            merged_into_ids=[self._held[id].merged_into for id in ids],
            activities=[activities.get(id) for id in ids],
        )
        for id, version, comment_count, last_seq, last_activity in rows:
            held = self._held[id]
            held.last_activity = last_activity
            held.item.version, held.item.comment_count = version, comment_count
            held.item.last_seq = last_seq
        if moved:
            tx.run(
                FOLLOW,
                site_id=site_id,
                item_ids=ids,
                comment_ids=[row[0] for row in moved],
                into_ids=[row[3] for row in moved],
            )
        self._count()
        # Followers of the old item receive a comment's event too: it is the event's parent.
        entries = [self._entry(*row) for row in moved]
        items = [one.item for _, one in sorted(self._held.items())]
        entries += [
            WrittenThing(one.item_type, one.id, one.version, None, one.microcosm_id)
            for one in items
        ]
        journal.record_each(tx, self._author, journal.PATCHED, entries)

    def _entry(self, comment_id: int, version: int, was: int, into_id: int) -> WrittenThing:
        old, new = self._held[was].item, self._held[into_id].item
        moved_from = old.microcosm_id if old.microcosm_id != new.microcosm_id else 0
        return WrittenThing(
            *(itemtypes.COMMENT, comment_id, version, (old.item_type, old.id)),
            *(new.microcosm_id, moved_from),
        )

    def _count(self) -> None:
        tx, site_id = self._tx, self._author.site_id
        changes: dict[int, CountChange] = {}
        writers: Counter[int] = Counter()
        for id, held in self._held.items():
            was, now = self._before[id].change, _Counted.of(held.item).change
            place = held.item.microcosm_id
            known = changes.get(place, CountChange())
            changes[place] = CountChange(
                *(a + b - c for a, b, c in zip(known, now, was, strict=True))
            )
            if held.item.item_type == itemtypes.CONVERSATION and now.items != was.items:
                writers[held.item.author_id] += now.items - was.items
        microcosm_counters.add_each(tx, site_id, changes)
        microcosm_counters.refresh(tx, site_id, sorted(changes))
        if writers:
            profile_counters.count_each(tx, site_id, {}, writers)

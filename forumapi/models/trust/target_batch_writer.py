"""Batch of changes to locked targets: made in memory one after the other, then written together.

The number of statements depends on which kinds of rows change, and not on how many of them do.
"""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

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
from forumapi.models.trust.targets import ActionTarget, HeldItem

LATEST = Query(
    "target_batch_writer.latest",
    """
    SELECT u.id, l.seq, l.created
      FROM unnest(%(item_ids)s::bigint[]) AS u (id)
     CROSS JOIN LATERAL (
            SELECT c.seq, c.created FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = u.id AND c.seq > 0 AND NOT c.is_deleted
               AND NOT c.is_moderated
             ORDER BY c.seq DESC LIMIT 1) l""",
)
SET_ITEMS = Query(
    "target_batch_writer.set_items",
    """
    UPDATE items i
       SET microcosm_id = w.microcosm_id, is_sticky = w.is_sticky, is_open = w.is_open, is_deleted = w.is_deleted,
           is_moderated = w.is_moderated, version = i.version + 1
      FROM unnest(%(ids)s::bigint[], %(microcosm_ids)s::bigint[], %(is_sticky)s::boolean[], %(is_open)s::boolean[],
                  %(is_deleted)s::boolean[], %(is_moderated)s::boolean[])
           AS w (item_id, microcosm_id, is_sticky, is_open, is_deleted, is_moderated)
     WHERE i.site_id = %(site_id)s AND i.item_id = w.item_id
 RETURNING i.item_id, i.version""",
)
FLAG_COMMENTS = Query(
    "target_batch_writer.flag_comments",
    """
    UPDATE comments c
       SET is_deleted = w.is_deleted, is_moderated = w.is_moderated, version = c.version + 1
      FROM unnest(%(ids)s::bigint[], %(is_deleted)s::boolean[], %(is_moderated)s::boolean[])
           AS w (comment_id, is_deleted, is_moderated)
     WHERE c.site_id = %(site_id)s AND c.comment_id = w.comment_id
 RETURNING c.comment_id, c.version""",
)
# As comment.RECOUNT_ITEM, of many items. Their rows are locked, so nobody else writes those of their authors.
RECOUNT_ITEMS = Query(
    "target_batch_writer.recount_items",
    """
    WITH wrote AS (
        SELECT w.item_id, w.profile_id, w.by
          FROM unnest(%(item_ids)s::bigint[], %(author_ids)s::bigint[], %(bys)s::int[]) AS w (item_id, profile_id, by)),
    counted AS (
        UPDATE item_authors a
           SET live = a.live + w.by
          FROM wrote w
         WHERE a.site_id = %(site_id)s AND a.item_id = w.item_id AND a.profile_id = w.profile_id),
    added AS (
        INSERT INTO item_authors (site_id, item_id, profile_id, live)
        SELECT %(site_id)s, w.item_id, w.profile_id, w.by
          FROM wrote w
         WHERE w.by > 0 AND NOT EXISTS (SELECT FROM item_authors a
                                         WHERE a.site_id = %(site_id)s AND a.item_id = w.item_id
                                           AND a.profile_id = w.profile_id))
    UPDATE items i
       SET comment_count = i.comment_count + n.by, last_comment_id = l.comment_id, last_comment_at = l.created,
           last_comment_by = l.created_by, last_activity = coalesce(l.created, i.last_activity)
      FROM (SELECT w.item_id, sum(w.by) AS by FROM wrote w GROUP BY w.item_id) n
      LEFT JOIN LATERAL (
            SELECT c.comment_id, c.created, c.created_by FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = n.item_id AND c.seq > 0 AND NOT c.is_deleted
               AND NOT c.is_moderated
             ORDER BY c.seq DESC LIMIT 1) l ON true
     WHERE i.site_id = %(site_id)s AND i.item_id = n.item_id""",
)
RESTORE_ACTIVITIES = Query(
    "target_batch_writer.restore_activities",
    """
    UPDATE items i
       SET last_activity = w.activity
      FROM unnest(%(ids)s::bigint[], %(activities)s::timestamptz[]) AS w (item_id, activity)
     WHERE i.site_id = %(site_id)s AND i.item_id = w.item_id AND i.comment_count = 0""",
)
# As comment.RECOUNT_BIO, of many profiles.
RECOUNT_BIOS = Query(
    "target_batch_writer.recount_bios",
    """
    WITH held AS MATERIALIZED (
        SELECT p.profile_id
          FROM profiles p
         WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(profile_ids)s::bigint[])
         ORDER BY p.profile_id
           FOR NO KEY UPDATE)
    UPDATE profiles p
       SET version = p.version + 1,
           bio_comment_id = (SELECT max(c.comment_id) FROM comments c
                              WHERE c.site_id = %(site_id)s AND c.on_profile_id = p.profile_id
                                AND NOT c.is_deleted AND NOT c.is_moderated)
      FROM held h
     WHERE p.site_id = %(site_id)s AND p.profile_id = h.profile_id""",
)


class TargetBatchWriter:
    """Batch of changes that one author makes to locked targets. Each target is changed once; a batch hides targets or
    shows them, never both.

    The changes are seen on the targets at once, and stored by `write`.
    """

    def __init__(self, tx: Transaction, author: Author) -> None:
        self._tx = tx
        self._author = author
        self._changed: dict[ActionTarget, int] = {}  # -> the microcosm that it has left, 0 for none
        self._comment_writers: Counter[int] = Counter()
        self._item_writers: Counter[int] = Counter()
        self._wrote: Counter[tuple[int, int]] = Counter()  # (item, profile)
        self._bios: set[int] = set()
        self._counts: defaultdict[int, CountChange] = defaultdict(CountChange)
        self._refreshed: set[int] = set()
        self._activities: dict[int, datetime.datetime] = {}

    def read_latest(self, targets: Iterable[ActionTarget]) -> None:
        """Read, into `latest` of the items that the comments among `targets` are on, the latest comment of each that is
        neither deleted nor hidden. Call it before `flag` in a batch that shows comments.
        """
        held = {one.parent.item.id: one.parent for one in targets if one.comment and one.parent}
        if held:
            site_id = self._author.site_id
            for id, seq, created in self._tx.rows(LATEST, site_id=site_id, item_ids=sorted(held)):
                held[id].latest = seq, created

    def flag(self, target: ActionTarget, column: str, value: bool) -> None:
        """Set the flag `column` of the comment or item `target` to `value` in memory; `write` stores it."""
        thing = target.thing
        was_visible = thing.is_visible
        setattr(thing, column, value)
        self._changed[target] = 0
        by = int(thing.is_visible) - int(was_visible)
        if by and target.comment is not None:
            self._count_comment(target, by)
        elif by and target.item is not None:
            self._count_item(target.item, by)
            if target.item.item_type == itemtypes.CONVERSATION:
                self._item_writers[target.author_id] += by

    def move(self, target: ActionTarget, microcosm_id: int) -> None:
        """Move the item `target` into another microcosm in memory; `write` stores the move."""
        item = target.item
        assert item is not None
        self._changed[target] = item.microcosm_id
        self._refreshed |= {item.microcosm_id, microcosm_id}
        if item.is_visible:
            self._count_item(item, -1)
        item.microcosm_id = microcosm_id
        if item.is_visible:
            self._count_item(item, 1)

    def restore_activity(
        self, held: HeldItem, before: datetime.datetime, after: datetime.datetime
    ) -> bool:
        """Set the last activity of the item `held` back to `before` in memory, if the item has no comment but deleted
        and hidden ones, and its last activity is still `after`; `write` stores it. Return False, and change nothing,
        otherwise.
        """
        if held.item.comment_count or held.last_activity != after:
            return False
        held.last_activity = self._activities[held.item.id] = before
        self._refreshed.add(held.item.microcosm_id)
        return True

    def _count_comment(self, target: ActionTarget, by: int) -> None:
        self._comment_writers[target.author_id] += by
        held = target.parent
        if held is None:
            assert target.comment is not None
            self._bios.add(target.comment.parent.id)
            return
        item = held.item
        item.comment_count += by
        self._wrote[item.id, target.author_id] += by
        held.count(target, by)
        if item.is_visible:
            self._add(item.microcosm_id, comments=by)

    def _count_item(self, item: Item, by: int) -> None:
        is_poll = item.item_type == itemtypes.POLL
        self._add(item.microcosm_id, by, by if is_poll else 0, by * item.comment_count)

    def _add(self, microcosm_id: int, items: int = 0, polls: int = 0, comments: int = 0) -> None:
        was = self._counts[microcosm_id]
        self._counts[microcosm_id] = CountChange(
            was.items + items, was.polls + polls, was.comments + comments
        )
        self._refreshed.add(microcosm_id)

    def write(self, kind: str) -> None:
        """Store the changes with their counters, and record each as `kind` (such as PATCHED) in audit and event log, in
        the order in which they were made.
        """
        tx, site_id = self._tx, self._author.site_id
        if self._comment_writers or self._item_writers:
            role_recomputation.lock_roles_shared(tx, site_id)
        versions = self._set_items([one.item for one in self._changed if one.item])
        versions |= self._flag_comments([one for one in self._changed if one.comment])
        if self._wrote:
            tx.run(
                RECOUNT_ITEMS,
                site_id=site_id,
                item_ids=[item_id for item_id, _ in self._wrote],
                author_ids=[profile_id for _, profile_id in self._wrote],
                bys=list(self._wrote.values()),
            )
        if self._activities:
            ids, activities = list(self._activities), list(self._activities.values())
            tx.run(RESTORE_ACTIVITIES, site_id=site_id, ids=ids, activities=activities)
        if self._bios:
            tx.run(RECOUNT_BIOS, site_id=site_id, profile_ids=sorted(self._bios))
        if self._counts:
            microcosm_counters.add_each(tx, site_id, self._counts)
        if self._refreshed:
            microcosm_counters.refresh(tx, site_id, sorted(self._refreshed))
        if self._comment_writers or self._item_writers:
            profile_counters.count_each(tx, site_id, self._comment_writers, self._item_writers)
        journal.record_each(
            tx,
            self._author,
            kind,
            [
                WrittenThing(*one.ref, versions[one.ref], one.parent_ref, one.place_id, moved_from)
                for one, moved_from in self._changed.items()
            ],
        )

    def _set_items(self, items: Collection[Item]) -> dict[tuple[int, int], int]:
        if not items:
            return {}
        types = {one.id: one.item_type for one in items}
        rows = self._tx.rows(
            SET_ITEMS,
            site_id=self._author.site_id,
            ids=[one.id for one in items],
            microcosm_ids=[one.microcosm_id for one in items],
            is_sticky=[one.is_sticky for one in items],
            is_open=[one.is_open for one in items],
            is_deleted=[one.is_deleted for one in items],
            is_moderated=[one.is_moderated for one in items],
        )
        return {(types[id], id): version for id, version in rows}

    def _flag_comments(self, targets: Collection[ActionTarget]) -> dict[tuple[int, int], int]:
        if not targets:
            return {}
        rows = self._tx.rows(
            FLAG_COMMENTS,
            site_id=self._author.site_id,
            ids=[one.ref.id for one in targets],
            is_deleted=[one.thing.is_deleted for one in targets],
            is_moderated=[one.thing.is_moderated for one in targets],
        )
        return {(itemtypes.COMMENT, id): version for id, version in rows}

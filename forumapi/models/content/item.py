"""Items as clients write them: create, change, move, flag, delete (content 3 and 4). item_page.py reads items."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.itemtypes import ItemRef
from forumapi.models.content import draft
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms import microcosm_counters
from forumapi.models.notifications import update_types
from forumapi.models.notifications.watcher import watch
from forumapi.models.people import profile_counters
from forumapi.models.roles import role_recomputation
from forumapi.permissions.evaluator import Target

# Two equal submissions at the same time: the second waits for the first and then finds it.
SERIALISE = Query("item.serialise", "SELECT pg_advisory_xact_lock(hashtextextended(%(key)s, 0))")

DUPLICATE = Query(
    "item.duplicate",
    """
    SELECT i.item_id
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.created_by = %(me)s AND i.item_type_id = %(item_type)s
       AND i.microcosm_id = %(microcosm_id)s AND i.title = %(title)s AND NOT i.is_deleted
       AND i.created > now() - make_interval(secs => %(window_s)s)
     ORDER BY i.item_id LIMIT 1""",
)

INSERT = Query(
    "item.insert",
    f"""
    WITH made AS (
        INSERT INTO items (site_id, item_type_id, microcosm_id, title, created, created_by, by_agent, last_activity)
        SELECT %(site_id)s, %(item_type)s, %(microcosm_id)s, %(title)s, n.now, %(me)s, %(by_agent)s, n.now
          FROM (SELECT clock_timestamp() AS now) n
     RETURNING item_id, created),
    counted AS (
        INSERT INTO microcosm_deltas (site_id, microcosm_id, items, polls, item_id, activity)
        SELECT %(site_id)s, %(microcosm_id)s, 1, (%(item_type)s = {itemtypes.POLL})::int,
               CASE WHEN %(item_type)s = {itemtypes.POLL} THEN NULL ELSE item_id END,
               CASE WHEN %(item_type)s = {itemtypes.POLL} THEN NULL ELSE created END
          FROM made),
    watched AS ({watch(update_types.NEW_COMMENT, "%(item_type)s", "(SELECT item_id FROM made)")}),
    drafted AS ({draft.published(f"{itemtypes.MICROCOSM}::smallint", "%(microcosm_id)s", "%(item_type)s")})
    SELECT item_id FROM made""",
)

# SQL: the fields of Item, in their order, of an item `i`.
COLUMNS: Final = """
           i.item_type_id, coalesce(i.microcosm_id, 0), i.title, i.item_id, i.version, i.created_by, i.is_sticky,
           i.is_open, i.is_deleted, i.is_moderated, i.comment_count, i.last_seq"""

LOCK = Query(
    "item.lock",
    f"""
    SELECT {COLUMNS.strip()}
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s AND i.item_type_id = %(item_type)s
       FOR NO KEY UPDATE""",
)

OTHERS_WROTE = Query(
    "item.others_wrote",
    """
    SELECT EXISTS (SELECT 1 FROM item_authors x
                    WHERE x.site_id = %(site_id)s AND x.item_id = %(item_id)s AND x.profile_id <> %(me)s
                      AND x.live > 0)""",
)

IS_OWN_HELD = Query(
    "item.is_own_held",
    """
    SELECT i.created_by = %(me)s AND i.is_moderated AND NOT i.is_deleted AND i.microcosm_id IS NOT NULL
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_type_id = %(item_type)s AND i.item_id = %(item_id)s""",
)

UPDATE = Query(
    "item.update",
    """
    UPDATE items i
       SET title = %(title)s, microcosm_id = %(microcosm_id)s,
           edited = CASE WHEN %(reason)s::text IS NULL THEN i.edited ELSE now() END,
           edited_by = CASE WHEN %(reason)s::text IS NULL THEN i.edited_by ELSE %(me)s::bigint END,
           edit_reason = coalesce(%(reason)s::text, i.edit_reason), version = i.version + 1
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s
 RETURNING i.version""",
)

FLAG = Query(
    "item.flag",
    """
    UPDATE items i
       SET is_sticky = %(is_sticky)s, is_open = %(is_open)s, is_deleted = %(is_deleted)s,
           is_moderated = %(is_moderated)s,
           edited = CASE WHEN %(reason)s::text IS NULL THEN i.edited ELSE now() END,
           edited_by = CASE WHEN %(reason)s::text IS NULL THEN i.edited_by ELSE %(me)s::bigint END,
           edit_reason = coalesce(%(reason)s::text, i.edit_reason), version = i.version + 1
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s
 RETURNING i.version""",
)

DELETE = Query(
    "item.delete",
    """
    UPDATE items i
       SET is_deleted = true, version = i.version + 1
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s
 RETURNING i.version""",
)


class ItemChange(NamedTuple):
    """New title, microcosm and edit reason of an item, as a PUT of any type of item sends them, both texts cleaned and
    HTML-escaped (text_rendering.title).

    `reason` None: the item is not marked as edited.
    """

    title: str
    microcosm_id: int
    reason: str | None


@dataclasses.dataclass
class Item:
    """Item as clients write it: a new one, or its current row, locked until the transaction ends.

    A conversation is an Item; Event, Poll and Huddle are subclasses. `microcosm_id` 0: a huddle; `title`: HTML-escaped,
    stored and shown as it is; `author_id`: a profile's, 0 in a new item, after `insert` too; `comment_count`: number of
    its visible comments; `last_seq`: number of its last comment.
    """

    item_type: int
    microcosm_id: int  # 0 for a huddle
    title: str
    id: int = 0
    version: int = 1
    author_id: int = 0
    is_sticky: bool = False
    is_open: bool = True
    is_deleted: bool = False
    is_moderated: bool = False
    comment_count: int = 0
    last_seq: int = 0

    @property
    def href(self) -> str:
        """Return the item's host-relative address in the API."""
        return itemtypes.href(self.item_type, self.id)

    @property
    def is_visible(self) -> bool:
        """Return True if the item itself is neither deleted nor moderated; its microcosm may be."""
        return not self.is_deleted and not self.is_moderated

    def is_held_of(self, profile_id: int) -> bool:
        """Return True if `profile_id` is the author of the item, and the item is moderated but not deleted. False for
        huddles.
        """
        is_own = self.author_id == profile_id != 0
        return is_own and self.is_moderated and not self.is_deleted and self.microcosm_id != 0

    @classmethod
    def lock(cls, tx: Transaction, site_id: int, ref: ItemRef, me: int = 0) -> Self | None:
        """Lock an item, hidden or not, and return it; None if it never existed here. `me`: id of the caller's profile,
        which Huddle.lock alone uses.
        """
        row = tx.row(LOCK, site_id=site_id, item_type=ref.type, item_id=ref.id)
        return cls(*row) if row else None

    def target(self, tx: Transaction, author: Author, *, asks_delete: bool = True) -> Target:
        """Return the locked item as a target of the author's permissions, for a write.

        `others_wrote` of the target, on which the author's right to delete their own item alone depends (C-24), is read
        only for the item's author, and True for all others. `asks_delete` False: it is not read, and True for
        everybody.
        """
        me = author.profile_id
        others_wrote = True
        if asks_delete and self.microcosm_id and me and me == self.author_id:
            others_wrote = bool(
                tx.value(OTHERS_WROTE, site_id=author.site_id, item_id=self.id, me=me)
            )
        return Target(
            self.item_type,
            self.id,
            self.microcosm_id,
            (self.author_id,),
            others_wrote=others_wrote,
            # A huddle is locked for its participants alone.
            is_participant=self.item_type == itemtypes.HUDDLE,
        )

    def insert(
        self, tx: Transaction, author: Author, *, window_s: int, may_be_held: bool = False
    ) -> bool:
        """Store the new item; return False, and store nothing, if its author made an equal one within `window_s`
        seconds that is not deleted: with the same title in the same microcosm (C-15). Equal events have equal details
        too, except the duration; equal polls the same question.

        With the item the author gets a watcher of it, and the draft that it was written from is deleted. `id` is set in
        both cases: to that of the new item, or of the earlier one. `may_be_held`: the transaction may hide the item
        next, so the counters of its microcosm are locked before those of its author.
        """
        site_id, me = author[:2]
        tx.rows(SERIALISE, key=f"{site_id}:{self.item_type}:{self.microcosm_id}:{me}:{self.title}")
        role_recomputation.lock_roles_shared(tx, site_id)
        values = {
            "site_id": site_id,
            "me": me,
            "item_type": self.item_type,
            "microcosm_id": self.microcosm_id,
            "title": self.title,
        }
        duplicate = self._find_duplicate(tx, window_s=window_s, **values)
        if duplicate:
            self.id = duplicate
            return False
        self.id = int(tx.value(INSERT, by_agent=author.by_agent, **values))
        self._insert_details(tx, site_id)
        self._record(tx, author, journal.CREATED)
        if self.item_type == itemtypes.CONVERSATION:
            place_id = self.microcosm_id if may_be_held else 0
            profile_counters.add_items(tx, site_id, me, 1, place_id=place_id)
        return True

    def _find_duplicate(self, tx: Transaction, **values: Any) -> int | None:
        """Return the id of the oldest item that equals this one as `insert` says; None if there is none. `values`: the
        parameters of DUPLICATE.
        """
        id: int | None = tx.value(DUPLICATE, **values)
        return id

    def _insert_details(self, tx: Transaction, site_id: int) -> None:
        """Store the columns that only this type of item has; a conversation has none."""

    def update(self, tx: Transaction, author: Author, change: ItemChange) -> None:
        """Store the title, the microcosm and the edit reason of `change` in the row, which is locked, and the first two
        and the new version in this object. If the item thereby moves to another microcosm, the counters of both are
        adapted (content 3.5).
        """
        site_id, me = author[:2]
        self.title, microcosm_id, reason = change
        self.version = tx.value(
            UPDATE,
            site_id=site_id,
            item_id=self.id,
            title=self.title,
            microcosm_id=microcosm_id,
            me=me,
            reason=reason,
        )
        moved_from = 0
        if microcosm_id != self.microcosm_id:
            moved_from = self.microcosm_id
            if self.is_visible:
                self._count(tx, site_id, -1)
            self.microcosm_id = microcosm_id
            if self.is_visible:
                self._count(tx, site_id, 1)
            microcosm_counters.refresh(tx, site_id, [moved_from, microcosm_id])
        self._record(tx, author, journal.REPLACED, moved_from=moved_from)

    def flag(
        self, tx: Transaction, author: Author, flags: Mapping[str, bool], reason: str | None
    ) -> None:
        """Set flags of the locked item to the values that `flags` has by name: `is_sticky`, `is_open`, `is_deleted`,
        `is_moderated`; others stay. If this hides or shows the item, the counters of its microcosm are adapted, and for
        a conversation those of its author.

        `reason`: the edit reason, HTML-escaped by the caller; None: the item is not marked as edited.
        """
        was_visible = self.is_visible
        for name, value in flags.items():
            setattr(self, name, value)
        self.version = tx.value(
            FLAG,
            site_id=author.site_id,
            item_id=self.id,
            is_sticky=self.is_sticky,
            is_open=self.is_open,
            is_deleted=self.is_deleted,
            is_moderated=self.is_moderated,
            me=author.profile_id,
            reason=reason,
        )
        self._count_visibility(tx, author.site_id, was_visible)
        self._record(tx, author, journal.PATCHED)

    def delete(self, tx: Transaction, author: Author) -> None:
        """Set the flag `is_deleted` of the locked item, which hides its comments too, and adapt counters as `flag`
        does; nothing changes if it is set already.
        """
        if self.is_deleted:
            return
        was_visible = self.is_visible
        self.is_deleted = True
        self.version = tx.value(DELETE, site_id=author.site_id, item_id=self.id)
        self._count_visibility(tx, author.site_id, was_visible)
        self._record(tx, author, journal.DELETED)

    def _count_visibility(self, tx: Transaction, site_id: int, was_visible: bool) -> None:
        """Adapt counters of the microcosm and the author if `is_visible` differs from `was_visible`, its value before a
        change (C-16).
        """
        if self.is_visible == was_visible:
            return
        delta = 1 if self.is_visible else -1
        role_recomputation.lock_roles_shared(tx, site_id)
        if self.microcosm_id:
            self._count(tx, site_id, delta)
            microcosm_counters.refresh(tx, site_id, [self.microcosm_id])
        if self.item_type == itemtypes.CONVERSATION:
            profile_counters.add_items(tx, site_id, self.author_id, delta)

    def _count(self, tx: Transaction, site_id: int, delta: int) -> None:
        microcosm_counters.add(
            tx,
            site_id,
            self.microcosm_id,
            items=delta,
            polls=delta if self.item_type == itemtypes.POLL else 0,
            comments=delta * self.comment_count,
        )

    def _record(self, tx: Transaction, author: Author, kind: str, *, moved_from: int = 0) -> None:
        journal.record(
            tx,
            author,
            kind,
            self.item_type,
            self.id,
            version=self.version,
            microcosm_id=self.microcosm_id,
            moved_from=moved_from,
        )


def is_own_held(tx: Reader, site_id: int, ref: ItemRef, me: int) -> bool:
    """Return what `Item.is_held_of` says of the item `ref` and the profile `me`, without a lock; False if no such item
    exists, and for profiles.
    """
    return bool(tx.value(IS_OWN_HELD, site_id=site_id, item_type=ref.type, item_id=ref.id, me=me))

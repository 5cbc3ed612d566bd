"""Targets of actions: comments and items, locked here in one order (items, then comments, each by id); and profiles,
which are not locked here, but by the code that changes them.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.itemtypes import ItemRef
from forumapi.models.content import item
from forumapi.models.content.comment import Comment, CommentParent
from forumapi.models.content.item import Item

# Types that actions take, in the order in which they are locked and changed.
TYPES: Final = (
    itemtypes.CONVERSATION,
    itemtypes.EVENT,
    itemtypes.POLL,
    itemtypes.COMMENT,
    itemtypes.PROFILE,
)
ITEMS: Final = frozenset((itemtypes.CONVERSATION, itemtypes.EVENT, itemtypes.POLL))

PLACES: Final = Query(
    "targets.places",
    "SELECT m.microcosm_id FROM microcosms m WHERE m.site_id = %(site_id)s",
    unrestricted="for operators, who act everywhere",
)
# Huddles are not locked, but for the redaction of a reported comment: nobody moderates them, and waiting would reveal
# that they exist.
PARENTS: Final = Query(
    "targets.parents",
    """
    SELECT c.comment_id, coalesce(c.item_id, 0), coalesce(c.on_profile_id, 0)
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s::bigint[])""",
)
LOCK_ITEMS: Final = Query(
    "targets.lock_items",
    f"""
    SELECT {item.COLUMNS.strip()}, i.last_activity, coalesce(i.merged_into, 0)
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[])
       AND (i.microcosm_id IS NOT NULL OR i.item_id = ANY(%(huddle_ids)s::bigint[]))
     ORDER BY i.item_id
       FOR NO KEY UPDATE""",
)
# Id, number and time, then the fields of Comment after its parent, in their order, then the item.
LOCK_COMMENTS: Final = Query(
    "targets.lock_comments",
    """
    SELECT c.comment_id, c.seq, c.created, c.markdown, coalesce(c.in_reply_to, 0), c.comment_id, c.version,
           c.created_by, c.is_deleted, c.is_moderated, c.revisions, coalesce(c.edited, c.created), c.edited_by,
           coalesce(c.item_id, 0)
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s::bigint[])
     ORDER BY c.comment_id
       FOR NO KEY UPDATE""",
)
# All comments of items, before some of them move: other writers of many comments lock them in this order too.
LOCK_ALL_COMMENTS: Final = Query(
    "targets.lock_all_comments",
    """
    SELECT count(*)
      FROM (SELECT c.comment_id
              FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = ANY(%(item_ids)s::bigint[])
             ORDER BY c.comment_id
               FOR NO KEY UPDATE) held""",
)


_BEGINNING: Final = datetime.datetime.min.replace(tzinfo=datetime.UTC)


@dataclasses.dataclass
class HeldItem:
    """Item that is locked, with its last activity, which its comments move.

    `latest`: (number, time) of its latest live comment, one neither deleted nor hidden; None where that was not read or
    there is none; `is_counted`: `count` was called. `merged_into`: id of the item that its comments were moved into by
    a merge; 0 for none.
    """

    item: Item
    last_activity: datetime.datetime
    latest: tuple[int, datetime.datetime] | None = None
    is_counted: bool = False
    merged_into: int = 0

    def count(self, target: ActionTarget, by: int) -> None:
        """Set the item's last activity, in memory, after its comment `target` was shown (`by` 1) or hidden (`by` -1).
        When one is shown: to the time of the latest live comment, one neither deleted nor hidden. When one is hidden:
        the last activity stays, but if no live comment is left and `count` was called before, it becomes the time of
        `target` (content 7.7). `latest` must have been read before a comment is shown.
        """
        if by > 0:
            if target.seq > 0 and (self.latest is None or target.seq > self.latest[0]):
                self.latest = target.seq, target.created
            if self.latest is not None:
                self.last_activity = self.latest[1]
        elif not self.item.comment_count and self.is_counted:
            self.last_activity = target.created
        self.is_counted = True


@dataclasses.dataclass(eq=False)
class ActionTarget:
    """Thing that an action changes: a comment or an item, locked until the transaction ends, or a profile, not locked
    yet.

    `author_id`: the thing's author, for a profile its own id; `microcosm_id`: the one that the thing was in when it was
    locked, for a profile the `place_id` given to `lock`; `parent`: the item that a comment is on, or the item itself;
    None for a profile and for a comment on a profile. `seq`, `created`: number and time of a comment.
    """

    ref: ItemRef
    author_id: int
    microcosm_id: int  # 0: outside of all
    comment: Comment | None = None
    item: Item | None = None
    parent: HeldItem | None = None
    seq: int = 0
    created: datetime.datetime = _BEGINNING

    @property
    def thing(self) -> Comment | Item:
        """Return the comment or item itself. Not to be called for a profile."""
        thing = self.comment or self.item
        assert thing is not None
        return thing

    @property
    def is_merged(self) -> bool:
        """Return True for an item whose comments a merge has moved into another one."""
        return self.item is not None and self.parent is not None and self.parent.merged_into > 0

    @property
    def is_in_huddle(self) -> bool:
        """Return True for a comment in a huddle."""
        return self.comment is not None and self.comment.parent.is_huddle

    @property
    def parent_ref(self) -> tuple[int, int] | None:
        """Return (type, id) of the item or profile that a comment is on; None for an item or profile."""
        return self.comment.parent[:2] if self.comment else None

    @property
    def place_id(self) -> int:
        """Return the id of the microcosm that a comment or item is in now, after changes in memory too; 0 outside of
        all, and for a profile.
        """
        return self.parent.item.microcosm_id if self.parent else 0


class LockedThings(NamedTuple):
    """Targets as `lock` returns them, and all locked items, by item id."""

    targets: dict[ItemRef, ActionTarget]
    items: dict[int, HeldItem]


def lock(
    tx: Transaction, site_id: int, refs: Sequence[ItemRef], place_id: int = 0
) -> dict[ItemRef, ActionTarget]:
    """Lock the comments and items among `refs`, and the items that the comments are on; return the targets by thing, in
    the order: items by type and id, then all given profiles by id, existing or not, then comments by id. `place_id`:
    microcosm that a profile counts as being in, 0 outside of all; types other than TYPES raise ValueError.

    Comments and items that do not exist are left out, and so are comments in huddles and those that a merge or split
    has moved meanwhile. `lock_with` alone can lock a comment in a huddle.
    """
    return lock_with(tx, site_id, refs, (), place_id).targets


def lock_with(
    tx: Transaction,
    site_id: int,
    refs: Sequence[ItemRef],
    others: Collection[int],
    place_id: int = 0,
    *,
    with_comments: bool = False,
    reported_id: int = 0,
) -> LockedThings:
    """Lock what `lock` locks, and the items with the ids `others`, all items in the order of their ids; return the
    targets as `lock` does, and every locked item. `place_id`: as in `lock`; `with_comments`: lock all comments of all
    these items too; `reported_id`: a comment that is locked and returned in a huddle too, 0 for none.
    """
    comment_ids = sorted(ref.id for ref in refs if ref.type == itemtypes.COMMENT)
    parents: dict[int, tuple[int, int]] = {}
    if comment_ids:
        rows = tx.rows(PARENTS, site_id=site_id, ids=comment_ids)
        parents = {row[0]: (row[1], row[2]) for row in rows}
    item_ids = {ref.id for ref in refs if ref.type in ITEMS}
    item_ids |= {item_id for item_id, _ in parents.values() if item_id} | set(others)
    huddle_id = parents.get(reported_id, (0, 0))[0]
    items = _items(tx, site_id, item_ids, [huddle_id])
    if with_comments and items:
        tx.rows(LOCK_ALL_COMMENTS, site_id=site_id, item_ids=sorted(items))
    found: dict[ItemRef, ActionTarget] = {}
    for ref in sorted(refs, key=lambda one: (TYPES.index(one.type), one.id)):
        if ref.type in ITEMS:
            held = items.get(ref.id)
            if held is not None and held.item.item_type == ref.type:
                found[ref] = ActionTarget(
                    ref, held.item.author_id, held.item.microcosm_id, item=held.item, parent=held
                )
        elif ref.type == itemtypes.PROFILE:
            found[ref] = ActionTarget(ref, ref.id, place_id)
    ids = _lockable(parents, items, reported_id)
    for row in tx.rows(LOCK_COMMENTS, site_id=site_id, ids=ids):
        item_id, on_profile_id = parents[row[0]]
        if row[-1] != item_id:
            continue
        held = items.get(item_id)
        parent = (
            CommentParent(held.item.item_type, item_id, held.item)
            if held
            else CommentParent(itemtypes.PROFILE, on_profile_id)
        )
        comment = Comment(parent, *row[3:-1])
        ref = ItemRef(itemtypes.COMMENT, comment.id)
        found[ref] = ActionTarget(
            *(ref, comment.author_id, parent.microcosm_id),
            comment=comment,
            parent=held,
            seq=row[1],
            created=row[2],
        )
    return LockedThings(found, items)


def places(tx: Reader, site_id: int) -> list[int]:
    """Return 0, for what is outside of all microcosms, then the ids of all microcosms of a site, in any order: an
    operator may act in all of these.
    """
    return [0, *(row[0] for row in tx.rows(PLACES, site_id=site_id))]


def _items(
    tx: Transaction, site_id: int, ids: Collection[int], huddle_ids: Sequence[int]
) -> dict[int, HeldItem]:
    if not ids:
        return {}
    rows = tx.rows(LOCK_ITEMS, site_id=site_id, ids=sorted(ids), huddle_ids=huddle_ids)
    held = [HeldItem(Item(*row[:-2]), row[-2], merged_into=row[-1]) for row in rows]
    return {one.item.id: one for one in held}


def _lockable(
    parents: dict[int, tuple[int, int]], items: dict[int, HeldItem], reported_id: int
) -> list[int]:
    """Return the ids of the comments on profiles and on locked items, ascending; in a huddle only `reported_id`."""
    return sorted(
        id
        for id, (item_id, _) in parents.items()
        if not item_id
        or (item_id in items and (items[item_id].item.microcosm_id or id == reported_id))
    )

"""Kinds of actions that move comments: conversations are merged into an item, comments are split off as a conversation.

A merged conversation is deleted and leads on to what it was merged into (`merged_into`). What a split has made leads on
to where its comments came from, once it is undone.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.itemtypes import ItemRef
from forumapi.models.content.item import Item
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.trust import carried_marks
from forumapi.models.trust.action_kinds import (
    CHANGED_SINCE,
    GONE,
    ActionKind,
    ActionOptions,
    Applied,
    AppliedChange,
    Refusal,
    State,
    UndoneChange,
)
from forumapi.models.trust.comment_relocation import CommentRelocation, comments_of
from forumapi.models.trust.targets import ActionTarget, HeldItem

# Comments of the target and of what is merged into it, for a merge within its request; with more it works in the
# background.
IN_REQUEST: Final = 250
# Comments of all the items of one merge or split. Each may get a new number, in one transaction, during which nobody
# writes in these items.
MOST_COMMENTS: Final = 20_000

DELETED: Final = "this is deleted"
HIDDEN: Final = "this is hidden"
MERGED: Final = "this was merged already"
FROM_MERGED: Final = "the conversation that this was in was merged since"
KEPT: Final = "the new conversation is needed still, and this opens it"
ELSEWHERE_NOW: Final = "this is not a comment of the same conversation"
ITSELF: Final = "this is what the others are merged into"
TOO_MANY: Final = f"these have more than {MOST_COMMENTS} comments together"

# Comments that a merge still has to move, or to move back, and those of the item that it merges into: all of them may
# get new numbers.
LEFT = Query(
    "merge_and_split_kinds.left",
    """
    SELECT coalesce(sum(CASE x.state WHEN 'planned' THEN i.last_seq
                                     ELSE coalesce(jsonb_array_length(x.after -> 'comments'), 0) END), 0)
           + coalesce((SELECT t.last_seq
                         FROM actions a
                         JOIN items t ON t.site_id = a.site_id AND t.item_id = a.into_item_id
                        WHERE a.site_id = %(site_id)s AND a.action_id = %(action_id)s), 0)
      FROM action_changes x
      JOIN items i ON i.site_id = x.site_id AND i.item_id = x.item_id
     WHERE x.site_id = %(site_id)s AND x.action_id = %(action_id)s AND x.state IN ('planned', 'done')""",
    unrestricted="a number of comments of an action, for whoever carries it out",
)
# Of comments that a merge has moved, those that are in another item now.
ELSEWHERE = Query(
    "merge_and_split_kinds.elsewhere",
    """
    SELECT c.comment_id
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(comment_ids)s::bigint[])
       AND c.item_id IS DISTINCT FROM %(into_id)s::bigint""",
)
# State of items that a moderator names: (type, id, microcosm, if it is open, deleted, hidden, merged, last number).
STATES = Query(
    "merge_and_split_kinds.states",
    """
    SELECT i.item_type_id, i.item_id, i.microcosm_id, i.is_open, i.is_deleted, i.is_moderated,
           i.merged_into IS NOT NULL, i.last_seq
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(item_ids)s::bigint[])
       AND i.microcosm_id = ANY(%(moderated)s::bigint[])""",
)

# A conversation that a split makes: as old as the comment that opens it, and of the same author.
INSERT = Query(
    "merge_and_split_kinds.insert",
    f"""
    WITH made AS (
        INSERT INTO items (site_id, item_type_id, microcosm_id, title, created, created_by, last_activity)
        VALUES (%(site_id)s, {itemtypes.CONVERSATION}, %(microcosm_id)s, %(title)s, %(created)s, %(author_id)s,
                %(created)s)
     RETURNING item_id),
    noted AS (
        UPDATE actions a
           SET into_type_id = {itemtypes.CONVERSATION}, into_item_id = (SELECT m.item_id FROM made m)
         WHERE a.site_id = %(site_id)s AND a.action_id = %(action_id)s)
    SELECT m.item_id FROM made m""",
)
# What keeps a conversation that a split has made, beside the comments that go back: comments in it, with whether the
# split brought them; and whether the split has brought comments that don't go back.
STAYING = Query(
    "merge_and_split_kinds.staying",
    f"""
    SELECT c.comment_id,
           EXISTS (SELECT FROM action_changes x
                    WHERE x.site_id = %(site_id)s AND x.action_id = %(action_id)s AND x.state IN ('done', 'conflict')
                      AND x.item_type_id = {itemtypes.COMMENT} AND x.item_id = c.comment_id)
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.item_id = %(item_id)s AND c.comment_id <> ALL(%(going_ids)s::bigint[])""",
)
LEFT_OUT = Query(
    "merge_and_split_kinds.left_out",
    """
    SELECT EXISTS (SELECT FROM action_changes x
                    WHERE x.site_id = %(site_id)s AND x.action_id = %(action_id)s AND x.state IN ('done', 'conflict')
                      AND x.item_id <> ALL(%(going_ids)s::bigint[]))""",
)
# Later actions on the conversation, which an undo of theirs could not reach once it is merged back.
TOUCHED = Query(
    "merge_and_split_kinds.touched",
    f"""
    SELECT EXISTS (SELECT FROM action_changes x
                    WHERE x.site_id = %(site_id)s AND x.item_type_id = {itemtypes.CONVERSATION}
                      AND x.item_id = %(item_id)s AND x.state IN ('done', 'conflict')
                      AND x.after ? 'is_deleted')""",
)

# State of comments that a moderator names: (id, item, if it is deleted, hidden; comments of the item).
COMMENT_STATES = Query(
    "merge_and_split_kinds.comment_states",
    """
    SELECT c.comment_id, i.item_id, c.is_deleted OR i.is_deleted, c.is_moderated OR i.is_moderated, i.last_seq
      FROM comments c
      JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(comment_ids)s::bigint[])
       AND i.microcosm_id = ANY(%(moderated)s::bigint[])""",
)


def unfit_source(is_deleted: bool, is_hidden: bool, is_merged: bool) -> str:
    """Return the reason why an item with these flags can't be merged into another, as text; "" if it can. Of several
    reasons the first in the order merged, deleted, hidden is returned. `is_merged`: an earlier merge has moved its
    comments into another item.
    """
    return MERGED if is_merged else DELETED if is_deleted else HIDDEN if is_hidden else ""


def unfit_target(is_open: bool, is_deleted: bool, is_hidden: bool, is_merged: bool) -> str:
    """Return the reason why nothing can be merged into an item with these flags, as text; "" if something can. Of
    several reasons those of `unfit_source` go before the one that the item is not open. `is_merged`: as in
    `unfit_source`.
    """
    why = unfit_source(is_deleted, is_hidden, is_merged)
    return why or ("" if is_open else "this is locked")


def states(
    tx: Reader, site_id: int, item_ids: Collection[int], moderated: Collection[int]
) -> dict[ItemRef, tuple[Any, ...]]:
    """Return (microcosm id, is open, is deleted, is hidden, is merged, number of the last comment), by item, of the
    items `item_ids` that are in one of the microcosms `moderated`; others have no entry. Comments are numbered from 1
    in their item, hidden and deleted ones too.
    """
    rows = tx.rows(STATES, site_id=site_id, item_ids=list(item_ids), moderated=list(moderated))
    return {ItemRef(row[0], row[1]): row[2:] for row in rows}


def comment_states(
    tx: Reader, site_id: int, comment_ids: Collection[int], moderated: Collection[int]
) -> dict[int, tuple[int, bool, bool, int]]:
    """Return (item id, is deleted, is hidden, number of the item's last comment), by comment id, of the comments
    `comment_ids` on items in one of the microcosms `moderated`; others have no entry. A comment counts as
    deleted, or hidden, also if its item is.
    """
    named = {"site_id": site_id, "comment_ids": list(comment_ids), "moderated": list(moderated)}
    return {row[0]: row[1:] for row in tx.rows(COMMENT_STATES, **named)}


class MergeKind(ActionKind, name="merge", takes=frozenset((itemtypes.CONVERSATION,))):
    """Kind that moves all comments of conversations into another item. The conversations are deleted, and their
    addresses then lead on to that item.
    """

    moves_comments = True

    def is_large(self, tx: Transaction, site_id: int, action_id: int) -> bool:
        return bool(tx.value(LEFT, site_id=site_id, action_id=action_id) > IN_REQUEST)

    def others(self, into_id: int, before: State | None) -> set[int]:
        return {into_id}

    def apply(
        self,
        tx: Transaction,
        author: Author,
        held: Sequence[ActionTarget],
        options: ActionOptions,
    ) -> list[Applied]:
        site_id = author.site_id
        into = options.items.get(options.into_id)
        if into is None or into.item.microcosm_id not in options.allowed:
            return [Refusal(GONE)] * len(held)
        item = into.item
        why = unfit_target(item.is_open, item.is_deleted, item.is_moderated, into.merged_into > 0)
        refused = dict.fromkeys(held, f"what it should be merged into: {why}" if why else "")
        for one in held:
            if one.ref.id == item.id:
                refused[one] = ITSELF
            elif not refused[one] and one.item is not None:
                refused[one] = unfit_source(
                    one.item.is_deleted, one.item.is_moderated, one.is_merged
                )
                if not refused[one] and item.last_seq + one.item.last_seq > MOST_COMMENTS:
                    refused[one] = TOO_MANY
        sources = [one.parent for one in held if one.parent is not None and not refused[one]]
        comments: Mapping[int, list[int]] = {}
        was = into.last_activity
        if sources:
            comments = comments_of(tx, site_id, [one.item.id for one in sources])
            relocation = CommentRelocation(tx, author, [into, *sources])
            for source in sources:
                relocation.move(comments[source.item.id], item.id)
                source.item.is_deleted, source.merged_into = True, item.id
            relocation.write({})
            carried_marks.carry(
                *(tx, site_id, options.action_id),
                [ItemRef(one.item.item_type, one.item.id) for one in sources],
                ItemRef(item.item_type, item.id),
                with_bookmarks=True,
            )
        before = {"is_deleted": False, "merged_into": 0, "into_activity": was}
        after = {"is_deleted": True, "merged_into": item.id, "into_activity": into.last_activity}
        return [
            Refusal(refused[one])
            if refused[one]
            else AppliedChange(before, after | {"comments": comments[one.ref.id]})
            for one in held
        ]

    def inverse(
        self,
        tx: Transaction,
        author: Author,
        undone: Sequence[UndoneChange],
        options: ActionOptions,
    ) -> list[str]:
        if not undone:
            return []
        site_id = author.site_id
        into = options.items.get(options.into_id)
        if into is None or into.item.microcosm_id not in options.allowed:
            return [GONE] * len(undone)
        ids = [id for one in undone for id in one.change.after["comments"]]
        rows = tx.rows(ELSEWHERE, site_id=site_id, comment_ids=ids, into_id=into.item.id)
        elsewhere = {row[0] for row in rows}
        conflicts = []
        back: list[tuple[HeldItem, list[int]]] = []
        activities: dict[int, datetime.datetime | None] = {}
        for target, change in undone:
            source, comments = target.parent, change.after["comments"]
            assert source is not None
            if source.merged_into != into.item.id or not elsewhere.isdisjoint(comments):
                conflicts.append(CHANGED_SINCE)
                continue
            conflicts.append("")
            back.append((source, comments))
            if not _is_active_since(into, change):
                activities[into.item.id] = _time(change.before["into_activity"])
        if back:
            relocation = CommentRelocation(tx, author, [into, *(one for one, _ in back)])
            for source, comments in back:
                relocation.move(comments, source.item.id)
                source.item.is_deleted, source.merged_into = False, 0
            relocation.write(activities)
            carried_marks.take_back(
                tx, site_id, options.action_id, [one.item.id for one, _ in back]
            )
        return conflicts


class SplitKind(ActionKind, name="split", takes=frozenset((itemtypes.COMMENT,))):
    """Kind that makes a new conversation of some comments of an item. The action's options have the microcosm that the
    conversation is made in, and its title.
    """

    moves_comments = True

    def others(self, into_id: int, before: State | None) -> set[int]:
        return {before["item_id"]} if before else set()

    def apply(
        self,
        tx: Transaction,
        author: Author,
        held: Sequence[ActionTarget],
        options: ActionOptions,
    ) -> list[Applied]:
        source = next((one.parent for one in held), None)
        refused = {one: _unfit_comment(one, source) for one in held}
        going = sorted((one for one in held if not refused[one]), key=lambda one: one.seq)
        if source is None or not going or options.place_id not in options.allowed:
            return [Refusal(refused[one] or GONE) for one in held]
        site_id, first = author.site_id, going[0]
        id = int(
            tx.value(
                INSERT,
                site_id=site_id,
                action_id=options.action_id,
                microcosm_id=options.place_id,
                title=options.title,
                created=first.created,
                author_id=first.author_id,
            )
        )
        item = Item(itemtypes.CONVERSATION, options.place_id, options.title, id)
        item.author_id = first.author_id
        made = HeldItem(item, first.created)
        # It is not news: whoever followed the old conversation follows this one.
        journal.record_many(
            *(tx, author, journal.CREATED, itemtypes.CONVERSATION, [id]),
            microcosm_id=options.place_id,
            is_import=True,
        )
        was = source.last_activity
        relocation = CommentRelocation(tx, author, [source], new=made)
        relocation.move([one.ref.id for one in going], id)
        relocation.write({})
        ref = ItemRef(source.item.item_type, source.item.id)
        into = ItemRef(itemtypes.CONVERSATION, id)
        carried_marks.carry(tx, site_id, options.action_id, [ref], into, with_bookmarks=False)
        before = {"item_id": ref.id, "from_activity": was}
        after = {"item_id": id, "from_activity": source.last_activity}
        return [
            Refusal(refused[one]) if refused[one] else AppliedChange(before, after) for one in held
        ]

    def inverse(
        self,
        tx: Transaction,
        author: Author,
        undone: Sequence[UndoneChange],
        options: ActionOptions,
    ) -> list[str]:
        conflicts = {one.target: self._conflict(one, options) for one in undone}
        going = sorted(
            (one for one in undone if not conflicts[one.target]), key=lambda one: one.target.seq
        )
        if going:
            made = going[0].target.parent
            source = options.items[going[0].change.before["item_id"]]
            assert made is not None
            self._back(tx, author, going, made, source, options.action_id, conflicts)
        return [conflicts[one.target] for one in undone]

    def _conflict(self, one: UndoneChange, options: ActionOptions) -> str:
        """Return why the comment of an undone split can't go back to the item that it came from; "" if it can."""
        made, source = one.target.parent, options.items.get(one.change.before["item_id"])
        if made is None or made.item.id != one.change.after["item_id"] or not made.item.is_visible:
            return CHANGED_SINCE
        if source is None or source.item.microcosm_id not in options.allowed:
            return GONE
        return FROM_MERGED if source.merged_into else ""

    def _back(
        self,
        tx: Transaction,
        author: Author,
        going: Sequence[UndoneChange],
        made: HeldItem,
        source: HeldItem,
        action_id: int,
        conflicts: dict[ActionTarget, str],
    ) -> None:
        """Move the comments `going` back from `made`, the conversation of the split `action_id`, to `source`, where
        they came from. `made` is then deleted and leads to `source`, unless it has other comments, other comments of
        the split do not go back, or a later action has deleted or restored it. In these cases it stays; if no comment
        of the split stays there, the first of `going` does, with an entry in `conflicts`.
        """
        site_id, item_id = author.site_id, made.item.id
        ids = [one.target.ref.id for one in going]
        named = {"site_id": site_id, "action_id": action_id, "going_ids": ids}
        staying = tx.rows(STAYING, item_id=item_id, **named)
        is_kept = (
            bool(staying)
            or tx.value(LEFT_OUT, **named)
            or tx.value(TOUCHED, site_id=site_id, item_id=item_id)
        )
        if is_kept and not any(is_own for _, is_own in staying):
            conflicts[going[0].target] = KEPT
            ids = ids[1:]
        relocation = CommentRelocation(tx, author, [made, source])
        relocation.move(ids, source.item.id)
        if not is_kept:
            made.item.is_deleted, made.merged_into = True, source.item.id
        change = going[0].change
        activities = {}
        if not _is_active_since(source, change):
            activities[source.item.id] = _time(change.before["from_activity"])
        relocation.write(activities)
        if not is_kept:
            carried_marks.take_back(tx, site_id, action_id, [source.item.id])


def _unfit_comment(one: ActionTarget, source: HeldItem | None) -> str:
    """Return the reason why a comment can't be split off the item `source` (None: that item is gone), as text; "" if it
    can.
    """
    if one.parent is None or source is None or one.parent.item.id != source.item.id:
        return ELSEWHERE_NOW
    if not source.item.is_visible:
        return "what it is on is deleted or hidden"
    comment = one.comment
    assert comment is not None
    return DELETED if comment.is_deleted else HIDDEN if comment.is_moderated else ""


def _is_active_since(item: HeldItem, change: AppliedChange) -> bool:
    """Return True if the last activity of the item is one after the change, such as a comment that was written since.
    What hid or showed the comments that the change moved left the time of an older comment there.
    """
    assert change.applied is not None
    return item.last_activity >= change.applied


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)

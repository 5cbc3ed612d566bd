"""Flags that moderators set by PATCH, and what they delete by DELETE (v1): each change is recorded as an action, so
that it can be undone, and is explained to the author.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.itemtypes import ItemRef
from forumapi.models.content.comment import Comment
from forumapi.models.content.item import Item
from forumapi.models.journal.journal import Author
from forumapi.models.trust import action
from forumapi.models.trust.action_kinds import ACTIVE_ITEM, OF_FLAG, AppliedChange

_DELETION: Final = OF_FLAG["is_deleted", True]
_DELETED: Final = AppliedChange({"is_deleted": False}, {"is_deleted": True})

LAST_ACTIVITY = Query(
    "patched_flags.last_activity",
    "SELECT i.last_activity FROM items i WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s",
)


def flag_item(
    tx: Transaction, author: Author, item: Item, flags: Mapping[str, bool], reason: str
) -> None:
    """Set those flags of the locked item that `flags` has, by column such as `is_open`, with the edit reason `reason`;
    and record an action for each flag that changes. A column that no kind of action sets raises KeyError if it changes.
    """
    ref = ItemRef(item.item_type, item.id)
    for column, value in flags.items():
        if getattr(item, column) is not value:
            change = AppliedChange({column: not value}, {column: value})
            kind = OF_FLAG[column, value]
            action.record(tx, author, kind, ref, item.microcosm_id, item.author_id, change)
    item.flag(tx, author, flags, reason)


def flag_comment(
    tx: Transaction, author: Author, comment: Comment, flags: Mapping[str, bool]
) -> None:
    """Set `is_deleted` and `is_moderated` of the locked comment, and record an action for each that changes. `flags`
    holds both, by these names.
    """
    changed = {name: value for name, value in flags.items() if getattr(comment, name) is not value}
    parent = comment.parent
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    shows = parent.item is not None and not any(flags.values())
    if shows:
        before = {**_last_activity(tx, author.site_id, parent.id), ACTIVE_ITEM: parent.id}
    comment.flag(tx, author, is_deleted=flags["is_deleted"], is_moderated=flags["is_moderated"])
    if shows:
        after = _last_activity(tx, author.site_id, parent.id)
    for column, value in changed.items():
        change = AppliedChange({column: not value} | before, {column: value} | after)
        action.record(
            tx,
            author,
            OF_FLAG[column, value],
            ItemRef(itemtypes.COMMENT, comment.id),
            parent.microcosm_id,
            comment.author_id,
            change,
        )


def delete_item(tx: Transaction, author: Author, item: Item) -> None:
    """Delete the locked item, as `Item.delete` does, and record that as an action; nothing changes if it is deleted
    already.
    """
    if not item.is_deleted:
        ref = ItemRef(item.item_type, item.id)
        action.record(tx, author, _DELETION, ref, item.microcosm_id, item.author_id, _DELETED)
        item.delete(tx, author)


def delete_comment(tx: Transaction, author: Author, comment: Comment) -> None:
    """Delete the locked comment, as `Comment.delete` does, and record that as an action; nothing changes if it is
    deleted already.
    """
    if not comment.is_deleted:
        comment.delete(tx, author)
        ref = ItemRef(itemtypes.COMMENT, comment.id)
        place_id = comment.parent.microcosm_id
        action.record(tx, author, _DELETION, ref, place_id, comment.author_id, _DELETED)


def _last_activity(tx: Transaction, site_id: int, item_id: int) -> dict[str, str]:
    return {"last_activity": tx.value(LAST_ACTIVITY, site_id=site_id, item_id=item_id).isoformat()}

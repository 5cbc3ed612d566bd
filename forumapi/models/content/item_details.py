"""What some types of item have beyond what all share: one column of the statements of pages and lists.

The column is the text of a JSON array, so that a page or list of mixed types costs one statement, an item without
details costs nothing, and an entry is decoded only when it is rendered. The types describe themselves (`Details`); this
is where they are named. Reading is here and in item_page.py; writing begins with `New` in item.py.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final

from forumapi import itemtypes
from forumapi.models.content import event, poll
from forumapi.models.content.item_type_spec import Details
from forumapi.wire.json_fragments import dumps

KINDS: Final[Mapping[int, Details]] = {
    itemtypes.EVENT: event.DETAILS,
    itemtypes.POLL: poll.DETAILS,
}

# The details of an item `i` that everybody sees; null where a type has none.
COLUMN: Final = "CASE i.item_type_id {} END".format(
    " ".join(f"WHEN {item_type} THEN ({kind.sql})" for item_type, kind in KINDS.items())
)
# What only the viewer `me` sees of an `i` with `item_type_id` and `item_id`.
MINE: Final = "CASE i.item_type_id {} END".format(
    " ".join(f"WHEN {item_type} THEN ({kind.mine})" for item_type, kind in KINDS.items())
)


def members(item_type: int, text: str | None, mine: str | None) -> dict[str, Any]:
    """The type's own members of a detail or summary, in wire order; none for a type without details."""
    return KINDS[item_type].members(text, mine) if text else {}


def inline(item_type: int, text: str | None, mine: str | None, *, whole: bool = False) -> bytes:
    """The members of a summary as they stand inside a finished object, each with a leading comma.

    `whole`: those of a detail.
    """
    if not text:
        return b""
    kind = KINDS[item_type]
    found = (kind.members if whole else kind.summary or kind.members)(text, mine)
    return b"," + dumps(found)[1:-1] if found else b""


def flags(item_type: int, text: str | None, mine: str | None) -> dict[str, bool | None]:
    """The type's own members of meta.flags; None for one that a guest has not."""
    return KINDS[item_type].flags(mine) if text else {}


def has_last_comment(item_type: int) -> bool:
    """Whether a summary of this type shows its last comment (content 3.1)."""
    kind = KINDS.get(item_type)
    return kind is None or kind.has_last_comment


def until(item_type: int, text: str | None) -> datetime.datetime | None:
    """When time alone will change the details; None: never."""
    return KINDS[item_type].until(text) if text else None

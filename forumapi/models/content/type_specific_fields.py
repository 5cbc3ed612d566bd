"""Fields that only some types of item have (events, polls): one column in the statements of pages and lists.

The column is the text of a JSON array, so that a page or list of mixed types costs one statement, an item of a type
without such fields costs nothing, and an entry is decoded only when it is rendered. Each type that has some is listed
in SPECS with its `TypeSpecificFields` (type_specific_fields_interface.py).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final

from forumapi import itemtypes
from forumapi.models.content import event, poll
from forumapi.models.content.type_specific_fields_interface import TypeSpecificFields
from forumapi.wire.json_fragments import dumps

SPECS: Final[Mapping[int, TypeSpecificFields]] = {
    itemtypes.EVENT: event.SPEC,
    itemtypes.POLL: poll.SPEC,
}

# The details of an item `i` that everybody sees; null where a type has none.
COLUMN: Final = "CASE i.item_type_id {} END".format(
    " ".join(f"WHEN {item_type} THEN ({spec.sql})" for item_type, spec in SPECS.items())
)
# What only the viewer `me` sees of an `i` with `item_type_id` and `item_id`.
MINE: Final = "CASE i.item_type_id {} END".format(
    " ".join(f"WHEN {item_type} THEN ({spec.mine})" for item_type, spec in SPECS.items())
)


def members(item_type: int, text: str | None, mine: str | None) -> dict[str, Any]:
    """Return the members of an item's detail that only its type has, in wire order; {} for a type without details.

    `text` and `mine`: results of the type's `sql` and `mine` (see TypeSpecificFields), as in all functions below.
    """
    return SPECS[item_type].members(text, mine) if text else {}


def inline(item_type: int, text: str | None, mine: str | None, *, whole: bool = False) -> bytes:
    """Render the members of an item's summary that only its type has, as JSON members, each with a leading comma; b""
    if there are none. `text` and `mine`: as in `members`. `whole`: the members of its detail instead.
    """
    if not text:
        return b""
    spec = SPECS[item_type]
    members = (spec.members if whole else spec.summary or spec.members)(text, mine)
    return b"," + dumps(members)[1:-1] if members else b""


def flags(item_type: int, text: str | None, mine: str | None) -> dict[str, bool | None]:
    """Return the members of meta.flags that only this type has, by name; None as a value: the viewer is a guest, who
    doesn't have that flag. `text` and `mine`: as in `members`.
    """
    return SPECS[item_type].flags(mine) if text else {}


def has_last_comment(item_type: int) -> bool:
    """Return True if a summary of this type shows its last comment (content 3.1)."""
    spec = SPECS.get(item_type)
    return spec is None or spec.has_last_comment


def until(item_type: int, text: str | None) -> datetime.datetime | None:
    """Return the time at which the details will change without a write, such as the end of an event; None: never.
    `text`: as in `members`.
    """
    return SPECS[item_type].until(text) if text else None

"""Interface by which a type of item describes the fields that only it has: SQL columns, and members of JSON.

For reading only; type_specific_fields.py lists the types that have one.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, NamedTuple


def _nothing(_: str | None) -> dict[str, bool | None]:
    return {}


def _never(_: str) -> datetime.datetime | None:
    return None


class TypeSpecificFields(NamedTuple):
    """Fields that only one type of item has, for reading.

    `sql` selects what everybody sees as the text of a JSON array, given the item `i`. `mine` selects what only the
    viewer `%(me)s` sees, as text, given `%(site_id)s` and an `i` of which only `item_id` is known; for a guest it is
    not selected, or with 0 as `%(me)s`. Both go into the entity tag, so they must hold everything that is shown.

    `members` renders the object's members between `breadcrumb` and those of all items, in wire order, from the results
    of `sql` and `mine` (None where it was not selected). `flags` renders the members of meta.flags from the result of
    `mine`: None for a member that a guest's detail leaves out and a guest's summary shows as false. `summary` renders
    the members of a summary, if they differ from `members`. `has_last_comment`: a summary shows the item's last
    comment. `until` returns the time at which the result of `sql` will change by time alone, None for never.

    Processes keep the result of `sql`: its tables must be among those that sql/functions/site_changes.sql watches.
    """

    sql: str
    members: Callable[[str, str | None], dict[str, Any]]
    mine: str = "NULL::text"
    flags: Callable[[str | None], dict[str, bool | None]] = _nothing
    has_last_comment: bool = True
    until: Callable[[str], datetime.datetime | None] = _never
    summary: Callable[[str, str | None], dict[str, Any]] | None = None

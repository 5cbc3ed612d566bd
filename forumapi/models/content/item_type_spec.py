"""How a type of item says what it has beyond what all share. models/content/item_details.py names the types that do."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, NamedTuple

from forumapi.database.connections import Query


def _nothing(_: str | None) -> dict[str, bool | None]:
    return {}


def _never(_: str) -> datetime.datetime | None:
    return None


class Details(NamedTuple):
    """The details of one type of item, for reading.

    `sql` selects what everybody sees as the text of a JSON array, given the item `i`. `mine` selects what only the
    viewer `%(me)s` sees, as text, given `%(site_id)s` and an `i` of which only `item_id` is known; it is asked for
    members only. Both go into the entity tag, so they must hold everything that is shown.

    `members` are the object's members between `breadcrumb` and what follows, in wire order, given what `sql` selected
    and what `mine` did (None for a guest); `flags` those of meta.flags, from the latter: None for what a guest's detail
    leaves out and a guest's summary shows as false. `summary` are the members of a summary, where those are others than
    `members`. `until` says when time alone will change what `sql` selects.

    What `sql` reads is kept by processes: its tables must be among those that sql/functions/site_changes.sql watches.
    """

    sql: str
    members: Callable[[str, str | None], dict[str, Any]]
    mine: str = "NULL::text"
    flags: Callable[[str | None], dict[str, bool | None]] = _nothing
    has_last_comment: bool = True
    until: Callable[[str], datetime.datetime | None] = _never
    summary: Callable[[str, str | None], dict[str, Any]] | None = None


class New(NamedTuple):
    """The details of one new item, for writing.

    `duplicate` finds an equal item of the same author (it gets `values` and what item.DUPLICATE gets), `insert`
    stores them (it gets `values`, `site_id` and `item_id`).
    """

    duplicate: Query
    insert: Query
    values: dict[str, Any]

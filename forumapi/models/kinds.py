"""How a type of item says what it has beyond what all share. models/details.py names the types that do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from forumapi.db import Query


class Details(NamedTuple):
    """The details of one type of item, for reading.

    `sql` selects them as the text of a JSON array, given the item `i` and the viewer `%(me)s` (0: a guest). What it
    returns goes into the entity tag, so it must hold everything that is shown, a state that time alone changes
    included. `members` are the object's members between `breadcrumb` and what follows, in wire order; `flags` those of
    meta.flags, None for what a guest's detail leaves out and a guest's summary shows as false.
    """

    sql: str
    members: Callable[[str], dict[str, Any]]
    flags: Callable[[str], dict[str, bool | None]] = lambda _: {}
    has_last_comment: bool = True


class New(NamedTuple):
    """The details of one new item, for writing.

    `duplicate` finds an equal item of the same author (it gets `values` and what writing.DUPLICATE gets), `insert`
    stores them (it gets `values`, `site_id` and `item_id`).
    """

    duplicate: Query
    insert: Query
    values: dict[str, Any]

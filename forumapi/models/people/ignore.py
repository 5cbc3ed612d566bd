"""Ignored things of a profile, as clients write them (discovery 6). ignore_page.py reads the list.

The identity statement reads everything that the caller ignores, with each request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import Invalid
from forumapi.models.journal.journal import Author
from forumapi.models.people import read_mark

# Types of things that can be ignored (I-01).
IGNORABLE: Final = frozenset(
    {
        itemtypes.MICROCOSM,
        itemtypes.PROFILE,
        itemtypes.HUDDLE,
        itemtypes.CONVERSATION,
        itemtypes.POLL,
        itemtypes.EVENT,
    }
)
# Each request of a profile reads all that it ignores, so the number is bounded.
MOST: Final = 1_000
# Entries of one batch.
MOST_AT_ONCE: Final = 100

# Returns how many things are ignored afterwards.
INSERT = Query(
    "ignore.insert",
    """
    WITH added AS (
        INSERT INTO ignores (site_id, profile_id, item_type_id, item_id)
        SELECT %(site_id)s, %(me)s, w.item_type_id, w.item_id
          FROM unnest(%(types)s::smallint[], %(ids)s::bigint[]) AS w (item_type_id, item_id)
         ORDER BY w.item_type_id, w.item_id
            ON CONFLICT DO NOTHING
     RETURNING 1)
    SELECT (SELECT count(*) FROM ignores g WHERE g.site_id = %(site_id)s AND g.profile_id = %(me)s)
         + (SELECT count(*) FROM added)""",
)

DELETE = Query(
    "ignore.delete",
    """
    DELETE FROM ignores g
     USING unnest(%(types)s::smallint[], %(ids)s::bigint[]) AS w (item_type_id, item_id)
     WHERE g.site_id = %(site_id)s AND g.profile_id = %(me)s AND g.item_type_id = w.item_type_id
       AND g.item_id = w.item_id""",
)


class Ignore(NamedTuple):
    """Thing that the author ignores, by type and id; several are written at a time. A write that concerns people or
    huddles counts the author's unread huddles anew.
    """

    item_type: int
    item_id: int

    @classmethod
    def insert(
        cls, tx: Transaction, author: Author, things: Sequence[Ignore], *, place: str = ""
    ) -> None:
        """Store that the author ignores these things; one that is ignored already stays. The caller checks permission.

        Raises Invalid if the author then ignores more than MOST. `place`: for the error's message, the field of the
        body that holds the things, "" for the body itself.
        """
        if tx.value(INSERT, **_of(author), **_arrays(things)) > MOST:
            raise Invalid(place, f"A profile can ignore at most {MOST} things")
        _recount(tx, author, things)

    @classmethod
    def delete(cls, tx: Transaction, author: Author, things: Sequence[Ignore]) -> None:
        """Delete these things from those that the author ignores; a thing that is not ignored is skipped."""
        tx.run(DELETE, **_of(author), **_arrays(things))
        _recount(tx, author, things)


def _of(author: Author) -> dict[str, int]:
    return {"site_id": author.site_id, "me": author.profile_id}


def _arrays(things: Sequence[Ignore]) -> dict[str, Any]:
    return {
        "types": [thing.item_type for thing in things],
        "ids": [thing.item_id for thing in things],
    }


def _recount(tx: Transaction, author: Author, things: Sequence[Ignore]) -> None:
    """Count the author's unread huddles anew, if people or huddles are among `things`: ignored huddles, and those in
    which only ignored people wrote, count as read (I-02).
    """
    if any(thing.item_type in (itemtypes.PROFILE, itemtypes.HUDDLE) for thing in things):
        read_mark.count_huddles(tx, author.site_id, [author.profile_id])

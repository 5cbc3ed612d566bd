"""Function that reads a page of a short list together with the number of all its rows, in one statement."""

from __future__ import annotations

from forumapi.database.connections import Reader
from forumapi.database.query import Query, Row
from forumapi.wire.paging import Paging


def page(
    tx: Reader, listing: Query, count: Query, at: Paging, **which: object
) -> tuple[list[Row], int]:
    """Return the rows of the page `at`, in the order of `listing`, and the number of all rows.

    `listing` has that number as its last column, which is removed; `count` reads it, and runs only if a page after the
    first is empty. `which`: parameters of both statements.
    """
    rows = tx.rows(listing, limit=at.limit, offset=at.offset, **which)
    if rows:
        return [row[:-1] for row in rows], int(rows[0][-1])
    return [], int(tx.value(count, **which)) if at.offset else 0

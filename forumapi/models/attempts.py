"""Limits that all nodes share: how often something was tried, one row a window (architecture, processes)."""

from __future__ import annotations

from typing import NamedTuple

from forumapi.addresses import caller
from forumapi.db import Query, Transaction
from forumapi.errors import TooMany

# Windows start at whole multiples of their length, so that every node counts in the same row.
TAKE = Query(
    "attempts.take",
    """
    INSERT INTO attempt_counters AS a (kind, subject, window_start, attempts)
    VALUES (%(kind)s, %(subject)s,
            to_timestamp(floor(extract(epoch FROM now()) / %(window_s)s::int) * %(window_s)s::int), 1)
        ON CONFLICT (kind, subject, window_start) DO UPDATE SET attempts = a.attempts + 1
 RETURNING attempts, ceil(extract(epoch FROM window_start) + %(window_s)s::int - extract(epoch FROM now()))::int""",
)

FORGET_OLD = Query(
    "attempts.forget_old",
    "DELETE FROM attempt_counters a WHERE a.window_start < now() - interval '2 days'",
)


class Limit(NamedTuple):
    """At most `most` attempts of `kind` within each window of `window_s` seconds (a day at most)."""

    kind: str
    most: int
    window_s: int


def take(tx: Transaction, limit: Limit, subject: str) -> None:
    """Count one attempt of `subject`. Raises TooMany (429) beyond the limit; the count then stays where it is.

    Call it in a transaction of its own: what is refused for another reason must be counted all the same.
    """
    row = tx.row(TAKE, kind=limit.kind, subject=subject, window_s=limit.window_s)
    assert row is not None, "an upsert returns its row"
    attempts, left_s = row
    if attempts > limit.most:
        raise TooMany("Too many attempts; try again later", left_s)


def take_caller(tx: Transaction, limit: Limit, ip: str) -> None:
    """Count one attempt of whoever calls from `ip`; a peer without an address (a unix socket) is not counted."""
    if ip:
        take(tx, limit, caller(ip))


def forget_old(tx: Transaction) -> int:
    """Delete the rows of windows that are long over; how many there were."""
    return tx.run(FORGET_OLD)

"""Rate limits that all nodes share: attempts are counted in the database, one row a window."""

from __future__ import annotations

from typing import Final, NamedTuple

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import OUT_OF_RANGE, Invalid, TooMany
from forumapi.wire.client_address import network

DAY_S: Final = 86_400
# The one kind whose windows are longer than a day.
LONG: Final = "invitation-address"

# SQL: windows start at whole multiples of their length, so that every node counts in the same row.
WINDOW: Final = (
    "to_timestamp(floor(extract(epoch FROM now()) / %(window_s)s::int) * %(window_s)s::int)"
)
# SQL: seconds until the window ends.
LEFT_S: Final = (
    "ceil(extract(epoch FROM window_start) + %(window_s)s::int - extract(epoch FROM now()))::int"
)

TAKE = Query(
    "rate_counters.take",
    f"""
    INSERT INTO attempt_counters AS a (kind, subject, window_start, attempts)
    VALUES (%(kind)s, %(subject)s, {WINDOW}, %(count)s)
        ON CONFLICT (kind, subject, window_start) DO UPDATE SET attempts = a.attempts + EXCLUDED.attempts
 RETURNING attempts, {LEFT_S}""",
)

FORGET_OLD = Query(
    "rate_counters.forget_old",
    f"""
    DELETE FROM attempt_counters a
     WHERE a.window_start < now() - CASE a.kind WHEN '{LONG}' THEN interval '31 days' ELSE interval '2 days' END""",
)


class Limit(NamedTuple):
    """Limit of `most` attempts by each subject in a window of `window_s` seconds. `kind`: name of what is attempted;
    kinds are counted apart. A window lasts at most a day, of the kind LONG at most a month. `most` 0: the functions of
    this module refuse every attempt.
    """

    kind: str
    most: int
    window_s: int


def take(
    tx: Transaction, limit: Limit, subject: str, rule: str = "Too many attempts; try again later"
) -> None:
    """Count one attempt of `subject`, for example a user's id. Raises TooMany (429) beyond the limit, with the text
    `rule`.

    Call it in a transaction of its own, so that an attempt stays counted even if the request fails later; TooMany rolls
    back the count of an attempt beyond the limit.
    """
    attempts, left_s = _taken(tx, limit, subject, 1)
    if attempts > limit.most:
        raise TooMany(rule, left_s)


def take_many(tx: Transaction, limit: Limit, subject: str, count: int, field: str) -> None:
    """Count `count` attempts of `subject`, all or none. Call it in the transaction that does what is counted.

    Raises Invalid, which names `field`, for a `count` over the limit of a window, and TooMany for more than this window
    has left.
    """
    if count > limit.most:
        raise Invalid(field, f"may be asked for at most {limit.most} at once", code=OUT_OF_RANGE)
    attempts, left_s = _taken(tx, limit, subject, count)
    if attempts > limit.most:
        left = limit.most - (attempts - count)
        raise TooMany(f"{max(left, 0)} of {limit.most} are left; try again later", left_s)


def _taken(tx: Transaction, limit: Limit, subject: str, count: int) -> tuple[int, int]:
    """Add `count` attempts of `subject`; return their number in this window, also beyond the limit, and the seconds
    until the window ends.
    """
    row = tx.row(TAKE, kind=limit.kind, subject=subject, window_s=limit.window_s, count=count)
    assert row is not None, "an upsert returns its row"
    return row[0], row[1]


def take_client_address(tx: Transaction, limit: Limit, ip: str) -> None:
    """Count one attempt of the network of `ip` by `take`, so call it in a transaction of its own, too; "", a peer
    without an address (a Unix socket), is not counted. Raises TooMany beyond the limit.
    """
    if ip:
        take(tx, limit, network(ip))


def forget_old(tx: Transaction) -> int:
    """Delete the rows of windows that began more than two days ago (of the kind LONG: 31 days ago); return their
    number.
    """
    return tx.run(FORGET_OLD)

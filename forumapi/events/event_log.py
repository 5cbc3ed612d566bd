"""Event log: numbers for committed events in the order of their commits, and cursors of readers (docs/decisions/0010).

Writers only insert (models/journal/journal.py). An event gets its number once the sequencer has seen it committed: one
that is committed later gets a later number, so a reader never passes a number that is given afterwards, and a
transaction that stays open delays nobody. Numbers have no gaps within a site.
"""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from forumapi.database.connections import Connection, Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.events.lease import HOLD as HOLD_LEASE
from forumapi.events.lease import Lease, LostError

# Channel notified of new numbers; its payload is not to be relied on.
NUMBERED: Final = b"forumapi_numbered"

# ---------------------------------------------------------------- numbering

# Visible to this statement and not to the one that numbered last. Exact, as in docs/decisions/0008. A database restored
# from a copy into another server may count its transactions from a lower number: then every event is looked up.
_LAST: Final = "SELECT q.snapshot FROM event_sequencer q"
_RESTORED: Final = f"pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax(({_LAST}))"
# Events without a number.
FRESH: Final = f"""
               e.xid >= (SELECT pg_snapshot_xmin(q.snapshot) FROM event_sequencer q)
           AND NOT pg_visible_in_snapshot(e.xid, ({_LAST}))"""
_MISSING: Final = """
               NOT EXISTS (SELECT 1 FROM event_sequence s
                            WHERE s.site_id = e.site_id AND s.event_id = e.event_id)"""

PENDING = Query(
    "event_log.pending",
    f"SELECT {_RESTORED}, EXISTS (SELECT 1 FROM event_log e WHERE {FRESH})",
    scope=PLATFORM,
)

# One sequencer at a time; the next statement sees all numbers of the one before.
HOLD = Query("event_log.hold", "SELECT q.one FROM event_sequencer q FOR UPDATE")

_NUMBER: Final = """
    WITH fresh AS MATERIALIZED (
        SELECT e.site_id, e.event_id, e.created,
               row_number() OVER (PARTITION BY e.site_id ORDER BY e.event_id) AS place
          FROM event_log e
         WHERE {which}),
    heads AS (
        INSERT INTO event_heads AS h (site_id, number)
        SELECT f.site_id, count(*) FROM fresh f GROUP BY f.site_id ORDER BY f.site_id
            ON CONFLICT (site_id) DO UPDATE SET number = h.number + EXCLUDED.number
     RETURNING h.site_id, h.number),
    counted AS (
        SELECT h.site_id, h.number - (SELECT count(*) FROM fresh f WHERE f.site_id = h.site_id) AS before
          FROM heads h),
    numbered AS (
        INSERT INTO event_sequence (site_id, number, event_id, created)
        SELECT f.site_id, c.before + f.place, f.event_id, f.created
          FROM fresh f
          JOIN counted c ON c.site_id = f.site_id),
    moved AS (
        UPDATE event_sequencer q SET snapshot = pg_current_snapshot())
    SELECT count(*)::int FROM fresh"""
NUMBER = Query("event_log.number", _NUMBER.format(which=FRESH), scope=PLATFORM)
NUMBER_MISSING = Query("event_log.number_missing", _NUMBER.format(which=_MISSING), scope=PLATFORM)


def number(connection: Connection, lease: Lease | None = None) -> int:
    """Number the events that were committed since the last call, in a transaction of its own over `connection`, which
    has none open, and notify listeners of the channel NUMBERED; return how many. Raises psycopg.Error, and LostError if
    `lease`, which the caller must hold, has passed to another process.

    With `lease` None any number of processes may call it at once. Within a site numbers follow the order of commits;
    events that one call finds are numbered by their ids, which for each single object is the order of its commits.
    """
    (row,), _ = connection.execute(PENDING, {})
    is_restored, is_pending = row
    if not is_pending and not is_restored:
        return 0
    connection.command(b"BEGIN")
    try:
        if lease is not None and not connection.execute(HOLD_LEASE, lease.turn)[0]:
            raise LostError
        connection.execute(HOLD, {})
        (counted,), _ = connection.execute(NUMBER_MISSING if is_restored else NUMBER, {})
        connection.command(b"NOTIFY " + NUMBERED)
    except BaseException:
        connection.command(b"ROLLBACK")
        raise
    connection.command(b"COMMIT")
    return int(counted[0])


# ---------------------------------------------------------------- reading

# Sites with unread events of this reader.
BEHIND = Query(
    "event_log.behind",
    """
    SELECT h.site_id
      FROM event_heads h
      LEFT JOIN event_cursors c ON c.reader = %(reader)s AND c.site_id = h.site_id
     WHERE h.number > coalesce(c.number, 0)
     ORDER BY h.site_id""",
    scope=PLATFORM,
)

BEGIN = Query(
    "event_log.begin",
    """
    INSERT INTO event_cursors (reader, site_id) VALUES (%(reader)s, %(site_id)s)
        ON CONFLICT DO NOTHING""",
)

# A held cursor is skipped: its holder reads the site.
CURSOR = Query(
    "event_log.cursor",
    """
    SELECT c.number, h.number
      FROM event_cursors c
      JOIN event_heads h ON h.site_id = c.site_id
     WHERE c.reader = %(reader)s AND c.site_id = %(site_id)s
       FOR UPDATE OF c SKIP LOCKED""",
)

READ = Query(
    "event_log.read",
    """
    SELECT s.number, e.kind, e.item_type_id, e.item_id, coalesce(e.parent_type_id, 0::smallint),
           coalesce(e.parent_id, 0), coalesce(e.microcosm_id, 0), coalesce(e.actor_id, 0), coalesce(e.version, 0),
           coalesce(e.detail @> '{"import": true}', false), e.created, coalesce((e.detail ->> 'movedFrom')::bigint, 0)
      FROM event_sequence s
      JOIN event_log e ON e.site_id = s.site_id AND e.event_id = s.event_id AND e.created = s.created
     WHERE s.site_id = %(site_id)s AND s.number > %(after)s AND s.number <= %(upto)s
     ORDER BY s.number
     LIMIT %(limit)s""",
)

MOVE = Query(
    "event_log.move",
    """
    UPDATE event_cursors c
       SET number = %(number)s, moved = now()
     WHERE c.reader = %(reader)s AND c.site_id = %(site_id)s""",
)


class LoggedEvent(NamedTuple):
    """Event of the log: a committed change of an object of a site (`item_type`, `item_id`). `number`: its place in the
    order of the site's commits; `kind`: one of journal.py's, such as CREATED; `parent_…`: the thing that the object
    hangs on; `microcosm_id`: that in which the object is, after the change; `moved_from`: the one that the object left;
    `actor_id`: profile that made the change; `version`: the object's after the change; `created`: time of the change,
    aware. Each number is 0 for none.

    `is_import`: the change was made by an import, of which nobody is notified.
    """

    number: int
    kind: str  # models/journal/journal.py
    item_type: int
    item_id: int
    parent_type: int
    parent_id: int
    microcosm_id: int
    actor_id: int
    version: int
    is_import: bool  # no notification of its own
    created: datetime.datetime
    moved_from: int = 0  # the microcosm that the item left


class Batch(NamedTuple):
    """Events of a site for a reader, by ascending number, [] if none of them is still stored; `upto`: number to which
    the reader moves its cursor after them, past events that are no longer stored.
    """

    events: list[LoggedEvent]
    upto: int


def between(tx: Reader, site_id: int, after: int, upto: int, limit: int) -> list[LoggedEvent]:
    """Return the first `limit` events of a site, by ascending number, with a number above `after` and up to `upto`
    (inclusive) that are still stored.
    """
    rows = tx.rows(READ, site_id=site_id, after=after, upto=upto, limit=limit)
    return [LoggedEvent(*row) for row in rows]


def behind(tx: Reader, reader: str, query: Query = BEHIND) -> list[int]:
    """Return the ids of sites that have events after the cursor of `reader`, in the order of `query`, the statement
    that finds the sites: BEHIND finds all, another may leave out sites with none but events that this reader does not
    need.
    """
    return [row[0] for row in tx.rows(query, reader=reader)]


def begin(tx: Transaction, reader: str, site_id: int, limit: int) -> Batch | None:
    """Lock the cursor of `reader` on a site until the transaction ends, and return the next events after it, `limit` at
    most. A reader without a cursor there gets one, before the first event.

    None if no number follows the cursor, or another transaction has locked it. Events that are no longer stored are
    skipped, so that the batch may have none. The caller calls `move` with the batch's `upto` in the same transaction.
    """
    tx.run(BEGIN, reader=reader, site_id=site_id)
    row = tx.row(CURSOR, reader=reader, site_id=site_id)
    if row is None or row[0] >= row[1]:
        return None
    events = between(tx, site_id, row[0], row[1], limit)
    return Batch(events, events[-1].number if len(events) == limit else row[1])


def move(tx: Transaction, reader: str, site_id: int, number: int) -> None:
    """Move the cursor of `reader` on a site to `number`, a batch's `upto`, in the transaction in which the events up to
    it took effect.
    """
    tx.run(MOVE, reader=reader, site_id=site_id, number=number)

"""Deliveries to webhooks: one row for each event and webhook, until it is sent or becomes a dead letter.

A reader of the event log (events/readers.py) queues the rows; one is deleted when it was sent. Events of one thing are
sent in their order: a row waits while an earlier one of the same thing is queued.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query, Row
from forumapi.events.event_log import LoggedEvent
from forumapi.models.cases import case
from forumapi.models.pages import page_with_total
from forumapi.wire import json_fragments
from forumapi.wire.paging import Paging

# Rows that may wait for a webhook which fails; events beyond are passed over, and the webhook keeps from which on.
MOST_WAITING: Final = 10_000
# Events that one request replays at most.
MOST_REPLAYED: Final = 10_000
# A number that no event has.
LAST: Final = 2**62
# A webhook that failed this often in a row was down: once it is back, all its deliveries are due at once.
DOWN: Final = 3

QUEUED: Final = "queued"
SENT: Final = "sent"
DEAD: Final = "dead"
STATES: Final = (QUEUED, SENT, DEAD)
PING: Final = "ping"

# Sites with an enabled webhook: the others' logs are not read for this.
BEHIND = Query(
    "webhook_delivery.behind",
    """
    SELECT h.site_id
      FROM event_heads h
      LEFT JOIN event_cursors c ON c.reader = %(reader)s AND c.site_id = h.site_id
     WHERE h.number > coalesce(c.number, 0)
       AND EXISTS (SELECT FROM webhooks w WHERE w.site_id = h.site_id AND w.is_enabled)
     ORDER BY h.site_id""",
    scope=PLATFORM,
)

_EVENT: Final = """
           s.number, e.kind, e.item_type_id, e.item_id, coalesce(e.parent_type_id, 0::smallint) AS parent_type_id,
           coalesce(e.parent_id, 0) AS parent_id, coalesce(e.microcosm_id, 0) AS microcosm_id,
           coalesce(e.version, 0) AS version, e.created AS occurred"""
_LOG: Final = """
      FROM event_sequence s
      JOIN event_log e ON e.site_id = s.site_id AND e.event_id = s.event_id AND e.created = s.created"""
# Condition: webhook w subscribes to event e. A thing that was patched or moved may be gone for w, which the delivery
# finds out; a comment in a huddle takes both types; a profile's event without a version, a ban, changed nothing shown.
_WANTED: Final = f"""
               (e.kind = ANY(w.kinds)
                OR 'deleted' = ANY(w.kinds) AND (e.kind = 'patched' OR e.detail ? 'movedFrom'))
           AND e.item_type_id = ANY(w.item_types)
           AND (coalesce(e.parent_type_id, 0) <> {itemtypes.HUDDLE} OR {itemtypes.HUDDLE} = ANY(w.item_types))
           AND (e.item_type_id <> {itemtypes.PROFILE} OR e.version > 0)
           AND NOT coalesce(e.detail @> '{{"import": true}}', false)"""

_RECORDS: Final = ", ".join(str(kind) for kind in sorted(itemtypes.RECORDS))


def _in_reach(thing: str, profile_id: str) -> str:
    """Return an SQL condition on a delivery or event, of two parts: it is not about a huddle, unless the profile takes
    part in the huddle now; and it is not about a report, case or appeal, unless that concerns nothing which the profile
    wrote. `thing`: SQL alias of the row of webhook_deliveries or event_log; `profile_id`: SQL expression of the
    profile's id.
    """
    return f"""
               ({itemtypes.HUDDLE} NOT IN ({thing}.item_type_id, coalesce({thing}.parent_type_id, 0))
                OR EXISTS (SELECT FROM huddle_participants h
                            WHERE h.site_id = {thing}.site_id AND h.profile_id = {profile_id}
                              AND h.item_id = CASE {thing}.item_type_id WHEN {itemtypes.HUDDLE}
                                              THEN {thing}.item_id ELSE {thing}.parent_id END))
           AND ({thing}.item_type_id NOT IN ({_RECORDS})
                OR EXISTS (SELECT FROM cases k
                            WHERE k.site_id = {thing}.site_id
                              AND k.case_id = CASE {thing}.item_type_id WHEN {itemtypes.CASE}
                                              THEN {thing}.item_id ELSE {thing}.parent_id END
                              AND {case.of_others(profile_id)}))"""


_TO_VIEWER: Final = _in_reach("d", "%(viewer)s")
_INTO: Final = """
    INSERT INTO webhook_deliveries AS d (site_id, webhook_id, number, kind, item_type_id, item_id, parent_type_id,
                                         parent_id, microcosm_id, version, occurred)"""

QUEUE = Query(
    "webhook_delivery.queue",
    f"""
    WITH wanted AS MATERIALIZED (
        SELECT w.webhook_id, w.failures, {_EVENT} {_LOG}
          JOIN webhooks w ON w.site_id = s.site_id AND w.is_enabled AND s.number > w.begins
         WHERE s.site_id = %(site_id)s AND s.number = ANY(%(numbers)s) AND {_WANTED}
           AND {_in_reach("e", "w.acts_as")}),
    full_ones AS MATERIALIZED (
        SELECT f.webhook_id
          FROM (SELECT DISTINCT x.webhook_id FROM wanted x WHERE x.failures > 0) f
         WHERE EXISTS (SELECT FROM webhook_deliveries d
                        WHERE d.site_id = %(site_id)s AND d.webhook_id = f.webhook_id AND d.state = 'queued'
                       OFFSET %(most)s::int)),
    missed AS (
        UPDATE webhooks w
           SET missed_from = coalesce(w.missed_from, m.first), missed_upto = m.last
          FROM (SELECT x.webhook_id, min(x.number) AS first, max(x.number) AS last
                  FROM wanted x JOIN full_ones USING (webhook_id) GROUP BY x.webhook_id) m
         WHERE w.site_id = %(site_id)s AND w.webhook_id = m.webhook_id)
    {_INTO}
    SELECT %(site_id)s, x.webhook_id, x.number, x.kind, x.item_type_id, x.item_id, x.parent_type_id, x.parent_id,
           x.microcosm_id, x.version, x.occurred
      FROM wanted x
     WHERE x.webhook_id NOT IN (SELECT f.webhook_id FROM full_ones f)
        ON CONFLICT DO NOTHING""",
)

PUT_PING = Query(
    "webhook_delivery.put_ping",
    """
    INSERT INTO webhook_deliveries (site_id, webhook_id, number, kind)
    SELECT %(site_id)s, %(webhook_id)s, -(extract(epoch FROM clock_timestamp()) * 1000)::bigint, 'ping'
     WHERE NOT EXISTS (SELECT FROM webhook_deliveries d
                        WHERE d.site_id = %(site_id)s AND d.webhook_id = %(webhook_id)s AND d.state = 'queued'
                          AND d.number < 0)
        ON CONFLICT DO NOTHING""",
)

_IS_DUE: Final = """
               d.site_id = w.site_id AND d.webhook_id = w.webhook_id AND d.state = 'queued' AND d.not_before <= now()
           AND (d.number < 0 OR w.is_enabled AND coalesce(w.parked_until <= now(), true))"""

DUE = Query(
    "webhook_delivery.due",
    f"""
    SELECT w.site_id, w.webhook_id
      FROM webhooks w
      JOIN sites s ON s.site_id = w.site_id AND NOT s.is_deleted
     WHERE w.claimed_until < now() AND EXISTS (SELECT FROM webhook_deliveries d WHERE {_IS_DUE})
     ORDER BY w.claimed
     LIMIT %(limit)s""",
    scope=PLATFORM,
)

CLAIM = Query(
    "webhook_delivery.claim",
    """
    UPDATE webhooks w
       SET claimed = now(), claimed_until = now() + make_interval(secs => %(lease_s)s::int)
     WHERE w.site_id = %(site_id)s AND w.webhook_id = %(webhook_id)s AND w.claimed_until < now()
 RETURNING w.claimed""",
)

RELEASE = Query(
    "webhook_delivery.release",
    """
    UPDATE webhooks w
       SET claimed_until = '-infinity'
     WHERE w.site_id = %(site_id)s AND w.webhook_id = %(webhook_id)s AND w.claimed = %(claimed)s""",
)

# Condition: no other process has claimed the webhook w since %(claimed)s.
_IS_HELD: Final = """
               w.site_id = %(site_id)s AND w.webhook_id = %(webhook_id)s AND w.claimed = %(claimed)s"""

NEXT = Query(
    "webhook_delivery.next",
    f"""
    SELECT n.number, n.kind, n.item_type_id, n.item_id, n.parent_type_id, n.parent_id, n.microcosm_id, n.version,
           n.occurred, n.attempts, n.message_id::text, w.url, w.secret,
           CASE WHEN w.old_secret_until > now() THEN w.old_secret END, coalesce(w.acts_as, 0), w.with_documents,
           w.kinds, w.failures
      FROM webhooks w
     CROSS JOIN LATERAL (
            SELECT d.*
              FROM webhook_deliveries d
             WHERE {_IS_DUE}
               AND NOT EXISTS (SELECT FROM webhook_deliveries b
                                WHERE b.site_id = d.site_id AND b.webhook_id = d.webhook_id AND b.state = 'queued'
                                  AND b.item_type_id = d.item_type_id AND b.item_id = d.item_id
                                  AND b.number < d.number)
             ORDER BY d.number
             LIMIT 1) n
     WHERE {_IS_HELD} AND w.claimed_until > now()""",
)

_THIS: Final = """
               d.site_id = %(site_id)s AND d.webhook_id = %(webhook_id)s AND d.number = %(number)s
           AND d.state = 'queued'"""

# For an event that the profile which the webhook acts as may not see: it leaves no trace.
DROP = Query("webhook_delivery.drop", f"DELETE FROM webhook_deliveries d WHERE {_THIS}")

# A claim that another process has taken over is that process's to renew.
_RENEWED: Final = """claimed_until = CASE WHEN w.claimed = %(claimed)s
                                    THEN now() + make_interval(secs => %(lease_s)s::int) ELSE w.claimed_until END"""

_SUCCEEDED: Final = f"""
    at_once AS (
        UPDATE webhook_deliveries d
           SET not_before = now()
          FROM webhooks w
         WHERE w.site_id = %(site_id)s AND w.webhook_id = %(webhook_id)s AND w.failures >= {DOWN}
           AND d.site_id = w.site_id AND d.webhook_id = w.webhook_id AND d.state = 'queued' AND d.not_before > now()
           AND d.number <> %(number)s)
    UPDATE webhooks w
       SET failures = 0, failing_since = NULL, parked_until = NULL, sent_count = w.sent_count + 1, last_sent = now(),
           last_status = %(status)s, last_error = NULL, {_RENEWED}
     WHERE w.site_id = %(site_id)s AND w.webhook_id = %(webhook_id)s"""
DONE = Query(
    "webhook_delivery.done",
    f"WITH done AS (DELETE FROM webhook_deliveries d WHERE {_THIS}), {_SUCCEEDED}",
)
# The outcome of a test stays to be read.
DONE_PING = Query(
    "webhook_delivery.done_ping",
    f"""
    WITH done AS (
        UPDATE webhook_deliveries d
           SET state = 'sent', attempts = d.attempts + 1, last_status = %(status)s
         WHERE {_THIS}),
    {_SUCCEEDED}""",
)

FAIL_PING = Query(
    "webhook_delivery.fail_ping",
    f"""
    UPDATE webhook_deliveries d
       SET state = 'dead', attempts = d.attempts + 1, last_status = nullif(%(status)s::int, 0), last_error = %(error)s
     WHERE {_THIS} AND EXISTS (SELECT FROM webhooks w WHERE {_IS_HELD})""",
)

# A failed delivery is tried again later, or given up with all others that have waited for too long; the webhook pauses.
# A webhook that another process has claimed meanwhile is left alone: that process tries the same delivery.
FAIL = Query(
    "webhook_delivery.fail",
    f"""
    WITH paused AS (
        UPDATE webhooks w
           SET failures = w.failures + 1, failing_since = coalesce(w.failing_since, now()),
               parked_until = now() + make_interval(secs => %(pause_s)s::float8),
               last_status = nullif(%(status)s::int, 0), last_error = %(error)s,
               claimed_until = now() + make_interval(secs => %(lease_s)s::int),
               disabled = CASE WHEN %(status)s::int = 410 THEN 'gone'
                               WHEN w.failing_since < now() - make_interval(days => %(days)s::int) THEN 'failing'
                               ELSE '' END
         WHERE {_IS_HELD}
     RETURNING w.disabled),
    failed AS (
        UPDATE webhook_deliveries d
           SET attempts = d.attempts + 1, not_before = now() + make_interval(secs => %(wait_s)s::float8),
               last_status = nullif(%(status)s::int, 0), last_error = %(error)s,
               state = CASE WHEN d.queued < now() - make_interval(hours => %(hours)s::int) THEN 'dead'
                            ELSE 'queued' END
         WHERE {_THIS} AND EXISTS (SELECT FROM paused)
     RETURNING d.state),
    late AS (
        UPDATE webhook_deliveries d
           SET state = 'dead', last_error = 'The receiver did not answer in time to be asked'
         WHERE d.site_id = %(site_id)s AND d.webhook_id = %(webhook_id)s AND d.state = 'queued'
           AND d.number <> %(number)s AND d.queued < now() - make_interval(hours => %(hours)s::int)
           AND EXISTS (SELECT FROM paused)
     RETURNING 1)
    SELECT (SELECT count(*) FROM failed WHERE state = 'dead')::int + (SELECT count(*) FROM late)::int,
           coalesce((SELECT p.disabled FROM paused p), '')""",
)

# Deliveries that wait for a webhook which was disabled become dead letters, which can be replayed.
BURY = Query(
    "webhook_delivery.bury",
    """
    UPDATE webhook_deliveries d
       SET state = 'dead', last_error = 'The webhook was disabled'
     WHERE d.site_id = %(site_id)s AND d.webhook_id = %(webhook_id)s AND d.state = 'queued'""",
)

DISABLE = Query(
    "webhook_delivery.disable",
    """
    UPDATE webhooks w
       SET is_enabled = false, parked_until = NULL
      FROM sites s
      JOIN profiles p ON p.site_id = s.site_id
      JOIN users u ON u.user_id = p.user_id
     WHERE w.site_id = %(site_id)s AND w.webhook_id = %(webhook_id)s AND w.is_enabled
       AND s.site_id = w.site_id AND p.profile_id = coalesce(s.owned_by, w.created_by)
 RETURNING u.email, s.title, w.name, w.url, coalesce(w.last_error, ''), w.failing_since""",
)

PAGE = Query(
    "webhook_delivery.page",
    f"""
    SELECT d.message_id::text, d.number, d.state, d.kind, d.item_type_id, d.item_id, d.parent_type_id, d.parent_id,
           d.version, d.occurred, d.queued, d.attempts, d.not_before, coalesce(d.last_status, 0),
           coalesce(d.last_error, ''), count(*) OVER ()
      FROM webhook_deliveries d
     WHERE d.site_id = %(site_id)s AND d.webhook_id = %(webhook_id)s AND d.state = %(state)s
       AND {_TO_VIEWER}
     ORDER BY d.number LIMIT %(limit)s::int OFFSET %(offset)s::int""",
)

COUNT = Query(
    "webhook_delivery.count",
    f"""
    SELECT count(*)
      FROM webhook_deliveries d
     WHERE d.site_id = %(site_id)s AND d.webhook_id = %(webhook_id)s AND d.state = %(state)s
       AND {_TO_VIEWER}""",
)

_AGAIN: Final = (
    "state = 'queued', attempts = 0, queued = now(), not_before = now(), last_error = NULL"
)

REPLAY_DEAD = Query(
    "webhook_delivery.replay_dead",
    f"""
    WITH chosen AS (
        SELECT d.number
          FROM webhook_deliveries d
         WHERE d.site_id = %(site_id)s AND d.webhook_id = %(webhook_id)s AND d.state = 'dead' AND d.number > 0
           AND d.number BETWEEN %(first)s::bigint AND %(last)s::bigint
           AND {_TO_VIEWER}
         ORDER BY d.number LIMIT %(most)s::int),
    again AS (
        UPDATE webhook_deliveries d
           SET {_AGAIN}
          FROM chosen c
         WHERE d.site_id = %(site_id)s AND d.webhook_id = %(webhook_id)s AND d.number = c.number)
    SELECT count(*)::int, coalesce(max(c.number), 0) FROM chosen c""",
)

REPLAY_ONE = Query(
    "webhook_delivery.replay_one",
    f"""
    UPDATE webhook_deliveries d
       SET {_AGAIN}
     WHERE d.site_id = %(site_id)s AND d.webhook_id = %(webhook_id)s AND d.message_id::text = %(message_id)s
       AND d.state = 'dead' AND d.number > 0
       AND {_TO_VIEWER}""",
)

REPLAY_ALL = Query(
    "webhook_delivery.replay_all",
    f"""
    WITH chosen AS MATERIALIZED (
        SELECT w.webhook_id, {_EVENT} {_LOG}
          JOIN webhooks w ON w.site_id = s.site_id AND w.webhook_id = %(webhook_id)s
         WHERE s.site_id = %(site_id)s AND s.number BETWEEN %(first)s AND %(last)s AND {_WANTED}
           AND {_in_reach("e", "%(viewer)s")}
         ORDER BY s.number LIMIT %(most)s::int),
    again AS (
        {_INTO}
        SELECT %(site_id)s, x.webhook_id, x.number, x.kind, x.item_type_id, x.item_id, x.parent_type_id, x.parent_id,
               x.microcosm_id, x.version, x.occurred
          FROM chosen x
            ON CONFLICT (site_id, webhook_id, number) DO UPDATE SET {_AGAIN} WHERE d.state = 'dead')
    SELECT count(*)::int, coalesce(max(c.number), 0) FROM chosen c""",
)

REPLAYED = Query(
    "webhook_delivery.replayed",
    """
    UPDATE webhooks w
       SET missed_from = CASE WHEN w.missed_upto > %(last)s::bigint THEN greatest(w.missed_from, %(last)s::bigint + 1)
                              END,
           missed_upto = CASE WHEN w.missed_upto > %(last)s::bigint THEN w.missed_upto END
     WHERE w.site_id = %(site_id)s AND w.webhook_id = %(webhook_id)s
       AND w.missed_from BETWEEN %(first)s::bigint AND %(last)s::bigint""",
)

FORGET = Query(
    "webhook_delivery.forget",
    """
    DELETE FROM webhook_deliveries d
     WHERE d.state <> 'queued' AND d.queued < now() - make_interval(days => %(days)s::int)""",
    scope=PLATFORM,
)


class DueDelivery(NamedTuple):
    """Delivery that is due, with the settings of its webhook. `number`: that of its event, below 0 for a test; `kind`:
    that of the event, or PING; `occurred`: time of the event; `message_id`: the same in all attempts; `attempts`:
    number of earlier attempts at this delivery; `url` to `kinds`: the webhook's settings; `secret` signs the delivery;
    `old_secret`: the secret before, while deliveries are signed with it too, else None; `failures`: number of the
    webhook's failures in a row. Ids and types are 0 for none.
    """

    number: int
    kind: str
    item_type: int
    item_id: int
    parent_type: int
    parent_id: int
    microcosm_id: int
    version: int
    occurred: datetime.datetime
    attempts: int
    message_id: str
    url: str
    secret: bytes
    old_secret: bytes | None
    acts_as: int
    with_documents: bool
    kinds: list[str]
    failures: int


class DisabledWebhook(NamedTuple):
    """Webhook that has just been disabled. `email`: address of the site's owner, who is notified, or, on a site without
    one, of who registered the webhook; `error`: that of the last failure.
    """

    email: str
    site_title: str
    name: str
    url: str
    error: str
    failing_since: datetime.datetime | None


class DeliveryQueue(NamedTuple):
    """Queue of one webhook's deliveries, which one process at a time works on."""

    site_id: int
    webhook_id: int

    def ping(self, tx: Transaction) -> None:
        """Queue a test delivery to the webhook, unless one is queued already."""
        tx.run(PUT_PING, **self._asdict())

    def claim(self, tx: Transaction, lease_s: int) -> datetime.datetime | None:
        """Claim the queue for this process for `lease_s` seconds; return the claim's time, by which the other methods
        know the claim; None if a claim is in force, this process's own too.
        """
        claimed: datetime.datetime | None = tx.value(CLAIM, lease_s=lease_s, **self._asdict())
        return claimed

    def release(self, tx: Reader, claimed: datetime.datetime) -> None:
        """End the claim of the time `claimed`, so that another process may take the queue; do nothing if a later claim
        took the place of this one.
        """
        tx.run(RELEASE, claimed=claimed, **self._asdict())

    def next(self, tx: Reader, claimed: datetime.datetime) -> DueDelivery | None:
        """Return the delivery with the lowest number that is due and before which no other delivery about its thing
        waits; None if there is none, or the claim of the time `claimed` has run out or given way to a later one.
        """
        row = tx.row(NEXT, claimed=claimed, **self._asdict())
        return DueDelivery(*row) if row is not None else None

    def drop(self, tx: Reader, number: int) -> None:
        """Delete the delivery of the event `number`, which must not be sent."""
        tx.run(DROP, number=number, **self._asdict())

    def mark_sent(
        self,
        tx: Reader,
        delivery: DueDelivery,
        status: int,
        lease_s: int,
        *,
        claimed: datetime.datetime,
    ) -> None:
        """Record that a delivery was sent, with the receiver's status code, and end the webhook's pause after failures.
        The claim of the time `claimed` is renewed for `lease_s` seconds, but not if a later one took its place. A
        test's row stays, to be read; any other is deleted. After DOWN failures or more in a row all other queued
        deliveries are due at once.
        """
        tx.run(
            DONE_PING if delivery.kind == PING else DONE,
            number=delivery.number,
            status=status,
            lease_s=lease_s,
            claimed=claimed,
            **self._asdict(),
        )

    def mark_failed(
        self,
        tx: Reader,
        delivery: DueDelivery,
        *,
        status: int,
        error: str,
        wait_s: float,
        pause_s: float,
        hours: int,
        days: int,
        lease_s: int,
        claimed: datetime.datetime,
    ) -> tuple[int, str]:
        """Record that a delivery failed, with the receiver's status code `status` (0: no answer) and, in words, the
        `error`; return the number of new dead letters, and the reason to disable the webhook, `gone` or `failing`, ""
        for none.

        `wait_s`: seconds until this delivery is tried again; `pause_s`: until any delivery of the webhook, this one
        too, is tried at all. `hours`: age at which a queued delivery, this one or another, becomes a dead letter;
        `days`: a webhook that fails for longer is to be disabled as `failing`, one that answers 410 at once as `gone`;
        `lease_s`: the claim of the time `claimed` is renewed for so many seconds. A failed test becomes a dead letter
        at once, with no effect on the webhook and its claim.

        If a later claim took the place of that of the time `claimed`, nothing is recorded, and (0, "") returned.
        """
        params: dict[str, Any] = self._asdict() | {
            "number": delivery.number,
            "status": status,
            "error": error,
        }
        if delivery.kind == PING:
            return tx.run(FAIL_PING, claimed=claimed, **params), ""
        row = tx.row(
            FAIL,
            wait_s=wait_s,
            pause_s=pause_s,
            hours=hours,
            days=days,
            lease_s=lease_s,
            claimed=claimed,
            **params,
        )
        assert row is not None  # the statement returns one row
        return row[0], row[1]

    def bury(self, tx: Transaction) -> None:
        """Turn all queued deliveries into dead letters, since the webhook is disabled."""
        tx.run(BURY, **self._asdict())

    def disable(self, tx: Transaction) -> DisabledWebhook | None:
        """Disable the webhook, for which `mark_failed` gave a reason, and return it; None if it is disabled already."""
        row = tx.row(DISABLE, **self._asdict())
        return DisabledWebhook(*row) if row is not None else None

    def page(self, tx: Reader, state: str, paging: Paging, *, viewer: int) -> tuple[list[Row], int]:
        """Return the page `paging` of the deliveries in `state`, one of STATES, lowest number first, as rows for
        `document`, and the number of all deliveries in that state.

        Deliveries about huddles count only if the profile `viewer` takes part in the huddle, those about reports, cases
        and appeals only if these concern nothing that `viewer` wrote.
        """
        return page_with_total.page(
            tx, PAGE, COUNT, paging, state=state, viewer=viewer, **self._asdict()
        )

    def replay(
        self, tx: Transaction, first: int, last: int, *, everything: bool, viewer: int
    ) -> tuple[int, int]:
        """Queue the dead letters with event numbers from `first` to `last` again, both included; with `everything`, all
        events in that range that the log still has and the webhook takes; MOST_REPLAYED at most, the lowest numbers
        first.

        Return how many these are, those that are queued already among them, and the event number up to which all are:
        that of the last of MOST_REPLAYED, else `last`. Events of a huddle are left out unless the profile `viewer`
        takes part in it, and those of a report, case or appeal that concerns what `viewer` wrote. With `everything` the
        events up to that number no longer count as missed by the webhook (`missed_from`, `missed_upto`), provided that
        the first missed event is in the range; else both numbers stay.
        """
        params = self._asdict() | {"first": first, "last": last}
        query = REPLAY_ALL if everything else REPLAY_DEAD
        row = tx.row(query, most=MOST_REPLAYED, viewer=viewer, **params)
        assert row is not None  # the statement returns one row
        count, reached = row
        reached = reached if count == MOST_REPLAYED else last
        if everything:
            tx.run(REPLAYED, **(params | {"last": reached}))
        return count, reached

    def replay_one(self, tx: Transaction, message_id: str, *, viewer: int) -> bool:
        """Queue the dead letter with this message id again; return False if there is none, or it is a test, or about a
        huddle in which the profile `viewer` does not take part, or a report, case or appeal that concerns what `viewer`
        wrote.
        """
        return bool(tx.run(REPLAY_ONE, message_id=message_id, viewer=viewer, **self._asdict()))


def queue(tx: Transaction, site_id: int, events: Sequence[LoggedEvent]) -> None:
    """Queue, by one statement, a delivery of each event to each of the site's enabled webhooks that take events of its
    kind and type and may know of it; a patch or move also to those that take deletions, since the thing may be gone for
    them. Imported events are left out; a webhook that fails and has MOST_WAITING queued gets none, and its row keeps
    the first and last event that it missed.
    """
    numbers = [event.number for event in events if not event.is_import]
    if numbers:
        tx.run(QUEUE, site_id=site_id, numbers=numbers, most=MOST_WAITING)


def due(tx: Reader, limit: int) -> list[DeliveryQueue]:
    """Return up to `limit` queues, of all sites that are not deleted, that have a delivery due and no claim in force,
    the one claimed longest ago first.
    """
    return [DeliveryQueue(*row) for row in tx.rows(DUE, limit=limit)]


def forget_old(tx: Transaction, days: int) -> int:
    """Delete dead letters and sent tests that were queued more than `days` ago, of all sites; return their number."""
    return tx.run(FORGET, days=days)


def document(row: Row, cursor: str) -> dict[str, Any]:
    """Return a delivery, a row of DeliveryQueue.page, as JSON members for the site's owner; `cursor`: that of its
    event.
    """
    id, _, state, kind, item_type, item_id, parent_type, parent_id, version, occurred = row[:10]
    queued, attempts, not_before, status, error = row[10:15]
    is_queued = state == QUEUED
    return {
        "id": id,
        "cursor": cursor,
        "state": state,
        "kind": kind,
        "itemType": itemtypes.known_name(item_type),
        "itemId": item_id,
        "parentType": itemtypes.known_name(parent_type),
        "parentId": parent_id,
        "version": version,
        "occurred": json_fragments.format_time(occurred),
        "queued": json_fragments.format_time(queued),
        "attempts": attempts,
        "nextAttempt": json_fragments.format_time(not_before) if is_queued else None,
        "lastStatus": status,
        "lastError": error,
    }

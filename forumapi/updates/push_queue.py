"""Queue of web push: a row for each message and subscription, inserted by the transaction that causes the update.

Rows name what a message is about and hold no text. A subscription gets MOST_AN_HOUR messages at most; the list of
updates has all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi.database import site_turns
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.updates import message_request
from forumapi.updates.message_request import MessageRequest

# Messages of one subscription in an hour, sent or not.
MOST_AN_HOUR: Final = 30
# Hours after which a message that was not sent is not worth sending, and days for which rows tell of what was sent.
HOURS: Final = 24
KEEP_DAYS: Final = 1
# Days without a success after which a subscription that fails is deleted.
FAILING_DAYS: Final = 7

QUEUE: Final = Query(
    "push_queue.queue",
    """
    INSERT INTO push_messages (site_id, subscription_id, profile_id, cause, update_type_id, item_type_id, item_id,
                               comment_id, by_profile_id)
    SELECT s.site_id, s.subscription_id, s.profile_id, n.cause, n.update_type_id, n.item_type_id, n.item_id,
           n.comment_id, n.by_profile_id
      FROM unnest(%(causes)s::text[], %(profile_ids)s::bigint[], %(update_type_ids)s::smallint[],
                  %(item_type_ids)s::smallint[], %(item_ids)s::bigint[], %(comment_ids)s::bigint[],
                  %(by_profile_ids)s::bigint[])
                  AS n (cause, profile_id, update_type_id, item_type_id, item_id, comment_id, by_profile_id)
      JOIN push_subscriptions s ON s.site_id = %(site_id)s AND s.profile_id = n.profile_id
     WHERE (SELECT count(*)
              FROM push_messages m
             WHERE m.site_id = s.site_id AND m.subscription_id = s.subscription_id
               AND m.created > now() - interval '1 hour') < %(most)s::int
        ON CONFLICT DO NOTHING""",
)

# Lease: no other process takes these rows for that long.
LEASE = Query(
    "push_queue.lease",
    f"""{
        site_turns.claim(
            "push_messages",
            "q.site_id, q.message_id, q.subscription_id",
            waits="q.state = 'queued'",
            is_due="q.not_before <= now()",
            order="q.not_before",
        )
    }
    UPDATE push_messages m
       SET attempts = m.attempts + 1, not_before = now() + make_interval(secs => %(lease_s)s::int)
      FROM due
      JOIN push_subscriptions s ON s.site_id = due.site_id AND s.subscription_id = due.subscription_id
     WHERE m.site_id = due.site_id AND m.message_id = due.message_id
 RETURNING m.site_id, m.message_id, m.subscription_id, s.token_id, s.endpoint, s.public_key, s.auth_secret, m.attempts,
           m.created < now() - make_interval(hours => %(hours)s::int)""",
    scope=PLATFORM,
)

# A message without a new state is tried again after `wait_s`; one that was not tried gets its attempt back.
# Subscriptions that are gone are deleted, with all that waits for them.
RECORD = Query(
    "push_queue.record",
    """
    WITH outcomes AS MATERIALIZED (
        SELECT o.*
          FROM unnest(%(site_ids)s::bigint[], %(ids)s::bigint[], %(subscription_ids)s::bigint[], %(states)s::text[],
                      %(errors)s::text[], %(tried)s::boolean[], %(waits_s)s::int[], %(gone)s::boolean[])
               AS o (site_id, message_id, subscription_id, state, error, was_tried, wait_s, is_gone)),
    told AS (
        UPDATE push_messages m
           SET state = coalesce(o.state, 'queued'), last_error = o.error,
               attempts = m.attempts - CASE WHEN o.was_tried THEN 0 ELSE 1 END,
               not_before = now() + make_interval(secs => o.wait_s)
          FROM outcomes o
         WHERE m.site_id = o.site_id AND m.message_id = o.message_id AND NOT o.is_gone),
    known AS MATERIALIZED (
        SELECT o.site_id, o.subscription_id, bool_or(o.state IS NOT DISTINCT FROM 'sent') AS was_sent,
               bool_or(o.was_tried AND coalesce(o.state, '') NOT IN ('sent', 'dropped')) AS has_failed,
               bool_or(o.is_gone) AS is_gone
          FROM outcomes o
         GROUP BY o.site_id, o.subscription_id),
    moved AS (
        UPDATE push_subscriptions s
           SET last_sent = CASE WHEN k.was_sent THEN now() ELSE s.last_sent END,
               failing_since = CASE WHEN k.was_sent THEN NULL ELSE coalesce(s.failing_since, now()) END
          FROM known k
         WHERE s.site_id = k.site_id AND s.subscription_id = k.subscription_id AND NOT k.is_gone
           AND (k.was_sent OR k.has_failed
                AND coalesce(s.failing_since, now()) >= now() - make_interval(days => %(days)s::int)))
    DELETE FROM push_subscriptions s
     USING known k
     WHERE s.site_id = k.site_id AND s.subscription_id = k.subscription_id
       AND (k.is_gone
            OR NOT k.was_sent AND k.has_failed AND s.failing_since < now() - make_interval(days => %(days)s::int))""",
)

FORGET = Query(
    "push_queue.forget",
    "DELETE FROM push_messages m WHERE m.created < now() - make_interval(days => %(days)s::int)",
    scope=PLATFORM,
)


class DueMessage(NamedTuple):
    """Message that was leased to be sent, with its subscription: token, URL at the push service (`endpoint`), and keys.
    `attempts`: number of attempts to send it, this one included; `is_late`: the message is too old to be sent.
    """

    site_id: int
    id: int
    subscription_id: int
    token_id: int
    endpoint: str
    public_key: bytes
    auth_secret: bytes
    attempts: int
    is_late: bool


class PushOutcome(NamedTuple):
    """Outcome for one leased message. `state`: sent, dead (it has failed for good) or dropped (it must not be sent);
    None: the message is tried again in `wait_s` seconds, unless `is_gone`: its subscription has ended. `error`: reason
    of a failure, for people. `was_tried` False: the push service was not asked, so the lease does not count as an
    attempt.
    """

    message: DueMessage
    state: str | None
    error: str = ""
    wait_s: int = 0
    was_tried: bool = True
    is_gone: bool = False


def queue(tx: Transaction, site_id: int, requests: Sequence[MessageRequest]) -> None:
    """Queue a message for each of `requests`, of one site, to each subscription of its profile, once for its cause; a
    subscription for which MOST_AN_HOUR messages were queued within the last hour is left out. One statement, none
    without requests.
    """
    if requests:
        tx.run(QUEUE, site_id=site_id, most=MOST_AN_HOUR, **message_request.columns(requests))


def lease(tx: Transaction, batch: int, lease_s: int, *, after: int = 0) -> list[DueMessage]:
    """Lease up to `batch` messages that are due, in fair turns of their sites, of each those due longest, and return
    them in any order. For `lease_s` seconds no other process takes them; then they are due again, unless `record` has
    stored their outcomes. `after`: the site that had the last turn before.
    """
    rows = tx.rows(LEASE, batch=batch, lease_s=lease_s, hours=HOURS, after=after)
    return [_message(row) for row in rows]


def _message(row: Sequence[Any]) -> DueMessage:
    site_id, id, subscription_id, token_id, endpoint, public_key, auth_secret, attempts, late = row
    return DueMessage(
        site_id,
        id,
        subscription_id,
        token_id,
        endpoint,
        bytes(public_key),
        bytes(auth_secret),
        attempts,
        late,
    )


def record(tx: Transaction, outcomes: Sequence[PushOutcome]) -> None:
    """Store the outcomes of leased messages; delete subscriptions that have ended (`is_gone`), or to which every
    message has failed for FAILING_DAYS days.
    """
    tx.run(
        RECORD,
        site_ids=[one.message.site_id for one in outcomes],
        ids=[one.message.id for one in outcomes],
        subscription_ids=[one.message.subscription_id for one in outcomes],
        states=[one.state for one in outcomes],
        errors=[one.error for one in outcomes],
        tried=[one.was_tried for one in outcomes],
        waits_s=[one.wait_s for one in outcomes],
        gone=[one.is_gone for one in outcomes],
        days=FAILING_DAYS,
    )


def forget_old(tx: Transaction) -> int:
    """Delete messages of all sites that were queued over KEEP_DAYS days ago, sent or not; return their number."""
    return tx.run(FORGET, days=KEEP_DAYS)

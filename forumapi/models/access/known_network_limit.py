"""Networks from which people have signed in: each has a limit of attempts of its own, which strangers can't use up.

The ten newest of each user within half a year are stored, as keyed hashes. Of an IPv6 address its /64 network counts.
"""

from __future__ import annotations

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import TooMany
from forumapi.models.access import rate_counters
from forumapi.models.access.rate_counters import Limit
from forumapi.wire.client_address import network

# Without a secret yet the hash is a plain one, and forgotten with the next.
_HASH = """
           sha256(coalesce((SELECT k.secret FROM platform_secrets k WHERE k.name = 'mail'), '')
                  || convert_to({user_id} || ' ' || %(place)s::text, 'UTF8'))"""

# One attempt at an address: from the network's own allowance where its person has signed in from there.
TAKE = Query(
    "known_network_limit.take",
    f"""
    INSERT INTO attempt_counters AS a (kind, subject, window_start, attempts)
    SELECT CASE WHEN k.is_known THEN %(known_kind)s ELSE %(kind)s END,
           %(person_key)s::text || CASE WHEN k.is_known THEN ' ' || %(place)s::text ELSE '' END,
           {rate_counters.WINDOW}, 1
      FROM (SELECT EXISTS (SELECT FROM users u
                             JOIN sign_in_places p
                               ON p.user_id = u.user_id AND p.place_hash = {_HASH.format(user_id="u.user_id")}
                            WHERE u.person_key = %(person_key)s AND p.seen > now() - interval '180 days') AS is_known) k
        ON CONFLICT (kind, subject, window_start) DO UPDATE SET attempts = a.attempts + 1
 RETURNING attempts, {rate_counters.LEFT_S}, kind""",
)

NOTE = Query(
    "known_network_limit.note",
    f"""
    WITH here AS (SELECT {_HASH.format(user_id="%(user_id)s::bigint")} AS place_hash),
    noted AS (
        INSERT INTO sign_in_places (user_id, place_hash) SELECT %(user_id)s, h.place_hash FROM here h
            ON CONFLICT (user_id, place_hash) DO UPDATE SET seen = now())
    DELETE FROM sign_in_places p
     WHERE p.user_id = %(user_id)s
       AND p.place_hash IN (SELECT o.place_hash
                              FROM sign_in_places o
                             WHERE o.user_id = %(user_id)s AND o.place_hash <> (SELECT h.place_hash FROM here h)
                             ORDER BY o.seen DESC OFFSET 9)""",
)

FORGET_OLD = Query(
    "known_network_limit.forget_old",
    "DELETE FROM sign_in_places p WHERE p.seen < now() - interval '180 days'",
)


def take(tx: Transaction, limit: Limit, known_kind: str, person_key: str, ip: str) -> None:
    """Count one attempt from `ip` to sign in as the person whose e-mail address has the person key `person_key`
    (text/email_address.py). Raises TooMany beyond the limit. Call it in a transaction of its own, as
    rate_counters.take.

    From a network from which the person has signed in before, up to `limit.most` attempts are counted for that network
    alone, under the kind `known_kind`. Further attempts from it, and those from other networks, are counted together
    under `limit.kind`, up to `limit.most` for the person.
    """
    row = tx.row(
        TAKE,
        kind=limit.kind,
        known_kind=known_kind,
        person_key=person_key,
        place=network(ip),
        window_s=limit.window_s,
    )
    assert row is not None, "an upsert returns its row"
    count, left_s, kind = row
    if count <= limit.most:
        return
    if kind == limit.kind:
        raise TooMany("Too many attempts; try again later", left_s)
    rate_counters.take(tx, limit, person_key)


def note(tx: Transaction, user_id: int, ip: str) -> None:
    """Record that the user has signed in from the network of `ip`, and forget all but the ten networks from which the
    user signed in last; for `ip` "" nothing is recorded.
    """
    if ip:
        tx.run(NOTE, user_id=user_id, place=network(ip))


def forget_old(tx: Transaction) -> int:
    """Delete networks that were not used for half a year; return their number."""
    return tx.run(FORGET_OLD)

"""Client addresses in `audit_log`, replaced by keyed hashes after some days; and deletion, after more, of rows without
an entry in the site's chain (platform 7.1).

`journal.record` writes the rows; audit_chain.py gives each its entry, which outlives the row, and deletes rows that
have one.
"""

from __future__ import annotations

import secrets

from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query

# Rows without an entry: those of the chain go with it (audit_chain.py).
FORGET = Query(
    "audit_address_hashing.forget",
    """
    DELETE FROM audit_log a
     WHERE a.audit_id IN (SELECT o.audit_id
                            FROM audit_log o
                           WHERE o.created < now() - make_interval(days => %(days)s)
                             AND NOT EXISTS (SELECT 1 FROM audit_entries e
                                              WHERE e.site_id = o.site_id AND e.audit_id = o.audit_id)
                           LIMIT %(most)s)""",
    scope=PLATFORM,
)

# One secret for good: the same address has the same hash in every row.
SECRET = Query(
    "audit_address_hashing.secret",
    """
    INSERT INTO platform_secrets (name, secret) VALUES ('audit-addresses', %(secret)s)
        ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name
 RETURNING secret""",
)

HASH = Query(
    "audit_address_hashing.hash",
    """
    UPDATE audit_log a
       SET ip_hash = sha256(%(secret)s::bytea || convert_to(host(a.ip), 'UTF8')), ip = NULL
     WHERE a.created < now() - make_interval(days => %(days)s) AND a.ip IS NOT NULL""",
    scope=PLATFORM,
)

HASH_OF_SITE = Query(
    "audit_address_hashing.hash_of_site",
    """
    UPDATE audit_log a
       SET ip_hash = sha256(%(secret)s::bytea || convert_to(host(a.ip), 'UTF8')), ip = NULL
     WHERE a.site_id = %(site_id)s
       AND a.audit_id IN (SELECT o.audit_id
                            FROM audit_log o
                           WHERE o.site_id = %(site_id)s AND o.created < now() - make_interval(days => %(days)s)
                             AND o.ip IS NOT NULL
                           ORDER BY o.created
                           LIMIT %(most)s)""",
)


def forget(tx: Transaction, days: int, most: int) -> int:
    """Delete rows of the audit older than `days` that have no entry in the chain, or none any more, of all sites,
    `most` at most (P-60); return their number.
    """
    return tx.run(FORGET, days=days, most=most)


def hash_addresses(tx: Transaction, days: int) -> int:
    """Replace the client addresses in rows older than `days`, of all sites, by keyed hashes; return the number of
    rows.
    """
    secret = tx.value(SECRET, secret=secrets.token_bytes(32))
    return tx.run(HASH, secret=secret, days=days)


def hash_addresses_of(tx: Transaction, site_id: int, days: int, most: int) -> int:
    """Replace the client addresses in rows of a site older than `days`, the `most` oldest at most, by keyed hashes;
    return the number of rows.
    """
    secret = tx.value(SECRET, secret=secrets.token_bytes(32))
    return tx.run(HASH_OF_SITE, site_id=site_id, secret=secret, days=days, most=most)

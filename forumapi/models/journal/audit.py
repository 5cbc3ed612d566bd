"""Audit of changes: author, change, client address and texts of each (platform 7.1).

`journal.record` writes these rows; audit_chain.py gives each its entry in the site's chain, which outlives the row.
"""

from __future__ import annotations

import datetime
import secrets
from typing import Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query

MAX_ENTRIES: Final = 1000

# Rows without an entry: those of the chain go with it (audit_chain.py).
FORGET = Query(
    "audit.forget",
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
    "audit.secret",
    """
    INSERT INTO platform_secrets (name, secret) VALUES ('audit-addresses', %(secret)s)
        ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name
 RETURNING secret""",
)

HASH = Query(
    "audit.hash",
    """
    UPDATE audit_log a
       SET ip_hash = sha256(%(secret)s::bytea || convert_to(host(a.ip), 'UTF8')), ip = NULL
     WHERE a.created < now() - make_interval(days => %(days)s) AND a.ip IS NOT NULL""",
    scope=PLATFORM,
)

OF_PROFILE = Query(
    "audit.of_profile",
    """
    SELECT a.created, a.action, a.item_type_id, a.item_id,
           coalesce(host(a.ip), '#' || encode(a.ip_hash, 'hex'), '')
      FROM audit_log a
     WHERE a.site_id = %(site_id)s AND a.profile_id = %(profile_id)s
     ORDER BY a.created DESC
     LIMIT %(limit)s""",
)


class AuditEntry(NamedTuple):
    """Change in the audit. `action`: C (create), R (read), U (update) or D (delete); `ip`: the client address, or, once
    the row is old, `#` and the address's hash; "" if unknown.
    """

    created: datetime.datetime
    action: str
    item_type_id: int
    item_id: int
    ip: str


def forget(tx: Transaction, days: int, most: int) -> int:
    """Delete rows of the audit older than `days` whose entry in the chain is gone, of all sites, `most` at most (P-60);
    return their number.
    """
    return tx.run(FORGET, days=days, most=most)


def hash_addresses(tx: Transaction, days: int) -> int:
    """Replace the client addresses in rows older than `days`, of all sites, by keyed hashes; return the number of
    rows.
    """
    secret = tx.value(SECRET, secret=secrets.token_bytes(32))
    return tx.run(HASH, secret=secret, days=days)


def of_profile(tx: Reader, site_id: int, profile_id: int, limit: int = 100) -> list[AuditEntry]:
    """Return up to `limit` changes that a profile has made, newest first: for tracing abuse from the command line."""
    rows = tx.rows(
        OF_PROFILE, site_id=site_id, profile_id=profile_id, limit=min(limit, MAX_ENTRIES)
    )
    return [AuditEntry(*row) for row in rows]

"""The audit of addresses: who changed what from where (platform 7.1).

`journal.record` writes it; it has no HTTP interface.
"""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from forumapi.db import Query, Reader, Transaction

MAX_ENTRIES: Final = 1000

FORGET = Query(
    "audit.forget",
    "DELETE FROM audit_log a WHERE a.created < now() - make_interval(days => %(days)s)",
)

OF_PROFILE = Query(
    "audit.of_profile",
    """
    SELECT a.created, a.action, a.item_type_id, a.item_id, coalesce(host(a.ip), '')
      FROM audit_log a
     WHERE a.site_id = %(site_id)s AND a.profile_id = %(profile_id)s
     ORDER BY a.created DESC
     LIMIT %(limit)s""",
)


class Entry(NamedTuple):
    """One change. `action` is C, R, U or D; `ip` is "" where it is not known."""

    created: datetime.datetime
    action: str
    item_type_id: int
    item_id: int
    ip: str


def forget(tx: Transaction, days: int) -> int:
    """Delete what is older than `days` (P-60); the number of rows."""
    return tx.run(FORGET, days=days)


def of_profile(tx: Reader, site_id: int, profile_id: int, limit: int = 100) -> list[Entry]:
    """What a profile changed, newest first: for tracing abuse from the command line."""
    rows = tx.rows(
        OF_PROFILE, site_id=site_id, profile_id=profile_id, limit=min(limit, MAX_ENTRIES)
    )
    return [Entry(*row) for row in rows]

"""Subdomains that no new site can have: those reserved for the platform, those that sites have, and those that rest
after the deletion of their sites (platform 2.3).
"""

from __future__ import annotations

from typing import Final

from forumapi.database.connections import Reader
from forumapi.database.query import PLATFORM, Query
from forumapi.models.sites import site_deletion

IS_RESERVED: Final = Query(
    "subdomain_availability.is_reserved",
    "SELECT EXISTS (SELECT FROM reserved_subdomains r WHERE r.subdomain_key = %(key)s)",
)

IS_TAKEN: Final = Query(
    "subdomain_availability.is_taken",
    """
    SELECT EXISTS (SELECT FROM reserved_subdomains r WHERE r.subdomain_key = %(key)s)
        OR EXISTS (SELECT FROM sites s WHERE s.subdomain_key = %(key)s)""",
    scope=PLATFORM,
)


def is_reserved(tx: Reader, key: str) -> bool:
    """Return True if the platform reserves the key, given in lower case, so that no site may ever have it, or the key
    rests after the deletion of its site.
    """
    return bool(tx.value(IS_RESERVED, key=key)) or site_deletion.is_resting(tx, key)


def is_taken(tx: Reader, key: str) -> bool:
    """Return True if the subdomain `key`, whatever its upper and lower case, is reserved for the platform, rests after
    the deletion of its site, or is that of a site, also of one that is deleted, suspended or in its export window.
    """
    return bool(tx.value(IS_TAKEN, key=key.lower())) or site_deletion.is_resting(tx, key.lower())

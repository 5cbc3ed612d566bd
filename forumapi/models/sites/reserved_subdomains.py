"""Subdomains that can't be had: those kept for the platform, and those of live sites (platform 2.3)."""

from __future__ import annotations

from typing import Final

from forumapi.database.connections import Query, Reader

IS_RESERVED: Final = Query(
    "reserved.is_reserved",
    "SELECT EXISTS (SELECT FROM reserved_subdomains r WHERE r.subdomain_key = %(key)s)",
)

IS_GONE: Final = Query(
    "reserved.is_gone",
    """
    SELECT EXISTS (SELECT FROM reserved_subdomains r WHERE r.subdomain_key = %(key)s)
        OR EXISTS (SELECT FROM sites s WHERE s.subdomain_key = %(key)s AND NOT s.is_deleted)""",
)


def is_reserved(tx: Reader, key: str) -> bool:
    """True if no site may ever have this key (lower case)."""
    return bool(tx.value(IS_RESERVED, key=key))


def is_gone(tx: Reader, key: str) -> bool:
    """True if the key is reserved or a live site has it; any case."""
    return bool(tx.value(IS_GONE, key=key.lower()))

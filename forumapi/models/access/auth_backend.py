"""What sites set up of the ways to sign in: one row for each back end that a site says something about.

A row of the root site counts on every site that has none of its own; a site's own row replaces it whole, so that nobody
sends the platform's secrets to an address of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from forumapi.database.connections import Query, Reader, Transaction
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.wire import json_fragments

FIND = Query(
    "auth_backend.find",
    """
    SELECT b.is_enabled, b.settings::text, b.site_id <> 1
      FROM site_auth_backends b
     WHERE b.site_id IN (1, %(site_id)s) AND b.name = %(name)s
     ORDER BY b.site_id DESC LIMIT 1""",
)

LIST = Query(
    "auth_backend.list",
    """
    SELECT DISTINCT ON (b.name) b.name, b.is_enabled, b.settings::text, b.site_id <> 1
      FROM site_auth_backends b
     WHERE b.site_id IN (1, %(site_id)s)
     ORDER BY b.name, b.site_id DESC""",
)

PUT = Query(
    "auth_backend.put",
    """
    INSERT INTO site_auth_backends (site_id, name, is_enabled, settings)
    VALUES (%(site_id)s, %(name)s, %(is_enabled)s, %(settings)s::text::jsonb)
        ON CONFLICT (site_id, name) DO UPDATE
       SET is_enabled = EXCLUDED.is_enabled, settings = EXCLUDED.settings""",
)

DELETE = Query(
    "auth_backend.delete",
    "DELETE FROM site_auth_backends b WHERE b.site_id = %(site_id)s AND b.name = %(name)s",
)


class Row(NamedTuple):
    """What is stored about a back end. `is_own`: by this site itself, not by the platform for all."""

    is_enabled: bool
    settings: Mapping[str, Any]
    is_own: bool


def find(tx: Reader, site_id: int, name: str) -> Row | None:
    """What counts on this site about the back end, or None."""
    row = tx.row(FIND, site_id=site_id, name=name)
    return Row(row[0], json_fragments.loads(row[1]), row[2]) if row else None


def find_all(tx: Reader, site_id: int) -> dict[str, Row]:
    """The same for all back ends that something is stored about, by name."""
    return {
        name: Row(is_enabled, json_fragments.loads(settings), is_own)
        for name, is_enabled, settings, is_own in tx.rows(LIST, site_id=site_id)
    }


def put(
    tx: Transaction, author: Author, name: str, *, is_enabled: bool, settings: Mapping[str, Any]
) -> None:
    """Store what the author's site says about a back end. The site's row must be locked."""
    text = json_fragments.dumps(dict(settings)).decode()
    tx.run(PUT, site_id=author.site_id, name=name, is_enabled=is_enabled, settings=text)
    _record(tx, author)


def delete(tx: Transaction, author: Author, name: str) -> None:
    """Forget what the author's site says about a back end: the platform's word counts again."""
    tx.run(DELETE, site_id=author.site_id, name=name)
    _record(tx, author)


def _record(tx: Transaction, author: Author) -> None:
    journal.record_site(tx, author)

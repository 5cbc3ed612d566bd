"""Settings of the sign-in back ends of sites: one row for each back end that a site has settings for.

A row of the root site, the platform's, is in force on every site that has none of its own for that back end. A site's
own row replaces the platform's row whole, so that no owner of a site can have the platform's secrets sent to an address
of the owner's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.wire import json_fragments

FIND = Query(
    "auth_backend_settings.find",
    """
    SELECT b.is_enabled, b.settings::text, b.site_id <> 1
      FROM site_auth_backends b
     WHERE b.site_id IN (1, %(site_id)s) AND b.name = %(name)s
     ORDER BY b.site_id DESC LIMIT 1""",
    scope=PLATFORM,
)

LIST = Query(
    "auth_backend_settings.list",
    """
    SELECT DISTINCT ON (b.name) b.name, b.is_enabled, b.settings::text, b.site_id <> 1
      FROM site_auth_backends b
     WHERE b.site_id IN (1, %(site_id)s)
     ORDER BY b.name, b.site_id DESC""",
    scope=PLATFORM,
)

UPSERT = Query(
    "auth_backend_settings.upsert",
    """
    INSERT INTO site_auth_backends (site_id, name, is_enabled, settings)
    VALUES (%(site_id)s, %(name)s, %(is_enabled)s, %(settings)s::text::jsonb)
        ON CONFLICT (site_id, name) DO UPDATE
       SET is_enabled = EXCLUDED.is_enabled, settings = EXCLUDED.settings""",
)

DELETE = Query(
    "auth_backend_settings.delete",
    "DELETE FROM site_auth_backends b WHERE b.site_id = %(site_id)s AND b.name = %(name)s",
)


class SiteAuthBackend(NamedTuple):
    """Settings of a sign-in back end that are in force on a site. `settings`: their values by name; `is_enabled`:
    people may sign in by the back end on the site; `is_own`: the settings are the site's, not the platform's.
    """

    is_enabled: bool
    settings: Mapping[str, Any]
    is_own: bool

    @classmethod
    def find(cls, tx: Reader, site_id: int, name: str) -> SiteAuthBackend | None:
        """Return the settings of the back end `name` in force on this site: its own row, else the platform's; None if
        neither exists.
        """
        row = tx.row(FIND, site_id=site_id, name=name)
        return cls(row[0], json_fragments.loads(row[1]), row[2]) if row else None

    @classmethod
    def find_all(cls, tx: Reader, site_id: int) -> dict[str, SiteAuthBackend]:
        """Return the settings in force on this site, by name of the back end; those without a row here or on the
        platform are left out.
        """
        return {
            name: cls(is_enabled, json_fragments.loads(settings), is_own)
            for name, is_enabled, settings, is_own in tx.rows(LIST, site_id=site_id)
        }

    @staticmethod
    def upsert(
        tx: Transaction,
        author: Author,
        name: str,
        *,
        is_enabled: bool,
        settings: Mapping[str, Any],
    ) -> None:
        """Store the author's site's own settings of the back end `name`, in place of all earlier ones, and record that
        in the journal. `is_enabled` False: the method is off on this site; `settings`: values of the back end's
        settings by name. The site's row must be locked.
        """
        text = json_fragments.dumps(dict(settings)).decode()
        tx.run(UPSERT, site_id=author.site_id, name=name, is_enabled=is_enabled, settings=text)
        journal.record_site(tx, author)

    @staticmethod
    def delete(tx: Transaction, author: Author, name: str) -> None:
        """Delete the author's site's own settings of the back end `name`, so that the platform's settings are in force
        again; if the site has none of its own, nothing is deleted. Record that in the journal in either case. The
        site's row must be locked.
        """
        tx.run(DELETE, site_id=author.site_id, name=name)
        journal.record_site(tx, author)

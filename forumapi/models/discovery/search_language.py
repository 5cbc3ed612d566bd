"""The language in which a site's texts are indexed and searched: one of PostgreSQL's text configurations (S-08)."""

from __future__ import annotations

from typing import Any, NamedTuple

from forumapi.database.connections import Query, Reader, Transaction
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author

# Those that sql/migrations/0023_search.sql has made a copy of that takes accents off.
FIND = Query(
    "search_language.find",
    """
    SELECT (SELECT c.cfgname::text FROM pg_ts_config c WHERE c.oid = s.search_language),
           ARRAY(SELECT c.cfgname::text FROM pg_ts_config c
                   JOIN pg_ts_config o ON o.cfgname = 'forum_' || c.cfgname
                                      AND o.cfgnamespace = 'public'::regnamespace
                  WHERE c.cfgnamespace = 'pg_catalog'::regnamespace
                  ORDER BY c.cfgname),
           EXISTS (SELECT FROM search_work w WHERE w.site_id = s.site_id)
      FROM sites s
     WHERE s.site_id = %(site_id)s""",
)

# A trigger notes what is to be indexed anew. The version moves, so that each process reads the site again.
CHANGE = Query(
    "search_language.change",
    """
    UPDATE sites s
       SET search_language = ('pg_catalog.' || %(language)s::text)::regconfig, version = s.version + 1
     WHERE s.site_id = %(site_id)s""",
)


class Language(NamedTuple):
    """A site's language, all that there are, and whether its texts are still being indexed."""

    language: str
    languages: list[str]
    is_indexing: bool


def find(tx: Reader, site_id: int) -> Language:
    """The language of a site that exists."""
    row = tx.row(FIND, site_id=site_id)
    assert row is not None
    return Language(*row)


def known(tx: Reader, site_id: int) -> list[str]:
    """The languages that a site can have."""
    return find(tx, site_id).languages


def document(found: Language) -> dict[str, Any]:
    """The setting on the wire."""
    return {
        "language": found.language,
        "languages": found.languages,
        "indexing": found.is_indexing,
    }


def change(tx: Transaction, author: Author, language: str) -> None:
    """Search in a known language from now on. The site's row must be locked."""
    tx.run(CHANGE, site_id=author.site_id, language=language)
    journal.record_site(tx, author)

"""Language in which a site's texts are indexed and searched: one of PostgreSQL's text configurations (S-08)."""

from __future__ import annotations

from typing import Any, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author

# Languages of which sql/migrations/0023_search.sql made a copy that removes accents.
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

# A trigger queues the texts that must be indexed anew. The version moves, so that each process reads the site again.
UPDATE = Query(
    "search_language.update",
    """
    UPDATE sites s
       SET search_language = ('pg_catalog.' || %(language)s::text)::regconfig, version = s.version + 1
     WHERE s.site_id = %(site_id)s""",
)


class SearchLanguage(NamedTuple):
    """Search language of a site, as `language`. `languages`: all languages that a site may have; `is_indexing`: the
    site's texts are still being indexed in its language.
    """

    language: str
    languages: list[str]
    is_indexing: bool

    @classmethod
    def find(cls, tx: Reader, site_id: int) -> SearchLanguage:
        """Return the search language of an existing site."""
        row = tx.row(FIND, site_id=site_id)
        assert row is not None
        return cls(*row)

    @staticmethod
    def update(tx: Transaction, author: Author, language: str) -> None:
        """Set the language, one of `languages`, of the author's site, whose row must be locked, and record that in the
        journal. A job then indexes the site's texts anew.
        """
        tx.run(UPDATE, site_id=author.site_id, language=language)
        journal.record_site(tx, author)

    def document(self) -> dict[str, Any]:
        """Return the setting as JSON members."""
        return {
            "language": self.language,
            "languages": self.languages,
            "indexing": self.is_indexing,
        }

"""Policy of a site for crawlers: which of the known ones are refused, its preference on training language models, and
the requests a minute that all unknown programs together may make.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.wire.json_fragments import dumps, loads
from forumapi.wire.known_crawlers import BY_NAME

# The site's version moves, so that each process reads the policy anew.
SET = Query(
    "crawl_policy.set",
    """
    WITH stored AS (
        INSERT INTO site_settings AS v (site_id, key, value) VALUES (%(site_id)s, 'crawling', %(value)s::jsonb)
            ON CONFLICT (site_id, key) DO UPDATE SET value = EXCLUDED.value)
    UPDATE sites s SET version = s.version + 1 WHERE s.site_id = %(site_id)s
 RETURNING s.version""",
)

# Preferences of the draft draft-ietf-aipref-vocab: allowed, disallowed, none stated.
PREFERENCES: Final = ("y", "n", "")
MOST_PER_MINUTE: Final = 10_000_000


class CrawlPolicy(NamedTuple):
    """Policy of a site. `refused`: names of the known crawlers that are refused; `train_ai`: preference on training
    language models, "y" (allowed), "n" (not allowed) or "" (none stated); `per_minute`: requests a minute of all
    unknown programs together, 0 for the platform's number, which also takes the place of a higher one.
    """

    refused: tuple[str, ...] = ()
    train_ai: str = ""
    per_minute: int = 0

    @classmethod
    def of(cls, text: str) -> CrawlPolicy:
        """Return the policy that is stored as the JSON `text`; "": the default one."""
        if not text:
            return DEFAULT
        stored: Mapping[str, Any] = loads(text)
        return cls(tuple(stored["refused"]), stored["trainAi"], stored["perMinute"])

    def document(self) -> dict[str, Any]:
        """Return the policy as a dict for JSON."""
        return {
            "refused": list(self.refused),
            "trainAi": self.train_ai,
            "perMinute": self.per_minute,
        }

    def checked(self) -> CrawlPolicy:
        """Return the policy with each refused crawler once, in the order given. Raises Invalid, which names the field,
        for a crawler that known_crawlers.py does not list, for a preference that is none of PREFERENCES, and for a
        number of requests outside of 0 to MOST_PER_MINUTE.
        """
        for name in self.refused:
            if name not in BY_NAME:
                known = ", ".join(BY_NAME)
                raise Invalid("refused", f"may name {known}", code=OUT_OF_RANGE)
        if self.train_ai not in PREFERENCES:
            raise Invalid("trainAi", 'must be "y", "n" or ""', code=OUT_OF_RANGE)
        if not 0 <= self.per_minute <= MOST_PER_MINUTE:
            raise Invalid(
                "perMinute", f"must be between 0 and {MOST_PER_MINUTE:,}", code=OUT_OF_RANGE
            )
        return self._replace(refused=tuple(dict.fromkeys(self.refused)))

    def set(self, tx: Transaction, author: Author) -> None:
        """Store the policy for the author's site, whose row is locked, increment the site's version and journal the
        change. The policy must have been `checked`.
        """
        value = dumps(self.document()).decode()
        version = tx.value(SET, site_id=author.site_id, value=value)
        journal.record_site(tx, author, version=version)


DEFAULT: Final = CrawlPolicy()

"""Requests to erase a profile or an account: made, taken back, begun when due. erasure_steps.py carries them out.

A request waits for 30 days. Until then it is deleted when its person takes it back; from then on it can't be, and the
profile is erased step by step.
"""

from __future__ import annotations

import datetime
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import Conflict, Invalid
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.wire import json_fragments

DAYS: Final = 30
KEEP: Final = "keep"
REMOVE: Final = "remove"
WORDS: Final = (KEEP, REMOVE)
# Sites that a refusal names.
MOST_NAMED: Final = 20

# The site's rule; without one, each person chooses.
RULE = Query(
    "erasure_request.rule",
    "SELECT s.value ->> 'words' FROM site_settings s WHERE s.site_id = %(site_id)s AND s.key = 'erasure'",
)

SET_RULE = Query(
    "erasure_request.set_rule",
    """
    INSERT INTO site_settings AS s (site_id, key, value)
    VALUES (%(site_id)s, 'erasure', jsonb_build_object('words', %(words)s::text))
        ON CONFLICT (site_id, key) DO UPDATE SET value = EXCLUDED.value""",
)

OWNED_HERE = Query(
    "erasure_request.owned_here",
    """
    SELECT s.site_id, s.title
      FROM sites s
     WHERE s.site_id = %(site_id)s AND s.owned_by = %(profile_id)s AND NOT s.is_deleted""",
)

OWNED_BY_USER = Query(
    "erasure_request.owned_by_user",
    """
    SELECT s.site_id, s.title
      FROM sites s
      JOIN profiles p ON p.site_id = s.site_id AND p.profile_id = s.owned_by
     WHERE p.user_id = %(user_id)s AND NOT s.is_deleted
     ORDER BY s.site_id
     LIMIT %(most)s""",
    scope=PLATFORM,
)

# A request that waits already gets the new choice and a new time; one that runs stays as it is.
INSERT = Query(
    "erasure_request.insert",
    """
    INSERT INTO erasures AS e (site_id, profile_id, words, due)
    VALUES (%(site_id)s, %(profile_id)s, %(words)s, now() + make_interval(days => %(days)s::int))
        ON CONFLICT (site_id, profile_id) DO UPDATE
       SET words = EXCLUDED.words, requested = now(), due = EXCLUDED.due
     WHERE e.state = 'waiting'""",
)

INSERT_ACCOUNT = Query(
    "erasure_request.insert_account",
    """
    INSERT INTO account_erasures AS e (user_id, words, due)
    VALUES (%(user_id)s, %(words)s, now() + make_interval(days => %(days)s::int))
        ON CONFLICT (user_id) DO UPDATE SET words = EXCLUDED.words, requested = now(), due = EXCLUDED.due
     WHERE e.state = 'waiting'""",
)

# A row that is due and locked by whoever begins it is waited for, and is not waiting any more then.
CANCEL = Query(
    "erasure_request.cancel",
    """
    DELETE FROM erasures e
     WHERE e.site_id = %(site_id)s AND e.profile_id = %(profile_id)s AND e.state = 'waiting'""",
)

CANCEL_ACCOUNT = Query(
    "erasure_request.cancel_account",
    "DELETE FROM account_erasures e WHERE e.user_id = %(user_id)s AND e.state = 'waiting'",
)

FIND = Query(
    "erasure_request.find",
    """
    SELECT e.words, e.requested, e.due
      FROM erasures e
     WHERE e.site_id = %(site_id)s AND e.profile_id = %(profile_id)s AND e.state = 'waiting'""",
)

FIND_ACCOUNT = Query(
    "erasure_request.find_account",
    "SELECT e.words, e.requested, e.due FROM account_erasures e WHERE e.user_id = %(user_id)s AND e.state = 'waiting'",
)


class ErasureRequest(NamedTuple):
    """Request to erase a profile or an account, which waits until `due`. `words`: KEEP or REMOVE, what happens to all
    that the person has written.
    """

    words: str
    requested: datetime.datetime
    due: datetime.datetime

    @classmethod
    def find(cls, tx: Reader, site_id: int, profile_id: int) -> ErasureRequest | None:
        """Return the waiting request to erase a profile; None if there is none, or its erasing has begun."""
        row = tx.row(FIND, site_id=site_id, profile_id=profile_id)
        return cls(*row) if row else None

    @classmethod
    def find_account(cls, tx: Reader, user_id: int) -> ErasureRequest | None:
        """Return the waiting request to erase a user's account; None if there is none, or its erasing has begun."""
        row = tx.row(FIND_ACCOUNT, user_id=user_id)
        return cls(*row) if row else None

    @staticmethod
    def insert(tx: Transaction, site_id: int, profile_id: int, words: str) -> None:
        """Store a request to erase a profile, due in DAYS days; a request that waits already gets the new `words` and
        time, and an erasing that has begun stays as it is. Raises Conflict, which names the site, for the profile of
        its owner, unless the site is deleted; Invalid for REMOVE where the site keeps the words.
        """
        check_owner(tx.rows(OWNED_HERE, site_id=site_id, profile_id=profile_id))
        if words == REMOVE and keeps_words(tx, site_id):
            raise Invalid("words", "must be keep: this site keeps what people have written")
        tx.run(INSERT, site_id=site_id, profile_id=profile_id, words=words, days=DAYS)

    @staticmethod
    def insert_account(tx: Transaction, user_id: int, words: str) -> None:
        """Store a request to erase a user's account, due in DAYS days; a request that waits already gets the new
        `words` and time, and an erasing that has begun stays as it is. A site that keeps the words of everybody keeps
        these too, whatever `words` says. Raises Conflict for a user who owns sites that are not deleted; the error
        names up to MOST_NAMED of the sites.
        """
        check_owner(tx.rows(OWNED_BY_USER, user_id=user_id, most=MOST_NAMED))
        tx.run(INSERT_ACCOUNT, user_id=user_id, words=words, days=DAYS)

    @staticmethod
    def delete(tx: Transaction, site_id: int, profile_id: int) -> bool:
        """Delete the waiting request to erase a profile; return False if none waits."""
        return tx.run(CANCEL, site_id=site_id, profile_id=profile_id) > 0

    @staticmethod
    def delete_account(tx: Transaction, user_id: int) -> bool:
        """Delete the waiting request to erase a user's account; return False if none waits."""
        return tx.run(CANCEL_ACCOUNT, user_id=user_id) > 0

    def document(self, href: str) -> dict[str, Any]:
        """Return the request as a dict for JSON; `href`: the request's address in the API."""
        return {
            "words": self.words,
            "requested": json_fragments.format_time(self.requested),
            "due": json_fragments.format_time(self.due),
            "meta": {"links": [{"rel": "self", "href": href}]},
        }


def checked_words(text: str) -> str:
    """Return `text`, the parameter `words` of a request: KEEP or REMOVE; KEEP for "". Raises Invalid for any other
    text.
    """
    if text not in ("", *WORDS):
        raise Invalid("words", "must be keep or remove")
    return text or KEEP


def keeps_words(tx: Reader, site_id: int) -> bool:
    """Return True if the site keeps what erased people have written, whatever they choose."""
    return bool(tx.value(RULE, site_id=site_id) == KEEP)


def set_rule(tx: Transaction, author: Author, *, keeps: bool) -> None:
    """Set the rule of the author's site: with `keeps` it keeps what erased people have written, else they choose. The
    site's row must be locked; the change is journaled.
    """
    tx.run(SET_RULE, site_id=author.site_id, words=KEEP if keeps else "choice")
    journal.record_site(tx, author)


def check_owner(owned: list[tuple[Any, ...]]) -> None:
    """Raise Conflict unless `owned` is empty: the sites, (id, title) of each, that the person to be erased owns. The
    error names the sites.
    """
    if owned:
        names = ", ".join(f"{title} (site {site_id})" for site_id, title in owned)
        raise Conflict(f"Hand over what you own first, or delete it: {names}")

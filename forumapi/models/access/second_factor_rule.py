"""Rule of a site that its moderators, the owner included, moderate only with a second factor set up."""

from __future__ import annotations

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author

NEEDS = Query(
    "second_factor_rule.needs",
    "SELECT s.needs_second_factor FROM sites s WHERE s.site_id = %(site_id)s",
)

IS_LIMITED = Query(
    "second_factor_rule.is_limited",
    """
    SELECT s.needs_second_factor
       AND NOT EXISTS (SELECT FROM one_time_secrets o WHERE o.user_id = %(user_id)s AND o.confirmed IS NOT NULL)
      FROM sites s
     WHERE s.site_id = %(site_id)s""",
)

UPDATE = Query(
    "second_factor_rule.update",
    "UPDATE sites s SET needs_second_factor = %(is_needed)s WHERE s.site_id = %(site_id)s",
)


def needs_second_factor(tx: Reader, site_id: int) -> bool:
    """Return True if the site demands a second factor of those who moderate on it."""
    return bool(tx.value(NEEDS, site_id=site_id))


def is_limited(tx: Reader, site_id: int, user_id: int) -> bool:
    """Return True if the site demands a second factor of moderators and this user, moderator or not, has no confirmed
    one.
    """
    return bool(tx.value(IS_LIMITED, site_id=site_id, user_id=user_id))


def set_second_factor(tx: Transaction, author: Author, is_needed: bool) -> None:
    """Store in the author's site, whose row must be locked, that it demands a second factor of moderators from their
    next request on, or, with `is_needed` False, that it does not; record the change in the journal.
    """
    tx.run(UPDATE, site_id=author.site_id, is_needed=is_needed)
    journal.record_site(tx, author)

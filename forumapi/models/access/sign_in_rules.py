"""What a site demands of those who moderate it: a second factor."""

from __future__ import annotations

from forumapi.database.connections import Query, Reader, Transaction
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author

NEEDS = Query(
    "sign_in_rules.needs",
    "SELECT s.needs_second_factor FROM sites s WHERE s.site_id = %(site_id)s",
)

IS_LIMITED = Query(
    "sign_in_rules.is_limited",
    """
    SELECT s.needs_second_factor
       AND NOT EXISTS (SELECT FROM one_time_secrets o WHERE o.user_id = %(user_id)s AND o.confirmed IS NOT NULL)
      FROM sites s
     WHERE s.site_id = %(site_id)s""",
)

DEMAND = Query(
    "sign_in_rules.demand",
    "UPDATE sites s SET needs_second_factor = %(wanted)s WHERE s.site_id = %(site_id)s",
)


def needs_second_factor(tx: Reader, site_id: int) -> bool:
    """Whether the site demands a second factor of those who moderate."""
    return bool(tx.value(NEEDS, site_id=site_id))


def is_limited(tx: Reader, site_id: int, user_id: int) -> bool:
    """Whether the site demands a second factor that the user does not have."""
    return bool(tx.value(IS_LIMITED, site_id=site_id, user_id=user_id))


def demand_second_factor(tx: Transaction, author: Author, wanted: bool) -> None:
    """Demand it, or demand it no more; effective with everybody's next request. The site's row must be locked."""
    tx.run(DEMAND, site_id=author.site_id, wanted=wanted)
    journal.record_site(tx, author)

"""Handing a site over: its owner offers it to somebody with a profile there, who accepts or declines."""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from forumapi.database.connections import Query, Reader, Transaction
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author

DAYS: Final = 7

# An offer ends with the ownership of who made it.
FIND = Query(
    "site_offer.find",
    f"""
    SELECT o.profile_id, o.offered_by, o.created + interval '{DAYS} days'
      FROM site_offers o
      JOIN sites s ON s.site_id = o.site_id AND s.owned_by = o.offered_by
     WHERE o.site_id = %(site_id)s AND o.created > now() - interval '{DAYS} days'""",
)

OFFER = Query(
    "site_offer.offer",
    """
    INSERT INTO site_offers (site_id, profile_id, offered_by) VALUES (%(site_id)s, %(profile_id)s, %(offered_by)s)
        ON CONFLICT (site_id) DO UPDATE
       SET profile_id = EXCLUDED.profile_id, offered_by = EXCLUDED.offered_by, created = now()""",
)

END = Query("site_offer.end", "DELETE FROM site_offers o WHERE o.site_id = %(site_id)s")

# Whoever owns the root microcosm, or made it, manages the roles of everything below it.
GIVE = Query(
    "site_offer.give",
    """
    WITH root AS (
        UPDATE microcosms m
           SET owned_by = %(profile_id)s, created_by = %(profile_id)s, version = m.version + 1
          FROM sites s
         WHERE s.site_id = %(site_id)s AND m.site_id = s.site_id AND m.microcosm_id = s.root_microcosm_id
           AND %(was)s IN (m.owned_by, m.created_by))
    UPDATE sites s
       SET owned_by = %(profile_id)s, version = s.version + 1, acl_version = s.acl_version + 1
     WHERE s.site_id = %(site_id)s""",
)

PERSON = Query(
    "site_offer.person",
    """
    SELECT p.user_id, p.profile_name, u.email
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s""",
)


class Offer(NamedTuple):
    """An offer that counts: to whom, by whom, until when."""

    profile_id: int
    offered_by: int
    expires: datetime.datetime


class Person(NamedTuple):
    """Person to be told. The name is stored HTML-escaped."""

    user_id: int
    name: str
    email: str


def find(tx: Reader, site_id: int) -> Offer | None:
    """The offer of this site, or None."""
    row = tx.row(FIND, site_id=site_id)
    return Offer(*row) if row else None


def person(tx: Reader, site_id: int, profile_id: int) -> Person | None:
    """Somebody of the site, or None."""
    row = tx.row(PERSON, site_id=site_id, profile_id=profile_id)
    return Person(*row) if row else None


def offer(tx: Transaction, author: Author, profile_id: int) -> None:
    """Offer the site in the place of any offer before."""
    tx.run(OFFER, site_id=author.site_id, profile_id=profile_id, offered_by=author.profile_id)


def end(tx: Transaction, site_id: int) -> bool:
    """End the offer; whether there was one."""
    return bool(tx.run(END, site_id=site_id))


def accept(tx: Transaction, author: Author, was: int) -> None:
    """Make the author the owner in the place of `was`, who keeps the profile and all microcosms but the root one."""
    tx.run(GIVE, site_id=author.site_id, profile_id=author.profile_id, was=was)
    end(tx, author.site_id)
    journal.record_site(tx, author)

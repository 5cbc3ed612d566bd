"""Transfer of a site: its owner offers it to a profile of the site, which accepts or declines."""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author

DAYS: Final = 7

# An offer ends when its maker no longer owns the site.
FIND = Query(
    "ownership_transfer.find",
    f"""
    SELECT o.profile_id, o.offered_by, o.created + interval '{DAYS} days'
      FROM site_offers o
      JOIN sites s ON s.site_id = o.site_id AND s.owned_by = o.offered_by
     WHERE o.site_id = %(site_id)s AND o.created > now() - interval '{DAYS} days'""",
)

INSERT = Query(
    "ownership_transfer.insert",
    """
    INSERT INTO site_offers (site_id, profile_id, offered_by) VALUES (%(site_id)s, %(profile_id)s, %(offered_by)s)
        ON CONFLICT (site_id) DO UPDATE
       SET profile_id = EXCLUDED.profile_id, offered_by = EXCLUDED.offered_by, created = now()""",
)

DELETE = Query(
    "ownership_transfer.delete", "DELETE FROM site_offers o WHERE o.site_id = %(site_id)s"
)

# The root microcosm goes along: its owner and its creator manage the roles of everything below it.
ACCEPT = Query(
    "ownership_transfer.accept",
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

FIND_PARTY = Query(
    "ownership_transfer.find_party",
    """
    SELECT p.user_id, p.profile_name, u.email
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s""",
)


class SiteOffer(NamedTuple):
    """Offer of a site in force: one made within the last DAYS days by the profile that still owns the site.
    `profile_id`: the profile that the site is offered to; `offered_by`: the owner's profile; `expires`: end of the
    offer.
    """

    profile_id: int
    offered_by: int
    expires: datetime.datetime

    @classmethod
    def find(cls, tx: Reader, site_id: int) -> SiteOffer | None:
        """Return the offer of this site; None if there is none in force."""
        row = tx.row(FIND, site_id=site_id)
        return cls(*row) if row else None

    @staticmethod
    def insert(tx: Transaction, author: Author, profile_id: int) -> None:
        """Store an offer of the author's site to a profile, in place of an earlier offer. The author must be the site's
        owner, else the offer is not in force.
        """
        tx.run(INSERT, site_id=author.site_id, profile_id=profile_id, offered_by=author.profile_id)

    @staticmethod
    def delete(tx: Transaction, site_id: int) -> None:
        """Delete the offer of this site, which is withdrawn or declined; nothing changes if there is none."""
        tx.run(DELETE, site_id=site_id)

    def accept(self, tx: Transaction, author: Author) -> None:
        """Make the author, to whom the site must be offered, the owner of the site, and also the owner and creator of
        its root microcosm if the former owner was either; the offer is then gone. The former owner keeps the profile,
        and all other microcosms. Version and acl_version of the site are incremented, and the change is journaled.
        """
        tx.run(ACCEPT, site_id=author.site_id, profile_id=author.profile_id, was=self.offered_by)
        self.delete(tx, author.site_id)
        journal.record_site(tx, author)


class OfferParty(NamedTuple):
    """Person who offers a site, or is offered one: user id, e-mail address, and `name`, that of the profile,
    HTML-escaped.
    """

    user_id: int
    name: str
    email: str

    @classmethod
    def find(cls, tx: Reader, site_id: int, profile_id: int) -> OfferParty | None:
        """Return the person who has this profile of the site; None if there is no such profile."""
        row = tx.row(FIND_PARTY, site_id=site_id, profile_id=profile_id)
        return cls(*row) if row else None

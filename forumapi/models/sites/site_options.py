"""Options of a site that its document does not show: who creates microcosms, how far agents may go, and notifications
of new profiles.
"""

from __future__ import annotations

from typing import NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author

FIND = Query(
    "site_options.find",
    """
    SELECT NOT o.only_admins_can_create_microcosms, coalesce(o.send_email, f.send_email),
           coalesce(o.send_sms, f.send_sms), o.agents, o.members_make_bots
      FROM site_options o
     CROSS JOIN platform_options f
     WHERE o.site_id = %(site_id)s""",
)

# The right to create microcosms is part of the site's snapshot and of its access lists: both versions move.
UPDATE = Query(
    "site_options.update",
    """
    WITH changed AS (
        UPDATE site_options o
           SET only_admins_can_create_microcosms =
                   coalesce(NOT %(members_create)s, o.only_admins_can_create_microcosms),
               send_email = coalesce(%(send_email)s, o.send_email),
               send_sms = coalesce(%(send_sms)s, o.send_sms),
               agents = coalesce(%(agents)s, o.agents),
               members_make_bots = coalesce(%(members_make_bots)s, o.members_make_bots)
         WHERE o.site_id = %(site_id)s
     RETURNING o.site_id)
    UPDATE sites s
       SET version = s.version + 1, acl_version = s.acl_version + 1
      FROM changed
     WHERE s.site_id = changed.site_id""",
)


class SiteOptions(NamedTuple):
    """Options in force on a site: its own, else the platform's. `members_create_microcosms`: every member may;
    `send_email`, `send_sms`: by which way new profiles are notified, until they choose; `agents`: one of
    the levels of agents/tools.py; `members_make_bots`: every member may (models/access/bot.py).
    """

    members_create_microcosms: bool
    send_email: bool
    send_sms: bool
    agents: str
    members_make_bots: bool

    @classmethod
    def find(cls, tx: Reader, site_id: int) -> SiteOptions:
        """Return the options in force on a site, which must exist."""
        row = tx.row(FIND, site_id=site_id)
        assert row is not None, "options are made with the site"
        return cls(*row)

    @staticmethod
    def update(
        tx: Transaction,
        author: Author,
        *,
        members_create: bool | None = None,
        send_email: bool | None = None,
        send_sms: bool | None = None,
        agents: str | None = None,
        members_make_bots: bool | None = None,
    ) -> None:
        """Store options of the author's site; None keeps the stored value. `members_create`: every member may create
        microcosms; the others are as in SiteOptions. Increments version and acl_version of the site, and journals the
        change.
        """
        tx.run(
            UPDATE,
            site_id=author.site_id,
            members_create=members_create,
            send_email=send_email,
            send_sms=send_sms,
            agents=agents,
            members_make_bots=members_make_bots,
        )
        journal.record_site(tx, author)

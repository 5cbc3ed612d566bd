"""Level of agents that a person sets: how far agents may go on a site in that person's name. The lower of this level
and the site's level is in force.
"""

from __future__ import annotations

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.journal.journal import Author

FIND = Query(
    "agent_level.find",
    """
    SELECT coalesce((SELECT o.agents FROM profile_options o
                      WHERE o.site_id = %(site_id)s AND o.profile_id = %(profile_id)s), 'write')""",
)

# A profile without options of its own gets those that are in force (models/notifications/update_options.py).
UPDATE = Query(
    "agent_level.update",
    """
    INSERT INTO profile_options AS o (site_id, profile_id, send_email, send_sms, agents)
    SELECT %(site_id)s, %(profile_id)s, coalesce(so.send_email, pl.send_email), coalesce(so.send_sms, pl.send_sms),
           %(level)s
      FROM platform_options pl
      LEFT JOIN site_options so ON so.site_id = %(site_id)s
        ON CONFLICT (site_id, profile_id) DO UPDATE SET agents = %(level)s""",
)


def find(tx: Reader, site_id: int, profile_id: int) -> str:
    """Return the level that the profile set, one of the levels of agents/tools.py; the highest where it set none."""
    return str(tx.value(FIND, site_id=site_id, profile_id=profile_id))


def update(tx: Transaction, author: Author, level: str) -> None:
    """Store the level of the author's profile, in force from the next message of an agent on. `level`: one of the
    levels of agents/tools.py.
    """
    tx.run(UPDATE, site_id=author.site_id, profile_id=author.profile_id, level=level)

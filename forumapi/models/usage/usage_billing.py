"""Hours of usage in the order in which they are sent to the operator's biller, and how far they were sent."""

from __future__ import annotations

import datetime
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.models.usage.site_usage import COLUMNS, Usage
from forumapi.wire.json_fragments import format_time

_USAGE: Final = ", ".join(f"u.{name}" for name in COLUMNS)

# The first run begins with the hour that it is in: what was used before a biller was named is not billed.
BEGIN = Query(
    "usage_billing.begin",
    """
    INSERT INTO usage_billing (hour, last_site)
    VALUES (date_trunc('hour', now()) - interval '1 hour', 9223372036854775807)
        ON CONFLICT (is_only) DO NOTHING""",
)
# In the order of the primary key's columns turned round, which the index on the hour serves.
DUE = Query(
    "usage_billing.due",
    f"""
    SELECT u.site_id, s.subdomain_key, coalesce(v.plan, ''), coalesce(f.bytes, 0), u.hour, {_USAGE}
      FROM usage_billing b
      JOIN site_usage u ON u.hour >= b.hour AND (u.hour > b.hour OR u.site_id > b.last_site)
      JOIN sites s ON s.site_id = u.site_id
      LEFT JOIN site_plans v ON v.site_id = u.site_id
      LEFT JOIN file_usage f ON f.site_id = u.site_id AND f.profile_id = 0
     WHERE u.hour <= now() - interval '1 hour' - make_interval(secs => %(grace_s)s::int)
       AND NOT EXISTS (SELECT FROM sandboxes x WHERE x.site_id = u.site_id)
     ORDER BY u.hour, u.site_id
     LIMIT %(limit)s""",
    scope=PLATFORM,
)
MOVE = Query(
    "usage_billing.move",
    "UPDATE usage_billing b SET hour = %(hour)s, last_site = %(last)s",
)


class BilledHour(NamedTuple):
    """Usage of a site in an hour, which is over. `key`: its subdomain; `plan`: the one that was set for it, "" for
    none; `stored`: bytes of its files now.
    """

    site_id: int
    key: str
    plan: str
    stored: int
    hour: datetime.datetime
    usage: Usage

    @property
    def id(self) -> str:
        """Return the id of the event that tells the biller of this hour: the same however often the event is sent."""
        return f"usage_{self.site_id}_{int(self.hour.timestamp())}"

    def document(self) -> dict[str, Any]:
        """Return the body of the event that tells the biller of this hour, as a dict for JSON."""
        return {
            "type": "usage",
            "id": self.id,
            "siteId": self.site_id,
            "site": self.key,
            "plan": self.plan,
            "since": format_time(self.hour),
            "until": format_time(self.hour + datetime.timedelta(hours=1)),
            "usage": self.usage.document(),
            "storedBytes": self.stored,
        }


def due(tx: Transaction, grace_s: int, limit: int) -> list[BilledHour]:
    """Return the next hours with usage to send to the biller, of all sites but sandboxes, `limit` at most: ordered by
    hour, then by site id. An hour is due `grace_s` seconds after its end. Hours that were over before the first call
    are never due.
    """
    tx.run(BEGIN)
    rows = tx.rows(DUE, grace_s=grace_s, limit=limit)
    return [
        BilledHour(site_id, key, plan, stored, hour, Usage(*usage))
        for site_id, key, plan, stored, hour, *usage in rows
    ]


def move(tx: Transaction, last: BilledHour) -> None:
    """Record that the hours up to `last`, in the order of `due`, were sent."""
    tx.run(MOVE, hour=last.hour, last=last.site_id)

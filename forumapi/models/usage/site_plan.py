"""Plans of sites: their names, what sites use of the limits, and the notices to owners that a limit is near or reached.

The limits themselves are in the settings; request/admission/plan_limits.py applies them.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author

FIND = Query(
    "site_plan.find",
    "SELECT coalesce((SELECT v.plan FROM site_plans v WHERE v.site_id = %(site_id)s), '')",
)
# The site's version moves, so that each process reads the site's row anew.
SET = Query(
    "site_plan.set",
    """
    WITH named AS (
        INSERT INTO site_plans AS v (site_id, plan)
        SELECT %(site_id)s, %(plan)s WHERE %(plan)s::text <> ''
            ON CONFLICT (site_id) DO UPDATE SET plan = EXCLUDED.plan),
    unnamed AS (
        DELETE FROM site_plans v WHERE v.site_id = %(site_id)s AND %(plan)s::text = ''),
    untold AS (
        DELETE FROM plan_notices n WHERE n.site_id = %(site_id)s)
    UPDATE sites s SET version = s.version + 1 WHERE s.site_id = %(site_id)s
 RETURNING s.version""",
)
# Attempts are counted in windows that begin at midnight, UTC.
USED = Query(
    "site_plan.used",
    """
    SELECT coalesce((SELECT n.total FROM site_people n WHERE n.site_id = %(site_id)s), 0),
           coalesce((SELECT f.bytes FROM file_usage f WHERE f.site_id = %(site_id)s AND f.profile_id = 0), 0),
           coalesce(u.comments, 0)::bigint, coalesce(u.mails, 0)::bigint,
           coalesce((SELECT a.attempts FROM attempt_counters a
                      WHERE a.kind = 'invitation-site' AND a.subject = %(site_id)s::text
                        AND a.window_start = date_trunc('day', now(), 'UTC')), 0),
           (SELECT count(*) FROM webhooks w WHERE w.site_id = %(site_id)s),
           coalesce((SELECT a.attempts FROM attempt_counters a
                      WHERE a.kind = 'site-import' AND a.subject = %(site_id)s::text
                        AND a.window_start = date_trunc('day', now(), 'UTC')), 0)
      FROM (SELECT sum(v.comments) AS comments, sum(v.mails) AS mails
              FROM site_usage v
             WHERE v.site_id = %(site_id)s AND v.hour >= date_trunc('day', now(), 'UTC')) AS u""",
)
# The row of the site's owner: none for the platform's own site without an owner.
NOTE = Query(
    "site_plan.note",
    """
    WITH noted AS (
        INSERT INTO plan_notices AS n (site_id, limit_name, percent, period)
        VALUES (%(site_id)s, %(limit)s, %(percent)s, %(period)s)
            ON CONFLICT (site_id, limit_name, percent) DO UPDATE SET period = EXCLUDED.period
         WHERE n.period < EXCLUDED.period
     RETURNING n.site_id)
    SELECT u.email, s.title
      FROM sites s
      JOIN profiles p ON p.profile_id = s.owned_by AND p.site_id = %(site_id)s
      JOIN users u ON u.user_id = p.user_id
     WHERE s.site_id = %(site_id)s AND EXISTS (SELECT FROM noted)""",
)

MEMBERS: Final = "members"
STORAGE: Final = "storage_mb"
COMMENTS: Final = "comments_per_day"
CALLS: Final = "calls_per_minute"
SOCKETS: Final = "sockets"
MAILS: Final = "mails_per_day"
INVITATIONS: Final = "invitations_per_day"
WEBHOOKS: Final = "webhooks"
IMPORTS: Final = "imports_per_day"
_MEGABYTE: Final = 1024 * 1024
# Limits whose use begins at 0 each day, UTC.
DAILY: Final = frozenset((COMMENTS, MAILS, INVITATIONS, IMPORTS))
# Limits that are reached for a moment: their notices are repeated after a day, those of the others after a month.
MOMENTARY: Final = frozenset((CALLS, SOCKETS))


class PlanNotice(NamedTuple):
    """Notice to the owner of a site: `percent` per cent, 80 or 100, are used of `most`, the amount of `limit` (MEMBERS
    or another name of a limit) that the plan named `plan` allows.
    """

    site_id: int
    limit: str
    plan: str
    most: int
    percent: int

    def note(self, tx: Transaction, today: datetime.date) -> tuple[str, str] | None:
        """Record the notice; return the owner's address and the site's title, HTML-escaped, or None for a notice that
        was recorded before in its period, and for a site without an owner. The period is the day `today` for the limits
        in DAILY and MOMENTARY, else the month of `today`.
        """
        row = tx.row(
            NOTE,
            site_id=self.site_id,
            limit=self.limit,
            percent=self.percent,
            period=self.period(today),
        )
        return (row[0], row[1]) if row else None

    def period(self, today: datetime.date) -> datetime.date:
        """Return the first day of the period of `today` within which the notice is not repeated."""
        return today if self.limit in DAILY | MOMENTARY else today.replace(day=1)


def find(tx: Reader, site_id: int) -> str:
    """Return the name of the plan that was set for a site; "" for none."""
    plan: str = tx.value(FIND, site_id=site_id)
    return plan


def document(plan: str, limits: Mapping[str, int], used: Mapping[str, int]) -> dict[str, Any]:
    """Return the plan in force, named `plan` ("": none), as a dict for JSON: with its `limits`, and how much of each is
    `used`, both by the limits' names; a limit without an entry in `used` is shown without its use.
    """
    return {
        "plan": plan,
        "limits": [
            {"limit": limit, "most": most} | ({"used": used[limit]} if limit in used else {})
            for limit, most in limits.items()
        ],
    }


def set_plan(tx: Transaction, author: Author, plan: str) -> None:
    """Set the plan of the author's site, whose row is locked, and journal the change; "": the default plan. Deletes the
    recorded notices, so that the site's owner is told anew of limits that are near or reached.
    """
    version = tx.value(SET, site_id=author.site_id, plan=plan)
    journal.record_site(tx, author, version=version)


def used(tx: Reader, site_id: int) -> dict[str, int]:
    """Return what a site uses of the limits that the database counts, by their names: in all, or since midnight, UTC.
    Storage is rounded up to a whole MB.
    """
    row = tx.row(USED, site_id=site_id)
    assert row is not None, "an aggregate has a row"
    members, stored, comments, mails, invitations, webhooks, imports = row
    return {
        MEMBERS: members,
        STORAGE: -(-stored // _MEGABYTE),
        COMMENTS: comments,
        MAILS: mails,
        INVITATIONS: invitations,
        WEBHOOKS: webhooks,
        IMPORTS: imports,
    }

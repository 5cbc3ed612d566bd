"""Transparency report of the site for a period, as a page and as a file; for its owner."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from forumapi.webclient.handlers.sites.administration import owner
from forumapi.webclient.handlers.trust.audit import day
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit


class TransparencyView(View):
    """Transparency report of the site for a period; for the owner."""

    def get(self, visit: Visit) -> Answer:
        """Show the report from the day `since` to the day `until` in the query, both included; for a missing or wrong
        `since` from the day 365 days ago, for such an `until` to today (UTC). Raises Refused for members who do not own
        the site, SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        since, until = _period(visit)
        asked = {"since": day(since), "until": day(until, after=1)}
        return visit.page(
            "admin_transparency.html",
            report=visit.api.get("/site/transparency", **asked),
            since=since,
            until=until,
            table=f"/admin/transparency/transparency.csv?{urlencode({'since': since, 'until': until})}",
        )


class TransparencyFileView(View):
    """Transparency report of the site as a file for spreadsheets; for the owner."""

    def get(self, visit: Visit) -> Answer:
        """Send the report of the period from the day `since` to the day `until` in the query, both included, as a CSV
        file; for a missing or wrong `since` from the day 365 days ago, for such an `until` to today (UTC). Raises
        Refused for members who do not own the site, SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        since, until = _period(visit)
        asked = {"since": day(since), "until": day(until, after=1)}
        reply = visit.api.document("/site/transparency/csv", **asked)
        name = f'attachment; filename="transparency-{since}-{until}.csv"'
        return visit.send(
            reply.body, "text/csv; charset=utf-8", headers={"Content-Disposition": name}
        )


def _period(visit: Visit) -> tuple[str, str]:
    """Return the days (`since`, `until`) of the query in ISO 8601, counted in UTC; for a missing or wrong `since` the
    day 365 days ago, for such an `until` today.
    """
    today = datetime.now(UTC).date()
    since, until = visit.query.get("since", ""), visit.query.get("until", "")
    if not day(since):
        since = (today - timedelta(days=365)).isoformat()
    if not day(until):
        until = today.isoformat()
    return since, until

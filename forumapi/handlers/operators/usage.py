"""Usage of a site by hour, day or month, for its owner and the platform's operators. Wire: docs/api/usage.md."""

from __future__ import annotations

import datetime
from typing import Final

from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.handlers.sites.sites import find_for_operators
from forumapi.models.content import file
from forumapi.models.usage.site_usage import PERIODS, SiteUsage
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, OWNER, Handler, Param, needs
from forumapi.request.handler_results import Data, RawResponse, Result
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import sites as schemas

_PERIODS: Final = (
    Param(
        "since",
        str,
        "Its beginning, RFC 3339 with its offset; by default 31 days before its end, 366 for months.",
    ),
    Param("until", str, "Its end, which is no part of it; by default now."),
    Param("period", str, "What a row sums up, in UTC: `hour`, `day` (the default) or `month`."),
)
# Longest time, in days, that one answer covers.
MOST_DAYS: Final = {"hour": 31, "day": 400, "month": 800}


def _site_of(ctx: Context) -> int:
    """Return the id of the site that the address names, for its owner and operators. Raises Forbidden for anybody else;
    NotFound for an unknown site and, for anybody else, for one that is deleted, suspended or in its export window.
    """
    site_id: int = find_for_operators(ctx).id
    return site_id


def _usage(ctx: Context, site_id: int) -> SiteUsage:
    """Return the usage of a site between `since` and `until` of the query, by its `period`. Raises Invalid for a bad
    `period` or time, and for a time of more days than MOST_DAYS has for that period.
    """
    period = ctx.query.get("period") or "day"
    if period not in PERIODS:
        raise Invalid("period", f"must be one of {', '.join(PERIODS)}")
    since, until = ctx.period(datetime.timedelta(days=366 if period == "month" else 31))
    if until - since > datetime.timedelta(days=MOST_DAYS[period]):
        most = MOST_DAYS[period]
        raise Invalid(
            "since", f"must be at most {most} days before until for {period}s", code=OUT_OF_RANGE
        )
    return SiteUsage.find(ctx.reader, site_id, period, since, until)


def _shown(ctx: Context, site_id: int) -> Data:
    """Return the usage of a site between `since` and `until` of the query, and the bytes that the site's files take
    now. Raises Invalid for a bad `period` or time, and for a time that is too long for the period.
    """
    found = _usage(ctx, site_id).document()
    stored, _ = file.usage(ctx.reader, site_id, 0)
    return Data(dumps({**found, "storedBytes": stored}))


def _csv(ctx: Context, site_id: int) -> RawResponse:
    """Return the usage of a site between `since` and `until` of the query, as CSV. Raises Invalid for a bad `period` or
    time, and for a time that is too long for the period.
    """
    headers = (
        ("Content-Disposition", "attachment; filename=usage.csv"),
        ("Cache-Control", "no-cache, max-age=0"),
    )
    return RawResponse(_usage(ctx, site_id).csv().encode(), "text/csv", headers)


class UsageHandler(Handler):
    """Usage of the site that the address names, on the platform's host."""

    @needs(LOGIN, answer=schemas.SiteUsage, params=_PERIODS)
    def get(self, ctx: Context) -> Result:
        """Requests, bytes sent, processor and database time, duration of live connections, mails and pushes of the site
        for each `period` with any of these, oldest first, and their totals; and the bytes that its files take now.

        `since` (inclusive) is by default 31 days before `until`, 366 for months; `until` (exclusive) is by default now.
        `period` is hour, day (the default) or month, in UTC. 400 for a time of over 31 days by `hour`, 400 days by
        `day` or 800 days by `month`. 403 for all but the site's owner and the platform's operators; 404 for an unknown
        site and, for all but these, for one that is deleted, suspended or in its export window.
        """
        return _shown(ctx, _site_of(ctx))


class UsageCsvHandler(Handler):
    """Usage, as CSV, of the site that the address names, on the platform's host."""

    @needs(LOGIN, media_type="text/csv", params=_PERIODS)
    def get(self, ctx: Context) -> Result:
        """The usage of the site as CSV: names of the columns, then a line for each `period` with any usage, oldest
        first.

        `since` (inclusive) is by default 31 days before `until`, 366 for months; `until` (exclusive) is by default now.
        `period` is hour, day (the default) or month, in UTC. 400 for a time of over 31 days by `hour`, 400 days by
        `day` or 800 days by `month`. 403 for all but the site's owner and the platform's operators; 404 for an unknown
        site and, for all but these, for one that is deleted, suspended or in its export window.
        """
        return _csv(ctx, _site_of(ctx))


class OwnUsageHandler(SiteSettingHandler):
    """Usage of this host's site, for its owner."""

    @needs(OWNER, answer=schemas.SiteUsage, params=_PERIODS)
    def get(self, ctx: Context) -> Result:
        """Requests, bytes sent, processor and database time, duration of live connections, mails and pushes of this
        site for each `period` with any of these, oldest first, and their totals; and the bytes that its files take now.

        `since` (inclusive) is by default 31 days before `until`, 366 for months; `until` (exclusive) is by default now.
        `period` is hour, day (the default) or month, in UTC. 400 for a time of over 31 days by `hour`, 400 days by
        `day` or 800 days by `month`.
        """
        return _shown(ctx, ctx.site.id)


class OwnUsageCsvHandler(SiteSettingHandler):
    """Usage of this host's site as CSV, for its owner."""

    @needs(OWNER, media_type="text/csv", params=_PERIODS)
    def get(self, ctx: Context) -> Result:
        """The usage of this site as CSV: names of the columns, then a line for each `period` with any usage, oldest
        first.

        `since` (inclusive) is by default 31 days before `until`, 366 for months; `until` (exclusive) is by default now.
        `period` is hour, day (the default) or month, in UTC. 400 for a time of over 31 days by `hour`, 400 days by
        `day` or 800 days by `month`.
        """
        return _csv(ctx, ctx.site.id)

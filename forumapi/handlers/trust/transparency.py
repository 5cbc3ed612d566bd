"""Transparency report of a site for a period, as JSON and CSV. Wire: docs/api/transparency.md."""

from __future__ import annotations

import datetime
from typing import Final

from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.models.trust.transparency import TransparencyReport
from forumapi.request.context import Context
from forumapi.request.handler import OWNER, Param, needs
from forumapi.request.handler_results import Data, RawResponse, Result
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import trust as schemas

_PERIOD: Final = (
    Param(
        "since", str, "Its beginning, RFC 3339 with its offset; by default a year before its end."
    ),
    Param("until", str, "Its end, which is no part of it; by default now."),
)


def _report(ctx: Context) -> TransparencyReport:
    """Return the report for the time between `since` and `until` of the query. Raises Invalid for a bad time, or if
    `until` is not after `since`.
    """
    since, until = ctx.period(datetime.timedelta(days=365))
    return TransparencyReport.find(ctx.reader, ctx.site.id, since, until)


class TransparencyHandler(SiteSettingHandler):
    """The site's transparency report, for its owner."""

    @needs(OWNER, answer=schemas.TransparencyReport, params=_PERIOD)
    def get(self, ctx: Context) -> Result:
        """The numbers of notices, decisions and appeals from `since` (by default a year before `until`) to `until` (by
        default now, exclusive), in the terms of the Digital Services Act.
        """
        return Data(dumps(_report(ctx).document()))


class TransparencyCsvHandler(SiteSettingHandler):
    """The site's transparency report as CSV, for its owner."""

    @needs(OWNER, media_type="text/csv", params=_PERIOD)
    def get(self, ctx: Context) -> Result:
        """The numbers of notices, decisions and appeals from `since` (by default a year before `until`) to `until` (by
        default now, exclusive), one a line, for a spreadsheet.
        """
        headers = (
            ("Content-Disposition", "attachment; filename=transparency.csv"),
            ("Cache-Control", "no-cache, max-age=0"),
        )
        return RawResponse(_report(ctx).csv().encode(), "text/csv", headers)

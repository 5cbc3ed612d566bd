"""Page of the site's plan and of what the site used, for its owner: the plan's limits, then requests, data, processor
time and mails, as plots and as a table.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from forumapi.webclient.bar_chart import BarChart, bar_chart
from forumapi.webclient.handlers.sites.administration import marked, owner
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

DAYS: Final = 30
MONTHS: Final = 12

# Of requests, in the order in which a bar stacks them.
CLASSES: Final = (
    ("guestReads", marked("Guests reading")),
    ("memberReads", marked("Members reading")),
    ("writes", marked("Writing")),
    ("refused", marked("Refused")),
)


class Column(NamedTuple):
    """Column of the table, which is a plot as well if `is_plotted`: key of the API's rows, English label, and how many
    of the key's units make one that is shown.
    """

    key: str
    label: str
    unit: int = 1
    is_plotted: bool = True

    def value(self, row: dict[str, Any]) -> float:
        """Return the value that the column shows for `row`, a row of the API: in the unit shown, rounded to two
        decimals if that is another than the API's.
        """
        number: float = row[self.key]
        return number if self.unit == 1 else round(number / self.unit, 2)


COLUMNS: Final = (
    Column("bytesSent", marked("Data sent, in MB"), 1_000_000),
    Column("cpuMs", marked("Processor time, in seconds"), 1_000),
    Column("databaseMs", marked("Waiting for the database, in seconds"), 1_000, is_plotted=False),
    Column("liveSeconds", marked("Live connections, in hours"), 3_600, is_plotted=False),
    Column("mails", marked("Mails")),
    Column("pushes", marked("Push messages"), is_plotted=False),
)
# Limits of plans, by the API's names.
LIMITS: Final = {
    "members": marked("Members"),
    "storage_mb": marked("Files, in MB"),
    "comments_per_day": marked("Comments today"),
    "calls_per_minute": marked("Requests a minute"),
    "sockets": marked("Live connections at a time"),
    "mails_per_day": marked("Mails today"),
    "invitations_per_day": marked("Invitations today"),
    "webhooks": marked("Webhooks"),
    "imports_per_day": marked("Imports of a forum today"),
}
_NOTHING: Final = dict.fromkeys([key for key, _ in CLASSES] + [column.key for column in COLUMNS], 0)


class Span(NamedTuple):
    """Stretch of time that the page can show, in periods: name in the address, English label, `period` (hour, day or
    month) for the API, form of dates as `dated` takes it, and `beginnings`, a function that is called with a time in
    UTC and returns the beginnings of the stretch's periods up to that time, in UTC, oldest first.
    """

    name: str
    label: str
    period: str
    form: str
    beginnings: Callable[[datetime], list[datetime]]


def _hours(now: datetime) -> list[datetime]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return [midnight + timedelta(hours=hour) for hour in range(now.hour + 1)]


def _days(now: datetime) -> list[datetime]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return [midnight - timedelta(days=ago) for ago in reversed(range(DAYS))]


def _months(now: datetime) -> list[datetime]:
    months = [now.year * 12 + now.month - 1 - ago for ago in reversed(range(MONTHS))]
    return [datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in months]


SPANS: Final = (
    Span("today", marked("Today"), "hour", "minute", _hours),
    Span("days", marked("The last 30 days"), "day", "day", _days),
    Span("months", marked("The last 12 months"), "month", "month", _months),
)
_DEFAULT: Final = SPANS[1]


class Plot(NamedTuple):
    """Plot of the page: English label, chart, and the English labels of the chart's series, () for a single one."""

    label: str
    chart: BarChart
    series: tuple[str, ...] = ()


class UsagePageView(View):
    """Page of the site's plan, if it has one, and of its usage today, in the last 30 days, or in the last 12 months."""

    def get(self, visit: Visit) -> Answer:
        """Show the limits of the plan, with what is used of them now, and the usage in the time that the query's `time`
        names: "today" (in UTC), "months" (the last 12) or, also for any other value, "days" (the last 30); what was not
        used has no plot. Raises Refused for members who do not own the site, SignInFirst for guests and for a sign-in
        older than 30 minutes.
        """
        owner(visit)
        span = _span(visit)
        beginnings = [_written(at) for at in span.beginnings(datetime.now(UTC))]
        found = visit.api.get("/site/usage", period=span.period, since=beginnings[0])
        known = {row["since"]: row for row in found["usage"]}
        rows = [known.get(at) or {"since": at, **_NOTHING} for at in beginnings]
        requests = bar_chart([[row[key] for key, _ in CLASSES] for row in rows])
        plots = [Plot(marked("Requests"), requests, tuple(label for _, label in CLASSES))]
        plots += [
            Plot(one.label, bar_chart([[one.value(row)] for row in rows]))
            for one in COLUMNS
            if one.is_plotted
        ]
        return visit.page(
            "admin_usage.html",
            plan=visit.api.get("/site/plan"),
            limits=LIMITS,
            span=span,
            spans=SPANS,
            rows=rows,
            totals=found["totals"],
            stored=found["storedBytes"],
            classes=CLASSES,
            columns=COLUMNS,
            plots=[plot for plot in plots if plot.chart.is_drawn],
        )


class UsageFileView(View):
    """Usage of the site as a file for spreadsheets."""

    def get(self, visit: Visit) -> Answer:
        """Send the usage in the time that the query's `time` names, as a CSV file: "today" (in UTC), "months" (the last
        12) or, also for any other value, "days" (the last 30). Raises Refused for members who do not own the site,
        SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        span = _span(visit)
        since = _written(span.beginnings(datetime.now(UTC))[0])
        reply = visit.api.document("/site/usage/csv", period=span.period, since=since)
        name = f'attachment; filename="usage-{span.name}-{since[:10]}.csv"'
        return visit.send(
            reply.body, "text/csv; charset=utf-8", headers={"Content-Disposition": name}
        )


def _span(visit: Visit) -> Span:
    wanted = visit.query.get("time", "")
    return next((span for span in SPANS if span.name == wanted), _DEFAULT)


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

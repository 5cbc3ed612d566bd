"""Usage of a site by hour: requests, bytes, processor and database time, live connections, mails, pushes."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.wire.json_fragments import format_time

# Columns of the table, in the order of `Usage`.
COLUMNS: Final = (
    *(
        "guest_reads",
        "member_reads",
        "writes",
        "refused",
        "bytes_sent",
        "cpu_ms",
        "database_ms",
        "live_s",
    ),
    *("mails", "pushes", "comments"),
)
# Those that web workers count.
_COUNTED: Final = (*COLUMNS[:8], "comments")
_WHOLE: Final = ("guest_reads", "member_reads", "writes", "refused", "bytes_sent", "comments")
_SUMS: Final = ", ".join(f"sum(u.{name})" for name in COLUMNS)
# Sums of several processes meet in a row: rows are locked in one order.
_ADD_UP: Final = ", ".join(f"{name} = site_usage.{name} + EXCLUDED.{name}" for name in _COUNTED)

ADD = Query(
    "site_usage.add",
    f"""
    INSERT INTO site_usage (site_id, hour, guest_reads, member_reads, writes, refused, bytes_sent, cpu_ms, database_ms,
                            live_s, comments)
    SELECT n.site_id, to_timestamp(n.hour * 3600.0), n.guest_reads, n.member_reads, n.writes, n.refused, n.bytes_sent,
           n.cpu_ms, n.database_ms, n.live_s, n.comments
      FROM unnest(%(sites)s::bigint[], %(hours)s::bigint[], %(guest_reads)s::bigint[], %(member_reads)s::bigint[],
                  %(writes)s::bigint[], %(refused)s::bigint[], %(bytes_sent)s::bigint[], %(cpu_ms)s::float8[],
                  %(database_ms)s::float8[], %(live_s)s::float8[], %(comments)s::bigint[])
           AS n (site_id, hour, guest_reads, member_reads, writes, refused, bytes_sent, cpu_ms, database_ms, live_s,
                 comments)
      JOIN sites s ON s.site_id = n.site_id
     ORDER BY n.site_id, n.hour
        ON CONFLICT (site_id, hour) DO UPDATE SET {_ADD_UP}""",
)

# What was sent is counted in the transaction that records the outcomes, so that nothing is counted twice.
ADD_MAILS = Query(
    "site_usage.add_mails",
    """
    INSERT INTO site_usage (site_id, hour, mails)
    SELECT m.site_id, date_trunc('hour', now()), count(*)
      FROM (SELECT o.site_id FROM mail_outbox o
             WHERE o.mail_id = ANY(%(ids)s::bigint[]) AND o.state IN ('queued', 'unwritten') AND o.site_id IS NOT NULL
             ORDER BY o.mail_id
               FOR UPDATE) AS m
     GROUP BY m.site_id
     ORDER BY m.site_id
        ON CONFLICT (site_id, hour) DO UPDATE SET mails = site_usage.mails + EXCLUDED.mails""",
    scope=PLATFORM,
)
ADD_PUSHES = Query(
    "site_usage.add_pushes",
    """
    INSERT INTO site_usage (site_id, hour, pushes)
    SELECT n.site_id, date_trunc('hour', now()), count(*)
      FROM unnest(%(sites)s::bigint[]) AS n (site_id)
     GROUP BY n.site_id
     ORDER BY n.site_id
        ON CONFLICT (site_id, hour) DO UPDATE SET pushes = site_usage.pushes + EXCLUDED.pushes""",
)

PERIODS: Final = ("hour", "day", "month")
# Buckets of days and months are those of UTC.
FIND = Query(
    "site_usage.find",
    f"""
    SELECT date_trunc(%(period)s, u.hour, 'UTC') AS since, {_SUMS}
      FROM site_usage u
     WHERE u.site_id = %(site_id)s AND u.hour >= %(since)s AND u.hour < %(until)s
     GROUP BY 1
     ORDER BY 1""",
)

DELETE_OLD = Query(
    "site_usage.delete_old",
    "DELETE FROM site_usage u WHERE u.hour < now() - make_interval(days => %(days)s::int)",
    scope=PLATFORM,
)
KEPT_DAYS: Final = 800

# Those of `Usage` on the wire, in its order.
KEYS: Final = (
    *("guestReads", "memberReads", "writes", "refused", "bytesSent", "cpuMs", "databaseMs"),
    *("liveSeconds", "mails", "pushes", "comments"),
)


class Usage(NamedTuple):
    """Numbers of a site's usage in a period. A request is counted once: in `guest_reads`, `member_reads`, `writes` or,
    if it was answered with a status of 400 or more, `refused`.

    `bytes_sent`: of the bodies of answers; `cpu_ms`: the site's share of the web workers' processor time, in proportion
    to the statements of its requests; `live_s`: duration in seconds of all live connections together; `database_ms`:
    time for which its requests waited for the database; `mails`, `pushes`: those that were sent; `comments`: new ones,
    which count in `writes` too.
    """

    guest_reads: int = 0
    member_reads: int = 0
    writes: int = 0
    refused: int = 0
    bytes_sent: int = 0
    cpu_ms: float = 0.0
    database_ms: float = 0.0
    live_s: float = 0.0
    mails: int = 0
    pushes: int = 0
    comments: int = 0

    def document(self) -> dict[str, Any]:
        """Return the numbers by their keys on the wire; durations are rounded to whole units."""
        return dict(zip(KEYS, map(round, self), strict=True))


class SiteUsage(NamedTuple):
    """Usage of a site from `since` to `until`, summed by `period`, one of PERIODS. `rows`: (beginning, usage) of each
    period, oldest first; periods without usage are left out.
    """

    since: datetime.datetime
    until: datetime.datetime
    period: str
    rows: Sequence[tuple[datetime.datetime, Usage]]

    @classmethod
    def find(
        cls,
        tx: Reader,
        site_id: int,
        period: str,
        since: datetime.datetime,
        until: datetime.datetime,
    ) -> SiteUsage:
        """Read the usage of a site in the hours that begin from `since` on and before `until`, summed by `period`, one
        of PERIODS.
        """
        rows = tx.rows(FIND, site_id=site_id, period=period, since=since, until=until)
        return cls(since, until, period, [(row[0], Usage(*row[1:])) for row in rows])

    def document(self) -> dict[str, Any]:
        """Return the usage as a dict for JSON, with the totals of all periods."""
        totals = Usage(*map(sum, zip(*(usage for _, usage in self.rows), strict=True)))
        return {
            "since": format_time(self.since),
            "until": format_time(self.until),
            "period": self.period,
            "totals": totals.document(),
            "usage": [{**one.document(), "since": format_time(at)} for at, one in self.rows],
        }

    def csv(self) -> str:
        """Return the rows as CSV: a line of column names, then a line for each period."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(["since", *KEYS])
        for at, usage in self.rows:
            writer.writerow([format_time(at), *usage.document().values()])
        return out.getvalue()


def add(tx: Transaction, counts: Mapping[tuple[int, int], Sequence[float]]) -> None:
    """Add to the usage of sites. `counts`, not empty: numbers to add, `guest_reads` to `live_s` in the order of
    `Usage`, then `comments`, by (site id, number of the hour since the beginning of 1970, UTC); sites that no longer
    exist are left out.
    """
    keys = sorted(counts)
    columns = list(zip(*(counts[key] for key in keys), strict=True))
    values = {
        name: [round(one) for one in column] if name in _WHOLE else list(column)
        for name, column in zip(_COUNTED, columns, strict=True)
    }
    tx.run(
        ADD,
        sites=[site_id for site_id, _ in keys],
        hours=[hour for _, hour in keys],
        **values,
    )


def add_mails(tx: Transaction, mail_ids: Sequence[int]) -> None:
    """Count mails of the outbox as sent by their sites, before the outcomes of the mails are recorded there. Mails
    whose outcome another process has recorded already are left out, as are mails of the platform.
    """
    tx.run(ADD_MAILS, ids=list(mail_ids))


def add_pushes(tx: Transaction, site_ids: Sequence[int]) -> None:
    """Count messages of web push as sent by their sites; `site_ids`: the site of each message."""
    tx.run(ADD_PUSHES, sites=list(site_ids))


def delete_old(tx: Transaction) -> int:
    """Delete usage older than KEPT_DAYS, of all sites; return the number of rows."""
    return tx.run(DELETE_OLD, days=KEPT_DAYS)

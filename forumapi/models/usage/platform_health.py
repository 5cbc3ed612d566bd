"""Metrics of the whole platform, read from the database on request: lags, outboxes, jobs, backups."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from forumapi.database.connections import Database, Reader
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import Unavailable
from forumapi.events import event_log
from forumapi.observability import metrics
from forumapi.observability.metrics_push import Point

OUTBOXES = Query(
    "platform_health.outboxes",
    """
    SELECT 'mail', 'queued', count(*), coalesce(extract(epoch FROM now() - min(m.not_before)), 0)::float8
      FROM (SELECT q.not_before FROM mail_outbox q WHERE q.state = 'queued'
             UNION ALL
            SELECT u.not_before FROM mail_outbox u WHERE u.state = 'unwritten') m
     UNION ALL
    SELECT 'mail', 'dead', count(*), 0
      FROM mail_outbox m
     WHERE m.state = 'dead'
     UNION ALL
    SELECT 'webhooks', d.state, count(*), coalesce(extract(epoch FROM now() - min(d.not_before)), 0)::float8
      FROM webhook_deliveries d
     WHERE d.state = 'queued'
     GROUP BY d.state""",
    scope=PLATFORM,
)
_SENT_BY: Final = ("mail", "webhooks")

UNNUMBERED = Query(
    "platform_health.unnumbered",
    f"""
    SELECT count(*), coalesce(extract(epoch FROM now() - min(e.created)), 0)::float8
      FROM event_log e
     WHERE {event_log.FRESH}""",
    scope=PLATFORM,
)

UNREAD = Query(
    "platform_health.unread",
    """
    SELECT c.reader, sum(h.number - c.number)::bigint
      FROM event_cursors c
      JOIN event_heads h ON h.site_id = c.site_id
     GROUP BY c.reader""",
    scope=PLATFORM,
)

# Rows of a few days are kept; the last of each kind is near the end of the key.
JOBS = Query(
    "platform_health.jobs",
    """
    SELECT j.task,
           (SELECT extract(epoch FROM t.finished)::float8 FROM task_runs t
             WHERE t.task = j.task AND t.outcome = 'done' ORDER BY t.due DESC LIMIT 1),
           (SELECT extract(epoch FROM t.finished)::float8 FROM task_runs t
             WHERE t.task = j.task AND t.outcome = 'failed' ORDER BY t.due DESC LIMIT 1)
      FROM (WITH RECURSIVE task AS (
                SELECT min(t.task) AS task FROM task_runs t
                 UNION ALL
                SELECT (SELECT min(t.task) FROM task_runs t WHERE t.task > p.task) FROM task p WHERE p.task IS NOT NULL)
            SELECT p.task FROM task p WHERE p.task IS NOT NULL) AS j""",
)


def of_platform(tx: Reader) -> list[Point]:
    """Return the metrics that are read from the database, DATABASE_UP among them, in any order. Raises Unavailable if
    the database can't be reached.
    """
    points = [Point(metrics.DATABASE_UP.name, (), "g", 1)]

    def add(metric: metrics.Metric, value: float, *labels: str) -> None:
        points.append(Point(metric.name, labels, "g", value))

    waiting = dict.fromkeys(_SENT_BY, (0.0, 0.0))
    for outbox, state, count, oldest_s in tx.rows(OUTBOXES):
        if state == "queued":
            waiting[outbox] = (count, max(0.0, oldest_s))
        else:
            add(metrics.OUTBOX, count, outbox, state)
    for outbox, (count, oldest_s) in waiting.items():
        add(metrics.OUTBOX, count, outbox, "queued")
        add(metrics.OUTBOX_LAG, oldest_s, outbox)
    row = tx.row(UNNUMBERED)
    assert row is not None, "an aggregate has a row"
    add(metrics.EVENTS_UNNUMBERED, row[0])
    add(metrics.EVENTS_LAG, max(0.0, row[1]))
    for reader, count in tx.rows(UNREAD):
        add(metrics.EVENTS_UNREAD, count, reader)
    for job, done, failed in tx.rows(JOBS):
        add(metrics.CRON_DONE, done or 0, job)
        add(metrics.CRON_FAILED, failed or 0, job)
    return points


def samples(points: Iterable[Point]) -> list[metrics.Sample]:
    """Return the metric values `points` as samples for Prometheus, in the order in which the metrics are registered."""
    order = {name: place for place, name in enumerate(metrics.Metric.all)}
    made = []
    for point in sorted(points, key=lambda point: (order[point.name], point.labels)):
        metric = metrics.Metric.all[point.name]
        labels = dict(zip(metric.labels, point.labels, strict=True))
        made.append(metrics.Sample(metric, metrics.series(point.name, labels), point.value, ()))
    return made


# ---------------------------------------------------------------- the last backup


class Backup(NamedTuple):
    """Last backup, as its status file has it: the time of its end, its kind (a word such as `base`, "" for none), and
    its size in bytes.
    """

    finished: datetime.datetime
    kind: str
    bytes: int


class _Written(msgspec.Struct):
    finished: datetime.datetime
    kind: str = ""
    bytes: int = 0


def last_backup(path: Path) -> Backup | None:
    """Return the last successful backup, from the status file `path`; None if there is no such file.

    The file is JSON: `{"finished": "2026-11-27T03:00:00Z", "kind": "base", "bytes": 1234}`, where kind ("") and bytes
    (0) may be missing. A time without a zone is UTC. Raises ValueError for any other content, OSError for a file that
    can't be read.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Written)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    finished = found.finished
    if finished.tzinfo is None:
        finished = finished.replace(tzinfo=datetime.UTC)
    return Backup(finished, found.kind, found.bytes)


def of_backup(path: Path) -> Sequence[Point]:
    """Return the metric of the last backup's end, in seconds since 1970, by the status file `path`; () if that is
    missing or unreadable.
    """
    try:
        found = last_backup(path)
    except (OSError, ValueError):
        return ()
    if found is None:
        return ()
    return (Point(metrics.BACKUP_FINISHED.name, (), "g", found.finished.timestamp()),)


def collect(database: Database, backup_status: Path | None) -> list[Point]:
    """Return the metrics of the whole platform that can be read, in any order. If the database can't be reached,
    DATABASE_UP is 0 and its other metrics are missing. `backup_status`: path of the status file of
    the backups, None for no metric of the last one.
    """
    points: list[Point] = []
    reader = database.read()
    try:
        points += of_platform(reader)
    except Unavailable:
        points.append(Point(metrics.DATABASE_UP.name, (), "g", 0))
    finally:
        reader.end()
    if backup_status is not None:
        points += of_backup(backup_status)
    return points

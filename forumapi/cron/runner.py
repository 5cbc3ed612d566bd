"""The cron process: one leads, any number stand by; each due time of a job takes effect once (architecture, the clock).

The leader holds an advisory lock on a connection of its own, which it checks before each job. A job and the row
(task, due) commit together, so a crash leaves both or neither, and a second leader would find the row. Due times that
were missed fold into one run. A job that fails is logged, marked, and tried again at its next due time.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import psycopg
from croniter import croniter

from forumapi import log, metrics
from forumapi.config import Config, ConfigError, Settings
from forumapi.cron.schedule import JOBS, Job
from forumapi.db import Database, Query
from forumapi.errors import ApiError
from forumapi.log import logger
from forumapi.reporting import Reporter

# One number for every node of every release.
LEADER: Final = 7_205_159_403_792_794

STANDBY_S: Final = 2.0
JOB_LIMIT_S: Final = 600

LAST_DUE = Query(
    "cron.last_due",
    "SELECT t.task, max(t.due) FROM task_runs t WHERE t.task = ANY(%(tasks)s) GROUP BY t.task",
)

# What a job may take has nothing to do with what a request may take.
LIMITS = Query(
    "cron.limits",
    """
    SELECT set_config('statement_timeout', %(limit_ms)s::int::text, true),
           set_config('idle_in_transaction_session_timeout', %(limit_ms)s::int::text, true)""",
)

CLAIM = Query(
    "cron.claim",
    "INSERT INTO task_runs (task, due) VALUES (%(task)s, %(due)s) ON CONFLICT DO NOTHING",
)

FINISH = Query(
    "cron.finish",
    """
    UPDATE task_runs t
       SET finished = clock_timestamp(), detail = %(detail)s
     WHERE t.task = %(task)s AND t.due = %(due)s""",
)

FAIL = Query(
    "cron.fail",
    """
    INSERT INTO task_runs (task, due, finished, outcome, detail)
    VALUES (%(task)s, %(due)s, clock_timestamp(), 'failed', %(detail)s)
        ON CONFLICT (task, due) DO NOTHING""",
)

Now = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    """The time, aware."""
    return datetime.datetime.now(datetime.UTC)


def next_due(job: Job, after: datetime.datetime) -> datetime.datetime:
    """The first due time later than `after`."""
    due: datetime.datetime = croniter(job.line, after).get_next(datetime.datetime)
    return due


def last_due(job: Job, at: datetime.datetime) -> datetime.datetime:
    """The latest due time that is not later than `at`."""
    due: datetime.datetime = croniter(job.line, at + datetime.timedelta(seconds=1)).get_prev(
        datetime.datetime
    )
    return due


class Lock:
    """The leader's lock: an advisory one on a connection of its own, gone when either end of it dies."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection | None = None

    def take(self) -> bool:
        """Try to lead; False while another does. Raises psycopg.OperationalError."""
        if self._connection is None:
            self._connection = psycopg.connect(
                self._url, autocommit=True, connect_timeout=5, application_name="forumapi cron"
            )
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", [LEADER]).fetchone()
        return row == (True,)

    def holds(self) -> bool:
        """True while the connection that holds the lock is alive."""
        try:
            if self._connection is not None:
                self._connection.execute("SELECT 1")
                return True
        except psycopg.OperationalError:
            self.release()
        return False

    def release(self) -> None:
        """Give the lock back and close its connection."""
        if self._connection is not None:
            # Closing alone would do, but only once the server has noticed.
            with contextlib.suppress(psycopg.Error):
                self._connection.execute("SELECT pg_advisory_unlock_all()")
            self._connection.close()
            self._connection = None


class Runner:
    """Runs `jobs` when they are due, while it leads. `now` is the clock."""

    def __init__(
        self, url: str, settings: Settings, jobs: Sequence[Job] = JOBS, now: Now = utc_now
    ) -> None:
        self.settings = settings
        self.jobs = jobs
        self._now = now
        self._lock = Lock(url)
        self._database = Database(url, size=1, prepare=False, timeout_ms=JOB_LIMIT_S * 1000)
        self._stop = threading.Event()
        self._due: dict[str, datetime.datetime] = {}

    def stop(self) -> None:
        """End after the job that runs now; called from a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Lead or stand by until `stop`."""
        try:
            while not self._stop.is_set():
                try:
                    if self._lock.take():
                        logger.info("cron: this process leads")
                        self.lead()
                        continue
                except (psycopg.OperationalError, ApiError) as error:
                    logger.warning("cron: the database is away: %s", error)
                    self._lock.release()
                self._stop.wait(STANDBY_S)
        finally:
            self._lock.release()
            self._database.close()

    def lead(self) -> None:
        """Run what falls due until `stop`, or until the lock is lost."""
        self.plan()
        while not self._stop.is_set():
            job, due = min(
                ((job, self._due[job.name]) for job in self.jobs), key=lambda pair: pair[1]
            )
            wait_s = (due - self._now()).total_seconds()
            if wait_s > 0:
                self._stop.wait(min(wait_s, STANDBY_S))
            if not self._lock.holds():
                logger.warning("cron: the lock is lost")
                return
            if wait_s <= 0:
                self.run_due(job)

    def plan(self) -> None:
        """Work out what is due next. What fell due since its last run is due now; a new job waits for its next time."""
        tx = self._database.read()
        try:
            rows = tx.rows(LAST_DUE, tasks=[job.name for job in self.jobs])
        finally:
            tx.end()
        done = {row[0]: row[1] for row in rows}
        now = self._now()
        self._due = {job.name: next_due(job, done.get(job.name, now)) for job in self.jobs}

    def run_due(self, job: Job) -> None:
        """Run a job for the latest of its due times that have come; the ones before fold into it."""
        now = self._now()
        due = max(last_due(job, now), self._due[job.name])
        self.perform(job, due)
        self._due[job.name] = next_due(job, max(due, now))

    def perform(self, job: Job, due: datetime.datetime) -> str:
        """Run a job for one due time, unless that was done; what it did, "" if it failed or had been done."""
        started = time.monotonic()
        try:
            detail = self.attempt(job, due)
        except Exception as error:  # noqa: BLE001 - one job must never stop the others (P-64)
            logger.exception("cron: %s failed", job.name)
            metrics.CRON_RUNS.add(1, job.name, "failed")
            self._mark_failed(job, due, error)
            return ""
        if detail:
            took = time.monotonic() - started
            metrics.CRON_SECONDS.observe(took, job.name)
            metrics.CRON_RUNS.add(1, job.name, "done")
            logger.info("cron: %s: %s (%.2f s)", job.name, detail, took)
        return detail

    def attempt(self, job: Job, due: datetime.datetime) -> str:
        """Run a job and note its due time in one transaction; "" if it had been done. Raises whatever the job does."""
        with self._database.write() as tx:
            tx.row(LIMITS, limit_ms=JOB_LIMIT_S * 1000)
            if not tx.run(CLAIM, task=job.name, due=due):
                return ""
            detail = job.work(tx, self.settings.current)
            tx.run(FINISH, task=job.name, due=due, detail=detail)
        return detail

    def _mark_failed(self, job: Job, due: datetime.datetime, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"[:500]
        try:
            with self._database.write() as tx:
                tx.run(FAIL, task=job.name, due=due, detail=text)
        except (psycopg.Error, ApiError) as again:
            logger.warning("cron: the failure of %s was not recorded: %s", job.name, again)


def run(config: Config) -> None:
    """The cron process: until SIGTERM or SIGINT. SIGHUP reads the settings again; it begins anew where they need it."""
    settings = Settings(config)
    runner = Runner(config.direct_url, settings)
    begins_anew = threading.Event()

    def reload() -> None:
        if _reload(settings):
            begins_anew.set()
            runner.stop()

    def hang_up(sign: int, frame: object) -> None:
        # Off the signal handler: it may have interrupted anything.
        threading.Thread(target=reload).start()

    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda sign, frame: runner.stop())
    signal.signal(signal.SIGHUP, hang_up)
    signal.signal(signal.SIGUSR1, lambda sign, frame: log.reopen())
    log.start()
    reporter = Reporter(lambda: settings.current)
    reporter.start()
    logger.info("cron: started with %d jobs", len(JOBS))
    runner.run()
    reporter.stop()
    logger.info("cron: %s", "begins anew" if begins_anew.is_set() else "stopped")
    log.stop()
    if begins_anew.is_set():
        # The same process id: whoever supervises us notices nothing.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _reload(settings: Settings) -> bool:
    """Read the settings again; True when this process has to begin anew for what has changed."""
    try:
        changes = settings.reload()
        log.apply(settings.current, access=False)
    except ConfigError as error:
        logger.error("settings not reloaded, the old ones stay: %s", error)
        return False
    except OSError as error:
        logger.error("the log stays where it is: %s", error)
    logger.info("settings reloaded: %s", ", ".join(changes.applied) or "nothing changed")
    if changes.replaced:
        logger.info("with a new process: %s", ", ".join(changes.replaced))
    if changes.needs_restart:
        logger.warning("these wait for a restart: %s", ", ".join(changes.needs_restart))
    return bool(changes.replaced)


def run_once(url: str, config: Config, name: str) -> str:
    """Run one job now, on its own, and say what it did. Raises ApiError, psycopg.Error."""
    runner = Runner(url, Settings(config))
    job = next(job for job in JOBS if job.name == name)
    return runner.attempt(job, utc_now())

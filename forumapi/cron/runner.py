"""Runner of the scheduled jobs (`forumapi cron`): one process leads, others stand by; each due time of a job takes
effect once (decision 0005).

The leader holds the lease `cron` (events/lease.py). A job and its row in task_runs (task, due) commit together in a
transaction that checks the lease's epoch: a crash leaves both or neither, and a leader that was frozen and replaced
cannot commit. Due times that were missed are merged into one run. A failed job is logged, recorded, and retried by its
own policy or at its next due time.
"""

from __future__ import annotations

import datetime
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import psycopg
from croniter import croniter

from forumapi.concurrency import signals
from forumapi.config import Config, Settings
from forumapi.cron.personal_exports import Exporter
from forumapi.cron.schedule import JOBS, Job
from forumapi.cron.site_exports import ExportThread
from forumapi.cron.site_imports import ImportThread
from forumapi.database.connections import Database, Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import ApiError, ConfigError
from forumapi.events.lease import TRY_S, Lease, LostError
from forumapi.observability import log, metrics
from forumapi.observability.log import logger
from forumapi.observability.metrics_push import Reporter

FAILED: Final = "failed"

# Interval at which a leader checks its lease.
POLL_S: Final = 1.0
JOB_LIMIT_S: Final = 600

# Rows after `until` were written by a clock that was ahead, and are ignored.
LAST_RUNS = Query(
    "runner.last_runs",
    """
    SELECT l.task, l.due, l.started, l.finished, l.outcome, l.attempts::int, l.detail
      FROM unnest(%(tasks)s::text[], %(untils)s::timestamptz[]) AS n (task, until)
     CROSS JOIN LATERAL (
            SELECT t.* FROM task_runs t
             WHERE t.task = n.task AND t.due <= n.until
             ORDER BY t.due DESC LIMIT 1) l""",
)

HISTORY = Query(
    "runner.history",
    """
    SELECT t.task, t.due, t.started, t.finished, t.outcome, t.attempts::int, t.detail
      FROM task_runs t
     WHERE %(task)s::text IS NULL OR t.task = %(task)s
     ORDER BY t.due DESC, t.task
     LIMIT %(limit)s""",
)

# Time limits of jobs differ from those of requests.
LIMITS = Query(
    "runner.limits",
    """
    SELECT set_config('statement_timeout', %(limit_ms)s::int::text, true),
           set_config('idle_in_transaction_session_timeout', %(limit_ms)s::int::text, true)""",
)

# A due time is claimed once, and again after a failure.
CLAIM = Query(
    "runner.claim",
    """
    INSERT INTO task_runs AS t (task, due) VALUES (%(task)s, %(due)s)
        ON CONFLICT (task, due) DO UPDATE
       SET outcome = 'done', started = now(), finished = NULL, detail = '', attempts = t.attempts + 1
     WHERE t.outcome = 'failed'""",
)

FINISH = Query(
    "runner.finish",
    """
    UPDATE task_runs t
       SET finished = clock_timestamp(), detail = %(detail)s
     WHERE t.task = %(task)s AND t.due = %(due)s""",
)

FAIL = Query(
    "runner.fail",
    """
    INSERT INTO task_runs AS t (task, due, started, finished, outcome, detail)
    VALUES (%(task)s, %(due)s, clock_timestamp() - make_interval(secs => %(took_s)s::float8), clock_timestamp(),
            'failed', %(detail)s)
        ON CONFLICT (task, due) DO UPDATE
       SET started = EXCLUDED.started, finished = EXCLUDED.finished, detail = EXCLUDED.detail,
           attempts = t.attempts + 1
     WHERE t.outcome = 'failed'
 RETURNING t.attempts::int""",
)


class Run(NamedTuple):
    """Row of task_runs: the run of the job `task` for one due time. `finished`: None only within the transaction of a
    run that has not finished; `outcome`: "done" or "failed". Times are in UTC, with their zone.

    `attempts`: tries of this due time; `detail`: the job's result in words, or its error.
    """

    task: str
    due: datetime.datetime
    started: datetime.datetime
    finished: datetime.datetime | None
    outcome: str
    attempts: int
    detail: str

    @property
    def took_s(self) -> float:
        """Return the duration in seconds; 0 if the run has not finished."""
        return (self.finished - self.started).total_seconds() if self.finished else 0.0


Now = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    """Return the present time by the machine's clock, in UTC, with its zone."""
    return datetime.datetime.now(datetime.UTC)


def next_due(job: Job, after: datetime.datetime) -> datetime.datetime:
    """Return the first due time of `job` that is later than `after`, a time in UTC with its zone, as is the result."""
    due: datetime.datetime = croniter(job.line, after).get_next(datetime.datetime)
    return due


def last_due(job: Job, at: datetime.datetime) -> datetime.datetime:
    """Return the latest due time of `job` that is `at` or earlier. Both are in UTC, with their zone."""
    # get_prev returns a time before its argument, and due times are whole seconds: with the next whole second a due
    # time of now is included; with a fraction left, the next due time would be too.
    second = at.replace(microsecond=0) + datetime.timedelta(seconds=1)
    due: datetime.datetime = croniter(job.line, second).get_prev(datetime.datetime)
    return due


class LeadsElsewhereError(Exception):
    """Error of a command that is to run the jobs that are due while a cron process leads and runs them."""


class Runner:
    """Runner of `jobs` at their due times, while this process holds the lease `cron`. `url`: direct address of the
    database; `settings`: their present values are taken anew for each run of a job; `now`: function that returns the
    present time, None for the database's clock.
    """

    def __init__(
        self, url: str, settings: Settings, jobs: Sequence[Job] = JOBS, now: Now | None = None
    ) -> None:
        self.settings = settings
        self.jobs = jobs
        self._lease = Lease("cron", url)
        # The leader uses the database's clock.
        self._now = now or self._lease.now
        self._leads = False
        self._database = Database(url, size=1, prepare=False, timeout_ms=JOB_LIMIT_S * 1000)
        self._stop = threading.Event()
        self._due: dict[str, datetime.datetime] = {}  # next due time of each job
        self._again: dict[str, datetime.datetime] = {}  # due times of retries
        self._failed: dict[str, int] = {}  # failures of the due time that ran last

    def stop(self) -> None:
        """Make `run` return after the job that is running now."""
        self._stop.set()

    def run(self) -> None:
        """Try to take the lease, lead while this process holds it, and stand by while another does, until `stop`."""
        try:
            while not self._stop.is_set():
                try:
                    if self._lease.take():
                        logger.info("cron: this process leads")
                        self.lead()
                        continue
                except (psycopg.OperationalError, ApiError) as error:
                    logger.warning("cron: the database is unavailable: %s", error)
                    self._lease.release()
                self._stop.wait(TRY_S)
        finally:
            self._lease.release()
            self._database.close()

    def lead(self) -> None:
        """Run each job when it is due, until `stop` or the loss of the lease. The caller holds the lease."""
        self._leads = True
        self.plan()
        while not self._stop.is_set():
            job, due = min(
                ((job, self._due[job.name]) for job in self.jobs), key=lambda pair: pair[1]
            )
            wait_s = (due - self._now()).total_seconds()
            if wait_s > 0:
                self._stop.wait(min(wait_s, POLL_S))
            if not self._lease.holds():
                logger.warning(
                    "cron: another process has taken over, or the database is unavailable"
                )
                return
            if due > next_due(job, next_due(job, self._now())):
                logger.warning("cron: the clock was set back")
                self.plan()
            elif wait_s <= 0:
                self.run_due(job)

    def plan(self) -> None:
        """Compute each job's next due time from its last run: a job that missed a due time since then is due now, a job
        whose last run failed may be due earlier, for a retry; a job that never ran waits for its next due time.
        """
        now = self._now()
        runs = self._last_runs(now)
        self._again = {}
        for job in self.jobs:
            last = runs.get(job.name)
            self._due[job.name] = next_due(job, last.due if last else now)
            if last is not None and last.outcome == FAILED:
                self._try_again(job, last.due, last.attempts, last.finished or now)

    def run_pending(self) -> int:
        """Run once each job that is due or never ran, and return the number of failures; for an operator who calls it
        from another scheduler than `forumapi cron`. The runner can't be used after that.

        Raises LeadsElsewhereError while another process leads.
        """
        try:
            if not self._lease.take():
                raise LeadsElsewhereError(
                    "another cron process leads and runs the jobs that are due"
                )
            self._leads = True
            now = self._now()
            ran = self._last_runs(now)
            self.plan()
            failed = 0
            for job in self.jobs:
                if job.name not in ran:
                    self._due[job.name] = last_due(job, now)
                if self._due[job.name] <= now:
                    failed += not self.run_due(job)
            return failed
        finally:
            self._lease.release()
            self._database.close()

    def run_due(self, job: Job) -> bool:
        """Run a job for its latest due time, in place of all that were missed before, and plan its next; return False
        if it failed, else True, also if it was done before or is left to another process that leads by now.
        """
        now = self._now()
        latest = last_due(job, now)
        again = self._again.pop(job.name, None)
        due = max(latest, self._due[job.name] if again is None else again)
        self.perform(job, due)
        attempts = self._failed.pop(job.name, 0)
        self._due[job.name] = next_due(job, max(due, now))
        if attempts:
            self._try_again(job, due, attempts, now)
        return not attempts

    def _try_again(
        self, job: Job, due: datetime.datetime, attempts: int, since: datetime.datetime
    ) -> None:
        """Plan a retry of the due time `due` after its failure number `attempts`, unless the job's next due time is
        earlier or its retries are used up.

        `since`: time of the failure.
        """
        if attempts > job.retry.times:
            return
        wait = datetime.timedelta(seconds=job.retry.wait_s * 2 ** (attempts - 1))
        if since + wait < self._due[job.name]:
            self._due[job.name] = since + wait
            self._again[job.name] = due

    def _last_runs(self, now: datetime.datetime) -> dict[str, Run]:
        """Read the latest run of each job that ever ran, by name, as `last_runs` does at `now`."""
        tx = self._database.read()
        try:
            return last_runs(tx, self.jobs, now)
        finally:
            tx.end()

    def perform(self, job: Job, due: datetime.datetime) -> str:
        """Run a job for one due time, and log and record a failure; return the job's result, "" if it failed, was done
        before, or another process leads by now.
        """
        started = time.monotonic()
        try:
            detail = self.attempt(job, due)
        except LostError:
            logger.warning("cron: %s was left to the new leader", job.name)
            return ""
        except Exception as error:  # noqa: BLE001 - one job must never stop the others (P-64)
            logger.exception("cron: %s failed", job.name)
            metrics.CRON_RUNS.add(1, job.name, "failed")
            self._failed[job.name] = self._mark_failed(job, due, error, time.monotonic() - started)
            return ""
        if detail:
            took = time.monotonic() - started
            metrics.CRON_SECONDS.observe(took, job.name)
            metrics.CRON_RUNS.add(1, job.name, "done")
            logger.info("cron: %s: %s (%.2f s)", job.name, detail, took)
        return detail

    def attempt(self, job: Job, due: datetime.datetime) -> str:
        """Run a job and record its due time in one transaction; return the job's result, "" without running it if the
        due time was done before.

        Raises the job's errors, and LostError if another process leads by now.
        """
        with self._database.write() as tx:
            self._hold(tx)
            tx.row(LIMITS, limit_ms=JOB_LIMIT_S * 1000)
            if not tx.run(CLAIM, task=job.name, due=due):
                return ""
            detail = job.work(tx, self.settings.current)
            tx.run(FINISH, task=job.name, due=due, detail=detail)
        return detail

    def _hold(self, tx: Transaction) -> None:
        """Tie the transaction to this process's term of the lease, so that it can't commit in a later term (LostError);
        do nothing outside of `lead` and `run_pending`, where there is no term.
        """
        if self._leads:
            self._lease.hold(tx)

    def _mark_failed(
        self, job: Job, due: datetime.datetime, error: Exception, took_s: float
    ) -> int:
        """Record a failed try of a due time, with the `error` that ended it after `took_s` seconds; return how often
        this due time has failed so far, 1 if the database could not be asked.
        """
        text = f"{type(error).__name__}: {error}"[:500]
        try:
            with self._database.write() as tx:
                self._hold(tx)
                return tx.value(FAIL, task=job.name, due=due, detail=text, took_s=took_s) or 1
        except (psycopg.Error, ApiError) as again:
            logger.warning("cron: the failure of %s was not recorded: %s", job.name, again)
        return 1


def run(config: Config) -> None:
    """Run the cron process until SIGTERM or SIGINT: the jobs, and the threads that make exports and load imports.

    SIGHUP reloads the settings; if a change needs a new process, this one executes itself again under the same process
    id.
    """
    settings = Settings(config)
    runner = Runner(config.direct_url, settings)
    begins_anew = threading.Event()

    def reload() -> None:
        if _reload(settings):
            begins_anew.set()
            runner.stop()

    for sign in (signal.SIGTERM, signal.SIGINT):
        signals.on(sign, runner.stop)
    signals.on(signal.SIGHUP, reload)
    signal.signal(signal.SIGUSR1, lambda sign, frame: log.reopen())
    log.start()
    reporter = Reporter(lambda: settings.current)
    reporter.start()
    exports = ExportThread(config.direct_url, settings)
    exports.start()
    imports = ImportThread(config.direct_url, settings)
    imports.start()
    logger.info("cron: started with %d jobs", len(JOBS))
    exporter = Exporter(lambda: settings.current)
    exporter.start()
    runner.run()
    exports.stop()
    imports.stop()
    exporter.stop()
    reporter.stop()
    logger.info("cron: %s", "restarting" if begins_anew.is_set() else "stopped")
    log.stop()
    if begins_anew.is_set():
        # The same process id, so that a supervisor notices nothing.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _reload(settings: Settings) -> bool:
    """Reload the settings, or log why they are invalid and keep the old ones; return True if a change needs a new
    process.
    """
    try:
        changes = settings.reload()
        log.apply(settings.current, access=False)
    except ConfigError as error:
        logger.error("settings not reloaded, the old ones stay: %s", error)
        return False
    except OSError as error:
        logger.error("the log target is unchanged: %s", error)
    logger.info("settings reloaded: %s", ", ".join(changes.applied) or "nothing changed")
    if changes.replaced:
        logger.info("with a new process: %s", ", ".join(changes.replaced))
    if changes.needs_restart:
        logger.warning("these wait for a restart: %s", ", ".join(changes.needs_restart))
    return bool(changes.replaced)


def run_once(url: str, config: Config, name: str) -> str:
    """Run the job `name` now, whoever leads, and record the run in task_runs for the present time; return its result in
    words. `url`: direct address of the database. Raises KeyError for an unknown name, ApiError, psycopg.Error and the
    job's errors, none of which it records.
    """
    runner = Runner(url, Settings(config))
    return runner.attempt(find(name), utc_now())


def find(name: str) -> Job:
    """Return the scheduled job of this name. Raises KeyError for an unknown name."""
    return {job.name: job for job in JOBS}[name]


def last_runs(tx: Reader, jobs: Sequence[Job], now: datetime.datetime) -> dict[str, Run]:
    """Return the latest run of each job by name; jobs that never ran are left out. Runs for a time later than the job's
    next due time after `now` do not count: a clock was wrong.
    """
    names, untils = [job.name for job in jobs], [next_due(job, now) for job in jobs]
    return {row[0]: Run(*row) for row in tx.rows(LAST_RUNS, tasks=names, untils=untils)}


def overview(tx: Reader, now: datetime.datetime) -> list[tuple[Job, datetime.datetime, Run | None]]:
    """Return each scheduled job, in the order of JOBS, with its next due time after `now` and its latest run, None if
    it never ran.
    """
    runs = last_runs(tx, JOBS, now)
    return [(job, next_due(job, now), runs.get(job.name)) for job in JOBS]


def history(tx: Reader, name: str | None, limit: int) -> list[Run]:
    """Return up to `limit` runs of the job `name` (None: of all jobs), the latest due time first."""
    return [Run(*row) for row in tx.rows(HISTORY, task=name, limit=limit)]

"""Command `cron`: run the cron process or one job, list the jobs, and show their latest runs."""

from __future__ import annotations

import argparse
import datetime

from forumapi import config
from forumapi.command.nouns.common import (
    FAILED,
    OK,
    CommandError,
    Commands,
    as_json,
    check_start,
    open_database,
    print_rows,
    reading,
    with_database,
)
from forumapi.config import Config
from forumapi.observability import log


def add(commands: Commands) -> None:
    """Define the command `cron`."""
    cron = commands.add("cron", _cron, "the cron process alone")
    cron.add_argument(
        "what",
        nargs="?",
        choices=("list", "run", "history"),
        help="show the schedule and how each job's latest run went, run one job now, show the latest runs",
    )
    cron.add_argument("job", nargs="?", metavar="JOB", help="for run and history: which job")
    cron.add_argument("--once", action="store_true", help="run what is due, and end")
    cron.add_argument("--limit", type=int, default=20, help="how many runs history shows")
    as_json(cron)


def _cron(args: argparse.Namespace, current: Config) -> int:
    if args.what is None or (args.what == "run" and current.beside_run is current):
        check_start(current)
    from forumapi.cron import runner, schedule
    from forumapi.cron.site_exports import ExportThread
    from forumapi.cron.site_imports import ImportThread

    if args.job is not None and args.job not in {job.name for job in schedule.JOBS}:
        raise CommandError(f"there is no job {args.job}; `forumapi cron list` shows them")
    if args.what == "list":
        return _cron_list(args, current)
    if args.what == "history":
        return _cron_history(args, current)
    if args.what == "run":
        return _cron_run(args, current)
    log.apply(current, access=False)
    if args.once:
        settings = config.Settings(with_database(current))
        try:
            failed = runner.Runner(settings.current.direct_url, settings).run_pending()
        except runner.LeadsElsewhereError as error:
            raise CommandError(str(error)) from None
        exports = ExportThread(settings.current.direct_url, settings)
        exports.poll()
        exports.stop()
        imports = ImportThread(settings.current.direct_url, settings)
        imports.poll()
        imports.stop()
        return FAILED if failed else OK
    runner.run(with_database(current))
    return OK


def _cron_list(args: argparse.Namespace, current: Config) -> int:
    """Print the jobs, with schedule as in crontab and in words, latest run and its outcome, next run, and purpose;
    return the exit code.
    """
    from forumapi.cron import runner

    with reading(current) as tx:
        rows = [
            {
                "job": job.name,
                "schedule": job.line,
                "in words, UTC": job.words,
                "latest": last and _second(last.due),
                "outcome": last and last.outcome,
                "next": _second(due),
                "what it does": " ".join((job.work.__doc__ or "").split()),
            }
            for job, due, last in runner.overview(tx, runner.utc_now())
        ]
    print_rows(args, rows)
    return OK


def _cron_history(args: argparse.Namespace, current: Config) -> int:
    from forumapi.cron import runner

    with reading(current) as tx:
        runs = runner.history(tx, args.job, max(args.limit, 1))
    rows = [
        {
            "due, UTC": _second(run.due),
            "job": run.task,
            "outcome": run.outcome,
            "tries": run.attempts,
            "seconds": round(run.took_s, 2),
            "what it did": run.detail,
        }
        for run in runs
    ]
    print_rows(args, rows)
    return OK


def _cron_run(args: argparse.Namespace, current: Config) -> int:
    from forumapi.cron import runner

    if args.job is None:
        raise CommandError("which job? `forumapi cron list` shows them")
    current = current.beside_run
    with open_database(current) as database:
        print(runner.run_once(database.url, current, args.job))
    return OK


def _second(at: datetime.datetime) -> str:
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")

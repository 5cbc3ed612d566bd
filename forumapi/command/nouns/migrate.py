"""Command `migrate`: apply the migrations that the database lacks."""

from __future__ import annotations

import argparse
import math
import sys
import time

from forumapi.command.nouns.common import FAILED, OK, CommandError, Commands, database_url
from forumapi.config import Config


def add(commands: Commands) -> None:
    """Define the command `migrate`."""
    migrating = commands.add("migrate", _migrate, "bring the database to this release")
    migrating.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 if something is pending"
    )
    migrating.add_argument(
        "--wait",
        type=float,
        nargs="?",
        const=math.inf,
        default=0.0,
        metavar="SECONDS",
        help="before that, wait until PostgreSQL answers, with --check until nothing is pending: so long, or as "
        "long as it takes",
    )


def _migrate(args: argparse.Namespace, current: Config) -> int:
    import psycopg

    from forumapi.database import migrations

    with database_url(current) as url:
        try:
            names = _pending(url, args.wait, is_check=args.check)
            if args.check:
                for name in names:
                    print(f"pending: {name}")
                return FAILED if names else OK
            names = migrations.migrate(url, current, progress=print)
        except (psycopg.Error, migrations.MigrateError) as error:
            raise CommandError(str(error)) from None
    print(f"done: {len(names)} steps" if names else "nothing to do")
    return OK


def _pending(url: str, wait_s: float, *, is_check: bool) -> list[str]:
    """Wait until PostgreSQL answers and, with `is_check`, until no migration is pending, for `wait_s` seconds at most;
    return the names of the migrations that are pending then, in order.

    Without `is_check` only PostgreSQL's answer is waited for. The reason for waiting is printed on standard error.
    Raises psycopg.Error if PostgreSQL has not answered by then, MigrateError for a database that this release can't
    migrate.
    """
    import psycopg

    from forumapi.database import migrations

    deadline = time.monotonic() + wait_s
    said = ""
    while True:
        is_over = time.monotonic() >= deadline
        try:
            names = migrations.pending(url)
            if is_over or not is_check or not names:
                return names
            why = f"pending: {', '.join(names)}"
        except psycopg.OperationalError as error:
            if is_over:
                raise
            why = str(error).strip()
        if why != said:
            said = why
            print(f"waiting: {why}", file=sys.stderr, flush=True)
        time.sleep(0.5)

"""Database of a benchmark run: that in FORUMAPI_BENCH_DATABASE, or one in an embedded PostgreSQL of its own."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from forumapi import config
from forumapi.command import seed
from forumapi.command.seed.simulated_activity import SIZES, SizeName
from forumapi.cron import runner
from forumapi.database import embedded_postgres, migrations
from scripts.bench import searches

ENV = "FORUMAPI_BENCH_DATABASE"


@contextlib.contextmanager
def provided(folder: Path, size: SizeName, *, fresh: bool) -> Iterator[str]:
    """Yield the address of a migrated database that holds the data set of this size.

    An embedded one stays in `folder`, and the next run uses it again. One named by the environment must be empty or
    hold that data set; it is never dropped. Raises SystemExit for another.
    """
    given = os.environ.get(ENV, "")
    if given:
        if fresh:
            raise SystemExit(f"--fresh would drop {ENV}; empty that database yourself")
        ready(given, size)
        yield given
        return
    server = embedded_postgres.start(folder / "data", progress=print)
    try:
        name = f"forumapi_bench_{size.lower()}"
        url = urlsplit(server.url)._replace(path=f"/{name}").geturl()
        with psycopg.connect(server.url, autocommit=True) as connection:
            exists = connection.execute(
                "SELECT 1 FROM pg_database d WHERE d.datname = %s", [name]
            ).fetchone()
            if exists and (fresh or state(url, size) != "loaded"):
                connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
                exists = None
            if not exists:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        ready(url, size)
        yield url
    finally:
        server.stop()


def state(url: str, size: SizeName) -> str:
    """Return "empty", "loaded" if the database holds the data set of this size, or "other"."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT to_regclass('sites') IS NULL").fetchone()
        if row is None or row[0]:
            return "empty"
        # That of rights.py comes later, and is none of the data set's.
        row = connection.execute(
            "SELECT count(*) FROM sites s WHERE s.site_id <> 1 AND s.subdomain_key <> 'rights'"
        ).fetchone()
        sites = row[0] if row else 0
    if sites == 0:
        return "empty"
    return "loaded" if sites == SIZES[size].sites and seed.landmarks(url) else "other"


def ready(url: str, size: SizeName) -> None:
    """Migrate the database, and load the data set if it is empty. Raises SystemExit for other contents."""
    before = state(url, size)
    if before == "other":
        raise SystemExit(f"the database holds something else than the data set {size}")
    settings = config.load(environ={})
    migrations.migrate(url, settings, progress=progress)
    if before == "empty":
        started = time.monotonic()
        seed.load(url, settings, size, progress)
        print(f"\rloaded size {size} in {time.monotonic() - started:.0f} s\033[K")
    searches.prepare(url, progress)
    # What is trending is a matter of now, and no cron process stands beside a run.
    runner.run_once(url, settings, "trending_scores")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET statement_timeout = 0")
        connection.execute("VACUUM ANALYZE")
        if connection.info.parameter_status("is_superuser") == "on":
            # So that none falls into a timed page on its own account.
            connection.execute("CHECKPOINT")


def progress(line: str) -> None:
    """Print a line in place of the one before."""
    print(f"\r{line}\033[K", end="", flush=True)

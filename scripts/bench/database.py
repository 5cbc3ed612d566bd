"""The database of a run: FORUMAPI_BENCH_DATABASE, or one in an embedded PostgreSQL of the benchmark's own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from forumapi import embedded
from scripts.bench.services import ROOT, settings

ENV = "FORUMAPI_BENCH_DATABASE"
COMMENTS = {"S": 12_000, "M": 500_000, "L": 4_000_000}
"""How many comments a size has at least; a database with fewer was not loaded to its end."""
SITES = {"S": 3, "M": 20, "L": 300}


@contextlib.contextmanager
def provided(folder: Path, size: str, *, fresh: bool) -> Iterator[str]:
    """The address of a migrated database that holds the data set of this size.

    An embedded one stays in `folder` and is used again by the next run. One named by the
    environment must be empty or hold that data set; it is never dropped. Raises SystemExit.
    """
    given = os.environ.get(ENV, "")
    if given:
        if fresh:
            raise SystemExit(f"--fresh would drop {ENV}; empty that database yourself")
        ready(given, size)
        yield given
        return
    server = embedded.start(folder / "data", progress=print)
    try:
        name = f"forumapi_bench_{size.lower()}"
        url = urlsplit(server.url)._replace(path=f"/{name}").geturl()
        with psycopg.connect(server.url, autocommit=True) as connection:
            exists = connection.execute(
                "SELECT FROM pg_database d WHERE d.datname = %s", [name]
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


def state(url: str, size: str) -> str:
    """ "empty", "loaded" with this size, or "other"."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT to_regclass('comments') IS NULL").fetchone()
        if row is None or row[0]:
            return "empty"
        sites = connection.execute("SELECT count(*) FROM sites s WHERE s.site_id <> 1").fetchone()
        if sites is None or sites[0] == 0:
            return "empty"
        comments = connection.execute("SELECT count(*) FROM comments").fetchone()
        is_whole = comments is not None and comments[0] >= COMMENTS[size]
        return "loaded" if sites[0] == SITES[size] and is_whole else "other"


def ready(url: str, size: str) -> None:
    """Migrate, and load the data set where there is none. Raises SystemExit for other contents."""
    if state(url, size) == "other":
        raise SystemExit(f"the database holds something else than the data set {size}")
    forumapi(url, "migrate")
    if state(url, size) == "empty":
        forumapi(url, "seed", "--size", size)
    if state(url, size) != "loaded":
        raise SystemExit(f"seed --size {size} left fewer rows than the size has")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET statement_timeout = 0")
        connection.execute("VACUUM ANALYZE")
        if connection.info.parameter_status("is_superuser") == "on":
            # So that none falls into a timed page on its own account.
            connection.execute("CHECKPOINT")


def forumapi(url: str, *arguments: str) -> None:
    """Run a command of forumapi on this database. Raises SystemExit."""
    command = [sys.executable, "-m", "forumapi", *arguments]
    ran = subprocess.run(command, cwd=ROOT, env=settings(url), check=False)
    if ran.returncode:
        raise SystemExit(f"forumapi {arguments[0]} failed")

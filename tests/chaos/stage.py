"""What the tests here share: a database of their own, worker processes to kill, a look at every derived count."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from forumapi.db import Database
from forumapi.seed.verification import CHECKS
from tests import services
from tests.conftest import _SERVER
from tests.factories import Factory
from tests.fixtures import PLATFORM_DOMAIN, Server

# Checks of stored counts that hold after any sequence of writes.
COUNTS = (
    "items.comment_count",
    "items.last_seq",
    "comments.seq follows time and id",
    "items.last_comment",
    "item_authors.live",
    "microcosm_counts",
    "microcosm_counts.last_item_id",
    "profile_counters",
    "profiles.bio_comment_id",
    "comments.revisions",
    "comments.in_reply_to",
)
# With no live comment left the last activity stays what it was (content 7.7).
LAST_ACTIVITY = """
    SELECT site_id, item_id, last_activity, last_comment_at FROM items
     WHERE last_comment_at IS NOT NULL AND last_activity <> last_comment_at"""


@contextlib.contextmanager
def own_database(label: str) -> Iterator[str]:
    """The address of a migrated database that nobody else uses."""
    with services.database(os.environ[_SERVER], label) as url:
        yield url


@contextlib.contextmanager
def factory(url: str) -> Iterator[Factory]:
    """A factory on a database."""
    database = Database(url)
    try:
        yield Factory(database, PLATFORM_DOMAIN)
    finally:
        database.close()


def differences(url: str) -> list[str]:
    """Every stored count that is not what counting gives, a line each."""
    found = []
    with psycopg.connect(url, autocommit=True) as connection:
        for name, query in {name: CHECKS[name] for name in COUNTS}.items():
            rows = connection.execute(sql.SQL(query)).fetchall()
            found += [f"{name}: {row}" for row in rows]
        rows = connection.execute(sql.SQL(LAST_ACTIVITY)).fetchall()
        found += [f"items.last_activity: {row}" for row in rows]
    return found


def workers(server: Server) -> list[int]:
    """The process ids of a server's workers."""
    text = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


def wait_for(true: Callable[[], Any], within_s: float) -> float:
    """Seconds until it came true. Raises AssertionError when it does not within `within_s`."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within_s, "it never came true"
        time.sleep(0.02)
    return time.monotonic() - began

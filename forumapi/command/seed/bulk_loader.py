"""Bulk loading of rows in one transaction: COPY, reserved blocks of ids, and indexes built at the end."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from forumapi import itemtypes

Progress = Callable[[str], None]

# The tables that seeding writes, parents before children, with their identity columns.
TABLES: Final[dict[str, str | None]] = {
    "users": "user_id",
    "access_tokens": "token_id",
    "sites": "site_id",
    "site_options": None,
    "site_stats": None,
    "site_people": None,
    "profiles": "profile_id",
    "profile_counters": None,
    "profile_options": None,
    "microcosms": "microcosm_id",
    "microcosm_counts": None,
    "roles": "role_id",
    "role_profiles": None,
    "attributes": None,
    "items": "item_id",
    "item_views": None,
    "item_authors": None,
    "comments": "comment_id",
    "comment_revisions": None,
    "comment_mentions": None,
    "links": "link_id",
    "link_uses": None,
    "watchers": "watcher_id",
    "ignores": None,
    "read_marks": None,
    "search_documents": None,
}

_CHUNK_ROWS: Final = 2_000
_BAR_EVERY_S: Final = 0.5

NEXT_ID: Final = """
    SELECT 1 + greatest(
               (SELECT coalesce(max({column}), 0) FROM {table}),
               (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}))"""

SECONDARY_INDEXES: Final = """
    SELECT x.relname, pg_get_indexdef(i.indexrelid)
      FROM pg_index i
      JOIN pg_class x ON x.oid = i.indexrelid
     WHERE i.indrelid = ANY(%(tables)s::regclass[])
       AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
     ORDER BY i.indrelid, i.indexrelid"""

# Of sites whose triggers were skipped. What stands there already stays as it is.
SEARCH: Final = f"""
    SELECT search_write(s.site_id, k.kind, 0, 9223372036854775806)
      FROM sites s
     CROSS JOIN unnest(ARRAY[2, 3, 4, 6]::smallint[]) AS k (kind)
     WHERE NOT EXISTS (SELECT FROM search_documents d WHERE d.site_id = s.site_id
         AND d.item_type_id = {itemtypes.COMMENT})"""

MAY_SKIP_TRIGGERS: Final = (
    "SELECT has_parameter_privilege(current_user, 'session_replication_role', 'SET')"
)


class Bar:
    """Progress bar for `total` things, such as comments, with the heading `label`; shown by calls of `progress` with
    the whole bar as a text, which is to replace the previous one.
    """

    def __init__(self, progress: Progress, label: str, total: int) -> None:
        self._progress = progress
        self._label = label
        self._total = max(1, total)
        self._done = 0
        self._started = self._shown = time.monotonic()

    def add(self, count: int) -> None:
        """Add `count` to the number of things that are done, and show the bar if it was last shown half a second ago or
        more, or all things are done.
        """
        self._done += count
        now = time.monotonic()
        if now - self._shown >= _BAR_EVERY_S or self._done >= self._total:
            self._shown = now
            filled = 30 * min(self._done, self._total) // self._total
            rate = self._done / max(now - self._started, 1e-6)
            self._progress(
                f"{self._label} [{'#' * filled}{'.' * (30 - filled)}]"
                f" {self._done:,}/{self._total:,} {rate:,.0f}/s"
            )


class Store:
    """Bulk load in the transaction of `connection`, which the caller commits: locks the tables that seeding writes
    (TABLES) against other writers, and skips triggers and foreign keys if the database user may set
    `session_replication_role`. Raises psycopg.Error, also if a lock is not had within 10 seconds.

    `build_last`: secondary indexes are dropped, and built again by `finish`; `progress` is called by `finish` with a
    line on each step. `now`: the transaction's time.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], progress: Progress, *, build_last: bool
    ) -> None:
        self._cursor = connection.cursor()
        self._progress = progress
        self._next: dict[str, int] = {}
        self._indexes: list[tuple[str, str]] = []
        if self.value(MAY_SKIP_TRIGGERS):
            # Rows are right by construction and `verify` proves it: checking each foreign key of
            # each row takes longer than the COPY itself.
            self._cursor.execute("SET LOCAL session_replication_role = replica")
        self._cursor.execute("SET LOCAL statement_timeout = 0")
        self._cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        self._cursor.execute("SET LOCAL lock_timeout = '10s'")
        # Nobody else writes meanwhile: ids are taken from the top of each table.
        tables = sql.SQL(", ").join(map(sql.Identifier, TABLES))
        self._cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(tables))
        for table, column in TABLES.items():
            if column is not None:
                self._next[table] = self._first_free(table, column)
        self.now: datetime = self.value("SELECT now()")
        if build_last:
            self._drop_indexes()

    def value(self, query: LiteralString | sql.Composed, **params: object) -> Any:
        """Return the first column of a query's first row; None without a row, and for NULL."""
        row = self._cursor.execute(query, params).fetchone()
        return None if row is None else row[0]

    def rows(self, query: LiteralString, **params: object) -> list[Any]:
        """Return all rows of a query, in its order, [] for none. Raises psycopg.Error."""
        return self._cursor.execute(query, params).fetchall()

    def take(self, table: str, count: int) -> int:
        """Reserve `count` consecutive ids, above all that were ever given, of a table of TABLES with an id column;
        return the first.
        """
        first = self._next[table]
        self._next[table] += count
        return first

    def copy(self, table: str, columns: str, lines: Iterable[str]) -> int:
        """COPY `lines`, rows in text format with a line feed each, into the columns of a table; return their number.
        `columns`: names, separated by spaces, in the order of the fields.
        """
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(table),
            sql.SQL(", ").join(sql.Identifier(name) for name in columns.split()),
        )
        count = 0
        source = iter(lines)
        with self._cursor.copy(statement) as copy:
            while chunk := list(itertools.islice(source, _CHUNK_ROWS)):
                copy.write("".join(chunk))
                count += len(chunk)
        return count

    def finish(self) -> None:
        """Write the search index of all sites in which no comment is indexed, build the dropped indexes again, and set
        the identity sequences to the last reserved ids. Does not commit.
        """
        self._progress("words")
        self._cursor.execute(SEARCH)
        self._cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        for name, definition in self._indexes:
            self._progress(f"index {name}")
            self._cursor.execute(sql.SQL(definition))
        for table, following in self._next.items():
            column = TABLES[table]
            if following > 1:
                self._cursor.execute(
                    "SELECT setval(pg_get_serial_sequence(%s, %s), %s)",
                    (table, column, following - 1),
                )

    def _first_free(self, table: str, column: str) -> int:
        sequence = self.value("SELECT pg_get_serial_sequence(%(t)s, %(c)s)", t=table, c=column)
        query = sql.SQL(NEXT_ID).format(
            column=sql.Identifier(column),
            table=sql.Identifier(table),
            sequence=sql.SQL(sequence),
        )
        return int(self.value(query))

    def _drop_indexes(self) -> None:
        self._cursor.execute(SECONDARY_INDEXES, {"tables": list(TABLES)})
        self._indexes = self._cursor.fetchall()
        for name, _ in self._indexes:
            self._cursor.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))


def vacuum_analyze(connection: psycopg.Connection[Any]) -> None:
    """VACUUM ANALYZE the tables that seeding writes, so that the planner works as on a running platform. `connection`
    must be in autocommit.
    """
    connection.execute("SET statement_timeout = 0")
    tables = sql.SQL(", ").join(map(sql.Identifier, TABLES))
    connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(tables))


def field(text: str) -> str:
    """Return a text escaped as a field of COPY's text format."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")

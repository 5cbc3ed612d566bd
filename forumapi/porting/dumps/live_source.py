"""Tables of another forum in a live PostgreSQL, read in one transaction that can write nothing.

All statements see the same moment, however long the reading takes. A live source is for the operator's command alone:
addresses of databases never come over HTTP.
"""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from forumapi.porting.dumps.dump_types import DumpError, Row, SkippedRow, Value
from forumapi.porting.dumps.source import tables_of_board

_BATCH: Final = 500
_TABLES: Final = """
    SELECT c.table_name, c.column_name
      FROM information_schema.columns c
     WHERE c.table_schema = ANY(current_schemas(false))
     ORDER BY c.table_name, c.ordinal_position"""


class LiveSource:
    """Tables of one board in a live database, as the interface Source has them, all read in one read-only transaction;
    `close` ends it and the connection.
    """

    skipped: Sequence[SkippedRow] = ()

    def __init__(
        self, url: str, tables: Collection[str], *, marker: str, prefix: str | None = None
    ) -> None:
        """Connect to the database at `url` and find the tables of one board. `tables`: names of the wanted ones,
        without the board's prefix; `marker`: name, without prefix, of a table that only this product has; `prefix`: the
        board's, None for that of the only board there.

        Raises DumpError if the database can't be reached, has no such board, or several while `prefix` is None.
        """
        try:
            self._connection = psycopg.connect(url, row_factory=tuple_row)
        except (psycopg.Error, UnicodeError) as error:
            raise DumpError(f"the database can't be reached: {error}") from None
        self._connection.read_only = True
        self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        columns: dict[str, list[str]] = {}
        for table, column in self._connection.execute(_TABLES):
            columns.setdefault(table, []).append(column)
        try:
            self._names = tables_of_board(
                "the database", columns, frozenset(tables), marker, prefix
            )
        except DumpError:
            self.close()
            raise
        self._columns = {short: tuple(columns[whole]) for short, whole in self._names.items()}
        self._cursors = 0

    @property
    def tables(self) -> Mapping[str, tuple[str, ...]]:
        return self._columns

    def close(self) -> None:
        self._connection.close()

    def count(self, table: str) -> int:
        if table not in self._names:
            return 0
        statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(self._names[table]))
        row = self._connection.execute(statement).fetchone()
        return int(row[0]) if row else 0

    def rows(
        self, table: str, columns: Sequence[str], order: Sequence[str] = (), **equal: Value
    ) -> Iterator[Row]:
        there = self._columns.get(table)
        if there is None or any(column not in there for column in equal):
            return
        kept = [column for column in columns if column in there]
        statement = sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join(map(sql.Identifier, kept)) if kept else sql.SQL("1"),
            sql.Identifier(self._names[table]),
        )
        if equal:
            # As text, since a caller's number may stand in a column of texts.
            tests = (sql.SQL("{}::text = %s").format(sql.Identifier(name)) for name in equal)
            statement += sql.SQL(" WHERE ") + sql.SQL(" AND ").join(tests)
        if sorted_by := [sql.Identifier(column) for column in order if column in there]:
            statement += sql.SQL(" ORDER BY ") + sql.SQL(", ").join(sorted_by)
        absent: Row = dict.fromkeys(columns)
        values = [None if value is None else str(value) for value in equal.values()]
        for row in self._read(statement, values, is_small=bool(equal)):
            found = (_value(value) for value in row)
            yield {**absent, **dict(zip(kept, found, strict=False))}

    def _read(
        self, statement: sql.Composed, values: Sequence[str | None], *, is_small: bool
    ) -> Iterator[tuple[Any, ...]]:
        if is_small:
            yield from self._connection.execute(statement, values).fetchall()
            return
        self._cursors += 1
        with self._connection.cursor(f"import_{self._cursors}") as cursor:
            cursor.itersize = _BATCH
            yield from cursor.execute(statement, values)


def _value(value: Any) -> Value:
    """Return a value of PostgreSQL's driver in one of the types of Value, as DumpSource has it too: a boolean as int, a
    numeric as int if it is whole, as text if it is infinite or NaN, else as float, times as ISO 8601, JSON and other
    types as text; None, text, numbers and bytes as they are.
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, decimal.Decimal):
        if not value.is_finite():
            return str(value)
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, memoryview):
        return bytes(value)
    if value is None or isinstance(value, str | int | float | bytes):
        return value
    return str(value)

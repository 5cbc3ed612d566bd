"""Parser of SQLite files: tables and their rows, as a stream. Nothing in the file is executed: no view, no trigger, and
no function that an index or a default of its schema names.
"""

from __future__ import annotations

import io
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from forumapi.porting.dumps.dump_types import MAX_VALUE, DumpError, DumpRow, DumpTable, Value

_MAGIC: Final = b"SQLite format 3\0"
_TABLES: Final = """
    SELECT m.name
      FROM sqlite_schema m
     WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
     ORDER BY m.name"""


def looks_like(head: bytes) -> bool:
    """Return True if `head`, the first bytes of a dump, are those of an SQLite file."""
    return head.startswith(_MAGIC)


def read(
    stream: io.BufferedReader[Any], is_wanted: Callable[[str], bool], folder: Path | None = None
) -> Iterator[DumpTable | DumpRow]:
    """Copy the SQLite file that is in `stream` into a temporary one, and yield, for each table whose whole name, with
    any prefix, passes `is_wanted`, its definition, then its rows. `folder`: for the temporary file, which is removed at
    the end, None for the system's. Raises DumpError for a file that is cut off or damaged, or holds a value above
    MAX_VALUE (16 MiB). A row with a text that is no UTF-8 is yielded with a problem.
    """
    with tempfile.NamedTemporaryFile(
        prefix="forumapi-import-", suffix=".sqlite", dir=folder
    ) as copy:
        shutil.copyfileobj(stream, copy, 1 << 20)
        copy.flush()
        address = f"file:{copy.name}?mode=ro&immutable=1"
        with closing(sqlite3.connect(address, uri=True)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
            database.text_factory = bytes
            yield from _read(database, is_wanted)


def _read(
    database: sqlite3.Connection, is_wanted: Callable[[str], bool]
) -> Iterator[DumpTable | DumpRow]:
    name, number = "", 0
    try:
        names = [bytes(row[0]).decode() for row in database.execute(_TABLES)]
        for name in filter(is_wanted, names):
            quoted = '"' + name.replace('"', '""') + '"'
            number = 0
            columns = {
                column.decode(): kind.decode().lower()
                for _, column, kind, *_ in database.execute(f"PRAGMA table_info({quoted})")
            }
            yield DumpTable(name, columns)
            listed = ", ".join('"' + column.replace('"', '""') + '"' for column in columns)
            kinds = list(columns.values())
            types = ", ".join(
                f'typeof("{column.replace(chr(34), chr(34) * 2)}")' for column in columns
            )
            for row in database.execute(f"SELECT {listed}, {types} FROM {quoted}"):
                number += 1
                yield _row(name, number, row[: len(kinds)], row[len(kinds) :])
    except (sqlite3.DatabaseError, sqlite3.DataError, UnicodeDecodeError) as error:
        where = f"after row {number} of {name}" if name else "its list of tables"
        raise DumpError(f"the SQLite file is cut off or damaged: {where}: {error}") from None


def _row(name: str, number: int, row: tuple[Value, ...], kinds: tuple[bytes, ...]) -> DumpRow:
    values: list[Value] = []
    for value, kind in zip(row, kinds, strict=True):
        if kind != b"text" or not isinstance(value, bytes):
            values.append(value)
            continue
        try:
            values.append(value.decode())
        except UnicodeDecodeError:
            return DumpRow(name, number, (), f"value {len(values) + 1} is no UTF-8")
    return DumpRow(name, number, values)

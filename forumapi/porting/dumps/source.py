"""Tables of another forum's database, read by name: from a dump file, without its server, or from a live PostgreSQL.

A dump is read once, from its start to its end. The rows of the tables that a reader asks for go into a temporary SQLite
file, since readers need them in another order than the dump has; memory stays bounded whatever the dump's size.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import sqlite3
import tempfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, Protocol, Self

from forumapi.porting.dumps import mysql_dump, postgres_dump, sqlite_dump
from forumapi.porting.dumps.dump_types import DumpError, DumpTable, Row, SkippedRow, Value

MAX_DUMP: Final = 256 * 1024**3
"""Most bytes of a dump after decompression, a limit against files made to fill the disk."""
MAX_SKIPPED: Final = 10_000

_BATCH_ROWS: Final = 500
_BATCH_BYTES: Final = 4 * 1024 * 1024


class Source(Protocol):
    """Interface of one board's tables, from a dump or a live database. Tables are named without the board's prefix."""

    @property
    def tables(self) -> Mapping[str, tuple[str, ...]]:
        """Return the names of the columns of each table that exists among those that the source was made for, by the
        table's name without the board's prefix.
        """

    @property
    def skipped(self) -> Sequence[SkippedRow]:
        """Return the rows that could not be read, the first 10,000 of them, with reasons."""

    def close(self) -> None: ...

    def rows(
        self, table: str, columns: Sequence[str], order: Sequence[str] = (), **equal: Value
    ) -> Iterator[Row]:
        """Yield rows of a table, named without the board's prefix, each a map of `columns`, sorted by the columns
        `order` (unsorted for ()); with `equal` only rows that have these values in the columns of these names, where
        None equals nothing.

        A column that does not exist is None in each row, and is left out of `order`; a table that is not in `tables`,
        or a column of `equal` that does not exist, means no rows.
        """

    def count(self, table: str) -> int:
        """Return the number of rows of a table, named without the board's prefix; 0 for a table that is not in
        `tables`.
        """


class BoundedStream(io.RawIOBase):
    """Stream of a dump file, decompressed if it is gzip. Raises DumpError when made for a file of ZIP, bzip2 or
    pg_dump's own format, and when damaged gzip or more than `most` bytes are read.
    """

    def __init__(self, path: Path, most: int = MAX_DUMP) -> None:
        self._stack = ExitStack()
        stream: IO[bytes] | gzip.GzipFile = self._stack.enter_context(path.open("rb"))
        magic = stream.read(6)
        stream.seek(0)
        if magic[:2] == b"\x1f\x8b":
            stream = gzip.GzipFile(fileobj=stream)
        elif magic[:4] in (b"PK\x03\x04", b"PGDM") or magic[:5] == b"PGDMP" or magic[:3] == b"BZh":
            self._stack.close()
            raise DumpError(
                f"{path.name}: neither SQL text nor gzip of it; dump as text (mysqldump, pg_dump --format=plain)"
            )
        self._stream = stream
        self._left = most
        self._most = most
        self.name = path.name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DumpError(f"{self.name}: the compressed file is cut off or damaged") from error
        self._left -= len(data)
        if self._left < 0:
            raise DumpError(f"{self.name}: more than {self._most} bytes after decompression")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stack.close()
        super().close()


class DumpSource:
    """Tables of one board in a dump file, as the interface Source has them: copied into a temporary SQLite file, which
    `close` removes.
    """

    def __init__(
        self,
        path: Path,
        tables: Collection[str],
        *,
        marker: str,
        prefix: str | None = None,
        encoding: str = "",
        folder: Path | None = None,
        most: int = MAX_DUMP,
    ) -> None:
        """Read the whole dump. Raises OSError if the file can't be opened, DumpError if it is no dump or a damaged one,
        has no board of the product, or several while `prefix` is None.

        `tables`: names of the wanted tables, without the board's prefix; `marker`: name, without prefix, of a table
        that only this product has; `prefix`: the board's, None for that of the only board there. `encoding`: of the
        text, "" for the one that the dump names. `folder`: for the temporary file, None for the system's. `most`: bytes
        that the dump may have after decompression.
        """
        self._columns: dict[str, tuple[str, ...]] = {}
        self._skipped: list[SkippedRow] = []
        self._names: dict[str, str] = {}
        self._indexes: set[str] = set()
        self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115
            prefix="forumapi-import-", suffix=".sqlite", dir=folder
        )
        self._database = sqlite3.connect(self._file.name, isolation_level=None)
        try:
            for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):
                self._database.execute(f"PRAGMA {pragma}")
            self._load(path, frozenset(tables), prefix, encoding, folder, most)
            names = tables_of_board(path.name, self._columns, frozenset(tables), marker, prefix)
            self._names = names
            self._columns = {short: self._columns[whole] for short, whole in names.items()}
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the source, which can't be read any more, and remove its temporary file."""
        self._database.close()
        self._file.close()

    @property
    def tables(self) -> Mapping[str, tuple[str, ...]]:
        return self._columns

    @property
    def skipped(self) -> Sequence[SkippedRow]:
        return self._skipped

    def rows(
        self, table: str, columns: Sequence[str], order: Sequence[str] = (), **equal: Value
    ) -> Iterator[Row]:
        there = self._columns.get(table)
        if there is None:
            return
        kept = [column for column in columns if column in there]
        sql = f"SELECT {', '.join(map(_quoted, kept)) or '1'} FROM {_quoted(self._names[table])}"
        if any(column not in there for column in equal):
            return
        if equal:
            self._index(table, tuple(equal))
            sql += " WHERE " + " AND ".join(f"{_quoted(name)} = ?" for name in equal)
        if order := [_quoted(column) for column in order if column in there]:
            sql += f" ORDER BY {', '.join(order)}"
        absent: Row = dict.fromkeys(columns)
        with self._writing():
            # Sorted in the folder for temporary files.
            found = self._database.execute(sql, tuple(equal.values()))
        for row in found:
            yield {**absent, **dict(zip(kept, row, strict=False))}

    def count(self, table: str) -> int:
        if table not in self._columns:
            return 0
        name = _quoted(self._names[table])
        return int(self._database.execute(f"SELECT count(*) FROM {name}").fetchone()[0])

    def _index(self, table: str, columns: tuple[str, ...]) -> None:
        """Create an index of a table, named without the board's prefix, on the columns in this order, unless there is
        one.
        """
        name = "-".join((table, *columns))
        if name not in self._indexes:
            listed = ", ".join(map(_quoted, columns))
            on = _quoted(self._names[table])
            with self._writing():
                self._database.execute(f"CREATE INDEX {_quoted(name)} ON {on} ({listed})")
            self._indexes.add(name)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Raise DumpError in place of SQLite's error within the block, such as that of a full disk."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise DumpError(f"the temporary file {self._file.name}: {error}") from None

    def _load(
        self,
        path: Path,
        wanted: frozenset[str],
        prefix: str | None,
        encoding: str,
        folder: Path | None,
        most: int,
    ) -> None:
        def is_wanted(name: str) -> bool:
            if prefix is not None:
                return name.startswith(prefix) and name.removeprefix(prefix) in wanted
            return name in wanted or any(name.endswith(f"_{one}") for one in wanted)

        with BoundedStream(path, most) as raw, io.BufferedReader(raw, 1 << 20) as stream:
            head = stream.peek(65536)[:65536]
            if sqlite_dump.looks_like(head):
                read = sqlite_dump.read(stream, is_wanted, folder)
            else:
                parser = postgres_dump if postgres_dump.looks_like(head) else mysql_dump
                read = parser.read(stream, is_wanted, encoding)
            statements: dict[str, str] = {}
            batch: list[Sequence[Value]] = []
            weight = 0
            last = ""

            def flush() -> None:
                nonlocal weight
                if batch:
                    self._insert(last, statements[last], batch)
                    batch.clear()
                    weight = 0

            self._database.execute("BEGIN")
            for found in read:
                if isinstance(found, DumpTable):
                    flush()
                    statements[found.name] = self._create(found)
                    continue
                if found.problem:
                    if len(self._skipped) < MAX_SKIPPED:
                        self._skipped.append(SkippedRow(found.table, found.number, found.problem))
                    continue
                if found.table != last or len(batch) >= _BATCH_ROWS or weight >= _BATCH_BYTES:
                    flush()
                    last = found.table
                batch.append(found.values)
                weight += sum(
                    len(value) for value in found.values if isinstance(value, (str, bytes))
                )
            flush()
            with self._writing():
                self._database.execute("COMMIT")

    def _create(self, table: DumpTable) -> str:
        name = _quoted(table.name)
        if table.name not in self._names:
            declared = ", ".join(
                f"{_quoted(column)} {_affinity(kind)}" for column, kind in table.columns.items()
            )
            try:
                self._database.execute(f"CREATE TABLE {name} ({declared})")
            except sqlite3.OperationalError as error:
                raise DumpError(f"{table.name}: {error}") from None
            self._names[table.name] = table.name
            self._columns[table.name] = tuple(table.columns)
        columns = ", ".join(_quoted(column) for column in table.columns)
        return f"INSERT INTO {name} ({columns}) VALUES ({', '.join('?' * len(table.columns))})"

    def _insert(self, table: str, statement: str, rows: Sequence[Sequence[Value]]) -> None:
        try:
            self._database.executemany(statement, rows)
        except sqlite3.OperationalError as error:
            # A column that the table's definition lacks, or a full disk.
            raise DumpError(f"{table}: {error} (temporary file {self._file.name})") from None


def tables_of_board(
    name: str, tables: Collection[str], wanted: frozenset[str], marker: str, prefix: str | None
) -> dict[str, str]:
    """Return the full names of one board's tables by their names without prefix: those of `wanted` (names without
    prefix) among `tables` (full names).

    `marker`: name, without prefix, of a table that only this product has; `prefix`: the board's, None for that of the
    only table which is called `marker` or ends in `_<marker>`. Raises DumpError if there is no such table, or several
    with `prefix` None; `name` is the dump's, for the message.
    """
    found = sorted(
        one.removesuffix(marker) for one in tables if one == marker or one.endswith(f"_{marker}")
    )
    if prefix is None:
        if len(found) > 1:
            raise DumpError(
                f"{name}: several boards, with the prefixes {', '.join(found)}: name the one to read"
            )
        if not found:
            raise DumpError(f"{name}: no table …{marker}: another product's dump, or cut off")
        prefix = found[0]
    elif prefix not in found:
        raise DumpError(f"{name}: no table {prefix}{marker}")
    return {
        one.removeprefix(prefix): one
        for one in tables
        if one.startswith(prefix) and one.removeprefix(prefix) in wanted
    }


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_INTEGERS: Final = ("int", "serial", "smallint", "bigint", "tinyint", "mediumint", "bool")
_BYTES: Final = ("bytea", "blob", "binary", "varbinary")


def _affinity(kind: str) -> str:
    """Return SQLite's type, INTEGER, NUMERIC, TEXT or BLOB, for a column of the SQL type `kind`; BLOB for "", TEXT for
    a type that is not known here. By this type integers compare and sort as numbers even if the dump quotes them.
    """
    word = kind.lower().split("(")[0].split()[0] if kind.strip() else ""
    if word.startswith(_INTEGERS):
        return "INTEGER"
    if word in ("real", "double", "float", "numeric", "decimal"):
        return "NUMERIC"
    return "BLOB" if not word or any(part in word for part in _BYTES) else "TEXT"

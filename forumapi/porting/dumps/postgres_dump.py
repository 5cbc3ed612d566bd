"""Parser of `pg_dump --format=plain` text: tables and their COPY data, as a stream. Nothing in it is executed."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import Final

from forumapi.porting.dumps.dump_types import MAX_VALUE, DumpError, DumpRow, DumpTable, Value
from forumapi.porting.dumps.mysql_dump import ENCODINGS

_MAX_LINE: Final = 4 * MAX_VALUE
_NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_COPY = re.compile(rf"COPY (?:{_NAME}\.)?({_NAME}) \((.*)\) FROM stdin;$")
_CREATE = re.compile(rf"CREATE (?:UNLOGGED )?TABLE (?:{_NAME}\.)?({_NAME}) \($")
_COLUMN = re.compile(rf"    ({_NAME}) (.+?),?$")
_ENCODING = re.compile(r"SET client_encoding = '([\w-]+)';$")
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.S)
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_PG_ENCODINGS: Final = {
    **ENCODINGS,
    "sql_ascii": "utf-8",
    "latin1": "iso8859-1",
    "win1250": "cp1250",
    "win1251": "cp1251",
    "win1252": "cp1252",
}


def looks_like(head: bytes) -> bool:
    """Return True if `head`, the first bytes of a dump, are those of pg_dump's plain format."""
    return (
        b"PostgreSQL database dump" in head
        or re.search(rb"^COPY .* FROM stdin;", head, re.M) is not None
    )


def read(
    stream: io.BufferedReader, is_wanted: Callable[[str], bool], encoding: str = ""
) -> Iterator[DumpTable | DumpRow]:
    """Parse a dump: yield, for each table whose whole name, with any prefix, passes `is_wanted` and that has COPY data,
    its definition, then its rows. `encoding`: of the text, "" for the one that the dump names. Raises DumpError for a
    dump that is cut off (one without pg_dump's first comment only if the cut is within COPY data), has INSERT
    statements in place of COPY data, has rows with another number of values than columns, or has text in another or an
    unknown character set. A row with a value above MAX_VALUE (16 MiB), or that is too long as a whole, is yielded with
    a problem.
    """
    charset = encoding or "utf-8"
    types: dict[str, dict[str, str]] = {}
    counts: dict[str, int] = {}
    defined = ""
    is_marked = is_complete = False
    place = "its beginning"
    while raw := stream.readline(_MAX_LINE):
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if defined:
            if line.startswith(")"):
                defined = ""
            elif column := _COLUMN.match(line):
                types[defined][_unquoted(column[1])] = column[2].lower()
        elif line.startswith("CREATE ") and (created := _CREATE.match(line)):
            defined = _unquoted(created[1])
            types[defined] = {}
        elif line.startswith("COPY ") and (copied := _COPY.match(line)):
            name = _unquoted(copied[1])
            columns = {
                column: types.get(name, {}).get(column, "")
                for column in map(_unquoted, re.findall(_NAME, copied[2]))
            }
            if is_wanted(name):
                yield DumpTable(name, columns)
            yield from _copied(stream, name, columns, charset, counts, is_wanted(name))
            place = f"row {counts.get(name, 0)} of {name}"
        elif line.startswith("SET client_encoding") and not encoding:
            if match := _ENCODING.match(line):
                known = _PG_ENCODINGS.get(match[1].lower().replace("utf-8", "utf8"))
                if known is None:
                    raise DumpError(
                        f"the dump's encoding {match[1]} is not known here: dump with UTF8"
                    )
                charset = known
        elif line.startswith("INSERT INTO "):
            raise DumpError(
                f"INSERT after {place}: dump without --inserts, so that rows are COPY data"
            )
        elif "PostgreSQL database dump complete" in line:
            is_complete = True
        elif "PostgreSQL database dump" in line:
            is_marked = True
    if is_marked and not is_complete:
        raise DumpError(f"the dump is cut off after {place}: its last line is missing")


def _copied(
    stream: io.BufferedReader,
    name: str,
    columns: dict[str, str],
    charset: str,
    counts: dict[str, int],
    wanted: bool,
) -> Iterator[DumpRow]:
    is_bytes = [kind.startswith("bytea") for kind in columns.values()]
    is_boolean = [kind.startswith("boolean") for kind in columns.values()]
    number = counts.get(name, 0)
    while raw := stream.readline(_MAX_LINE):
        if raw in (b"\\.\n", b"\\.\r\n"):
            counts[name] = number
            return
        number += 1
        if not raw.endswith(b"\n"):
            if len(raw) < _MAX_LINE:
                break
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(_MAX_LINE)
            if wanted:
                yield DumpRow(name, number, (), f"the row is longer than {_MAX_LINE} bytes")
            continue
        if not wanted:
            continue
        fields = raw[:-1].split(b"\t")
        if len(fields) != len(columns):
            raise DumpError(
                f"row {number} of {name} has {len(fields)} values, the table {len(columns)} columns"
            )
        if any(len(field) > MAX_VALUE for field in fields):
            yield DumpRow(name, number, (), f"a value is longer than {MAX_VALUE} bytes")
            continue
        values: list[Value] = []
        for place, field in enumerate(fields):
            if field == rb"\N":
                values.append(None)
                continue
            try:
                text = field.decode(charset)
            except UnicodeDecodeError as error:
                column = list(columns)[place]
                raise DumpError(
                    f"row {number} of {name}, column {column}: byte 0x{field[error.start]:02x} is not {charset};"
                    " name the character set that the dump is in"
                ) from None
            if "\\" in text:
                text = _ESCAPE.sub(_unescaped, text)
            if is_bytes[place] and text.startswith("\\x"):
                try:
                    values.append(bytes.fromhex(text[2:]))
                except ValueError:
                    raise DumpError(
                        f"row {number} of {name}, column {list(columns)[place]}: is not bytes in hexadecimal digits"
                    ) from None
            elif is_boolean[place]:
                values.append(int(text == "t"))
            else:
                values.append(text)
        yield DumpRow(name, number, values)
    raise DumpError(f"the dump is cut off within row {number} of {name}")


def _unescaped(match: re.Match[str]) -> str:
    written = match[1]
    if written[0] in "01234567":
        return chr(int(written, 8))
    if written[0] == "x" and len(written) > 1:
        return chr(int(written[1:], 16))
    return _ESCAPES.get(written, written)


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name

"""Rows and definitions of tables, as parsers of database dumps yield them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

Value = str | int | float | bytes | None
Row = dict[str, Value]

MAX_VALUE: Final = 16 * 1024 * 1024
"""Bytes of one value. A row with a longer one is skipped, and listed."""


class DumpError(Exception):
    """Error in a dump that ends its reading; the message names table and row."""


class SkippedRow(NamedTuple):
    """Row of a dump that was left out: the number counts the table's rows from 1."""

    table: str
    number: int
    reason: str


class DumpRow(NamedTuple):
    """Row of a table; `problem` where it can't be used."""

    table: str
    number: int
    values: Sequence[Value]
    problem: str = ""


class DumpTable(NamedTuple):
    """Table as its definition or its rows' heading describes it: types of the columns by name, lower case."""

    name: str
    columns: Mapping[str, str]

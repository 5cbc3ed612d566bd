"""Types that the parsers of database dumps yield: rows and definitions of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

Value = str | int | float | bytes | None
Row = dict[str, Value]

MAX_VALUE: Final = 16 * 1024 * 1024
"""Most bytes of one value in a dump; a row with a longer one is skipped, and listed as a SkippedRow. An SQLite file
with a longer one counts as damaged.
"""


class DumpError(Exception):
    """Failure to read a dump, a live database or an archive of another forum; the message is for whoever imports, and
    says where the fault is, as far as that is known.
    """


class SkippedRow(NamedTuple):
    """Row of a dump that was skipped, with the reason. `table`: its whole name, with the board's prefix; `number`: the
    row's position in the table, from 1.
    """

    table: str
    number: int
    reason: str


class DumpRow(NamedTuple):
    """Row of a table. `table`: its whole name, with the board's prefix; `number`: position among the table's rows, from
    1; `values`: in the order of the columns, () with a problem; `problem`: why the row can't be used, "" if it can.
    """

    table: str
    number: int
    values: Sequence[Value]
    problem: str = ""


class DumpTable(NamedTuple):
    """Table as the dump defines it, or as the list of columns before its rows names it. `name`: whole, with the board's
    prefix; `columns`: SQL types by the columns' names, in the columns' order; types are in lower case, "" if unknown.
    """

    name: str
    columns: Mapping[str, str]

"""SQL statement as an object (name, text, scope), and the conversion of its parameters into PostgreSQL's text
format.
"""

from __future__ import annotations

import datetime
import enum
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

Row = tuple[Any, ...]
Params = Mapping[str, object]

_PLACEHOLDER: Final = re.compile(r"%\((\w+)\)s|%%")


class Replica(enum.Enum):
    """Rule on when a standby may answer a statement: NEVER; ACKNOWLEDGED, once it has replayed the primary's log up to
    all commits that are on disk; ALL, up to all commits visible there, those of read marks too, which do not wait for
    the disk.
    """

    NEVER = "never"
    # All acknowledged commits. For statements without read marks, the only commits that do not wait for the disk.
    ACKNOWLEDGED = "acknowledged"
    # All commits visible on the primary: the viewer `me` must see their own marks.
    ALL = "all"


# Scopes of a statement: the rows of the site that a parameter names, or those of any site.
SITE: Final = "site"
PLATFORM: Final = "platform"


class Query:
    """SQL statement, made once as a constant. `name`, unique: comment in the database's log, label of metrics, name of
    the prepared statement; `sql` has %(named)s parameters.

    `replica`: when a standby may answer; other than NEVER only for statements that write nothing, lock nothing and read
    no server state. `scope`: PLATFORM for one that reads or writes tables of sites without a condition on the site.
    `unrestricted`: reason for which the statement may return rows that belong to no thing named by its parameters and
    that the viewer may not read; "" if it returns no such rows. `changes_site`: it increments versions of a site, which
    processes hold in memory. `all`: the statements made so far, by name.
    """

    __slots__ = (
        "calls",
        "changes_site",
        "name",
        "names",
        "prepared",
        "replica",
        "scope",
        "seconds",
        "sql",
        "text",
        "unrestricted",
    )

    all: dict[str, Query] = {}

    def __init__(
        self,
        name: str,
        sql: str,
        *,
        replica: Replica = Replica.NEVER,
        scope: Literal["site", "platform"] = SITE,
        unrestricted: str = "",
    ) -> None:
        if name in Query.all:
            raise ValueError(f"two queries are called {name!r}")
        self.name = name
        self.sql = sql
        self.replica = replica
        self.scope = scope
        self.unrestricted = unrestricted
        self.changes_site = "UPDATE sites " in sql
        # Runs and seconds since the last Database.sample_gauges.
        self.calls = 0
        self.seconds = 0.0
        names: list[str] = []

        def number(match: re.Match[str]) -> str:
            if match[1] is None:
                return "%"
            if match[1] not in names:
                names.append(match[1])
            return f"${names.index(match[1]) + 1}"

        self.text = f"/* {name} */ {_PLACEHOLDER.sub(number, sql)}".encode()
        self.names = tuple(names)
        self.prepared = name.encode()
        Query.all[name] = self


class Encoded(bytes):
    """Parameter that is in PostgreSQL's text format already, for long arrays that many requests send."""


def _quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def dump(value: object) -> bytes | None:
    """Convert a parameter (text, int, float, bool, bytes, date, datetime, or a list, tuple or set of these; Encoded as
    it is) into PostgreSQL's text format, None for NULL. Raises TypeError for a type that is not handled here.
    """
    if value is None:
        return None
    if isinstance(value, Encoded):
        return value
    if value is True:
        return b"t"
    if value is False:
        return b"f"
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (int, float)):
        return str(value).encode()
    if isinstance(value, bytes):
        return b"\\x" + value.hex().encode()
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat().encode()
    if isinstance(value, (list, tuple, set, frozenset)):
        return _dump_array(value)
    raise TypeError(f"no parameter format for {type(value).__name__}")


def encoded(values: Any) -> Encoded:
    """Convert an array parameter, a list, tuple or set as `dump` takes it, into PostgreSQL's text format once, to be
    passed to several statements.
    """
    return Encoded(_dump_array(values))


def _dump_array(values: Any) -> bytes:
    parts: list[str] = []
    for value in values:
        if value is None:
            parts.append("NULL")
        elif isinstance(value, bool):
            parts.append("t" if value else "f")
        elif isinstance(value, (int, float)):
            parts.append(str(value))
        elif isinstance(value, bytes):
            parts.append(f'"\\\\x{value.hex()}"')
        elif isinstance(value, str):
            parts.append(_quote(value))
        else:
            parts.append(_quote(value.isoformat()))
    return ("{" + ",".join(parts) + "}").encode()

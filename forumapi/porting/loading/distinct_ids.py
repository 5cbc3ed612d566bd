"""Distinct ids of a source's documents: of those with one id, the first comes, and the others are left out."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from forumapi.porting.dumps.dump_types import DumpError
from forumapi.porting.layout import Unreadable
from forumapi.porting.loading import value_cleaning


def distinct(kind: str, stream: Iterable[Any]) -> Iterator[Any]:
    """Yield the documents of a stream, all of which have an id; in place of one whose id an earlier one has, an
    Unreadable. `kind`: what the stream holds, such as "comment".

    The ids lie in a file of SQLite without a name, mostly in the folder for temporary files, so memory stays bounded.
    Raises DumpError if that is full.
    """
    with contextlib.closing(sqlite3.connect("", isolation_level=None)) as ids:
        ids.execute("PRAGMA journal_mode = OFF")
        ids.execute("CREATE TABLE seen (id PRIMARY KEY) WITHOUT ROWID")
        ids.execute("BEGIN")
        for one in stream:
            if isinstance(one, Unreadable) or _is_new(ids, value_cleaning.old_id(one.id)):
                yield one
            else:
                yield Unreadable(kind=kind, id=one.id, reason=f"id: another {kind} has it")


def _is_new(ids: sqlite3.Connection, id: str) -> bool:
    # Numbers mostly ascend, and as numbers they are put at the end.
    key = int(id) if id.isascii() and id.isdigit() and len(id) < 19 and id[0] != "0" else id
    try:
        return bool(ids.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount)
    except sqlite3.OperationalError as error:
        raise DumpError(f"the folder for temporary files: {error}") from None

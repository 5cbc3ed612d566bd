"""Journal of erasures: a file outside the database, by which a restored backup erases again what was erased.

It has one JSON object a line, with ids of sites, profiles, users and things, and no names; the lines' kinds stand with
the jobs that write them, erasures.py, retention.py and site_deletions.py.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

# End of a line that was cut off; no JSON ends so.
CUT_OFF: Final = b"\tcut off"
# The highest id, PostgreSQL's bigint.
MAX_ID: Final = 2**63 - 1
Line = TypeVar("Line", bound=msgspec.Struct)


def append(path: Path, lines: Sequence[str]) -> None:
    """Append lines of JSON to the journal at `path` and sync it to disk; nothing happens for no lines. A line there
    that a crash or a full disk has cut off is ended first, with CUT_OFF, so that readers pass over it.
    """
    if not lines:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        if journal.seek(0, os.SEEK_END):
            journal.seek(-1, os.SEEK_END)
            if journal.read(1) != b"\n":
                journal.write(CUT_OFF + b"\n")
        journal.write("".join(f"{line}\n" for line in lines).encode())
        journal.flush()
        os.fsync(journal.fileno())


def read_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the lines of the journal at `path`, each as (place, for messages; the line's object). A line that was cut
    off is left out: the last one without a newline, and those that `append` has ended since. Raises OSError, and
    ValueError for a line that is no object.
    """
    *lines, _ = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if line.endswith(CUT_OFF):
            continue
        place = f"{path}, line {number}"
        try:
            known = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{place}: no entry of a journal: {error}") from None
        if not isinstance(known, dict):
            raise ValueError(f"{place}: no entry of a journal")
        yield place, known


def converted(place: str, known: dict[str, Any], kind: type[Line]) -> Line:
    """Return `known`, the object of a journal's line, as a struct of the class `kind`. Raises ValueError for an object
    that does not fit the class, with `place` (of the line) and the key in its message.
    """
    try:
        return msgspec.convert(known, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{place}: no entry of a journal: {error}") from None

"""Base class of the readers that find a board in tables, and its uploads in a folder."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

from forumapi.porting.dumps.row_values import as_number
from forumapi.porting.dumps.source import Source
from forumapi.porting.layout import BaseReader, PortedAttachment, PortedFollowed


class TableReader(BaseReader):
    """Reader of one board's tables. `close` closes the source that it was made with.

    A subclass sets `_people` to the ids of those who become profiles.
    """

    # Tables that have about as many rows as a stream has documents, by the stream's name.
    tables: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self, source: Source, files: Path | None = None, now: datetime.datetime | None = None
    ) -> None:
        """Prepare the reader. `files`: folder of the board's uploads, None without; `now`: bans that end before it are
        left out, None for the present time.
        """
        self._source = source
        self._files = files
        self._now = now or datetime.datetime.now(datetime.UTC)
        self._people: set[int] = set()

    def close(self) -> None:
        self._source.close()

    def counts(self) -> Mapping[str, int]:
        return {stream: self._source.count(table) for stream, table in self.tables.items()}

    def open(self, attachment: PortedAttachment) -> IO[bytes] | None:
        """Open the file at the attachment's path below the folder of the board's uploads; None where there is none, or
        the path leads out of the folder.
        """
        if self._files is None or not attachment.path:
            return None
        root = self._files.resolve()
        path = (root / attachment.path).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            return None
        return path.open("rb")

    def _author(self, id: Any) -> str:
        """Return a person's id as text; "" for guests and for accounts that are gone."""
        return str(id) if as_number(id) in self._people else ""


def data_url(data: object) -> str:
    """Return the bytes of a file as a data URL; "" for none."""
    if not isinstance(data, bytes) or not data:
        return ""
    return f"data:application/octet-stream;base64,{base64.b64encode(data).decode()}"


def followed(ids: Iterable[str]) -> tuple[PortedFollowed, ...]:
    """Return the things with these ids as followed, each with mail."""
    return tuple(PortedFollowed(id=id, notify=True) for id in ids)


def parents_first(parents: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Yield each forum with its parent, 0 without one: in the order of `parents`, except that a forum which stands
    there before its parent comes after the parent. Forums in a circle of parents, or below one, come last, with 0.
    `parents`: the parent by forum; one that is no forum counts as none.
    """
    done: set[int] = set()
    waiting = list(parents)
    while waiting:
        later = []
        for id in waiting:
            parent = parents[id]
            if parent in parents and parent not in done:
                later.append(id)
                continue
            done.add(id)
            yield id, parent if parent in done and parent != id else 0
        if len(later) == len(waiting):
            yield from ((id, 0) for id in later)
            return
        waiting = later

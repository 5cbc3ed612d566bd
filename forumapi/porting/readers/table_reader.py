"""Base class of the readers that find a board in tables, and its uploads in a folder."""

from __future__ import annotations

import base64
import datetime
import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO, Any, ClassVar

from forumapi.porting.dumps.dump_types import Row
from forumapi.porting.dumps.row_values import as_number, as_text, as_time
from forumapi.porting.dumps.source import Source
from forumapi.porting.layout import (
    BaseReader,
    PortedAttachment,
    PortedBallot,
    PortedChoice,
    PortedFollowed,
)


class TableReader(BaseReader):
    """Reader of one board's tables. `close` closes the source that the reader was made with.

    A subclass sets `_people` to the ids of those who become profiles.
    """

    # Tables that have about as many rows as a stream has documents, by the stream's name.
    tables: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self, source: Source, files: Path | None = None, now: datetime.datetime | None = None
    ) -> None:
        """Prepare the reader. `source`: the board's tables; `files`: folder of the board's uploads, None without;
        `now`: bans that end before it are left out, None for the present time.
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
        """Open the file at the attachment's path below the folder of the board's uploads for reading; the caller closes
        it. None where there is no such file or no such folder, or the path leads out of the folder.
        """
        if self._files is None or not attachment.path:
            return None
        root = self._files.resolve()
        path = (root / attachment.path).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            return None
        return path.open("rb")

    def _is_over(self, end: Any) -> bool:
        """Return True if the end of a ban, in seconds since 1970 and negative before, has passed. 0, None and what is
        no number are no end.
        """
        seconds = as_number(end)
        return seconds != 0 and seconds < self._now.timestamp()

    def _author(self, id: Any) -> str:
        """Return a person's id as text; "" for guests and for accounts that are gone."""
        return str(id) if as_number(id) in self._people else ""

    def _ballots(
        self,
        votes: Iterable[Row],
        choices: Iterable[PortedChoice],
        *,
        person: str,
        choice: str,
        date: str = "",
    ) -> tuple[PortedBallot, ...]:
        """Return the ballots of one poll: one for each person who becomes a profile and has a vote for one of
        `choices`, which are the poll's. `votes`: rows sorted by person; `person`, `choice`, `date`: their columns of
        the person's id, the choice's id and the time (seconds since 1970), of which a ballot has that of its first
        vote; "" for no time.
        """
        known = {one.id for one in choices}
        ballots = []
        for id, cast in groupby(votes, key=lambda vote: as_number(vote[person])):
            dates = {as_text(vote[choice]): vote[date] if date else None for vote in cast}
            chosen = tuple(one for one in dates if one in known)
            if id in self._people and chosen:
                when = as_time(dates[chosen[0]])
                ballots.append(PortedBallot(author=str(id), choices=chosen, date=when))
        return tuple(ballots)

    def _by_person(
        self, *relations: Iterable[tuple[int, str, str]]
    ) -> Iterator[tuple[int, Mapping[str, Sequence[str]]]]:
        """Yield each person in `relations` who becomes a profile, by ascending id, with the ids of what the person
        follows or ignores, by kind; a kind without any has an empty list. `relations`: each sorted by the person's id,
        as (person's id, kind, id).
        """
        merged = heapq.merge(*relations, key=lambda one: one[0])
        for person, of_person in groupby(merged, key=lambda one: one[0]):
            if person in self._people:
                by_kind: dict[str, list[str]] = defaultdict(list)
                for _, kind, id in of_person:
                    by_kind[kind].append(id)
                yield person, by_kind


def data_url(data: object) -> str:
    """Return the bytes of a file as a base64 data URL; "" for empty ones, and for anything but bytes."""
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

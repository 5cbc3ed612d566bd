"""Who reads a thing and who is writing a comment on it: told to those who asked, counted together once a second.

Lossy on purpose: nothing is stored, nothing is in the log. Processes tell each other their own counts through NOTIFY;
what one has not repeated for a while is forgotten. Somebody with connections to two processes counts twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from forumapi.database.connections import Database, Query
from forumapi.observability.log import logger
from forumapi.realtime.hub import Frame, Topic

if TYPE_CHECKING:
    from forumapi.realtime.event_pump import Feed

TELL = Query("live.tell", "SELECT pg_notify('forumapi_presence', %(text)s)")

Place = tuple[int, int, int]
"""A site's id, an item type and an id."""


class _Told(msgspec.Struct):
    """What processes tell each other: how many read each place, and who writes there."""

    process: str
    reading: list[tuple[int, int, int, int]]
    typing: list[tuple[int, int, int, list[int]]]


class Presence:
    """Counts of this process and of the others. `name` says a topic as clients write it."""

    REPEAT_S: Final = 10.0  # how often counts that did not change are told to other processes
    FORGET_S: Final = 25.0  # after which a process that has told nothing counts no more
    MOST: Final = 200  # places in one notification, which has 8,000 bytes at most
    TYPISTS: Final = 10  # people named in one frame

    def __init__(self, database: Database, name: Callable[[Topic], str]) -> None:
        self._database = database
        self._name = name
        self._me = os.urandom(6).hex()
        self._own: dict[Place, int] = {}
        self._others: dict[Place, dict[str, tuple[int, float]]] = {}
        self._shown: dict[Place, int] = {}
        self._typing: dict[Place, set[int]] = {}
        self._heard: dict[Place, set[int]] = {}
        self._repeated = 0.0

    def typing(self, place: Place, profile_id: int) -> None:
        """Somebody is writing; told with the next tick."""
        self._typing.setdefault(place, set()).add(profile_id)

    def hear(self, text: bytes) -> None:
        """What another process tells; of another release it may be anything."""
        try:
            told = msgspec.json.decode(text, type=_Told)
        except msgspec.DecodeError as error:
            logger.debug("presence is not understood: %s", error)
            return
        if told.process == self._me:
            return
        until = time.monotonic() + self.FORGET_S
        for site_id, kind, id, count in told.reading:
            self._others.setdefault((site_id, kind, id), {})[told.process] = (count, until)
        for site_id, kind, id, people in told.typing:
            self._heard.setdefault((site_id, kind, id), set()).update(people)

    def tick(self, feeds: Iterable[Feed]) -> None:
        """Count, tell the other processes and push what changed. Raises Unavailable."""
        by_site = {feed.site.id: feed for feed in feeds}
        own = {place: count for feed in by_site.values() for place, count in _counts(feed).items()}
        now = time.monotonic()
        repeats = now - self._repeated > self.REPEAT_S
        changed = {
            place: own.get(place, 0)
            for place in own.keys() | self._own.keys()
            if repeats or own.get(place, 0) != self._own.get(place, 0)
        }
        typing, self._typing = self._typing, {}
        heard, self._heard = self._heard, {}
        self._own = own
        if repeats:
            self._repeated = now
        if changed or typing:
            self._tell(changed, typing)
        for place, processes in list(self._others.items()):
            for process, (_, until) in list(processes.items()):
                if until < now:
                    del processes[process]
            if not processes:
                del self._others[place]
        self._show(by_site, typing, heard)

    def _tell(self, reading: dict[Place, int], typing: dict[Place, set[int]]) -> None:
        counts = [(*place, count) for place, count in reading.items()]
        people = [(*place, sorted(who)[: self.TYPISTS]) for place, who in typing.items()]
        reader = self._database.read()
        try:
            for at in range(0, max(len(counts), len(people)), self.MOST // 2):
                some = slice(at, at + self.MOST // 2)
                told = _Told(self._me, counts[some], people[some])
                reader.rows(TELL, text=msgspec.json.encode(told).decode())
        finally:
            reader.end()

    def _show(
        self, feeds: dict[int, Feed], typing: dict[Place, set[int]], heard: dict[Place, set[int]]
    ) -> None:
        shown: dict[Place, int] = {}
        for place, count in self._own.items():
            others = self._others.get(place, {}).values()
            shown[place] = count + sum(number for number, _ in others)
            if shown[place] != self._shown.get(place):
                frame = Frame("presence", topic=self._name(Topic(*place[1:])), people=shown[place])
                _push(feeds[place[0]], place, frame)
        self._shown = shown
        for place in typing.keys() | heard.keys():
            people = typing.get(place, set()) | heard.get(place, set())
            if place in self._own:
                _push_typing(feeds[place[0]], place, self._name(Topic(*place[1:])), people)

    def welcome(self, place: Place) -> Frame | None:
        """How many are there, for one who comes; None while nothing is known."""
        people = self._shown.get(place)
        if not people:
            return None
        return Frame("presence", topic=self._name(Topic(*place[1:])), people=people)


def _counts(feed: Feed) -> dict[Place, int]:
    """How many people of this process read what, among those who let it be known."""
    people: dict[Place, set[Any]] = {}
    for client in feed.clients:
        for follow in client.follows.values():
            if follow.wants_presence and follow.topic.kind > 0:
                place = (feed.site.id, follow.topic.kind, follow.topic.id)
                people.setdefault(place, set()).add(client.caller.principal.profile_id or client)
    return {place: len(who) for place, who in people.items()}


def _push(feed: Feed, place: Place, frame: Frame) -> None:
    for client, follow in list(feed.index.followers(Topic(*place[1:])).items()):
        if follow.wants_presence:
            client.push(frame)


def _push_typing(feed: Feed, place: Place, name: str, people: set[int]) -> None:
    """Everybody but oneself and those whom one ignores."""
    frames: dict[frozenset[int], Frame] = {}
    for client, follow in list(feed.index.followers(Topic(*place[1:])).items()):
        if not follow.wants_presence:
            continue
        caller = client.caller
        seen = frozenset(people - {caller.principal.profile_id} - caller.ignored_profiles)
        if seen:
            if seen not in frames:
                some = sorted(seen)[: Presence.TYPISTS]
                frames[seen] = Frame("typing", topic=name, profileIds=some)
            client.push(frames[seen])

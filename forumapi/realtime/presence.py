"""Presence: how many people read a topic, and who is typing on it, sent once a second to subscribers that ask for it.

Loses messages by design: nothing is stored or logged. Processes exchange their counts by NOTIFY; those that a process
has not repeated for FORGET_S expire. A person with connections to two processes counts twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from forumapi.database.connections import Database
from forumapi.database.query import Query
from forumapi.observability.log import logger
from forumapi.realtime.live_clients import Frame
from forumapi.realtime.topic_names import Topic

if TYPE_CHECKING:
    from forumapi.realtime.site_listeners import SiteListeners

NOTIFY = Query("presence.notify", "SELECT pg_notify('forumapi_presence', %(text)s)")

TopicKey = tuple[int, int, int]
"""Key of a topic: a site's id, an item type and an id."""


class _Message(msgspec.Struct):
    """Message from the process with the random name `process` to the others. `reading`: number of its readers of each
    topic, `typing`: ids of the profiles that are typing there; each entry begins with site, item type and id.
    """

    process: str
    reading: list[tuple[int, int, int, int]]
    typing: list[tuple[int, int, int, list[int]]]


class Presence:
    """Counts of people who read each topic, in this process and, as they report it, in the others. `name(topic)`
    returns a topic's name on the wire.
    """

    REPEAT_S: Final = 10.0  # interval at which unchanged counts are sent to other processes
    FORGET_S: Final = 25.0  # after which counts of a silent process expire
    MOST: Final = 200  # topics in one notification, which has 8,000 bytes at most
    TYPISTS: Final = 10  # people named in one frame

    def __init__(self, database: Database, name: Callable[[Topic], str]) -> None:
        self._database = database
        self._name = name
        self._me = os.urandom(6).hex()
        self._own: dict[TopicKey, int] = {}
        self._others: dict[TopicKey, dict[str, tuple[int, float]]] = {}
        self._shown: dict[TopicKey, int] = {}
        self._typing: dict[TopicKey, set[int]] = {}
        self._heard: dict[TopicKey, set[int]] = {}
        self._repeated = 0.0

    def typing(self, place: TopicKey, profile_id: int) -> None:
        """Record that a profile is typing on the topic `place` (site, item type, id); the next tick announces it,
        once however often it was recorded.
        """
        self._typing.setdefault(place, set()).add(profile_id)

    def receive(self, text: bytes) -> None:
        """Take in the message of another process; one that can't be read (of another release), or is this process's
        own, is ignored.
        """
        try:
            told = msgspec.json.decode(text, type=_Message)
        except msgspec.DecodeError as error:
            logger.debug("presence message is not valid: %s", error)
            return
        if told.process == self._me:
            return
        until = time.monotonic() + self.FORGET_S
        for site_id, kind, id, count in told.reading:
            self._others.setdefault((site_id, kind, id), {})[told.process] = (count, until)
        for site_id, kind, id, people in told.typing:
            self._heard.setdefault((site_id, kind, id), set()).update(people)

    def tick(self, sites: Iterable[SiteListeners]) -> None:
        """Count this process's readers on `sites`, send changed counts (all counts every REPEAT_S) and who types to the
        other processes, and push changed sums to clients. Raises Unavailable.
        """
        by_site = {listeners.site.id: listeners for listeners in sites}
        own = {
            place: count
            for listeners in by_site.values()
            for place, count in _counts(listeners).items()
        }
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
            self._notify(changed, typing)
        for place, processes in list(self._others.items()):
            for process, (_, until) in list(processes.items()):
                if until < now:
                    del processes[process]
            if not processes:
                del self._others[place]
        self._push_changes(by_site, typing, heard)

    def _notify(self, reading: dict[TopicKey, int], typing: dict[TopicKey, set[int]]) -> None:
        counts = [(*place, count) for place, count in reading.items()]
        people = [(*place, sorted(who)[: self.TYPISTS]) for place, who in typing.items()]
        reader = self._database.read()
        try:
            for at in range(0, max(len(counts), len(people)), self.MOST // 2):
                some = slice(at, at + self.MOST // 2)
                told = _Message(self._me, counts[some], people[some])
                reader.rows(NOTIFY, text=msgspec.json.encode(told).decode())
        finally:
            reader.end()

    def _push_changes(
        self,
        by_site: dict[int, SiteListeners],
        typing: dict[TopicKey, set[int]],
        heard: dict[TopicKey, set[int]],
    ) -> None:
        shown: dict[TopicKey, int] = {}
        for place, count in self._own.items():
            others = self._others.get(place, {}).values()
            shown[place] = count + sum(number for number, _ in others)
            if shown[place] != self._shown.get(place):
                frame = Frame("presence", topic=self._name(Topic(*place[1:])), people=shown[place])
                _push(by_site[place[0]], place, frame)
        self._shown = shown
        for place in typing.keys() | heard.keys():
            people = typing.get(place, set()) | heard.get(place, set())
            if place in self._own:
                _push_typing(by_site[place[0]], place, self._name(Topic(*place[1:])), people)

    def welcome(self, place: TopicKey) -> Frame | None:
        """Make the frame with the present number of people who read the topic `place` (site, item type, id), for a new
        follower; None if no number is known or it is 0.
        """
        people = self._shown.get(place)
        if not people:
            return None
        return Frame("presence", topic=self._name(Topic(*place[1:])), people=people)


def _counts(listeners: SiteListeners) -> dict[TopicKey, int]:
    """Return the number of this process's readers of each topic that is a thing (not of `site`, `huddles` and
    `updates`): profiles, each once, and connections of guests, with a subscription that wants presence.
    """
    people: dict[TopicKey, set[Any]] = {}
    for client in listeners.clients:
        for follow in client.follows.values():
            if follow.wants_presence and follow.topic.kind > 0:
                place = (listeners.site.id, follow.topic.kind, follow.topic.id)
                people.setdefault(place, set()).add(client.caller.principal.profile_id or client)
    return {place: len(who) for place, who in people.items()}


def _push(listeners: SiteListeners, place: TopicKey, frame: Frame) -> None:
    for client, follow in list(listeners.index.followers(Topic(*place[1:])).items()):
        if follow.wants_presence:
            client.push(frame)


def _push_typing(listeners: SiteListeners, place: TopicKey, name: str, people: set[int]) -> None:
    """Push the profile ids `people`, who type on the topic `place`, to its followers who want presence; to each at most
    Presence.TYPISTS of them, those of the lowest ids, without the follower and profiles that the follower ignores, and
    no frame if none is left. `name`: the topic's name on the wire.
    """
    frames: dict[frozenset[int], Frame] = {}
    for client, follow in list(listeners.index.followers(Topic(*place[1:])).items()):
        if not follow.wants_presence:
            continue
        caller = client.caller
        seen = frozenset(people - {caller.principal.profile_id} - caller.ignored_profiles)
        if seen:
            if seen not in frames:
                some = sorted(seen)[: Presence.TYPISTS]
                frames[seen] = Frame("typing", topic=name, profileIds=some)
            client.push(frames[seen])

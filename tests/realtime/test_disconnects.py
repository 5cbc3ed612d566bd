"""Cut again and again, everybody has in the end what the oracle says of the log: no hole, nothing twice.

DISCONNECTS says how often (`make disconnects` does it five hundred times): sockets closed, workers killed and stopped,
clients that stay away for a while.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from forumapi.db import Query
from forumapi.models import journal, live
from forumapi.realtime.cursor import Cursors
from tests.chaos.stage import wait_for, workers
from tests.factories import Factory, Person, Site
from tests.fixtures import Server, start_server
from tests.oracle import compare, draw, store
from tests.oracle import told as oracle
from tests.oracle.may import is_site_banned
from tests.oracle.world import Asked, World
from tests.realtime.listener import Closed, Listener
from tests.realtime.test_audience import KINDS, _event, _things, _topics

pytestmark = pytest.mark.slow

DISCONNECTS = int(os.environ.get("DISCONNECTS", "15"))
SEED = int(os.environ.get("DISCONNECTS_SEED", "7"))

HEAD = Query(
    "test.live_head",
    """
    SELECT coalesce((SELECT h.number FROM event_heads h WHERE h.site_id = %(site_id)s), 0),
           (SELECT count(*) FROM event_log e WHERE e.site_id = %(site_id)s)""",
)
LOG = Query(
    "test.live_log",
    """
    SELECT s.number, e.kind, e.item_type_id, e.item_id, coalesce(e.parent_type_id, 0), coalesce(e.parent_id, 0)
      FROM event_sequence s
      JOIN event_log e ON e.site_id = s.site_id AND e.event_id = s.event_id AND e.created = s.created
     WHERE s.site_id = %(site_id)s ORDER BY s.number""",
)


class Follower:
    """One who follows, is cut, and comes back with the last cursor."""

    def __init__(
        self,
        server: Server,
        site: Site,
        by: Person | None,
        topics: list[str],
        read: Cursors,
        seed: int,
    ) -> None:
        self.server = server
        self.site = site
        self.by = by
        self.topics = topics
        self.cursors = read
        self.random = Random(seed)
        self.cursor = ""
        self.got: dict[int, tuple[str, str]] = {}
        self.twice: list[int] = []
        self.cuts: Counter[str] = Counter()

    def connect(self, stop: threading.Event | None = None) -> None:
        """One connection, until it is cut; without `stop` the last one, until all has come."""
        is_last = stop is None
        with Listener(self.server.address, self.site, self.by) as there:
            if there.answer != 101:
                assert there.answer == 503, there.answer
                return
            there.send({"type": "subscribe", "topics": self.topics, "cursor": self.cursor})
            frames = self.random.randint(1, 40)
            while is_last or (frames and stop is not None and not stop.is_set()):
                frame = there.read()
                assert frame["type"] not in ("gap", "resync", "error"), frame
                if frame["type"] == "event":
                    self._take(frame)
                    frames -= 1
                elif frame["type"] == "subscribed":
                    self.cursor = frame["cursor"]
                    if is_last:
                        return
                elif frame["type"] == "heartbeat" and self.cursor:
                    self.cursor = frame["cursor"]
                elif frame["type"] == "bye":
                    self.cuts["worker stopped"] += 1
                    return
            self.cuts["socket closed"] += 1

    def _take(self, frame: dict[str, str]) -> None:
        number = self.cursors.read(self.site.id, frame["cursor"])
        assert number is not None
        before = self.cursors.read(self.site.id, self.cursor) if self.cursor else 0
        assert before is not None
        if number in self.got or number <= before:
            self.twice.append(number)
        self.got[number] = (frame["kind"], frame["href"])
        self.cursor = frame["cursor"]

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self.connect(stop)
            except TimeoutError:
                self.cuts["silence"] += 1
            except (Closed, OSError):
                self.cuts["worker killed"] += 1
            # Most come back at once, some stay away while much happens.
            time.sleep(self.random.choice((0, 0, 0.05, 0.7)))


def _write(make: Factory, world: World, things: list[Asked], stop: threading.Event) -> None:
    """Events about what there is, in transactions of one to three."""
    random = Random(SEED + 1)
    for number in itertools.count(1):
        if stop.is_set():
            return
        with make.database.write() as tx:
            for _ in range(random.randint(1, 3)):
                event = _event(world, number, random.choice(KINDS), random.choice(things))
                journal.record(
                    tx,
                    world.site_id,
                    event.kind,
                    event.item_type,
                    event.item_id,
                    actor=world.owned_by,
                    ip="",
                    version=1,
                    parent=(event.parent_type, event.parent_id) if event.parent_id else None,
                )
        time.sleep(random.random() * 0.02)


def test_nobody_misses_anything_however_often_they_are_cut(
    database_url: str, make: Factory, tmp_path: Path
) -> None:
    random = Random(SEED)
    world = draw.world(random, draw.Ids(), compare.clock(make.database))
    store.save(database_url, [world], skip_triggers=True)
    store.settle(make.database, [world])
    site = Site(world.site_id, store.host_key(world), f"{store.host_key(world)}.forum.test", 0)
    with make.database.write() as tx:
        cursors = Cursors(live.cursor_key(tx))
    server = start_server(database_url, tmp_path, workers="2", live_heartbeat_s="1")
    stop = threading.Event()
    followers, threads = [], []
    followed: list[set[oracle.Topic]] = []
    ids: list[int] = []
    for place, id in enumerate((0, *world.profiles)):
        if is_site_banned(world, id):
            continue
        by = Person(site, id, 0, "", "", store.token(id)) if id else None
        chosen = _topics(random, world, id)
        named = [oracle_name(topic) for topic in chosen.values() if _may(world, id, topic)]
        if not named:
            continue
        followed.append({topic for topic in chosen.values() if oracle_name(topic) in named})
        ids.append(id)
        followers.append(Follower(server, site, by, named, cursors, SEED + place))
    try:
        # A first cursor: whoever has none is told nothing of what was before.
        for follower in followers:
            follower.connect()
        things = _things(world)
        threads = [threading.Thread(target=one.run, args=(stop,)) for one in followers]
        threads.append(threading.Thread(target=_write, args=(make, world, things, stop)))
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60 + DISCONNECTS
        for turn in itertools.count():
            time.sleep(0.7)
            if sum(one.cuts.total() for one in followers) >= DISCONNECTS:
                break
            assert time.monotonic() < deadline, [one.cuts for one in followers]
            running = workers(server)
            # A new worker takes a moment to begin; somebody has to be there meanwhile.
            if turn % 5 == 1 and len(running) == 2:
                sign = signal.SIGKILL if turn % 2 else signal.SIGTERM
                with contextlib.suppress(ProcessLookupError):
                    os.kill(running[0], sign)
        stop.set()
        for thread in threads:
            thread.join(30)
        reader = make.database.read()

        def is_numbered() -> bool:
            row = reader.row(HEAD, site_id=world.site_id)
            return row is not None and row[0] == row[1]

        wait_for(is_numbered, 15)
        wait_for(lambda: len(workers(server)) == 2, 15)
        for follower in followers:
            follower.connect()
        log = reader.rows(LOG, site_id=world.site_id)
        reader.end()
    finally:
        stop.set()
        server.stop()

    cuts: Counter[str] = Counter()
    received = 0
    for follower, id, topics in zip(followers, ids, followed, strict=True):
        expected = {}
        for number, kind, item_type, item_id, parent_type, parent_id in log:
            thing = _thing(world, things, item_type, item_id, (parent_type, parent_id))
            seen = oracle.told(world, id, kind, thing, topics)
            if seen != oracle.NOTHING:
                expected[number] = "deleted" if seen == oracle.GONE else kind
        got = {number: kind for number, (kind, _) in follower.got.items()}
        assert got == expected, (id, sorted(expected.items() ^ got.items())[:10])
        assert follower.twice == []
        cuts += follower.cuts
        received += len(got)
    sys.stdout.write(f"{cuts.total()} cuts {dict(cuts)}, {len(log)} events, {received} frames\n")
    assert received > 100


def _may(world: World, profile_id: int, topic: oracle.Topic) -> bool:
    """Whether they may follow it: whoever is told anything of the thing itself may."""
    if isinstance(topic, str):
        return True
    return oracle.sight(world, profile_id, Asked(*topic)) != oracle.NOTHING


def oracle_name(topic: oracle.Topic) -> str:
    """A topic as clients write it."""
    if isinstance(topic, str):
        return topic
    names = {2: "microcosm", 3: "profile", 5: "huddle", 6: "conversation", 7: "poll", 9: "event"}
    return f"{names[topic[0]]}/{topic[1]}"


def _thing(
    world: World, things: list[Asked], item_type: int, item_id: int, parent: tuple[int, int]
) -> Asked:
    """The thing that an event of the log is about."""
    for thing in things:
        event = _event(world, 0, "created", thing)
        if (event.item_type, event.item_id) == (item_type, item_id) and (
            (event.parent_type, event.parent_id) == parent
        ):
            return thing
    raise AssertionError((item_type, item_id, parent))

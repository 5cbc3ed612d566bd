"""Cut again and again, everybody has in the end what the oracle says of the log: no hole, nothing twice.

DISCONNECTS says how often (`make soak-disconnects` does it five hundred times): sockets closed, workers killed and
stopped, the whole node replaced by another release, clients that stand still until they are given up, clients that
stay away for a while.
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

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.cron import maintenance_jobs
from forumapi.database.query import Query
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.notifications import live_event_queries
from forumapi.realtime.cursor import Cursors
from tests.api import Api
from tests.chaos.stage import wait_for
from tests.factories import Factory, Person, Site
from tests.fixtures import Server
from tests.oracle import compare, draw, store
from tests.oracle import told as oracle
from tests.oracle.may import is_site_banned
from tests.oracle.world import Asked, World
from tests.realtime.listener import Closed, Listener
from tests.realtime.test_audience import KINDS, _event, _things, _topics
from tests.realtime.test_hostile import is_connected
from tests.realtime.test_socket import write
from tests.upgrade.releases import release, switch
from tests.upgrade.stage import Held, held

pytestmark = [pytest.mark.slow, pytest.mark.wide]

DISCONNECTS = int(os.environ.get("DISCONNECTS", "15"))
SEED = int(os.environ.get("DISCONNECTS_SEED", "7"))
# How they are cut; each of these has to have come.
FORMS = {"socket closed", "worker killed", "worker stopped", "stood still"}

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
        address: tuple[str, int],
        site: Site,
        by: Person | None,
        topics: list[str],
        read: Cursors,
        seed: int,
    ) -> None:
        self.address = address
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
        with Listener(self.address, self.site, self.by) as there:
            if there.answer != 101:
                assert there.answer == 503, there.answer
                return
            there.send({"type": "subscribe", "topics": self.topics, "cursor": self.cursor})
            frames = self.random.randint(1, 40)
            stands_still = self.random.random() < 0.2
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
            if stands_still and stop is not None and not stop.is_set():
                self._stand_still(there)
            self.cuts["socket closed"] += 1

    def _stand_still(self, there: Listener) -> None:
        """As a process that is stopped for ten minutes: nothing is read, no ping is answered, until the server has
        given up. What had come by then is read afterwards."""
        # A process that ends gives what is under way its time first.
        wait_for(lambda: not is_connected(there), 120)
        try:
            while True:
                frame = there.read()
                if frame["type"] == "event":
                    self._take(frame)
                elif frame["type"] in ("subscribed", "heartbeat"):
                    self.cursor = frame["cursor"]
        except (Closed, OSError):
            self.cuts["stood still"] += 1
        # Counted once.
        self.cuts["socket closed"] -= 1

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
                    Author(world.site_id, world.owned_by, ""),
                    event.kind,
                    event.item_type,
                    event.item_id,
                    version=1,
                    parent=(event.parent_type, event.parent_id) if event.parent_id else None,
                )
        time.sleep(random.random() * 0.02)


def _workers(node: Held) -> list[int]:
    """The workers of a node; none while one web process takes over from another."""
    masters = node.web()
    if len(masters) != 1:
        return []
    path = Path(f"/proc/{masters[0]}/task/{masters[0]}/children")
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def test_nobody_misses_anything_however_often_they_are_cut(
    database_url: str, make: Factory, tmp_path: Path
) -> None:
    random = Random(SEED)
    world = draw.world(random, draw.Ids(), compare.clock(make.database))
    store.save(database_url, [world], skip_triggers=True)
    store.settle(make.database, [world])
    site = Site(world.site_id, store.host_key(world), f"{store.host_key(world)}.forum.test", 0)
    with make.database.write() as tx:
        cursors = Cursors(live_event_queries.cursor_key(tx))
    releases = itertools.cycle(
        [release(tmp_path / "releases", name) for name in ("second", "first")]
    )
    restarts = 0
    stop = threading.Event()
    followers, threads = [], []
    followed: list[set[oracle.Topic]] = []
    ids: list[int] = []
    first = tmp_path / "releases" / "first" / "run"
    with held(database_url, tmp_path / "node", first, realtime_heartbeat_s="1") as node:
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
            address = ("127.0.0.1", node.port)
            followers.append(Follower(address, site, by, named, cursors, SEED + place))
        # A first cursor: whoever has none is told nothing of what was before.
        for follower in followers:
            follower.connect()
        things = _things(world)
        threads = [threading.Thread(target=one.run, args=(stop,)) for one in followers]
        threads.append(threading.Thread(target=_write, args=(make, world, things, stop)))
        try:
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + 120 + DISCONNECTS
            for turn in itertools.count():
                time.sleep(0.7)
                so_far = sum((one.cuts for one in followers), Counter[str]())
                if so_far.total() >= DISCONNECTS and so_far.keys() >= FORMS and restarts:
                    break
                assert time.monotonic() < deadline, so_far
                running = _workers(node)
                # A new worker takes a moment to begin; somebody has to be there meanwhile.
                if turn % 5 == 1 and len(running) == 2:
                    sign = signal.SIGKILL if turn % 2 else signal.SIGTERM
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(running[0], sign)
                elif turn % 30 == 4:
                    switch(node.current, next(releases))
                    assert node.node("replace").returncode == 0, node.text
                    restarts += 1
        finally:
            stop.set()
            for thread in threads:
                thread.join(150)
        reader = make.database.read()

        def is_numbered() -> bool:
            row = reader.row(HEAD, site_id=world.site_id)
            return row is not None and row[0] == row[1]

        wait_for(is_numbered, 15)
        wait_for(lambda: len(_workers(node)) == 2, 30)
        for follower in followers:
            follower.connect()
        log = reader.rows(LOG, site_id=world.site_id)
        reader.end()

    # Invitations that follow from what was written about attendees are known to nobody here.
    known = {thing.id for thing in things if thing.type == itemtypes.UPDATE}
    unknown = {row[0] for row in log if row[2] == itemtypes.UPDATE and row[3] not in known}
    log = [row for row in log if row[0] not in unknown]
    cuts: Counter[str] = Counter()
    received = 0
    for follower, id, topics in zip(followers, ids, followed, strict=True):
        expected = {}
        for number, kind, item_type, item_id, parent_type, parent_id in log:
            thing = _thing(world, things, item_type, item_id, (parent_type, parent_id))
            seen = oracle.told(world, id, kind, thing, topics)
            if seen != oracle.NOTHING:
                expected[number] = "deleted" if seen == oracle.GONE else kind
        got = {number: kind for number, (kind, _) in follower.got.items() if number not in unknown}
        assert got == expected, (id, sorted(expected.items() ^ got.items())[:10])
        assert follower.twice == []
        cuts += follower.cuts
        received += len(got)
    sys.stdout.write(
        f"{cuts.total()} cuts {dict(+cuts)}, {restarts} restarts, {len(log)} events, {received} frames\n"
    )
    assert received > 100


def _may(world: World, profile_id: int, topic: oracle.Topic) -> bool:
    """Return whether they may follow it: whoever is told anything of the thing itself may."""
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


def test_after_a_pause_beyond_what_is_kept_what_is_missing_is_said_and_the_rest_is_told(
    server: Server, api: Api, make: Factory
) -> None:
    site = make.site()
    chats = [make.conversation(site) for _ in range(2)]
    topics = [f"conversation/{chat.id}" for chat in chats]
    with Listener(server.address, site, site.newcomer) as there:
        there.follow(*topics)
        before = [write(api, chat.path, site.member, "Before") for chat in chats]
        assert there.comments(2) == before
        cursor = there.cursor
    lost = [write(api, chats[n % 2].path, site.member, f"Lost {n}") for n in range(10)]
    # More than a week goes by, and the log of those days is dropped as every night.
    for table in ("event_log", "event_sequence"):
        make.sql(
            f"""UPDATE {table} SET created = created - make_interval(days => %(days)s)
                 WHERE site_id = %(site)s RETURNING 1""",
            site=site.id,
            days=maintenance_jobs.EVENT_DAYS + 1,
        )
    with make.database.write() as tx:
        maintenance_jobs.event_partitions(tx, Config(database_url=make.database.url))
    kept = [write(api, chats[n % 2].path, site.member, f"Kept {n}") for n in range(6)]

    with Listener(server.address, site, site.newcomer) as again:
        again.follow(*topics, cursor=cursor)
        gaps = [one for one in again.seen if one["type"] == "gap"]
        assert {one["topic"]: one["href"] for one in gaps} == {
            topic: chat.path for topic, chat in zip(topics, chats, strict=True)
        }
        assert again.comments(6) == kept
    for chat in chats:
        shown = api.get(chat.path, by=site.newcomer).data["comments"]["items"]
        assert {one["id"] for one in shown} <= {*before, *lost, *kept}
        assert len(shown) == 9

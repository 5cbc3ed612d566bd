"""memcached killed, hung, or full of lies: slower, still right, never down (architecture, failure)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pymemcache.client.base import Client

from tests import services
from tests.api import Api
from tests.chaos.stage import wait_for
from tests.factories import Factory, Person, Site, Thing
from tests.fixtures import Server, running

pytestmark = [pytest.mark.slow, pytest.mark.wide]


MOVING = re.compile(rb'"(?:totalViews":\d+|lastActive":"[^"]+")')


class Memcached:
    """A memcached of the test's own, on a port that it keeps."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.port = services.free_port()
        self.process: subprocess.Popen[bytes]
        self.start()

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, empty."""
        self.process = services.start_memcached(self.program, self.port, ends_with_us=True)

    def signal(self, sign: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.process.pid, sign)
        if sign == signal.SIGKILL:
            self.process.wait()

    def stop(self) -> None:
        """End it, whatever state it is in."""
        self.process.kill()
        self.process.wait()

    def entries(self) -> dict[str, bytes]:
        """Everything in it."""
        client = Client(self.address)
        found = {
            str(key): bytes(value)
            for key, value in client.get_many(services.memcached_keys(self.address)).items()
        }
        client.close()
        return found

    def fill(self, entries: dict[str, bytes]) -> None:
        """Put these values in the place of what is there."""
        client = Client(self.address)
        for key, value in entries.items():
            assert client.set(key, value, noreply=False)
        client.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Memcached]:
    """See Memcached; skipped where it is not installed."""
    program = services.memcached_program()
    if program is None:
        pytest.skip("memcached is not installed")
    made = Memcached(program)
    yield made
    made.stop()


class Talk:
    """A conversation, and what its pages looked like when they were right."""

    def __init__(self, make: Factory) -> None:
        self.site: Site = make.site()
        self.place: Thing = make.microcosm(self.site)
        self.chat: Thing = make.conversation(self.site, microcosm=self.place)
        first = make.comment(self.chat)
        make.comment(self.chat, by=self.site.newcomer, reply_to=first)
        self.reader: Person = make.person(self.site)
        self.paths = [
            "/api/v1/microcosms",
            self.place.path,
            self.chat.path,
            first.path,
            self.site.member.path,
            "/api/v1/profiles",
        ]

    def pages(self, api: Api) -> list[bytes]:
        """The bytes of all pages, as a guest and as a member, but for what moves by being looked at."""
        for by in (None, self.reader):
            api.get(self.chat.path, site=self.site, by=by)
        return [
            MOVING.sub(b"", api.get(path, site=self.site, by=by).body)
            for path in self.paths
            for by in (None, self.reader)
        ]


@pytest.fixture
def talk(make: Factory) -> Talk:
    """See Talk."""
    return Talk(make)


def start(database_url: str, folder: Path, shared: Memcached) -> Iterator[Server]:
    """A server with as little memory of its own as can be set."""
    with running(database_url, folder, memcached=shared.address, memory_cache_mb="1") as server:
        yield server


@pytest.fixture(scope="module")
def first(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, shared: Memcached
) -> Iterator[Server]:
    """A server that is asked for everything before it goes wrong."""
    yield from start(database_url, tmp_path_factory.mktemp("first"), shared)


@pytest.fixture(scope="module")
def second(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, shared: Memcached
) -> Iterator[Server]:
    """Another one: of what a test has the first one make, it knows only what is in memcached."""
    yield from start(database_url, tmp_path_factory.mktemp("second"), shared)


def use(server: Server, make: Factory, shared: Memcached, talk: Talk) -> None:
    """Wait until the server uses memcached, which it leaves alone for a while after a failure."""

    def is_used() -> bool:
        fresh = make.comment(talk.chat)
        assert server.api().get(fresh.path, by=talk.reader).status == 200
        ours = f":{talk.site.id}:comment"
        return any(ours in key and f":{fresh.id}:" in key for key in shared.entries())

    wait_for(is_used, 60)


def slowest(api: Api, talk: Talk, rounds: int) -> float:
    """Seconds of the slowest of some requests, all of which are answered well."""
    worst = 0.0
    for _ in range(rounds):
        for path in talk.paths:
            began = time.monotonic()
            assert api.get(path, site=talk.site, by=talk.reader).status == 200
            worst = max(worst, time.monotonic() - began)
    return worst


def test_killed_and_started_again(
    first: Server, make: Factory, shared: Memcached, talk: Talk
) -> None:
    api = first.api()
    use(first, make, shared, talk)
    right = talk.pages(api)
    assert len(shared.entries()) >= 4

    shared.signal(signal.SIGKILL)
    assert slowest(api, talk, 2) < 1
    assert talk.pages(api) == right
    # What is written now is read now.
    renamed = api.put(talk.site.member.path, {"profileName": "another"}, by=talk.site.member)
    assert renamed.status == 302
    added = make.comment(talk.chat, markdown="While it was away")
    shown = api.get(talk.chat.path, by=talk.reader).data["comments"]["items"]
    assert shown[-1]["id"] == added.id
    assert shown[0]["meta"]["createdBy"]["profileName"] == "another"

    shared.start()
    use(first, make, shared, talk)


def test_one_that_hangs_is_not_waited_for(
    first: Server, make: Factory, shared: Memcached, talk: Talk
) -> None:
    api = first.api()
    use(first, make, shared, talk)
    talk.pages(api)

    shared.signal(signal.SIGSTOP)
    try:
        # New things, so that memcached is asked for them.
        for _ in range(3):
            added = make.comment(talk.chat)
            began = time.monotonic()
            assert api.get(added.path, by=talk.reader).status == 200
            assert time.monotonic() - began < 1
        make.comment(talk.chat)
        assert slowest(api, talk, 3) < 1
    finally:
        shared.signal(signal.SIGCONT)
    assert slowest(api, talk, 1) < 1


def _swapped(entries: dict[str, bytes]) -> dict[str, bytes]:
    """Each value under the next key, as a mixed-up client would store it."""
    keys = list(entries)
    return {key: entries[other] for key, other in zip(keys, keys[1:] + keys[:1], strict=True)}


def _resealed(entries: dict[str, bytes]) -> dict[str, bytes]:
    """Other contents under each key, with a checksum of the old ones."""
    made = {}
    for key, value in entries.items():
        head, checksum, payload = value.split(b"\n", 2)
        made[key] = b"\n".join((head, checksum, payload.replace(b'"id"', b'"iD"')))
    return made


POISON: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "garbage": lambda entries: dict.fromkeys(entries, b"\0garbage\xff"),
    "nothing": lambda entries: dict.fromkeys(entries, b""),
    "values of other keys": _swapped,
    "other contents": _resealed,
    "a kilobyte too many": lambda entries: {key: v + b"x" * 1024 for key, v in entries.items()},
    "cut in half": lambda entries: {
        key: value[: len(value) // 2] for key, value in entries.items()
    },
}


def filled(
    first: Server, make: Factory, shared: Memcached, spare: Talk
) -> tuple[Talk, list[bytes], dict[str, bytes]]:
    """A new conversation, its pages, and what the first server has put into memcached of them."""
    talk = Talk(make)
    pages = talk.pages(first.api())
    # What it sends to memcached goes one after the other, and nobody waits for it.
    use(first, make, shared, spare)
    ours = f":{talk.site.id}:"
    return talk, pages, {key: value for key, value in shared.entries().items() if ours in key}


@pytest.mark.parametrize("name", POISON)
def test_lies_in_it_are_misses(
    first: Server, second: Server, make: Factory, shared: Memcached, talk: Talk, name: str
) -> None:
    def are_replaced() -> bool:
        use(second, make, shared, talk)
        lied, right, entries = filled(first, make, shared, talk)
        lies = POISON[name](entries)
        assert all(lies[key] != value for key, value in entries.items())
        shared.fill(lies)
        assert lied.pages(second.api()) == right
        use(second, make, shared, talk)
        now = shared.entries()
        # What the second server has rendered itself meanwhile, as for mail, it does not ask for.
        assert all(now.get(key) in (value, lies[key]) for key, value in entries.items())
        return sum(now.get(key) == value for key, value in entries.items()) >= 4

    # A memcached that is slow for a moment is left alone, with the lies in it: then with other ones.
    wait_for(are_replaced, 60)
    assert "Traceback" not in second.log.read_text()


def test_a_right_checksum_is_what_makes_a_value_ours(
    first: Server, second: Server, make: Factory, shared: Memcached, talk: Talk
) -> None:
    """The other tests would pass if memcached were not read at all: this one would not."""

    def is_shown() -> bool:
        use(second, make, shared, talk)
        marked = {}
        changed, _, entries = filled(first, make, shared, talk)
        for key, value in entries.items():
            head, _, payload = value.split(b"\n", 2)
            payload = payload.replace(b"Comment number", b"COMMENT NUMBER")
            marked[key] = b"%b\n%08x\n%b" % (head, zlib.crc32(payload), payload)
        shared.fill(marked)
        shown = second.api().get(changed.chat.path, site=changed.site)
        return b"COMMENT NUMBER" in shown.body and shown.cache_trips == 1

    wait_for(is_shown, 60)

"""Documents in memory and memcached: what is in there is right or it is a miss (decision 0006)."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pymemcache.client.base import Client

from forumapi.cache.document_cache import Cache, Key, Memory
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment
from tests import services

KEY: Key = (7, "comment/1", 42, 3)
OTHER: Key = (7, "comment/1", 42, 4)
FRAGMENT = (b'{"id":42,"text":"', b"hole", b'\xc3\xa9\n\r\n"}')


@pytest.fixture
def shared(memcached: str) -> Iterator[Client]:
    """The memcached of this process, as anybody else on the network could reach it."""
    client = Client(memcached)
    client.flush_all(noreply=False)
    yield client
    client.close()


def fresh(memcached: str, prefix: str = "test") -> Cache:
    """A cache with nothing in its own memory."""
    return Cache([memcached], prefix=prefix)


def put(cache: Cache, entries: dict[Key, Fragment]) -> None:
    """Keep documents; other connections find them in memcached when this returns."""
    cache.add_many(entries)
    # What is kept is sent without waiting. The server takes one thing after the other from a connection.
    cache.get_many([(0, "nothing/1", 0, 0)])


def name(cache: Cache, key: Key) -> str:
    """Return how a key is called in memcached."""
    return cache._name(key)


# ---------------------------------------------------------------- this process


def test_memory_keeps_what_is_used_and_stays_within_its_limit() -> None:
    memory = Memory(100_000)
    memory.add(KEY, FRAGMENT)

    for number in range(2_000):
        memory.add((1, "x/1", number, 1), (b"y" * 100,))
        assert memory.get(KEY) == FRAGMENT

    assert len(memory) == 100_000 // 450
    assert memory.get((1, "x/1", 1_999, 1)) is not None
    assert memory.get((1, "x/1", 0, 1)) is None


def test_what_is_asked_for_in_turn_stays_if_it_fits() -> None:
    memory = Memory(100_000)
    keys = [(1, "x/1", number, 1) for number in range(220)]
    for key in keys:
        memory.add(key, (b"y" * 100,))

    for key in keys * 5:
        assert memory.get(key) is not None
    assert len(memory) == 220


def test_without_memcached_a_process_has_its_own_memory() -> None:
    cache = Cache()
    cache.add_many({KEY: FRAGMENT})

    assert cache.get(KEY) == FRAGMENT
    assert cache.get(OTHER) is None
    assert cache.get_many([KEY]) == ({}, 0)


# ---------------------------------------------------------------- memcached


def test_processes_share_what_one_of_them_made(memcached: str, shared: Client) -> None:
    # A memcached that takes longer than its time limit, on a busy machine, is a miss.
    for _ in range(5):
        put(fresh(memcached), {KEY: FRAGMENT, (7, "profile/1", 1, 1): (b"{}",)})
        cache = fresh(memcached)
        assert cache.get(KEY) is None
        found, trips = cache.get_many([KEY, OTHER, (7, "profile/1", 1, 1)])
        if found:
            break
    assert found == {KEY: FRAGMENT, (7, "profile/1", 1, 1): (b"{}",)}
    assert trips == 1
    assert cache.get(KEY) == FRAGMENT
    assert cache.get_many([]) == ({}, 0)


def test_site_kind_id_version_and_prefix_are_all_part_of_a_key(
    memcached: str, shared: Client
) -> None:
    put(fresh(memcached), {KEY: FRAGMENT})
    site, kind, id, version = KEY

    unlike: list[Key] = [
        (site + 1, kind, id, version),
        (site, "comment/2", id, version),
        (site, kind, id + 1, version),
        (site, kind, id, version + 1),
        (site, kind, 4, 23),
    ]
    assert fresh(memcached).get_many(unlike) == ({}, 1)
    assert fresh(memcached, "another").get_many([KEY]) == ({}, 1)


def sealed(head: str, payload: bytes, checksum: int | None = None) -> bytes:
    """A value in the form that ours have."""
    crc = zlib.crc32(payload) if checksum is None else checksum
    return b"%b\n%08x\n%b" % (head.encode(), crc, payload)


def cut_short(value: bytes) -> bytes:
    return value[:-1]


def one_bit(value: bytes) -> bytes:
    return value[:-3] + bytes([value[-3] ^ 1]) + value[-2:]


POISON: dict[str, Callable[[str, bytes], bytes]] = {
    "nothing": lambda key, value: b"",
    "a word": lambda key, value: b"garbage",
    "only line ends": lambda key, value: b"\n\n\n",
    "binary": lambda key, value: bytes(range(256)),
    "the value of another key": lambda key, value: sealed(key + "0", json_fragments.pack(FRAGMENT)),
    "a wrong checksum": lambda key, value: sealed(key, json_fragments.pack(FRAGMENT), 12345),
    "no checksum": lambda key, value: key.encode() + b"\n" + json_fragments.pack(FRAGMENT),
    "cut short": lambda key, value: cut_short(value),
    "one bit": lambda key, value: one_bit(value),
    "longer": lambda key, value: value + b" ",
    "a checksum in capitals": lambda key, value: value.upper(),
}


@pytest.mark.parametrize("poison", POISON)
def test_a_value_that_is_not_ours_is_a_miss(memcached: str, shared: Client, poison: str) -> None:
    cache = fresh(memcached)
    key = name(cache, KEY)
    good = sealed(key, json_fragments.pack(FRAGMENT))
    shared.set(key, good, noreply=False)
    assert fresh(memcached).get_many([KEY])[0] == {KEY: FRAGMENT}

    shared.set(key, POISON[poison](key, good), noreply=False)

    assert cache.get_many([KEY]) == ({}, 1)
    assert cache.get(KEY) is None
    # And the right one takes its place.
    put(cache, {KEY: FRAGMENT})
    assert fresh(memcached).get_many([KEY])[0] == {KEY: FRAGMENT}


def test_the_values_of_two_keys_swapped_are_two_misses(memcached: str, shared: Client) -> None:
    cache = fresh(memcached)
    put(cache, {KEY: (b'{"secret":1}',), OTHER: (b'{"public":1}',)})
    one, other = shared.get(name(cache, KEY)), shared.get(name(cache, OTHER))

    shared.set(name(cache, KEY), other, noreply=False)
    shared.set(name(cache, OTHER), one, noreply=False)

    assert fresh(memcached).get_many([KEY, OTHER]) == ({}, 1)


def test_entries_do_not_live_for_ever(memcached: str, shared: Client) -> None:
    cache = fresh(memcached)
    put(cache, {KEY: FRAGMENT})

    # "mg <key> t" tells how many seconds an item has left.
    answer = shared.raw_command(b"mg " + name(cache, KEY).encode() + b" t", end_tokens=b"\r\n")
    assert 0 < int(answer.removeprefix(b"HD t")) <= 7 * 24 * 3600


# ---------------------------------------------------------------- trouble


def test_a_server_that_is_not_there_costs_one_try_in_a_while() -> None:
    cache = Cache([f"127.0.0.1:{services.free_port()}"])

    assert cache.get_many([KEY]) == ({}, 1)
    for _ in range(50):
        assert cache.get_many([KEY]) == ({}, 0)
        cache.add_many({KEY: FRAGMENT})
    assert cache.get(KEY) == FRAGMENT


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow
def test_a_server_that_hangs_is_not_waited_for_twice(silent: str) -> None:
    cache = Cache([silent])

    began = time.monotonic()
    assert cache.get_many([KEY]) == ({}, 1)
    first = time.monotonic() - began
    assert first < 50 * Cache.TIMEOUT_S
    assert cache.get_many([KEY]) == ({}, 0)


@pytest.mark.slow
@pytest.mark.wide
def test_after_a_while_one_request_alone_finds_out_whether_it_is_well_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        cache = Cache([f"127.0.0.1:{server.getsockname()[1]}"])
        assert cache.get_many([KEY]) == ({}, 1)
        server.accept()[0].close()
        time.sleep(Cache.BREAK_S)

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(cache.get_many, [[KEY]] * 8))

        assert found == [({}, 0)] * 8
        with server.accept()[0] as asked:
            assert asked.recv(100) == b"version\r\n"
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    "reply",
    [
        b"ERROR\r\n",
        b"SERVER_ERROR out of memory\r\n",
        b"VALUE x 0 10\r\nabc",
        b"VALUE\r\n",
        b"VALUE test 0 nonsense\r\nEND\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"",
    ],
)
def test_a_server_that_talks_nonsense_is_a_miss(reply: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        cache = Cache([f"127.0.0.1:{server.getsockname()[1]}"])

        assert cache.get_many([KEY]) == ({}, 1)
        thread.join()


@pytest.mark.wide
@pytest.mark.slow
def test_a_server_that_comes_back_is_used_again(memcached: str, shared: Client) -> None:
    program = services.memcached_program()
    assert program is not None
    port = services.free_port()
    cache = Cache([f"127.0.0.1:{port}"])
    assert cache.get_many([KEY]) == ({}, 1)

    process = services.start_memcached(program, port, ends_with_us=True)
    try:
        time.sleep(Cache.BREAK_S)
        put(cache, {KEY: FRAGMENT})
        assert Cache([f"127.0.0.1:{port}"]).get_many([KEY]) == ({KEY: FRAGMENT}, 1)
        assert cache.get_many([KEY]) == ({KEY: FRAGMENT}, 1)
    finally:
        process.kill()
        process.wait()


def test_what_is_deleted_is_gone_from_every_server_or_said_not_to_be(
    memcached: str, shared: Client
) -> None:
    cache = fresh(memcached)
    keys: list[Key] = [(7, "comment/1", number, 1) for number in range(40)]
    names = [name(cache, key) for key in keys]
    away = f"127.0.0.1:{services.free_port()}"
    for servers, is_done in ([memcached], True), ([memcached, away], False), ([away], False):
        for one in names:
            shared.set(one, b"x", noreply=False)
        cache = Cache(servers, prefix="test")
        # A memcached that takes longer than its time limit, on a busy machine, is one that is away.
        for _ in range(5):
            done = cache.delete_many(keys)
            if done is is_done and (memcached not in servers or not shared.get_many(names)):
                break
        assert done is is_done
        assert bool(shared.get_many(names)) is (memcached not in servers)
    assert Cache().delete_many(keys)
    assert Cache([away]).delete_many([])


def test_many_documents_are_deleted_in_parts(
    memcached: str, shared: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = fresh(memcached)
    keys: list[Key] = [(7, "comment/1", number, 1) for number in range(2500)]
    shared.set(name(cache, keys[-1]), b"x", noreply=False)
    sent: list[int] = []
    delete = Client.delete_many

    def counted(client: Client, names: list[str], noreply: bool) -> bool:
        sent.append(len(names))
        return bool(delete(client, names, noreply))

    monkeypatch.setattr(Client, "delete_many", counted)
    # A memcached that takes longer than its time limit, on a busy machine, is asked again.
    for _ in range(5):
        sent.clear()
        if cache.delete_many(keys):
            break
    assert max(sent) <= 1000
    assert sum(sent) == len(keys)
    assert shared.get(name(cache, keys[-1])) is None


def test_one_of_several_servers_may_be_away(memcached: str, shared: Client) -> None:
    servers = [memcached, f"127.0.0.1:{services.free_port()}"]
    keys: list[Key] = [(7, "comment/1", number, 1) for number in range(40)]
    cache = Cache(servers)

    cache.add_many(dict.fromkeys(keys, FRAGMENT))

    found, _ = Cache(servers).get_many(keys)
    assert all(fragment == FRAGMENT for fragment in found.values())
    assert cache.get(keys[0]) == FRAGMENT

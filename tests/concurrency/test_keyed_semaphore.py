"""Reads of one guest wait for each other; those of other guests, and of members, do not wait."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import psycopg
import pytest

from forumapi.concurrency.keyed_semaphore import KeyedSemaphore
from forumapi.errors import TooMany
from tests.factories import Factory, Site
from tests.fixtures import Server, running


class Impatient(KeyedSemaphore):
    """Gives up soon."""

    PATIENCE_S = 0.05


def waits(semaphore: KeyedSemaphore, caller: str) -> threading.Thread:
    """Return a thread that has held `caller` when it ends."""

    def take() -> None:
        with semaphore.hold(caller):
            pass

    thread = threading.Thread(target=take)
    thread.start()
    return thread


def test_who_asks_for_more_than_so_many_waits_and_others_do_not() -> None:
    semaphore = KeyedSemaphore(2)
    with semaphore.hold("a"):
        with semaphore.hold("a"), semaphore.hold("b"):
            third = waits(semaphore, "a")
            third.join(0.05)
            assert third.is_alive()
        third.join(5)
        assert not third.is_alive()
    assert not semaphore._entries


def test_who_came_first_is_first() -> None:
    semaphore = KeyedSemaphore(1)
    order = []

    def take(number: int) -> None:
        with semaphore.hold("a"):
            order.append(number)

    threads = []
    with semaphore.hold("a"):
        for number in range(5):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while len(semaphore._entries["a"].waiting) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join(5)
    assert order == [0, 1, 2, 3, 4]


def test_who_waits_too_long_is_told_and_leaves_nothing_behind() -> None:
    semaphore = Impatient(1)
    with semaphore.hold("a"), pytest.raises(TooMany) as refused, semaphore.hold("a"):
        pass
    assert ("Retry-After", "1") in refused.value.headers
    assert not semaphore._entries
    with semaphore.hold("a"):
        pass


def test_a_turn_ends_with_whatever_is_raised_in_it() -> None:
    semaphore = KeyedSemaphore(1)
    for _ in range(3):
        with pytest.raises(KeyError), semaphore.hold("a"):
            raise KeyError
    assert not semaphore._entries


def test_without_a_limit_nobody_waits() -> None:
    semaphore = KeyedSemaphore(0)
    with semaphore.hold("a"), semaphore.hold("a"), semaphore.hold("a"):
        pass


def read(server: Server, site: Site, path: str, *, source: str, token: str = "") -> int:
    """The status of one read from an address of this machine."""
    connection = HTTPConnection(*server.address, timeout=30, source_address=(source, 0))
    headers = {"Host": site.host} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.slow
def test_a_guest_who_waits_for_the_database_holds_up_nobody_else(
    database_url: str, make: Factory, bikes: Site, tmp_path: Path
) -> None:
    chat, search = make.conversation(bikes), "/api/v1/search?q=bolt"
    with running(database_url, tmp_path, guest_concurrency_per_address="1") as server:
        for path in (search, chat.path):  # what a process reads once is read
            assert read(server, bikes, path, source="127.0.0.2") == 200
        make.comment(chat)
        with ThreadPoolExecutor(2) as pool, psycopg.connect(database_url) as locking:
            locking.execute("LOCK TABLE search_documents IN ACCESS EXCLUSIVE MODE")
            stuck = pool.submit(read, server, bikes, search, source="127.0.0.2")
            while not locking.execute(
                "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'search_documents'::regclass"
            ).fetchone():
                assert not stuck.done()
            behind = pool.submit(read, server, bikes, chat.path, source="127.0.0.2")

            assert read(server, bikes, chat.path, source="127.0.0.3") == 200
            token = bikes.member.token
            assert read(server, bikes, chat.path, source="127.0.0.2", token=token) == 200
            assert not behind.done()

            locking.rollback()
            assert stuck.result(20) == behind.result(20) == 200

"""Reads of one guest wait for their turn; those of others, and of members, do not."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import psycopg
import pytest

from forumapi.concurrency.per_caller_limit import Turns
from forumapi.errors import TooMany
from tests.factories import Factory, Site
from tests.fixtures import Server, running


class Impatient(Turns):
    """Gives up soon."""

    PATIENCE_S = 0.05


def waits(turns: Turns, caller: str) -> threading.Thread:
    """A thread that has had a turn of `caller` when it ends."""

    def take() -> None:
        with turns.turn(caller):
            pass

    thread = threading.Thread(target=take)
    thread.start()
    return thread


def test_who_asks_for_more_than_so_many_waits_and_others_do_not() -> None:
    turns = Turns(2)
    with turns.turn("a"):
        with turns.turn("a"), turns.turn("b"):
            third = waits(turns, "a")
            third.join(0.05)
            assert third.is_alive()
        third.join(5)
        assert not third.is_alive()
    assert not turns._lines


def test_who_came_first_is_first() -> None:
    turns = Turns(1)
    order = []

    def take(number: int) -> None:
        with turns.turn("a"):
            order.append(number)

    threads = []
    with turns.turn("a"):
        for number in range(5):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while len(turns._lines["a"].waiting) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join(5)
    assert order == [0, 1, 2, 3, 4]


def test_who_waits_too_long_is_told_and_leaves_nothing_behind() -> None:
    turns = Impatient(1)
    with turns.turn("a"), pytest.raises(TooMany) as refused, turns.turn("a"):
        pass
    assert ("Retry-After", "1") in refused.value.headers
    assert not turns._lines
    with turns.turn("a"):
        pass


def test_a_turn_ends_with_whatever_is_raised_in_it() -> None:
    turns = Turns(1)
    for _ in range(3):
        with pytest.raises(KeyError), turns.turn("a"):
            raise KeyError
    assert not turns._lines


def test_without_a_limit_nobody_waits() -> None:
    turns = Turns(0)
    with turns.turn("a"), turns.turn("a"), turns.turn("a"):
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
    with running(database_url, tmp_path, guest_reads_at_once="1") as server:
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

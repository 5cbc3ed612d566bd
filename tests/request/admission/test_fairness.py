"""Over HTTP: a site that is flooded takes no more than its share of a worker."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import psycopg
import pytest

from tests.api import Api
from tests.factories import Factory, Site
from tests.fixtures import Server, begin_server, running
from tests.request.admission.flood import Client, Flood

FLOODING = 48


def test_a_flooded_site_keeps_requests_of_another_waiting_for_few_of_its_own(
    api: Api, server: Server, make: Factory, bikes: Site, trains: Site
) -> None:
    flooded, other = make.conversation(bikes), make.conversation(trains)
    head = f"GET {other.path} HTTP/1.1\r\nHost: {trains.host}\r\n"
    passed = []
    with Flood(server, bikes.host, flooded.path, FLOODING) as flood:
        client = Client(server, head, "127.2.0.1")
        flood.begin()
        for _ in range(20):
            client.ask()
            status, before = flood.until(client)
            assert status == 200
            passed.append(before)
        client.raw.close()
    assert set(flood.statuses) == {200}
    # First come, first served would be about as many as there are connections.
    assert statistics.median(passed) <= FLOODING / 4


@pytest.mark.wide
def test_ten_thousand_addresses_of_one_site_take_no_more_than_it(
    database_url: str, make: Factory, bikes: Site, trains: Site, tmp_path: Path
) -> None:
    flooded, other = make.conversation(bikes), make.conversation(trains)
    for _ in range(25):
        make.comment(flooded)
        make.comment(other)
    token = f"Authorization: Bearer {trains.member.token}\r\n"
    head = f"GET {other.path} HTTP/1.1\r\nHost: {trains.host}\r\n{token}"
    passed: list[int] = []
    with (
        running(database_url, tmp_path, trusted_proxies="127.0.0.1") as server,
        Flood(server, bikes.host, flooded.path, 64, addresses=10_000) as flood,
    ):
        client = Client(server, head, "127.2.0.1")
        flood.begin()
        flood.run(0.5)
        for _ in range(200):
            client.ask()
            status, before = flood.until(client)
            assert status == 200
            passed.append(before)
        client.raw.close()
    assert set(flood.statuses) == {200}
    # First come, first served would be 64.
    assert statistics.median(passed) <= 10


def read(server: Server, site: Site, path: str, *, source: str, token: str = "") -> int:
    """The status of one read from an address of this machine."""
    connection = HTTPConnection(*server.address, timeout=30, source_address=(source, 0))
    headers = {"Host": site.host} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.wide
def test_a_small_site_that_asks_once_in_a_while_waits_for_as_few(
    database_url: str, make: Factory, bikes: Site, trains: Site, tmp_path: Path
) -> None:
    flooded, other = make.conversation(bikes), make.conversation(trains)
    token = f"Authorization: Bearer {trains.member.token}\r\n"
    head = f"GET {other.path} HTTP/1.1\r\nHost: {trains.host}\r\n{token}"
    passed: list[int] = []
    with (
        running(database_url, tmp_path, trusted_proxies="127.0.0.1") as server,
        Flood(server, bikes.host, flooded.path, 64, addresses=10_000) as flood,
    ):
        client = Client(server, head, "127.2.0.1")
        flood.begin()
        for _ in range(12):
            flood.run(1.3)
            client.ask()
            status, before = flood.until(client)
            assert status == 200
            passed.append(before)
        client.raw.close()
    assert set(flood.statuses) == {200}
    assert statistics.median(passed) <= 10


def test_a_site_alone_leaves_a_connection_for_the_first_request_of_another(
    database_url: str, make: Factory, bikes: Site, trains: Site, tmp_path: Path
) -> None:
    talks = [make.conversation(bikes) for _ in range(40)]
    server = begin_server(
        database_url, tmp_path, trusted_proxies="127.0.0.1", database_wait_ms="20000"
    )
    try:
        wait_for(server, bikes)
        with ThreadPoolExecutor(40) as pool, psycopg.connect(database_url) as locking:
            locking.execute("LOCK TABLE comments IN ACCESS EXCLUSIVE MODE")
            stuck = [
                pool.submit(read, server, bikes, f"{talk.path}?limit=50", source=f"127.0.1.{n}")
                for n, talk in enumerate(talks, 1)
            ]
            held = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'comments'::regclass"
            deadline = time.monotonic() + 10
            while locking.execute(held).fetchone() not in ((11,), (12,)):
                assert time.monotonic() < deadline
            for path in ("/api/v1/site", "/api/v1/permission?microcosmId=0"):
                token = trains.member.token
                assert read(server, trains, path, source="127.0.0.9", token=token) == 200
            assert not any(one.done() for one in stuck)
            locking.rollback()
            assert {one.result(20) for one in stuck} == {200}
    finally:
        server.stop()


def wait_for(server: Server, site: Site) -> None:
    """Wait until the server answers for the site; no other one is asked for."""
    deadline = time.monotonic() + 60
    while True:
        try:
            assert read(server, site, "/api/v1/site", source="127.0.0.1") == 200
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


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

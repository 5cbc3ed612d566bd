"""Tests of what balancers and operators are told: live, ready, degraded, draining, and details on the private
address alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from forumapi.config import Config
from forumapi.database import embedded_postgres, migrations
from forumapi.request.health import SILENCE_S, Check
from tests.factories import Factory, Site
from tests.fixtures import PLATFORM_DOMAIN, Server, start_server
from tests.request.threads import no_threads
from tests.services import free_port


class Told(NamedTuple):
    """An answer: its status, headers and what stands under `data`."""

    status: int
    headers: http.client.HTTPMessage
    data: Any


def ask(
    address: tuple[str, int], path: str, method: str = "GET", *, host: str = "10.0.0.7"
) -> Told:
    """Ask as a balancer does: by address, without the name of a site, unless there is one."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        body = answer.read()
        return Told(answer.status, answer.headers, json.loads(body)["data"] if body else None)
    finally:
        connection.close()


@pytest.fixture(scope="module")
def private() -> tuple[str, int]:
    """The private address of the server of this module."""
    return "127.0.0.1", free_port()


@pytest.fixture(scope="module")
def web(
    database_url: str, private: tuple[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A web process whose memcached is away."""
    started = start_server(
        database_url,
        tmp_path_factory.mktemp("health"),
        admin_listen=f"{private[0]}:{private[1]}",
        memcached=f"127.0.0.1:{free_port()}",
        drain_s="2",
    )
    yield started
    started.stop()


@pytest.mark.wide
def test_whoever_asks_learns_the_state_and_no_more(web: Server) -> None:
    assert ask(web.address, "/api/v1/live").data == {"state": "live"}
    assert list(ask(web.address, "/api/v1/version").data) == ["version", "build"]
    ready = ask(web.address, "/api/v1/ready")

    assert (ready.status, ready.data) == (200, {"state": "degraded"})
    assert ready.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("host", ["10.0.0.7", "[::1]:8080", "backend", PLATFORM_DOMAIN])
def test_live_is_the_health_check_wherever_no_site_can_be(web: Server, host: str) -> None:
    assert ask(web.address, "/api/v1/live", host=host).data == {"state": "live"}


def test_live_of_a_site_is_where_events_are_pushed(web: Server, bikes: Site) -> None:
    told = ask(web.address, "/api/v1/live", host=bikes.host)

    assert (told.status, told.headers["Upgrade"]) == (426, "websocket")
    assert ask(web.address, "/api/v1/ready", host=bikes.host).status == 200


def test_live_is_the_health_check_on_the_private_address_whatever_the_host(
    web: Server, private: tuple[str, int], bikes: Site
) -> None:
    assert ask(private, "/api/v1/live", host=bikes.host).data == {"state": "live"}


def test_the_private_address_names_each_dependency(web: Server, private: tuple[str, int]) -> None:
    ready = ask(private, "/api/v1/ready")
    checks = {check["name"]: check for check in ready.data["checks"]}

    assert ready.status == 200
    assert [checks[name]["ok"] for name in ("database", "files", "memcached")] == [1, 1, 0]
    assert "refused" in checks["memcached"]["error"]
    assert ask(private, "/api/v1/version").data["workers"] == 1


def test_the_private_address_answers_nothing_else(private: tuple[str, int], web: Server) -> None:
    for path in ("/api/v1/site", "/", "/api/v1/live/"):
        assert ask(private, path).status == 404


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_health_is_only_read(web: Server, method: str) -> None:
    refused = ask(web.address, "/api/v1/ready", method)

    assert (refused.status, refused.headers["Allow"]) == (405, "HEAD,GET")


def test_head_has_the_headers_alone(web: Server) -> None:
    answer = ask(web.address, "/api/v1/live", "HEAD")

    assert (answer.status, answer.data) == (200, None)
    assert int(answer.headers["Content-Length"]) > 0


def test_a_dependency_that_is_silent_counts_as_away() -> None:
    def look() -> str:
        time.sleep(SILENCE_S + 0.5)
        return ""

    check = Check("slow", look, is_required=True, keep_s=1)
    check.begin()
    check.end(time.monotonic() + 0.05)

    assert check.describe()["error"] == "no answer in time"


class LateCheck(Check):
    """Check whose probe ends just as its silence becomes the problem."""

    over = threading.Event()

    def __setattr__(self, name: str, value: object) -> None:
        probe = self.__dict__.get("_thread")
        if value == "no answer in time" and probe is not None:
            self.over.set()
            probe.join(0.1)
        super().__setattr__(name, value)


def test_a_result_that_comes_late_is_not_overwritten_by_silence() -> None:
    def look() -> str:
        LateCheck.over.wait()
        return ""

    check = LateCheck("late", look, is_required=True, keep_s=60)
    check.begin()
    check.end(time.monotonic())
    check.end(time.monotonic() + 5)

    assert check.describe()["error"] == ""


@pytest.mark.wide
def test_a_check_that_no_thread_can_be_started_for_fails_and_is_made_again() -> None:
    check = Check("fine", str, is_required=True, keep_s=0)
    with no_threads():
        check.begin()
        check.end(time.monotonic())
    assert "thread" in check.describe()["error"]

    check.begin()
    check.end(time.monotonic() + 5)

    assert check.describe()["error"] == ""


@pytest.mark.wide
@pytest.mark.slow
def test_a_stopping_worker_is_not_ready_but_still_serves(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    web = start_server(database_url, tmp_path_factory.mktemp("drain"), drain_s="2")
    try:
        assert ask(web.address, "/api/v1/ready").data == {"state": "ready"}
        web.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + 1.5
        while (ready := ask(web.address, "/api/v1/ready")).status == 200:
            assert time.monotonic() < until, "it never said that it stops"
        assert (ready.status, ready.data) == (503, {"state": "draining"})
        assert ask(web.address, "/api/v1/live").status == 200
        assert web.api().get("/api/v1/site").status == 200
        assert web.process.wait(15) == 0
    finally:
        web.stop()


# ---------------------------------------------------------------- figures


Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(address: tuple[str, int]) -> Figures:
    """The figures as Prometheus reads them."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    finally:
        connection.close()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def pair(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, tuple[str, int]]]:
    """A web process with two workers, and its private address."""
    private = "127.0.0.1", free_port()
    started = start_server(
        database_url,
        tmp_path_factory.mktemp("pair"),
        admin_listen=f"{private[0]}:{private[1]}",
        workers="2",
    )
    yield started, private
    started.stop()


def requests_of(found: Figures, route: str) -> float:
    """Return how many requests there were for a route."""
    return sum(
        value
        for (name, labels), value in found.items()
        if name == "forumapi_requests_total" and ("route", route) in labels
    )


def pids(private: tuple[str, int], count: int) -> set[int]:
    """The processes of `count` workers, each of which takes connections."""
    found: set[int] = set()
    until = time.monotonic() + 30
    while len(found) < count:
        found.add(ask(private, "/api/v1/version").data["pid"])
        assert time.monotonic() < until
    return found


@pytest.mark.wide
def test_figures_are_told_on_the_private_address_alone(pair: Any) -> None:
    web, private = pair

    assert ask(web.address, "/metrics").status == 404
    assert ("forumapi_database_up", ()) in scrape(private)


@pytest.mark.wide
def test_the_figures_are_those_of_all_workers_and_outlive_them(pair: Any) -> None:
    web, private = pair
    first = pids(private, 2)
    before = requests_of(scrape(private), "/api/v1/whoami")
    for _ in range(40):
        # A connection each: either worker may get it.
        web.api().get("/api/v1/whoami")

    assert {requests_of(scrape(private), "/api/v1/whoami") for _ in range(10)} == {before + 40}
    victim = first.pop()
    os.kill(victim, signal.SIGKILL)
    until = time.monotonic() + 20
    while victim in (now := pids(private, 2)) or len(now) < 2:
        assert time.monotonic() < until
    assert requests_of(scrape(private), "/api/v1/whoami") == before + 40
    assert scrape(private)["forumapi_worker_starts_total", ()] == 3


@pytest.mark.wide
def test_the_figures_of_the_platform_are_there(pair: Any, make: Factory, bikes: Site) -> None:
    web, private = pair
    conversation = make.conversation(bikes)
    body = {"itemType": "conversation", "itemId": conversation.id, "markdown": "Counted"}
    assert web.api().post("/api/v1/comments", body, site=bikes, by=bikes.member).status == 302
    found = scrape(private)

    assert found["forumapi_writes_total", (("action", "created"), ("item", "comment"))] == 1
    assert found["forumapi_database_up", ()] == 1
    assert found["forumapi_workers", ()] == 2
    for name in ("mail", "webhooks"):
        assert ("forumapi_outbox", (("outbox", name), ("state", "queued"))) in found
    assert ("forumapi_events_unnumbered", ()) in found
    # What is looked at once a second.
    until = time.monotonic() + 60
    while (
        not {"forumapi_query_calls_total", "forumapi_cache_lookups_total"}
        <= {name for name, _ in found}
        or not found["forumapi_worker_memory_bytes", ()]
    ):
        assert time.monotonic() < until
        found = scrape(private)
    assert found["forumapi_worker_memory_bytes", ()] > 50_000_000


# ---------------------------------------------------------------- PostgreSQL away


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[embedded_postgres.Server, Server]]:
    """A PostgreSQL of one's own, and a web process on it."""
    postgres = embedded_postgres.start(tmp_path / "cluster", throwaway=True, max_connections=40)
    web = None
    try:
        migrations.migrate(postgres.url, Config(), progress=lambda text: None)
        web = start_server(postgres.url, tmp_path / "web")
        yield postgres, web
    finally:
        if web is not None:
            web.stop()
        postgres.stop()


@pytest.mark.wide
@pytest.mark.slow
def test_without_postgresql_it_is_not_ready_within_two_seconds_and_ready_again_after(
    own: tuple[embedded_postgres.Server, Server],
) -> None:
    postgres, web = own
    assert ask(web.address, "/api/v1/ready").status == 200
    pids = _backends(postgres)

    # Frozen: connections stay open and nothing is answered, which is found out by the silence alone.
    _send(pids, signal.SIGSTOP)
    began = time.monotonic()
    while (ready := ask(web.address, "/api/v1/ready")).status == 200:
        assert time.monotonic() - began < 2
    assert time.monotonic() - began < 2
    assert (ready.status, ready.data) == (503, {"state": "down"})
    assert ready.headers["Retry-After"] == "1"
    assert ask(web.address, "/api/v1/live").status == 200
    _send(pids, signal.SIGCONT)
    until = time.monotonic() + 60
    while ask(web.address, "/api/v1/ready").status != 200:
        assert time.monotonic() < until
        time.sleep(0.05)

    # Gone: refused at once.
    postgres.stop()
    began = time.monotonic()
    while ask(web.address, "/api/v1/ready").status == 200:
        assert time.monotonic() - began < 2


def _send(pids: list[int], sign: int) -> None:
    for pid in pids:
        # One of a connection that has just ended.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)


def _backends(postgres: embedded_postgres.Server) -> list[int]:
    """PostgreSQL's processes, the first one before those it started."""
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        status = Path(f"/proc/{row[0]}/status").read_text()
    first = int(status.partition("PPid:")[2].split()[0])
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    return [first, *map(int, children)]

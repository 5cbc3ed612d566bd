"""What balancers and operators are told: live, ready, degraded, draining, and details on the private address alone."""

from __future__ import annotations

import http.client
import json
import signal
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from forumapi.health import SILENCE_S, Check
from tests.factories import Site
from tests.fixtures import PLATFORM_DOMAIN, Server, free_port, start_server


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
        private_listen=f"{private[0]}:{private[1]}",
        memcached=f"127.0.0.1:{free_port()}",
        drain_s="2",
    )
    yield started
    started.stop()


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

    assert check.told()["error"] == "no answer in time"


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

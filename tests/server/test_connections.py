"""One address can't keep the others out: a header has its time, and connections of an address are bounded."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forumapi.models.access.access_token import AccessToken
from tests.factories import Factory, Site
from tests.fixtures import Server, start_server

pytestmark = pytest.mark.slow

MOST = 12
ONE, OTHER, PROXY, FRONT_END = "127.0.0.1", "127.0.0.2", "127.0.0.9", "127.0.0.10"
HEAD = b"GET /api/v1/site HTTP/1.1\r\nHost: forum.test\r\n"


@pytest.fixture(scope="module")
def web(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A worker with little room, that believes one proxy."""
    started = start_server(
        database_url,
        tmp_path_factory.mktemp("connections"),
        header_timeout_s="1",
        keepalive_s="30",
        connections_per_address=str(MOST),
        worker_connections=str(5 * MOST),
        trusted_proxies=PROXY,
        front_ends=f"web {FRONT_END} *",
        realtime_connections_per_caller="3",
    )
    yield started
    started.stop()


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    """Connections of a test, closed at its end."""
    with contextlib.ExitStack() as stack:
        yield stack


def connect(web: Server, opened: contextlib.ExitStack, source: str = ONE) -> socket.socket:
    made = socket.create_connection(web.address, timeout=10, source_address=(source, 0))
    return opened.enter_context(made)


def answer(connection: socket.socket) -> tuple[int, http.client.HTTPResponse, bytes]:
    found = http.client.HTTPResponse(connection)
    found.begin()
    return found.status, found, found.read()


def ask(connection: socket.socket) -> int:
    connection.sendall(HEAD + b"\r\n")
    return answer(connection)[0]


def ends(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def until_served(web: Server, source: str = ONE) -> None:
    """Connections that were closed by this side are soon known to be."""
    deadline = time.monotonic() + 10
    while True:
        with contextlib.ExitStack() as opened:
            if ask(connect(web, opened, source)) == 200:
                return
        assert time.monotonic() < deadline


@pytest.mark.wide
@pytest.mark.parametrize("drips", [False, True], ids=["silent", "dripping"])
def test_a_header_that_is_not_complete_in_time_ends_the_connection(
    web: Server, opened: contextlib.ExitStack, drips: bool
) -> None:
    connection = connect(web, opened)
    connection.sendall(HEAD)
    if drips:
        connection.settimeout(0.1)
        deadline = time.monotonic() + 10
        found = b""
        while not found:
            assert time.monotonic() < deadline
            with contextlib.suppress(TimeoutError):
                found = connection.recv(4096, socket.MSG_PEEK)
            if not found:
                connection.sendall(b"X: y\r\n")
        connection.settimeout(10)

    status, got, body = answer(connection)
    assert (status, json.loads(body)["status"], got.headers["Connection"]) == (408, 408, "close")
    assert ends(connection)


@pytest.mark.wide
def test_the_second_header_of_a_connection_has_the_same_time(
    web: Server, opened: contextlib.ExitStack
) -> None:
    connection = connect(web, opened)
    assert ask(connection) == 200
    connection.sendall(b"GET /api")
    assert answer(connection)[0] == 408


@pytest.mark.wide
def test_a_silent_connection_stays_as_long_as_before(
    web: Server, opened: contextlib.ExitStack
) -> None:
    first, second = connect(web, opened), connect(web, opened)
    assert ask(first) == 200
    # Longer than a header may take, as another one shows.
    late = connect(web, opened)
    late.sendall(HEAD)
    assert answer(late)[0] == 408

    assert ask(first) == ask(second) == 200


@pytest.mark.wide
def test_connections_of_one_address_are_bounded_and_others_come_in(
    web: Server, opened: contextlib.ExitStack
) -> None:
    until_served(web)
    held = [connect(web, opened) for _ in range(MOST)]
    for connection in held:
        assert ask(connection) == 200

    refused = connect(web, opened)
    refused.sendall(HEAD + b"\r\n")
    status, got, body = answer(refused)
    assert (status, json.loads(body)["data"]["errorCode"]) == (429, 16)
    assert got.headers["Connection"] == "close"
    assert int(got.headers["Retry-After"]) >= 1
    assert ends(refused)
    assert ask(connect(web, opened, OTHER)) == 200
    assert ask(held[0]) == 200
    # One that goes makes room for another.
    held[1].close()
    until_served(web)


def test_half_sent_headers_of_one_address_keep_nobody_out(
    web: Server, opened: contextlib.ExitStack
) -> None:
    until_served(web)
    for _ in range(6 * MOST):
        connect(web, opened).sendall(HEAD)

    assert ask(connect(web, opened, OTHER)) == 200
    assert ask(connect(web, opened, PROXY)) == 200


@pytest.mark.parametrize("source", [PROXY, FRONT_END], ids=["proxy", "front end"])
def test_whoever_the_settings_name_is_not_bounded(
    web: Server, opened: contextlib.ExitStack, source: str
) -> None:
    held = [connect(web, opened, source) for _ in range(2 * MOST)]

    assert [ask(connection) for connection in held] == [200] * len(held)


def listen(web: Server, opened: contextlib.ExitStack, site: Site, token: str, visitor: str) -> int:
    """The status of a WebSocket that is opened through the proxy, and stays open."""
    lines = [
        "GET /api/v1/live HTTP/1.1",
        f"Host: {site.host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        f"X-Forwarded-For: {visitor}",
    ]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    connection = connect(web, opened, PROXY)
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return int(connection.recv(4096).split()[1])


def test_listeners_of_a_user_are_counted_together_whatever_token_they_use(
    web: Server, opened: contextlib.ExitStack, make: Factory
) -> None:
    site = make.site()
    with make.database.write() as tx:
        tokens = [AccessToken.insert_session(tx, site.member.user_id) for _ in range(4)]

    statuses = [
        listen(web, opened, site, token, f"192.0.2.{n}") for n, token in enumerate(tokens, 1)
    ]

    assert statuses == [101, 101, 101, 429]
    assert listen(web, opened, site, site.moderator.token, "192.0.2.1") == 101


def test_listeners_without_a_token_are_counted_by_network(
    web: Server, opened: contextlib.ExitStack, make: Factory
) -> None:
    site = make.site()

    statuses = [listen(web, opened, site, "", f"2001:db8:7::{n}") for n in range(1, 5)]

    assert statuses == [101, 101, 101, 429]
    assert listen(web, opened, site, "", "2001:db8:8::1") == 101
    assert listen(web, opened, site, site.member.token, "2001:db8:7::1") == 101


def test_listeners_are_not_among_the_connections_of_an_address(
    web: Server, opened: contextlib.ExitStack, make: Factory
) -> None:
    site = make.site()
    until_served(web)
    request = HEAD.replace(b"/site", b"/live/events?topic=site").replace(
        b"forum.test", site.host.encode()
    )
    for _ in range(3):
        connection = connect(web, opened)
        connection.sendall(request + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")

    held = [connect(web, opened) for _ in range(MOST)]
    assert [ask(connection) for connection in held] == [200] * MOST


def test_a_client_that_sends_nothing_is_let_go_and_one_that_asks_is_not(
    database_url: str, tmp_path: Path, opened: contextlib.ExitStack
) -> None:
    web = start_server(database_url, tmp_path, keepalive_s="1", workers="1")
    opened.callback(web.stop)
    began = time.monotonic()
    busy, new, asked, cut_off = (connect(web, opened) for _ in range(4))
    assert ask(busy) == ask(asked) == 200
    # Refused before the body, which never comes: the rest of the body is waited for no longer than a request.
    cut_off.sendall(HEAD.replace(b"/site", b"/nothing") + b"Content-Length: 9\r\n\r\nhalf")
    assert answer(cut_off)[0] >= 400
    for _ in range(8):
        time.sleep(0.4)
        assert ask(busy) == 200
    assert time.monotonic() - began > 3
    for connection in (new, asked, cut_off):
        connection.settimeout(0.5)
        assert ends(connection)


def test_requests_sent_at_once_are_answered_in_their_order(
    web: Server, opened: contextlib.ExitStack
) -> None:
    one = connect(web, opened)
    paths = [b"site", b"nothing"] * 20
    one.sendall(b"".join(HEAD.replace(b"/site", b"/" + path) + b"\r\n" for path in paths))
    with one.makefile("rb") as stream:
        for path in paths:
            status = int(stream.readline().split()[1])
            assert status == (404 if path == b"nothing" else 200)
            length = 0
            while (line := stream.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            stream.read(length)

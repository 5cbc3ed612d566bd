"""Downloads answered before they are parsed: the same answers, to the plainest reads alone, for a second at most."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator

import pytest

from forumapi.config import Config
from forumapi.wsgi import Application, create_app
from tests.api import Api
from tests.factories import Factory, Site
from tests.files.pictures import upload
from tests.fixtures import PLATFORM_DOMAIN, Server
from tests.handlers.platform import WsgiApi

PEER = "192.0.2.7"
BROWSER = (
    b'Connection: keep-alive\r\nsec-ch-ua: "Chromium";v="140"\r\nUser-Agent: Mozilla/5.0 (X11)\r\nAccept: image/*\r\n'
    b"Sec-Fetch-Site: same-origin\r\nReferer: https://bikes.example/a?b=c\r\nAccept-Encoding: gzip, br\r\n"
)


def plain(path: str, host: str, more: bytes = b"") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n".encode() + more + b"\r\n"


def application(database_url: str, server: Server, **settings: object) -> Application:
    """An application in this process, with the files of the server. Nothing of it runs in the background."""
    chosen: dict[str, object] = {
        "platform_domain": PLATFORM_DOMAIN,
        "files_path": str(server.log.parent / "files"),
        "rate_limit_address_per_minute": 0,
    }
    return create_app(Config(**(chosen | settings)), database_url)  # type: ignore[arg-type]


@pytest.fixture
def web(database_url: str, server: Server) -> Iterator[Application]:
    made = application(database_url, server)
    yield made
    made.app.database.close()


@pytest.fixture(scope="module")
def path(server: Server, bikes: Site) -> Iterator[str]:
    """A file that anybody may have."""
    api = server.api()
    yield f"/api/v1/files/{upload(api, bikes.member, bytes(range(256)) * 390, 'hot.bin')}"
    api.close()


def known(web: Application, data: bytes) -> tuple[bytes, bytes] | None:
    assert web.at_once is not None
    return web.at_once(data, PEER)


@pytest.mark.parametrize("more", [b"", b"Accept: */*\r\n", BROWSER])
def test_after_a_read_a_plain_one_is_known_at_once(
    web: Application, bikes: Site, path: str, more: bytes
) -> None:
    asked = plain(path, bikes.host, more)
    assert known(web, asked) is None

    first = WsgiApi(web).get(path, host=bikes.host)
    found = known(web, asked)

    assert found is not None
    head, body = found
    assert body == first.body
    assert head.startswith(b"HTTP/1.1 200 OK\r\nDate: ")
    assert head.endswith(b"\r\nConnection: keep-alive\r\n\r\n")
    assert b"\r\nVary:" not in head


def special(path: str, host: str) -> list[bytes]:
    """Requests that are not the plainest, each in one way."""
    good = plain(path, host)
    lines = [
        b"Authorization: Bearer x",
        b"Range: bytes=0-4",
        b"If-None-Match: *",
        b"If-Range: x",
        b"Cookie: a=b",
        b"X-Always-200: 1",
        b"X-Request-Id: mine",
        b"X-Forwarded-For: 203.0.113.4",
        b"X-Forumapi-Keeps: 1",
        b"Connection: close",
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b"Content-Length: 0",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Host: " + host.encode(),
        b"Accept : */*",
        b"Accept",
        b" folded",
        b"Accept: a\r\n folded",
        b"Accept: \x00",
        b"Accept: \xe9",
        b"Accept: a\nRange: bytes=0-1",
        b"User_Agent: x",
        b"User-Agent: " + b"x" * 2100,
        b"\r\n".join([b"Accept: a"] * 31),
    ]
    return [
        *(plain(path, host, line + b"\r\n") for line in lines),
        good.replace(b"GET", b"HEAD"),
        good.replace(b"GET", b"get"),
        good.replace(b"GET ", b"GET  "),
        good.replace(b"HTTP/1.1", b"HTTP/1.0"),
        good.replace(b"HTTP/1.1", b"HTTP/1.2"),
        good.replace(b" HTTP", b"?access_token=x HTTP"),
        good.replace(b" HTTP", b"?maxWidth=100&maxHeight=100 HTTP"),
        good.replace(b" HTTP", b"/ HTTP"),
        good.replace(b" HTTP", b".a.b HTTP"),
        good.replace(b"GET ", b"GET http://" + host.encode()),
        good.replace(b"/api", b"//api"),
        good.replace(b"/api", b"/%61pi"),
        good.replace(b"\r\n", b"\n"),
        good[:-2],
        good + b"GET / HTTP/1.1\r\n",
        b"\r\n" + good,
        good.replace(host.encode(), b"other." + host.encode()),
        plain(path, host.upper()),
    ]


def test_whatever_is_the_least_bit_special_goes_the_usual_way(
    web: Application, bikes: Site, path: str
) -> None:
    assert WsgiApi(web).get(path, host=bikes.host).status == 200
    assert known(web, plain(path, bikes.host)) is not None

    assert [one for one in special(path, bikes.host) if known(web, one) is not None] == []


def test_only_whole_public_reads_by_guests_are_remembered(
    web: Application, api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    client = WsgiApi(web)
    hash = upload(api, bikes.member, b"asked for in other ways", "other.bin")
    path = f"/api/v1/files/{hash}"
    for by, more in (
        (bikes.member, {}),
        (None, {"Range": "bytes=0-3"}),
        (None, {"If-None-Match": f'"{hash}"'}),
        (None, {"X-Forumapi-Keeps": "1"}),
    ):
        assert client.get(path, host=bikes.host, by=by, headers=more).status < 400
        assert known(web, plain(path, bikes.host)) is None
        web.app.open_files.clear()
    assert client.request("HEAD", path, host=bikes.host).status == 200
    assert known(web, plain(path, bikes.host)) is None
    web.app.open_files.clear()

    # What hangs on comments is asked for each time; what is large is read from the disk.
    comment = make.comment(make.conversation(bikes), by=bikes.member)
    api.post(f"{comment.path}/attachments", {"fileHash": hash}, by=bikes.member)
    large = f"/api/v1/files/{upload(api, bikes.member, b'large ' * 50_000)}"
    for one in (path, large):
        assert client.get(one, host=bikes.host).status == 200
        assert known(web, plain(one, bikes.host)) is None
    # By host: what one site is asked is not known at another.
    other = f"/api/v1/files/{upload(api, bikes.member, b'for all of them, here')}"
    assert client.get(other, host=bikes.host).status == 200
    assert known(web, plain(other, bikes.host)) is not None
    assert known(web, plain(other, trains.host)) is None


def test_what_is_no_longer_for_everybody_is_forgotten_within_a_second(
    web: Application, api: Api, make: Factory, bikes: Site
) -> None:
    friend = make.person(bikes)
    place = make.microcosm(bikes)
    make.join(make.role(bikes, place.id, "Club", rights=("read", "create", "update")), friend)
    said = make.comment(make.conversation(bikes, microcosm=place, by=friend), by=friend)
    hash = upload(api, friend, b"public until it hangs in the club", "club.bin")
    path = f"/api/v1/files/{hash}"
    client = WsgiApi(web)
    assert client.get(path, host=bikes.host).status == 200
    assert known(web, plain(path, bikes.host)) is not None

    answer = api.post(f"{said.path}/attachments", {"fileHash": hash}, by=friend)
    changed = time.monotonic()
    assert answer.status == 302

    begun = changed
    while known(web, plain(path, bikes.host)) is not None:
        assert begun < changed + 1.0
        time.sleep(0.01)
        begun = time.monotonic()
    while client.get(path, host=bikes.host).status == 200:
        assert begun < changed + 2.0, "the usual way remembers it for ever"
        time.sleep(0.01)
        begun = time.monotonic()
    assert known(web, plain(path, bikes.host)) is None


def test_a_site_that_changed_or_was_not_looked_at_for_a_second_is_not_believed(
    web: Application, api: Api, make: Factory
) -> None:
    site = make.site()
    path = f"/api/v1/files/{upload(api, site.member, b'of a site that goes', 'gone.bin')}"
    assert WsgiApi(web).get(path, host=site.host).status == 200
    assert known(web, plain(path, site.host)) is not None

    web.app.sites.forget(site.id)

    assert known(web, plain(path, site.host)) is None


def test_the_limit_of_requests_counts_them(
    database_url: str, server: Server, bikes: Site, path: str
) -> None:
    web = application(
        database_url, server, rate_limit_address_per_minute=4, workers=1, debug_counts=True
    )
    try:
        assert WsgiApi(web).get(path, host=bikes.host).status == 200
        found = [known(web, plain(path, bikes.host)) for _ in range(5)]
    finally:
        web.app.database.close()

    left = [re.findall(rb"RateLimit-Remaining: (\d+)", one[0]) if one else None for one in found]
    assert left == [[b"3"], [b"2"], [b"1"], [b"0"], None]


def test_settings_that_need_every_request_parsed_turn_it_off(
    database_url: str, server: Server
) -> None:
    for settings in (
        {"header_limit": 1024},
        {"header_count_limit": 10},
        {"trace_url": "http://127.0.0.1:9/v1/traces"},
    ):
        made = application(database_url, server, **settings)
        assert made.at_once is None
        made.app.database.close()


# ---------------------------------------------------------------- over the socket


class Wire:
    """One connection, bytes by hand."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(server.address, timeout=20)
        self._data = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """Status, headers and body of the next answer to a GET."""
        head = self._until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        length = int(dict(headers).get("Content-Length", "0"))
        while len(self._data) < length:
            self._data += self._more()
        body, self._data = self._data[:length], self._data[length:]
        return int(first.split()[1]), headers, body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            self._data += self._more()
        found, _, self._data = self._data.partition(mark)
        return found

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        assert data, f"closed after {self._data!r}"
        return data

    def status(self) -> int:
        """The status of the next answer; 0 when the server ends the connection instead."""
        try:
            return self.answer()[0]
        except (AssertionError, ConnectionError):
            return 0

    def end(self) -> None:
        """Nothing more is sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    made = Wire(server)
    yield made
    made.close()


def test_both_ways_answer_alike_on_one_connection(wire: Wire, bikes: Site, path: str) -> None:
    changing = {"Date", "X-Request-Id", "Expires", "Server-Timing"}
    ways = [plain(path, bikes.host), plain(path, bikes.host, b"X-Nothing: 1\r\n")]
    answers = []
    for _ in range(5):
        for way in ways:
            wire.send(way)
            status, headers, body = wire.answer()
            answers.append((status, [(n, "" if n in changing else v) for n, v in headers], body))

    assert answers[0][0] == 200
    assert all(one == answers[0] for one in answers)
    assert len(answers[0][2]) == 256 * 390


def test_requests_in_pieces_and_in_one_go_are_answered_in_order(
    wire: Wire, bikes: Site, path: str
) -> None:
    one = plain(path, bikes.host)
    other = plain("/api/v1/site", bikes.host)
    for _ in range(3):
        wire.send(one[:20])
        time.sleep(0.01)  # so that it arrives by itself; in one piece it is right as well
        wire.send(one[20:])
        assert wire.answer()[0] == 200
    wire.send(one + other + one + one)
    lengths = [len(wire.answer()[2]) for _ in range(4)]
    assert lengths[0] == lengths[2] == lengths[3] == 256 * 390
    # A body that nobody reads is not taken for the next request.
    inside = plain("/api/v1/version", bikes.host)
    post = f"POST {path} HTTP/1.1\r\nHost: {bikes.host}\r\nContent-Length: {len(inside)}\r\n\r\n"
    wire.send(post.encode() + inside + one)
    assert wire.answer()[0] == 405
    assert len(wire.answer()[2]) == 256 * 390


def test_over_the_wire_what_is_special_is_answered_as_if_nothing_were_kept(
    server: Server, api: Api, bikes: Site, path: str
) -> None:
    data = bytes(range(255)) * 390
    cold = f"/api/v1/files/{upload(api, bikes.member, data, 'cold.bin')}"
    for hot_one, cold_one in zip(special(path, bikes.host), special(cold, bikes.host), strict=True):
        if hot_one.startswith(b"HEAD") or b"Expect" in hot_one or b"5\r\n\r\n" in hot_one:
            continue  # without a body, or waiting for one
        statuses = []
        for asked in (hot_one, cold_one):
            wire = Wire(server)
            if asked is hot_one:
                wire.send(plain(path, bikes.host))
                assert wire.answer()[0] == 200
            wire.send(asked)
            wire.end()
            statuses.append(wire.status())
            wire.close()
        assert statuses[0] == statuses[1], hot_one

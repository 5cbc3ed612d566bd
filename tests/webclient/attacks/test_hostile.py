"""Hostile requests, played over both ways to the API: in one process, and by the website alone over HTTP.

Neither way may differ from the other, in status, body, limits, audit or idempotency: so neither grants anything.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from forumapi import routes
from forumapi.webclient.routes import ROUTES
from forumapi.webclient.transport import HEADERS, ApiTransport, FormBody, OverHttp, Reply
from forumapi.webclient.transport import Visitor as Whose
from forumapi.webclient.website import Website
from tests.factories import Factory, Site, Thing
from tests.fixtures import Server, running
from tests.webclient.attacks.hostile import ATTACKS, Attack
from tests.webclient.process import FRONT_ENDS, website_of
from tests.webclient.visitor import Visitor

# Requests of one address in a minute, where they are counted.
# Small, so that what a minute gives back while pages are read makes no further page.
MOST = 8

# What differs from one answer to the next anywhere: proofs, keys, request ids, times in words.
_CHANGES = (
    re.compile(rb'(?<=name="proof" value=")[^"]*'),
    re.compile(rb'(?<=name="key" value=")[^"]*'),
    re.compile(rb'(?<=name="csrf" value=")[^"]*'),
    re.compile(rb'(?<=data-cursor=")[^"]*'),
    re.compile(rb"<time [^>]*>[^<]*</time>"),
    re.compile(rb'(?<=data-cursor=")[^"]*'),
)
_HEADERS_OF_ONE = ("date", "etag", "set-cookie", "content-length")


class Both(NamedTuple):
    """The two ways: the website beside the API, and the website alone."""

    near: Server
    far: Server


@pytest.fixture(scope="module")
def both(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Both ways to one database, as behind a proxy on this machine."""
    folder = tmp_path_factory.mktemp("both")
    shared = {
        "trusted_proxies": "127.0.0.1",
        "webclient_secret": "one secret of both",
        # Pages say their own address.
        "public_port": "80",
    }
    with (
        running(database_url, folder / "near", webclient="true", **shared) as near,
        running(database_url, folder / "api", front_ends=FRONT_ENDS, **shared) as api,
        website_of(api, folder / "far", **shared) as far,
    ):
        yield Both(near, far)


def exchange(server: Server, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes; status, headers and body of what comes back, (0, {}, b"") for nothing."""
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        got = b""
        while piece := connection.recv(65_536):
            got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if not got:
        return 0, {}, b""
    fields = (line.partition(": ") for line in lines[1:])
    headers = {name.lower(): value for name, _, value in fields}
    # Pages name their own address, with the port of the process that made them.
    body = body.replace(b":%d/" % server.address[1], b"/")
    for change in _CHANGES:
        body = change.sub(b"", body)
    return (
        int(lines[0].split()[1]),
        {name: value for name, value in headers.items() if name not in _HEADERS_OF_ONE},
        body,
    )


def cookies_of(visitor: Visitor) -> str:
    """The cookies of a person who has signed in."""
    return "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())


@pytest.fixture(scope="module")
def cookie(both: Both, bikes: Site) -> str:
    """A member's, good for both since they share the secret."""
    return cookies_of(Visitor(both.near.address).of(bikes, bikes.member))


@pytest.fixture(scope="module")
def item(bikes: Site, make: Factory) -> Thing:
    """A conversation that is written about."""
    return make.conversation(bikes)


@pytest.mark.sliced(20)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_both_ways_answer_alike(
    attack: Attack, both: Both, bikes: Site, cookie: str, item: Thing
) -> None:
    data = attack.data
    for name, value in (("host", bikes.host), ("cookie", cookie), ("item", str(item.id))):
        data = data.replace(b"{%s}" % name.encode(), value.encode())
    # The length of a form was counted with its place holders.
    head, _, body = data.partition(b"\r\n\r\n")
    if b"Content-Length: " in head and b"POST" in head and "early" not in attack.name:
        head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head)
        data = head + b"\r\n\r\n" + body

    near, far = (exchange(one, data) for one in both)

    assert near[0] == far[0]
    assert near[1] == far[1]
    assert near[2] == far[2]
    assert near[0] < 500 or near[0] == 501, near


@pytest.mark.parametrize(
    "target",
    ["/api/v1/whoami", "/%61pi/v1/whoami", "http://{host}/api/v1/whoami", "/api", "/out/x"],
)
def test_the_website_alone_passes_nothing_on_to_the_api(
    target: str, both: Both, bikes: Site, cookie: str
) -> None:
    """Nginx sends these to the API; where it does not, the visitor's cookie opens nothing."""
    text = target.replace("{host}", bikes.host)
    head = f"GET {text} HTTP/1.1\r\nHost: {bikes.host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"

    assert exchange(both.far, head.encode())[0] == 404


# ---------------------------------------------------------------- whose request it is


@pytest.mark.wide
def test_the_audit_has_the_visitor_s_address_on_both_ways(
    both: Both, bikes: Site, make: Factory, cookie: str
) -> None:
    found = []
    for way, server in enumerate(both):
        conversation = make.conversation(bikes)
        member = Visitor(server.address, bikes.host, dict([cookie.split("=", 1)]))
        form = {
            "itemType": "conversation",
            "itemId": str(conversation.id),
            "markdown": f"Way {way}",
        }
        sent = member.post(
            "/comments/create/",
            form,
            X_Forwarded_For=f"1.1.1.1, 198.51.100.{way}",
            X_Forumapi_Visitor="9.9.9.9",
        )
        assert sent.status == 303
        comment = int(sent.location.split("/")[2])
        rows = make.sql(
            "SELECT host(ip) FROM audit_log WHERE site_id = %(site)s AND item_type_id = 4 AND item_id = %(id)s",
            site=bikes.id,
            id=comment,
        )
        found.append(rows)

    assert found == [[("198.51.100.0",)], [("198.51.100.1",)]]


def test_a_form_sent_twice_is_done_once_on_either_way_and_across_both(
    both: Both, bikes: Site, make: Factory, cookie: str
) -> None:
    conversation = make.conversation(bikes)
    form = {
        "itemType": "conversation",
        "itemId": str(conversation.id),
        "markdown": "Once, whoever asks",
        "key": "0123456789abcdef",
    }
    found = []
    for server in (both.near, both.near, both.far, both.far):
        member = Visitor(server.address, bikes.host, dict([cookie.split("=", 1)]))
        found.append(member.post("/comments/create/", form).location)

    assert len(set(found)) == 1
    assert make.sql(
        "SELECT count(*) FROM comments WHERE site_id = %(site)s AND item_id = %(id)s",
        site=bikes.id,
        id=conversation.id,
    ) == [(1,)]


@pytest.mark.wide
def test_requests_are_counted_once_and_for_the_visitor(
    database_url: str, make: Factory, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("counted")
    shared = {"trusted_proxies": "127.0.0.1", "rate_limit_address_per_minute": str(MOST)}
    found = []
    # Of its own: a page of which something has changed meanwhile takes more calls.
    site = make.site()
    with (
        running(database_url, folder / "near", webclient="true", **shared) as near,
        running(database_url, folder / "api", front_ends=FRONT_ENDS, **shared) as api,
        website_of(api, folder / "far", **shared) as far,
    ):
        for server in (near, far):
            guest = Visitor(server.address, site.host)
            pages = 0
            while pages <= MOST:
                page = guest.get("/", X_Forwarded_For="198.51.100.7")
                if page.status != 200:
                    break
                pages += 1
            other = guest.get("/", X_Forwarded_For="198.51.100.8")
            liar = guest.get("/", X_Forwarded_For="198.51.100.9, 198.51.100.7")
            found.append(
                (
                    pages,
                    page.status,
                    int(page.headers["retry-after"]) > 0,
                    other.status,
                    liar.status,
                )
            )

    assert found[0] == found[1]
    pages, *rest = found[0]
    assert rest == [429, True, 200, 429]
    # Four calls make the front page, or confirm it: each is counted once.
    assert pages == MOST // 4


# ---------------------------------------------------------------- what reaches the API


class Recorder:
    """Way to the API that remembers what was sent."""

    def __init__(self, way: ApiTransport) -> None:
        self._way = way
        self.calls: list[tuple[str, str, str, dict[str, str]]] = []

    def send(
        self,
        visitor: Whose,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | FormBody,
    ) -> Reply:
        """Remember, and pass on."""
        self.calls.append((method, path, query, dict(headers)))
        return self._way.send(visitor, method, path, query, headers, body)


SWITCHES = ("method", "access_token", "callback", "always200", "disableBoiler", "context")


def filled(path: str, ids: Mapping[str, int | str]) -> str:
    """An address of a table with its places filled by name."""

    def fill(found: re.Match[str]) -> str:
        name = found[1].rpartition(":")[2]
        return str(ids.get(name, 1))

    return re.sub(r"<([^>]+)>", fill, path)


@pytest.mark.wide
def test_the_query_of_a_page_reaches_the_api_as_values_alone(
    server: Server, bikes: Site, make: Factory, item: Thing
) -> None:
    for path in list(ROUTES):
        recorder = Recorder(OverHttp(f"http://{server.address[0]}:{server.address[1]}"))
        website = Website(
            recorder,
            ["secret"],
            is_secure=False,
            address_of=lambda environ: "127.0.0.1",
            upload_limit=1_000_000,
            upload_timeout_s=10,
        )
        query = "&".join(f"{name}=DELETE" for name in SWITCHES) + "&offset=0%26method%3DDELETE"
        target = filled(
            path, {"item": item.id, "microcosm": bikes.root_id, "profile": bikes.member.id}
        )
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": target,
            "QUERY_STRING": query,
            "HTTP_HOST": bikes.host,
            "HTTP_AUTHORIZATION": "Bearer x",
            "HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE",
            "HTTP_X_FORUMAPI_VISITOR": "192.0.2.99",
            "HTTP_COOKIE": "access_token=x",
            "wsgi.input": None,
        }
        website.respond(environ)

        for method, called, sent, headers in recorder.calls:
            assert method == "GET"
            assert "?" not in called
            names = {part.partition("=")[0] for part in sent.split("&")}
            assert names.isdisjoint(SWITCHES), (called, sent)
            assert set(headers) <= set(HEADERS) - {"Authorization", "Idempotency-Key"}


# ---------------------------------------------------------------- the cookie is the website's alone

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.fixture(scope="module")
def ids(bikes: Site, make: Factory, item: Thing) -> dict[str, int | str]:
    """Things of the site for the places in addresses of the API."""
    return {
        "item": item.id,
        "profile": bikes.member.id,
        "profileId": bikes.member.id,
        "token": bikes.member.token,
        "document": "privacy",
        "key": "like",
        "name": "x",
    }


@pytest.mark.parametrize("every", [20, pytest.param(1, marks=pytest.mark.wide)])
def test_the_api_never_accepts_the_cookie(
    both: Both, bikes: Site, cookie: str, ids: dict[str, int | str], every: int
) -> None:
    for path in list(routes.SITE)[::every]:
        target = filled(path, ids)
        if path == "/":
            continue
        if "live" in path:
            # Streams: what opens them is a ticket or a token.
            target += "?limit=0"
        address = (
            b"%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
        )
        found: dict[str, list[tuple[int, bytes]]] = {}
        for method in METHODS:
            if "live" in path and method == "GET":
                continue
            body = b"" if method in ("GET", "DELETE") else b"{}"
            head = method.encode() + b" " + address % (target.encode(), bikes.host.encode())
            head += b"Content-Length: %d\r\n" % len(body)
            guest = exchange(both.near, head + b"\r\n" + body)
            owner = exchange(both.near, head + b"Cookie: %s\r\n\r\n" % cookie.encode() + body)
            found[method] = [(one[0], one[2]) for one in (guest, owner)]

        for method, (guest_answer, owner_answer) in found.items():
            assert guest_answer == owner_answer, (method, path)


@pytest.mark.wide
def test_a_token_of_the_website_is_listed_and_ends_with_signing_out(
    both: Both, bikes: Site
) -> None:
    member = Visitor(both.near.address).of(bikes, bikes.member)
    cookie = member.cookies["session"]
    assert member.get("/").tree.css_first('form[action="/logout/"]') is not None

    member.post("/logout/")
    member.cookies["session"] = cookie

    assert member.get("/").tree.css_first('form[action="/logout/"]') is None

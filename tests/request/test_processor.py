"""The edge of the API over real HTTP: methods, bodies, switches, headers, errors, paging (platform 1)."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from forumapi import routes
from forumapi.request.handler import METHODS
from forumapi.wire import documented_headers
from tests.api import Api, Headers, Response
from tests.factories import Factory, Person, Site, Thing
from tests.fixtures import PLATFORM_DOMAIN, Server, start_server

SAVED_ROUTES = Path(__file__).parents[1] / "saved" / "routes.txt"
COMMENTS = "/api/v1/comments"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def exchange(server: Server, request: bytes) -> Response:
    """The answer to exactly these bytes, on a connection of their own."""
    with socket.create_connection(server.address, timeout=20) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as stream:
            status = int(stream.readline().split()[1])
            pairs = []
            while (line := stream.readline().strip()) != b"":
                name, _, value = line.decode("latin-1").partition(":")
                pairs.append((name, value.strip()))
            headers = Headers(pairs)
            body = stream.read(int(headers.get("content-length", "0")))
            return Response(status, headers, body)


@pytest.fixture(scope="module")
def chat(make: Factory, bikes: Site) -> Thing:
    """A conversation to post in and to read."""
    return make.conversation(bikes, title="At the edge")


def posted(api: Api, by: Person, body: bytes, content_type: str | None = JSON) -> Response:
    """A new comment from these bytes."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    return api.request("POST", COMMENTS, by=by, body=body, headers=headers)


def comment_json(chat: Thing, **fields: Any) -> bytes:
    """A good comment, with `fields` laid over it."""
    body = {"itemType": "conversation", "itemId": chat.id, "markdown": "Good text"}
    return json.dumps({**body, **fields}).encode()


# ---------------------------------------------------------------- methods (platform 1.3)


@pytest.mark.parametrize(
    ("query", "header", "meant"),
    [
        ("method=PUT", "", "PUT"),
        ("method=put", "", "PUT"),
        ("", "PUT", "PUT"),
        ("", "patch", "PATCH"),
        # The query wins over the header.
        ("method=PUT", "DELETE", "PUT"),
        # What is not a method is as if it were not there.
        ("method=FROB", "PUT", "PUT"),
        ("method=FROB", "FROB", "POST"),
        ("method=", "", "POST"),
        ("method=GET", "", "GET"),
        ("method=TRACE", "", "TRACE"),
    ],
)
def test_post_carries_other_methods(
    api: Api, chat: Thing, bikes: Site, query: str, header: str, meant: str
) -> None:
    headers = {"X-HTTP-Method-Override": header} if header else {}
    answer = api.post(f"{chat.path}?{query}", {}, by=bikes.newcomer, headers=headers)

    if meant == "GET":
        assert answer.status == 200
    elif meant == "PUT":
        assert answer.status == 403
        assert answer.code == 11
    elif meant == "PATCH":
        # An object is no patch document: the body is looked at before the right.
        assert answer.status == 400
    else:
        assert answer.status == 405
        assert answer.error.startswith(meant)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_post_is_overridden(api: Api, chat: Thing, bikes: Site, method: str) -> None:
    headers = {"X-HTTP-Method-Override": "GET" if method != "GET" else "DELETE"}
    plain = api.request(method, chat.path, site=bikes)
    overridden = api.request(method, f"{chat.path}?method=GET", site=bikes, headers=headers)

    assert plain.status == overridden.status == (200 if method == "GET" else 403)


def test_a_client_puts_through_post(api: Api, make: Factory, bikes: Site) -> None:
    mine = make.conversation(bikes)

    answer = api.post(
        f"{mine.path}?method=PUT",
        {"title": "Put", "meta": {"editReason": "x"}},
        by=bikes.member,
    )

    assert answer.status == 302
    assert api.follow(answer, by=bikes.member).data["title"] == "Put"


READABLE = [
    "/",
    "/api",
    "/api/v1",
    "/api/v1/site",
    "/api/v1/site/menu",
    "/api/v1/microcosms",
    "/api/v1/microcosms/tree",
    "/api/v1/conversations",
    "/api/v1/conversations/{chat}",
    "/api/v1/conversations/{chat}?limit=5&x=y",
    "/api/v1/conversations/{chat}/lastcomment",
    "/api/v1/conversations/{chat}/newcomment",
    "/api/v1/profiles",
    "/api/v1/profiles/options",
    "/api/v1/permission",
    "/api/v1/whoami",
    "/api/v1/legal/terms",
    "/api/v1/docs",
    "/api/v1/openapi.json",
    "/api/v1/nothing",
    "/api/v1/conversations/987654321",
    "/api/v1/comments/987654321",
]


def without_request(answer: Response) -> dict[str, str]:
    """The headers that do not differ from one request to the next."""
    unlike = {"x-request-id", "date", "server-timing", "live-cursor"}
    return {name: answer.headers[name] for name in answer.headers if name not in unlike}


@pytest.mark.parametrize("path", READABLE)
def test_head_has_the_headers_of_get_and_no_body(
    api: Api, chat: Thing, bikes: Site, path: str
) -> None:
    path = path.format(chat=chat.id)
    for by in (None, bikes.moderator):
        # Views are added up meanwhile, so HEAD may be the answer of the GET before it or of the one after.
        before = api.get(path, site=bikes, by=by)
        head = api.request("HEAD", path, site=bikes, by=by)
        after = api.get(path, site=bikes, by=by)

        assert head.status == before.status
        assert head.body == b""
        assert int(head.headers["Content-Length"]) in (len(before.body), len(after.body))
        assert len(before.body) > 0
        assert without_request(head) in (without_request(before), without_request(after))


@pytest.mark.wide
def test_a_post_meant_as_head_leaves_nothing_for_the_next_answer(
    api: Api, make: Factory, chat: Thing, bikes: Site
) -> None:
    file = f"/api/v1/files/{make.file(bikes.member, 'some bytes')}"
    for path in [path.format(chat=chat.id) for path in READABLE] + [file, "/api/v1/live/events"]:
        mark = "&" if "?" in path else "?"
        for how in ({}, {"X-HTTP-Method-Override": "HEAD"}):
            address = path if how else f"{path}{mark}method=HEAD"
            head = api.request("POST", address, by=bikes.member, headers=how)
            # On the same connection.
            after = api.get("/api/v1/site", by=bikes.member)

            assert (head.body, head.headers["Content-Length"]) == (b"", "0"), path
            assert head.status == api.request("HEAD", path, by=bikes.member).status
            assert after.data["siteId"] == bikes.id, path


# Allow headers in v1's order (platform 12, content 1.12); the others have that of METHODS.
ALLOW_V1 = {
    "/api/v1/auth": "OPTIONS,POST,HEAD,GET,DELETE",
    "/api/v1/auth/<token>": "OPTIONS,HEAD,GET,DELETE",
    "/api/v1/auth/email": "OPTIONS,HEAD,GET,POST,PUT",
    "/api/v1/auth/methods": "OPTIONS,HEAD,GET",
    "/api/v1/auth/passkeys": "OPTIONS,HEAD,GET,POST",
    "/api/v1/auth/passkeys/<number:passkey>": "OPTIONS,HEAD,GET,PUT,DELETE",
    "/api/v1/auth/totp": "OPTIONS,HEAD,GET,POST,PUT,DELETE",
    "/api/v1/bans": "OPTIONS,POST,HEAD,GET",
    "/api/v1/bans/<number:id>": "OPTIONS,HEAD,GET,DELETE",
    "/api/v1/comments/<comment:item>/attachments": "OPTIONS,POST,HEAD,GET",
    "/api/v1/events": "OPTIONS,POST,HEAD,GET",
    "/api/v1/events/<event:item>": "OPTIONS,HEAD,GET,PUT,PATCH,DELETE",
    "/api/v1/events/<event:item>/attendees": "OPTIONS,PUT,HEAD,GET",
    "/api/v1/events/<event:item>/attendees/<profile:profileId>": "OPTIONS,HEAD,GET,PUT,DELETE",
    "/api/v1/events/<event:item>/attendeescsv": "OPTIONS,HEAD,GET",
    "/api/v1/events/<event:item>/ical": "OPTIONS,HEAD,GET",
    "/api/v1/hosts/<host>": "OPTIONS,HEAD,GET",
    "/api/v1/ignored": "OPTIONS,HEAD,GET,PUT,DELETE",
    "/api/v1/microcosms": "OPTIONS,POST,HEAD,GET",
    "/api/v1/microcosms/<microcosm:item>": "OPTIONS,HEAD,GET,PUT,PATCH,DELETE",
    "/api/v1/microcosms/<microcosm:item>/ical": "OPTIONS,HEAD,GET",
    "/api/v1/microcosms/tree": "OPTIONS,HEAD,GET",
    "/api/v1/permission": "OPTIONS,HEAD,GET",
    "/api/v1/polls": "OPTIONS,POST,HEAD,GET",
    "/api/v1/polls/<poll:item>": "OPTIONS,HEAD,GET,PUT,PATCH,DELETE",
    "/api/v1/profiles": "OPTIONS,POST,HEAD,GET",
    "/api/v1/profiles/<profile:item>": "OPTIONS,HEAD,GET,PUT,PATCH,DELETE",
    "/api/v1/profiles/<profile:item>/attachments": "OPTIONS,POST,HEAD,GET",
    "/api/v1/profiles/<profile:item>/ical": "OPTIONS,HEAD,GET",
    "/api/v1/profiles/options": "OPTIONS,HEAD,GET,PUT",
    "/api/v1/reserved/<subdomain>": "OPTIONS,HEAD,GET",
    "/api/v1/search": "OPTIONS,HEAD,GET",
    "/api/v1/search/suggestions": "OPTIONS,HEAD,GET",
    "/api/v1/site": "OPTIONS,HEAD,GET,PUT",
    "/api/v1/site/auth": "OPTIONS,HEAD,GET,PUT",
    "/api/v1/site/auth/<method>": "OPTIONS,HEAD,GET,PUT,DELETE",
    "/api/v1/site/avatars": "OPTIONS,HEAD,GET,PUT",
    "/api/v1/site/legal": "OPTIONS,HEAD,GET",
    "/api/v1/site/legal/<document>": "OPTIONS,HEAD,GET,PUT,DELETE",
    "/api/v1/site/mail": "OPTIONS,HEAD,GET",
    "/api/v1/site/mail/<template>": "OPTIONS,HEAD,GET,PUT,DELETE",
    "/api/v1/site/offer": "OPTIONS,HEAD,GET,POST,PUT,DELETE",
    "/api/v1/site/options": "OPTIONS,HEAD,GET,PUT",
    "/api/v1/site/search": "OPTIONS,HEAD,GET,PUT",
    "/api/v1/sites": "OPTIONS,POST,HEAD,GET",
    "/api/v1/sites/<site:item>": "OPTIONS,HEAD,GET,PUT",
    "/api/v1/sites/<site:item>/status": "OPTIONS,HEAD,GET",
    "/api/v1/updates": "OPTIONS,HEAD,GET",
    "/api/v1/updates/email": "OPTIONS,HEAD,GET,PUT",
    "/api/v1/updates/preferences": "OPTIONS,HEAD,GET",
    "/api/v1/updates/preferences/<number:type>": "OPTIONS,HEAD,GET,PUT",
    "/api/v1/users/<user:item>": "OPTIONS,HEAD,GET,PUT,DELETE",
    "/api/v1/watchers": "OPTIONS,GET,HEAD,PUT,POST",
    "/api/v1/watchers/<number:watcher>": "OPTIONS,DELETE,PATCH",
    "/api/v1/watchers/delete": "OPTIONS,DELETE,PATCH",
    "/api/v1/watchers/patch": "OPTIONS,DELETE,PATCH",
}
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "FROB")


ADDRESSES = [("site", url) for url in routes.SITE] + [("root", url) for url in routes.ROOT]


def _saved_methods(host: str, url: str) -> str:
    """Return the Allow header by the saved table of routes."""
    rows = [line.split() for line in SAVED_ROUTES.read_text().splitlines()]
    methods = {row[1] for row in rows if (row[0], row[4]) == (host, url)}
    methods |= {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    return ",".join(method for method in METHODS if method in methods)


def _at(url: str) -> str:
    for hole in ("<token>", "<code>", "<host>", "<subdomain>"):
        url = url.replace(hole, "abc")
    while "<" in url:
        head, _, rest = url.partition("<")
        url = head + "987654321" + rest.partition(">")[2]
    return url


@pytest.mark.wide
def test_options_says_what_a_route_takes_before_any_token_is_looked_at(
    api: Api, bikes: Site
) -> None:
    for host, url in ADDRESSES:
        allow = ALLOW_V1.get(url) or _saved_methods(host, url)
        where = bikes.host if host == "site" else PLATFORM_DOMAIN
        api.get("/api/v1/site", host=where)
        answer = api.request(
            "OPTIONS", _at(url), host=where, headers={"Authorization": "Bearer of bad news"}
        )

        assert answer.status == 200
        assert answer.body == b""
        assert answer.headers["Content-Length"] == "0"
        assert answer.headers["Allow"] == answer.headers["Access-Control-Allow-Methods"] == allow
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Allow-Headers"] == documented_headers.CORS_REQUEST
        assert answer.headers["Access-Control-Max-Age"] == "86400"
        # Only the host was looked up, and that is in memory.
        assert answer.statements == 0
        for verb in VERBS:
            if verb not in allow.split(","):
                refused = api.request(verb, _at(url), host=where)
                assert refused.status == 405, verb
                assert refused.headers["Allow"] == allow
                if verb != "HEAD":
                    assert refused.json()["error"]


# ---------------------------------------------------------------- addresses and hosts (platform 1.1, 2.1)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nothing",
        "/api/v1/site/",
        "/api/v1/conversations/",
        "/api/v1/conversations/abc",
        "/api/v1/conversations/-1",
        "/api/v1/conversations/1.0",
        "/api/v1/conversations/%D9%A1",  # a digit, but not one of ours
        "/api/v1/conversations/1%00",
        "/api/v1/%FF%FE",
        "/API/V1/site",
        "/api/v1/sites",  # on the root host only
    ],
)
def test_an_unknown_address_is_404_in_the_envelope(api: Api, bikes: Site, path: str) -> None:
    for by in (None, bikes.member):
        answer = api.get(path, site=bikes, by=by)

        assert answer.status == 404
        assert list(answer.json()) == ["context", "status", "data", "error"]
        assert answer.code == 0
        assert answer.data["siteId"] == bikes.id


@pytest.mark.parametrize(
    ("sent", "location"),
    [
        ("/api/v1//site", "/api/v1/site"),
        ("//api///v1////site", "/api/v1/site"),
        ("//", "/"),
        ("/api/v1/site//", "/api/v1/site/"),
        ("/api/v1//site?limit=25&q=%2F%2Fa", "/api/v1/site?limit=25&q=%2F%2Fa"),
        ("/api/v1//site?a=1&access_token=secret&b=2", "/api/v1/site?a=1&b=2"),
        ("/api/v1//site?access_token=secret", "/api/v1/site"),
        ("//evil.example/", "/evil.example/"),
        ("///evil.example", "/evil.example"),
        ("/%2f/evil.example", "/evil.example"),
        ("/%2F%2Fevil.example", "/evil.example"),
        ("//%5Cevil.example", "/%5Cevil.example"),
        ("//\\evil.example", "/%5Cevil.example"),
        ("//%09/evil.example", "/%09/evil.example"),
        ("//%0D%0ASet-Cookie:a=b", "/%0D%0ASet-Cookie%3Aa%3Db"),
        ("//user@evil.example:80/", "/user%40evil.example%3A80/"),
        ("//%3Fa", "/%3Fa"),
        ("//%23a", "/%23a"),
        ("//v%C3%A9lo", "/v%C3%A9lo"),
        ("//%FF", "/%EF%BF%BD"),
    ],
)
def test_double_slashes_lead_to_the_address_without(
    server: Server, bikes: Site, sent: str, location: str
) -> None:
    for method, query in (("GET", ""), ("HEAD", ""), ("POST", "method=GET")):
        mark = ("&" if "?" in sent else "?") if query else ""
        head = (
            f"{method} {sent}{mark}{query} HTTP/1.1\r\nHost: {bikes.host}\r\nContent-Length: 0\r\n"
        )
        answer = exchange(server, f"{head}Connection: close\r\n\r\n".encode())

        assert answer.status == 301
        # What was meant by the method is done there, too.
        mark = ("&" if "?" in location else "?") if query else ""
        assert answer.headers["Location"] == f"{location}{mark}{query}"
        assert answer.headers["Cache-Control"] == "no-cache, max-age=0"


@pytest.mark.parametrize("path", ["/\\evil.example", "/%5Cevil.example", "/%5C/evil.example"])
def test_what_a_browser_takes_for_double_slashes_leads_nowhere(
    server: Server, bikes: Site, path: str
) -> None:
    answer = exchange(server, f"GET {path} HTTP/1.1\r\nHost: {bikes.host}\r\n\r\n".encode())

    assert (answer.status, "Location" in answer.headers) == (404, False)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_reads_are_led_on(api: Api, bikes: Site, method: str) -> None:
    answer = api.request(method, "/api/v1//site", site=bikes)

    assert (answer.status, "Location" in answer.headers) == (404, False)


def test_a_site_that_is_not_there_leads_nowhere(api: Api) -> None:
    assert api.get("//api/v1/site", host="nowhere.forum.test").status == 404


@pytest.mark.parametrize("digits", ["9223372036854775808", "9" * 40, "0" * 30])
def test_an_id_beyond_64_bits_is_400(api: Api, bikes: Site, digits: str) -> None:
    answer = api.get(f"/api/v1/conversations/{digits}", site=bikes)

    assert answer.status == 400
    assert answer.code == 3


@pytest.mark.parametrize(
    "host",
    [
        "nowhere.forum.test",
        "root.forum.test",
        "a.sharedbikes.forum.test",
        "evilforum.test",
        "elsewhere.example",
        "10.0.0.1:8080",
    ],
)
def test_an_unknown_host_is_404_code_14(server: Server, bikes: Site, host: str) -> None:
    request = f"GET /api/v1/site HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    answer = exchange(server, request)

    assert answer.status == 404
    assert answer.code == 14
    assert answer.data["siteId"] == 0
    assert answer.headers["Content-Type"] == JSON


@pytest.mark.parametrize("form", ["{0}", "{0}:8080", "{0}.", "{1}", "{1}.:80"])
def test_a_host_is_known_in_any_case_with_port_and_dot(api: Api, bikes: Site, form: str) -> None:
    answer = api.get("/api/v1/site", host=form.format(bikes.host, bikes.host.upper()))

    assert answer.status == 200
    assert answer.data["siteId"] == bikes.id


# ---------------------------------------------------------------- switches (platform 1.4)


def test_context_comes_back(api: Api, bikes: Site) -> None:
    assert api.get("/api/v1", site=bikes).json()["context"] == ""
    assert api.get("/api/v1?context=a%20b%22%3C", site=bikes).json()["context"] == 'a b"<'
    assert api.get("/api/v1/nothing?context=x", site=bikes).json()["context"] == "x"


@pytest.mark.parametrize(
    ("query", "headers"),
    [("?always200", {}), ("?always200=", {}), ("?always200=1", {}), ("", {"X-Always-200": "y"})],
)
def test_always200_changes_the_status_line_and_nothing_else(
    api: Api, chat: Thing, bikes: Site, query: str, headers: dict[str, str]
) -> None:
    missing = api.get(f"/api/v1/nothing{query}", site=bikes, headers=headers)
    assert missing.status == 200
    assert missing.json()["status"] == 404
    assert missing.json()["error"]
    refused = api.request("PATCH", f"/api/v1/whoami{query}", site=bikes, headers=headers)
    assert refused.status == 200
    assert refused.json()["status"] == 405
    assert refused.headers["Allow"]
    made = api.request(
        "POST",
        f"{COMMENTS}{query}",
        by=bikes.member,
        body=comment_json(chat, markdown=f"always {query} {headers}"),
        headers={"Content-Type": JSON, **headers},
    )
    assert made.status == 200
    assert made.json()["status"] == 302
    assert made.location.startswith(COMMENTS)


@pytest.mark.parametrize(
    ("query", "headers"),
    [("?disableBoiler", {}), ("?disableBoiler=x", {}), ("", {"X-Disable-Boiler": "1"})],
)
def test_disable_boiler_leaves_the_data_alone(
    api: Api, bikes: Site, query: str, headers: dict[str, str]
) -> None:
    bare = api.get(f"/api/v1{query}", site=bikes, headers=headers)

    assert bare.json() == api.get("/api/v1", site=bikes).data
    missing = api.get(f"/api/v1/nothing{query}", site=bikes, headers=headers)
    assert missing.status == 404
    assert list(missing.json()) == ["siteId", "errorCode", "errorDetail", "code"]


@pytest.mark.parametrize(
    "query", ["?q=always200+disableBoiler", "?x=disableBoiler", "?xalways200=1&disableBoilers"]
)
def test_switches_are_parameters_not_words_in_the_address(
    api: Api, bikes: Site, query: str
) -> None:
    answer = api.get(f"/api/v1/nothing{query}", site=bikes)

    assert answer.status == 404
    assert list(answer.json()) == ["context", "status", "data", "error"]
    empty = {"X-Always-200": "", "X-Disable-Boiler": ""}
    assert api.get("/api/v1/nothing", site=bikes, headers=empty).status == 404


def test_a_callback_gets_the_answer_and_the_context(api: Api, bikes: Site) -> None:
    plain = api.get("/api/v1", site=bikes)

    answer = api.get("/api/v1?callback=a.$b_1", site=bikes)
    assert answer.headers["Content-Type"] == "application/javascript"
    assert answer.body == b"a.$b_1(" + plain.body + b")"
    api.checks_schema = False  # which does not read escapes
    answer = api.get("/api/v1?callback=f&context=%3C/script%3E%22%E2%80%A8", site=bikes)
    assert answer.body.endswith(b', "\\u003c/script>\\"\\u2028")')
    assert b"<" not in answer.body
    bare = api.get("/api/v1?callback=f&disableBoiler", site=bikes)
    assert json.loads(bare.body.removeprefix(b"f(").removesuffix(b")")) == plain.data
    missing = api.get("/api/v1/nothing?callback=f", site=bikes)
    assert missing.status == 404
    assert missing.body.startswith(b'f({"context":""')


@pytest.mark.parametrize(
    "name", ["", "1a", "a-b", "alert(1)", "a%20b", "a%C3%A9", "a%0A", "a" * 101, "%3Cscript%3E"]
)
def test_a_callback_that_is_no_name_is_refused(api: Api, bikes: Site, name: str) -> None:
    answer = api.get(f"/api/v1?callback={name}", site=bikes)

    assert answer.status == 400
    assert answer.code == 2
    assert answer.headers["Content-Type"] == JSON


@pytest.mark.parametrize("how", ["header", "query", "cookie", "bad header"])
def test_a_callback_is_ignored_where_credentials_come_with_it(
    api: Api, bikes: Site, how: str
) -> None:
    token = bikes.member.token
    headers = {
        "header": {"Authorization": f"Bearer {token}"},
        "bad header": {"Authorization": "Basic x"},
        "cookie": {"Cookie": "a=b"},
    }.get(how, {})
    query = f"&access_token={token}" if how == "query" else ""

    answer = api.get(f"/api/v1?callback=f{query}", site=bikes, headers=headers)

    assert answer.headers["Content-Type"] == JSON
    assert list(answer.json()) == ["context", "status", "data", "error"]


# ---------------------------------------------------------------- headers (platform 1.5)


def test_guests_may_keep_what_they_read_and_nobody_else_anything(
    api: Api, chat: Thing, bikes: Site
) -> None:
    def cache(*args: Any, **how: Any) -> str:
        return api.request(*args, **how).headers["Cache-Control"]

    public, private = "public, max-age=300", "no-cache, max-age=0"
    assert cache("GET", chat.path, site=bikes) == public
    assert cache("HEAD", chat.path, site=bikes) == public
    assert cache("POST", f"{chat.path}?method=GET", site=bikes) == public
    assert cache("GET", chat.path, by=bikes.member) == private
    assert cache("GET", f"{chat.path}?access_token={bikes.member.token}", site=bikes) == private
    assert cache("GET", "/api/v1/nothing", site=bikes) == private
    assert cache("GET", f"{chat.path}?offset=25", site=bikes) == private
    assert cache("GET", f"{chat.path}/lastcomment", site=bikes) == private
    assert cache("POST", COMMENTS, site=bikes, json={}) == private


@pytest.mark.parametrize(
    "head",
    [
        b"GET /api/v1/site HTTP/1.1\r\n",
        b"GET /api/v1/site HTTP/1.0\r\n",
        b"OPTIONS /api/v1/site HTTP/1.1\r\n",
        b"GET /nothing HTTP/1.1\r\n",
        b"GET /api/v1/site HTTP/1.1\r\nHost:\r\n",
        b"GET /api/v1/site HTTP/1.1\r\nHost: bikes.forum.test@evil\r\n",
    ],
)
def test_a_request_names_one_host(server: Server, head: bytes) -> None:
    answer = exchange(server, head + b"\r\n")

    assert (answer.status, answer.code, answer.data["siteId"]) == (400, 2, 0)


@pytest.mark.wide
def test_what_an_answer_depends_on_stands_in_vary(api: Api, chat: Thing, bikes: Site) -> None:
    api.checks_schema = False  # it reads the whole envelope
    seen: set[str] = set()
    for path in (*READABLE, "/api/v1?callback=f", "/api/v1/site?callback=f", "/oauth/device"):
        path = path.format(chat=chat.id)
        for header, value in (
            ("Authorization", f"Bearer {bikes.member.token}"),
            ("X-Always-200", "1"),
            ("X-Disable-Boiler", "1"),
            ("Cookie", "oauth=something"),
        ):
            without = api.get(path, site=bikes)
            given = api.get(path, site=bikes, headers={header: value})
            if (without.status, without.body) == (given.status, given.body):
                continue
            for answer in (without, given):
                if answer.headers["Cache-Control"] != "no-store":
                    names = {name.strip() for name in answer.headers["Vary"].split(",")}
                    assert header in names, (path, header)
                    seen.add(header)
    assert seen == {"Authorization", "X-Always-200", "X-Disable-Boiler", "Cookie"}


def test_a_request_id_goes_in_and_comes_out(api: Api, bikes: Site) -> None:
    def told(given: str | None) -> str:
        headers = {} if given is None else {"X-Request-Id": given}
        return api.get("/api/v1", site=bikes, headers=headers).headers["X-Request-Id"]

    assert told("abc-DEF_1.2") == "abc-DEF_1.2"
    assert told("x" * 64) == "x" * 64
    for bad in (None, "", "x" * 65, "a b", "a\u00e9", "<script>"):
        made = told(bad)
        assert made != bad
        assert made.isalnum()
    assert told(None) != told(None)
    missing = api.get("/api/v1/nothing", site=bikes, headers={"X-Request-Id": "lost"})
    assert missing.headers["X-Request-Id"] == "lost"


# ---------------------------------------------------------------- bodies (platform 1.2)


@pytest.mark.parametrize("spelling", ["markdown", "Markdown", "MARKDOWN", "mArKdOwN"])
def test_keys_match_in_any_case_and_unknown_ones_are_ignored(
    api: Api, chat: Thing, bikes: Site, spelling: str
) -> None:
    body = json.dumps(
        {
            "ITEMTYPE": "conversation",
            "itemid": chat.id,
            spelling: f"as {spelling}",
            "id": 1,
            "siteId": 99,
            "nonsense": {"deep": [{"er": None}]},
            "meta": {"flags": {"deleted": True}, "createdBy": 5},
        }
    ).encode()
    made = posted(api, bikes.member, body, "application/json; charset=utf-8")

    assert made.status == 302
    shown = api.follow(made, by=bikes.member).data
    assert shown["markdown"] == f"as {spelling}"
    assert shown["meta"]["flags"]["deleted"] is False


def test_null_means_not_sent(api: Api, make: Factory, bikes: Site) -> None:
    mine = make.conversation(bikes, title="Kept")

    body = {"title": None, "microcosmId": None, "meta": {"editReason": "x", "flags": None}}
    assert api.put(mine.path, body, by=bikes.member).status == 302
    assert api.get(mine.path, by=bikes.member).data["title"] == "Kept"
    missing = api.post(
        "/api/v1/conversations", {"microcosmId": bikes.root_id, "title": None}, by=bikes.member
    )
    assert missing.status == 400
    assert "title" in missing.error


def test_of_a_key_sent_twice_the_last_one_counts(api: Api, chat: Thing, bikes: Site) -> None:
    start = b'{"itemType":"conversation","itemId":%d,"markdown":"first",' % chat.id

    made = posted(api, bikes.member, start + b'"markdown":"second twin"}')
    assert api.follow(made, by=bikes.member).data["markdown"] == "second twin"
    made = posted(api, bikes.member, start + b'"MARKDOWN":"third twin","Markdown":null}')
    assert api.follow(made, by=bikes.member).data["markdown"] == "third twin"


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"itemId": "3"}, "itemId", 3),
        ({"itemId": 1.5}, "itemId", 3),
        ({"itemId": True}, "itemId", 3),
        ({"itemId": [1]}, "itemId", 3),
        ({"itemId": {}}, "itemId", 3),
        ({"itemId": 0}, "itemId", 4),
        ({"itemId": -5}, "itemId", 4),
        ({"itemId": 2**63}, "itemId", 4),
        ({"itemId": 10**60}, "itemId", 4),
        ({"itemId": -(2**63) - 1}, "itemId", 4),
        ({"itemType": 6}, "itemType", 3),
        ({"itemType": "article"}, "itemType", 0),
        ({"itemType": ["conversation"]}, "itemType", 3),
        ({"markdown": 7}, "markdown", 3),
        ({"markdown": ["x"]}, "markdown", 3),
        ({"markdown": {"a": 1}}, "markdown", 3),
        ({"markdown": "a\0b"}, "markdown", 2),
        ({"markdown": "x" * 50_001}, "markdown", 4),
        ({"inReplyTo": "1"}, "inReplyTo", 3),
        ({"meta": 3}, "meta", 3),
        ({"meta": {"editReason": 3}}, "meta.editReason", 3),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    api: Api, chat: Thing, bikes: Site, fields: dict[str, Any], field: str, code: int
) -> None:
    answer = posted(api, bikes.member, comment_json(chat, **fields))

    assert answer.status == 400
    assert answer.code == code
    assert answer.error.startswith(field)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"itemId":1,}',
        b"{'itemId':1}",
        b'{"markdown":"\xff\xfe"}',
        b'{"markdown":"\xed\xa0\x80"}',
        b'{"markdown":"\\ud800"}',
        b'{"markdown":"\\udc00x"}',
        b'{"itemId":NaN}',
        b'{"itemId":1}{"itemId":2}',
        b"\xef\xbb\xbf{}",
        '{"itemId":1}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 50_000,
    ],
)
def test_what_is_not_json_is_400_code_2(api: Api, bikes: Site, body: bytes) -> None:
    answer = posted(api, bikes.member, body)

    assert answer.status == 400
    assert answer.code == 2


@pytest.mark.parametrize("body", [b"null", b"3", b'"text"', b"[]", b"true", b"[{}]"])
def test_json_of_another_shape_is_400_code_3(api: Api, bikes: Site, body: bytes) -> None:
    answer = posted(api, bikes.member, body)

    assert answer.status == 400
    assert answer.code == 3


@pytest.mark.parametrize("depth", [10, 50, 400, 800, *range(930, 1000, 10)])
@pytest.mark.parametrize("where", ["markdown", "unknown", "meta"])
def test_deep_nesting_is_no_fault_of_ours(
    api: Api, chat: Thing, bikes: Site, depth: int, where: str
) -> None:
    for opened, closed in ((b"[", b"]"), (b'{"meta":', b"}")):
        nest = opened * depth + b"1" + closed * depth
        body = b'{"itemType":"conversation","itemId":%d,"%b":%b}' % (
            chat.id,
            where.encode(),
            nest,
        )
        answer = posted(api, bikes.member, body)
        # Without a text it is refused in any case; what matters is that nothing breaks on the way.
        assert answer.status == 400


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "text/csv", "application/xml", "json"]
)
def test_another_content_type_is_400_code_1(api: Api, chat: Thing, bikes: Site, kind: str) -> None:
    answer = posted(api, bikes.member, comment_json(chat), kind)

    assert answer.status == 400
    assert answer.code == 1


@pytest.mark.parametrize("kind", [FORM, FORM + "; charset=utf-8", "", None])
def test_a_form_is_as_good(api: Api, chat: Thing, bikes: Site, kind: str | None) -> None:
    text = f"form {kind}"
    body = f"ItemType=conversation&ItemID={chat.id}&Markdown={text.replace(' ', '+')}%20%C3%A9"

    made = posted(api, bikes.member, body.encode(), kind)

    assert made.status == 302
    expected = f"{text} \u00e9"
    if kind is not None and ";" in kind:
        expected = text.partition(";")[0]
        # An unescaped ; = & ends the value; the client did not mean our text but got what it sent.
        assert api.follow(made, by=bikes.member).data["markdown"].startswith(expected)
    else:
        assert api.follow(made, by=bikes.member).data["markdown"] == expected


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ("ItemID=abc", 3),
        ("ItemID=", 3),
        ("ItemID=1.5", 3),
        ("ItemID=99999999999999999999", 4),
        ("ItemID=-99999999999999999999", 4),
        ("ItemID=" + "9" * 30, 4),
        ("ItemID=" + "9" * 5000, 4),
        ("ItemID=1e3", 3),
        ("ItemID=%D9%A1", 3),
        ("InReplyTo=99999999999999999999", 4),
        ("Meta=x", 3),
        ("Markdown=a%00b", 2),
        ("Markdown=%FF%FE", 2),
        ("Markdown=\xff", 2),
        ("&".join(f"k{n}=v" for n in range(200)), 2),
    ],
)
def test_a_bad_form_is_refused(api: Api, chat: Thing, bikes: Site, fields: str, code: int) -> None:
    good = "" if "Item" in fields else f"&ItemID={chat.id}"
    body = f"{fields}{good}&itemtype=conversation"
    if "Markdown" not in fields:
        body += "&markdown=x"
    answer = posted(api, bikes.member, body.encode("latin-1"), FORM)

    assert answer.status == 400
    assert answer.code == code


def test_a_list_cannot_come_as_a_form(api: Api, chat: Thing, bikes: Site) -> None:
    answer = api.request(
        "PATCH", chat.path, by=bikes.moderator, body=b"op=replace", headers={"Content-Type": FORM}
    )

    assert answer.status == 400
    assert answer.code == 1


def test_a_body_may_have_a_mebibyte(api: Api, server: Server, chat: Thing, bikes: Site) -> None:
    limit = 1_048_576
    fits = comment_json(chat, nothing="x" * (limit - len(comment_json(chat, nothing=""))))
    assert len(fits) == limit
    assert posted(api, bikes.member, fits).status == 302

    for kind in (JSON, FORM):
        refused = posted(api, bikes.member, b"x" * (limit + 1), kind)
        assert refused.status == 413
        assert refused.json()["error"]
    # A length is believed before a byte of the body is read.
    announced = (
        f"POST {COMMENTS} HTTP/1.1\r\nHost: {bikes.host}\r\nContent-Length: 99999999999\r\n"
        f"Content-Type: {JSON}\r\nAuthorization: Bearer {bikes.member.token}\r\n\r\n"
    )
    assert exchange(server, announced.encode()).status == 413


def _chunked(bikes: Site, chunks: list[bytes], method: str = "POST", path: str = COMMENTS) -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {bikes.host}\r\nContent-Type: {JSON}\r\n"
        f"Authorization: Bearer {bikes.member.token}\r\nTransfer-Encoding: chunked\r\n"
        "Connection: close\r\n\r\n"
    )
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head.encode() + body + b"0\r\n\r\n"


def test_a_body_may_come_in_chunks(server: Server, api: Api, chat: Thing, bikes: Site) -> None:
    whole = comment_json(chat, markdown="In chunks")

    made = exchange(server, _chunked(bikes, [whole[:7], whole[7:9], whole[9:]]))

    assert made.status == 302
    assert api.follow(made, by=bikes.member).data["markdown"] == "In chunks"
    assert exchange(server, _chunked(bikes, [])).status == 400
    assert exchange(server, _chunked(bikes, [b"x" * 65_536] * 17)).status == 413
    assert exchange(server, _chunked(bikes, [whole], "GET", chat.path)).status == 200


def test_a_body_that_ends_early_writes_nothing(server: Server, make: Factory, bikes: Site) -> None:
    mine = make.conversation(bikes)
    whole = comment_json(mine)
    head = (
        f"POST {COMMENTS} HTTP/1.1\r\nHost: {bikes.host}\r\nContent-Type: {JSON}\r\n"
        f"Authorization: Bearer {bikes.member.token}\r\nContent-Length: {len(whole) + 5}\r\n\r\n"
    )
    with socket.create_connection(server.address, timeout=5) as connection:
        connection.sendall(head.encode() + whole)
        connection.shutdown(socket.SHUT_WR)
        said = connection.recv(65_536)

    assert b" 400 " in said.partition(b"\r\n")[0]
    ((count,),) = make.sql("SELECT comment_count FROM items WHERE item_id = %(i)s", i=mine.id)
    assert count == 0


# ---------------------------------------------------------------- queries


@pytest.mark.parametrize(
    "query", ["a=%FF", "a=%00", "a%00=1", "&".join(f"k{n}=1" for n in range(201))]
)
def test_a_query_that_cannot_be_read_is_400_code_2(api: Api, bikes: Site, query: str) -> None:
    for by in (None, bikes.member):
        answer = api.get(f"/api/v1/conversations?{query}", site=bikes, by=by)
        assert answer.status == 400
        assert answer.code == 2


# ---------------------------------------------------------------- errors (platform 1.6)


def test_every_error_carries_the_detail_object(api: Api, chat: Thing, bikes: Site) -> None:
    refused = api.put(chat.path, {}, by=bikes.newcomer)
    assert refused.status == 403
    assert refused.data == {
        "siteId": bikes.id,
        "profileId": bikes.newcomer.id,
        "errorCode": 11,
        "errorDetail": refused.error,
        "code": "no_update",
    }
    assert list(refused.data) == ["siteId", "profileId", "errorCode", "errorDetail", "code"]
    guest = api.put(chat.path, {}, site=bikes)
    assert guest.status == 403
    assert list(guest.data) == ["siteId", "errorCode", "errorDetail", "code"]


@pytest.mark.parametrize(
    ("method", "path", "who", "status", "code"),
    [
        ("GET", "/api/v1/whoami", None, 403, 5),
        ("PUT", "/api/v1/site", "member", 403, 8),
        ("GET", "/api/v1/conversations/987654321", "member", 403, 9),
        ("GET", "/api/v1/conversations/987654321", "owner", 404, 0),
        ("POST", COMMENTS, None, 403, 10),
        ("PUT", "{chat}", "newcomer", 403, 11),
        ("DELETE", "{chat}", "newcomer", 403, 12),
        ("GET", "{chat}", "banned", 403, 13),
        ("GET", "{hidden}", "newcomer", 404, 15),
    ],
)
def test_a_refusal_has_the_code_that_fits(
    api: Api,
    make: Factory,
    chat: Thing,
    bikes: Site,
    method: str,
    path: str,
    who: str | None,
    status: int,
    code: int,
) -> None:
    if "{hidden}" in path:
        hidden = make.conversation(bikes)
        assert api.delete(hidden.path, by=bikes.moderator).status == 200
        path = hidden.path
    by = getattr(bikes, who) if who else None
    body = json.loads(comment_json(chat)) if method in ("POST", "PUT") else None

    answer = api.request(method, path.format(chat=chat.path), site=bikes, by=by, json=body)

    assert answer.status == status
    assert answer.code == code
    assert answer.data["errorDetail"] == answer.error != ""


# ---------------------------------------------------------------- paging (platform 1.8)


@pytest.fixture(scope="module")
def long(make: Factory, bikes: Site) -> Thing:
    """A conversation of 51 comments."""
    made = make.conversation(bikes, title="Long")
    make.comments(made, 51)
    return made


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", 4),
        ("limit=7", 4),
        ("limit=251", 4),
        ("limit=255", 4),
        ("limit=-5", 4),
        ("limit=x", 3),
        ("limit=5.0", 3),
        ("limit=1e1", 3),
        ("limit=%D9%A5", 3),
        ("limit=" + "9" * 30, 3),
        ("offset=-25", 4),
        ("offset=7", 4),
        ("offset=x", 3),
        ("offset=75", 4),
        ("offset=2147483650", 4),
        ("offset=2000000025", 4),
        ("offset=3000000000", 4),
        ("offset=9223372036854775800&limit=5", 4),
        ("offset=9223372036854775810&limit=5", 4),
        ("offset=30&limit=25", 4),
    ],
)
def test_a_bad_page_is_refused_but_never_before_the_right(
    api: Api, long: Thing, bikes: Site, query: str, code: int
) -> None:
    answer = api.get(f"{long.path}?{query}", by=bikes.member)

    assert answer.status == 400
    assert answer.code == code
    assert answer.error.startswith(query.partition("=")[0])
    assert api.get(f"/api/v1/conversations/987654321?{query}", by=bikes.member).status == 403


# limit -> entries -> (totalPages, maxOffset), as platform 1.8 has them.
VECTORS = {
    25: {0: (0, 0), 1: (1, 0), 24: (1, 0), 25: (1, 0), 26: (2, 25), 49: (2, 25), 50: (2, 25)},
    5: {0: (0, 0), 4: (1, 0), 5: (1, 0), 6: (2, 5), 9: (2, 5), 10: (2, 5), 11: (3, 10)},
}


@pytest.mark.wide
def test_pages_are_counted_as_the_vectors_say(
    api: Api, make: Factory, bikes: Site, long: Thing
) -> None:
    chat = make.conversation(bikes)
    counts = sorted({count for vectors in VECTORS.values() for count in vectors})
    for count, next_count in zip(counts, [*counts[1:], 0], strict=True):
        for limit, vectors in VECTORS.items():
            page = api.get(f"{chat.path}?limit={limit}", site=bikes).data["comments"]
            assert page["total"] == count
            assert page["page"] == 1
            assert len(page["items"]) == min(count, limit)
            if count in vectors:
                assert (page["totalPages"], page["maxOffset"]) == vectors[count]
        if next_count:
            make.comments(chat, next_count - count)
    page = api.get(f"{long.path}?limit=25", site=bikes).data["comments"]
    assert (page["totalPages"], page["maxOffset"]) == (3, 50)


def test_links_lead_through_the_pages(api: Api, long: Thing, bikes: Site) -> None:
    def links(query: str) -> dict[str, tuple[str, str]]:
        page = api.get(f"{long.path}?{query}" if query else long.path, site=bikes)
        return {
            link["rel"]: (link["href"].removeprefix(long.path), link["title"])
            for link in page.data["comments"]["links"]
        }

    assert list(links("limit=10&offset=20")) == ["first", "prev", "self", "next", "last"]
    assert links("") == {
        "self": ("", "1"),
        "next": ("?offset=25", "2"),
        "last": ("?offset=50", "3"),
    }
    assert links("offset=25") == {
        "prev": ("", "1"),
        "self": ("?offset=25", "2"),
        "next": ("?offset=50", "3"),
    }
    assert links("offset=50") == {
        "first": ("", "1"),
        "prev": ("?offset=25", "2"),
        "self": ("?offset=50", "3"),
    }
    # Keys sorted, form-encoded; self as it came, but at offset 0 without offset.
    assert links("z=1+2&limit=25&a=%C3%A9&offset=25") == {
        "prev": ("?a=%C3%A9&limit=25&z=1+2", "1"),
        "self": ("?z=1+2&limit=25&a=%C3%A9&offset=25", "2"),
        "next": ("?a=%C3%A9&limit=25&offset=50&z=1+2", "3"),
    }
    assert links("z=1&offset=0&a=2")["self"] == ("?a=2&z=1", "1")


@pytest.mark.parametrize("key", ["access_token", "access%5Ftoken", "%61ccess_token"])
@pytest.mark.parametrize("offset", ["", "&offset=25", "&offset=50"])
def test_a_token_in_the_query_gets_into_no_link(
    api: Api, long: Thing, bikes: Site, key: str, offset: str
) -> None:
    token = bikes.member.token
    for path in (
        f"{long.path}?x=1&{key}={token}{offset}",
        f"{long.path}?{key}={token}&comment_id=5{offset}",
        f"{long.path}/lastcomment?{key}={token}",
        f"{long.path}/newcomment?y=2&{key}={token}",
    ):
        answer = api.get(path, site=bikes)
        assert answer.status in (200, 307)
        assert token.encode() not in answer.body
        assert token not in answer.headers.get("location", "")
    kept = api.get(f"{long.path}?x=1&{key}={token}{offset}", site=bikes)
    hrefs = [link["href"] for link in kept.data["comments"]["links"]]
    assert all(dict(parse_qsl(urlsplit(href).query))["x"] == "1" for href in hrefs)
    # It is a credential like any other.
    assert kept.data["meta"]["permissions"]["guest"] is False


def test_a_token_in_the_query_gets_into_no_location(api: Api, chat: Thing, bikes: Site) -> None:
    made = api.request(
        "POST",
        f"{COMMENTS}?access_token={bikes.member.token}",
        site=bikes,
        body=comment_json(chat, markdown="Token in the query"),
        headers={"Content-Type": JSON},
    )

    assert made.status == 302
    assert made.location == urlsplit(made.location).path


# ---------------------------------------------------------------- PATCH documents (platform 1.15)


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        ([], 400, 0),
        ([{"op": "frob", "path": "/x", "value": True}], 400, 0),
        ([{"path": "/meta/flags/open", "value": True}], 400, 0),
        ([{"op": "replace", "path": "", "value": True}], 400, 0),
        ([{"op": "replace", "path": "  ", "value": True}], 400, 0),
        ([{"op": "replace", "path": "/meta/flags/open"}], 400, 0),
        ([{"op": "replace", "path": "/meta/flags/open", "value": None}], 400, 0),
        ([{"op": "copy", "path": "/meta/flags/open", "from": " "}], 400, 0),
        ([{"op": "move", "path": "/meta/flags/open"}], 400, 0),
        ([{"op": "add", "path": "/meta/flags/open", "value": True}], 501, 0),
        ([{"op": "test", "path": "/meta/flags/open", "value": True}], 501, 0),
        ([{"op": "remove", "path": "/meta/flags/open"}], 501, 0),
        ([{"op": "copy", "path": "/a", "from": "/b"}], 501, 0),
        ([{"op": "move", "path": "/a", "from": "/b"}], 501, 0),
    ],
)
def test_the_shape_of_a_patch_is_looked_at_before_the_right(
    api: Api, chat: Thing, bikes: Site, document: Any, status: int, code: int
) -> None:
    for by in (bikes.moderator, bikes.newcomer, None):
        answer = api.request("PATCH", chat.path, site=bikes, by=by, json=document)
        assert answer.status == status
        assert answer.code == code


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("/meta/flags/nothing", True, 0),
        ("/META/flags/open", True, 0),
        ("meta/flags/open", True, 0),
        ("/title", "x", 0),
        ("/meta/flags/open", "true", 3),
        ("/meta/flags/open", 1, 3),
        ("/meta/flags/open", [True], 3),
        ("/meta/flags/open", {}, 3),
    ],
)
def test_a_replacement_that_cannot_be_is_400_and_a_stranger_is_told_403(
    api: Api, chat: Thing, bikes: Site, path: str, value: Any, code: int
) -> None:
    document = [{"op": "replace", "path": path, "value": value}]

    answer = api.request("PATCH", chat.path, by=bikes.moderator, json=document)
    assert answer.status == 400
    assert answer.code == code
    assert api.request("PATCH", chat.path, by=bikes.newcomer, json=document).status == 403


def test_a_patch_is_applied_whole_or_not_at_all(api: Api, make: Factory, bikes: Site) -> None:
    mine = make.conversation(bikes)

    # The author may close it but not make it sticky.
    refused = api.patch(mine.path, ("open", False), ("sticky", True), by=bikes.member)
    assert refused.status == 403
    assert api.get(mine.path, by=bikes.member).data["meta"]["flags"]["open"] is True
    done = api.patch(mine.path, ("open", False), ("sticky", True), by=bikes.moderator)
    assert done.status == 200
    assert done.json()["data"] is None
    shown = api.get(mine.path, by=bikes.member).data["meta"]
    assert shown["flags"]["open"] is False
    assert shown["flags"]["sticky"] is True
    assert shown["editReason"] == "Set sticky to true"
    assert shown["editedBy"]["id"] == bikes.moderator.id


# ---------------------------------------------------------------- limits


@pytest.fixture(scope="module")
def limited(
    database_url: str, bikes: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with small limits, of one worker."""
    started = start_server(
        database_url,
        tmp_path_factory.mktemp("limited"),
        rate_limit_token_per_minute="6",
        rate_limit_address_per_minute="60",
        comment_rate_per_minute="3",
    )
    yield started
    started.stop()


@pytest.mark.wide
@pytest.mark.slow
def test_requests_of_a_token_are_counted_and_the_seventh_is_429(
    limited: Server, make: Factory, bikes: Site
) -> None:
    api = limited.api()
    by = make.person(bikes)
    for left in (5, 4, 3, 2, 1, 0):
        answer = api.get("/api/v1/whoami", by=by)
        assert answer.status == 200
        assert answer.headers["RateLimit-Limit"] == "6"
        assert answer.headers["RateLimit-Remaining"] == str(left)
        assert 0 < int(answer.headers["RateLimit-Reset"]) <= 60

    refused = api.get("/api/v1/whoami", by=by)
    assert refused.status == 429
    assert refused.code == 16
    assert 1 <= int(refused.headers["Retry-After"]) <= 10
    assert refused.headers["RateLimit-Remaining"] == "0"
    assert refused.statements == 0
    # Everybody has a limit of their own.
    assert api.get("/api/v1/whoami", by=make.person(bikes)).status == 200
    assert api.get("/api/v1/site", site=bikes).status == 200
    assert api.request("OPTIONS", "/api/v1/whoami", by=by).status == 200


@pytest.mark.wide
@pytest.mark.slow
def test_a_refused_request_says_what_is_left_too(
    limited: Server, make: Factory, bikes: Site
) -> None:
    api = limited.api()
    by = make.person(bikes)

    refused = api.get("/api/v1/conversations/987654321", by=by)

    assert refused.status == 403
    assert refused.headers["RateLimit-Remaining"] == "5"
    missing = api.post(COMMENTS, {}, by=by)
    assert missing.status == 400
    assert missing.headers["RateLimit-Remaining"] == "4"


@pytest.mark.slow
def test_comments_of_a_profile_are_limited_but_not_a_moderators(
    limited: Server, make: Factory, bikes: Site
) -> None:
    by = make.person(bikes)
    mine = make.conversation(bikes)
    api = limited.api()

    def post(who: Person, text: str) -> Response:
        return api.request(
            "POST",
            COMMENTS,
            by=who,
            body=comment_json(mine, markdown=text),
            headers={"Content-Type": JSON},
        )

    assert [post(by, f"n {n}").status for n in range(3)] == [302, 302, 302]
    refused = post(by, "one too many")
    assert refused.status == 429
    assert refused.code == 16
    assert int(refused.headers["Retry-After"]) >= 1
    # The same text again is no new comment.
    assert post(by, "n 0").status == 302
    assert [post(bikes.moderator, f"m {n}").status for n in range(5)] == [302] * 5


# ---------------------------------------------------------------- our own faults


@pytest.mark.slow
def test_a_fault_of_ours_is_told_without_its_inside(limited: Server, make: Factory) -> None:
    site = make.site()
    comment = make.comment(make.conversation(site))
    # A value that the database lets in and no writer of ours makes: the answer can't be worked out.
    make.sql(
        "UPDATE comments SET created = '4714-11-24 00:00:00+00 BC' WHERE comment_id = %(c)s",
        c=comment.id,
    )

    answer = limited.api().get(comment.path, site=site, headers={"X-Request-Id": "find-me"})

    assert answer.status == 500
    assert answer.error == "Internal error"
    assert answer.data == {
        "siteId": site.id,
        "errorCode": 0,
        "errorDetail": "Internal error",
        "code": "internal_error",
    }
    assert b"Traceback" not in answer.body
    assert b"psycopg" not in answer.body
    # Lines reach the log a moment later.
    deadline = time.monotonic() + 60
    while "find-me" not in (logged := limited.log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "Traceback" in logged
    assert "route=/api/v1/comments/{id}" in logged

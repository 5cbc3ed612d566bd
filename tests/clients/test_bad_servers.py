"""The Python client on servers that are slow, cut, lie, refuse, or are of another version."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.clients.stub import Request, answer, answering, refusal, stub

PROFILE = {"id": 1, "profileName": "ana"}
SITE = {"siteId": 1, "title": "Bikes"}


@pytest.fixture
def waits() -> list[float]:
    """Seconds that a client would have waited."""
    return []


@pytest.fixture
def connect(package: Any, waits: list[float]) -> Any:
    """Makes clients that note their waiting and do not wait."""

    def make(address: str, token: Any = "token", **limits: Any) -> Any:
        settings = package.Settings(**{"sleep": waits.append, **limits})
        # Reading the certificates of the world takes longer than most of these tests.
        transport = httpx.HTTPTransport(verify=False)
        return package.Client(address, token, settings=settings, transport=transport)

    return make


def page(number: int, last: int, href: str = "") -> dict[str, Any]:
    """A page of two conversations, and the way to the next."""
    links = [{"rel": "next", "href": href or f"/api/v1/conversations?offset={number + 1}"}]
    items = [{"id": number * 2 + place, "title": "T"} for place in (1, 2)]
    conversations = {"limit": 5, "links": links if number < last else [], "items": items}
    return {"conversations": conversations, "meta": {}}


@pytest.mark.wide
def test_a_server_that_is_silent_or_drips_is_left(package: Any, connect: Any) -> None:
    def drip(_: Request) -> Iterator[bytes]:
        yield answer(length=1000)
        while True:
            time.sleep(0.02)
            yield b" "

    def silent(_: Request) -> Iterator[bytes]:
        time.sleep(0.5)
        yield b""

    with stub(drip) as server, pytest.raises(package.TimedOut):
        connect(server.address, tries=1, deadline=0.2).this_site.get()
    with stub(silent) as server, pytest.raises(package.TimedOut):
        connect(server.address, tries=1, timeout=0.1).this_site.get()


@pytest.mark.wide
def test_an_answer_that_is_cut_is_asked_for_again(package: Any, connect: Any) -> None:
    cut = answer(data=SITE, length=5000)

    with answering(cut, answer(data=SITE)) as server:
        assert connect(server.address).this_site.get().title == "Bikes"
        assert len(server.requests) == 2
    with answering(cut) as server, pytest.raises(package.ConnectionFailed):
        connect(server.address, tries=3).this_site.get()
    assert len(server.requests) == 3


def test_a_length_that_is_too_short_is_no_answer(package: Any, connect: Any) -> None:
    with answering(answer(data=SITE, length=20)) as server, pytest.raises(package.BadAnswer):
        connect(server.address).this_site.get()


def test_a_write_is_repeated_under_its_key_and_never_without(package: Any, connect: Any) -> None:
    cut = answer(data=None, length=5000)
    body = {"itemType": "conversation", "itemId": 1, "markdown": "Hello"}

    with answering(cut, answer(201, {"id": 7})) as server:
        assert connect(server.address).comments.create(body).id == 7
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(keys) == 2 and len(set(keys)) == 1

    # Keys of guests are not looked at.
    for refused in (cut, refusal(503)):
        with answering(refused) as server, pytest.raises(package.ForumError):
            connect(server.address, "").comments.create(body)
        assert len(server.requests) == 1


def test_retry_after_is_obeyed_within_limits(
    package: Any, connect: Any, waits: list[float]
) -> None:
    busy = refusal(429, 16, Retry_After="2")
    body = {"microcosmId": 1, "title": "T"}

    with answering(busy, busy, answer(201, {"id": 7})) as server:
        assert connect(server.address, "").conversations.create(body).id == 7
    assert waits == [2, 2]

    with (
        answering(refusal(503, Retry_After="3600")) as server,
        pytest.raises(package.Unavailable) as refused,
    ):
        connect(server.address).this_site.get()
    assert len(server.requests) == 1 and refused.value.retry_after == 3600

    with answering(busy) as server, pytest.raises(package.RateLimitedError):
        connect(server.address, tries=3).this_site.get()
    assert len(server.requests) == 3

    waits.clear()
    with answering(refusal(503), answer(data=SITE)) as server:
        connect(server.address, first_wait=4).this_site.get()
    assert len(waits) == 1 and 0 <= waits[0] <= 4


def test_a_conflict_is_waited_for_only_if_it_passes(package: Any, connect: Any) -> None:
    body = {"microcosmId": 1, "title": "T"}

    with answering(refusal(409, Retry_After="1"), answer(201, {"id": 7})) as server:
        assert connect(server.address).conversations.create(body).id == 7
    with answering(refusal(409)) as server, pytest.raises(package.Conflict):
        connect(server.address).conversations.create(body)
    assert len(server.requests) == 1


def test_pages_of_a_proxy_are_no_answers(package: Any, connect: Any) -> None:
    html: dict[str, Any] = {"body": b"<h1>Oops</h1>", "Content_Type": "text/html"}

    with answering(answer(200, **html)) as server, pytest.raises(package.BadAnswer):
        connect(server.address).this_site.get()
    with answering(answer(502, **html)) as server, pytest.raises(package.BadGateway):
        connect(server.address, tries=2).this_site.get()
    assert len(server.requests) == 2
    with answering(answer(body=b'{"id": 1}')) as server, pytest.raises(package.BadAnswer):
        connect(server.address).this_site.get()


def test_an_answer_without_end_is_left(package: Any, connect: Any) -> None:
    with answering(answer(body=b"x" * 100_000)) as server, pytest.raises(package.BadAnswer):
        connect(server.address, largest_answer=50_000).this_site.get()


def test_what_a_newer_server_adds_is_kept_and_does_no_harm(package: Any, connect: Any) -> None:
    hit = {"itemType": "hologram", "item": {"id": 3}, "colour": "red"}
    results = {"limit": 5, "links": [], "items": [hit], "total": 1}
    data = {"query": {"q": "x"}, "results": results, "mood": "good"}

    with answering(answer(data=data, Brand_New="1")) as server:
        found = connect(server.address).search.get(q="x")
    assert found.raw["mood"] == "good"
    assert [one.raw for one in found.results()] == [hit]

    with answering(refusal(418, 999, "Teapot")) as server, pytest.raises(package.ApiError) as new:
        connect(server.address).this_site.get()
    assert (new.value.status, new.value.code) == (418, 999)


def test_what_an_older_server_lacks_is_said(package: Any, connect: Any) -> None:
    moved = answer(302, None, Location="/api/v1/conversations/7")
    body = {"microcosmId": 1, "title": "T"}

    # It knows no Prefer: the result is fetched.
    with answering(moved, answer(data={"id": 7})) as server:
        made = connect(server.address).conversations.create(body)
    assert made.id == 7 and server.requests[1].path == "/api/v1/conversations/7"
    with pytest.raises(AttributeError, match="title"):
        assert made.title

    with answering(moved, refusal(403, 9)) as server, pytest.raises(package.NotShown):
        connect(server.address).conversations.create(body)
    with answering(refusal(405)) as server, pytest.raises(package.MethodNotAllowed):
        connect(server.address).rules.list()


def test_a_token_that_expires_between_pages_is_renewed_or_told(package: Any, connect: Any) -> None:
    def script(request: Request) -> bytes:
        if request.path == "/api/v1/oauth/token":
            sent = request.body.decode()
            assert "refresh_token=refresh-1" in sent and "authorization" not in request.headers
            tokens = {"access_token": "new", "refresh_token": "refresh-2", "expires_in": 3600}
            return answer(body=json.dumps(tokens).encode())
        number = int(dict(request.query).get("offset", 0))
        if number and request.headers["authorization"] == "Bearer old":
            return refusal(401, 6, "The token has expired")
        return answer(data=page(number, 3))

    with stub(script) as server:
        client = connect(server.address, "old")
        told = []
        with pytest.raises(package.TokenExpiredError):
            for one in client.conversations.list():
                told.append(one.id)
        assert told == [1, 2]

        token = package.OAuthToken(client, 5, "old", "refresh-1")
        client.token = token
        assert [one.id for one in client.conversations.list()] == list(range(1, 9))
        assert token.refresh_token == "refresh-2"


def test_a_revoked_token_that_cannot_be_renewed_is_told(package: Any, connect: Any) -> None:
    def script(request: Request) -> bytes:
        if request.path == "/api/v1/oauth/token":
            return answer(400, body=b'{"error": "invalid_grant"}')
        return refusal(401, 7, "No such token")

    with stub(script) as server:
        client = connect(server.address)
        client.token = package.OAuthToken(client, 5, "old", "refresh-1")
        for _ in range(2):
            with pytest.raises(package.TokenInvalidError):
                client.whoami.get()
    asked = [request.path for request in server.requests].count("/api/v1/oauth/token")
    assert asked == 1


def test_pages_lead_neither_elsewhere_nor_in_circles(package: Any, connect: Any) -> None:
    with answering(answer(data=SITE)) as other:
        elsewhere = page(0, 3, f"{other.address}/api/v1/conversations?offset=1")
        with answering(answer(data=elsewhere)) as server, pytest.raises(package.BadAnswer):
            list(connect(server.address).conversations.list())
    assert other.requests == []

    circle = page(0, 3, "/api/v1/conversations?offset=1")
    with answering(answer(data=circle)) as server, pytest.raises(package.BadAnswer):
        list(connect(server.address).conversations.list())
    assert len(server.requests) == 2


def test_what_did_not_change_is_not_sent_again(package: Any, connect: Any) -> None:
    def script(request: Request) -> bytes:
        if request.headers.get("if-none-match") == '"1-a"':
            return answer(304, ETag='"1-a"', body=b"")
        return answer(data=SITE, ETag='"1-a"')

    with stub(script) as server:
        client = connect(server.address)
        assert client.this_site.get() == client.this_site.get()
        assert [r.headers.get("if-none-match") for r in server.requests] == [None, '"1-a"']
        # Another caller gets nothing of it.
        client.token = "another"
        client.this_site.get()
        assert "if-none-match" not in server.requests[-1].headers

        client.etags = package.EtagMemory(entries=2)
        for id in range(4):
            client.conversations.get(id)
        assert len(client.etags) == 2
        client.etags = package.EtagMemory(size=10)
        client.this_site.get()
        assert len(client.etags) == 0


def test_an_upload_tells_how_far_it_is(package: Any, connect: Any, tmp_path: Any) -> None:
    path = tmp_path / 'odd "name".txt'
    path.write_bytes(b"x" * 200_000)
    told: list[tuple[int, int]] = []

    with answering(answer(data=[{"fileHash": "a"}])) as server:
        files = [package.Upload.from_path(path), package.Upload("b.png", b"picture")]
        made = connect(server.address).files.create(
            files, progress=lambda sent, total: told.append((sent, total))
        )

    request = server.requests[0]
    assert made[0].fileHash == "a"
    assert [sent for sent, _ in told] == sorted(sent for sent, _ in told) and len(told) > 4
    assert told[-1] == (len(request.body),) * 2
    assert b'filename="odd %22name%22.txt"' in request.body
    assert b"Content-Type: image/png" in request.body


def frame(id: str, **members: Any) -> bytes:
    """A frame of the live stream."""
    made = json.dumps(members)
    return f"id: {id}\nevent: {members['type']}\ndata: {made}\n\n".encode()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
HELLO = b'retry: 3000\n\nevent: hello\ndata: {"type": "hello", "heartbeatSeconds": 25}\n\n'
COMMENT = {"id": 9, "markdown": "Hello"}


def live_answers() -> list[bytes]:
    """A stream that is cut within a frame, one with a gap, a server that is away, and one that says goodbye."""
    first = frame("c1", type="event", itemType="comment", itemId=9, document=COMMENT)
    half = frame("c2", type="event", itemType="comment", itemId=10)[:-20]
    gap = frame("c3", type="gap", topic="site", href="/api/v1/conversations/1")
    later = frame("c4", type="event", itemType="hologram", itemId=1)
    beat = frame("c5", type="heartbeat")
    bye = frame("c5", type="bye", reason="stopping", retryAfterMs={"min": 0, "max": 50})
    end = frame("c6", type="bye", reason="banned", retryAfterMs=None)
    return [
        HEAD + HELLO + first + half,
        HEAD + HELLO + gap + later.replace(b"\n", b"\r\n") + beat + bye,
        refusal(503, Retry_After="1"),
        HEAD + HELLO + end,
    ]


def test_a_stream_goes_on_behind_what_it_gave(
    package: Any, connect: Any, waits: list[float]
) -> None:
    told = []

    with answering(*live_answers()) as server, pytest.raises(package.LiveEnded) as ended:
        for one in connect(server.address).live.stream_events(topic=["site", "updates"]):
            told.append((one.type, one.itemId, one.href))
            if one.itemType == "comment":
                assert one.document.markdown == "Hello"

    assert told == [
        ("event", 9, None),
        ("gap", None, "/api/v1/conversations/1"),
        ("event", 1, None),
    ]
    assert ended.value.reason == "banned"
    sent = [request.headers.get("last-event-id") for request in server.requests]
    assert sent == [None, "c1", "c5", "c5"]
    assert server.requests[0].query == [("topic", "site"), ("topic", "updates")]
    assert 1 in waits


def test_a_stream_that_is_refused_ends(package: Any, connect: Any) -> None:
    with answering(refusal(403, 9)) as server, pytest.raises(package.Forbidden):
        list(connect(server.address).live.stream_events(topic="site"))
    with answering(answer(data=SITE)) as server, pytest.raises(package.BadAnswer):
        list(connect(server.address).live.stream_events(topic="site"))

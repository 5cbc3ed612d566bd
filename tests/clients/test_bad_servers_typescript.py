"""The TypeScript client, in Node, on the bad servers that the Python client meets."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.conftest import Node
from tests.clients.stub import Request, answer, answering, refusal, stub
from tests.clients.test_bad_servers import COMMENT, SITE, live_answers, page

pytestmark = [pytest.mark.wide, pytest.mark.slow]

# `tell` gives what a call comes to: its data, or the classes and members of its error.
TELL = """
const waits = [];
const open = (token = "token", limits = {}) =>
  new Client(given.address, token, { sleep: async milliseconds => { waits.push(milliseconds); }, ...limits });
const tell = async call => {
  try {
    return { data: await call() };
  } catch (error) {
    if (!(error instanceof ForumError)) throw error;
    const is = Object.entries(codes).filter(([, code]) => error instanceof code).map(([name]) => name);
    const { status, code, retryAfter, reason, message } = error;
    return { error: error.constructor.name, is, status, code, retryAfter, reason, message };
  }
};
"""


def play(node: Node, server: Any, program: str, **given: Any) -> Any:
    """Return the result of a program on a server."""
    return node.run(TELL + program, address=server.address, **given)


def test_a_server_that_is_silent_or_drips_is_left(node: Node) -> None:
    def drip(_: Request) -> Iterator[bytes]:
        yield answer(length=1000)
        while True:
            time.sleep(0.02)
            yield b" "

    with stub(drip) as server:
        found = play(
            node,
            server,
            "return tell(() => open('', { tries: 1, timeout: 200 }).thisSite.get())",
        )
    assert found["error"] == "TimedOut"


def test_an_answer_that_is_cut_is_asked_for_again(node: Node) -> None:
    cut = answer(data=SITE, length=5000)

    with answering(cut, answer(data=SITE)) as server:
        found = play(node, server, "return tell(() => open().thisSite.get())")
        assert found["data"] == SITE and len(server.requests) == 2
    with answering(cut) as server:
        found = play(node, server, "return tell(() => open('', { tries: 3 }).thisSite.get())")
    assert found["error"] == "ConnectionFailed" and len(server.requests) == 3
    with answering(answer(data=SITE, length=20)) as server:
        found = play(node, server, "return tell(() => open('', { tries: 1 }).thisSite.get())")
    assert found["error"] in ("BadAnswer", "ConnectionFailed")


def test_a_write_is_repeated_under_its_key_and_never_without(node: Node) -> None:
    cut = answer(data=None, length=5000)
    body = {"itemType": "conversation", "itemId": 1, "markdown": "Hello"}

    with answering(cut, answer(201, {"id": 7})) as server:
        program = "return tell(() => open().comments.create(given.body))"
        assert play(node, server, program, body=body)["data"] == {"id": 7}
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(keys) == 2 and len(set(keys)) == 1

    for refused in (cut, refusal(503)):
        with answering(refused) as server:
            program = "return tell(() => open('').comments.create(given.body))"
            assert "error" in play(node, server, program, body=body)
        assert len(server.requests) == 1


def test_retry_after_is_obeyed_within_limits(node: Node) -> None:
    busy = refusal(429, 16, Retry_After="2")
    program = "return [await tell(() => open().thisSite.get()), waits]"

    with answering(busy, busy, answer(data=SITE)) as server:
        assert play(node, server, program) == [{"data": SITE}, [2000, 2000]]
    with answering(refusal(503, Retry_After="3600")) as server:
        found, waits = play(node, server, program)
    assert (found["error"], found["retryAfter"]) == ("Unavailable", 3600)
    assert waits == [] and len(server.requests) == 1
    with answering(busy) as server:
        found, _ = play(node, server, program)
    assert found["is"] == ["RateLimited"] and len(server.requests) == 4


def test_what_a_write_answers_within_200_counts(node: Node) -> None:
    """Writes ask for the status line 200, so that no browser follows a redirect by itself."""
    body = {"microcosmId": 1, "title": "T"}
    program = "return tell(() => open().conversations.create(given.body))"

    def within(status: int, code: int = 0, **headers: Any) -> bytes:
        detail = {"errorCode": code, "errorDetail": "No"} if status >= 400 else None
        told = {"context": "", "status": status, "data": detail, "error": ["No"]}
        return answer(body=json.dumps(told).encode(), length=None, **headers)

    with answering(within(409, Retry_After="1"), within(403, 10)) as server:
        found = play(node, server, program, body=body)
        assert found["error"] == "Forbidden" and found["is"] == ["NoCreate"]
    assert server.requests[0].headers["x-always-200"] and len(server.requests) == 2

    # An older server, which knows no Prefer.
    moved = within(302, Location="/api/v1/conversations/7")
    with answering(moved, answer(data={"id": 7})) as server:
        assert play(node, server, program, body=body) == {"data": {"id": 7}}
    with answering(moved, refusal(403, 9)) as server:
        assert play(node, server, program, body=body)["error"] == "NotShown"


def test_pages_of_a_proxy_and_answers_without_end_are_no_answers(node: Node) -> None:
    html: dict[str, Any] = {"body": b"<h1>Oops</h1>", "Content_Type": "text/html"}
    program = "return tell(() => open('', { tries: 2, largestAnswer: 50000 }).thisSite.get())"

    for bad in (answer(200, **html), answer(body=b'{"id": 1}'), answer(body=b"x" * 100_000)):
        with answering(bad) as server:
            assert play(node, server, program)["error"] == "BadAnswer"
    with answering(answer(502, **html)) as server:
        assert play(node, server, program)["error"] == "BadGateway"
    assert len(server.requests) == 2


def test_what_a_newer_server_adds_is_kept_and_does_no_harm(node: Node) -> None:
    hit = {"itemType": "hologram", "item": {"id": 3}, "colour": "red"}
    results = {"limit": 5, "links": [], "items": [hit], "total": 1}
    data = {"query": {"q": "x"}, "results": results, "mood": "good"}

    with answering(answer(data=data)) as server:
        program = (
            "const found = await open().search.get({ q: 'x' }); const hits = [];"
            "for await (const hit of found.results) hits.push(hit); return [found, hits];"
        )
        assert play(node, server, program) == [data, [hit]]
    with answering(refusal(418, 999)) as server:
        found = play(node, server, "return tell(() => open().thisSite.get())")
    assert (found["error"], found["status"], found["code"]) == ("ApiError", 418, 999)


def test_a_token_that_expires_between_pages_is_renewed_or_told(node: Node) -> None:
    def script(request: Request) -> bytes:
        if request.path == "/api/v1/oauth/token":
            assert "refresh_token=refresh-1" in request.body.decode()
            tokens = {"access_token": "new", "refresh_token": "refresh-2", "expires_in": 3600}
            return answer(body=json.dumps(tokens).encode())
        number = int(dict(request.query).get("offset", 0))
        if number and request.headers["authorization"] == "Bearer old":
            return refusal(401, 6, "The token has expired")
        return answer(data=page(number, 3))

    program = """
const site = open("old");
const walk = async told => {
  for await (const one of await site.conversations.list()) told.push(one.id);
  return told;
};
const before = [];
const refused = await tell(() => walk(before));
const token = site.token = new OAuthToken(site, { clientId: 5 }, "old", "refresh-1");
return [before, refused.is, await walk([]), token.refreshToken];
"""
    with stub(script) as server:
        found = play(node, server, program)
    assert found == [[1, 2], ["TokenExpired"], list(range(1, 9)), "refresh-2"]


def test_pages_lead_neither_elsewhere_nor_in_circles(node: Node) -> None:
    program = (
        "return tell(async () => { for await (const one of await open().conversations.list()); })"
    )

    with answering(answer(data=SITE)) as other:
        elsewhere = page(0, 3, f"{other.address}/api/v1/conversations?offset=1")
        with answering(answer(data=elsewhere)) as server:
            assert play(node, server, program)["error"] == "BadAnswer"
    assert other.requests == []
    circle = page(0, 3, "/api/v1/conversations?offset=1")
    with answering(answer(data=circle)) as server:
        assert play(node, server, program)["error"] == "BadAnswer"
    assert len(server.requests) == 2


def test_what_did_not_change_is_not_sent_again(node: Node) -> None:
    def script(request: Request) -> bytes:
        if request.headers.get("if-none-match") == '"1-a"':
            return answer(304, ETag='"1-a"', body=b"")
        return answer(data=SITE, ETag='"1-a"')

    program = """
const site = open("token", { etags: 1 });
await site.thisSite.get();
const again = await site.thisSite.get();
site.token = "another";
await site.thisSite.get();
site.token = "token";
await site.thisSite.get();
return again;
"""
    with stub(script) as server:
        assert play(node, server, program) == SITE
    # Of one caller nothing is another's, and only one answer is kept.
    sent = [request.headers.get("if-none-match") for request in server.requests]
    assert sent == [None, '"1-a"', None, None]


def test_an_upload_tells_how_far_it_is(node: Node) -> None:
    program = """
const told = [];
const content = new Blob(["x".repeat(300000)]);
const made = await open().files.create([{ name: "a.txt", content }], {
  onProgress: (sent, total) => told.push([sent, total]),
});
return [made, told];
"""
    with answering(answer(data=[{"fileHash": "a"}])) as server:
        made, told = play(node, server, program)
    size = len(server.requests[0].body)
    assert made == [{"fileHash": "a"}] and told[-1] == [size, size] and len(told) > 2


def test_a_stream_goes_on_behind_what_it_gave(node: Node) -> None:
    program = """
const told = [];
const ended = await tell(async () => {
  const stream = await open().live.streamEvents({ topic: ["site", "updates"] });
  for await (const frame of stream) told.push([frame.type, frame.itemId ?? frame.href, frame.document]);
});
return [told, ended.reason, waits];
"""
    with answering(*live_answers()) as server:
        told, reason, waits = play(node, server, program)

    assert told == [
        ["event", 9, COMMENT],
        ["gap", "/api/v1/conversations/1", None],
        ["event", 1, None],
    ]
    assert reason == "banned" and 1000 in waits
    sent = [request.headers.get("last-event-id") for request in server.requests]
    assert sent == [None, "c1", "c5", "c5"]
    assert server.requests[0].query == [("topic", "site"), ("topic", "updates")]

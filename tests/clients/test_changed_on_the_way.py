"""Both clients on a real server whose answers are changed on the way: shorter than they should be, or of another
version; and on one that revokes the token between two pages.
"""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.api import Api
from tests.clients.conftest import Local, Node
from tests.clients.stub import Request, Stub, answer, stub
from tests.clients.test_bad_servers_typescript import TELL
from tests.factories import Factory, Site, Thing
from tests.fixtures import Server

pytestmark = [pytest.mark.wide, pytest.mark.slow]

# Five fit a page.
TEXTS = [f"Number {number}" for number in range(12)]
_HOP_BY_HOP = {"connection", "content-length", "keep-alive", "transfer-encoding"}

Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def relay(
    server: Server,
    change: Callable[[Request, Answer], bytes],
    **more: str | None,
) -> Iterator[Stub]:
    """A server that hands every request on to the real one, and its answer through `change`.

    `more`: headers of the request that it sets, or leaves out (None).
    """
    set_by_us = {name.replace("_", "-"): value for name, value in more.items()}

    def script(request: Request) -> bytes:
        given = {name: request.headers[name] for name in request.headers.keys() - _HOP_BY_HOP}
        headers = {name: value for name, value in (given | set_by_us).items() if value is not None}
        connection = http.client.HTTPConnection(*server.address, timeout=60)
        try:
            connection.request(request.method, request.target, request.body, headers)
            found = connection.getresponse()
            return change(request, (found.status, dict(found.getheaders()), found.read()))
        finally:
            connection.close()

    with stub(script) as server_between:
        yield server_between


def sent(given: Answer, *, length: int | None = None) -> bytes:
    """Bytes of an answer; `length` is what its header says."""
    status, headers, body = given
    # The stub names the origins, and the length, itself.
    left = {
        name: value
        for name, value in headers.items()
        if name.lower() not in {*_HOP_BY_HOP, "access-control-allow-origin"}
    }
    return answer(status, body=body, length=length, **left)


class Caller:
    """Calls by both clients on a site that is reached through another address."""

    def __init__(self, package: Any, node: Node, site: Site) -> None:
        self.package = package
        self._node = node
        self._site = site

    def python(self, between: Stub, token: str, **settings: Any) -> Any:
        """Return a client in this process."""
        host, _, port = between.address.removeprefix("http://").partition(":")
        return self.package.Client(
            f"http://{self._site.host}:{port}",
            token,
            settings=self.package.Settings(**{"sleep": lambda _: None, **settings}),
            transport=Local((host, int(port))),
        )

    def typescript(self, between: Stub, program: str, **given: Any) -> Any:
        """Return the result of a program in Node."""
        port = between.address.rpartition(":")[2]
        return self._node.run(TELL + program, address=f"http://{self._site.host}:{port}", **given)


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


@pytest.fixture
def chat(make: Factory, site: Site) -> Thing:
    made = make.conversation(site)
    for text in TEXTS:
        make.comment(made, markdown=text)
    return made


@pytest.fixture
def caller(package: Any, node: Node, site: Site) -> Caller:
    return Caller(package, node, site)


WALK = """
const told = [];
const site = open(given.token, { tries: 2 });
const ended = await tell(async () => {
  const chat = await site.conversations.get(given.id, { limit: 5 });
  for await (const one of chat.comments) {
    told.push(one.markdown);
    if (given.door && told.length === 5) await fetch(given.door, { method: "POST" });
  }
});
return [told, ended];
"""


def walk(client: Any, id: int, at_fifth: Callable[[], Any] = lambda: None) -> Iterator[str]:
    """Texts of a conversation's comments, page by page; `at_fifth` is called between the first two."""
    for number, one in enumerate(client.conversations.get(id, limit=5).comments(), 1):
        yield one.markdown
        if number == 5:
            at_fifth()


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_page_that_ends_too_early_is_no_page(
    server: Server, caller: Caller, site: Site, chat: Thing, encoding: str
) -> None:
    def change(request: Request, given: Answer) -> bytes:
        status, headers, body = given
        if encoding == "gzip":
            headers, body = {**headers, "Content-Encoding": encoding}, gzip.compress(body)
        is_later = "offset" in dict(request.query)
        return sent((status, headers, body), length=len(body) - 30 if is_later else None)

    with relay(server, change, accept_encoding="identity") as between:
        told: list[str] = []
        with pytest.raises((caller.package.BadAnswer, caller.package.ConnectionFailed)):
            for text in walk(caller.python(between, site.member.token, tries=2), chat.id):
                told.append(text)
        assert told == TEXTS[:5]

        told, ended = caller.typescript(between, WALK, token=site.member.token, id=chat.id)
    assert told == TEXTS[:5] and ended["error"] in ("BadAnswer", "ConnectionFailed")


def test_a_write_whose_answer_ends_too_early_is_done_once(
    api: Api, server: Server, caller: Caller, site: Site, make: Factory
) -> None:
    chat = make.conversation(site)

    def body(text: str) -> dict[str, Any]:
        return {"itemType": "conversation", "itemId": chat.id, "markdown": text}

    def change(request: Request, given: Answer) -> bytes:
        is_first = sum(one.method == "POST" for one in between.requests) == 1
        return sent(given, length=len(given[2]) - 30 if is_first else None)

    with relay(server, change) as between:
        python = caller.python(between, site.member.token)
        try:
            made = python.comments.create(body("Python"), idempotency_key="a")
        except caller.package.BadAnswer:
            made = python.comments.create(body("Python"), idempotency_key="a")
    with relay(server, change) as between:
        program = """
const write = () => open(given.token).comments.create(given.body, { idempotencyKey: "b" });
const first = await tell(write);
return first.error === "BadAnswer" ? tell(write) : first;
"""
        given = {"token": site.member.token, "body": body("TypeScript")}
        found = caller.typescript(between, program, **given)

    assert made.markdown == "Python" and found["data"]["markdown"] == "TypeScript"
    comments = api.get(f"/api/v1/conversations/{chat.id}", by=site.member).data["comments"]
    assert [one["markdown"] for one in comments["items"]] == ["Python", "TypeScript"]


WRITE = """
const site = open(given.token);
const body = { microcosmId: given.root, title: "Written" };
const made = await site.conversations.create(body);
const found = await site.conversations.get(given.id, { limit: 5 });
const refused = await tell(() => site.conversations.get(2 ** 40));
return [made.title, found.mood, found.title, refused];
"""


def test_a_server_that_is_older_by_a_version_is_used(
    server: Server, caller: Caller, site: Site, chat: Thing
) -> None:
    """It knows no `Prefer` and no `Idempotency-Key`, sends no entity tag, and its refusals have no code."""

    def change(_: Request, given: Answer) -> bytes:
        status, headers, body = given
        told = json.loads(body) if body else {}
        if status >= 400 or told.get("status", 0) >= 400:
            told["data"] = None
        elif isinstance(told.get("data"), dict):
            told["data"].pop("breadcrumb", None)
        kept = {name: value for name, value in headers.items() if name.lower() != "etag"}
        return sent((status, kept, json.dumps(told).encode() if body else body))

    older = dict.fromkeys(("prefer", "idempotency_key", "if_none_match"))
    with relay(server, change, accept_encoding="identity", **older) as between:
        python = caller.python(between, site.member.token)
        made = python.conversations.create({"microcosmId": site.root_id, "title": "Written"})
        found = python.conversations.get(chat.id, limit=5)
        with pytest.raises(caller.package.ApiError) as refused:
            python.conversations.get(2**40)
        assert made.title == "Written" and [*walk(python, chat.id)] == TEXTS
        with pytest.raises(AttributeError, match="breadcrumb"):
            assert found.breadcrumb
        assert refused.value.status in (403, 404) and refused.value.code == 0

        given = {"token": site.member.token, "root": site.root_id, "id": chat.id}
        title, _, _, told = caller.typescript(between, WRITE, **given)
        assert title == "Written" and told["status"] == refused.value.status
        assert told["code"] == 0 and told["is"] == []
        walked = caller.typescript(between, WALK, token=site.member.token, id=chat.id)
    assert walked == [TEXTS, {}]


def test_a_server_that_is_newer_by_a_version_is_used(
    server: Server, caller: Caller, site: Site, chat: Thing
) -> None:
    """It has members, headers, types of things and codes of errors of which the client knows nothing."""

    def newer(part: Any) -> Any:
        if isinstance(part, list):
            return [newer(one) for one in part]
        if not isinstance(part, dict):
            return part
        renamed = {"itemType": "hologram"} if "itemType" in part else {}
        return {"mood": "good", **{key: newer(one) for key, one in part.items()}, **renamed}

    def change(_: Request, given: Answer) -> bytes:
        status, headers, body = given
        told = json.loads(body) if body else {}
        if isinstance(told.get("data"), dict):
            told = {**told, "data": newer(told["data"]), "next": True}
            if "errorCode" in told["data"]:
                told["data"] |= {"errorCode": 999, "code": "teapot"}
        return sent(
            (status, {**headers, "X-Brand-New": "1"}, json.dumps(told).encode() if body else body)
        )

    with relay(server, change, accept_encoding="identity") as between:
        python = caller.python(between, site.member.token)
        made = python.conversations.create({"microcosmId": site.root_id, "title": "Written"})
        found = python.conversations.get(chat.id, limit=5)
        with pytest.raises(caller.package.ApiError) as refused:
            python.conversations.get(2**40)
        assert made.title == "Written" and found.raw["mood"] == "good"
        assert [*walk(python, chat.id)] == TEXTS
        assert refused.value.code == 999

        given = {"token": site.member.token, "root": site.root_id, "id": chat.id}
        title, mood, _, told = caller.typescript(between, WRITE, **given)
        assert (title, mood) == ("Written", "good")
        assert (told["status"], told["code"], told["is"]) == (refused.value.status, 999, [])
        walked = caller.typescript(between, WALK, token=site.member.token, id=chat.id)
    assert walked == [TEXTS, {}]


def test_a_token_that_is_revoked_between_pages_is_told(
    api: Api, server: Server, caller: Caller, site: Site, chat: Thing
) -> None:
    """Texts that came before are kept, and the server is not asked again with a token that is worth nothing."""
    asked: list[str] = []

    def key() -> Any:
        body = {"name": "Reader", "scopes": ["conversations:read", "comments:read"]}
        return api.post("/api/v1/keys", body, by=site.member).data

    def revoke(id: int) -> bytes:
        gone = api.request("DELETE", f"/api/v1/keys/{id}", by=site.member)
        assert gone.status == 200, gone.body
        return answer()

    def change(request: Request, given: Answer) -> bytes:
        asked.append(request.target)
        return sent(given)

    with relay(server, change) as between:
        made = key()
        told: list[str] = []
        python = caller.python(between, made["secret"])
        with pytest.raises(caller.package.TokenInvalidError) as refused:
            for text in walk(python, chat.id, lambda: revoke(made["id"])):
                told.append(text)
        assert told == TEXTS[:5] and refused.value.status == 401 and len(asked) == 2

        made = key()
        asked.clear()
        with stub(lambda _: revoke(made["id"])) as door:
            told, ended = caller.typescript(
                between, WALK, token=made["secret"], id=chat.id, door=door.address
            )
    assert told == TEXTS[:5] and len(asked) == 2
    assert (ended["status"], ended["is"]) == (401, ["TokenInvalid"])

"""The TypeScript client in a page of another origin: it reads, writes, changes, uploads with progress, and follows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from selenium.webdriver import Chrome

from tests.clients import conftest as clients
from tests.clients.cases import cases, mismatch
from tests.clients.conftest import Node
from tests.clients.stub import answer, stub
from tests.factories import Factory
from tests.fixtures import Server

pytestmark = [pytest.mark.slow, pytest.mark.wide]

node = clients.node


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Tests say what happens."""


@pytest.fixture
def modules(node: Node) -> Iterator[str]:
    """The address of a page's own host, which serves the client's modules."""
    handler = partial(_Quiet, directory=str(node.modules))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def run(browser: Chrome, modules: str, program: str, **given: Any) -> Any:
    """Return what the body of an async function returns in a page."""
    browser.get(f"{modules}/errors.js")
    browser.set_script_timeout(60)
    result = browser.execute_async_script(
        "const [given, done] = arguments;"
        f"import('{modules}/index.js').then(async client => {{ const {{ Client, NotFound, codes }} = client;"
        f"{program} }}).then(done, error => done({{ failure: String(error) }}));",
        given,
    )
    assert not (isinstance(result, dict) and "failure" in result), result
    return result


def test_a_page_is_a_whole_client(
    browser: Chrome, modules: str, server: Server, make: Factory
) -> None:
    site = make.site()
    chat = make.conversation(site)
    for _ in range(7):
        make.comment(chat)
    program = """
const site = new Client(given.address, given.token);
let comments = 0;
const read = await site.conversations.get(given.chat, { limit: 5 });
for await (const comment of read.comments) comments++;
const frames = [];
const stream = await site.live.streamEvents({ topic: `conversation/${given.chat}` });
const following = (async () => { for await (const frame of stream) { frames.push(frame.kind); break; } })();
const made = await site.conversations.create({ microcosmId: given.root, title: "From a page" });
const changed = await site.conversations.update(made.id, { title: "Changed", meta: { editReason: "better" } });
const timer = setInterval(() => site.comments.create(
  { itemType: "conversation", itemId: given.chat, markdown: `Hello ${Math.random()}` }), 500);
await following;
clearInterval(timer);
const told = [];
const [file] = await site.files.create([new File(["x".repeat(500000)], "notes.bin")], {
  onProgress: (sent, total) => told.push(sent / total),
});
const back = await site.files.get(file.fileHash);
const none = await site.profiles.get(999999).catch(error => error instanceof NotFound);
const refused = await new Client(given.address).conversations.create({ microcosmId: given.root, title: "No" })
  .catch(error => error instanceof codes.NoCreate);
const again = await site.conversations.get(given.chat);
return { comments, frames, title: changed.title, progress: told.at(-1), size: back.size, none, refused, id: again.id };
"""

    found = run(
        browser,
        modules,
        program,
        address=f"http://{site.host}:{server.address[1]}",
        token=site.member.token,
        chat=chat.id,
        root=site.root_id,
    )

    assert found == {
        "comments": 7,
        "frames": ["created"],
        "title": "Changed",
        "progress": 1,
        "size": 500_000,
        "none": True,
        "refused": True,
        "id": chat.id,
    }


def test_a_page_sends_what_the_document_says(browser: Chrome, modules: str) -> None:
    """Every operation, from a page."""
    played = cases()
    calls = [
        {
            "group": case.operation.group,
            "method": case.operation.method,
            "path": case.path,
            "sends": case.operation.sends,
            "body": case.body,
            "options": {
                option.option: case.options[option.name]
                for option in case.operation.options
                if option.name in case.options
            },
        }
        for case in played
    ]
    turn = iter(played)
    allowed = {
        "Access_Control_Allow_Headers": "*, Authorization",
        "Access_Control_Allow_Methods": "GET, POST, PUT, PATCH, DELETE",
        "Access_Control_Max_Age": "600",
    }

    def script(request: Any) -> bytes:
        if request.method == "OPTIONS":
            return answer(204, body=b"", length=None, **allowed)
        made = next(turn).answer
        return made.replace(b"\r\n", b"\r\nAccess-Control-Expose-Headers: *\r\n", 1)

    program = """
const site = new Client(given.address, "token");
for (const { group, method, path, sends, body, options } of given.calls) {
  const sent = sends === "files" ? body.map(([name, text]) => new File([text], name)) : body;
  await site[group][method](...path, ...(sends ? [sent] : []), options);
}
return "all";
"""
    with stub(script) as server:
        assert run(browser, modules, program, address=server.address, calls=calls) == "all"

    sent = [request for request in server.requests if request.method != "OPTIONS"]
    differences = [
        f"{case.operation.id}: {difference}"
        for case, one in zip(played, sent, strict=True)
        if (difference := mismatch(case, one))
    ]
    assert differences == []

"""Examples of the reference: each call, in each language, sends what was recorded, and each client returns the data
that was recorded as its answer.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import httpx
import pytest

from forumapi.apidocs import openapi
from forumapi.apidocs.reference.call_examples import CallExamples, call_examples
from tests.clients.cases import Case, cases
from tests.clients.conftest import Node
from tests.clients.stub import Request, Stub, answer, stub
from tests.clients.test_every_operation import raw

# Each run plays every twelfth example, the wide one all.
PARTS = [
    pytest.param(12, id="some"),
    pytest.param(1, id="all", marks=[pytest.mark.wide, pytest.mark.slow]),
]


class Played(NamedTuple):
    """Example with the exchange that it was made of, and the case of the same operation."""

    case: Case
    recorded: dict[str, Any]
    texts: CallExamples

    @property
    def data(self) -> Any:
        """The data of the recorded answer, None if it had none or was a redirect."""
        answered: dict[str, Any] = self.recorded.get("answer", {})
        is_of_data = self.case.operation.gives == "data" and self.recorded["status"] < 300
        return answered.get("data") if is_of_data else None

    @property
    def answer(self) -> bytes:
        """The recorded answer; if it had no data, that of the case, which fits the operation as well."""
        if self.data is None:
            return self.case.answer
        return answer(self.recorded["status"], body=json.dumps(self.recorded["answer"]).encode())


def examples(step: int) -> list[Played]:
    """Return each `step`-th of them; the live stream, which does not end, has none."""
    recorded = openapi.recorded()
    return [
        Played(one, found, call_examples(one.operation, found, is_open=False))
        for one in cases()
        if (found := recorded.get(one.operation.id))
    ][::step]


def mismatch(one: Played, sent: Request) -> str:
    """Return the difference from what was recorded, "" for none."""
    verb, _, target = one.recorded["request"].partition(" ")
    path, _, query = target.partition("?")
    known = {option.name: option.schema.get("type") for option in one.case.operation.options}
    wanted = [
        # 1 is as good a way to say it.
        (name, "true" if known[name] == "boolean" and value == "1" else value)
        for name, value in parse_qsl(query, keep_blank_values=True)
        if name in known
    ]
    if (sent.method, sent.path) != (verb, unquote(path)):
        return f"{sent.method} {sent.path} is not {one.recorded['request']}"
    if sorted(sent.query) != sorted(wanted):
        return f"query {sent.query} is not {wanted}"
    sends = one.case.operation.sends
    if sends == "files" and b'filename="wheel.txt"' not in sent.body:
        return f"no file in {sent.body!r}"
    if sends == "json" and json.loads(sent.body) != one.recorded.get("body", {}):
        return f"body {sent.body!r}"
    if sends == "form" and dict(parse_qsl(sent.body.decode())) != one.recorded["form"]:
        return f"body {sent.body!r}"
    return ""


def wrong(played: list[Played], server: Stub) -> list[str]:
    """Return what was sent in another way than it was recorded, a text each."""
    return [
        f"{one.case.operation.id}: {difference}"
        for one, sent in zip(played, server.requests, strict=True)
        if (difference := mismatch(one, sent))
    ]


def answering(played: list[Played]) -> Any:
    turn = iter(played)
    return lambda request: next(turn).answer


def changed(played: list[Played], results: list[Any]) -> list[str]:
    """Return the operations whose recorded data is not what the client returned."""
    pairs = zip(played, results, strict=True)
    return [one.case.operation.id for one, got in pairs if one.data is not None and got != one.data]


@pytest.fixture(autouse=True)
def _file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheel.txt").write_text("round")
    monkeypatch.chdir(tmp_path)


@pytest.mark.wide
@pytest.mark.parametrize("step", PARTS)
def test_examples_in_python_send_what_was_recorded(package: Any, step: int) -> None:
    played = examples(step)
    with stub(answering(played)) as server:
        site = package.Client(server.address, "token", transport=httpx.HTTPTransport(verify=False))
        known = {"site": site, "Upload": package.Upload}
        results = [raw(eval(one.texts.python, known)) for one in played]
        site.close()
    assert wrong(played, server) == []
    assert changed(played, results) == []


@pytest.mark.wide
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("step", PARTS)
def test_examples_with_curl_send_what_was_recorded(step: int) -> None:
    played = examples(step)
    quiet = 'curl() { command curl --silent --output /dev/null "$@"; }'
    with stub(answering(played)) as server:
        begun = f"{quiet}\nsite={server.address}; token=token"
        lines = "\n".join((begun, *(one.texts.curl for one in played)))
        subprocess.run(["bash", "-euc", lines], check=True, timeout=120)
    assert wrong(played, server) == []
    assert all(one.headers["authorization"] == "Bearer token" for one in server.requests)


@pytest.mark.wide
@pytest.mark.slow
def test_examples_in_typescript_send_what_was_recorded(node: Node) -> None:
    played = examples(1)
    with stub(answering(played)) as server:
        texts = [one.texts.typescript for one in played]
        results = node.run(_PLAY, address=server.address, texts=texts)
    assert wrong(played, server) == []
    assert changed(played, results) == []
    assert sum(one.data is not None for one in played) > 200


_PLAY = """
const site = new Client(given.address, "token");
const file = { name: "wheel.txt", content: new Blob(["round"]) };
const Call = Object.getPrototypeOf(async () => {}).constructor;
const results = [];
for (const text of given.texts) results.push(await new Call("site", "file", `return ${text}`)(site, file));
return results;
"""


def test_long_values_are_written_in_lines_of_their_own() -> None:
    one = next(one for one in examples(1) if one.case.operation.id == "createComment")
    body = {"markdown": "w" * 60, "meta": {"is": True, "x-y": None}, "list": [1]}
    texts = call_examples(one.case.operation, {**one.recorded, "body": body}, is_open=True)

    assert "Authorization" not in texts.curl
    assert eval(re.sub(r"^site\.comments\.create", "", texts.python)) == body
    assert '    "meta": {"is": True, "x-y": None},\n' in texts.python
    assert '  meta: {is: true, "x-y": null},\n' in texts.typescript

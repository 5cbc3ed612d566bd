"""Every operation through each client: what is sent is what the document says, and the answer comes back whole."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from forumapi.apidocs.client_operations import snake
from tests import schema_check
from tests.clients.cases import LOCATION, Case, cases, mismatch
from tests.clients.conftest import Node
from tests.clients.stub import Script, stub


def _python(package: Any, client: Any, case: Case) -> Any:
    """The result of the call."""
    one = case.operation
    method = getattr(getattr(client, snake(one.group)), snake(one.method))
    options = {}
    for name, value in case.options.items():
        option = next(option for option in one.options if option.name == name)
        called = snake(name) if option.place == "header" else name
        options[called + "_" * (called in ("from", "body"))] = value
    body = case.body
    if one.sends == "files":
        body = [package.Upload(name, text.encode()) for name, text in case.body]
    return method(*case.path, *([body] if one.sends else []), **options)


def raw(result: Any) -> Any:
    """Return the part of an answer that a result was made of."""
    if isinstance(result, list):
        return [raw(one) for one in result]
    return getattr(result, "raw", result)


# Each run plays every twelfth case, the wide one all.
PARTS = [
    pytest.param(12, id="some"),
    pytest.param(1, id="all", marks=[pytest.mark.wide, pytest.mark.slow]),
]


def _answering(played: list[Case]) -> Script:
    turn = iter(played)
    return lambda request: next(turn).answer


@pytest.mark.wide
@pytest.mark.parametrize("step", PARTS)
def test_python_sends_what_the_document_says(package: Any, step: int) -> None:
    played = cases(step)
    wrong = []

    with stub(_answering(played)) as server:
        client = package.Client(
            server.address, "token", transport=httpx.HTTPTransport(verify=False)
        )
        for case in played:
            result = raw(_python(package, client, case))
            if difference := mismatch(case, server.requests[-1]):
                wrong.append(f"{case.operation.id}: {difference}")
            expected = LOCATION if case.operation.gives == "location" else case.data
            if isinstance(result, bytes):
                result = result.decode()
            if (
                case.operation.gives != "data" or case.operation.data is not None
            ) and result != expected:
                wrong.append(f"{case.operation.id}: {result!r} is not {expected!r}")
        client.close()

    assert len(server.requests) == len(played)
    assert wrong == []


@pytest.mark.wide
@pytest.mark.slow
def test_typescript_sends_what_the_document_says(node: Node) -> None:
    calls = [
        {
            "group": case.operation.group,
            "method": case.operation.method,
            "path": case.path,
            "sends": case.operation.sends,
            "gives": case.operation.gives,
            "body": case.body,
            "options": {
                option.option: case.options[option.name]
                for option in case.operation.options
                if option.name in case.options
            },
        }
        for case in cases()
    ]

    with stub(_answering(cases())) as server:
        results = node.run(_PLAY, address=server.address, calls=calls)

    wrong = [
        f"{case.operation.id}: {difference}"
        for case, sent in zip(cases(), server.requests, strict=True)
        if (difference := mismatch(case, sent))
    ]
    for case, result in zip(cases(), results, strict=True):
        expected = LOCATION if case.operation.gives == "location" else case.data
        if (
            case.operation.gives != "data" or case.operation.data is not None
        ) and result != expected:
            wrong.append(f"{case.operation.id}: {result!r} is not {expected!r}")
    assert wrong == []


# A file is a name and a text; a Blob becomes its text.
_PLAY = """
const site = new Client(given.address, "token");
const results = [];
for (const { group, method, path, sends, gives, body, options } of given.calls) {
  const sent = sends === "files" ? body.map(([name, text]) => ({ name, content: new Blob([text]) })) : body;
  const result = await site[group][method](...path, ...(sends ? [sent] : []), options);
  results.push(gives === "bytes" ? await result.text() : result);
}
return results;
"""


@pytest.mark.wide
@pytest.mark.slow
def test_there_is_a_case_of_every_operation() -> None:
    ids = {
        operation["operationId"]
        for item in schema_check.document()["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and "operationId" in operation
    }

    assert ids - {case.operation.id for case in cases()} == {"streamLiveEvents"}

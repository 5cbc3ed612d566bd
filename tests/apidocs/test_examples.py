"""Examples of the OpenAPI document: exchanges that tests had with a real server, scrubbed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from forumapi.apidocs import openapi
from tests import recorded_examples, schema_check
from tests.api import Headers, Response
from tests.recorded_examples import Scrubber

DATA = Path(openapi.__file__).with_name("examples.json")
WITHOUT = Path(__file__).resolve().parents[1] / "saved" / "operations_without_example.txt"


def operation_ids() -> set[str]:
    return {
        operation["operationId"]
        for item in schema_check.document()["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and "operationId" in operation
    }


def refresh(folder: Path) -> None:
    """Write the data file anew, of the recordings in a folder, and the list of operations that none is of.

    What the file has of an operation stays, so that an example changes only where the old one does not fit any more.
    """
    kept = {
        name: example
        for name, example in json.loads(DATA.read_text(encoding="utf-8")).items()
        if name in operation_ids() and not recorded_examples.faults(name, example)
    }
    examples = {**recorded_examples.collected(folder), **kept}
    lines = (
        f"{json.dumps(name)}:{json.dumps(example, ensure_ascii=False, separators=(',', ':'))}"
        for name, example in sorted(examples.items())
    )
    DATA.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    left = sorted(operation_ids() - examples.keys())
    WITHOUT.write_text("".join(f"{name}\n" for name in left), encoding="utf-8")
    openapi.recorded.cache_clear()
    schema_check.document.cache_clear()


def test_examples_are_what_the_document_says_and_every_operation_has_one() -> None:
    """tests/saved/operations_without_example.txt names the exceptions; REFRESH_EXAMPLES=<folder> writes both files."""
    if folder := os.environ.get("REFRESH_EXAMPLES"):
        refresh(Path(folder))
    examples = json.loads(DATA.read_text(encoding="utf-8"))

    for name, example in examples.items():
        assert recorded_examples.faults(name, example) == [], name
    left = WITHOUT.read_text(encoding="utf-8").split()
    assert left == sorted(operation_ids() - examples.keys())
    assert examples.keys() <= operation_ids()


def test_the_document_has_request_and_answer() -> None:
    operation = schema_check.document()["paths"]["/api/v1/comments"]["post"]
    recorded = openapi.recorded()["createComment"]
    body = operation["requestBody"]["content"][openapi.JSON]["example"]
    answer = operation["responses"][str(recorded["status"])]["content"][openapi.JSON]["example"]

    assert operation["x-example-request"] == "POST /api/v1/comments"
    assert (body, answer) == (recorded["body"], recorded["answer"])


def test_a_form_is_recorded_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_examples, "FOLDER", str(tmp_path))
    monkeypatch.setattr(recorded_examples, "_best", {})
    body = b"token=abcdefgh&token_type_hint=refresh_token&client_secret=short"
    headers = {"Host": "s7f2.forum.test", "Content-Type": openapi.FORM}
    answer = Response(200, Headers([("Content-Type", openapi.JSON)]), b"{}")

    recorded_examples.record("POST", "/api/v1/oauth/revoke", headers, body, answer)

    (made,) = recorded_examples.collected(tmp_path).values()
    assert made["form"] == {
        "token": "x" * 16,
        "token_type_hint": "refresh_token",
        "client_secret": "x" * 16,
    }
    operation: openapi.Schema = {
        "requestBody": {"content": {openapi.FORM: {}}},
        "responses": {"200": {"content": {openapi.JSON: {}}}},
    }
    openapi._exemplify(operation, made)
    assert operation["requestBody"]["content"][openapi.FORM]["example"] == made["form"]


def test_examples_name_no_port_and_no_site_of_the_tests() -> None:
    scrubber = Scrubber("forum.test:24174")

    assert scrubber.text("http://wire2.forum.test:24174/x") == "http://bikes.forum.example/x"
    assert scrubber.text("/metrics/links?host=site182x.example&actor=3070").endswith(
        "host=bikes.example&actor=1"
    )
    assert scrubber.scrubbed({"token_endpoint": "http://s7.forum.test:1/x"}) == {
        "token_endpoint": "http://s7.forum.example/x"
    }
    assert not re.findall(
        r"example:\d+|\bsite\d+x|\bwire\d+\b|actor=\d{2,}", DATA.read_text(encoding="utf-8")
    )


def test_examples_hold_no_secret() -> None:
    assert "whsec_" not in DATA.read_text(encoding="utf-8")
    scrubber = Scrubber("s7f2.forum.test")
    secrets = {
        "secret": "whsec_yOba3htX2+2ka7q4P8jQWmsI/Uf7ws7k=",
        "recoveryCodes": ["h9bu-s55n-ee4b-t2zt"],
        "code": "238245",
    }
    assert scrubber.scrubbed(secrets) == {
        "secret": "x" * 16,
        "recoveryCodes": ["x" * 16],
        "code": "x" * 16,
    }
    assert scrubber.scrubbed({"code": "not_found"}) == {"code": "not_found"}
    assert scrubber.scrubbed({"password": "lower"}) == {"password": "x" * 16}
    assert scrubber.text("/mail/appeal?code=5.9.--aBc&x=1") == f"/mail/appeal?code={'x' * 16}&x=1"
    assert scrubber.text("/oauth/device?user_code=TJTJ-LSSR").endswith(f"_code={'x' * 16}")


def test_what_differs_from_run_to_run_is_scrubbed() -> None:
    scrubber = Scrubber("s7f2.forum.test")

    assert scrubber.scrubbed(
        {
            "id": 812,
            "href": "/api/v1/conversations/812?commentId=77",
            "parentId": 77,
            "created": "2026-12-01T01:02:03.4Z",
            "accessToken": "Zk3" * 12,
            "fileHash": "a1" * 20,
            "email": "n7@people.test",
            "web": "https://s7f2.forum.test/x/",
            "total": 812,
            "items": [1, 2],
        }
    ) == {
        "id": 1,
        "href": "/api/v1/conversations/1?commentId=2",
        "parentId": 2,
        "created": "2026-03-01T18:22:07Z",
        "accessToken": "x" * 16,
        "fileHash": "0" * 40,
        "email": "ada@example.com",
        "web": "https://bikes.forum.example/x/",
        "total": 812,
        "items": [1],
    }

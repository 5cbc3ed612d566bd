"""A call of every operation, with all of its parameters, and the request that the document says it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote

from forumapi.apidocs import client_operations
from forumapi.apidocs.client_operations import ClientOperation, Schema
from tests import schema_check
from tests.clients.stub import Request, answer

FORM = "application/x-www-form-urlencoded"
LOCATION = "/api/v1/comments/7"
HEADERS = {
    "Idempotency-Key": "key-of-case",
    "If-Match": '"3-abc"',
    "If-Range": '"3-abc"',
    "Range": "bytes=0-9",
    "Prefer": "return=representation",
    "Last-Event-ID": "cursor-1",
    "X-Request-Id": "case",
}


class Case(NamedTuple):
    """Call of an operation: arguments, options by names of the wire, and what must be sent and is answered."""

    operation: ClientOperation
    path: list[int | str]
    body: Any
    options: dict[str, Any]
    request: Request
    answer: bytes
    data: Any


@cache
def cases(step: int = 1) -> list[Case]:
    """Return each `step`-th of them; the live stream, which does not end, has none."""
    document = schema_check.document()
    methods = [one for one in client_operations.operations(document) if one.gives != "stream"]
    return [_case(document, one) for one in methods[::step]]


def mismatch(case: Case, sent: Request) -> str:
    """Return the difference from what the document says, "" for none."""
    wanted = case.request
    if (sent.method, sent.path) != (wanted.method, wanted.path):
        return f"{sent.method} {sent.path} is not {wanted.method} {wanted.path}"
    if sorted(sent.query) != sorted(wanted.query):
        return f"query {sent.query} is not {wanted.query}"
    for name, value in wanted.headers.items():
        if sent.headers.get(name, "").partition(";")[0] != value:
            return f"header {name} is {sent.headers.get(name)!r}, not {value!r}"
    kind = wanted.headers.get("content-type")
    if kind == "application/json" and json.loads(sent.body) != json.loads(wanted.body):
        return f"body {sent.body!r} is not {wanted.body!r}"
    if kind == FORM and sorted(parse_qsl(sent.body.decode())) != sorted(
        parse_qsl(wanted.body.decode())
    ):
        return f"body {sent.body!r} is not {wanted.body!r}"
    if kind == "multipart/form-data" and b'filename="a.txt"' not in sent.body:
        return f"no file in {sent.body!r}"
    if kind is None and sent.body:
        return f"body {sent.body!r} where there is none"
    return ""


def _case(document: Mapping[str, Any], operation: ClientOperation) -> Case:
    """Made of the document, not of what the generators made of it; the names of methods alone are theirs."""
    item = document["paths"][operation.path]
    described = item[operation.verb.lower()]
    parameters = [
        client_operations.resolve(document, one)
        for one in (*item.get("parameters", ()), *described["parameters"])
    ]
    values = {one["name"]: _parameter(one) for one in parameters}
    names = re.findall(r"{(\w+)}", operation.path)
    filled = operation.path
    for name in names:
        filled = filled.replace(f"{{{name}}}", quote(str(values[name])))
    query = {one["name"]: values[one["name"]] for one in parameters if one["in"] == "query"}
    headers = {
        one["name"]: HEADERS[one["name"]]
        for one in parameters
        if one["in"] == "header" and one["name"] != "If-None-Match"
    }
    content = described.get("requestBody", {}).get("content", {})
    kind, sent, body = "", None, b""
    if "multipart/form-data" in content:
        kind, sent = "multipart/form-data", [("a.txt", "text")]
    elif operation.sends == "form":
        kind, sent = FORM, sample(document, content[FORM]["schema"])
        body = "&".join(f"{name}={value}" for name, value in sent.items()).encode()
    elif content:
        kind, sent = "application/json", sample(document, content["application/json"]["schema"])
        body = json.dumps(sent).encode()
    wanted = {name.lower(): value for name, value in headers.items()}
    if kind:
        wanted["content-type"] = kind
    shown = "&".join(f"{name}={_shown(value)}" for name, value in query.items())
    made, data = _answered(document, described)
    return Case(
        operation,
        [values[name] for name in names],
        sent,
        {**query, **headers},
        Request(operation.verb, f"{filled}?{shown}", wanted, body),
        made,
        data,
    )


def _parameter(described: Schema) -> Any:
    schema = client_operations.resolve(schema_check.document(), described["schema"])
    kind = schema["type"]
    if kind == "integer":
        return 25 if described["name"] in ("limit", "offset") else 7
    if kind in ("number", "boolean"):
        return {"number": 1.5, "boolean": True}[kind]
    if described["in"] == "path":
        # Letters and digits alone, or whatever has no slash.
        return "a_b-1" if "A-Za-z" in schema.get("pattern", "") else "näme 1?"
    return "two words"


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _answered(document: Mapping[str, Any], described: Schema) -> tuple[bytes, Any]:
    """The document's answer of success, and its data."""
    for status, response in sorted(described["responses"].items()):
        if status not in ("101", "200", "201", "202", "302", "307"):
            continue
        if status in ("101",):
            return answer(200, None), None
        content = response.get("content", {})
        if status in ("302", "307"):
            return answer(int(status), None, Location=LOCATION), None
        if "application/json" not in content:
            return answer(int(status), body=b"text", Content_Type=next(iter(content))), "text"
        schema = content["application/json"]["schema"]
        made = sample(document, schema)
        is_envelope = client_operations.enveloped(document, schema) is not None
        if is_envelope:
            made |= {"status": int(status), "error": None}
        whole = answer(int(status), body=json.dumps(made).encode(), Location=LOCATION)
        return whole, made["data"] if is_envelope else made
    raise AssertionError(f"no answer of {described['operationId']}")


def sample(document: Mapping[str, Any], schema: Schema, depth: int = 0) -> Any:
    """A value that the schema allows, with every member that is not too deep."""
    schema = client_operations.resolve(document, schema)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    options = schema.get("anyOf", schema.get("oneOf"))
    if options:
        chosen = next((one for one in options if one != {"type": "null"}), options[0])
        return sample(document, chosen, depth)
    kind = schema.get("type")
    if kind == "object":
        required = schema.get("required", ())
        return {
            name: sample(document, inner, depth + 1)
            for name, inner in schema.get("properties", {}).items()
            if name in required or depth < 4
        }
    if kind == "array":
        # An entry of a list that holds itself, such as a tree, has none.
        many = depth < 8 or schema.get("minItems")
        return [sample(document, schema.get("items", {}), depth + 3)] if many else []
    if kind == "integer":
        return max(schema.get("minimum", 1), schema.get("multipleOf", 1))
    return {"number": 1.5, "boolean": True, "null": None, "string": "text"}.get(str(kind))

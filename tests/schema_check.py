"""Holds an answer against the API document: status, headers, keys, their order, types, nullability.

The document is read more strictly than clients should: a key that it does not know is a fault, and so is a key out of
its place. `check` is for the test client, which asks it about every answer of the suite.
"""

from __future__ import annotations

import functools
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote

import jsonschema_rs

from forumapi import routes
from forumapi.apidocs import client_operations, openapi
from forumapi.request.handler import ANYTHING
from forumapi.wire.documented_headers import CORS_RESPONSE

OVERRIDES = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)
ALWAYS = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": CORS_RESPONSE,
    "x-content-type-options": "nosniff",
}
VARY = "Authorization, X-Always-200, X-Disable-Boiler"
# Answers without a body, whatever was asked for.
BODILESS = frozenset({204, 304})
NEEDS_HEADER = {
    301: "location",
    202: "location",
    302: "location",
    303: "location",
    307: "location",
    405: "allow",
    429: "retry-after",
    503: "retry-after",
}


class UndocumentedError(AssertionError):
    """An answer that the API document does not describe."""


class Response(Protocol):
    """Record of what is looked at of an answer; header names in any case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


def check(
    response: Response,
    method: str,
    path: str,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Raises UndocumentedError unless the document describes this answer.

    `path` is the request's path with its query, or a template of the document; `headers` are the request's, of which
    the switches count. `status` is what the status line must say, where that is known.
    """
    faults = [f"  {fault}" for fault in found(response, method, path, status, headers or {})]
    if faults:
        told = "\n".join(faults)
        text = response.body[:400].decode("utf-8", "replace")
        raise UndocumentedError(f"{method} {path} answered {response.status}\n{told}\n  {text}")


def found(
    response: Response, method: str, path: str, status: int | None, headers: Mapping[str, str]
) -> Iterator[str]:
    """Return what is wrong with an answer, a sentence each."""
    if status is not None and response.status != status:
        yield f"the status is not {status}"
    path, _, query_string = path.partition("?")
    query = dict(reversed(parse_qsl(query_string, keep_blank_values=True)))
    if any("\0" in name or "\0" in value for name, value in query.items()):
        # A query that is refused as a whole has no switches.
        query = {}
    sent = {name.lower(): value for name, value in headers.items()}
    got = {name.lower(): value for name, value in response.headers.items()}
    method = _meant(method, query, sent)
    yield from _headers(response, got, method)
    nothing = response.status in BODILESS or (method, response.status) == ("OPTIONS", 200)
    # A notification of JSON-RPC; a job that was begun has a document.
    nothing = nothing or (response.status == 202 and not response.body)
    if method == "HEAD" or nothing:
        if response.body:
            yield "there is a body"
        if response.status != 304 and method == "OPTIONS" and "allow" not in got:
            yield "there is no Allow"
        said = response.status
        if not ("always200" in query or sent.get("x-always-200")):
            yield from _known(path, method, said)
        return
    kind = got.get("content-type", "")
    if kind.partition(";")[0] not in (openapi.JSON, "application/javascript"):
        yield from _known(path, method, response.status)
        documented = _content(path, method, response.status)
        if kind not in documented and ANYTHING not in documented:
            yield f"the Content-Type is {kind!r}, not one of {sorted(documented)}"
        return
    yield from _json(response, method, path, query, sent, kind)


def _meant(method: str, query: Mapping[str, str], sent: Mapping[str, str]) -> str:
    """The method after override (only POST is overridden)."""
    if method == "POST":
        for name in (query.get("method", ""), sent.get("x-http-method-override", "")):
            if name.upper() in OVERRIDES:
                return name.upper()
    return method


def _headers(response: Response, got: Mapping[str, str], method: str) -> Iterator[str]:
    for name, value in ALWAYS.items():
        if got.get(name) != value:
            yield f"{name} is {got.get(name)!r}, not {value!r}"
    if "x-request-id" not in got:
        yield "there is no x-request-id"
    length = got.get("content-length")
    if response.status == 204:
        if length is not None:
            yield "there is a content-length, which 204 can't have"
        return
    if length is None:
        yield "there is no content-length"
    if method != "HEAD" and response.status != 304 and length != str(len(response.body)):
        yield f"Content-Length is {length}, the body has {len(response.body)}"
    needed = NEEDS_HEADER.get(response.status)
    if needed and needed not in got and (response.status != 202 or response.body):
        yield f"there is no {needed}"


def _json(
    response: Response,
    method: str,
    path: str,
    query: Mapping[str, str],
    sent: Mapping[str, str],
    kind: str,
) -> Iterator[str]:
    body = response.body
    if response.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    callback = kind.startswith("application/javascript")
    context = query.get("context", "")
    if callback:
        name, _, rest = body.decode().partition("(")
        if name != query.get("callback"):
            yield f"the callback is {name!r}"
        end = f", {json.dumps(context)})" if context else ")"
        body = rest.removesuffix(end).encode()
    try:
        value = json.loads(body)
    except ValueError as error:
        yield f"the body is not JSON: {error}"
        return
    bare = "disableBoiler" in query or bool(sent.get("x-disable-boiler"))
    forced = "always200" in query or bool(sent.get("x-always-200"))
    if forced and response.status != 200:
        yield "always200 did not make the status 200"
    enveloped = not bare and _is_enveloped(path, method, response.status)
    said = response.status
    if enveloped:
        vary = {name.lower(): value for name, value in response.headers.items()}.get("vary")
        wanted = VARY + ", Cookie" * ("callback" in query)
        if vary != wanted:
            yield f"vary is {vary!r}, not {wanted!r}"
        if not isinstance(value, dict) or list(value) != ["context", "status", "data", "error"]:
            yield "the body is not the envelope"
            return
        said = value["status"]
        if not forced and said != response.status:
            yield f"the envelope says {said}"
        # Of a query that can't be read nothing is echoed.
        if value["context"] != context and not (said == 400 and not value["context"]):
            yield f"context is {value['context']!r}, not {context!r}"
    elif forced:
        return  # what was meant can't be told any more
    yield from _known(path, method, said)
    schema = _schema(_template(path), method, said)
    if schema is not None:
        data = client_operations.enveloped(document(), schema) if bare else None
        yield from faults(schema if data is None else data, value)


# ---------------------------------------------------------------- the document


@functools.cache
def document() -> dict[str, Any]:
    """The API document of both kinds of host."""
    return openapi.document(routes.ROOT, routes.SITE)


@functools.cache
def host_documents() -> dict[str, dict[str, Any]]:
    """The documents as each kind of host serves its own."""
    tables = {"platform": routes.ROOT, "site": routes.SITE}
    return {host: openapi.host_document(table) for host, table in tables.items()}


@functools.cache
def _templates() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """First part of a path that is no `/api/v1` -> its templates with a pattern each, fewest holes first."""
    made: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for template in sorted(document()["paths"], key=lambda path: (path.count("{"), path)):
        pattern = template
        for parameter in document()["paths"][template].get("parameters", ()):
            digits = parameter["schema"]["type"] == "integer"
            hole = "[0-9]+" if digits else parameter["schema"]["pattern"].strip("^$")
            pattern = pattern.replace(f"{{{parameter['name']}}}", f"(?:{hole})")
        made.setdefault(_first_part(template), []).append((template, re.compile(pattern)))
    return made


def _first_part(path: str) -> str:
    return f"{path.removeprefix('/api/v1')}/".split("/", 2)[1]


@functools.lru_cache(4096)
def _template(path: str) -> str | None:
    """The template that this path, or this template, belongs to."""
    if path in document()["paths"]:
        return path
    path = unquote(path)
    near = _templates().get(_first_part(path), ())
    return next((known for known, pattern in near if pattern.fullmatch(path)), None)


def operation(method: str, url: str) -> dict[str, Any]:
    """Return what the document has of a method of a route, named as the routing table does."""
    template = re.sub(
        r"<(?:\w+:)?(\w+)>", lambda one: f"{{{'id' if one[1] == 'item' else one[1]}}}", url
    )
    found: dict[str, Any] = host_documents()["site"]["paths"][template][method.lower()]
    return found


def _resolved(part: dict[str, Any]) -> dict[str, Any]:
    return _referred(part["$ref"]) if "$ref" in part else part


@functools.cache
def _referred(reference: str) -> dict[str, Any]:
    found: Any = document()
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return _resolved(found)


@functools.cache
def _responses(template: str | None, method: str) -> dict[int, dict[str, Any]]:
    """Status -> what is documented of it. An address or method that is not there has answers too."""
    anywhere = {int(status): part for status, part in document()["x-anywhere"].items()}
    if template is None:
        return anywhere
    if method == "OPTIONS":
        return {200: {}, **anywhere}
    # HEAD and OPTIONS are described once, in the introduction: HEAD answers as GET does.
    verb = "get" if method == "HEAD" else method.lower()
    operation = document()["paths"][template].get(verb)
    if operation is None:
        return {**anywhere, 405: document()["components"]["responses"]["405"]}
    return {int(status): _resolved(part) for status, part in operation["responses"].items()}


def _known(path: str, method: str, status: int) -> Iterator[str]:
    known = _responses(_template(path), method)
    if status not in known:
        yield f"the document has {sorted(known)} for {method} {_template(path)}, not {status}"


def _content(path: str, method: str, status: int) -> dict[str, Any]:
    part = _responses(_template(path), method).get(status, {})
    content: dict[str, Any] = part.get("content", {})
    return content


def _schema(template: str | None, method: str, status: int) -> dict[str, Any] | None:
    content = _responses(template, method).get(status, {}).get("content", {})
    schema: dict[str, Any] | None = content.get(openapi.JSON, {}).get("schema")
    return None if schema is None else _resolved(schema)


def _is_enveloped(path: str, method: str, status: int) -> bool:
    schema = _schema(_template(path), method, status)
    return schema is None or client_operations.enveloped(document(), schema) is not None


# ---------------------------------------------------------------- validation


# The document's name for a validator, which looks up what is referred to in it.
_NAME = "urn:document"


def _strict(schema: Any) -> Any:
    """A copy in which no object may have keys that it does not list, and references name the document."""
    if isinstance(schema, list):
        return [_strict(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items()}
    if made.get("type") == "object" and "properties" in made:
        made.setdefault("additionalProperties", False)
    if isinstance(made.get("$ref"), str):
        made["$ref"] = _NAME + made["$ref"]
    return made


@functools.cache
def _registry() -> jsonschema_rs.Registry:
    """The components of the document, which each validator would else read anew."""
    components = {"schemas": _strict(document()["components"]["schemas"])}
    return jsonschema_rs.Registry([(_NAME, {"components": components})])


@functools.cache
def _validator(schema: str) -> Any:
    return jsonschema_rs.validator_for(_strict(json.loads(schema)), registry=_registry())


def faults(schema: dict[str, Any], value: Any) -> Iterator[str]:
    """Return what keeps a value from being what a schema of the document says, the order of keys included."""
    wrong = False
    for error in _validator(json.dumps(schema, sort_keys=True)).iter_errors(value):
        wrong = True
        place = "".join(f"[{part!r}]" for part in error.instance_path)
        yield f"{place or 'the body'}: {error.message[:300]}"
    if not wrong:
        yield from _order(schema, value, "")


def _order(schema: dict[str, Any], value: Any, place: str) -> Iterator[str]:
    """Objects whose keys are not in the order of the document."""
    schema = _resolved(schema)
    if "anyOf" in schema:
        schema = _chosen(schema["anyOf"], value)
    if isinstance(value, dict) and "properties" in schema:
        keys = [key for key in schema["properties"] if key in value]
        if keys != list(value):
            yield f"{place or 'the body'}: the keys are {list(value)}, not {keys}"
        for key in keys:
            # Most values are plain, and every answer of every test comes by here.
            if isinstance(value[key], dict | list):
                yield from _order(schema["properties"][key], value[key], f"{place}[{key!r}]")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, dict | list):
                yield from _order(schema.get("items", {}), inner, f"{place}[{index}]")


def _chosen(options: list[dict[str, Any]], value: Any) -> dict[str, Any]:
    """The option that a value, known to be valid, was meant as: told by null and by `itemType`."""
    for option in map(_resolved, options):
        if isinstance(value, dict) and not set(value) <= set(option.get("properties", ())):
            continue
        if (value is None) == (option.get("type") == "null"):
            tag = _resolved(option.get("properties", {}).get("itemType", {}))
            tags = [tag["const"]] if "const" in tag else tag.get("enum")
            if tags is None or value.get("itemType") in tags:
                return option
    return {}


def nonconformities(name: str, value: Any) -> list[str]:
    """Return what keeps a value from being the component `name` of the document; `name[]` is a list of them."""
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{name.removesuffix('[]')}"}
    if name.endswith("[]"):
        schema = {"type": "array", "items": schema}
    return list(faults(schema, value))

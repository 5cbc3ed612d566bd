"""Reference page of the API: HTML made of an OpenAPI document, without scripts and resources from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any, Final

from forumapi.apidocs.error_codes import ERROR_CODES
from forumapi.apidocs.openapi import Schema

_STYLE: Final = Path(__file__).with_name("api_reference_page.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_VERBS: Final = ("get", "post", "put", "patch", "delete")
# Parameters and statuses described once for all operations.
_EVERYWHERE: Final = tuple(
    f"#/components/parameters/{name}" for name in ("context", "X-Request-Id")
)
_BIGINT: Final = 2**63 - 1


def page(document: Schema) -> bytes:
    """Render the reference page of an OpenAPI document as HTML in UTF-8."""
    info = document["info"]
    title = escape(f"{info['title']} API")
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the operations</a>\n'
        f"<header><h1>{title}</h1>\n"
        f'<p class="quiet">Version {escape(info["version"])}. For programs: '
        '<a href="/api/v1/openapi.json">the OpenAPI document</a>.</p></header>\n'
    )
    return "".join(
        (
            head,
            _navigation(document),
            '<main id="main">\n',
            _prose(info["description"]),
            *_switches(document),
            *(_resource(document, tag) for tag in document["tags"]),
            _objects(document),
            "</main>\n</body>\n</html>\n",
        )
    ).encode()


# ---------------------------------------------------------------- parts of the page


def _operations(document: Schema, tag: str) -> Iterable[tuple[str, str, Schema, Schema]]:
    """Yield (method in lower case, address, path item, operation) of each operation with this tag, in the document's
    order, without OPTIONS and HEAD.
    """
    for path, item in document["paths"].items():
        for verb in _VERBS:
            if verb in item and tag in item[verb]["tags"]:
                yield verb, path, item, item[verb]


def _anchor(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower())


def _verb(verb: str) -> str:
    return f'<span class="verb {verb}">{verb.upper()}</span>'


def _navigation(document: Schema) -> str:
    parts = [
        '<nav aria-label="Contents">\n<ul>\n',
        '<li><a href="#switches">On every operation</a></li>\n',
        '<li><a href="#refusals">Refusals</a></li>\n',
        '<li><a href="#errors">Codes of errors</a></li>\n',
    ]
    for tag in document["tags"]:
        name = tag["name"]
        parts.append(f'<li><h2><a href="#about-{_anchor(name)}">{escape(name)}</a></h2>\n<ul>\n')
        for verb, path, _, operation in _operations(document, name):
            parts.append(
                f'<li><a href="#{escape(operation["operationId"])}">{_verb(verb)} '
                f"<code>{escape(path.removeprefix('/api/v1') or path)}</code></a></li>\n"
            )
        parts.append("</ul></li>\n")
    parts.append('<li><h2><a href="#objects">Objects</a></h2>\n<ul>\n')
    parts.extend(
        f'<li><a href="#object-{escape(name)}">{escape(name)}</a></li>\n'
        for name in _object_names(document)
    )
    parts.append("</ul></li>\n</ul>\n</nav>\n")
    return "".join(parts)


def _switches(document: Schema) -> Iterable[str]:
    yield '<section aria-labelledby="switches">\n<h2 id="switches">On every operation</h2>\n'
    everywhere = [{"$ref": reference} for reference in _EVERYWHERE]
    yield _parameters(document, [*everywhere, *document["x-switches"]])
    yield "</section>\n"
    yield '<section aria-labelledby="refusals">\n<h2 id="refusals">Refusals</h2>\n'
    yield f"<p>Each carries {_type({'$ref': 'ErrorDetail'})} as its <code>data</code>.</p>\n"
    shared = {**document["components"]["responses"], **document["x-anywhere"]}
    yield _table(
        ("Status", "Meaning"),
        (
            (f"<code>{name}</code>", _inline(response["description"]))
            for name, response in sorted(shared.items())
            if name >= "400" and name.isdigit()
        ),
    )
    yield "</section>\n"
    yield '<section aria-labelledby="errors">\n<h2 id="errors">Codes of errors</h2>\n'
    yield _table(
        ("Code", "errorCode", "Status", "Meaning", "What a client does"),
        (
            (
                f'<code id="error-{one.name}">{one.name}</code>',
                str(one.number),
                str(one.status),
                _inline(one.meaning),
                _inline(one.remedy),
            )
            for one in ERROR_CODES
        ),
    )
    yield "</section>\n"


def _resource(document: Schema, tag: Schema) -> str:
    name = escape(tag["name"])
    id = f"about-{_anchor(tag['name'])}"
    parts = [f'<section aria-labelledby="{id}">\n<h2 id="{id}">{name}</h2>\n']
    parts.append(_prose(tag["description"]))
    for verb, path, item, operation in _operations(document, tag["name"]):
        parts.append(_operation(document, verb, path, item, operation))
    parts.append("</section>\n")
    return "".join(parts)


def _operation(document: Schema, verb: str, path: str, item: Schema, operation: Schema) -> str:
    id = escape(operation["operationId"])
    parts = [
        f'<article aria-labelledby="{id}">\n<h3 id="{id}">{_verb(verb)} <code>{escape(path)}</code></h3>\n',
        _prose(operation["summary"] + "."),
        _prose(operation["description"]),
    ]
    for server in item.get("servers", ()):
        parts.append(f'<p class="quiet">On {escape(server["description"].lower())}.</p>\n')
    own = (one for one in operation["parameters"] if one.get("$ref") not in _EVERYWHERE)
    parameters = [*item.get("parameters", ()), *own]
    if parameters:
        parts.append("<h4>Parameters</h4>\n")
        parts.append(_parameters(document, parameters))
    content = operation.get("requestBody", {}).get("content", {})
    if content:
        kinds = " or ".join(f"<code>{escape(kind)}</code>" for kind in content)
        first: Schema = next(iter(content.values()))["schema"]
        required = _required(document, first)
        parts.append(f"<h4>Body</h4>\n<p>{_type(first)}, as {kinds}.{required}</p>\n")
    parts.append("<h4>Answers</h4>\n")
    answers = {
        status: _resolved(document, response) for status, response in operation["responses"].items()
    }
    parts.append(
        _table(
            ("Status", "data", "Meaning"),
            (
                (
                    f"<code>{status}</code>",
                    _data(document, response),
                    _inline(response["description"]),
                )
                for status, response in answers.items()
                if status < "400"
            ),
        )
    )
    refusals = ", ".join(f"<code>{status}</code>" for status in answers if status >= "400")
    parts.append(f'<p><a href="#refusals">Refusals</a>: {refusals}.</p>\n')
    parts.append("</article>\n")
    return "".join(parts)


def _required(document: Schema, schema: Schema) -> str:
    keys = " and ".join(f"<code>{escape(key)}</code>" for key in _keys(document, schema))
    return f" Required: {keys}." if keys else ""


def _keys(document: Schema, schema: Schema) -> Iterable[str]:
    """Yield the names of the required keys of a schema (a reference too), in its order; for an object that has required
    keys itself, their paths, such as `meta.text`, in place of its own name.
    """
    whole = _resolved(document, schema)
    for key in whole.get("required", ()):
        below = [f"{key}.{name}" for name in _keys(document, whole["properties"][key])]
        yield from below or [key]


def _data(document: Schema, response: Schema) -> str:
    for kind, media in response.get("content", {}).items():
        schema = media["schema"]
        whole = _resolved(document, schema)
        if "data" in whole.get("properties", {}):
            return _type(whole["properties"]["data"])
        return f"{_type(schema)}, <code>{escape(kind)}</code>, no envelope"
    return "no body"


def _object_names(document: Schema) -> list[str]:
    """Return the names of the document's schemas (components) in its order, without the envelopes, which the
    introduction describes.
    """
    return [name for name in document["components"]["schemas"] if not name.endswith("Envelope")]


def _objects(document: Schema) -> str:
    parts = ['<section aria-labelledby="objects">\n<h2 id="objects">Objects</h2>\n']
    for name in _object_names(document):
        schema = document["components"]["schemas"][name]
        id = f"object-{escape(name)}"
        parts.append(
            f'<article aria-labelledby="{id}">\n<h3 id="{id}"><code>{escape(name)}</code></h3>\n'
        )
        parts.append(_prose(schema.get("description", "")))
        required = schema.get("required", ())
        rows = [
            (
                f"<code>{escape(key)}</code>",
                _type(inner),
                "always there" if key in required else "may be absent",
                _inline(inner.get("description", "")),
            )
            for key, inner in schema.get("properties", {}).items()
        ]
        if rows:
            parts.append(_table(("Key", "Type", "Presence", "Meaning"), rows))
        elif "properties" not in schema:
            parts.append(f"<p>{_type(schema)}</p>\n")
        parts.append("</article>\n")
    parts.append("</section>\n")
    return "".join(parts)


def _parameters(document: Schema, parameters: Iterable[Schema]) -> str:
    rows = []
    for parameter in parameters:
        found = _resolved(document, parameter)
        rows.append(
            (
                f"<code>{escape(found['name'])}</code>",
                escape(found["in"]),
                _type(found["schema"]),
                _inline(found.get("description", "")),
            )
        )
    return _table(("Name", "In", "Type", "Meaning"), rows)


# ---------------------------------------------------------------- small parts


def _resolved(document: Schema, part: Schema) -> Schema:
    """Return the component that a part of the document refers to by `$ref`; any other part as it is."""
    if "$ref" not in part:
        return part
    found: Any = document
    for key in part["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    resolved: Schema = found
    return resolved


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    parts = ['<div class="scroll"><table>\n<thead><tr>']
    parts.extend(f'<th scope="col">{escape(head)}</th>' for head in heads)
    parts.append("</tr></thead>\n<tbody>\n")
    for first, *rest in rows:
        cells = "".join(f"<td>{cell}</td>" for cell in rest)
        parts.append(f'<tr><th scope="row">{first}</th>{cells}</tr>\n')
    parts.append("</tbody></table></div>\n")
    return "".join(parts)


def _prose(text: str) -> str:
    """Render a text as HTML paragraphs; `code` and **bold** are its only markup."""
    paragraphs = filter(None, map(str.strip, text.split("\n\n")))
    return "".join(f"<p>{_inline(paragraph)}</p>\n" for paragraph in paragraphs)


def _inline(text: str) -> str:
    """Render a line of text as HTML; `code` and **bold** are its only markup."""
    inner = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", inner)


def _type(schema: Schema) -> str:
    """Render the type of a schema as HTML in words, with links to the objects on the page."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#object-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if "enum" in schema:
        return " or ".join(f"<code>{escape(_literal(value))}</code>" for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "string":
        return "time" if schema.get("format") == "date-time" else f"string{_length(schema)}"
    if kind in ("integer", "number"):
        return f"{kind}{_range(schema)}"
    if kind == "object":
        return "object"
    return str(kind) if kind else "anything"


def _literal(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _length(schema: Schema) -> str:
    longest = schema.get("maxLength")
    return f", up to {longest} characters" if longest else ""


def _range(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None or most is None or most == _BIGINT:
        return "" if least is None else f", {least} or more"
    step = schema.get("multipleOf")
    return f", {least} to {most}" + (f" in steps of {step}" if step else "")

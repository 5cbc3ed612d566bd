"""Sources of the TypeScript client that are made from the document: a short table of operations, and their types."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from forumapi.apidocs.client_operations import (
    GROUPS,
    ClientOperation,
    Schema,
    camel,
    closure,
    error_codes,
    is_page,
    name_of,
    operations,
)

_HEAD: Final = "/** {about} Made from the OpenAPI document: change the generator. */\n\n"
_SIMPLE: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}
_LETTERS: Final = {"GET": "G", "POST": "P", "PUT": "U", "PATCH": "A", "DELETE": "D"}
_SENDS: Final = {"": "", "json": "j", "form": "f", "files": "m"}
_GIVES: Final = {"data": "", "bare": "b", "text": "t", "bytes": "y", "location": "l", "stream": "s"}
# Documents of live events, by the type of their item.
_LIVE: Final = (
    "CommentSummary",
    "ConversationSummary",
    "EventSummary",
    "PollSummary",
    "HuddleSummary",
    "Attendee",
)
_FRAME: Final = """
/** Frame of the live stream. `type` is `event`, or a break: after a `gap` read `href`, after a `resync` all. */
export interface LiveFrame {
  type: "event" | "gap" | "resync" | "unsubscribed" | "error";
  cursor?: string;
  kind?: "created" | "replaced" | "patched" | "deleted" | "gone";
  itemType?: string;
  itemId?: number;
  href?: string;
  parentType?: string;
  parentId?: number;
  microcosmId?: number;
  version?: number;
  at?: string;
  topic?: string;
  topics?: string[];
  reason?: string;
  status?: number;
  code?: number;
  text?: string;
  document?: {documents};
}
"""


def sources(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each generated module, by its file name."""
    methods = operations(document)
    return {"table.ts": _table(document, methods), "operations.ts": _types(document, methods)}


def _table(document: Mapping[str, Any], methods: Iterable[ClientOperation]) -> str:
    """Return the operations as lines of an address and its methods, each `name:verb and flags`, which core.ts reads."""
    lines: dict[str, list[str]] = {}
    headers: dict[str, str] = {}
    for one in methods:
        short = one.path.removeprefix("/api/v1/")
        lines.setdefault(short, []).append(f"{one.method}:{_LETTERS[one.verb]}{_flags(one)}")
        headers |= {
            option.option: option.name for option in one.options if option.place == "header"
        }
    table = "\n".join(" ".join((path, *names)) for path, names in sorted(lines.items()))
    codes = {camel(name): code for name, code in error_codes(document).items()}
    return "".join(
        (
            _HEAD.format(about="Operations, headers and error codes."),
            f"export const VERSION = {json.dumps(document['info']['version'])};\n\n",
            "/** Headers by the names of their options. */\n",
            f"export const HEADERS: Record<string, string> = {json.dumps(headers)};\n\n",
            "/** Groups that are not named after the first part of their addresses. */\n",
            f"export const GROUPS: Record<string, string> = {json.dumps(_group_names(methods))};\n\n",
            "/** Stable codes of errors. */\n",
            f"export const CODES = {json.dumps(codes)} as const;\n\n",
            "/** A line an address below /api/v1: its methods, each with verb and flags. */\n",
            f"export const TABLE = `{table}`;\n",
        )
    )


def _group_names(methods: Iterable[ClientOperation]) -> dict[str, str]:
    """Return the groups by first parts of addresses, where they differ."""
    parts = {one.path.split("/")[3]: one.group for one in methods if one.group != "pages"}
    return {part: group for part, group in parts.items() if part != group} | GROUPS


def _flags(operation: ClientOperation) -> str:
    names = {one.name for one in operation.options}
    found = _SENDS[operation.sends] + _GIVES[operation.gives]
    if operation.gives == "data" and operation.data is None:
        found += "n"
    if "Idempotency-Key" in names:
        found += "k"
    if "Prefer" in names and operation.verb != "DELETE" and operation.data is not None:
        found += "p"
    return found


def _types(document: Mapping[str, Any], methods: list[ClientOperation]) -> str:
    known = document["components"]["schemas"]
    roots = [part for one in methods for part in (one.data, one.body) if part]
    roots += [{"$ref": f"#/components/schemas/{name}"} for name in _LIVE]
    made = [
        _HEAD.format(about="Documents, bodies and operations."),
        'import type { CallOptions, LiveStream, Page, Upload } from "./core.js";\n',
        _FRAME.replace("{documents}", " | ".join(_name(name) for name in _LIVE)),
    ]
    made += [_interface(name, known[name], known) for name in closure(document, roots)]
    groups: dict[str, list[ClientOperation]] = {}
    for one in methods:
        groups.setdefault(one.group, []).append(one)
    for group, members in groups.items():
        made.append(f"\nexport interface {group[0].upper()}{group[1:]}Group {{\n")
        made += [_method(one) for one in members]
        made.append("}\n")
    made.append("\n/** Groups of operations of a client. */\nexport interface Groups {\n")
    made += [f"  {group}: {group[0].upper()}{group[1:]}Group;\n" for group in groups]
    made.append("}\n")
    return "".join(made)


def _name(name: str) -> str:
    """Return the name of a component as a type; those of the language itself, such as File, end in Document."""
    return f"{name}Document" if name in ("File", "Event", "Comment", "Attr") else name


def kind(schema: Schema) -> str:
    """Return the type of a value."""
    if "$ref" in schema:
        return _name(name_of(schema["$ref"]))
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    for several in ("anyOf", "oneOf"):
        if several in schema:
            kinds = {kind(one): None for one in schema[several]}
            return "unknown" if "unknown" in kinds else " | ".join(kinds)
    named = schema.get("type")
    if isinstance(named, list):
        return " | ".join(kind({**schema, "type": one}) for one in named)
    if named == "array":
        return f"({kind(schema.get('items', {}))})[]"
    if named == "object":
        more = schema.get("additionalProperties")
        return f"Record<string, {kind(more) if isinstance(more, dict) else 'any'}>"
    return _SIMPLE.get(str(named), "unknown")


def _interface(name: str, schema: Schema, known: Mapping[str, Schema]) -> str:
    properties = schema.get("properties", {})
    required = set(schema.get("required", ()))
    above: list[str] = []
    if is_page(schema):
        above.append(f"Page<{kind(properties['items']['items'])}>")
    pages = [
        (key, known[name_of(inner["$ref"])])
        for key, inner in properties.items()
        if "$ref" in inner and is_page(known[name_of(inner["$ref"])])
    ]
    if len(pages) == 1 and set(properties) <= {pages[0][0], "meta"}:
        above.append(f"AsyncIterable<{kind(pages[0][1]['properties']['items']['items'])}>")
    extends = f" extends {', '.join(above)}" if above else ""
    lines = [
        f"\n{_comment(schema.get('description', name + '.'), '')}export interface {_name(name)}{extends} {{"
    ]
    for key, inner in properties.items():
        shown = key if re.fullmatch(r"[A-Za-z_]\w*", key) else json.dumps(key)
        lines.append(f"  {shown}{'' if key in required else '?'}: {kind(inner)};")
    return "\n".join((*lines, "}\n"))


def _method(operation: ClientOperation) -> str:
    parts = [f"{_argument(one.name)}: {kind(one.schema)}" for one in operation.path_parameters]
    if operation.body is not None:
        parts.append(f"body: {kind(operation.body)}")
    elif operation.sends == "files":
        parts.append("files: Upload[]")
    options = []
    for one in operation.options:
        if one.name == "If-None-Match":
            continue
        value = kind(one.schema)
        options.append(f"{one.option}?: {f'{value} | {value}[]' if one.is_repeated else value}")
    parts.append(f"options?: {{ {'; '.join(options)} }} & CallOptions")
    text = f"{operation.summary.rstrip('.')}.\n\n{operation.description}"
    gives = {
        "location": "Promise<string>",
        "text": "Promise<string>",
        "bytes": "Promise<Blob>",
        "stream": "Promise<LiveStream>",
    }.get(operation.gives) or f"Promise<{kind(operation.data) if operation.data else 'null'}>"
    return f"{_comment(text, '  ')}  {operation.method}({', '.join(parts)}): {gives};\n"


def _argument(name: str) -> str:
    """Return a name that is no word of the language."""
    return f"{name}_" if name in ("case", "default", "new", "type") else name


def _comment(text: str, indent: str) -> str:
    lines = text.replace("*/", "* /").split("\n")
    if len(lines) == 1:
        return f"{indent}/** {lines[0]} */\n"
    body = "".join(f"{indent} * {line}".rstrip() + "\n" for line in lines)
    return f"{indent}/**\n{body}{indent} */\n"

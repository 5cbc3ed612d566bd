"""Examples of calls in curl, Python and TypeScript, made of the exchanges that the test suite has recorded.

In Python and TypeScript they are calls of the clients that `make clients` builds (docs/clients.md), on a client `site`.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from forumapi.apidocs.client_operations import ClientOperation, Parameter, python_option, snake

_WIDTH: Final = 76
# Lines of an answer that are shown.
_MOST_LINES: Final = 30
_FILE: Final = "wheel.txt"
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_]\w*")


class CallExamples(NamedTuple):
    """Example of one call as text, of one or several lines, in each language."""

    curl: str
    python: str
    typescript: str


def call_examples(
    operation: ClientOperation, recorded: dict[str, Any], *, is_open: bool
) -> CallExamples:
    """Return the examples of the call of `operation` that was recorded. `recorded`: the exchange, a value of
    `openapi.recorded`; `is_open`: guests may make the call, so that it is shown without a token.

    Query parameters that the document does not name are left out.
    """
    path, _, sent_query = recorded["request"].partition(" ")[2].partition("?")
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.path)
    found = re.fullmatch(pattern, path)
    values = found.groupdict() if found else {}
    places = [_typed(one, unquote(values[one.name])) for one in operation.path_parameters]
    known = {one.name: one for one in operation.options if one.place == "query"}
    query = [
        (known[name], _typed(known[name], value))
        for name, value in parse_qsl(sent_query, keep_blank_values=True)
        if name in known
    ]
    body = recorded.get("body", recorded.get("form"))
    if operation.sends == "json" and body is None:
        body = {}
    return CallExamples(
        _curl(operation, path, query, body, is_open=is_open),
        _python(operation, places, query, body),
        _typescript(operation, places, query, body),
    )


def json_text(value: Any) -> str:
    """Return a JSON value as text of several lines; of more than 30 lines the first 30 and an ellipsis."""
    lines = json.dumps(value, ensure_ascii=False, indent=1).splitlines()
    return "\n".join([*lines[:_MOST_LINES], *["…"] * (len(lines) > _MOST_LINES)])


def _typed(parameter: Parameter, text: str) -> Any:
    kind = parameter.schema.get("type")
    if kind == "integer":
        return int(text)
    if kind == "number":
        return float(text)
    if kind == "boolean":
        return text in ("1", "t", "T", "TRUE", "true", "True")
    return text


def _curl(
    operation: ClientOperation,
    path: str,
    query: list[tuple[Parameter, Any]],
    body: Any,
    *,
    is_open: bool,
) -> str:
    shown = "&".join(
        f"{one.name}={quote(json.dumps(value) if isinstance(value, bool) else str(value), safe='')}"
        for one, value in query
    )
    target = f'"$site{quote(path)}{"?" * bool(shown)}{shown}"'
    method = "" if operation.verb == "GET" else f"-X {operation.verb} "
    lines = [f"curl {method}{target}"]
    if not is_open:
        lines.append('-H "Authorization: Bearer $token"')
    if operation.sends == "files":
        lines.append(f"-F file=@{_FILE}")
    elif operation.sends == "form":
        lines += [f"-d {shlex.quote(f'{name}={quote(str(v))}')}" for name, v in body.items()]
    elif operation.sends == "json":
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}")
    return " \\\n  ".join(lines)


def _python(
    operation: ClientOperation, places: list[Any], query: list[tuple[Parameter, Any]], body: Any
) -> str:
    arguments = [repr(value) for value in places]
    if operation.sends == "files":
        arguments.append(f'[Upload.from_path("{_FILE}")]')
    elif operation.sends:
        arguments.append(_written(body, _PYTHON))
    for one, value in query:
        shown = _written([value] if one.is_repeated else value, _PYTHON)
        arguments.append(f"{python_option(one)}={shown}")
    arguments = [_double_quoted(one) for one in arguments]
    call = f"site.{snake(operation.group)}.{snake(operation.method)}"
    if operation.gives == "stream":
        return f"for frame in {_call(call, arguments)}:\n    print(frame)"
    return _call(call, arguments)


def _typescript(
    operation: ClientOperation, places: list[Any], query: list[tuple[Parameter, Any]], body: Any
) -> str:
    arguments = [json.dumps(value, ensure_ascii=False) for value in places]
    if operation.sends == "files":
        arguments.append("[file]")
    elif operation.sends:
        arguments.append(_written(body, _TYPESCRIPT))
    options = {one.option: [value] if one.is_repeated else value for one, value in query}
    if options:
        arguments.append(_written(options, _TYPESCRIPT))
    call = _call(f"await site.{operation.group}.{operation.method}", arguments)
    if operation.gives == "stream":
        return f"for await (const frame of {call})\n  console.log(frame);"
    return f"{call};"


def _call(name: str, arguments: list[str]) -> str:
    return f"{name}({', '.join(arguments)})"


def _double_quoted(text: str) -> str:
    """Return a Python literal of a text with double quotes where that needs no escape; any other literal as it is."""
    if text[:1] == "'" and '"' not in text and "\\" not in text:
        return f'"{text[1:-1]}"'
    return text


class _Style(NamedTuple):
    """Style of literals: words for None, True and False. `has_plain_keys`: keys that are names stand without quotes;
    `indent`: of an entry on a line of its own.
    """

    none: str
    true: str
    false: str
    has_plain_keys: bool
    indent: str


_PYTHON: Final = _Style("None", "True", "False", has_plain_keys=False, indent="    ")
_TYPESCRIPT: Final = _Style("null", "true", "false", has_plain_keys=True, indent="  ")


def _written(value: Any, style: _Style, before: str = "") -> str:
    """Return a JSON value as a literal: in one line, or a line an entry where that would have more than _WIDTH (76)
    characters. `before`: the indentation of the line that it begins in.
    """
    if value is None:
        return style.none
    if isinstance(value, bool):
        return style.true if value else style.false
    if not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    inner = before + style.indent
    if isinstance(value, dict):
        entries = [
            f"{_key(name, style)}: {_written(one, style, inner)}" for name, one in value.items()
        ]
        opening, closing = "{}"
    else:
        entries = [_written(one, style, inner) for one in value]
        opening, closing = "[]"
    line = f"{opening}{', '.join(entries)}{closing}"
    if len(before) + len(line) <= _WIDTH and "\n" not in line:
        return line
    return "\n".join((opening, *(f"{inner}{one}," for one in entries), f"{before}{closing}"))


def _key(name: str, style: _Style) -> str:
    is_plain = style.has_plain_keys and _PLAIN_KEY.fullmatch(name)
    return name if is_plain else json.dumps(name, ensure_ascii=False)

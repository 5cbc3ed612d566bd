"""Calls of tools: arguments into one request of the REST API, its answer into the result that the agent gets.

The answer's `data` stands whole under `untrustedUserContent`, and nothing that people wrote stands anywhere else. A
refusal is a result too, with `isError`, so that a model can act on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec

from forumapi.agents import in_process_call, tools
from forumapi.agents.in_process_call import ToolReply
from forumapi.agents.tools import Tool
from forumapi.request.context import Context
from forumapi.wire.json_fragments import dumps, loads

DATA: Final = "untrustedUserContent"
# Characters of a result's JSON, and the lengths that its longest texts are cut to in turn until it fits.
MOST_CHARACTERS: Final = 100_000
_CUTS: Final = (20_000, 5_000, 1_000, 200)
_CUT_MARK: Final = "… [cut]"
# Parameters by which links to the next page go on.
_ONWARDS: Final = ("before", "offset")
_CURSOR: Final = re.compile(r"(?:before|offset)=[0-9A-Za-z._:+-]{1,64}")
_KEY: Final = re.compile(r"[0-9A-Za-z_-]{1,100}")
_MOST_TEXT: Final = 1_000
_BELOW: Final = "/api/v1/"


class BadArguments(Exception):
    """Error of arguments of which no request can be made; its text names the argument and the rule that it breaks; for
    an unknown argument the text lists the known ones in place of its name.
    """


def call(ctx: Context, tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Call a tool and return its result as MCP has it (`content`, `structuredContent`, `isError`).

    The request of `ctx` must hold no database connection any more; the caller has checked that its token sees the tool.
    Wrong arguments, and refusals by the API, are a result too, with `isError`.
    """
    try:
        path, query, headers, body = _request(ctx, tool, arguments)
    except BadArguments as error:
        return result(400, {"errorDetail": str(error)}, error={"code": "invalid_arguments"})
    return answer(ctx, tool.verb, path, query, headers, body)


def answer(
    ctx: Context,
    verb: str,
    path: str,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> dict[str, Any]:
    """Send one request to the REST API and return its answer as the result of a tool, also a refusal. A GET that is
    answered with 301, since moderators merged the thing into another, goes on to that other one.

    `verb`: HTTP method; `path` is not percent-encoded, `query` is; `headers`: by the names that WSGI gives them, None
    for none; `body`: b"" for none.
    """
    reply = in_process_call.call(ctx, verb, path, query, dict(headers or {}), body)
    location = reply.headers.get("location", "")
    if verb == "GET" and reply.status == 301 and location.startswith(_BELOW):
        path, _, query = location.partition("?")
        reply = in_process_call.call(ctx, verb, unquote(path), query, dict(headers or {}), body)
    return _result_of(reply, is_read=verb == "GET")


# ---------------------------------------------------------------- arguments into a request


def _request(
    ctx: Context, tool: Tool, arguments: Mapping[str, Any]
) -> tuple[str, str, dict[str, str], bytes]:
    """Return path (not percent-encoded), query (percent-encoded), headers (by the names that WSGI gives them) and body
    of the tool's request; the body is JSON, b"" for none. `arguments`: values by name, of which None counts as absent.
    Raises BadArguments for an unknown or missing argument, and for a value that can't be sent.
    """
    schema = tools.input_schema(ctx.app.site_routes, tool.name)
    known = schema["properties"]
    given = {name: value for name, value in arguments.items() if value is not None}
    for name in given:
        if name not in known:
            raise BadArguments(f"There is no argument of this name; there are: {', '.join(known)}")
    for name in schema["required"]:
        if name not in given:
            raise BadArguments(f"{name}: is required")
    for name, value in given.items():
        if "enum" in known[name]:
            _check_enum(name, value, known[name])
    kind = str(given.pop("itemType")) if "" not in tool.routes else ""
    path = tool.routes[kind]
    for name, part in tools.parts(tool).items():
        path = re.sub("<[^>]*>", _address_part(name, given.pop(name), part), path, count=1)
    headers = {}
    if "idempotencyKey" in given:
        headers["HTTP_IDEMPOTENCY_KEY"] = _text("idempotencyKey", given.pop("idempotencyKey"))
    query = _query(given, known)
    body = b""
    if tool.body:
        members = {name: given[name] for name in tool.body if name in given}
        body = dumps(members)
        headers["CONTENT_TYPE"] = "application/json"
    if tool.verb != "GET":
        headers["HTTP_PREFER"] = "return=representation"
    if tool.verb == "GET" or not tool.body:
        query += [(name, _text(name, given[name])) for name in tool.query if name in given]
    return path, urlencode(query), headers, body


def _check_enum(name: str, value: Any, schema: Mapping[str, Any]) -> None:
    values = schema["enum"]
    if value not in values or isinstance(value, bool):
        raise BadArguments(f"{name}: must be one of {', '.join(map(str, values))}")


def _query(given: dict[str, Any], known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Remove `limit` and `cursor` from the arguments `given`, if they are there and the tool has them, and return them
    as (name, value) of the query. `known`: schemas of the tool's arguments by name, against which `limit` is checked
    already. Raises BadArguments for a cursor that is no text of the form `before=…` or `offset=…`.
    """
    query = []
    if "limit" in known and (limit := given.pop("limit", None)) is not None:
        query.append(("limit", str(limit)))
    if "cursor" in known and (cursor := given.pop("cursor", None)) is not None:
        if not isinstance(cursor, str) or not _CURSOR.fullmatch(cursor):
            raise BadArguments("cursor: must be nextCursor of the page before")
        query += parse_qsl(cursor)
    return query


def _address_part(name: str, value: Any, schema: Mapping[str, Any]) -> str:
    if schema["type"] == "integer":
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**63:
            raise BadArguments(f"{name}: must be a positive whole number")
        return str(value)
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise BadArguments(f"{name}: must have letters, digits, hyphens and underscores alone")
    return value


def _text(name: str, value: Any) -> str:
    """Return `value`, a bool, whole number or text given for the argument `name`, as it stands in a query or header.
    Raises BadArguments for another type, and for a text of more than _MOST_TEXT characters.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str) or len(value) > _MOST_TEXT:
        raise BadArguments(f"{name}: must be a text of up to {_MOST_TEXT} characters")
    return value


# ---------------------------------------------------------------- an answer into a result


def _result_of(reply: ToolReply, *, is_read: bool) -> dict[str, Any]:
    """Return the API's answer as the result of a tool: an error for a status of 400 or more and, for a GET (`is_read`),
    for a redirect. After a write a redirect is success: the token may not read what was written.
    """
    try:
        data = loads(reply.body)["data"]
    except (msgspec.DecodeError, KeyError, TypeError):
        data = None
    error: dict[str, Any] | None = None
    if reply.status >= (300 if is_read else 400):
        found = data if isinstance(data, dict) else {}
        error = {"code": str(found.get("code") or f"http_{reply.status}")}
        if "scope" in found:
            error["scope"] = str(found["scope"])
        if (wait := reply.headers.get("retry-after", "")).isdigit():
            error["retryAfterSeconds"] = int(wait)
    return result(reply.status, data, error=error)


def result(status: int, data: Any, *, error: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the result of a tool with the HTTP status `status`: `data` under `untrustedUserContent`, as structured
    content and once more as text. `error`: None for success, else the member `error`, with its `code`. `nextCursor` is
    there on success if `data` is a page with a next one.

    Where the JSON has more than MOST_CHARACTERS (100,000) characters, long texts in `data` are cut, and `truncated` is
    true; if that is not enough, the result is an error of status 413 in place of the data.
    """
    found: dict[str, Any] = {"status": status, DATA: data}
    if error is not None:
        found["error"] = error
    elif onwards := _next_cursor(data):
        found["nextCursor"] = onwards
    text = dumps(found).decode()
    for most in _CUTS:
        if len(text) <= MOST_CHARACTERS:
            break
        found |= {DATA: _cut(data, most), "truncated": True}
        text = dumps(found).decode()
    else:
        if len(text) > MOST_CHARACTERS:
            return result(
                413, {"errorDetail": "Ask for fewer rows"}, error={"code": "result_too_large"}
            )
    made: dict[str, Any] = {
        "content": [{"type": "text", "text": text}],
        "structuredContent": found,
    }
    if error is not None:
        made["isError"] = True
    return made


def _cut(data: Any, most: int) -> Any:
    """Return decoded JSON in which each text of more than `most` characters, at any depth, is cut to that many,
    followed by _CUT_MARK ("… [cut]"); keys are not cut.
    """
    if isinstance(data, str):
        return data if len(data) <= most else data[:most] + _CUT_MARK
    if isinstance(data, list):
        return [_cut(one, most) for one in data]
    if isinstance(data, dict):
        return {name: _cut(one, most) for name, one in data.items()}
    return data


def _next_cursor(data: Any) -> str:
    """Return the cursor of the next page: the parameter, such as `offset=25`, of the link `next` that the list in
    `data`, the API's answer, has; "" on the last page and for an answer without a list.
    """
    lists = data.values() if isinstance(data, dict) else ()
    for found in lists:
        links = found.get("links") if isinstance(found, dict) else None
        for link in links if isinstance(links, list) else ():
            if isinstance(link, dict) and link.get("rel") == "next":
                for name, value in parse_qsl(str(link.get("href", "")).partition("?")[2]):
                    if name in _ONWARDS:
                        return f"{name}={value}"
    return ""


def refused(level: str, granted: frozenset[str], tool: Tool) -> dict[str, Any]:
    """Return the result of a call of a tool that the token does not see: an error of status 403 that says why not.
    `level`: what site and person let agents do; `granted`: the token's scopes.
    """
    missing = min(tool.scopes)
    if not tool.scopes & granted:
        text = f"This token lacks the scope {missing}"
        return result(
            403, {"errorDetail": text}, error={"code": "insufficient_scope", "scope": missing}
        )
    if tools.LEVELS.index(tool.level) > tools.LEVELS.index(level):
        text = f"The owner of this site, or your person, lets agents do no more than: {level}"
        return result(403, {"errorDetail": text}, error={"code": "level_too_low"})
    text = "A token that reads huddles may not write where others read"
    return result(403, {"errorDetail": text}, error={"code": "reads_huddles"})

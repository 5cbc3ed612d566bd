"""Reads a recorded exchange: one request and what the v1 server answered, as text.

A file holds the request line, its headers, a blank line and, if there was one, the body; then the
same for the response, whose first line is the status line. JSON bodies are pretty-printed, and an
array that was longer than two entries ends with a text that says how many were left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded"

_LEFT_OUT = re.compile(r"\.\.\. (\d+) more of the same kind left out here")
_STATUS_LINE = re.compile(r"^HTTP/1\.1 (\d{3}) ?(.*)$")
_JSONP = re.compile(
    r'^(?P<callback>[A-Za-z_$][\w$.]*)\((?P<json>\{.*\})(?:, (?P<context>".*"))?\)$', re.DOTALL
)


@dataclass(frozen=True)
class LeftOut:
    """Stands at the end of a recorded array for the `count` entries that are not shown."""

    count: int


@dataclass(frozen=True)
class Request:
    """Record of what was sent. `target` is the path with its query as it stood in the request line."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: str

    @property
    def host(self) -> str:
        return self.headers.get("host", "")


@dataclass(frozen=True)
class Response:
    """Record of what came back. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Recording:
    """One exchange. `response` is None where the v1 server closed the connection unanswered."""

    name: str
    request: Request
    response: Response | None


@dataclass(frozen=True)
class Body:
    """A response body taken apart: `kind` is json, jsonp (JSON inside a call), text or none."""

    kind: str
    json: Any = None
    text: str = ""
    callback: str = ""
    context: str | None = None


class MalformedRecordingError(Exception):
    """The file is not a recorded exchange."""


def names() -> list[str]:
    """The names of all recordings kept here, sorted."""
    return sorted(path.stem for path in RECORDED.glob("*.txt"))


@cache
def load(name: str) -> Recording:
    """The recording `name`. Raises FileNotFoundError or MalformedRecordingError."""
    return parse(name, (RECORDED / f"{name}.txt").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Recording:
    """The exchange that `text` holds. Raises MalformedRecordingError."""
    lines = text.split("\n")
    start = next((n for n, line in enumerate(lines) if _STATUS_LINE.match(line)), None)
    if start is None:
        if "(no response" not in text:
            raise MalformedRecordingError(
                f"{name}: neither a response nor a note that there was none"
            )
        request, _ = _message([line for line in lines if not line.startswith("(no response")])
        return Recording(name, _request(name, request, ""), None)

    head, body = _message(lines[:start])
    request_ = _request(name, head, body)
    head, body = _message(lines[start:])
    matched = _STATUS_LINE.match(head[0])
    assert matched is not None
    return Recording(name, request_, Response(int(matched[1]), _headers(name, head[1:]), body))


def take_apart(content_type: str | None, body: str) -> Body:
    """`body` by its looks, since v1 labels JSONP as JSON. Arrays keep `LeftOut`."""
    if not body:
        return Body("none")
    called = _JSONP.match(body)
    if called is not None:
        context = called["context"]
        return Body(
            "jsonp",
            json=_decode(called["json"]),
            callback=called["callback"],
            context=None if context is None else json.loads(context),
        )
    media = (content_type or "").partition(";")[0].strip()
    if media in ("application/json", "application/javascript"):
        return Body("json", json=_decode(body))
    return Body("text", text=body)


def _decode(text: str) -> Any:
    return _mark(json.loads(text, object_pairs_hook=_unique))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict in wire order; a key that comes twice would otherwise vanish unseen."""
    seen = dict(pairs)
    if len(seen) != len(pairs):
        raise ValueError(f"a key stands twice among {[key for key, _ in pairs]}")
    return seen


def _mark(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mark(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mark(inner) for inner in value]
    if isinstance(value, str) and (cut := _LEFT_OUT.fullmatch(value)):
        return LeftOut(int(cut[1]))
    return value


def _message(lines: list[str]) -> tuple[list[str], str]:
    """Start line with headers, and the body without the blank lines around it."""
    head: list[str] = []
    rest = list(lines)
    while rest and rest[0]:
        head.append(rest.pop(0))
    return head, "\n".join(rest).strip("\n")


def _request(name: str, head: list[str], body: str) -> Request:
    parts = head[0].split(" ") if head else []
    if len(parts) != 3 or parts[2] != "HTTP/1.1":
        raise MalformedRecordingError(f"{name}: no request line")
    return Request(parts[0], parts[1], _headers(name, head[1:]), body)


def _headers(name: str, lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.partition(":")
        if not colon:
            raise MalformedRecordingError(f"{name}: {line!r} is not a header")
        headers[key.strip().lower()] = value.strip()
    return headers

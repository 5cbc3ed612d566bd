"""Calls of operations: a method's declaration, what is sent, and what the answer becomes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

import httpx

from .connection import Answer, Body, Connection
from .documents_base import Kind, convert
from .errors import (
    BadAnswer,
    ConnectionFailed,
    Forbidden,
    NotFound,
    NotShown,
    OAuthRefused,
    TimedOut,
)
from .live import LiveStream
from .upload import Progress, Upload, multipart

if TYPE_CHECKING:
    from .operations import Client

_ENVELOPE = frozenset(("context", "status", "data", "error"))


@dataclass(frozen=True)
class Method:
    """Declaration of an operation: its address, how its body goes, and the shape of its answer.

    `gives`: "data" of the envelope, "bare" JSON, "text", "bytes", or the "location" that a redirect leads to.
    """

    verb: str
    path: str
    sends: str = ""
    gives: str = "data"
    kind: Kind | None = None
    has_data: bool = False
    takes_key: bool = False
    prefers: bool = False


class ClientBase(Connection):
    """Base class of the client: calls of operations, which its groups of methods make."""

    def call(
        self,
        method: Method,
        path: Sequence[int | str],
        query: Mapping[str, Any],
        headers: Mapping[str, str | None],
        body: Any = None,
        progress: Progress | None = None,
    ) -> Any:
        """Return what an operation answers with; the parts of `path` in the order of its address."""
        sent = {name: value for name, value in headers.items() if value is not None}
        if method.prefers and method.has_data:
            sent.setdefault("Prefer", "return=representation")
        answer = self.exchange(
            method.verb,
            filled(method.path, path),
            query=query,
            headers=sent,
            body=_body(method.sends, body, progress),
            takes_key=method.takes_key,
        )
        return self._given(method, answer)

    def read(self, href: str) -> tuple[Any, str]:
        """Return the data at an address on this host that the server named, and the whole address."""
        answer = self.exchange("GET", href)
        return _data(answer), answer.url

    def stream(
        self, path: str, query: Mapping[str, Any], headers: Mapping[str, str | None]
    ) -> LiveStream:
        """Return the live events of an address, not connected yet."""
        return LiveStream(cast("Client", self), path, query, headers)

    def _given(self, method: Method, answer: Answer) -> Any:
        if method.gives == "location":
            if "location" not in answer.headers:
                raise BadAnswer(
                    f"{answer.status} without Location from {answer.url}", answer.status
                )
            return answer.headers["location"]
        if method.gives in ("bytes", "text"):
            content = answer.content
            if answer.status == 307:
                content = self._elsewhere(answer.headers.get("location", ""))
            return content.decode(errors="replace") if method.gives == "text" else content
        if answer.status == 204 or (method.has_data is False and method.gives == "data"):
            return None
        if method.gives == "bare":
            data = answer.json()
        elif answer.status >= 300:
            # An older server, or one that does not show what it made: the resource says itself.
            return self._written(method, answer)
        else:
            data = _data(answer)
        return convert(method.kind, data, cast("Client", self), answer.url)

    def _written(self, method: Method, answer: Answer) -> Any:
        location = answer.headers.get("location", "")
        if not location:
            raise BadAnswer(f"{answer.status} without Location from {answer.url}", answer.status)
        try:
            data, address = self.read(location)
        except (Forbidden, NotFound) as error:
            raise NotShown(location) from error
        return convert(method.kind, data, cast("Client", self), address)

    def _elsewhere(self, location: str) -> bytes:
        """Return a file that another host keeps, which gets no token. Raises BadAnswer for a refusal, and for a file of
        more than `largest_answer` bytes; TimedOut after `deadline`.
        """
        try:
            with httpx.Client(timeout=self.settings.timeout, follow_redirects=True) as elsewhere:
                answer = self._read(elsewhere, elsewhere.build_request("GET", location), location)
        except httpx.TimeoutException as error:
            raise TimedOut(f"{location}: {error or 'no answer in time'}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ConnectionFailed(f"{location}: {error}") from error
        if answer.status >= 300:
            raise BadAnswer(f"{answer.status} from {location}", answer.status)
        return answer.content

    def ask_oauth(self, path: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Return the answer of an endpoint of the OAuth protocol; OAuthRefused for a refusal."""
        body = Body.of("application/x-www-form-urlencoded", urlencode(form).encode())
        # A token that has expired must not keep its own renewal back.
        url = self.url(path)
        answer = self._try("POST", url, "", {}, body, remembers=False)
        if answer.status >= 400:
            raise self.refusal(answer)
        made = answer.json()
        if not isinstance(made, dict):
            raise OAuthRefused("invalid_answer", "no object")
        return made


def filled(path: str, parts: Sequence[int | str]) -> str:
    """Return an address with its parameters, percent-encoded."""
    left = list(parts)
    pieces = []
    for piece in path.split("/"):
        if not piece.startswith("{"):
            pieces.append(piece)
            continue
        text = quote(str(left.pop(0)), safe="")
        if text in ("", ".", ".."):
            raise ValueError(f"{piece} of {path} may not be empty, . or ..")
        pieces.append(text)
    return "/".join(pieces)


def _data(answer: Answer) -> Any:
    made = answer.json()
    if not isinstance(made, dict) or not made.keys() >= _ENVELOPE:
        raise BadAnswer(f"no envelope from {answer.url}", answer.status, answer.content[:1000])
    return made["data"]


def _body(sends: str, body: Any, progress: Progress | None) -> Body | None:
    if sends == "files":
        files = cast("Sequence[Upload]", body)
        return multipart(files, progress)
    if not sends:
        return None
    if sends == "form":
        form = {name: value for name, value in body.items() if value is not None}
        return Body.of("application/x-www-form-urlencoded", urlencode(form).encode())
    return Body.of("application/json", json.dumps(body, ensure_ascii=False).encode())

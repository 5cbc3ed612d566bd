"""Live events as an iterator over Server-Sent Events, which resumes after a disconnection without missing any."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import httpx

from .connection import Answer
from .documents_base import CLASSES, Document
from .errors import BadAnswer, ConnectionFailed, ForumError, TimedOut
from .errors_base import ApiError

if TYPE_CHECKING:
    from .documents import (
        Attendee,
        CommentSummary,
        ConversationSummary,
        EventSummary,
        HuddleSummary,
        PollSummary,
    )
    from .operations import Client

_LONGEST_EVENT = 4 * 1024 * 1024
_SHOWN = frozenset(("event", "gap", "resync", "unsubscribed", "error"))


class LiveEnded(ForumError):
    """The server has ended the stream for good; `reason` is such as `banned` or `siteGone`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the stream has ended: {reason}")
        self.reason = reason


class LiveFrame(Document):
    """Frame of the stream. `type` is `event`, or tells of a break:

    `gap`: what lies between was not sent, read `href` anew; `resync`: read everything anew; `unsubscribed`: the topic
    may not be followed any more; `error`. `document` is the thing itself, where documents were asked for.
    """

    _known: ClassVar[frozenset[str]] = frozenset(
        (
            "type",
            "cursor",
            "kind",
            "itemType",
            "itemId",
            "href",
            "parentType",
            "parentId",
            "microcosmId",
            "version",
            "at",
            "document",
            "topic",
            "topics",
            "reason",
            "status",
            "code",
            "text",
        )
    )
    type: str
    cursor: str | None
    kind: str | None
    itemType: str | None
    itemId: int | None
    href: str | None
    parentType: str | None
    parentId: int | None
    microcosmId: int | None
    version: int | None
    at: str | None
    topic: str | None
    topics: list[str] | None
    reason: str | None
    status: int | None
    code: int | None
    text: str | None
    document: (
        CommentSummary
        | ConversationSummary
        | EventSummary
        | PollSummary
        | HuddleSummary
        | Attendee
        | None
    )

    def __init__(self, raw: Mapping[str, Any], client: Client, address: str) -> None:
        super().__init__(raw, client, address)
        name = _DOCUMENTS.get(str(raw.get("itemType")), "Document")
        if isinstance(raw.get("document"), dict):
            self.__dict__["document"] = CLASSES[name](raw["document"], client, address)


_DOCUMENTS: dict[str, str] = {
    "comment": "CommentSummary",
    "conversation": "ConversationSummary",
    "event": "EventSummary",
    "poll": "PollSummary",
    "huddle": "HuddleSummary",
    "attendee": "Attendee",
}


class _Message(NamedTuple):
    name: str
    id: str | None
    data: str


class LiveStream:
    """Iterator over the frames of some topics. `cursor` is the position behind the newest frame that was given out.

    It connects when it is iterated, and again after each disconnection, as often as it takes; a refusal that waiting
    does not mend is raised as ApiError.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        query: Mapping[str, Any],
        headers: Mapping[str, str | None],
    ) -> None:
        self.cursor = headers.get("Last-Event-ID") or ""
        self._client = client
        self._path = path
        self._query = query
        self._headers = {name: value for name, value in headers.items() if value is not None}
        self._is_closed = False
        self._response: httpx.Response | None = None
        self._heartbeat: float = 30.0
        self._retry: tuple[float, float] = (0.0, 3.0)

    def close(self) -> None:
        """End it; the iterator stops."""
        self._is_closed = True
        if self._response is not None:
            self._response.close()

    def __enter__(self) -> LiveStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[LiveFrame]:
        failures = 0
        renewed = False
        while not self._is_closed:
            token = self._client.bearer()
            try:
                for frame in self._frames(token):
                    failures = 0
                    renewed = False
                    yield frame
            except LiveEnded as error:
                if error.reason != "signedOut" or renewed or not self._client.renew(token):
                    raise
                renewed = True
                continue
            except ApiError as error:
                if error.status == 401 and not renewed and self._client.renew(token):
                    renewed = True
                    continue
                if error.status < 500 and error.status != 429:
                    raise
                failures += 1
                self._wait(failures, error.retry_after)
                continue
            except ConnectionFailed:
                failures += 1
            if not self._is_closed:
                self._wait(failures)

    def _wait(self, failures: int, seconds: float | None = None) -> None:
        if seconds is None:
            least, most = self._retry
            most = min(max(most, 0.1) * 2 ** min(max(failures - 1, 0), 8), 60.0)
            seconds = least + (most - least) * random.random() if most > least else least
        self._client.settings.sleep(seconds)

    def _frames(self, token: str) -> Iterator[LiveFrame]:
        url = self._client.url(self._path, self._query)
        headers = {**self._headers, "Accept": "text/event-stream"}
        if self.cursor:
            headers["Last-Event-ID"] = self.cursor
        request = self._client.request("GET", url, token, headers, timeout=2 * self._heartbeat + 5)
        try:
            self._response = response = self._client.http.send(request, stream=True)
            try:
                kind = response.headers.get("content-type", "")
                if response.status_code >= 400:
                    content = response.read()
                    raise self._client.refusal(
                        Answer(response.status_code, response.headers, content, url)
                    )
                if response.status_code != 200 or not kind.startswith("text/event-stream"):
                    raise BadAnswer(f"{url} is no event stream", response.status_code)
                for message in self._messages(response):
                    frame = self._frame(message, url)
                    if frame is not None:
                        yield frame
                    if message.id:
                        # Behind the frame only once it was taken.
                        self.cursor = message.id
            finally:
                response.close()
        except httpx.TimeoutException as error:
            raise TimedOut(f"{url}: no heartbeat") from error
        except (httpx.RequestError, httpx.StreamError) as error:
            raise ConnectionFailed(f"{url}: {error}") from error

    def _frame(self, message: _Message, url: str) -> LiveFrame | None:
        if not message.data:
            return None
        try:
            raw = json.loads(message.data)
        except ValueError as error:
            raise BadAnswer(
                f"{url}: a frame without JSON", 200, message.data.encode()[:1000]
            ) from error
        if not isinstance(raw, dict):
            raise BadAnswer(f"{url}: a frame that is no object", 200, message.data.encode()[:1000])
        kind = raw.get("type")
        if kind == "hello":
            self._heartbeat = float(raw.get("heartbeatSeconds") or self._heartbeat)
        if kind == "bye":
            again = raw.get("retryAfterMs")
            if not isinstance(again, dict):
                raise LiveEnded(str(raw.get("reason")))
            self._retry = (again.get("min", 0) / 1000, again.get("max", 3000) / 1000)
        return LiveFrame(raw, self._client, url) if kind in _SHOWN else None

    def _messages(self, response: httpx.Response) -> Iterator[_Message]:
        """Yield the events of a stream (HTML Living Standard, 9.2.6): those that end with an empty line."""
        name, id, data = "", None, list[str]()
        size = 0
        for line in _lines(response):
            if not line:
                if data or id is not None:
                    yield _Message(name, id, "\n".join(data))
                name, id, data, size = "", None, [], 0
                continue
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            size += len(line)
            if size > _LONGEST_EVENT:
                raise BadAnswer("an event that is too long")
            if field == "data":
                data.append(value)
            elif field == "event":
                name = value
            elif field == "id" and "\0" not in value:
                id = value
            elif field == "retry" and value.isdecimal():
                self._retry = (0.0, int(value) / 1000)


def _lines(response: httpx.Response) -> Iterator[str]:
    left = b""
    for part in response.iter_bytes():
        left += part
        # A carriage return at the end may be half of a line's end.
        whole = left.replace(b"\r\n", b"\n")
        *lines, left = whole.split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode(errors="replace")
        if len(left) > _LONGEST_EVENT:
            raise BadAnswer("an event that is too long")

"""Results that handlers return (Data, Page, Found, ...), and the types of what `answer_conversion.py` makes of them
(platform 1.4 to 1.7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from forumapi.wire.status_and_base_headers import Headers


class Data:
    """Result 200 whose member `data` of the envelope is the finished JSON `data`."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Page:
    """Result 200 whose member `data` of the envelope is the JSON that `build()` returns; it is not called if the client
    or the cache of answers has this document.

    `stamp`: plain data that differs whenever the JSON would (ids, versions, flags, totals, permissions). `version`: the
    document's own, with which its entity tag begins, for If-Match; 0 for none. `is_kept` False: proxies may not cache
    the answer to guests either.
    """

    __slots__ = ("build", "is_kept", "stamp", "version")

    def __init__(
        self, version: int, stamp: Any, build: Callable[[], bytes], *, is_kept: bool = True
    ) -> None:
        self.version = version
        self.is_kept = is_kept
        self.stamp = stamp
        self.build = build


class Done:
    """Result 200 whose member `data` of the envelope is null."""

    __slots__ = ()


class Found:
    """Result 302: redirect to `location`, the address of the resource that a write made or changed.

    A PUT that a script in a browser sent is answered with 303 instead, without the handler's doing, since the browser
    would repeat the PUT at `location` after 302.
    """

    __slots__ = ("location",)
    status = 302

    def __init__(self, location: str) -> None:
        self.location = location


class Accepted(Found):
    """Result 202: a job was begun; the resource at `location` shows how far it is."""

    __slots__ = ()
    status = 202


class TemporaryRedirect(Found):
    """Result 307: redirect to `location`, the resource's present address, which may change again."""

    __slots__ = ()
    status = 307


class PermanentRedirect(Found):
    """Result 301: redirect to `location`, the resource that has taken this one's place for good."""

    __slots__ = ()
    status = 301


class RawResponse:
    """Result without the envelope: `body` is sent as it is. `headers`: those beside Content-Type.

    The transaction of a write is committed even with a `status` of 400 or above.
    """

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        body: bytes,
        content_type: str,
        headers: tuple[tuple[str, str], ...] = (),
        status: int = 200,
    ) -> None:
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.status = status


class StreamedBody:
    """Body of `size` bytes that is sent piece by piece; `pieces` is closed at the end if it has a method `close`."""

    __slots__ = ("_pieces", "_size")

    def __init__(self, size: int, pieces: Iterator[bytes]) -> None:
        self._size = size
        self._pieces = pieces

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        """Close the source of the pieces, if it has a method `close`."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


class StoredBytes:
    """Result of stored bytes, such as a file or a range of one, sent with exactly this status and these headers,
    without the envelope.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes | StreamedBody) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class ConnectionUpgrade:
    """Result that ends HTTP on the connection: once its head (`status`, `headers`) is sent, `run` has the socket until
    it returns.

    `run` receives the socket and the bytes that the client sent after its request. `drop` is called instead if the head
    can't be sent.
    """

    __slots__ = ("drop", "headers", "run", "status")

    def __init__(
        self,
        status: int,
        headers: Headers,
        run: Callable[[Any, bytes], None],
        drop: Callable[[], None],
    ) -> None:
        self.status = status
        self.headers = headers
        self.run = run
        self.drop = drop

    def __iter__(self) -> Iterator[bytes]:
        """Return an empty iterator, since WSGI sees no body."""
        return iter(())


Result = Data | Page | Done | Found | RawResponse | StoredBytes | ConnectionUpgrade
# Status, headers and body; the status as a number, and as the line that is sent.
Answered = tuple[int, Headers, bytes | StreamedBody | ConnectionUpgrade]
Answer = tuple[str, Headers, bytes | StreamedBody | ConnectionUpgrade]

"""Results that handlers return (Data, Page, Found, ...), and the parts of answers: envelope, entity tags, headers
(platform 1.4 to 1.7).

`answer_conversion.py` joins the two. HTTP status lines stand in this module alone.
"""

from __future__ import annotations

import hashlib
import marshal
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from forumapi.errors import (
    UNPARSABLE,
    ApiError,
    InsufficientScope,
    Invalid,
    InvalidRows,
    PreconditionFailed,
)
from forumapi.wire.documented_headers import CORS_RESPONSE
from forumapi.wire.json_fragments import dumps

Headers = list[tuple[str, str]]

STATUS_LINES: Final = {
    101: "101 Switching Protocols",
    200: "200 OK",
    201: "201 Created",
    202: "202 Accepted",
    204: "204 No Content",
    206: "206 Partial Content",
    301: "301 Moved Permanently",
    302: "302 Found",
    303: "303 See Other",
    304: "304 Not Modified",
    307: "307 Temporary Redirect",
    400: "400 Bad Request",
    401: "401 Unauthorized",
    403: "403 Forbidden",
    404: "404 Not Found",
    405: "405 Method Not Allowed",
    408: "408 Request Timeout",
    409: "409 Conflict",
    412: "412 Precondition Failed",
    413: "413 Content Too Large",
    416: "416 Range Not Satisfiable",
    422: "422 Unprocessable Content",
    426: "426 Upgrade Required",
    429: "429 Too Many Requests",
    500: "500 Internal Server Error",
    501: "501 Not Implemented",
    502: "502 Bad Gateway",
    503: "503 Service Unavailable",
}

NO_CACHE: Final = "no-cache, max-age=0"
_CALLBACK: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.]{0,99}")
# Raise it when the bytes of an answer change though nothing that `stamp` covers does.
SHAPE: Final = 1


# Headers of a request that any JSON answer depends on (platform 1.4, 1.5).
VARY: Final = "Authorization, X-Always-200, X-Disable-Boiler"


class Data:
    """Result 200 whose `data` is finished JSON."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Page:
    """Result 200 whose JSON `build` makes, unless the client or the cache of answers has it.

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
    """Result 200 whose `data` is null."""

    __slots__ = ()


class Found:
    """Result 302: redirect to the resource that a write made or changed.

    303 for a PUT from a page in a browser, which would repeat the PUT after 302.
    """

    __slots__ = ("location",)
    status = 302

    def __init__(self, location: str) -> None:
        self.location = location


class Accepted(Found):
    """Result 202: a job was begun; the resource shows how far it is."""

    __slots__ = ()
    status = 202


class TemporaryRedirect(Found):
    """Result 307: redirect to the resource's present address."""

    __slots__ = ()
    status = 307


class PermanentRedirect(Found):
    """Result 301: redirect to the resource that has taken this one's place."""

    __slots__ = ()
    status = 301


class RawResponse:
    """Result without the envelope.

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
        """Close the source of the pieces."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


class StoredBytes:
    """Result of stored bytes, sent with exactly these headers, without the envelope."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes | StreamedBody) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class ConnectionUpgrade:
    """Result that ends HTTP on the connection: once its head is sent, `run` has the socket until it returns.

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


class EnvelopeSwitches:
    """Wishes of the client on the form of a JSON answer: context, always200, bare, callback (platform 1.4)."""

    __slots__ = ("always200", "bare", "callback", "context", "depends_on_cookies")

    def __init__(
        self, context: str = "", always200: bool = False, bare: bool = False, callback: str = ""
    ) -> None:
        self.context = context
        self.always200 = always200
        self.bare = bare
        self.callback = callback
        # A callback was asked for, which is ignored where credentials come with it.
        self.depends_on_cookies = False

    @property
    def key(self) -> tuple[str, bool, bool, str]:
        """Return the switches that change the bytes of an answer, for its entity tag."""
        return (self.context, self.always200, self.bare, self.callback)


PLAIN: Final = EnvelopeSwitches()


REPRESENTATION: Final = "return=representation"
MINIMAL: Final = "return=minimal"
_RETURN: Final = re.compile(r'return\s*=\s*"?(representation|minimal)"?\s*(?:;.*)?', re.IGNORECASE)


def preferred(header: str) -> str:
    """Return the form that the value of a header Prefer asks for as the answer to a write: REPRESENTATION, MINIMAL or
    "" (RFC 7240).

    The first of several wishes counts; unknown preferences are ignored, as the RFC demands.
    """
    for one in header.split(","):
        if found := _RETURN.fullmatch(one.strip()):
            return f"return={found[1].lower()}"
    return ""


def check_callback(name: str) -> str:
    """Return `name` if it is a safe JavaScript name for JSONP (P-06). Raises Invalid, code 2."""
    if not _CALLBACK.fullmatch(name):
        raise Invalid(
            "callback", "must be a JavaScript name of at most 100 characters", code=UNPARSABLE
        )
    return name


def etag(page: Page, switches: EnvelopeSwitches, path: str, query: str) -> str:
    """Return the entity tag of a page, `"<version>-<hash>"`; the hash covers all that the answer's bytes depend on.
    `path`, `query`: of the request.
    """
    covered = marshal.dumps((SHAPE, page.stamp, switches.key, path, query), 2)
    return f'"{page.version}-{hashlib.blake2b(covered, digest_size=12).hexdigest()}"'


def none_match(header: str, tag: str) -> bool:
    """Return True if a header If-None-Match names `tag`, strong or weak, or is `*`: the client has the document."""
    return header.strip() == "*" or any(
        one.strip().removeprefix("W/") == tag for one in header.split(",")
    )


def matches_version(header: str, version: int) -> bool:
    """Return True if a header If-Match names a tag with this version, or is `*` (docs/architecture.md, Bytes)."""
    if header.strip() == "*":
        return True
    wanted = f'"{version}-'
    return any(one.strip().removeprefix("W/").startswith(wanted) for one in header.split(","))


def check_match(header: str, version: int) -> None:
    """Raise PreconditionFailed unless a header If-Match names a tag with this version, or is `*`."""
    if not matches_version(header, version):
        raise PreconditionFailed("If-Match: this has changed since you read it")


def envelope(status: int, data: bytes, error: bytes, switches: EnvelopeSwitches) -> bytes:
    """Return the body of a JSON answer from `data` and `error`, both JSON: in the envelope, or as the switches ask."""
    if switches.bare:
        body = data
    elif switches.context:
        body = b'{"context":%b,"status":%d,"data":%b,"error":%b}' % (
            dumps(switches.context),
            status,
            data,
            error,
        )
    else:
        body = b'{"context":"","status":%d,"data":%b,"error":%b}' % (status, data, error)
    if switches.callback:
        call = b"%b(%b" % (switches.callback.encode(), _script_safe(body))
        return call + (
            b", %b)" % _script_safe(dumps(switches.context)) if switches.context else b")"
        )
    return body


def _script_safe(text: bytes) -> bytes:
    """Escape JSON so that it is valid as JavaScript too, and can't end a script element."""
    return (
        text.replace(b"<", b"\\u003c")
        .replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
    )


def error_data(error: ApiError, site_id: int, profile_id: int) -> bytes:
    """Return the `data` of an error's answer as JSON: code, message, site and profile (P-07). `site_id`: 0 if the site
    is not known; `profile_id`: of the caller, 0 for a guest.
    """
    data: dict[str, Any] = {"siteId": site_id}
    if profile_id:
        data["profileId"] = profile_id
    data["errorCode"] = error.code
    data["errorDetail"] = error.message
    data["code"] = error.name
    if isinstance(error, InsufficientScope) and error.scope:
        data["scope"] = error.scope
    if isinstance(error, InvalidRows):
        data["rows"] = [
            {"row": row, "field": field, "rule": rule} for row, field, rule in error.rows
        ]
    return dumps(data)


def base_headers(switches: EnvelopeSwitches) -> Headers:
    """Return the headers that all JSON answers have, without Cache-Control and Content-Length."""
    kind = "application/javascript" if switches.callback else "application/json"
    vary = f"{VARY}, Cookie" if switches.depends_on_cookies else VARY
    return [*plain_headers(vary), ("Content-Type", kind)]


def plain_headers(vary: str = "Authorization") -> Headers:
    """Return the headers that all answers have. `vary`: request headers that the answer depends on, "" for none."""
    headers = [
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Expose-Headers", CORS_RESPONSE),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if vary:
        headers.insert(2, ("Vary", vary))
    return headers

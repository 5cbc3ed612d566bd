"""Transports between the website and the API: the WSGI callable in this process, or HTTP.

Both carry method, path, query, a fixed list of headers and a body. Neither grants rights: a call has those of the token
that it carries, and counts for rate limits as the visitor whose address it names.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, Final, NamedTuple, Protocol, cast
from urllib.parse import quote, urlsplit

import urllib3
from urllib3.filepost import encode_multipart_formdata

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# Headers of a call, by the names that the website gives them. No other header reaches the API.
HEADERS: Final = (
    "Accept-Language",
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "If-Range",
    "Prefer",
    "Range",
    "User-Agent",
    "X-Request-Id",
)


class Visitor(NamedTuple):
    """Visitor on whose behalf the website calls the API, one for each request: the host in the visitor's request, its
    WSGI environ, and the visitor's IP address, "" on a Unix socket.
    """

    host: str
    environ: dict[str, Any]
    address: str


class Reply(NamedTuple):
    """Answer of the API, of any status. `headers` by name in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class FormBody:
    """Body of an upload, multipart/form-data with one file as its last field, read once from its begin to its end and
    never whole in memory. `kind`: its Content-Type; `length`: in bytes.

    `fields`: (name, value) of the fields before the file; `file`: the file at its begin, which can be searched; `name`,
    `file_kind`: its name and Content-Type.
    """

    def __init__(
        self, file: IO[bytes], name: str, file_kind: str, fields: Iterable[tuple[str, str]] = ()
    ) -> None:
        empty = ("file", (name, b"", file_kind))
        around, self.kind = encode_multipart_formdata([*fields, empty])
        # Where the content of the file stands: before the line break that ends it.
        end = around.rindex(b"\r\n--")
        self.length = len(around) + file.seek(0, io.SEEK_END)
        file.seek(0)
        self._parts = [io.BytesIO(around[:end]), file, io.BytesIO(around[end:])]

    def read(self, size: int) -> bytes:
        """Return the next bytes of the body, `size` at most; b"" at its end."""
        while self._parts:
            if piece := self._parts[0].read(size):
                return piece
            del self._parts[0]
        return b""


class ApiTransport(Protocol):
    """Interface of a transport to the API."""

    def send(
        self,
        visitor: Visitor,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | FormBody,
    ) -> Reply:
        """Send one request on behalf of `visitor` and return the whole answer, whatever its status. `path` begins with
        a slash and is not percent-encoded, `query` is; `body` is b"" for none. Raises Unreachable without an answer,
        ValueError for a header whose name is not in HEADERS.
        """
        ...


class Unreachable(Exception):
    """Failure to get any answer from the API."""


class InProcess:
    """Transport that calls the API's WSGI callable in this process, with an environ of its own for each call.

    A call passes on the peer's address and `X-Forwarded-For` of the visitor's request, so that the API trusts proxies
    by its own settings.
    """

    def __init__(self, application: Wsgi) -> None:
        self._application = application

    def send(
        self,
        visitor: Visitor,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | FormBody,
    ) -> Reply:
        """Call the API in this process on behalf of `visitor` and return the whole answer, whatever its status. `path`
        begins with a slash and is not percent-encoded, `query` is; `body` is b"" for none. Raises ValueError for a
        header whose name is not in HEADERS.
        """
        outer = visitor.environ
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path.encode().decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": outer.get("SERVER_NAME", ""),
            "SERVER_PORT": outer.get("SERVER_PORT", ""),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": outer.get("REMOTE_ADDR", ""),
            "HTTP_HOST": visitor.host,
            "CONTENT_LENGTH": str(len(body) if isinstance(body, bytes) else body.length),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": outer.get("wsgi.url_scheme", "http"),
            "wsgi.input": io.BytesIO(body) if isinstance(body, bytes) else body,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "forumapi.is_page": True,
        }
        if "HTTP_X_FORWARDED_FOR" in outer:
            environ["HTTP_X_FORWARDED_FOR"] = outer["HTTP_X_FORWARDED_FOR"]
        for key in ("forumapi.time_limit", "forumapi.is_gone"):
            if key in outer:
                environ[key] = outer[key]
        for name, value in headers.items():
            if name not in HEADERS:
                raise ValueError(f"{name} is no header of the website's calls")
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        status, answered = 0, {}

        def start_response(line: str, fields: list[tuple[str, str]], _: Any = None) -> None:
            nonlocal status, answered
            status = int(line[:3])
            answered = {name.lower(): value for name, value in fields}

        try:
            pieces = self._application(environ, start_response)
            data = b"".join(pieces)
        finally:
            # A time limit that ends this request within the commit is answered as the API would answer it.
            if environ.get("forumapi.is_committing"):
                outer["forumapi.is_committing"] = True
        return Reply(status, answered, data)


_CONNECT_S: Final = 2.0


class _Limits(NamedTuple):
    """Seconds for which an answer of the API is awaited: to a GET or HEAD, to any other request, and to an upload, a
    `FormBody`.
    """

    read_s: float
    write_s: float
    upload_s: float


class OverHttp:
    """Transport over HTTP, for a website that is a front end known to the API: it names each visitor's address, by
    which the API counts.

    `url`: the API's scheme, host and port. `secret`: the one of which the API's setting `front_ends` has the hash; ""
    if the API knows the website by its address. `timeout_s`: wait for the answer to a write, the API's own time limit;
    answers to reads are waited for a third as long. `upload_timeout_s`: wait for the answer to an upload.
    """

    def __init__(
        self,
        url: str,
        secret: str = "",
        *,
        timeout_s: float = 30.0,
        upload_timeout_s: float = 300.0,
    ) -> None:
        parts = urlsplit(url)
        self._secret = secret
        self._limits = _Limits(timeout_s / 3, timeout_s, upload_timeout_s)
        self._pool = urllib3.connection_from_url(
            f"{parts.scheme}://{parts.netloc}", maxsize=64, retries=False
        )

    def send(
        self,
        visitor: Visitor,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | FormBody,
    ) -> Reply:
        """Call the API over HTTP on behalf of `visitor` and return the whole answer, whatever its status. `path` begins
        with a slash and is not percent-encoded, `query` is; `body` is b"" for none. A GET or HEAD is repeated once if
        the connection broke. Raises Unreachable without an answer, ValueError for a header whose name is not in
        HEADERS.
        """
        # The peer of a Unix socket is on this machine.
        wanted = {"Host": visitor.host, "X-Forumapi-Visitor": visitor.address or "127.0.0.1"}
        if self._secret:
            wanted["X-Forumapi-Front-End"] = self._secret
        for name, value in headers.items():
            if name not in HEADERS:
                raise ValueError(f"{name} is no header of the website's calls")
            wanted[name] = value
        address = f"{quote(path)}?{query}" if query else quote(path)
        try:
            answer = self._ask(method, address, wanted, body)
        except urllib3.exceptions.ProtocolError:
            # A kept connection may have been closed under this request. What changes nothing is asked again.
            if method not in ("GET", "HEAD"):
                raise Unreachable("the connection to the API broke off") from None
            try:
                answer = self._ask(method, address, wanted, body)
            except urllib3.exceptions.HTTPError as error:
                raise Unreachable(str(error)) from None
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(str(error)) from None
        found = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status, found, answer.data)

    def _ask(
        self, method: str, address: str, headers: dict[str, str], body: bytes | FormBody
    ) -> urllib3.BaseHTTPResponse:
        limits = self._limits
        wait_s = limits.read_s if method in ("GET", "HEAD") else limits.write_s
        connect_s = _CONNECT_S
        if isinstance(body, FormBody):
            headers["Content-Length"] = str(body.length)
            # The wait to connect holds for each piece as well that the API does not take yet.
            wait_s = connect_s = limits.upload_s
        return self._pool.urlopen(
            method,
            address,
            # Of a body with a length, urllib3 asks for `read` alone.
            body=cast("IO[bytes]", body) if isinstance(body, FormBody) else body or None,
            headers=headers,
            redirect=False,
            timeout=urllib3.Timeout(connect=connect_s, read=wait_s),
        )

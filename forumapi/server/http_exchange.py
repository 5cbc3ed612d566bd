"""HTTP/1.1 exchange: from gunicorn's parsed request to the WSGI call, and the answer's bytes for one write.

gunicorn's strict parser and limits stay. Its general code around the WSGI call costs more CPU than some of our answers,
so this module serves our application alone, whose answers are whole.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import partial
from typing import Any, Final

import gevent
from gevent.monkey import get_original
from gunicorn.http import errors
from gunicorn.http.body import LengthReader
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.util import unquote_to_wsgi_str

from forumapi.errors import UNPARSABLE, Invalid
from forumapi.request.handler_results import ConnectionUpgrade, StreamedBody

Headers = list[tuple[str, str]]
StartResponse = Callable[[str, Headers], Any]
Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

# Errors of a body that ends early, and of any malformed body.
_CUT_OFF: Final = (errors.NoMoreData, ConnectionError)
_BROKEN: Final = (errors.ParseException, *_CUT_OFF)

# gevent's own would switch to other requests.
_poll: Final = get_original("select", "poll")
# State of a TCP connection whose other end was closed (tcp_info.tcpi_state of Linux).
_CLOSE_WAIT: Final = 8

# Statuses whose answer has no body (RFC 9110).
_BARE: Final = ("204", "304")


class FrozenConfig:
    """Copy of gunicorn's settings as plain attributes, which can't be changed: gunicorn's own object is slow to read,
    forty times a request.
    """

    def __init__(self, cfg: Any) -> None:
        self.__dict__["_cfg"] = cfg
        for name in cfg.settings:
            self.__dict__[name] = getattr(cfg, name)
        self.__dict__["is_ssl"] = cfg.is_ssl

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cfg, name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} can't be changed any more")


class Unproxied(Request):  # type: ignore[misc]
    """Request of gunicorn's parser that trusts no peer: the client's address is found later, by `client_address`
    (P-60).
    """

    def _peer_is_trusted_proxy(self) -> bool:
        return False


class Parser(RequestParser):  # type: ignore[misc]
    """Parser of the requests of one connection: gunicorn's strict one, and a method that waits for the next request."""

    mesg_class = Unproxied
    mesg: Any

    def __init__(self, settings: FrozenConfig, client: Any, address: Any) -> None:
        super().__init__(settings, client, address)
        self._readable = gevent.get_hub().loop.io(client.fileno(), 1)

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> bool:
        """Read and drop the rest of the request's body; return False if no request can follow, since the body is
        malformed or does not end within the limits: `deadline`, a time of time.monotonic, and `max_bytes`, None each
        for none.
        """
        body = getattr(self.mesg, "body", None)
        if body is not None and type(body.reader) is LengthReader and not body.reader.length:
            # Nothing is left, as of most requests: gunicorn's method costs more than finding that out.
            return not body.failed
        try:
            return bool(super().finish_body(deadline, max_bytes))
        except _BROKEN:
            return False

    def wait(self) -> bytes:
        """Drop the rest of the previous request's body, and wait until the first bytes of the next request are there;
        return the bytes, b"" if the client has closed the connection. Other greenlets run meanwhile in any case.

        Raises StopIteration if no request can follow the previous one.
        """
        if self.mesg is not None:
            if self.mesg.should_close() or not self.finish_body():
                raise StopIteration
            self.mesg = None
        data: bytes = self.unreader.take_buffered()
        if data:
            gevent.sleep(0)
        else:
            # Before the read, which would fail first: the answer before has only just left.
            gevent.get_hub().wait(self._readable)
            data = self.unreader.chunk()
        self.unreader.unread(data)
        return data

    def close(self) -> None:
        """Stop watching the connection's socket, before it is closed."""
        self._readable.close()


class MalformedBody(Invalid, ValueError):
    """400: a body that is malformed or cut off. To the API it is a refusal; the website and its form parser, which know
    no errors of the API, take it for the ValueError of a value that can't be parsed.
    """


class Input:
    """Body of a request, for `wsgi.input`. A body that is malformed or cut off is answered by 400, and the connection
    ends.
    """

    __slots__ = ("_body",)

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes of the body, all that are left for -1; fewer only at its end. Raises
        MalformedBody, code UNPARSABLE, for a body that is malformed or cut off.
        """
        try:
            return bytes(self._body.read(size))
        except errors.ParseException:
            rule = "The chunks of the body are malformed (RFC 9112, section 7.1)"
            raise MalformedBody("", rule, code=UNPARSABLE) from None
        except _CUT_OFF:
            raise MalformedBody("", "The body ended early", code=UNPARSABLE) from None


def environ(
    request: Any, client: Any, address: Any, server: tuple[str, str], many: bool
) -> dict[str, Any]:
    """Return the WSGI environment of a request. `request`: as gunicorn's parser read it; `client`: the connection's
    socket, `address`: its peer, a tuple of address and port, or anything else for a Unix socket; `server`: name and
    port; `many`: there are other worker processes.

    Headers that are repeated are joined by a comma; of Content-Type and Content-Length the last counts.
    """
    made: dict[str, Any] = {
        "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": many,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": Input(request.body),
        "gunicorn.socket": client,
        "forumapi.is_gone": partial(is_gone, client),
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query,
        "RAW_URI": request.uri,
        "SERVER_PROTOCOL": f"HTTP/{request.version[0]}.{request.version[1]}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": server[1],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_wsgi_str(request.path),
    }
    if isinstance(address, tuple):
        made["REMOTE_ADDR"] = address[0]
        made["REMOTE_PORT"] = str(address[1])
    else:
        made["REMOTE_ADDR"] = ""
    for name, value in request.headers:
        if name in ("CONTENT-TYPE", "CONTENT-LENGTH"):
            made[name.replace("-", "_")] = value
            continue
        key = "HTTP_" + name.replace("-", "_")
        made[key] = f"{made[key]},{value}" if key in made else value
    return made


def is_gone(client: Any) -> bool:
    """Return True if the client has closed its end of this socket, or the socket itself is closed or failed; False
    after our own end alone was shut down.
    """
    try:
        poller = _poll()
        poller.register(client.fileno(), 0)  # hang-ups and errors are reported unasked
        if poller.poll(0):
            return True
        if client.family == socket.AF_UNIX:
            return False
        return int(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]) == _CLOSE_WAIT
    except (OSError, ValueError):
        return True


_date: tuple[int, str] = (0, "")


def _http_date() -> str:
    """Return the value of the header Date, formatted once a second."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, formatdate(now, usegmt=True))
    return _date[1]


def answer(
    wsgi: Wsgi, env: dict[str, Any], closes: Callable[[], bool]
) -> tuple[bytes, bool, StreamedBody | ConnectionUpgrade | None]:
    """Call the application `wsgi` with the environment `env`; return the bytes of its answer, and True if the
    connection ends with it.

    For a StreamedBody or ConnectionUpgrade the bytes are the head alone, and that object is the third value, which the
    caller sends and closes; else it is None. `closes()`, called after the application, returns True if the connection
    is to end. Raises ValueError if a header holds a line break; nothing is sent then.
    """
    started: list[Any] = []

    def start_response(status: str, headers: Headers, exc_info: object = None) -> None:
        started[:] = (status, headers)

    parts = wsgi(env, start_response)
    pieces: StreamedBody | ConnectionUpgrade | None = None
    body = b""
    if isinstance(parts, (StreamedBody, ConnectionUpgrade)):
        pieces = parts
    else:
        body = b"".join(parts)
        if close := getattr(parts, "close", None):
            close()
    status, headers = started
    lines = [f"HTTP/1.1 {status}", f"Date: {_http_date()}", *map(": ".join, headers)]
    is_last = isinstance(parts, ConnectionUpgrade) or closes()
    if status[:3] == "101":
        lines.append("Connection: Upgrade")
    else:
        lines.append("Connection: close" if is_last else "Connection: keep-alive")
    head = "\r\n".join(lines)
    # No header may smuggle in a line of its own.
    if head.count("\r") != len(lines) - 1 or head.count("\n") != len(lines) - 1:
        raise ValueError("a header holds a line break")
    if env["REQUEST_METHOD"] == "HEAD" or status[:3] in _BARE:
        body = b""
    elif not isinstance(parts, ConnectionUpgrade) and "\r\ncontent-length:" not in head.lower():
        head += f"\r\nContent-Length: {len(body)}"
    return b"%b\r\n\r\n%b" % (head.encode("latin-1"), body), is_last, pieces

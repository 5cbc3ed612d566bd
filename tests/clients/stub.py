"""A server that answers as it is told, byte by byte, and keeps what it was asked."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    """Request as it came in. Names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query's parameters in order."""
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)


Script = Callable[[Request], bytes | Iterable[bytes]]


def answer(
    status: int = 200,
    data: Any = None,
    error: Any = None,
    *,
    body: bytes | None = None,
    length: int | None = None,
    **headers: Any,
) -> bytes:
    """Bytes of an answer with the envelope, or with `body`; `length` is what its header says."""
    if body is None:
        envelope = {"context": "", "status": status, "data": data, "error": error}
        body = json.dumps(envelope).encode()
    lines = [f"HTTP/1.1 {status} X", "Connection: close", "Access-Control-Allow-Origin: *"]
    given = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines += [f"{name}: {value}" for name, value in given.items()]
    if status not in (204, 304):
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join((*lines, "", "")).encode() + body


def refusal(status: int, code: int = 0, text: str = "No", **headers: Any) -> bytes:
    """Bytes of a refusal."""
    detail = {"siteId": 1, "errorCode": code, "errorDetail": text}
    return answer(status, detail, [text], body=None, length=None, **headers)


class Stub:
    """The server on loopback: `script` makes the answer of each request, `requests` are those so far."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Its address, with scheme."""
        return "http://{}:{}".format(*self._socket.getsockname())

    def close(self) -> None:
        """End it."""
        # A thread in accept() does not notice that the socket is closed.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as read:
            try:
                request = _request(read)
                if request is None:
                    return
                self.requests.append(request)
                made = self.script(request)
                for piece in [made] if isinstance(made, bytes) else made:
                    connection.sendall(piece)
            except OSError:
                return


def _request(read: Any) -> Request | None:
    line = read.readline().decode("latin-1").split()
    if not line:
        return None
    headers: dict[str, str] = {}
    while text := read.readline().decode("latin-1").strip():
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    body = read.read(int(headers.get("content-length", "0")))
    if headers.get("transfer-encoding") == "chunked":
        while size := int(read.readline(), 16):
            body += read.read(size)
            read.readline()
    return Request(line[0], line[1], headers, body)


@contextmanager
def stub(script: Script) -> Iterator[Stub]:
    """A server for as long as this lasts."""
    server = Stub(script)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def answering(*answers: bytes | Iterable[bytes]) -> Iterator[Stub]:
    """A server that gives these answers in turn, the last again and again."""
    left = list(answers)
    lock = threading.Lock()

    def script(request: Request) -> bytes | Iterable[bytes]:
        if request.method == "OPTIONS":
            return answer(204, Access_Control_Allow_Headers="*", Access_Control_Allow_Methods="*")
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    with stub(script) as server:
        yield server

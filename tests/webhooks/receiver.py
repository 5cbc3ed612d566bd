"""A receiver of webhooks on loopback, which answers as a test says and keeps what it got."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.api import Headers

PATIENCE_S = 15.0


@dataclass(frozen=True)
class Message:
    """One message as it came in."""

    path: str
    headers: Headers
    body: bytes

    @property
    def id(self) -> str:
        """Its id, the same for each attempt."""
        return self.headers["webhook-id"]

    @property
    def data(self) -> Any:
        """Return what it says."""
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """Return whether one of its signatures is of this secret, as the Standard Webhooks specification has it."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        text = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        made = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
        return made in self.headers["webhook-signature"].split(" ")


class Receiver(ThreadingHTTPServer):
    """Answers each message with what `answer` says of it: a status, or None to keep the sender waiting."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Arrival)
        self.answer: Callable[[Message], int | None] = lambda message: 204
        self.messages: list[Message] = []
        self.location = ""
        self.length = 0  # bytes of each answer
        self.ends = threading.Event()
        self._changed = threading.Condition()

    def url(self, path: str = "/hook") -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.server_port}{path}"

    def arrived(self, message: Message) -> None:
        """Keep a message."""
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def at(self, path: str = "/hook") -> list[Message]:
        """Return what came to a path so far."""
        return [message for message in self.messages if message.path == path]

    def wait(
        self, count: int = 1, path: str = "/hook", seconds: float = PATIENCE_S
    ) -> list[Message]:
        """The messages to a path, once there are `count`."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while len(self.at(path)) < count:
                left = deadline - time.monotonic()
                assert left > 0, f"{len(self.at(path))} of {count} messages came to {path}"
                self._changed.wait(left)
            return self.at(path)

    def only(self, path: str = "/hook") -> Message:
        """The one message that came to a path."""
        (message,) = self.wait(path=path)
        return message


class _Arrival(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        message = Message(self.path, Headers(self.headers.items()), body)
        status = self.server.answer(message)
        self.server.arrived(message)
        if status is None:
            self.server.ends.wait(PATIENCE_S)
            return
        with contextlib.suppress(OSError):  # whoever sent it may have gone
            self.send_response(status)
            if self.server.location:
                self.send_header("Location", self.server.location)
            self.send_header("Content-Length", str(self.server.length))
            self.end_headers()
            self.wfile.write(b"x" * self.server.length)

    def log_message(self, format: str, *args: object) -> None:
        """Tests say what happens."""


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver of one test."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.ends.set()
    server.shutdown()
    server.server_close()
    thread.join()

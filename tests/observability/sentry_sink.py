"""A server that takes crashes as Sentry does."""

from __future__ import annotations

import gzip
import http.server
import json
import queue
from typing import Any, NamedTuple


class Sent(NamedTuple):
    """Record of what a Sentry would have taken."""

    path: str
    headers: dict[str, str]
    event: dict[str, Any]


class Sink(http.server.ThreadingHTTPServer):
    """A server that takes envelopes, and answers with `status`."""

    daemon_threads = True
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.got: queue.Queue[Sent] = queue.Queue()
        self.dsn = f"http://publickey@127.0.0.1:{self.server_address[1]}/sub/42"


class _Take(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        head, item, rest = body.split(b"\n", 2)
        size = json.loads(item)["length"]
        event = json.loads(rest[:size])
        assert json.loads(head)["event_id"] == event["event_id"]
        assert json.loads(item)["type"] == "event"
        assert isinstance(self.server, Sink)
        self.server.got.put(Sent(self.path, dict(self.headers), event))
        self.send_response(self.server.status)
        self.send_header("Retry-After", "3600")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

"""S3 server on loopback, and a gate before it that can be shut, slowed and made to fail; also for tests of files."""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3

BUCKET = "forum-files"


@dataclass
class Gate:
    """Proxy between forumapi and the S3 server.

    `fails`: methods answered with 500; `hangs`: those not answered; `breaks`: those whose answer breaks off after the
    store has done its work. All answers are `delay_s` late.
    """

    port: int
    behind: int
    fails: set[str] = field(default_factory=set)
    hangs: set[str] = field(default_factory=set)
    breaks: set[str] = field(default_factory=set)
    delay_s: float = 0.0
    seen: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Return the address by which forumapi finds the store."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        """Return an S3 client of the store, past the gate."""
        return client(f"http://127.0.0.1:{self.behind}")

    def names(self) -> list[str]:
        """Return the names of the stored objects."""
        found: list[str] = []
        for page in self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            found += [one["Key"] for one in page.get("Contents", [])]
        return found


def client(url: str) -> Any:
    """Return an S3 client of the store at `url`."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )


def settings(gate: Gate, **more: str) -> dict[str, str]:
    """Return the settings of a node that keeps its files behind the gate, with `more` of its settings."""
    return {
        "s3_bucket": BUCKET,
        "s3_endpoint": gate.url,
        "aws_access_key_id": "key",
        "aws_secret_access_key": "secret",
        "s3_timeout_s": "1",
        **more,
    }


def _handler(gate: Gate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            gate.seen.append(f"{self.command} {self.path}")
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if gate.delay_s:
                gate.released.wait(gate.delay_s)
            if self.command in gate.hangs:
                gate.released.wait(20)
            if self.command in gate.fails or self.command in gate.hangs:
                self.send_response(500)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            behind = http.client.HTTPConnection("127.0.0.1", gate.behind, timeout=20)
            with contextlib.closing(behind):
                behind.request(self.command, self.path, body, dict(self.headers))
                answer = behind.getresponse()
                data = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            size = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", size or str(len(data)))
            if self.command in gate.breaks:
                # The head and half of the body of a download, of anything else nothing.
                if data and self.command == "GET":
                    self.end_headers()
                    self.wfile.write(data[: len(data) // 2])
                    self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on

        def log_message(self, format: str, *args: Any) -> None:
            """Write no line."""

    return Handler


@contextlib.contextmanager
def running() -> Iterator[int]:
    """Run an S3 server with one bucket; yield its port."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        client(f"http://127.0.0.1:{port}").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield port
    finally:
        server.stop()


class _GateServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write no stack: a client that has waited long enough goes away."""


@contextlib.contextmanager
def gated(store: int) -> Iterator[Gate]:
    """Run a gate before the S3 server on the port `store`."""
    made = Gate(0, store)
    server = _GateServer(("127.0.0.1", 0), _handler(made))
    made.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.released.set()
        server.shutdown()
        server.server_close()

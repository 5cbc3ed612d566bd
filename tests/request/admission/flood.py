"""Flood of one site: connections that each ask again as soon as they are answered."""

from __future__ import annotations

import random
import selectors
import socket
import time
from collections import Counter
from types import TracebackType

from tests.fixtures import Server


class Client:
    """Keep-alive connection from an address of its own on this machine, with one request under way at a time."""

    def __init__(self, server: Server, head: str, source: str) -> None:
        self.head = head
        self.raw = socket.create_connection(server.address, source_address=(source, 0))
        self.data = bytearray()

    def ask(self, more: str = "") -> None:
        """Send the request, with the header lines `more`."""
        self.raw.sendall(f"{self.head}{more}\r\n".encode())

    def answer(self) -> int:
        """Read what has come; return the status once the answer is whole, 0 before."""
        self.data += self.raw.recv(262_144)
        head, found, body = bytes(self.data).partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length:")[2].split()[0]):
            return 0
        self.data.clear()
        return int(head[9:12])


class Flood:
    """Flood of `path` on a site's host over `connections` connections. `addresses`: number of client addresses that the
    server is told of in X-Forwarded-For, at random; 0: each connection has one of its own.
    """

    def __init__(
        self, server: Server, host: str, path: str, connections: int, *, addresses: int = 0
    ) -> None:
        self.statuses: Counter[int] = Counter()
        self.draw = random.Random(18)
        self.addresses = addresses
        self.ready = selectors.DefaultSelector()
        for number in range(connections):
            source = "127.0.0.1" if addresses else f"127.1.{number >> 8}.{number & 255}"
            client = Client(server, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n", source)
            self.ready.register(client.raw, selectors.EVENT_READ, client)

    def begin(self) -> None:
        """Have all connections ask."""
        for key in list(self.ready.get_map().values()):
            self._ask(key.data)

    def _ask(self, client: Client) -> None:
        number = self.draw.randrange(self.addresses or 1)
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        client.ask(f"X-Forwarded-For: {address}\r\n" if self.addresses else "")

    def until(self, other: Client) -> tuple[int, int]:
        """Flood on until `other` is answered; return its status, and how many of the flood were answered before."""
        self.ready.register(other.raw, selectors.EVENT_READ, other)
        before = self.statuses.total()
        try:
            while True:
                for key, _ in self.ready.select(10):
                    client = key.data
                    if not (status := client.answer()):
                        continue
                    if client is other:
                        return status, self.statuses.total() - before
                    self.statuses[status] += 1
                    self._ask(client)
        finally:
            self.ready.unregister(other.raw)

    def run(self, seconds: float) -> None:
        """Flood on for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self.ready.select(left):
                if status := key.data.answer():
                    self.statuses[status] += 1
                    self._ask(key.data)

    def __enter__(self) -> Flood:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for key in list(self.ready.get_map().values()):
            key.data.raw.close()
        self.ready.close()

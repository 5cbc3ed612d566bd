"""Load drivers: wrk if the machine has it, else a generator of our own.

The generator is `python -m scripts.bench.load`, a process of its own: raw sockets, keep-alive, one request at a time on
each connection, no pipelining. wrk can't keep to a rate, so a run at a rate always uses the generator. Both work from
the files of exchange.py.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scripts.bench.exchange import (
    NUMBER,
    Request,
    read_blocks,
    read_differing,
    write_blocks,
    write_differing,
)
from scripts.bench.proc import on

CYCLE = Path(__file__).with_name("cycle.lua")
KEPT = 200
"""How many differing answers a driver keeps whole for the comparison by meaning."""


@dataclass(frozen=True)
class Result:
    """Result of a driver's run. Times in seconds; latency is from the time a request was due to its last byte."""

    requests: int
    seconds: float
    p50: float
    p99: float
    p999: float
    errors: int
    """Connections refused or broken, answers that never came."""
    wrong: int
    """Answers with another status than the wanted one."""
    first_wrong: str
    compared: int
    """Answers whose body was held against the expected one."""
    differing: int
    """Of those, the ones not the same byte for byte."""
    kept: list[tuple[int, bytes]] = field(default_factory=list)
    """(request, body) of differing ones, at most KEPT of them."""

    @property
    def rate(self) -> float:
        """Return the requests a second."""
        return self.requests / self.seconds


class DriverError(Exception):
    """Failure of the driver itself to run; the message is its output."""


def wrk() -> str | None:
    """Return the path of wrk; None if it is not installed."""
    return shutil.which("wrk")


def drive(
    port: int,
    requests: Sequence[Request],
    *,
    expected: Sequence[bytes | None],
    status: int,
    seconds: float,
    connections: int,
    rate: float | None = None,
    driver: str | None = None,
    core: int | None = None,
) -> Result:
    """Send `requests` in turn to a loopback port for `seconds`; return what came back.

    `rate`: requests a second, None for as many as are answered; `driver`: path of wrk, None for the generator; `core`:
    to which the driver is pinned. Raises DriverError.
    """
    with tempfile.TemporaryDirectory(prefix="forumapi-bench-") as name:
        folder = Path(name)
        write_blocks(folder / "requests", [request.raw() for request in requests])
        write_blocks(folder / "expected", expected)
        number = int(time.time()) % 1_000_000 * 1_000_000
        if driver is not None and rate is None:
            # wrk takes whole seconds only.
            command = [
                driver,
                "-t1",
                f"-c{connections}",
                f"-d{math.ceil(seconds)}s",
                "--timeout",
                "10s",
            ]
            command += ["-s", str(CYCLE), f"http://127.0.0.1:{port}", "--", str(folder)]
            command += [str(status), str(number), str(KEPT)]
        else:
            command = [sys.executable, "-m", "scripts.bench.load", str(folder), "--port", str(port)]
            command += [
                "--status",
                str(status),
                "--seconds",
                str(seconds),
                "--connections",
                str(connections),
            ]
            command += ["--number", str(number), "--rate", str(rate or 0)]
        with on(core):
            ran = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds + 60, check=False
            )
        last = ran.stdout.strip().rsplit("\n", 1)[-1]
        if ran.returncode != 0 or not last.startswith("{"):
            raise DriverError(f"{command[0]}: {ran.stderr.strip() or ran.stdout.strip()}")
        return Result(**json.loads(last), kept=read_differing(folder / "differing"))


class Connection:
    """Connection with at most one request in flight."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.open()

    def open(self) -> None:
        """Connect, also again after the connection broke."""
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.busy = False
        self.request = 0
        self.due = 0.0
        self.chunks: list[bytes] = []
        self.head = b""
        self.missing = -1

    def send(self, request: int, raw: bytes, due: float) -> None:
        """Send request number `request`, which was due at `due`. It fits into the socket's buffer, so this does not
        block.
        """
        self.request, self.due = request, due
        self.busy, self.chunks, self.missing = True, [], -1
        self.socket.sendall(raw)

    def receive(self) -> bytes | None:
        """Read what has come; return the body once it is whole, with `head` set, else None. Raises OSError for a broken
        connection.
        """
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            raise ConnectionResetError("closed by the server")
        if self.missing < 0:
            chunk = b"".join([*self.chunks, chunk])
            end = chunk.find(b"\r\n\r\n")
            if end < 0:
                self.chunks = [chunk]
                return None
            self.head, chunk = chunk[:end], chunk[end + 4 :]
            at = self.head.lower().index(b"\r\ncontent-length:") + 17
            self.missing = int(self.head[at:].split(b"\r\n", 1)[0])
            self.chunks = []
        self.missing -= len(chunk)
        if self.missing > 0:
            self.chunks.append(chunk)
            return None
        return b"".join([*self.chunks, chunk]) if self.chunks else chunk


class Generator:
    """Load generator: one thread, one selector, `connections` sockets."""

    def __init__(self, folder: Path, port: int, connections: int, status: int, number: int) -> None:
        self.folder = folder
        self.templates = [raw for raw in read_blocks(folder / "requests") if raw is not None]
        self.expected = read_blocks(folder / "expected")
        self.wanted = b" %d " % status
        self.number = number
        self.next = 0
        self.selector = selectors.DefaultSelector()
        self.connections = [Connection(port) for _ in range(connections)]
        for connection in self.connections:
            self.selector.register(connection.socket, selectors.EVENT_READ, connection)
        self.times = array("d")
        self.errors = self.wrong = self.compared = self.differing = 0
        self.first_wrong = ""
        self.kept: list[tuple[int, bytes]] = []

    def run(self, seconds: float, rate: float) -> Result:
        """Send requests for `seconds`, `rate` a second; 0: as fast as answers come."""
        gc.disable()
        idle = deque(self.connections)  # in turn, so that none rests long enough to be closed
        start = time.perf_counter()
        end = start + seconds
        sent = 0
        while True:
            now = time.perf_counter()
            if now >= end and (len(idle) == len(self.connections) or now >= end + 10):
                break
            wait = end - now if now < end else 0.1
            while idle and now < end:
                # Late counts from the due time, also while every connection is busy.
                due = start + sent / rate if rate else now
                if due > now:
                    wait = due - now
                    break
                self.start(idle.popleft(), due)
                sent += 1
            for key, _ in self.selector.select(max(wait, 0.0)):
                if self.finish(key.data):
                    idle.append(key.data)
        took = time.perf_counter() - start
        self.errors += len(self.connections) - len(idle)
        return self.result(took)

    def start(self, connection: Connection, due: float) -> None:
        """Send the next request in turn over a connection."""
        request = self.next
        self.next = (request + 1) % len(self.templates)
        raw = self.templates[request]
        if NUMBER in raw:
            self.number += 1
            raw = raw.replace(NUMBER, b"%012d" % self.number)
        connection.send(request, raw, due)

    def finish(self, connection: Connection) -> bool:
        """Read what has come on a connection; return True if its answer is whole."""
        try:
            body = connection.receive()
        except OSError:
            # A server may close a connection that rests; one with a request under way it may not.
            was_busy = connection.busy
            self.errors += was_busy
            self.selector.unregister(connection.socket)
            connection.socket.close()
            connection.open()
            self.selector.register(connection.socket, selectors.EVENT_READ, connection)
            return was_busy
        if body is None:
            return False
        connection.busy = False
        self.times.append(time.perf_counter() - connection.due)
        if self.wanted not in connection.head[:16]:
            self.wrong += 1
            self.first_wrong = (
                self.first_wrong
                or f"{connection.head[9:12].decode()} {body[:200].decode(errors='replace')}"
            )
            return True
        expected = self.expected[connection.request]
        if expected is not None:
            self.compared += 1
            if body != expected:
                self.differing += 1
                if len(self.kept) < KEPT:
                    self.kept.append((connection.request, body))
        return True

    def result(self, seconds: float) -> Result:
        """Return the figures, and write the answers that differed to the folder."""
        write_differing(self.folder / "differing", self.kept)
        times = sorted(self.times) or [0.0]
        p50, p99, p999 = (
            times[min(int(len(times) * share), len(times) - 1)] for share in (0.5, 0.99, 0.999)
        )
        return Result(
            requests=len(self.times),
            seconds=seconds,
            p50=p50,
            p99=p99,
            p999=p999,
            errors=self.errors,
            wrong=self.wrong,
            first_wrong=self.first_wrong,
            compared=self.compared,
            differing=self.differing,
        )


def main() -> None:
    """Run the generator as a process, whose last line of output is a Result as JSON."""
    parser = argparse.ArgumentParser(prog="scripts.bench.load", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--status", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.0)
    args = parser.parse_args()
    generator = Generator(args.folder, args.port, args.connections, args.status, args.number)
    figures = asdict(generator.run(args.seconds, args.rate))
    del figures["kept"]  # read from the folder
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

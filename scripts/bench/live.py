"""`make bench-live`: speed and number of events pushed to listeners; sizes are parameters.

    commit to frame    100 comments a second; listeners on the writer's process, on another one, and on one whose
                       connection for notifications is killed again and again
    idle               sockets that follow something where nothing happens: memory of the workers, REST meanwhile
    hot                one conversation with very many followers
    reconnect          everybody comes back at once, with a cursor, and has missed something

All of it runs on this machine, the listeners too, so what is measured is a lower bound. A table goes to stdout, the
same as JSON to `--json`.
"""

from __future__ import annotations

import argparse
import base64
import collections
import contextlib
import http.client
import json
import os
import resource
import select
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from forumapi.database.connections import Database
from scripts.bench import proc
from tests import services
from tests.factories import Factory, Person, Site, Thing
from tests.fixtures import PLATFORM_DOMAIN, Server, start_server

MASK = b"\0\0\0\0"  # a client's frame needs one; this one changes nothing


def frame(opcode: int, payload: bytes) -> bytes:
    """Encode a WebSocket frame as a client sends it."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, 0x80 | size)) + MASK + payload
    return bytes((0x80 | opcode, 0x80 | 126)) + struct.pack("!H", size) + MASK + payload


class Socket:
    """Connection of one listener of a swarm."""

    __slots__ = ("answer", "buffer", "cursor", "last", "on_open", "raw", "seen")

    def __init__(self, raw: socket.socket, on_open: dict[str, Any] | None) -> None:
        self.raw = raw
        self.buffer = b""
        self.answer = 0
        self.on_open = on_open
        self.cursor = ""
        self.seen = 0
        self.last = 0


class Swarm:
    """Very many listeners in one thread. `told(socket, frame)` is called for each message but heartbeats."""

    def __init__(self, told: Callable[[Socket, dict[str, Any]], None]) -> None:
        self.sockets: dict[int, Socket] = {}
        self.answers: collections.Counter[int] = collections.Counter()
        self.ended = 0
        self._told = told
        self._poll = select.epoll()

    def add(
        self,
        server: Server,
        site: Site,
        by: Person | None,
        subscribe: dict[str, Any] | None,
    ) -> Socket:
        """Connect one more listener, `by` a member or None for a guest; `subscribe` is sent once the connection is
        open.
        """
        raw = socket.create_connection(server.address, timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        sign_in = f"Authorization: Bearer {by.token}\r\n" if by else ""
        raw.sendall(
            (
                f"GET /api/v1/live HTTP/1.1\r\nHost: {site.host}\r\nUpgrade: websocket\r\n{sign_in}"
                f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
            ).encode()
        )
        raw.setblocking(False)
        made = self.sockets[raw.fileno()] = Socket(raw, subscribe)
        self._poll.register(raw.fileno(), select.EPOLLIN)
        return made

    def turn(self, wait_s: float) -> None:
        """Wait up to `wait_s` for messages, and read those that have come."""
        for number, _ in self._poll.poll(wait_s, 2000):
            one = self.sockets[number]
            try:
                data = one.raw.recv(262_144)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self._poll.unregister(number)
                one.raw.close()
                del self.sockets[number]
                self.ended += 1
                continue
            one.buffer += data
            self._take(one)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Read messages for `seconds`, or until `until()` is true; return True if it became true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn(0.05)
            if until():
                return True
        return until()

    def _take(self, one: Socket) -> None:
        if not one.answer:
            head, end, rest = one.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            one.answer = int(head.split(None, 2)[1])
            self.answers[one.answer] += 1
            one.buffer = rest
            if one.answer == 101 and one.on_open is not None:
                one.raw.sendall(frame(1, json.dumps(one.on_open).encode()))
        data, at = one.buffer, 0
        while len(data) - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                if len(data) - at < 4:
                    break
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            if len(data) < start + size:
                break
            opcode = data[at] & 15
            if opcode == 9:
                one.raw.sendall(frame(10, data[start : start + size]))
            elif opcode == 1:
                payload = data[start : start + size]
                if not payload.startswith(b'{"type":"heartbeat"'):
                    self._told(one, json.loads(payload))
            at = start + size
        one.buffer = data[at:]

    def close(self) -> None:
        """Close all connections."""
        for one in self.sockets.values():
            one.raw.close()
        self.sockets.clear()
        self._poll.close()


class Writer:
    """Client that posts comments at a steady rate; `sent`: time at which each comment was acknowledged, by its id."""

    def __init__(self, server: Server, chat: Thing, by: list[Person], per_s: float) -> None:
        self.server = server
        self.chat = chat
        self.by = by
        self.per_s = per_s
        self.sent: dict[int, float] = {}
        self.failed = 0
        self._next = 0
        self._lock = threading.Lock()

    def run(self, count: int) -> None:
        """Post `count` comments, over a few connections."""
        began = time.monotonic()
        threads = [
            threading.Thread(target=self._work, args=(began, count, person)) for person in self.by
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, began: float, count: int, by: Person) -> None:
        connection = http.client.HTTPConnection(*self.server.address, timeout=20)
        while True:
            with self._lock:
                number = self._next
                if number >= count:
                    return
                self._next += 1
            pause = began + number / self.per_s - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            body = {
                "itemType": "conversation",
                "itemId": self.chat.id,
                "markdown": f"No. {number} of many",
            }
            headers = {
                "Host": by.site.host,
                "Authorization": f"Bearer {by.token}",
                "Content-Type": "application/json",
            }
            connection.request("POST", "/api/v1/comments", json.dumps(body), headers)
            answer = connection.getresponse()
            now = time.monotonic()
            answer.read()
            if answer.status == 302:
                self.sent[int(answer.headers["Location"].rsplit("/", 1)[1])] = now
            else:
                self.failed += 1


def percentile(values: list[float], share: float) -> float:
    """Return the value, in ms, below which `share` of all values (in seconds) lie."""
    ordered = sorted(values)
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Bench:
    """One run: its database, and the rows of its table."""

    def __init__(self, url: str, folder: Path, sizes: argparse.Namespace) -> None:
        self.url = url
        self.folder = folder
        self.sizes = sizes
        self.make = Factory(Database(url), PLATFORM_DOMAIN)
        self.rows: list[dict[str, Any]] = []

    @contextlib.contextmanager
    def server(self, name: str, **settings: str) -> Iterator[Server]:
        """Run a web process that accepts very many connections."""
        started = start_server(
            self.url,
            self.folder / name,
            server_timing_header="false",
            **{
                "worker_connections": "20000",
                "realtime_connections": "20000",
                "realtime_connections_per_caller": "20000",
                "duplicate_window_s": "0",
                **settings,
            },
        )
        try:
            yield started
        finally:
            started.stop()

    def row(self, name: str, target: str, is_met: bool, **figures: Any) -> None:
        """Add a line to the table, and print it. `target`: in words; `is_met`: reached or not."""
        rounded = {key: round(v, 1) if isinstance(v, float) else v for key, v in figures.items()}
        self.rows.append({"name": name, "target": target, "met": is_met, **rounded})
        told = "  ".join(f"{key} {value}" for key, value in rounded.items())
        sys.stdout.write(f"{name:28} {'yes' if is_met else 'NO ':3}  {told}   (target: {target})\n")
        sys.stdout.flush()

    # ------------------------------------------------------------ commit to frame

    def latency(self) -> None:
        """Measure the time from commit to frame, on the writer's process and another, with and without
        notifications.
        """
        site = self.make.site()
        chat = self.make.conversation(site)
        with self.server("here") as here, self.server("there") as there:
            for name, limit, is_killed in (
                ("commit to frame", (30, 150), False),
                ("commit to frame, no NOTIFY", (1200, 1200), True),
            ):
                self._latency(name, limit, site, chat, here, there, is_killed=is_killed)

    def _latency(
        self,
        name: str,
        limit: tuple[int, int],
        site: Site,
        chat: Thing,
        here: Server,
        there: Server,
        *,
        is_killed: bool,
    ) -> None:
        came: dict[str, dict[int, float]] = {"same process": {}, "other process": {}}
        where: dict[Socket, str] = {}
        ready = set()

        def told(one: Socket, message: dict[str, Any]) -> None:
            if message["type"] == "subscribed":
                ready.add(one)
            elif message.get("itemType") == "comment":
                came[where[one]].setdefault(message["itemId"], time.monotonic())

        swarm = Swarm(told)
        subscribe = {"type": "subscribe", "topics": [f"conversation/{chat.id}"], "documents": True}
        for server, place in ((here, "same process"), (there, "other process")):
            for _ in range(5):
                where[swarm.add(server, site, site.member, subscribe)] = place
        swarm.run(20, lambda: len(ready) == 10)
        writer = Writer(here, chat, [self.make.person(site) for _ in range(4)], self.sizes.rate)
        count = int(self.sizes.rate * self.sizes.seconds)
        thread = threading.Thread(target=writer.run, args=(count,))
        stop = threading.Event()
        killer = threading.Thread(target=self._kill_listeners, args=(stop,))
        if is_killed:
            killer.start()
        thread.start()
        swarm.run(
            self.sizes.seconds * 4 + 10,
            lambda: (
                not thread.is_alive() and all(len(t) >= len(writer.sent) for t in came.values())
            ),
        )
        thread.join()
        stop.set()
        if is_killed:
            killer.join()
        swarm.close()
        for place, times in came.items():
            taken = [max(0.0, times[id] - at) for id, at in writer.sent.items() if id in times]
            p50, p99 = percentile(taken, 0.5), percentile(taken, 0.99)
            lost = len(writer.sent) - len(taken)
            self.row(
                f"{name}, {place}",
                f"p50 {limit[0]} ms, p99 {limit[1]} ms, none lost",
                p50 <= limit[0] and p99 <= limit[1] and not lost and not writer.failed,
                p50=p50,
                p99=p99,
                events=len(taken),
                lost=lost,
                refused=writer.failed,
            )

    def _kill_listeners(self, stop: threading.Event) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not stop.wait(0.05):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query = 'LISTEN forumapi_presence' AND datname = current_database()"
                )

    # ------------------------------------------------------------ idle

    def idle(self) -> None:
        """Measure the memory of very many idle sockets, and REST requests meanwhile."""
        site = self.make.site()
        chat = self.make.conversation(site)
        ready = set()
        swarm = Swarm(lambda one, told: ready.add(one) if told["type"] == "subscribed" else None)
        subscribe = {"type": "subscribe", "topics": [f"conversation/{chat.id}"]}
        people = [self.make.person(site) for _ in range(20)]
        with self.server("idle", workers="2") as server:
            before = sum(map(proc.resident_mb, proc.tree(server.pid)))
            for number in range(self.sizes.idle):
                swarm.add(server, site, people[number % 20], subscribe)
                swarm.turn(0)
            swarm.run(120, lambda: len(ready) >= self.sizes.idle)
            after = sum(map(proc.resident_mb, proc.tree(server.pid)))
            stop = threading.Event()
            thread = threading.Thread(target=lambda: swarm.run(3600, stop.is_set))
            thread.start()
            taken = []
            api = server.api()
            api.checks_schema = False
            for _ in range(300):
                began = time.monotonic()
                assert api.get(chat.path, by=people[0]).status == 200
                taken.append(time.monotonic() - began)
                time.sleep(0.01)
            stop.set()
            thread.join()
            swarm.close()
            p99 = percentile(taken, 0.99)
            self.row(
                f"{self.sizes.idle} idle sockets",
                "1500 MB in all workers, REST p99 50 ms",
                after < 1500 and p99 < 50 and len(ready) == self.sizes.idle,
                MB=after,
                kB_each=(after - before) * 1024 / max(1, len(ready)),
                connected=len(ready),
                rest_p99=p99,
            )

    # ------------------------------------------------------------ hot

    def hot(self) -> None:
        """Measure a conversation with very many followers."""
        site = self.make.site()
        chat = self.make.conversation(site)
        ready = set()
        taken: list[float] = []
        late: list[tuple[int, float]] = []
        reordered = 0

        def told(one: Socket, message: dict[str, Any]) -> None:
            nonlocal reordered
            if message["type"] == "subscribed":
                ready.add(one)
            elif message.get("itemType") == "comment":
                id = message["itemId"]
                reordered += id < one.last
                one.last = id
                one.seen += 1
                late.append((id, time.monotonic()))

        swarm = Swarm(told)
        subscribe = {"type": "subscribe", "topics": [f"conversation/{chat.id}"]}
        people = [self.make.person(site) for _ in range(50)]
        with self.server("hot", workers="2") as server:
            for number in range(self.sizes.followers):
                swarm.add(server, site, people[number % 50], subscribe)
                swarm.turn(0)
            swarm.run(60, lambda: len(ready) >= self.sizes.followers)
            count = 20 * self.sizes.hot_seconds
            # One writer: what is committed in order is sent in order.
            writer = Writer(server, chat, people[:1], 20)
            thread = threading.Thread(target=writer.run, args=(count,))
            thread.start()
            swarm.run(
                self.sizes.hot_seconds * 3 + 30,
                lambda: (
                    not thread.is_alive()
                    and all(one.seen >= len(writer.sent) for one in swarm.sockets.values())
                ),
            )
            thread.join()
            taken = [max(0.0, at - writer.sent[id]) for id, at in late if id in writer.sent]
            lost = len(writer.sent) * self.sizes.followers - len(taken)
            swarm.close()
        p99 = percentile(taken, 0.99)
        self.row(
            f"hot, {self.sizes.followers} followers",
            "20/s, p99 500 ms, none lost or reordered",
            p99 <= 500 and not lost and not reordered,
            p50=percentile(taken, 0.5),
            p99=p99,
            frames=len(taken),
            lost=lost,
            reordered=reordered,
        )

    # ------------------------------------------------------------ reconnect

    def reconnect(self) -> None:
        """Measure the return of all listeners at once, each with a cursor and events to catch up with."""
        site = self.make.site()
        chat = self.make.conversation(site)
        people = [self.make.person(site) for _ in range(50)]
        with self.server("reconnect", workers="2") as server:
            found: list[str] = []
            first = Swarm(
                lambda one, told: (
                    found.append(told["cursor"]) if told["type"] == "subscribed" else None
                )
            )
            first.add(
                server,
                site,
                people[0],
                {"type": "subscribe", "topics": [f"conversation/{chat.id}"]},
            )
            first.run(10, lambda: bool(found))
            first.close()
            writer = Writer(server, chat, people[:1], 50)
            writer.run(20)
            subscribe = {
                "type": "subscribe",
                "topics": [f"conversation/{chat.id}"],
                "cursor": found[0],
            }
            whole = set()

            def told(one: Socket, message: dict[str, Any]) -> None:
                # What was numbered a moment ago comes behind "subscribed", as what is new does.
                one.seen += message.get("itemType") == "comment"
                one.last += message["type"] == "subscribed"
                if one.last and one.seen == len(writer.sent):
                    whole.add(one)

            swarm = Swarm(told)
            began = time.monotonic()
            for number in range(self.sizes.reconnects):
                pause = began + 5 * number / self.sizes.reconnects - time.monotonic()
                if pause > 0:
                    swarm.run(pause)
                swarm.add(server, site, people[number % 50], subscribe)
                swarm.turn(0)
            opened = time.monotonic() - began
            swarm.run(60, lambda: len(whole) >= self.sizes.reconnects)
            took = time.monotonic() - began
            refused = sum(n for status, n in swarm.answers.items() if status != 101)
            swarm.close()
        self.row(
            f"{self.sizes.reconnects} reconnect",
            "resumed within 15 s, none refused",
            took <= 15 and not refused and len(whole) == self.sizes.reconnects,
            seconds=took,
            opened_after=opened,
            resumed=len(whole),
            refused=refused,
        )


def main() -> int:
    """Run the parts that were asked for; return 0 if all targets are met."""
    parser = argparse.ArgumentParser(prog="make bench-live", description=__doc__)
    parser.add_argument("parts", nargs="*", help="latency, idle, hot, reconnect; all without any")
    parser.add_argument("--rate", type=float, default=100, help="comments a second")
    parser.add_argument("--seconds", type=int, default=20, help="how long they are written")
    parser.add_argument("--idle", type=int, default=10_000, help="idle sockets")
    parser.add_argument("--followers", type=int, default=2_000, help="of the hot conversation")
    parser.add_argument("--hot-seconds", type=int, default=60)
    parser.add_argument("--reconnects", type=int, default=5_000)
    parser.add_argument("--json", type=Path, default=Path("var/bench-live.json"))
    sizes = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.stdout.write(f"load before: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores\n")
    with (
        services.postgres() as server_url,
        services.database(server_url, "bench_live") as url,
        tempfile.TemporaryDirectory(prefix="forumapi-bench-live-") as folder,
    ):
        bench = Bench(url, Path(folder), sizes)
        for part in sizes.parts or ("latency", "idle", "hot", "reconnect"):
            getattr(bench, part)()
    sizes.json.parent.mkdir(parents=True, exist_ok=True)
    told = {"load": os.getloadavg(), "cores": os.cpu_count(), "rows": bench.rows}
    sizes.json.write_text(json.dumps(told, indent=2) + "\n")
    return 0 if all(row["met"] for row in bench.rows) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Ground of every scenario: the small data set on a PostgreSQL of its own, web nodes, and clients that never
give up.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg

from forumapi.command import seed
from forumapi.config import Config
from forumapi.database import embedded_postgres, migrations
from scripts import cluster
from scripts.bench import proc

HOST = "bench.localhost"
GAVE_UP_S = 90.0


class Wrong(Exception):
    """Failure of a scenario: something was lost, there twice, torn, or answered as it must not be."""


class LeftOut(Exception):
    """Signal that a scenario can't be played on this machine; the message says what is missing."""


@dataclass
class Stage:
    """Database of one scenario and what its benchmark site offers, with the figures and failures recorded so far."""

    folder: Path
    url: str
    conversations: list[int]
    tokens: list[str]
    site_id: int
    scale: float
    """1.0 is what the table is about; less for a try."""
    figures: dict[str, object] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    def figure(self, name: str, value: object) -> None:
        """Record a figure for the table."""
        self.figures[name] = value

    def at_most(self, name: str, value: float, limit: float, written: str = "{:,.1f}") -> None:
        """Record a figure, and a failure if it is above `limit`; the scenario goes on."""
        self.figures[name] = written.format(value)
        if not value <= limit:
            self.missed.append(f"{name} {written.format(value)}, {written.format(limit)} at most")

    def met(self, what: str, count: float) -> None:
        """Record a failure if `count` is 0: the fault was never met, so the scenario has proven nothing."""
        if not count:
            self.missed.append(f"{what}: it met nothing, so this proved nothing")

    def times(self, count: int) -> int:
        """Return `count` scaled to this run, at least 1."""
        return max(1, int(count * self.scale))

    @contextlib.contextmanager
    def node(self, name: str, **settings: str) -> Iterator[Node]:
        """Run a web node with these settings."""
        given = {
            "database_url": self.url,
            "platform_domain": "localhost",
            "public_port": "0",
            "rate_limit_token_per_minute": "0",
            "rate_limit_address_per_minute": "0",
            "crawl_budget_per_minute": "0",
            "connections_per_address": "0",  # all load comes from one
            "comment_rate_per_minute": "0",
            "log_level": "warning",
            "access_log": "false",
            "admin_listen": f"127.0.0.1:{cluster.free_port()}",
            **settings,
        }
        with cluster.node(self.folder / name, given) as (port, process):
            made = Node(port, process.pid, given["admin_listen"], self.folder / name)
            wait_until(lambda: made.get("/api/v1/site").status == 200, "the node is not ready", 60)
            yield made


@dataclass(frozen=True)
class Reply:
    """Answer to a request; status 0: there was none."""

    status: int
    location: str = ""
    body: bytes = b""
    retry_after: str = ""

    @property
    def is_right_refusal(self) -> bool:
        """Return True for a 503 with Retry-After."""
        return self.status == 503 and self.retry_after.isdigit()


@dataclass
class Node:
    """Running web node."""

    port: int
    pid: int
    private: str
    folder: Path

    def get(self, path: str, token: str = "", *, timeout_s: float = 30.0) -> Reply:
        """Send one GET on a connection of its own."""
        return ask(self.port, "GET", path, token=token, timeout_s=timeout_s)

    def workers(self) -> list[int]:
        """Return the ids of the workers."""
        return proc.children(self.pid)

    def is_ready(self) -> bool:
        """Return True if the node reports to balancers that it is ready."""
        return ask(self.port, "GET", "/api/v1/ready", host="localhost", timeout_s=5).status == 200

    def counted(self, name: str) -> float:
        """Return a counter of the node's metrics, summed over the series whose names begin with `name`."""
        port = int(self.private.rpartition(":")[2])
        text = ask(port, "GET", "/metrics", host="localhost").body.decode()
        return sum(
            float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name)
        )


def ask(
    port: int,
    method: str,
    path: str,
    body: Mapping[str, object] | bytes | None = None,
    *,
    kind: str = "application/json",
    host: str = HOST,
    token: str = "",
    key: str = "",
    timeout_s: float = 30.0,
) -> Reply:
    """Send one request on a connection of its own; for a failure of the network return status 0, never raise."""
    headers = {"Host": host}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if key:
        headers["Idempotency-Key"] = key
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if content:
        headers["Content-Type"] = kind
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        return Reply(
            answer.status,
            answer.headers.get("Location", ""),
            answer.read(),
            answer.headers.get("Retry-After", ""),
        )
    except (OSError, http.client.HTTPException):
        return Reply(0)
    finally:
        connection.close()


@dataclass
class Writers:
    """Clients that post comments at a rate, each with an idempotency key, and again until it is acknowledged."""

    stage: Stage
    ports: list[int]
    per_s: float
    threads: int = 8
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Text to Location."""
    statuses: Counter[int] = field(default_factory=Counter)
    silent: int = 0
    """Refusals that did not say when to come again."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _is_over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _gave_up: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Writers]:
        """Write during the with statement; at its end wait for what is in flight."""
        running = [threading.Thread(target=self._run, args=(n,)) for n in range(self.threads)]
        for one in running:
            one.start()
        try:
            yield self
        except BaseException:
            # Nobody will look at what they got.
            self._is_over = True
            raise
        finally:
            self._stop.set()
            for one in running:
                one.join()
        if self._gave_up:
            raise Wrong(f"never acknowledged: {len(self._gave_up)}")

    def _run(self, number: int) -> None:
        stage, due, step = self.stage, time.monotonic(), self.threads / self.per_s
        while not self._stop.is_set():
            due += step
            time.sleep(max(0.0, due - time.monotonic()))
            key = uuid4().hex
            body = {
                "itemType": "conversation",
                "itemId": stage.conversations[hash(key) % len(stage.conversations)],
                "markdown": f"chaos-run {key} " + "whole " * 50 + "end",
            }
            token = stage.tokens[number % len(stage.tokens)]
            began = time.monotonic()
            attempt = 0
            while True:
                port = self.ports[(number + attempt) % len(self.ports)]
                reply = ask(port, "POST", "/api/v1/comments", body, token=token, key=key)
                with self._lock:
                    self.statuses[reply.status] += 1
                    self.silent += reply.status == 503 and not reply.is_right_refusal
                    if reply.status == 302:
                        self.acknowledged[str(body["markdown"])] = reply.location
                if reply.status == 302 or self._is_over:
                    break
                if time.monotonic() - began > GAVE_UP_S:
                    self._gave_up.append(key)
                    return
                attempt += 1
                time.sleep(0.1)

    def check(self) -> None:
        """Check that every acknowledged comment is where its answer said, once and whole. Raises Wrong."""
        with psycopg.connect(self.stage.url) as connection:
            rows = connection.execute(
                "SELECT comment_id, markdown, html FROM comments WHERE markdown LIKE 'chaos-run %'"
            ).fetchall()
        places: dict[str, list[str]] = defaultdict(list)
        torn = 0
        for id, text, html in rows:
            places[text].append(f"/api/v1/comments/{id}")
            torn += not text.endswith(" end") or text not in html
        lost = sum(
            not any(place in location for place in places[text])
            for text, location in self.acknowledged.items()
        )
        twice = sum(len(found) > 1 for found in places.values())
        self.stage.figure("acknowledged", len(self.acknowledged))
        for name, count in (("lost", lost), ("twice", twice), ("torn", torn)):
            self.stage.at_most(name, count, 0, "{:,.0f}")


@dataclass
class Readers:
    """Members that read pages at a rate, and what they saw."""

    port: int
    paths: list[str]
    token: str
    per_s: float
    threads: int = 8
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    expected: Callable[[str, bytes], bool] = lambda path, body: True
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Readers]:
        """Read during the with statement."""
        running = [threading.Thread(target=self._run, args=(n,)) for n in range(self.threads)]
        for one in running:
            one.start()
        try:
            yield self
        finally:
            self._stop.set()
            for one in running:
                one.join()

    def _run(self, number: int) -> None:
        due, step, turn = time.monotonic(), self.threads / self.per_s, number
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._stop.is_set():
            due += step
            time.sleep(max(0.0, due - time.monotonic()))
            path = self.paths[turn % len(self.paths)]
            turn += self.threads
            began = time.monotonic()
            status, body = 0, b""
            try:
                connection.request(
                    "GET", path, headers={"Host": HOST, "Authorization": f"Bearer {self.token}"}
                )
                answer = connection.getresponse()
                status, body = answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
            took = time.monotonic() - began
            with self._lock:
                self.seconds.append(took)
                self.statuses[status] += 1
                if status == 200 and not self.expected(path, body):
                    self.wrong.append(path)
        connection.close()

    @property
    def p99_ms(self) -> float:
        """Return the 99th percentile of all answers, in milliseconds."""
        return quantile(self.seconds, 99) * 1000

    @property
    def failures(self) -> int:
        """Return the number of answers of 500 and above, and of requests without an answer."""
        return sum(count for status, count in self.statuses.items() if status >= 500 or not status)


def quantile(seconds: list[float], percent: int) -> float:
    """Return the `percent` quantile of the values; 0 if there are none."""
    if len(seconds) < 2:
        return seconds[0] if seconds else 0.0
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


def wait_until(is_so: Callable[[], bool], otherwise: str, limit_s: float) -> float:
    """Wait until `is_so()`; return the seconds. Raises Wrong, with the text `otherwise`, after `limit_s`."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > limit_s:
            raise Wrong(f"{otherwise} after {limit_s:g} s")
        time.sleep(0.05)
    return time.monotonic() - began


@contextlib.contextmanager
def pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads; if the with statement ends early, work that has not begun is dropped."""
    made = ThreadPoolExecutor(threads)
    try:
        yield made
    finally:
        made.shutdown(cancel_futures=True)


def prepare(folder: Path) -> None:
    """Load the data set on a server in `folder` and stop it; every scenario takes a copy."""
    server = embedded_postgres.start(folder / "pg", max_connections=200)
    try:
        migrations.migrate(server.url, Config())
        seed.load(server.url, Config(), "S", lambda text: None)
        with psycopg.connect(server.url) as connection:
            site_id = seed.landmarks(server.url)["site_id"]
            rows = connection.execute(
                """
                SELECT item_id FROM items
                 WHERE site_id = %s AND item_type_id = 6 AND is_open AND NOT is_deleted AND NOT is_moderated
                 ORDER BY comment_count DESC LIMIT 200""",
                [site_id],
            ).fetchall()
        token = next(iter(seed.bench_tokens().values()))
        with Stage(folder, server.url, [], [], site_id, 1.0).node("probe") as node:
            conversations = [
                id
                for (id,) in rows
                if node.get(f"/api/v1/conversations/{id}?limit=5", token).status == 200
            ]
        offered = {"site_id": site_id, "conversations": conversations}
        (folder / "offered.json").write_text(json.dumps(offered))
    finally:
        server.stop()


@contextlib.contextmanager
def stage(
    folder: Path, prepared: Path, scale: float
) -> Iterator[tuple[Stage, embedded_postgres.Server]]:
    """Yield a stage on a copy of the data set, and its server, which a scenario may crash and start again."""
    offered = json.loads((prepared / "offered.json").read_text())
    subprocess.run(["cp", "-a", prepared / "pg", folder / "pg"], check=True)
    server = embedded_postgres.start(folder / "pg", max_connections=200)
    try:
        tokens = list(seed.bench_tokens().values())
        conversations, site_id = offered["conversations"], offered["site_id"]
        yield Stage(folder, server.url, conversations, tokens, site_id, scale), server
    finally:
        running = embedded_postgres.find(folder / "pg")
        if running is not None:
            running.stop()
        os.sync()

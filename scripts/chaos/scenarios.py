"""Scenarios of one failure. Each records on the stage what it saw, with limits; one that can't go on raises Wrong."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import psycopg

from forumapi.cache.document_cache import Cache
from forumapi.command import seed
from forumapi.config import Config, embedded_environ
from forumapi.database import embedded_postgres, migrations
from scripts import cluster
from scripts.bench import proc
from scripts.bench.exchange import Request
from scripts.bench.load import Result, drive
from scripts.chaos import pairs, store
from scripts.chaos.stage import (
    HOST,
    LeftOut,
    Node,
    Readers,
    Stage,
    Writers,
    Wrong,
    ask,
    pool,
    wait_until,
)

TROUBLE_S = 20.0
# How long a trouble of memcached lasts at most until somebody has met it: who reads what is in memory asks nobody, and
# after a failure nobody does for a while.
MEETS_S = 60.0
CRAWL_S = 20.0
MEMBERS_PER_S = 15.0

KILLS = 20
WRITES = 10_000
WRITES_PER_S = 55.0
"""So that what comes through while workers are killed is 50 a second."""


@dataclass(frozen=True)
class Scenario:
    """Scenario in the table, with roughly the seconds that it takes on two idle cores: always, and in addition at scale
    1.
    """

    function: Callable[[Stage, embedded_postgres.Server], None]
    fixed_s: float
    scaled_s: float

    @property
    def words(self) -> str:
        """Return its name in the table."""
        return (self.function.__doc__ or "").strip()


def killed_workers(stage: Stage, server: embedded_postgres.Server) -> None:
    """Kill a worker (kill -9) 20 times under 50 writes a second, until 10,000 are acknowledged."""
    wanted, most = stage.times(KILLS), stage.times(WRITES)
    with stage.node("kills", workers="2") as node:
        writers = Writers(stage, [node.port], WRITES_PER_S, threads=16)
        kills = 0
        with writers.writing():
            began = time.monotonic()
            while kills < wanted or len(writers.acknowledged) < most:
                time.sleep(0.2)
                # Spread over all of the writing, and each when the one before was replaced.
                is_due = len(writers.acknowledged) >= most * kills / wanted
                if kills < wanted and is_due and len(workers := node.workers()) == 2:
                    os.kill(random.choice(workers), signal.SIGKILL)
                    kills += 1
                if time.monotonic() - began > 60 + 2 * most / WRITES_PER_S:
                    raise Wrong(f"only {len(writers.acknowledged)} writes were acknowledged")
            took = time.monotonic() - began
    stage.figure("kills", kills)
    stage.met("kills", kills)
    stage.figure("acknowledged a second", len(writers.acknowledged) / took)
    _judge(stage, writers)


def _judge(stage: Stage, writers: Writers, broken: bool = True) -> None:
    """Check that all acknowledged writes are there, and record their statuses. `broken`: connections may break in this
    scenario. Raises Wrong.
    """
    writers.check()
    known = {302, 502, 503, 409} | ({0} if broken else set())
    stage.figure("503", writers.statuses[503])
    stage.at_most("503 without Retry-After", writers.silent, 0, "{:.0f}")
    stage.at_most("500", writers.statuses[500], 0, "{:.0f}")
    if others := {code: n for code, n in writers.statuses.items() if code not in known | {500}}:
        stage.missed.append(f"writes were answered {others}")
    if found := seed.recount(stage.url):
        stage.missed.append(f"stored counts are wrong: {found[:3]}")


def postgres_crashes(stage: Stage, server: embedded_postgres.Server) -> None:
    """Shut PostgreSQL down immediately, five times under 50 writes a second; the last time it stays away for a
    minute.
    """
    down, up = [], []
    with stage.node("crashes") as node:
        workers = node.workers()
        paths = [f"/api/v1/conversations/{id}" for id in stage.conversations[:20]]
        readers = Readers(node.port, paths, stage.tokens[0], per_s=20, threads=4)
        writers = Writers(stage, [node.port], WRITES_PER_S)

        def answers() -> bool:
            return node.get("/api/v1/whoami", stage.tokens[0]).status == 200

        with writers.writing(), readers.reading():
            for turn in range(5):
                time.sleep(3)
                os.kill(server.pid, signal.SIGQUIT)
                down.append(wait_until(lambda: not node.is_ready(), "still ready", 10))
                time.sleep(60 * min(stage.scale, 1.0) if turn == 4 else 1)
                server = embedded_postgres.start(
                    stage.folder / "pg", max_connections=200, socket_dir=server.socket_dir
                )
                up.append(wait_until(answers, "not back", 30))
            time.sleep(3)
        is_same = node.workers() == workers
    stage.at_most("not ready after, s", max(down), 2)
    stage.at_most("serving after, s", max(up), 5)
    _judge(stage, writers, broken=False)
    stage.figure("reads 503", readers.statuses[503])
    stage.met("reads 503", readers.statuses[503])
    stage.met("writes 503", writers.statuses[503])
    if others := {code: n for code, n in readers.statuses.items() if code not in (200, 503)}:
        stage.missed.append(f"reads were answered {others}")
    if not is_same:
        stage.missed.append("a worker was started anew")


class Proxy:
    """Proxy between a worker and memcached that delays answers, or makes them garbage."""

    def __init__(self, target: int) -> None:
        self.target, self.delay_s, self.garbage = target, 0.0, False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            client,
            socket.create_connection(("127.0.0.1", self.target), 2) as server,
        ):
            asking = threading.Thread(target=self._pump, args=(client, server, False), daemon=True)
            asking.start()
            self._pump(server, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_answer and self.delay_s:
                    time.sleep(self.delay_s)
                sink.sendall(os.urandom(len(data)) if is_answer and self.garbage else data)

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()


def memcached_troubles(stage: Stage, server: embedded_postgres.Server) -> None:
    """Kill memcached, flush it, slow it by 200 ms, make it answer garbage, one after the other, under reads."""
    with (
        contextlib.ExitStack() as stack,
        cluster.memcached(stage.folder) as (address, process),
    ):
        proxy = Proxy(int(address.rpartition(":")[2]))
        stack.callback(proxy.close)
        # Documents are asked of memcached, since this process keeps next to none.
        node = stack.enter_context(
            stage.node("cache", memcached=f"127.0.0.1:{proxy.port}", memory_cache_mb="1")
        )
        paths = [f"/api/v1/conversations/{id}" for id in stage.conversations[:100]]
        right = {path: _meaning(node.get(path, stage.tokens[0]).body) for path in paths}

        def failures() -> float:
            return node.counted("forumapi_memcached_failures_total")

        def measured(seconds: float = TROUBLE_S, *, unless: float = -1.0) -> Readers:
            """Read for `seconds`, and longer while memcached has failed at most `unless` times; return the readers."""
            readers = Readers(
                node.port,
                paths,
                stage.tokens[0],
                per_s=40,
                expected=lambda path, body: _meaning(body) == right[path],
            )
            with readers.reading():
                time.sleep(max(3.0, seconds * stage.scale))
                deadline = time.monotonic() + MEETS_S
                while failures() <= unless and time.monotonic() < deadline:
                    time.sleep(0.5)
            return readers

        # Twice through all pages, so that they are where they will be.
        measured(5.0)
        base = measured()
        stage.figure("p99 ms", base.p99_ms)

        def trouble(name: str, *, is_felt: bool = True) -> None:
            failed = failures()
            seen = measured(unless=failed if is_felt else -1.0)
            share = seen.failures / max(1, len(seen.seconds))
            stage.at_most(f"{name}: 5xx", share, 0.001, "{:.2%}")
            stage.at_most(f"{name}: p99", seen.p99_ms / base.p99_ms, 3, "×{:.1f}")
            stage.at_most(f"{name}: wrong", len(seen.wrong), 0, "{:.0f}")
            if is_felt:
                stage.met(name, failures() - failed)

        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as flush:
            flush.sendall(b"flush_all\r\n")
            flush.recv(100)
        trouble("flushed", is_felt=False)
        proxy.delay_s = 0.2
        trouble("slow")
        proxy.delay_s, proxy.garbage = 0.0, True
        trouble("garbage")
        proxy.garbage = False
        time.sleep(2 * Cache.BREAK_S + 1)
        process.kill()
        trouble("killed")


def _meaning(body: bytes) -> object:
    """Return an answer's body as JSON, without what reading it changes."""

    def still(value: object) -> object:
        if isinstance(value, dict):
            moved = ("totalViews", "unread", "lastActive")
            return {key: still(one) for key, one in value.items() if key not in moved}
        return [still(one) for one in value] if isinstance(value, list) else value

    return still(json.loads(body))


def s3_troubles(stage: Stage, server: embedded_postgres.Server) -> None:
    """Shut, slow and silence the S3 service, and make it fail at the end of its work, under uploads, downloads and
    reads.
    """
    many = max(3, stage.times(20))
    with contextlib.ExitStack() as stack:
        gate = stack.enter_context(store.gated(stack.enter_context(store.running())))
        node = stack.enter_context(stage.node("s3", **store.settings(gate)))
        paths = [f"/api/v1/conversations/{id}" for id in stage.conversations[:20]]
        readers = Readers(node.port, paths, stage.tokens[0], per_s=20, threads=4)
        # Per trouble some that are stored by then, which nobody has read yet, and some to be stored.
        known, fresh = (
            [
                [_Upload(node, stage.tokens[0], random.randbytes(20_000)) for _ in range(many)]
                for _ in range(5)
            ]
            for _ in range(2)
        )
        files = [one for part in (*known, *fresh) for one in part]
        with readers.reading(), pool(4) as senders:
            stored = Counter(senders.map(_Upload.send, [one for part in known for one in part]))
            if set(stored) != {200}:
                raise Wrong(f"without trouble uploads are answered {_said(stored)}")

            def during(name: str, sent: set[int], fetched: set[int], share: float = 1.0) -> None:
                up, down = (part.pop()[: max(3, int(many * share))] for part in (fresh, known))
                uploads = Counter(senders.map(_Upload.send, up))
                downloads = Counter(senders.map(_Upload.fetch, down))
                stage.figure(f"{name}: uploads", _said(uploads))
                stage.figure(f"{name}: downloads", _said(downloads))
                if set(uploads) - sent or set(downloads) - fetched:
                    stage.missed.append(f"{name}: {_said(uploads)}, {_said(downloads)}")

            during("well", {200}, {200})
            gate.fails |= {"HEAD", "PUT", "GET", "POST"}
            during("down", {503}, {503})
            gate.fails.clear()
            gate.delay_s = 0.5
            during("slow", {200}, {200})
            gate.delay_s = 0.0
            gate.hangs |= {"PUT", "GET"}
            # Each try takes its time limit.
            during("silent", {503}, {503}, 0.2)
            gate.hangs.clear()
            # An upload is stored, but nobody says so; a download stops half-way, and is seen to.
            gate.breaks |= {"PUT", "GET"}
            during("failing late", {200, 503}, {503, BROKEN_OFF})
            gate.breaks.clear()
            again = Counter(senders.map(_Upload.send, files))
            back = Counter(senders.map(_Upload.fetch, files))
        stage.at_most("not well afterwards", len(files) * 2 - again[200] - back[200], 0, "{:.0f}")
        stage.at_most("reads failed", readers.failures, 0, "{:.0f}")
        stage.figure("reads", len(readers.seconds))
        stage.at_most("503 without Retry-After", sum(one.silent for one in files), 0, "{:.0f}")
        hashes = [one.hash for one in files]
        with psycopg.connect(stage.url) as connection:
            rows = connection.execute(
                "SELECT file_hash FROM files WHERE file_hash = ANY(%s)", [hashes]
            ).fetchall()
        objects = set(gate.names())
        stage.at_most("objects missing", len(set(hashes) - objects), 0, "{:.0f}")
        stage.at_most("files not once", abs(len(rows) - len(set(hashes))), 0, "{:.0f}")


BROKEN_OFF = 0
"""In place of a status: the answer ended before its end."""


def _said(statuses: Counter[int]) -> str:
    return " ".join(f"{n}×{code or 'broken off'}" for code, n in sorted(statuses.items()))


@dataclass
class _Upload:
    """File that is sent with the same key until it is stored."""

    node: Node
    token: str
    data: bytes
    silent: int = 0

    def __post_init__(self) -> None:
        self.key = uuid4().hex
        self.hash = hashlib.sha1(self.data, usedforsecurity=False).hexdigest()

    def send(self) -> int:
        """Upload the file; return the status. Raises Wrong if the answer is about another file."""
        head = (
            f'--chaos\r\nContent-Disposition: form-data; name="f"; filename="{self.key}.bin"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        reply = ask(
            self.node.port,
            "POST",
            "/api/v1/files",
            head.encode() + self.data + b"\r\n--chaos--\r\n",
            kind="multipart/form-data; boundary=chaos",
            token=self.token,
            key=self.key,
        )
        self.silent += reply.status == 503 and not reply.is_right_refusal
        if reply.status == 200 and self.hash.encode() not in reply.body:
            raise Wrong(f"an upload was answered {reply.body[:200]!r}")
        return reply.status

    def fetch(self) -> int:
        """Download the file; return the status. Raises Wrong for other bytes than those sent."""
        reply = self.node.get(f"/api/v1/files/{self.hash}", self.token)
        self.silent += reply.status == 503 and not reply.is_right_refusal
        if reply.status == 200 and reply.body != self.data:
            raise Wrong("a download was something else than what was sent")
        return reply.status


def retry_keys(stage: Stage, server: embedded_postgres.Server) -> None:
    """Send 10,000 writes, each in one to five copies with one idempotency key at once over two nodes, while a worker is
    killed.
    """
    keys = stage.times(10_000)
    with stage.node("one") as one, stage.node("two") as two, pool(40) as senders:
        nodes = [one, two]
        statuses: Counter[int] = Counter()
        counting = threading.Lock()

        def send(number: int, copy: int, key: str) -> tuple[int, str, bytes]:
            body = {
                "itemType": "conversation",
                "itemId": stage.conversations[number % len(stage.conversations)],
                "markdown": f"chaos-once {key}",
            }
            token = stage.tokens[number % len(stage.tokens)]
            for attempt in range(600):
                node = nodes[(copy + attempt) % 2]
                reply = ask(node.port, "POST", "/api/v1/comments", body, token=token, key=key)
                with counting:
                    statuses[reply.status] += 1
                if reply.status == 302:
                    return reply.status, reply.location, reply.body
                time.sleep(0.1)
            raise Wrong("never acknowledged")

        def copies(number: int) -> int:
            key = uuid4().hex
            many = number % 5 + 1
            sent = [senders.submit(send, number, copy, key) for copy in range(many)]
            return len({future.result() for future in sent})

        differing = 0
        with pool(8) as callers:
            for number, answers in enumerate(callers.map(copies, range(keys))):
                differing += answers != 1
                if number == keys // 2:
                    os.kill(one.workers()[0], signal.SIGKILL)
    with psycopg.connect(stage.url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT markdown) FROM comments WHERE markdown LIKE 'chaos-once %'"
        ).fetchone()
    assert row is not None
    stage.figure("keys", keys)
    # More were acknowledged than there are keys.
    stage.met("repeated", statuses[302] - keys)
    stage.figure("requests", statuses.total())
    stage.figure("objects", row[0])
    for name in (409, 503, 0):
        stage.figure(str(name or "broken off"), statuses[name])
    if row != (keys, keys):
        stage.missed.append(f"{keys} keys made {row[0]} objects of {row[1]} texts")
    stage.at_most("keys with two answers", differing, 0, "{:.0f}")
    if others := {code: n for code, n in statuses.items() if code not in (302, 409, 503, 0)}:
        stage.missed.append(f"answered {others}")


def clocks(stage: Stage, server: embedded_postgres.Server) -> None:
    """Run nodes whose clocks are ten minutes ahead and behind, one set back an hour, and such a cron process."""
    program = shutil.which("faketime")
    if program is None:
        raise LeftOut("faketime is not installed")
    with contextlib.ExitStack() as stack:
        nodes = [
            stack.enter_context(_faked(stage, program, name, "serve", offset))
            for name, offset in (("ahead", 600), ("behind", -600), ("right", 0))
        ]
        for node in nodes:
            wait_until(
                lambda port=node.port: ask(port, "GET", "/api/v1/site").status == 200,
                "a node is not ready",
                60,
            )
        cron = stack.enter_context(_faked(stage, program, "cron", "cron", 600))
        began = time.time()
        written = _out_of_step(stage, [node.port for node in nodes])
        nodes[2].set(-3600)
        written += _out_of_step(stage, [node.port for node in nodes])
        with psycopg.connect(stage.url, autocommit=True) as connection:

            def runs(since: float) -> int:
                row = connection.execute(
                    "SELECT count(*) FROM task_runs WHERE started >= to_timestamp(%s)", [since]
                ).fetchone()
                return int(row[0]) if row else 0

            # Six jobs are due each minute.
            wait_until(lambda: runs(began) >= 6, "cron did not run what is due", 150)
            cron.set(-3600)
            stepped = time.time()
            wait_until(lambda: runs(stepped) >= 7, "set back an hour, cron runs nothing", 150)
            rows = connection.execute(
                """
                SELECT task, due, started, attempts,
                       lag(started) OVER (PARTITION BY task ORDER BY due) > started
                  FROM task_runs"""
            ).fetchall()
            numbers = connection.execute(
                "SELECT comment_id FROM comments WHERE comment_id = ANY(%s) ORDER BY seq", [written]
            ).fetchall()
            times = connection.execute(
                "SELECT comment_id FROM comments WHERE comment_id = ANY(%s) ORDER BY created",
                [written],
            ).fetchall()
    for order in (numbers, times):
        if [row[0] for row in order] != written:
            stage.missed.append("comments are out of order")
    stage.figure("comments in order", len(written))
    stage.figure("runs", len(rows))
    stage.at_most("twice", sum(row[3] > 1 for row in rows), 0, "{:.0f}")
    stage.at_most("out of turn", sum(row[4] is True for row in rows), 0, "{:.0f}")
    late = max((row[2] - row[1]).total_seconds() for row in rows)
    early = max((row[1] - row[2]).total_seconds() for row in rows)
    stage.at_most("late at most, s", late, 65)
    stage.at_most("early at most, s", early, 1)


def _out_of_step(stage: Stage, ports: Sequence[int]) -> list[int]:
    """Write by each port in turn, and check that all others show it at once; return the comments' ids. Raises Wrong."""
    item, token = stage.conversations[0], stage.tokens[0]
    places = []
    for port in [*ports, *reversed(ports)]:
        body = {"itemType": "conversation", "itemId": item, "markdown": f"clocks {uuid4()}"}
        key = uuid4().hex
        reply = ask(port, "POST", "/api/v1/comments", body, token=token, key=key)
        if reply.status != 302:
            raise Wrong(f"a write was answered {reply.status}")
        for other in ports:
            again = ask(other, "POST", "/api/v1/comments", body, token=token, key=key)
            if (again.status, again.location) != (302, reply.location):
                raise Wrong(f"the same key was answered {again.status} {again.location}")
            for reader in ("", token):
                shown = ask(other, "GET", reply.location, token=reader).status
                if shown != 200:
                    raise Wrong(f"a new comment was answered {shown}")
        places.append(int(reply.location.rpartition("/")[2]))
    return places


@dataclass(frozen=True)
class Faked:
    """Process whose clock is wrong."""

    port: int
    _clock: Path

    def set(self, seconds: int) -> None:
        """Set the clock of the running process to `seconds` ahead of the machine's."""
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}s\n")
        fresh.rename(self._clock)


@contextlib.contextmanager
def _faked(stage: Stage, program: str, name: str, command: str, offset: int) -> Iterator[Faked]:
    """Run a process of forumapi whose clock is `offset` seconds ahead."""
    folder = stage.folder / f"clock-{name}"
    folder.mkdir()
    made = Faked(cluster.free_port(), folder / "clock")
    made.set(offset)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORUMAPI_")}
    env = (
        kept
        | embedded_environ()
        | {
            "FORUMAPI_DATABASE_URL": stage.url,
            "FORUMAPI_LISTEN": f"127.0.0.1:{made.port}",
            "FORUMAPI_DATA_DIR": str(folder),
            "FORUMAPI_WORKERS": "1",
            "FORUMAPI_PLATFORM_DOMAIN": "localhost",
            "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            # A clock that is set leaves this one alone.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "LD_PRELOAD": _faketime_library(program),
        }
    )
    run = [sys.executable, "-m", "forumapi", command]
    with cluster.process(run, folder / f"{command}.log", env=env):
        yield made


def _faketime_library(program: str) -> str:
    """Return the path of the library that the program `faketime` preloads; the program itself would fix the offset for
    good.
    """
    return subprocess.run(
        [program, "-f", "+0s", "printenv", "LD_PRELOAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


def cold_page(stage: Stage, server: embedded_postgres.Server) -> None:
    """Let 5,000 guests open at once one page that no cache has yet, on two nodes."""
    clients = stage.times(5000)
    path = f"/api/v1/conversations/{stage.conversations[0]}"
    with (
        cluster.memcached(stage.folder) as (address, _),
        stage.node("cold1", memcached=address) as one,
        stage.node("cold2", memcached=address) as two,
    ):
        before = [_calls(node) for node in (one, two)]
        statuses, took = asyncio.run(_all_at_once([one.port, two.port], path, clients))
        # Pages and documents are told apart by the statement that fills them.
        fills = []
        for node, known in zip((one, two), before, strict=True):

            def moved(node: Node = node, known: Mapping[str, float] = known) -> dict[str, float]:
                found = {name: n - known.get(name, 0) for name, n in _calls(node).items()}
                return {name: n for name, n in found.items() if n}

            # Workers add their calls to the figures once a second.
            with contextlib.suppress(Wrong):
                wait_until(lambda: moved().get("item_page.page", 0) > 0, "no page was filled", 10)
            time.sleep(1.5)
            fills.append(moved())
    stage.figure("clients", statuses.total())
    stage.figure("seconds", took)
    failed = statuses.total() - statuses[200]
    stage.at_most("not answered with 200", failed, 0, "{:.0f}")
    if failed:
        stage.missed.append(f"answered {dict(statuses)}")
    for name in ("item_page.page", "comment_documents.load"):
        most = max(int(one.get(name, 0)) for one in fills)
        stage.at_most(f"fills a node ({name})", most, 1, "{:.0f}")
        for number, one in enumerate(fills, 1):
            stage.met(f"node {number} ({name})", one.get(name, 0))
    stage.figure("statements", int(sum(sum(one.values()) for one in fills)))


def _calls(node: Node) -> dict[str, float]:
    """Return how often each statement has run on a node, by its name."""
    port = int(node.private.rpartition(":")[2])
    text = ask(port, "GET", "/metrics", host="localhost").body.decode()
    found = re.findall(
        r'^forumapi_query_calls_total\{query="([^"]+)".*?\} (\S+)$', text, re.MULTILINE
    )
    return {name: float(count) for name, count in found}


async def _all_at_once(ports: Sequence[int], path: str, clients: int) -> tuple[Counter[int], float]:
    """Statuses of one request by each of so many clients, who all connect before any of them asks; and the seconds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, clients + 500)), hard))
    begin = asyncio.Event()
    doors = asyncio.Semaphore(200)
    connected = asyncio.Semaphore(0)
    statuses: Counter[int] = Counter()
    request = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()

    async def client(number: int) -> None:
        status = 0
        try:
            async with doors:
                # Each from an address of its own: requests of one address are limited.
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1",
                    ports[number % len(ports)],
                    limit=1 << 20,
                    local_addr=(f"127.1.{number // 250}.{number % 250 + 1}", 0),
                )
            connected.release()
            await begin.wait()
            writer.write(request)
            answer = await asyncio.wait_for(reader.read(-1), 120)
            if answer.startswith(b"HTTP/1.1 ") and answer.endswith(b"}"):
                status = int(answer[9:12])
            writer.close()
        except (OSError, TimeoutError):
            connected.release()
        statuses[status] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(client(number))
        for _ in range(clients):
            await connected.acquire()
        began = time.monotonic()
        begin.set()
    return statuses, time.monotonic() - began


def crawler(stage: Stage, server: embedded_postgres.Server) -> None:
    """Let a guest ask for random deep pages at ten times the members' rate."""
    seconds = max(5.0, CRAWL_S * stage.scale)
    with stage.node("crawled", workers="2") as node:
        marks = seed.landmarks(stage.url)
        with psycopg.connect(stage.url) as connection:
            row = connection.execute(
                "SELECT comment_count FROM items WHERE site_id = %s AND item_id = %s",
                [stage.site_id, marks["longest_thread"]],
            ).fetchone()
        assert row is not None
        dice = random.Random(7)
        deep = [
            Request("GET", f"/api/v1/conversations/{id}?offset={25 * dice.randrange(pages)}", HOST)
            for id, pages in [(marks["longest_thread"], row[0] // 25)] * 5000
        ]
        pages = [
            Request("GET", f"/api/v1/conversations/{id}", HOST, token)
            for id in stage.conversations[:50]
            for token in stage.tokens[:4]
        ]

        def members() -> Result:
            return _offered(node, pages, MEMBERS_PER_S, seconds)

        members()
        # Between two measures without it, since other things change with time as well.
        alone = [members()]
        with pool(1) as crawling:
            whole = crawling.submit(_offered, node, deep, 10 * MEMBERS_PER_S, seconds + 2)
            time.sleep(1)
            beside = members()
            crawled = whole.result()
        alone.append(members())
    quiet = statistics.mean(one.p99 for one in alone)
    stage.figure("members' p99 alone, ms", quiet * 1000)
    stage.figure("beside, ms", beside.p99 * 1000)
    stage.at_most("times", beside.p99 / quiet, 1.5, "×{:.2f}")
    stage.at_most("members refused", beside.errors + beside.wrong, 0, "{:.0f}")
    stage.met("crawled", crawled.requests - crawled.wrong)
    stage.figure("pages crawled a second", (crawled.requests - crawled.wrong) / crawled.seconds)
    stage.figure("crawler told to wait", crawled.wrong)


def _offered(
    node: Node,
    requests: Sequence[Request],
    rate: float | None,
    seconds: float,
    connections: int = 16,
) -> Result:
    """Send requests at a rate, by a process of its own; None: as many as are answered."""
    return drive(
        node.port,
        requests,
        expected=[None] * len(requests),
        status=200,
        seconds=seconds,
        connections=connections,
        rate=rate,
    )


def disk_full(stage: Stage, server: embedded_postgres.Server) -> None:
    """Fill the database's disk for a while."""
    if os.geteuid():
        raise LeftOut("only root can make a small disk")
    folder = stage.folder / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400m,mode=0755", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        raise LeftOut("no disk could be mounted here")
    small: embedded_postgres.Server | None = None
    try:
        small = embedded_postgres.start(folder)
        small.stop()
        # The log of writes on another disk, as docs/operations.md has it: without room for it PostgreSQL ends.
        wal = stage.folder / "wal"
        shutil.move(folder / "postgres" / "pg_wal", wal)
        cluster.give_to_server(wal)
        (folder / "postgres" / "pg_wal").symlink_to(wal)
        small = embedded_postgres.start(folder)
        _on_a_full_disk(stage, folder, small)
    finally:
        if small is not None:
            small.stop()
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def _on_a_full_disk(stage: Stage, folder: Path, small: embedded_postgres.Server) -> None:
    migrations.migrate(small.url, Config())
    run = [sys.executable, "-m", "forumapi", "site", "create", "bench", "--title", "Bench"]
    env = {
        **os.environ,
        "FORUMAPI_DATABASE_URL": small.url,
        "FORUMAPI_PLATFORM_DOMAIN": "localhost",
    }
    subprocess.run([*run, "--owner", "owner@bench.test"], env=env, check=True, capture_output=True)
    own = Stage(stage.folder, small.url, [], [], 0, stage.scale)
    with own.node("full") as node:
        signed = {"method": "development", "email": "owner@bench.test"}
        token = str(json.loads(ask(node.port, "POST", "/api/v1/auth", signed).body)["data"])
        top = json.loads(node.get("/api/v1/microcosms", token).body)["data"]["id"]
        made = ask(
            node.port,
            "POST",
            "/api/v1/conversations",
            {"microcosmId": top, "title": "Full"},
            token=token,
        )
        path = made.location
        item = int(path.rpartition("/")[2])

        acknowledged = []
        silent = 0

        def write() -> int:
            nonlocal silent
            body = {
                "itemType": "conversation",
                "itemId": item,
                "markdown": f"{uuid4()} " + "".join(random.choices("abcdef 0123456789", k=20_000)),
            }
            reply = ask(node.port, "POST", "/api/v1/comments", body, token=token)
            if reply.status == 302:
                acknowledged.append(reply.location)
            silent += reply.status == 503 and not reply.is_right_refusal
            return reply.status

        if write() != 302:
            raise Wrong("the first write was refused")
        ballast = folder / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as out:
            while out.write(b"\0" * 65536):
                out.flush()
        refused: Counter[int] = Counter()
        reads: Counter[int] = Counter()
        workers = node.workers()
        for _ in range(stage.times(200)):
            refused[write()] += 1
            reads[node.get(path, token).status] += 1
        ballast.unlink()
        back = wait_until(lambda: write() == 302, "writes did not come back", 60)
        lost = sum(node.get(place, token).status != 200 for place in acknowledged)
        is_same = node.workers() == workers and small.is_running
    stage.figure("writes 503", refused[503])
    stage.figure("reads", reads[200])
    stage.at_most("reads failed", reads.total() - reads[200], 0, "{:.0f}")
    stage.at_most("503 without Retry-After", silent, 0, "{:.0f}")
    stage.at_most("writing again after, s", back, 5)
    stage.at_most("acknowledged and lost", lost, 0, "{:.0f}")
    if set(refused) - {302, 503} or not refused[503]:
        stage.missed.append(f"writes were answered {dict(refused)}")
    if not is_same:
        stage.missed.append("a process was started anew")
    if found := seed.recount(small.url):
        stage.missed.append(f"stored counts are wrong: {found[:3]}")


def soak(stage: Stage, server: embedded_postgres.Server) -> None:
    """Run twenty minutes at 60 % of what the node can do, and record what grows in ten minutes, after the first
    five.
    """
    length = 1200 * stage.scale
    # What is kept on purpose is to be full, and every connection open, before it is looked at what
    # grows: these pages consist of 4 MB, and of twice as much once enough was written into them.
    with stage.node("soak", workers="2", memory_cache_mb="2") as node:
        pages = [
            Request("GET", f"/api/v1/conversations/{id}", HOST, token)
            for id in stage.conversations
            for token in [*stage.tokens[:4], None]
        ]
        # The heap of a worker has its form after 15,000 requests, and after as many writes as follow below.
        asked = 0
        with Writers(stage, [node.port], 40).writing():
            while asked < stage.times(40_000):
                asked += _offered(node, pages, None, 10, connections=64).requests
        most = _offered(node, pages, None, 10).rate
        writers = Writers(stage, [node.port], 5)
        marks: list[Held] = []
        began = time.monotonic()
        with writers.writing(), pool(1) as reading:
            whole = reading.submit(_offered, node, pages, 0.6 * most, length)
            while time.monotonic() - began < length:
                time.sleep(length / 120)
                if time.monotonic() - began > length / 4:
                    marks.append(_held(stage, node))
            read = whole.result()
    writers.check()
    stage.figure("minutes", length / 60)
    stage.met("requests", read.requests)
    stage.met("writes", len(writers.acknowledged))
    stage.figure("most a second", most)
    stage.figure("requests", read.requests + len(writers.acknowledged))
    stage.at_most("failed", read.errors + read.wrong, 0, "{:.0f}")
    stage.figure("memory MB", marks[-1].memory_mb)
    half = len(marks) // 2
    minutes = length * 3 / 8 / 60
    for name in Held._fields:
        before, after = (
            statistics.median(getattr(mark, name) for mark in part)
            for part in (marks[:half], marks[half:])
        )
        stage.at_most(f"{name} in 10 min", (after / before - 1) / minutes * 10, 0.01, "{:+.2%}")


class Held(NamedTuple):
    """Record of what a node holds: memory, file descriptors, database connections."""

    memory_mb: float
    """Of all its workers."""
    descriptors: int
    connections: int
    """Of the database."""


def _held(stage: Stage, node: Node) -> Held:
    workers = node.workers()
    with psycopg.connect(stage.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        ).fetchone()
    assert row is not None
    return Held(
        sum(proc.resident_mb(pid) for pid in workers),
        sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in workers),
        row[0],
    )


# Each pair takes some ten seconds beside the time in which both last.
PAIR_S = 12.0

SCENARIOS: Mapping[str, Scenario] = {
    "killed-workers": Scenario(killed_workers, 15, 215),
    "postgres-crashes": Scenario(postgres_crashes, 60, 60),
    "memcached": Scenario(memcached_troubles, 15, 110),
    "s3": Scenario(s3_troubles, 30, 60),
    "retry-keys": Scenario(retry_keys, 10, 150),
    "clocks": Scenario(clocks, 180, 0),
    "cold-page": Scenario(cold_page, 10, 20),
    "crawler": Scenario(crawler, 10, 100),
    "disk-full": Scenario(disk_full, 20, 10),
    **{
        f"pairs-{event.name}": Scenario(
            pairs.scenario(event),
            PAIR_S * len(pairs.TROUBLES),
            pairs.TOGETHER_S * len(pairs.TROUBLES),
        )
        for event in pairs.EVENTS
    },
    "soak": Scenario(soak, 60, 1650),
}

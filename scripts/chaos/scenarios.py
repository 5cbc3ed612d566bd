"""The scenarios. Each returns the figures of its line of the table, and raises Wrong for what must never happen."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg

from forumapi import embedded, migrate, seed
from forumapi.config import Config
from scripts import cluster
from scripts.chaos.stage import Node, Readers, Stage, Writers, Wrong, ask, quantile, wait_until

Figures = Mapping[str, object]
Scenario = Callable[[Stage, embedded.Server], Figures]

KILLS = 20
WRITES_PER_S = 50.0
PAGE_S = 10.0


def killed_workers(stage: Stage, server: embedded.Server) -> Figures:
    """kill -9 of a worker, 20 times under 50 writes a second."""
    with stage.node("kills", workers="2") as node:
        writers = Writers(stage, [node.port], WRITES_PER_S, threads=12)
        kills = 0
        with writers.writing():
            wanted, most = stage.times(KILLS), stage.times(10_000)
            began = time.monotonic()
            while kills < wanted or len(writers.acknowledged) < most:
                time.sleep(max(0.2, most / WRITES_PER_S / wanted))
                if kills < wanted and len(workers := node.workers()) == 2:
                    os.kill(random.choice(workers), signal.SIGKILL)
                    kills += 1
                if time.monotonic() - began > 60 + 4 * most / WRITES_PER_S:
                    raise Wrong(f"only {len(writers.acknowledged)} writes were acknowledged")
        writers.check()
    if found := seed.recount(stage.url):
        raise Wrong(f"counts are wrong: {found[:3]}")
    return {"kills": kills, "acknowledged": len(writers.acknowledged), "lost": 0, "torn": 0}


def postgres_crashes(stage: Stage, server: embedded.Server) -> Figures:
    """PostgreSQL's immediate shutdown, five times, and refused for a minute at the last."""
    down, up = [], []
    with stage.node("crashes") as node:
        writers = Writers(stage, [node.port], WRITES_PER_S)

        def answers() -> bool:
            return node.get("/api/v1/whoami", stage.tokens[0]).status == 200

        with writers.writing():
            for turn in range(5):
                time.sleep(2)
                os.kill(server.pid, signal.SIGQUIT)
                down.append(wait_until(lambda: not node.is_ready(), "still ready", 10))
                time.sleep(60 * stage.scale if turn == 4 else 1)
                server = embedded.start(
                    stage.folder / "pg", max_connections=200, socket_dir=server.socket_dir
                )
                up.append(wait_until(answers, "not back", 30))
            time.sleep(2)
        writers.check()
        bad = {s: n for s, n in writers.statuses.items() if s not in (302, 503, 409, 0)}
        if bad:
            raise Wrong(f"answered {bad}")
    return {
        "not ready after, s": max(down),
        "serving after, s": max(up),
        "503": writers.statuses[503],
        "500": 0,
        "acknowledged": len(writers.acknowledged),
        "lost": 0,
    }


class Proxy:
    """Between a worker and memcached: late, or talking nonsense."""

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
        """Take no more."""
        self._listener.close()


def memcached_troubles(stage: Stage, server: embedded.Server) -> Figures:
    """memcached killed, flushed, 200 ms slow, answering garbage, one after the other, under reads."""
    figures: dict[str, object] = {}
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

        def measured() -> Readers:
            readers = Readers(
                node.port,
                paths,
                stage.tokens[0],
                per_s=40,
                expected=lambda path, body: _meaning(body) == right[path],
            )
            with readers.reading():
                time.sleep(max(2.0, PAGE_S * stage.scale))
            return readers

        base = measured()

        def trouble(name: str) -> None:
            seen = measured()
            share = seen.failures / max(1, len(seen.seconds))
            if seen.wrong:
                raise Wrong(f"{name}: something wrong was served: {seen.wrong[0]}")
            figures[f"{name}: 5xx"] = f"{share:.2%}"
            figures[f"{name}: p99"] = f"×{seen.p99_ms / base.p99_ms:.1f}"
            if share > 0.001:
                raise Wrong(f"{name}: {share:.2%} of the answers failed")

        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as flush:
            flush.sendall(b"flush_all\r\n")
        trouble("flushed")
        proxy.delay_s = 0.2
        trouble("slow")
        proxy.delay_s, proxy.garbage = 0.0, True
        trouble("garbage")
        proxy.garbage = False
        process.kill()
        trouble("killed")
    return figures


def _meaning(body: bytes) -> object:
    """An answer without what reading it changes."""

    def still(value: object) -> object:
        if isinstance(value, dict):
            moved = ("totalViews", "unread", "lastActive")
            return {key: still(one) for key, one in value.items() if key not in moved}
        return [still(one) for one in value] if isinstance(value, list) else value

    return still(json.loads(body))


def retry_keys(stage: Stage, server: embedded.Server) -> Figures:
    """10,000 retry keys in one to five copies at once over two nodes, a worker killed meanwhile."""
    keys = stage.times(10_000)
    with stage.node("one") as one, stage.node("two") as two:
        nodes = [one, two]
        statuses: Counter[int] = Counter()

        def copies(number: int) -> str:
            key = uuid4().hex
            body = {
                "itemType": "conversation",
                "itemId": stage.conversations[number % len(stage.conversations)],
                "markdown": f"chaos-once {key}",
            }
            token = stage.tokens[number % len(stage.tokens)]
            places: set[str] = set()

            def send(copy: int) -> None:
                for attempt in range(600):
                    node = nodes[(copy + attempt) % 2]
                    reply = ask(node.port, "POST", "/api/v1/comments", body, token=token, key=key)
                    statuses[reply.status] += 1
                    if reply.status == 302:
                        places.add(reply.location)
                        return
                    time.sleep(0.1)
                raise Wrong("never acknowledged")

            many = number % 5 + 1
            if many == 1:
                send(0)
            else:
                with ThreadPoolExecutor(many) as pool:
                    list(pool.map(send, range(many)))
            if len(places) != 1:
                raise Wrong(f"one key, {len(places)} answers")
            return key

        with ThreadPoolExecutor(6) as pool:
            done = pool.map(copies, range(keys))
            made = []
            for number, key in enumerate(done):
                made.append(key)
                if number == keys // 2:
                    os.kill(one.workers()[0], signal.SIGKILL)
    with psycopg.connect(stage.url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT markdown) FROM comments WHERE markdown LIKE 'chaos-once %'"
        ).fetchone()
    if row != (keys, keys):
        raise Wrong(f"{keys} keys made {row}")
    return {"keys": keys, "objects": keys, "409": statuses[409], "503": statuses[503]}


def clocks(stage: Stage, server: embedded.Server) -> Figures:
    """Nodes ten minutes ahead and behind; a cron process whose clock is set back an hour."""
    program = shutil.which("faketime")
    if program is None:
        return {"left out": "faketime is not installed"}
    token = stage.tokens[0]
    item = stage.conversations[0]
    places = []
    for offset in ("+600s", "-600s", "+0s"):
        with _faked(stage, program, offset, "serve") as port:
            wait_until(
                lambda port=port: ask(port, "GET", "/api/v1/site").status == 200, "not ready", 60
            )
            body = {
                "itemType": "conversation",
                "itemId": item,
                "markdown": f"at {offset} {uuid4()}",
            }
            reply = ask(port, "POST", "/api/v1/comments", body, token=token, key=uuid4().hex)
            if reply.status != 302 or ask(port, "GET", reply.location, token=token).status != 200:
                raise Wrong(f"with a clock of {offset} a write answered {reply.status}")
            places.append(int(reply.location.rpartition("/")[2]))
    with psycopg.connect(stage.url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT comment_id FROM comments WHERE comment_id = ANY(%s) ORDER BY seq", [places]
        ).fetchall()
        if [row[0] for row in rows] != places:
            raise Wrong("comments are out of order")
        for offset in ("+0s", "-3600s"):
            with _faked(stage, program, offset, "cron"):
                time.sleep(70)
        doubled = connection.execute(
            "SELECT task, due, count(*) FROM task_runs GROUP BY task, due HAVING count(*) > 1"
        ).fetchall()
        row = connection.execute("SELECT count(*) FROM task_runs").fetchone()
    if doubled:
        raise Wrong(f"done twice: {doubled[:3]}")
    if row is None or not row[0]:
        raise Wrong("no task was run")
    return {"comments in order": len(places), "tasks run": row[0], "twice": 0}


@contextlib.contextmanager
def _faked(stage: Stage, program: str, offset: str, command: str) -> Iterator[int]:
    """The port of a process of forumapi whose clock is off."""
    port = cluster.free_port()
    folder = stage.folder / f"clock{offset}"
    folder.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORUMAPI_")}
    env = kept | {
        "FORUMAPI_DATABASE_URL": stage.url,
        "FORUMAPI_LISTEN": f"127.0.0.1:{port}",
        "FORUMAPI_DATA_DIR": str(folder),
        "FORUMAPI_WORKERS": "1",
        "FORUMAPI_PLATFORM_DOMAIN": "localhost",
        "FORUMAPI_ENVIRONMENT": "embedded",
    }
    run = [program, "-f", offset, sys.executable, "-m", "forumapi", command]
    with cluster.process(run, folder / f"{command}.log", env=env):
        yield port


def cold_page(stage: Stage, server: embedded.Server) -> Figures:
    """5,000 guests open one page that nothing keeps yet."""
    with stage.node("cold") as node:
        path = f"/api/v1/conversations/{stage.conversations[0]}"
        name = 'forumapi_query_calls_total{query="comment.load"'
        before = node.counted(name)
        statuses: Counter[int] = Counter()
        clients = stage.times(5000)
        with ThreadPoolExecutor(200) as pool:
            for reply in pool.map(lambda _: node.get(path), range(clients)):
                statuses[reply.status] += 1
        fills = node.counted(name) - before
    if set(statuses) != {200}:
        raise Wrong(f"answered {dict(statuses)}")
    return {"clients": clients, "5xx": 0, "look-ups of its documents": int(fills)}


def crawler(stage: Stage, server: embedded.Server) -> Figures:
    """Somebody asks for random deep pages at ten times the members' rate."""
    with stage.node("crawled") as node:
        marks = seed.landmarks(stage.url)
        pages = [f"/api/v1/conversations/{id}" for id in stage.conversations[:50]]
        deep = [
            f"/api/v1/conversations/{marks['longest_thread']}?offset={25 * random.randrange(20)}"
            for _ in range(200)
        ]

        def members() -> Readers:
            readers = Readers(node.port, pages, stage.tokens[0], per_s=15)
            with readers.reading():
                time.sleep(max(3.0, PAGE_S * stage.scale))
            return readers

        members()
        alone = members()
        with Readers(node.port, deep, "", per_s=150, threads=16).reading():
            beside = members()
    if beside.failures:
        raise Wrong(f"members were refused: {dict(beside.statuses)}")
    return {
        "members' p99 alone, ms": alone.p99_ms,
        "beside, ms": beside.p99_ms,
        "×": beside.p99_ms / alone.p99_ms,
    }


def disk_full(stage: Stage, server: embedded.Server) -> Figures:
    """The database's disk is full for a while."""
    if os.geteuid():
        return {"left out": "only root can make a small disk"}
    folder = stage.folder / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400m,mode=0755", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        return {"left out": "no disk could be mounted here"}
    small: embedded.Server | None = None
    try:
        small = embedded.start(folder)
        small.stop()
        # The log of writes on another disk, as docs/operations.md has it: without room for it PostgreSQL ends.
        wal = stage.folder / "wal"
        shutil.move(folder / "postgres" / "pg_wal", wal)
        cluster.give_to_server(wal)
        (folder / "postgres" / "pg_wal").symlink_to(wal)
        small = embedded.start(folder)
        return _on_a_full_disk(stage, folder, small)
    finally:
        if small is not None:
            small.stop()
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def _on_a_full_disk(stage: Stage, folder: Path, small: embedded.Server) -> Figures:
    migrate.migrate(small.url, Config())
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

        def write() -> int:
            body = {
                "itemType": "conversation",
                "itemId": item,
                "markdown": f"{uuid4()} " + "".join(random.choices("abcdef 0123456789", k=20_000)),
            }
            return ask(node.port, "POST", "/api/v1/comments", body, token=token).status

        if write() != 302:
            raise Wrong("the first write was refused")
        ballast = folder / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as out:
            while out.write(b"\0" * 65536):
                out.flush()
        refused: Counter[int] = Counter()
        for _ in range(60):
            refused[write()] += 1
            if node.get(path, token).status not in (200, 503):
                raise Wrong("a read failed")
        replies = [node.get(path, token) for _ in range(20)]
        reads = sum(reply.status == 200 for reply in replies)
        ballast.unlink()
        back = wait_until(lambda: write() == 302, "writes did not come back", 60)
    if set(refused) - {302, 503} or not refused[503]:
        raise Wrong(f"writes answered {dict(refused)}")
    if reads < 20:
        raise Wrong(f"of 20 reads {reads} were answered")
    return {
        "writes 503": refused[503],
        "reads of 20": reads,
        "writing again after, s": back,
    }


def soak(stage: Stage, server: embedded.Server) -> Figures:
    """Twenty minutes of reads and writes; what grows."""
    with stage.node("soak") as node:
        paths = [f"/api/v1/conversations/{id}" for id in stage.conversations]
        readers = Readers(node.port, paths, stage.tokens[0], per_s=60)
        writers = Writers(stage, [node.port], 10)
        marks: list[tuple[float, int, int]] = []
        length = 1200 * stage.scale
        began = time.monotonic()
        with readers.reading(), writers.writing():
            while time.monotonic() - began < length:
                time.sleep(length / 40)
                if time.monotonic() - began > length / 4:
                    marks.append(_held(node))
        writers.check()
    if readers.failures:
        raise Wrong(f"reads failed: {dict(readers.statuses)}")
    half = len(marks) // 2
    grown = [
        (
            quantile([m[n] for m in marks[half:]], 50) / quantile([m[n] for m in marks[:half]], 50)
            - 1
        )
        for n in range(3)
    ]
    minutes = length * 3 / 8 / 60
    return {
        "minutes": length / 60,
        "requests": len(readers.seconds) + len(writers.acknowledged),
        "memory MB": marks[-1][0],
        "memory, in 10 min": f"{grown[0] / minutes * 10:+.1%}",
        "descriptors, in 10 min": f"{grown[1] / minutes * 10:+.1%}",
        "connections, in 10 min": f"{grown[2] / minutes * 10:+.1%}",
    }


def _held(node: Node) -> tuple[float, int, int]:
    """Memory in MB, descriptors and sockets of a node's worker."""
    worker = node.workers()[0]
    pages = int(Path(f"/proc/{worker}/statm").read_text().split()[1])
    links = []
    for entry in Path(f"/proc/{worker}/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(entry.readlink()))
    sockets = sum(link.startswith("socket:") for link in links)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(links), sockets


SCENARIOS: Mapping[str, Scenario] = {
    "killed-workers": killed_workers,
    "postgres-crashes": postgres_crashes,
    "memcached": memcached_troubles,
    "retry-keys": retry_keys,
    "clocks": clocks,
    "cold-page": cold_page,
    "crawler": crawler,
    "disk-full": disk_full,
    "soak": soak,
}

"""Scenarios of two faults at once: something happens to a held web process while a service that it needs fails.

Each pair has a web process of its own, with clients that write. The service fails, and the clients notice; then the web
process is hit; then the service recovers. Nobody helps: after that it must serve, all acknowledged writes must be there
once, and `forumapi hold` must be the same process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from forumapi.database import embedded_postgres
from scripts import cluster
from scripts.bench import proc
from scripts.chaos.stage import LeftOut, Node, Readers, Stage, Writers, Wrong, wait_until

WRITES_PER_S: Final = 10.0
# How long both last together, at scale 1.
TOGETHER_S: Final = 5.0
# Within it a page comes, and a write is taken, once what is around is well again.
BACK_S: Final = 20.0
SLOW_S: Final = 0.1
DISK: Final = "8m"


@dataclass
class Held(Node):
    """Web node under `forumapi hold`, whose program is a symbolic link to one of two releases."""

    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """Return the log of the holding process and of its web processes."""
        return self.log_file.read_text(errors="replace")

    @property
    def log_file(self) -> Path:
        """Return the path of that log, outside the data folder, which may be full."""
        return self.folder.parent / f"{self.folder.name}.log"

    def web(self) -> list[int]:
        """Return the ids of the web processes."""
        return proc.children(self.process.pid)

    def workers(self) -> list[int]:
        """Return the ids of the workers."""
        return [pid for web in self.web() for pid in proc.children(web)]


def release(folder: Path, name: str) -> Path:
    """Make a program file that runs this very code, as a release of this name."""
    program = folder / name
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m forumapi "$@"\n')
    program.chmod(0o755)
    return program


@contextlib.contextmanager
def held(stage: Stage, folder: Path, **settings: str) -> Iterator[Held]:
    """Run a held node with two workers, and yield it when it is ready. Its data folder is `folder`, all else is beside
    that.
    """
    port, private = cluster.free_port(), f"127.0.0.1:{cluster.free_port()}"
    beside = folder.parent / f"{folder.name}.d"
    beside.mkdir()
    current = beside / "current"
    current.symlink_to(release(beside, "first"))
    release(beside, "second")
    (beside / "forumapi.toml").write_text("release_trial_s = 1\nkeepalive_s = 30\n")
    given = {
        "config": str(beside / "forumapi.toml"),
        "environment": "development",
        "database_url": stage.url,
        "platform_domain": "localhost",
        "listen": f"127.0.0.1:{port}",
        "admin_listen": private,
        "data_dir": str(folder),
        "workers": "2",
        "rate_limit_token_per_minute": "0",
        "rate_limit_address_per_minute": "0",
        "crawl_budget_per_minute": "0",
        "comment_rate_per_minute": "0",
        "access_log": "false",
        **settings,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORUMAPI_")}
    env = kept | {f"FORUMAPI_{name.upper()}": value for name, value in given.items()}
    env["PYTHONPATH"] = str(cluster.ROOT)
    log = folder.parent / f"{folder.name}.log"
    with cluster.process([str(current), "hold", str(current)], log, env=env) as process:
        made = Held(port, process.pid, private, folder, process)
        wait_until(lambda: len(made.workers()) == 2, "the workers did not start", 60)
        wait_until(lambda: made.get("/api/v1/site").status == 200, "the node is not ready", 60)
        yield made


# ---------------------------------------------------------------- what is around


class Trouble(ABC):
    """Base class of failures of a service that the web process needs, from `begin` to `end`. `refuses`: writes may get
    503 meanwhile.
    """

    name: ClassVar[str]
    refuses: ClassVar[bool] = False

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    @contextlib.contextmanager
    def prepared(self, folder: Path) -> Iterator[Mapping[str, str]]:
        """Yield the settings of a node that depends on the service; its data folder is `folder`."""
        folder.mkdir()
        yield {}

    @abstractmethod
    def begin(self, node: Held) -> None:
        """Make the service fail, and wait until the node notices. Raises Wrong if it does not."""

    @abstractmethod
    def end(self) -> None:
        """Make the service work again."""


def refuses(node: Held, token: str) -> bool:
    """Return True if a request that needs the database is refused in the right way."""
    return node.get("/api/v1/whoami", token).is_right_refusal


class DatabaseAway(Trouble):
    """Failure: PostgreSQL ends as in a power cut."""

    name = "database away"
    refuses = True

    def begin(self, node: Held) -> None:
        server = embedded_postgres.find(self.stage.folder / "pg")
        if server is None:
            raise Wrong("there is no database to take away")
        self._socket_dir = server.socket_dir
        os.kill(server.pid, signal.SIGQUIT)
        wait_until(lambda: refuses(node, self.stage.tokens[0]), "still served", 20)

    def end(self) -> None:
        folder = self.stage.folder / "pg"
        embedded_postgres.start(folder, max_connections=200, socket_dir=self._socket_dir)


class DatabaseFrozen(Trouble):
    """Failure: PostgreSQL accepts connections and answers nothing."""

    name = "database frozen"
    refuses = True

    @contextlib.contextmanager
    def prepared(self, folder: Path) -> Iterator[Mapping[str, str]]:
        folder.mkdir()
        # Else each that meets it waits for ten seconds.
        yield {"statement_timeout_ms": "2000"}

    def begin(self, node: Held) -> None:
        server = embedded_postgres.find(self.stage.folder / "pg")
        if server is None:
            raise Wrong("there is no database to freeze")
        self._pids = [server.pid, *proc.children(server.pid)]
        self._signal(signal.SIGSTOP)
        wait_until(lambda: refuses(node, self.stage.tokens[0]), "still served", 20)

    def end(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, sign: signal.Signals) -> None:
        for pid in self._pids:
            # One that has just ended.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)


class DatabaseSlow(Trouble):
    """Failure: each answer of PostgreSQL is late."""

    name = "database slow"

    @contextlib.contextmanager
    def prepared(self, folder: Path) -> Iterator[Mapping[str, str]]:
        folder.mkdir()
        server = embedded_postgres.find(self.stage.folder / "pg")
        if server is None:
            raise Wrong("there is no database to slow down")
        between = folder.parent / f"{folder.name}.pg"
        between.mkdir()
        name = next(server.socket_dir.glob(".s.PGSQL.*[0-9]")).name
        with late(between / name, server.socket_dir / name) as self._way:
            yield {"database_url": self.stage.url.replace(str(server.socket_dir), str(between))}

    def begin(self, node: Held) -> None:
        self._way.delay_s = SLOW_S

        def is_slow() -> bool:
            began = time.monotonic()
            node.get("/api/v1/whoami", self.stage.tokens[0])
            return time.monotonic() - began >= SLOW_S

        wait_until(is_slow, "nobody is slow", 20)

    def end(self) -> None:
        self._way.delay_s = 0.0


@dataclass
class Late:
    """Proxy to a server that delays the answers."""

    delay_s: float = 0.0


@contextlib.contextmanager
def late(path: Path, target: Path) -> Iterator[Late]:
    """Run a Late proxy on the Unix socket `path`, to the one at `target`."""
    made = Late()

    def pump(source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_answer and made.delay_s:
                    time.sleep(made.delay_s)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(str(target))
            asking = threading.Thread(target=pump, args=(client, server, False), daemon=True)
            asking.start()
            pump(server, client, True)
            asking.join()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(200)
        threading.Thread(target=accept, daemon=True).start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)


class MemcachedAway(Trouble):
    """Failure: memcached ends; at the end another begins on its port, empty."""

    name = "memcached away"

    @contextlib.contextmanager
    def prepared(self, folder: Path) -> Iterator[Mapping[str, str]]:
        folder.mkdir()
        if cluster.program("memcached") is None:
            raise LeftOut("memcached is not installed")
        self._folder = folder.parent / f"{folder.name}.mc"
        self._folder.mkdir()
        self._folder.chmod(0o755)
        with contextlib.ExitStack() as self._running:
            address, self._process = self._running.enter_context(cluster.memcached(self._folder))
            self._port = int(address.rpartition(":")[2])
            yield {"memcached": address, "memory_cache_mb": "1"}

    def begin(self, node: Held) -> None:
        before = node.counted("forumapi_memcached_failures_total")
        self._process.kill()
        wait_until(
            lambda: node.counted("forumapi_memcached_failures_total") > before,
            "nobody asked memcached",
            20,
        )

    def end(self) -> None:
        again = cluster.memcached(self._folder, self._port)
        self._running.enter_context(again)


class DiskFull(Trouble):
    """Failure: the disk of the web process's data folder is full."""

    name = "disk full"

    @contextlib.contextmanager
    def prepared(self, folder: Path) -> Iterator[Mapping[str, str]]:
        folder.mkdir()
        if os.geteuid():
            raise LeftOut("only root can make a small disk")
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            raise LeftOut("no disk could be mounted here")
        self._ballast = folder / "ballast"
        try:
            yield {}
        finally:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)

    def begin(self, node: Held) -> None:
        with contextlib.suppress(OSError), self._ballast.open("wb") as out:
            while out.write(b"\0" * 4096):
                out.flush()
        with contextlib.suppress(OSError):
            (node.folder / "more").write_bytes(b"\0" * 8192)
            raise Wrong("the disk is not full")

    def end(self) -> None:
        self._ballast.unlink()


# ---------------------------------------------------------------- what happens


class Event(ABC):
    """Base class of what happens to the web process. `breaks`: requests in flight may end with it."""

    name: ClassVar[str]
    breaks: ClassVar[bool] = False

    def __init__(self, node: Held, trouble: Trouble) -> None:
        self.node = node
        self.trouble = trouble

    @abstractmethod
    def happen(self) -> None:
        """Make it happen, and wait until it is under way. Raises Wrong."""

    @abstractmethod
    def finish(self) -> None:
        """Wait until it is over, after the service works again. Raises Wrong."""


class Kill(Event):
    """Event: a worker is killed."""

    name = "kill"
    breaks = True

    def happen(self) -> None:
        self._web = self.node.web()
        killed = self.node.workers()[0]
        os.kill(killed, signal.SIGKILL)

        def is_replaced() -> bool:
            workers = self.node.workers()
            return killed not in workers and len(workers) == 2

        wait_until(is_replaced, "no other worker was started", 30)

    def finish(self) -> None:
        if self.node.web() != self._web:
            raise Wrong("the web process ended with its worker")


class WebProcess(Event):
    """Event: the web process is killed, so that `forumapi hold` is alone."""

    name = "hold"
    breaks = True

    def happen(self) -> None:
        (killed,) = self.node.web()
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: self.node.web() not in ([], [killed]), "no other was started", 30)

    def finish(self) -> None:
        wait_until(lambda: len(self.node.workers()) == 2, "its workers did not start", 60)


class Reload(Event):
    """Event: a setting is changed that needs new workers."""

    name = "reload"

    def happen(self) -> None:
        self._before = self.node.workers()
        self._said = self._words()
        self._set(40)
        if not self.trouble.refuses:
            wait_until(lambda: self._words() > self._said, "it was not reloaded", 60)

    def finish(self) -> None:
        wait_until(lambda: self._words() > self._said, "it was not reloaded", 60)
        if "not reloaded" in self.node.log:
            if not self.trouble.refuses:
                raise Wrong("new workers did not start")
            # Without a database the old ones stay; with it they may go.
            said = self._words()
            self._set(50)
            wait_until(lambda: self._words() > said, "it was not reloaded again", 60)
        wait_until(
            lambda: (
                len(self.node.workers()) == 2 and not set(self._before) & set(self.node.workers())
            ),
            "the old workers stay",
            60,
        )

    def _words(self) -> int:
        return self.node.log.count("settings reloaded") + self.node.log.count("not reloaded")

    def _set(self, keepalive_s: int) -> None:
        file = self.node.folder.parent / f"{self.node.folder.name}.d" / "forumapi.toml"
        file.write_text(f"release_trial_s = 1\nkeepalive_s = {keepalive_s}\n")
        self.node.process.send_signal(signal.SIGHUP)


class Deploy(Event):
    """Event: another release takes over."""

    name = "deploy"

    def happen(self) -> None:
        (self._before,) = self.node.web()
        beside = self.node.folder.parent / f"{self.node.folder.name}.d"
        fresh = beside / "current.new"
        fresh.symlink_to("second")
        fresh.rename(beside / "current")
        self._taken = self._count()
        self.node.process.send_signal(signal.SIGUSR2)
        wait_until(self._is_under_way, "no other release was started", 30)

    def _count(self) -> int:
        return self.node.log.count("has taken over")

    def _is_under_way(self) -> bool:
        return len(self.node.web()) == 2 or self.node.log.count("the old one stays") > 0

    def finish(self) -> None:
        wait_until(
            lambda: self._count() > self._taken or "the old one stays" in self.node.log,
            "nothing came of it",
            60,
        )
        if "the old one stays" in self.node.log:
            # It was judged while there was nothing to judge it by.
            self.node.process.send_signal(signal.SIGUSR2)
            wait_until(lambda: self._count() > self._taken, "it did not take over then either", 60)
        if self._before == self.node.web()[-1]:
            raise Wrong("the old release serves")


TROUBLES: Final = (DatabaseAway, DatabaseFrozen, DatabaseSlow, MemcachedAway, DiskFull)
EVENTS: Final = (Kill, WebProcess, Reload, Deploy)


# ---------------------------------------------------------------- a pair


def play(stage: Stage, event: type[Event], trouble: type[Trouble]) -> str:
    """Play an event during a failure; return in words what was seen. Raises Wrong, LeftOut."""
    name = f"{event.name}-{trouble.name}".replace(" ", "-")
    folder = stage.folder / name
    around = trouble(stage)
    own = dataclasses.replace(stage, figures={}, missed=[])
    with around.prepared(folder) as settings, held(stage, folder, **settings) as node:
        hit = event(node, around)
        writers = Writers(own, [node.port], WRITES_PER_S, threads=4)
        paths = [f"/api/v1/conversations/{id}" for id in stage.conversations[:20]]
        readers = Readers(node.port, paths, stage.tokens[0], per_s=20, threads=2)
        with writers.writing(), readers.reading():
            wait_until(lambda: len(writers.acknowledged) > 5, "nothing was written", 30)
            around.begin(node)
            try:
                if trouble.refuses:
                    met = functools.partial(writers.statuses.__getitem__, 503)
                    wait_until(met, "no write met it, so this proves nothing", 30)
                hit.happen()
                time.sleep(TOGETHER_S * min(stage.scale, 1.0))
            finally:
                around.end()
            back = wait_until(lambda: _serves(node, stage), "it did not come back", BACK_S)
            hit.finish()
            before = len(writers.acknowledged)
            wait_until(lambda: len(writers.acknowledged) > before + 5, "nothing is written", 30)
        if node.process.poll() is not None:
            raise Wrong("`hold` ended")
        said = node.log
    writers.check()
    _judge(own, event, trouble, writers, readers, said)
    if own.missed:
        raise Wrong("; ".join(own.missed))
    refused = writers.statuses[503]
    return f"back in {back:.1f} s, {len(writers.acknowledged)} written, {refused}×503"


def _serves(node: Held, stage: Stage) -> bool:
    """Return True if each of several connections, which reach all workers, gets a page."""
    return all(node.get("/api/v1/whoami", stage.tokens[0]).status == 200 for _ in range(4))


def _judge(
    own: Stage,
    event: type[Event],
    trouble: type[Trouble],
    writers: Writers,
    readers: Readers,
    said: str,
) -> None:
    allowed = (
        {302, 409} | ({502, 503} if trouble.refuses else set()) | ({0} if event.breaks else set())
    )
    for what, statuses in (("writes", writers.statuses), ("reads", readers.statuses)):
        if others := {code: n for code, n in statuses.items() if code not in allowed | {200} and n}:
            own.missed.append(f"{what} were answered {others}")
    own.at_most("503 without Retry-After", writers.silent, 0, "{:.0f}")
    if (begin := said.find("Traceback")) >= 0:
        own.missed.append(f"there is a traceback in the log: {said[begin : begin + 2000]}")


def scenario(event: type[Event]) -> Callable[[Stage, embedded_postgres.Server], None]:
    """Return the scenario that plays `event` during each kind of failure."""

    def played(stage: Stage, server: embedded_postgres.Server) -> None:
        left_out = []
        for trouble in TROUBLES:
            try:
                stage.figure(trouble.name, play(stage, event, trouble))
            except LeftOut as error:
                left_out.append(f"{trouble.name}: {error}")
            except Wrong as error:
                stage.missed.append(f"{trouble.name}: {error}")
        if len(left_out) == len(TROUBLES):
            raise LeftOut("; ".join(left_out))
        for one in left_out:
            stage.figure(one, "left out")

    names = ", ".join(trouble.name for trouble in TROUBLES)
    played.__doc__ = f"{(event.__doc__ or '').rstrip('.')}, each time beside one of: {names}."
    return played

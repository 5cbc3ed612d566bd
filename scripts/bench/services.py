"""Processes of a benchmark run: PostgreSQL, memcached, the web worker under test and the minimal server.

With two cores or more the web worker has the first to itself, and the driver, PostgreSQL and memcached share the
second. So what is measured is CPU of a web process that shares its core with nothing, and the latency of a worker that
is the bottleneck.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import psycopg

from scripts.bench import proc
from scripts.bench.exchange import Answer, Request

ROOT = Path(__file__).parents[2]
PROFILER = Path(__file__).parent / "profiler"
READY_S = 60
DOMAIN = "localhost"


def cores() -> tuple[int | None, int | None]:
    """Return the core for the web worker, and the one for everything else; (None, None) on a machine with one core."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


def free_port() -> int:
    """Return a loopback TCP port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """Process that answers HTTP on a loopback port, with its children. Its output goes to the file `log`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        port: int,
        *,
        env: dict[str, str],
        core: int | None,
        log: Path,
    ) -> None:
        self.name = name
        self.port = port
        self.log = log
        with log.open("wb") as out, proc.on(core):
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Return the id of the process that was started; its workers are below it."""
        return self.process.pid

    def worker(self) -> int:
        """Return the id of the process that answers: the one of the tree with the most memory."""
        return max(proc.tree(self.pid), key=proc.resident_mb)

    def wait(self) -> None:
        """Wait until the server answers anything at all. Raises RuntimeError with the end of its log."""
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.ask(Request("GET", "/", DOMAIN))
            except OSError:
                time.sleep(0.1)
            else:
                return
        self.stop()
        raise RuntimeError(
            f"{self.name} does not answer: {self.log.read_text(errors='replace')[-2000:]}"
        )

    def ask(self, request: Request) -> Answer:
        """Send one request on a connection of its own. Raises OSError."""
        return self.ask_all([request])[0]

    def ask_all(self, requests: Sequence[Request]) -> list[Answer]:
        """Send requests one after the other on one connection. Raises OSError."""
        found = []
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        ) as connection:
            for request in requests:
                headers = {"Host": request.host}
                if request.token is not None:
                    headers["Authorization"] = f"Bearer {request.token}"
                if request.cookie:
                    headers["Cookie"] = request.cookie
                if request.body:
                    headers["Content-Type"] = request.content_type
                try:
                    connection.request(request.method, request.path, request.body or None, headers)
                    answer = connection.getresponse()
                    named = {key.lower(): value for key, value in answer.getheaders()}
                    found.append(Answer(answer.status, named, answer.read()))
                except http.client.HTTPException as error:
                    raise ConnectionError(f"{request.path}: {error!r}") from error
        return found

    def stop(self) -> None:
        """End the server and wait for its end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def settings(database_url: str) -> dict[str, str]:
    """Return environment variables by which forumapi has its default settings and this database."""
    outside = {key: value for key, value in os.environ.items() if not key.startswith("FORUMAPI_")}
    return outside | {
        "FORUMAPI_DATABASE_URL": database_url,
        "FORUMAPI_PLATFORM_DOMAIN": DOMAIN,
        "FORUMAPI_ENVIRONMENT": "development",
        "FORUMAPI_PUBLIC_SCHEME": "http",
        "FORUMAPI_PUBLIC_PORT": "0",  # the addresses in answers don't tell one server from another
    }


def application(
    database_url: str,
    memcached: str,
    folder: Path,
    core: int | None,
    *,
    counts: bool = False,
    profile: Path | None = None,
    pg_options: str = "",
    **others: str,
) -> Server:
    """Start a web process of forumapi with one worker, without limits on requests.

    `counts`: it states its round trips in Server-Timing; `profile`: file to which its sampler writes; `pg_options`:
    libpq options of its connections; `others`: settings by name.
    """
    port = free_port()
    name = "counting" if counts else "web"
    env = settings(database_url) | {
        "FORUMAPI_LISTEN": f"127.0.0.1:{port}",
        "FORUMAPI_DATA_DIR": str(folder / "data"),
        "FORUMAPI_WORKERS": "1",
        "FORUMAPI_MEMCACHED": memcached,
        "FORUMAPI_SERVER_TIMING_HEADER": "true" if counts else "false",
        "FORUMAPI_WEBCLIENT": "false",
        "FORUMAPI_RATE_LIMIT_TOKEN_PER_MINUTE": "0",
        "FORUMAPI_RATE_LIMIT_ADDRESS_PER_MINUTE": "0",
        "FORUMAPI_CRAWL_BUDGET_PER_MINUTE": "0",
        "FORUMAPI_COMMENT_RATE_PER_MINUTE": "100000",
        # All guests of a benchmark come from one address.
        "FORUMAPI_GUEST_CONCURRENCY_PER_ADDRESS": "0",
    }
    env |= {f"FORUMAPI_{setting.upper()}": value for setting, value in others.items()}
    if pg_options:
        env["PGOPTIONS"] = pg_options
    if profile is not None:
        env |= {"PYTHONPATH": str(PROFILER), "BENCH_PROFILE": str(profile)}
    command = [sys.executable, "-m", "forumapi", "serve"]
    return Server(name, command, port, env=env, core=core, log=folder / f"{name}.log")


def floor(database_url: str, folder: Path, core: int | None) -> Server:
    """Start the minimal server (floor.py), with the gunicorn settings and worker class of the application."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "etc/gunicorn.conf.py")]
    command += ["--bind", f"127.0.0.1:{port}", "--workers", "1", "scripts.bench.floor:application"]
    env = settings(database_url) | {"FLOOR_DATABASE": database_url, "PYTHONPATH": str(ROOT)}
    return Server("floor", command, port, env=env, core=core, log=folder / "floor.log")


@contextlib.contextmanager
def memcached(core: int | None) -> Iterator[tuple[str, int | None]]:
    """Run a memcached; yield its address and process id, ("", None) if the program is not installed."""
    program = shutil.which("memcached")
    if program is None:
        yield "", None
        return
    port = free_port()
    command = [program, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "256", "-t", "1"]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]
    with proc.on(core):
        process = subprocess.Popen(command)
    try:
        yield f"127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait()


def postmaster(connection: psycopg.Connection) -> int | None:
    """Return the id of PostgreSQL's first process; None if it is not on this machine."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    backend = row[0] if row else 0
    if not proc.name(backend).startswith("postgres"):
        return None
    return proc.parent(backend)

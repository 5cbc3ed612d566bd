"""A held web process, and clients that ask again and again and count what fails."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from forumapi.concurrency.end_with_parent import end_with_parent
from tests.fixtures import PLATFORM_DOMAIN
from tests.nginx.stage import Nginx
from tests.services import free_port


@dataclass
class Held:
    """A running `forumapi hold`, whose program is the link `current`."""

    process: subprocess.Popen[bytes]
    current: Path
    port: int
    folder: Path
    environ: dict[str, str]

    @property
    def text(self) -> str:
        """Return what it and the web processes below it logged."""
        return (self.folder / "hold.log").read_text()

    def node(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`forumapi node …` on this machine."""
        command = [str(self.current), "node", *words]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True)

    @contextlib.contextmanager
    def replacing(self) -> Iterator[subprocess.Popen[bytes]]:
        """`forumapi node replace`, which while this lasts."""
        asked = subprocess.Popen(
            [self.current, "node", "replace"], env=self.environ, stderr=subprocess.DEVNULL
        )
        try:
            yield asked
        finally:
            asked.kill()
            asked.wait()

    def settings(self, text: str) -> None:
        """Have other settings than those of its environment taken over."""
        (self.folder / "forumapi.toml").write_text(f"{text}\n")
        self.process.send_signal(signal.SIGHUP)

    def web(self) -> list[int]:
        """Process ids of the web processes below."""
        return children(self.process.pid)

    def build(self) -> str:
        """Return what answers a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/api/v1/version")
            return str(json.loads(connection.getresponse().read())["data"]["build"])


def children(pid: int) -> list[int]:
    """Process ids of a process's children."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def environment(database_url: str, folder: Path, port: int, **settings: str) -> dict[str, str]:
    """The environment of the commands of one machine, whose settings file is `folder`/forumapi.toml."""
    (folder / "forumapi.toml").write_text("release_trial_s = 1\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORUMAPI_")}
    given = {
        "database_url": database_url,
        "listen": f"127.0.0.1:{port}",
        "data_dir": str(folder / "var"),
        "workers": "2",
        "database_connections": "4",
        "platform_domain": PLATFORM_DOMAIN,
        "trusted_proxies": "127.0.0.1",
        "rate_limit_token_per_minute": "0",
        "rate_limit_address_per_minute": "0",
        "access_log": "false",
        "config": str(folder / "forumapi.toml"),
        **settings,
    }
    return kept | {f"FORUMAPI_{name.upper()}": value for name, value in given.items()}


@contextlib.contextmanager
def held(database_url: str, folder: Path, program: Path, **settings: str) -> Iterator[Held]:
    """`forumapi hold` on a link to `program`; ready when it is yielded."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    current = folder / "current"
    current.symlink_to(program)
    environ = environment(database_url, folder, port, **settings)
    with (folder / "hold.log").open("wb") as output:
        process = subprocess.Popen(
            [current, "hold", current],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=end_with_parent,  # noqa: PLW1509
        )
    running = Held(process, current, port, folder, environ)
    try:
        until(lambda: answers(running), running)
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def answers(running: Held) -> str:
    """The build that answers, "" while nothing does; it must not have ended."""
    assert running.process.poll() is None, running.text
    try:
        return running.build()
    except (OSError, http.client.HTTPException):
        return ""


def until(is_so: Callable[[], object], running: Held, limit_s: float = 60) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, running.text
        time.sleep(0.05)


@dataclass
class Load:
    """Clients that ask until told to stop. `failures` are answers that were no page, and broken connections.

    Between two requests of a client are `pause_s`: the web process shall have the machine's time for starting, too.
    """

    pause_s: float = 0.02
    path: str = "/api/v1/site"
    failures: list[str] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(
        self, name: str, connect: Callable[[], http.client.HTTPConnection], *, keeps: bool
    ) -> None:
        """One more client: with one connection for as long as the server likes, or a new one each time."""
        thread = threading.Thread(target=self._ask, args=(name, connect, keeps), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _ask(
        self, name: str, connect: Callable[[], http.client.HTTPConnection], keeps: bool
    ) -> None:
        connection = connect()
        while not self._stop.wait(self.pause_s):
            if not keeps:
                connection.close()
                connection = connect()
            try:
                connection.request("GET", self.path, headers={"Host": PLATFORM_DOMAIN})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{name}: {error!r}")
                connection.close()
                connection = connect()
                continue
            if answer.status == 200:
                self.answered[name] += 1
            else:
                self.failures.append(f"{name}: {answer.status}")
        connection.close()

    def end(self) -> None:
        """Stop them all."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


class OverTls(http.client.HTTPConnection):
    """A connection to nginx; like any other it comes back by itself when the server has ended it."""

    def __init__(self, front: Nginx) -> None:
        super().__init__(PLATFORM_DOMAIN)
        self._front = front

    def connect(self) -> None:
        self.sock = self._front.connect(PLATFORM_DOMAIN)


def plain(port: int) -> http.client.HTTPConnection:
    """A connection to the web process itself."""
    return http.client.HTTPConnection("127.0.0.1", port, timeout=20)

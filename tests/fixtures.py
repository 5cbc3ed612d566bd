"""A real worker on a loopback port for each test process, with a client and a factory on the same database."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from forumapi.config import embedded_environ
from forumapi.database.connections import Database
from tests import preloaded, services
from tests.api import Api
from tests.factories import Factory, Site
from tests.preloaded import Forked

PLATFORM_DOMAIN = "forum.test"
PROJECT = Path(__file__).resolve().parent.parent


@dataclass
class Server:
    """A running web process. `settings` are what it was started with, beside the tests' own."""

    process: Forked | subprocess.Popen[bytes]
    address: tuple[str, int]
    log: Path
    platform_domain: str = PLATFORM_DOMAIN

    @property
    def pid(self) -> int:
        """The gunicorn master's process id."""
        return self.process.pid

    def api(self) -> Api:
        """A client of this server."""
        return Api(self.address, self.platform_domain)

    def stop(self) -> None:
        """End it as an operator would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def begin_server(
    database_url: str, folder: Path, *, command: str = "serve", **settings: str
) -> Server:
    """Start a web process on `database_url`; `settings` are FORUMAPI_ names in lower case."""
    port = services.free_port()
    folder.mkdir(parents=True, exist_ok=True)
    given = {
        "database_url": database_url,
        "listen": f"127.0.0.1:{port}",
        "data_dir": str(folder),
        "workers": "1",
        "platform_domain": PLATFORM_DOMAIN,
        "webclient": "false",
        "private_push": "true",
        "server_timing_header": "true",
        "rate_limit_token_per_minute": "0",
        "rate_limit_address_per_minute": "0",
        "crawl_budget_per_minute": "0",
        "comment_rate_per_minute": "0",
        # A browser keeps its idle connections, some of each test's site.
        "connections_per_address": "0",
        "log_level": "warning",
        "access_log": "false",
        **settings,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORUMAPI_")}
    env = (
        kept
        | embedded_environ()
        | {f"FORUMAPI_{name.upper()}": value for name, value in given.items()}
    )
    log = folder / f"web-{port}.log"
    process = preloaded.start(command.split(), env, log)
    return Server(process, ("127.0.0.1", port), log, given["platform_domain"])


def start_server(database_url: str, folder: Path, **settings: str) -> Server:
    """The same, ready when this returns."""
    server = begin_server(database_url, folder, **settings)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"the web process ended: {server.log.read_text()[-2000:]}")
        try:
            if server.api().get("/api/v1/site").status == 200:
                return server
        except OSError:
            time.sleep(0.05)
        except BaseException:
            server.stop()
            raise
    server.stop()
    raise RuntimeError(f"the web process is not ready: {server.log.read_text()[-2000:]}")


@contextmanager
def running(database_url: str, folder: Path, **settings: str) -> Iterator[Server]:
    """A web process as `start_server` starts it, for as long as this lasts."""
    started = start_server(database_url, folder, **settings)
    try:
        yield started
    finally:
        started.stop()


@contextmanager
def factory(database_url: str, platform_domain: str = PLATFORM_DOMAIN) -> Iterator[Factory]:
    """Makes sites, people and content on a database."""
    database = Database(database_url)
    try:
        yield Factory(database, platform_domain)
    finally:
        database.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what its web processes logged."""
    report = yield
    if report.failed:
        for server in getattr(item, "funcargs", {}).values():
            if isinstance(server, Server):
                text = server.log.read_text(errors="replace")[-5000:]
                report.sections.append(("Log of the web process", text))
    return report


@pytest.fixture(scope="session")
def platform_database(postgres_url: str) -> Iterator[str]:
    """The address of a database for tests of whole platforms: the list of all sites depends on them alone."""
    with services.database(postgres_url, "platform") as url:
        yield url


@pytest.fixture(scope="session")
def server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The web process of this test process."""
    with running(database_url, tmp_path_factory.mktemp("web")) as started:
        yield started


@pytest.fixture(scope="module")
def elsewhere(
    database_url: str, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Another web process on the same database: what it writes, the first one hears of from nobody."""
    with running(database_url, tmp_path_factory.mktemp("elsewhere")) as started:
        yield started


@pytest.fixture(scope="module")
def there(elsewhere: Server) -> Iterator[Api]:
    """A client of that other process."""
    client = elsewhere.api()
    yield client
    client.close()


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    """Requests to the web process; every answer is checked against the API document."""
    client = server.api()
    yield client
    client.close()


@pytest.fixture(scope="session")
def make(database_url: str) -> Iterator[Factory]:
    """Makes sites, people and content."""
    with factory(database_url) as maker:
        yield maker


@pytest.fixture(scope="session")
def bikes(make: Factory) -> Site:
    """A site with its cast, shared by the tests of this process: make your own things on it."""
    # No key that examples of the API document have: made-up requests may have made such a site before.
    return make.site("sharedbikes")


@pytest.fixture(scope="session")
def trains(make: Factory) -> Site:
    """Another site."""
    return make.site("sharedtrains")

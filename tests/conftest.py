"""Account of what every test can ask for: a migrated database, a memcached, and, from fixtures.py, a web process on
them."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from forumapi.observability.log import logger
from tests import services

pytest_plugins = ["tests.fixtures", "tests.required"]

# Otherwise Hypothesis imports Trio, which nothing here uses.
os.environ.setdefault("HYPOTHESIS_NO_PLUGINS", "1")

# Set by the first process of a run for its helpers (pytest-xdist), which inherit it.
_SERVER = "TESTDB_SERVER"

# As many examples of one test function as a run without the slow tests takes.
QUICK_EXAMPLES = 6
# Test functions that take longer than QUICK_S, or whose fixtures take longer than SLOW_FIXTURE_S, written by
# `REFRESH_SLOW=1 make test`, with nothing else at work.
SLOW_FILE = Path(__file__).parent / "saved" / "slow.txt"
QUICK_S = 0.03
SLOW_FIXTURE_S = 0.5
# What nearly every test shares is nobody's.
SHARED_FIXTURES = frozenset(
    [
        "postgres_url",
        "database_url",
        "platform_database",
        "server",
        "make",
        "bikes",
        "trains",
        "memcached",
        "_spare_database",
    ]
)
# Files and folders that take longest come first: at the end no process works alone at one of them.
LONGEST = (
    "upgrade",
    "test_look.py",
    "test_table.py",
    "cluster",
    "chaos",
    "realtime",
    "test_random_actions.py",
    "test_killed.py",
    "test_conditional.py",
    "fuzz",
    "dist",
    "wire",
)


def pytest_configure(config: pytest.Config) -> None:
    """Start PostgreSQL and make a folder once a run, before pytest-xdist starts its helpers."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    # Whoever ends the run from outside gets the cleaning up of Ctrl-C.
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.default_int_handler)
    # Tests ask servers on loopback alone, which the proxy of a company does not know.
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "*"
    stack = contextlib.ExitStack()
    if config.option.basetemp is None:
        config.option.basetemp = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="forumapi-tests-", ignore_cleanup_errors=True)
        )
    os.environ[_SERVER] = stack.enter_context(services.postgres())
    config.add_cleanup(stack.close)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """For a run of all tests: import a part of their files, each helper (pytest-xdist) another.

    What one has compiled, all find. In a new checkout each would compile all of them, at the same time.
    """
    # Thousands of tests stay to the end: looking for garbage among them, time and again, is a tenth of the work.
    gc.disable()
    if session.config.args != session.config.getini("testpaths"):
        return
    helper = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    helpers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    here = Path(__file__).parent
    for path in sorted(here.rglob("test_*.py"))[helper::helpers]:
        importlib.import_module(".".join(path.relative_to(here.parent).with_suffix("").parts))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what SLOW_FILE lists, and all but an even choice of the examples of a test that has very many.

    All but an even choice of the examples of a test that is marked `sliced` become wide. The longest come first.
    """
    if not os.environ.get("FORUMAPI_FORUM_FIXTURES"):
        items[:] = [item for item in items if item.get_closest_marker("boards") is None]
    slow = frozenset(SLOW_FILE.read_text().split())
    parts = {
        path: path.relative_to(Path(__file__).parent).parts
        for path in {item.path for item in items}
    }
    for item in items:
        if _function(item.nodeid) in slow:
            item.add_marker(pytest.mark.slow)
    for _, group in groupby(items, lambda item: item.nodeid.partition("[")[0]):
        examples = list(group)
        _mark_but(examples, QUICK_EXAMPLES, pytest.mark.slow)
        if sliced := examples[0].get_closest_marker("sliced"):
            _mark_but(examples, sliced.args[0], pytest.mark.wide)
    order = {name: place for place, name in enumerate(LONGEST)}
    rank = {
        path: min(order.get(name, len(order)) for name in names) for path, names in parts.items()
    }
    items.sort(key=lambda item: rank[item.path])


def _mark_but(examples: list[pytest.Item], count: int, mark: pytest.MarkDecorator) -> None:
    """Mark all examples of a test but `count`, evenly chosen."""
    # The number of examples chosen up to each place, which moves at a chosen one.
    chosen = [place * count // len(examples) for place in range(-1, len(examples))]
    for item, (before, now) in zip(examples, pairwise(chosen), strict=True):
        if before == now:
            item.add_marker(mark)


def _function(node_id: str) -> str:
    return node_id.partition("[")[0].removeprefix("tests/")


# ---------------------------------------------------------------- which tests are slow

if "REFRESH_SLOW" in os.environ:
    _calls: dict[str, list[float]] = {}
    _needs: dict[str, set[str]] = {}
    _slow_fixtures: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Iterator[None]:
        """Note a fixture that is slow to set up, and that tests share."""
        began = time.monotonic()
        try:
            return (yield)
        finally:
            is_slow = time.monotonic() - began > SLOW_FIXTURE_S
            if is_slow and fixturedef.scope != "function":
                name = f"{fixturedef.baseid}::{fixturedef.argname}"
                request._pyfuncitem.user_properties.append(("slow fixture", name))

    def pytest_runtest_setup(item: pytest.Item) -> None:
        """Note the fixtures of a test."""
        function: Any = item
        found = function._fixtureinfo.name2fixturedefs
        names = [
            f"{one[-1].baseid}::{name}"
            for name, one in found.items()
            if name not in SHARED_FIXTURES
        ]
        item.user_properties.append(("fixtures", names))

    def pytest_runtest_logreport(report: pytest.TestReport) -> None:
        """Collect what the process of a test has noted."""
        if report.when == "call":
            _calls.setdefault(_function(report.nodeid), []).append(report.duration)
        for kind, value in report.user_properties:
            if kind == "slow fixture":
                _slow_fixtures.add(str(value))
            elif isinstance(value, list):
                _needs.setdefault(_function(report.nodeid), set()).update(value)

    def pytest_sessionfinish(session: pytest.Session) -> None:
        """Write the list."""
        if hasattr(session.config, "workerinput"):
            return
        slow = [
            name
            for name, times in _calls.items()
            if sum(times) / len(times) > QUICK_S or _needs[name] & _slow_fixtures
        ]
        SLOW_FILE.write_text("".join(f"{name}\n" for name in sorted(slow)))


def pytest_collection_finish() -> None:
    """Exempt what was collected from the garbage collector, which from now on looks seldom: a test that makes many
    objects, as syntax trees of the whole project, otherwise spends two thirds of its time there.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    gc.enable()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what the run works with."""
    missing = "not installed, tests of it are skipped (`scripts/testdb prepare`)"
    has_memcached = services.memcached_program() is not None
    has_chromium = services.chromium_programs() is not None
    return [
        f"memcached: {'started for each test process' if has_memcached else missing}",
        f"nginx: {'started where it is tested' if services.nginx_program() else missing}",
        f"Chromium: {'started where a page is tested' if has_chromium else missing}",
        *(
            ["boards of other products: FORUMAPI_FORUM_FIXTURES names no folder, left out"]
            if not os.environ.get("FORUMAPI_FORUM_FIXTURES")
            else []
        ),
    ]


@pytest.fixture(autouse=True)
def told_to_caplog(request: pytest.FixtureRequest) -> Iterator[None]:
    """For a test that looks at the log: it reaches pytest also after a command of this process has set up its own."""
    if "caplog" not in request.fixturenames:
        yield
        return
    before = logger.propagate, logger.level
    logger.propagate = True
    logger.setLevel("INFO")
    yield
    logger.propagate = before[0]
    logger.setLevel(before[1])


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """The address of this run's server, for those who need databases of their own."""
    return os.environ[_SERVER]


@pytest.fixture(scope="session")
def database_url(postgres_url: str, worker_id: str) -> Iterator[str]:
    """The address of this test process's own migrated database, in which no number is a user's and a profile's."""
    with services.database(postgres_url, worker_id) as url:
        with services.connect(url) as connection:
            connection.execute("SELECT setval(pg_get_serial_sequence('users', 'user_id'), 1000000)")
        yield url


@pytest.fixture(scope="session")
def _spare_database(postgres_url: str) -> Iterator[str]:
    """The address of a database that is emptied for each test which asks for one with nothing in it."""
    with services.new_database(postgres_url, "empty") as url:
        yield url


@pytest.fixture
def empty_database(_spare_database: str) -> str:
    """The address of a database with nothing in it, for one test."""
    with services.connect(_spare_database) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        name, role = sql.Identifier(connection.info.dbname), sql.Identifier(connection.info.user)
        connection.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} RESET ALL").format(role, name))
    return _spare_database


@pytest.fixture(scope="session")
def memcached() -> Iterator[str]:
    """host:port of a memcached that starts empty; without the program the test is skipped."""
    with services.memcached() as address:
        if not address:
            pytest.skip("memcached is not installed")
        yield address

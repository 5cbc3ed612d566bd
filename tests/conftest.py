"""What every test can ask for: a migrated database, a memcached, and, from fixtures.py, a web process on them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from tests import services

pytest_plugins = ["tests.fixtures"]

# Set by the first process of a run for its helpers (pytest-xdist), which inherit it.
_SERVER = "TESTDB_SERVER"


def pytest_configure(config: pytest.Config) -> None:
    """Start PostgreSQL once a run, before pytest-xdist starts its helpers."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    stack = contextlib.ExitStack()
    os.environ[_SERVER] = stack.enter_context(services.postgres())
    config.add_cleanup(stack.close)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what the run works with."""
    if services.memcached_program() is None:
        return ["memcached: not installed, tests of it are skipped (`scripts/testdb prepare`)"]
    return ["memcached: started for each test process"]


@pytest.fixture(scope="session")
def database_url(worker_id: str) -> Iterator[str]:
    """The address of this test process's own migrated database."""
    with services.database(os.environ[_SERVER], worker_id) as url:
        yield url


@pytest.fixture
def empty_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database with nothing in it, for one test."""
    server = os.environ[_SERVER]
    name = f"{services.PREFIX}{os.getpid()}_empty"
    with services.connect(server) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield services.in_database(server, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def memcached() -> Iterator[str]:
    """host:port of a memcached that starts empty; without the program the test is skipped."""
    with services.memcached() as address:
        if not address:
            pytest.skip("memcached is not installed")
        yield address

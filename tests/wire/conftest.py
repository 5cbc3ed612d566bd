"""The world that recorded exchanges are replayed in: made once, on a platform where there is nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import services
from tests.fixtures import Server, factory, running

from .world import World, verifier


@pytest.fixture(scope="package")
def wire_database(postgres_url: str) -> Iterator[str]:
    """The address of a database with no other test's sites: recorded lists of sites are short."""
    with services.database(postgres_url, "wire") as url:
        yield url


@pytest.fixture(scope="package")
def wire_server(wire_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A web process on that database."""
    # Who owns the root site in the world runs the platform: among the first users of the database.
    admins = "1,2,3,4"
    folder = tmp_path_factory.mktemp("wire")
    with running(wire_database, folder, admin_user_ids=admins) as started:
        yield started


@pytest.fixture(scope="package")
def world(wire_database: str, wire_server: Server) -> Iterator[World]:
    """One site with standing content, read and added to by every replay."""
    client = wire_server.api()
    with verifier() as address, factory(wire_database) as make:
        yield World(client, make, address)
    client.close()

"""The world that recorded exchanges are replayed in: made once for each test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.factories import Factory
from tests.fixtures import Server

from .world import World, verifier


@pytest.fixture(scope="session")
def world(server: Server, make: Factory) -> Iterator[World]:
    """One site with standing content, read and added to by every replay."""
    client = server.api()
    with verifier() as address:
        yield World(client, make, address)
    client.close()

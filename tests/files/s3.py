"""An S3 server on loopback for the tests of files, and the gate before it (scripts/chaos/store.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.chaos.store import Gate, gated, running


@pytest.fixture(scope="package")
def store() -> Iterator[int]:
    """The port of an S3 server with one bucket."""
    with running() as port:
        yield port


@pytest.fixture
def gate(store: int) -> Iterator[Gate]:
    """A way to the store that can be closed."""
    with gated(store) as made:
        yield made

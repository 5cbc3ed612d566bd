"""Databases of their own for the seeds, which fill a whole one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests import services


@pytest.fixture(scope="package")
def new_database(postgres_url: str) -> Iterator[Callable[[str], str]]:
    """Makes a migrated database of this name and gives its address."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(services.database(postgres_url, name))

"""The stage of the tests in this folder."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.stage import Stage, staged


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An embedded platform with one site."""
    with staged(database_url, tmp_path_factory.mktemp("stage")) as made:
        yield made


@pytest.fixture
def within_one_hour() -> None:
    """For a test that counts attempts, which begin anew with each hour of the clock: none begins meanwhile."""
    left = 3600 - time.time() % 3600
    if left < 30:
        time.sleep(left)

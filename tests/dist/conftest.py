"""The one file, built once a run."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from tests.dist import one_file


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one file, by whichever test process needs it first."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "one-file"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = root / "forumapi"
        return built if built.exists() else one_file.build(root)

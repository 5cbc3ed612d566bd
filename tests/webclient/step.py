"""Steps that people take on the website: the list in steps.txt, and the mark of the test that plays one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

LIST = Path(__file__).with_name("steps.txt")


def names() -> list[str]:
    """Return the names of the steps that tests play, in their order."""
    lines = (line.strip() for line in LIST.read_text().splitlines())
    return [line for line in lines if line and not line.startswith(("#", "[", "- "))]


def step(name: str) -> Any:
    """Mark a test as the one that plays a step."""
    if name not in names():
        raise ValueError(f"{name!r} is no step of {LIST.name}")
    return pytest.mark.step(name)

"""List of steps: each is played by one test, and stands there once."""

from __future__ import annotations

import re
from pathlib import Path

from tests.webclient import step

_PLAYED = re.compile(r'^@step\("([^"]+)"\)', re.M)


def test_each_step_is_played_by_one_test() -> None:
    files = Path(__file__).parent.rglob("test_*.py")
    played = sorted(name for path in files for name in _PLAYED.findall(path.read_text()))

    assert played == sorted(step.names())

"""A scenario of `make chaos` that met nothing has failed, whatever its size."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.chaos import pairs
from scripts.chaos.scenarios import SCENARIOS
from scripts.chaos.stage import Stage


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_what_met_nothing_has_failed(scale: float) -> None:
    stage = Stage(Path(), "", [], [], 0, scale)
    stage.met("reads 503", 3)
    assert stage.missed == []

    stage.met("slow", 0)
    assert stage.missed == ["slow: it met nothing, so this proved nothing"]


def test_each_thing_that_happens_is_played_beside_each_trouble() -> None:
    assert {f"pairs-{event.name}" for event in pairs.EVENTS} <= SCENARIOS.keys()
    for event in pairs.EVENTS:
        words = SCENARIOS[f"pairs-{event.name}"].words
        assert all(trouble.name in words for trouble in pairs.TROUBLES)

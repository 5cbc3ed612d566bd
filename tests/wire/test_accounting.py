"""Every exchange that was recorded is replayed, but for those that were cut off."""

from __future__ import annotations

from .cases import CASES, CUT, RECORDED_IN_ALL
from .recording import names


def test_no_recording_is_left_out_or_stands_twice() -> None:
    assert not set(CUT) & set(CASES)
    assert len(CASES) + len(CUT) == RECORDED_IN_ALL


def test_the_recordings_kept_here_are_those_replayed() -> None:
    assert names() == sorted(CASES)

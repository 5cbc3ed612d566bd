"""Every exchange that was recorded is replayed, or waits for a resource that is not there yet."""

from __future__ import annotations

from .cases import CASES, CUT, LATER, RECORDED_IN_ALL, ROUTE_OF
from .recording import names

WAITING = [name for names_ in LATER.values() for name in names_]


def test_no_recording_is_left_out_or_stands_twice() -> None:
    assert len(WAITING) == len(set(WAITING))
    assert not set(CASES) & set(WAITING)
    assert not set(CUT) & {*CASES, *WAITING}
    assert len(CASES) + len(WAITING) + len(CUT) == RECORDED_IN_ALL


def test_the_recordings_kept_here_are_those_replayed() -> None:
    assert names() == sorted(CASES)


def test_each_later_resource_has_an_address() -> None:
    assert set(ROUTE_OF) == set(LATER)

"""Heights of the bars that the website draws."""

from __future__ import annotations

import pytest

from forumapi.webclient.bar_chart import HEIGHT, bar_chart


@pytest.mark.parametrize(
    ("most", "top"),
    [
        (0, 1),
        (0.03, 0.05),
        (0.2, 0.2),
        (1, 1),
        (1.01, 2),
        (7, 10),
        (29_052, 50_000),
        (10**9, 10**9),
    ],
)
def test_an_axis_ends_at_a_round_number(most: float, top: float) -> None:
    assert bar_chart([[0], [most]]).top == top


def test_parts_stand_on_each_other_and_never_above_the_drawing() -> None:
    chart = bar_chart([[1, 2, 0, 4], [0, 0, 0, 0], [7, 0, 0, 3]])

    first, empty, full = chart.bars
    assert [(one.series, one.y, one.height) for one in first.parts] == [
        (0, 90, 10),
        (1, 70, 20),
        (3, 30, 40),
    ]
    assert (empty.parts, empty.total, chart.highest, chart.is_drawn) == ([], 0, 2, True)
    assert full.parts[-1].y == 0 and sum(one.height for one in full.parts) == HEIGHT
    assert not bar_chart([[0.0]]).is_drawn

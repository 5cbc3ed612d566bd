"""Bar charts of the website, which templates draw as SVG: the height of each part of each bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

# Height of the drawing, in its own units; a bar as high as `BarChart.top` has this height.
HEIGHT: Final = 100
_STEPS: Final = (1, 2, 5, 10)


class BarPart(NamedTuple):
    """Part of a bar: the number of its series, from 0 on, the distance of its upper edge from the top of the drawing,
    and its height, both in units of which the whole drawing is HEIGHT (100) high.
    """

    series: int
    y: float
    height: float


class ChartBar(NamedTuple):
    """Bar of a chart: its parts from the bottom up, without parts whose value is 0 (`parts` is [] if all are), and the
    sum of its values.
    """

    parts: list[BarPart]
    total: float


class BarChart(NamedTuple):
    """Chart of bars, from left to right, that each stack one value of each series. `top`: value at the upper end of the
    axis, which begins at 0.
    """

    top: float
    bars: list[ChartBar]

    @property
    def is_drawn(self) -> bool:
        """Return True if any value is not 0."""
        return any(bar.total for bar in self.bars)

    @property
    def highest(self) -> int:
        """Return the index in `bars` of the highest bar, the first one of equals. Raises ValueError for a chart without
        bars.
        """
        return max(range(len(self.bars)), key=lambda index: self.bars[index].total)


def bar_chart(values: Sequence[Sequence[float]]) -> BarChart:
    """Return the chart of `values`: for each bar, from left to right, the values that it stacks from the bottom up, one
    of each series, none below 0. Raises ValueError without a bar.

    The axis ends at the sum of the highest bar, rounded up to 1, 2 or 5 times a power of ten; at 1 if all values are 0.
    """
    totals = [sum(column) for column in values]
    top = _rounded_up(max(totals))
    bars = []
    for column, total in zip(values, totals, strict=True):
        parts: list[BarPart] = []
        below = 0.0
        for series, value in enumerate(column):
            below += value
            if value:
                y = HEIGHT * (1 - below / top)
                parts.append(BarPart(series, round(y, 2), round(HEIGHT * value / top, 2)))
        bars.append(ChartBar(parts, total))
    return BarChart(top, bars)


def _rounded_up(value: float) -> float:
    if value <= 0:
        return 1
    power: float = 10.0 ** math.floor(math.log10(value))
    found = next((step * power for step in _STEPS if value <= step * power), 10 * power)
    return int(found) if found >= 1 else round(found, 12)

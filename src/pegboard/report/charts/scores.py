"""Models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pegboard.report.charts.style import (
    FIRST,
    MUTED,
    figure_of,
    shortened,
    style,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """One model in a figure that compares models; values in percent."""

    name: str
    value: float
    low: float
    high: float
    latency_ms: float | None = None
    best: bool = False
    baseline: bool = False
    pareto: bool = False


def accuracy_bars(points: Sequence[Point]) -> Figure:
    """One line per model: its accuracy in percent as a dot, the 95 % interval as a bar."""
    with style():
        figure = figure_of(6.2, 0.9 + 0.36 * len(points))
        axes = figure.subplots()
        for place, point in enumerate(points):
            colour = MUTED if point.baseline else FIRST
            axes.plot(
                [point.low, point.high],
                [place, place],
                color=colour,
                linewidth=4,
                alpha=0.45,
                solid_capstyle="butt",
            )
            axes.plot(
                point.value,
                place,
                marker="D" if point.best else "o",
                markersize=8 if point.best else 6,
                color=colour,
            )
        axes.set_yticks(
            range(len(points)),
            [shortened(p.name) + (" (best)" if p.best else "") for p in points],
        )
        axes.set_ylim(len(points) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("accuracy on the test photos, %")
    return figure

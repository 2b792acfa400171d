"""Models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pegboard.report.charts.style import (
    FIRST,
    MUTED,
    PAPER,
    figure_of,
    plain_numbers,
    shortened,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
                [point.low, point.high], [place, place], color=colour, linewidth=4, alpha=0.45
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


def pareto(points: Sequence[Point]) -> Figure:
    """Speed against accuracy; the models on the Pareto front are joined by a line."""
    shown = sorted(
        (point for point in points if point.latency_ms), key=lambda point: point.latency_ms or 0.0
    )
    with style():
        figure = figure_of(6.2, 3.8)
        axes = figure.subplots()
        front = [point for point in shown if point.pareto]
        axes.plot(
            [point.latency_ms or 0.0 for point in front],
            [point.value for point in front],
            color=FIRST,
            drawstyle="steps-post",
            linewidth=1.2,
            label="Pareto front",
        )
        for point, above in zip(shown, _label_sides(shown), strict=True):
            _place(axes, point, above=above)
        axes.set_xscale("log")
        plain_numbers(axes)
        axes.margins(x=0.16, y=0.14)
        axes.set_xlabel("milliseconds for one photo (median; logarithmic)")
        axes.set_ylabel("accuracy on the test photos, %")
        if front:
            figure.legend(loc="outside upper right")
    return figure


def _label_sides(points: Sequence[Point]) -> list[bool]:
    """Whether each name stands above its dot: below where the last one is in the way."""
    low, high = min(p.value for p in points), max(p.value for p in points)
    near = 0.12 * (high - low) + 0.5
    sides: list[bool] = []
    for index, point in enumerate(points):
        before = points[index - 1] if index else None
        crowded = (
            before is not None
            and abs(before.value - point.value) < near
            and (point.latency_ms or 0.0) < 2 * (before.latency_ms or 0.0)
        )
        sides.append(not (crowded and sides[-1]))
    return sides


def _place(axes: Axes, point: Point, *, above: bool) -> None:
    axes.plot(
        point.latency_ms or 0.0,
        point.value,
        marker="D" if point.pareto else "o",
        markersize=7,
        color=FIRST if point.pareto else MUTED,
        markerfacecolor=FIRST if point.pareto else PAPER,
        linestyle="",
    )
    axes.annotate(
        shortened(point.name),
        (point.latency_ms or 0.0, point.value),
        xytext=(0, 8) if above else (2, -8),
        textcoords="offset points",
        ha="center" if above else "left",
        va="bottom" if above else "top",
        fontsize=9,
    )

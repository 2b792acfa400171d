"""Speed against accuracy, every model with its name where there is room for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pegboard.report.charts.scores import Point
from pegboard.report.charts.style import (
    FIRST,
    MUTED,
    PAPER,
    figure_of,
    plain_numbers,
    shortened,
    style,
    width_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LETTERS = 9
_DOT = 9.0


def pareto(points: Sequence[Point]) -> Figure:
    """Speed against accuracy; the models on the Pareto front are joined by a line.

    Parameters
    ----------
    points
        At least one with a latency. A baseline without one is told of in words, or drawn as a
        line across where it lies among the others.
    """
    shown = sorted(
        (point for point in points if point.latency_ms), key=lambda point: point.latency_ms or 0.0
    )
    with style():
        figure = figure_of(6.2, 3.8 + 0.1 * max(0, len(shown) - 8))
        axes = figure.subplots()
        front = [point for point in shown if point.pareto]
        if front:
            axes.plot(
                [point.latency_ms or 0.0 for point in front],
                [point.value for point in front],
                color=FIRST,
                drawstyle="steps-post",
                linewidth=1.2,
                label="Pareto front",
            )
        for point in shown:
            _draw(axes, point)
        axes.set_xscale("log")
        plain_numbers(axes.xaxis)
        axes.margins(x=0.16, y=0.14)
        axes.set_xlabel("milliseconds for one photo (median; logarithmic)")
        axes.set_ylabel("accuracy on the test photos, %")
        _draw_baselines(axes, [point for point in points if not point.latency_ms])
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside upper right", ncols=3)
        _name(figure, axes, shown)
    return figure


def _draw(axes: Axes, point: Point) -> None:
    colour = FIRST if point.pareto else MUTED
    axes.plot(
        [point.latency_ms or 0.0] * 2,
        [point.low, point.high],
        color=colour,
        linewidth=3,
        alpha=0.3,
        solid_capstyle="butt",
    )
    axes.plot(
        point.latency_ms or 0.0,
        point.value,
        marker="D" if point.pareto else "o",
        markersize=7,
        color=colour,
        markerfacecolor=colour if point.pareto else PAPER,
        linestyle="",
    )


def _draw_baselines(axes: Axes, baselines: Sequence[Point]) -> None:
    low, high = axes.get_ylim()
    for point in baselines:
        # Far below, a line would press all models together.
        within = point.value >= low - 0.5 * (high - low)
        axes.plot(
            [],
            [],
            color=MUTED,
            linewidth=1.2,
            linestyle="--" if within else "",
            label=f"{shortened(point.name)}: {point.value:.1f} %",
        )
        if within:
            axes.axhline(point.value, color=MUTED, linewidth=1.2, linestyle="--", zorder=1)


class _Box(NamedTuple):
    """Left, bottom, right and top, in points."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: _Box) -> float:
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(0.0, width) * max(0.0, height)

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.top - self.bottom)


def _name(figure: Figure, axes: Axes, points: Sequence[Point]) -> None:
    """Write each name beside its dot, where it covers least; the best placed first."""
    figure.draw_without_rendering()
    scale = 72 / figure.dpi
    frame = _Box(*(edge * scale for edge in axes.get_window_extent().extents))
    at = {
        point.name: axes.transData.transform((point.latency_ms or 0.0, point.value)) * scale
        for point in points
    }
    taken = [_Box(x - _DOT / 2, y - _DOT / 2, x + _DOT / 2, y + _DOT / 2) for x, y in at.values()]
    for point in sorted(points, key=lambda point: (not point.pareto, -point.value)):
        x, y = at[point.name]
        name = shortened(point.name)
        width = width_of(name, _LETTERS)

        def cost(box: _Box, taken: Sequence[_Box] = taken) -> float:
            outside = box.area - box.overlap(frame)
            return 3 * outside + sum(box.overlap(other) for other in taken)

        # Of equally good places min takes the first.
        box = min(_places(x, y, width), key=cost)
        taken.append(box)
        axes.annotate(
            name,
            (point.latency_ms or 0.0, point.value),
            xytext=(box.left - x, box.bottom - y),
            textcoords="offset points",
            fontsize=_LETTERS,
            va="bottom",
        ).set_in_layout(False)


def _places(x: float, y: float, width: float) -> list[_Box]:
    """Return where a name may stand, the most usual place first."""
    height = 1.25 * _LETTERS
    corners = [
        (x - width / 2, y + 6),
        (x + 8, y + 2),
        (x + 8, y - height / 2),
        (x - width / 2, y - height - 6),
        (x + 8, y - height - 2),
        (x - width - 8, y + 2),
        (x - width - 8, y - height / 2),
        (x - width - 8, y - height - 2),
        (x - width / 2, y + height + 6),
        (x - width / 2, y - 2 * height - 6),
    ]
    return [_Box(left, bottom, left + width, bottom + height) for left, bottom in corners]

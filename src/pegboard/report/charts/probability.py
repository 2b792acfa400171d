"""How far probabilities can be trusted, and what they tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pegboard.errors import require_extra
from pegboard.report.charts.style import (
    FIRST,
    INK,
    LINES,
    MUTED,
    PAPER,
    SECOND,
    figure_of,
    shortened,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MOST_NAMED_CURVES = 5
"""Of classes: the worst ones are named and coloured, the others stay in the background."""

MOST_CURVES = 60
"""Lines in the background; with more classes, the worst of them."""


@dataclass(frozen=True)
class Curve:
    """A curve of one class against all others, or the mean of such curves.

    Attributes
    ----------
    label
        The class.
    area
        Area under the curve.
    x, y
        ``(T,)`` each between 0 and 1, x rising.
    """

    label: str
    area: float
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True)
class ReliabilityBins:
    """Predictions by confidence.

    Attributes
    ----------
    edges
        ``(B + 1,)`` from 0 to 1.
    counts
        ``(B,)`` predictions in each bin.
    confidence, accuracy
        ``(B,)`` means in each bin; NaN where it is empty.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def reliability(bins: ReliabilityBins) -> Figure:
    """Confidence against accuracy, and below it how many predictions lie where."""
    middle = (bins.edges[:-1] + bins.edges[1:]) / 2
    width = np.diff(bins.edges)
    filled = bins.counts > 0
    with style():
        figure = figure_of(4.6, 4.4)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--", label="ideal")
        upper.plot(
            bins.confidence[filled],
            bins.accuracy[filled],
            color=FIRST,
            marker="o",
            markersize=5,
            clip_on=False,
            label="this model",
        )
        upper.set_ylabel("share that is right")
        upper.set_ylim(-0.03, 1.03)
        upper.legend(loc="upper left")
        lower.bar(middle, bins.counts, width=width * 0.9, color=FIRST, alpha=0.75)
        lower.set_ylabel("photos")
        lower.set_xlabel("probability given to the answer")
        lower.set_xlim(0, 1)
    return figure


@dataclass(frozen=True)
class Selective:
    """How often answers are wrong when only the surest are given.

    Attributes
    ----------
    risk
        ``(N,)`` share of wrong ones among the k surest answers, k = 1 … N.
    sure
        Coverage and risk of the answers the model calls sure; None where there are none.
    limit
        Share of wrong ones that was asked for; None where it is not known.
    """

    risk: NDArray[np.float64]
    sure: tuple[float, float] | None
    limit: float | None


_SETTLED = 20
"""Answers below which one wrong one moves the risk by more than there is to see."""


def coverage_risk(selective: Selective) -> Figure:
    """Draw the share of wrong answers against the share of photos answered, the surest first."""
    n = len(selective.risk)
    first = min(_SETTLED, n) - 1
    coverage = np.arange(1, n + 1) / n
    with style():
        figure = figure_of(4.6, 3.6)
        axes = figure.subplots()
        axes.plot(coverage[first:], selective.risk[first:], color=FIRST, label="the surest answers")
        if selective.limit is not None:
            axes.axhline(
                selective.limit, color=MUTED, linewidth=1, linestyle="--", label="wrong at most"
            )
        if selective.sure is not None:
            axes.plot(
                *selective.sure,
                color=SECOND,
                marker="D",
                markersize=8,
                linestyle="none",
                clip_on=False,
                label="called sure",
            )
        highest = max(selective.risk[first:].max(), selective.limit or 0, 0.01)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(-0.03 * highest, 1.35 * highest)
        axes.set_xlabel(f"share of {n:,} test photos answered")
        axes.set_ylabel("share of them that is wrong")
        axes.legend(loc="upper left")
    return figure


def precision_recall(curves: Sequence[Curve], mean: Curve) -> Figure:
    """Draw precision against recall of each class against the others.

    Parameters
    ----------
    curves
        Of the classes: x is recall, the area average precision. The worst ones are named.
    mean
        The mean over classes at every recall.
    """
    with style():
        figure, axes = _of_classes(curves, mean, "Average precision", drawstyle="steps-pre")
        axes.set_xlabel("recall: share of a class that is found")
        axes.set_ylabel("precision: share found that is right")
    return figure


def roc(curves: Sequence[Curve], mean: Curve) -> Figure:
    """Draw true against false positive rate of each class against the others.

    Parameters
    ----------
    curves
        Of the classes: x is the false positive rate, the area ROC AUC. The worst are named.
    mean
        The mean over classes at every false positive rate.
    """
    with style():
        figure, axes = _of_classes(curves, mean, "Area under the curve", drawstyle="default")
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (1, 3)), zorder=1)
        if mean.area > _IN_THE_CORNER:
            _enlarge_corner(axes)
        axes.set_xlabel("false positive rate: share of the others taken for it")
        axes.set_ylabel("true positive rate: share of a class that is found")
    return figure


_IN_THE_CORNER = 0.97
"""From this mean area on, all there is to see lies in the upper left corner."""


def _enlarge_corner(axes: Axes) -> None:
    ticker = require_extra("matplotlib.ticker", "report")
    corner = axes.inset_axes((0.34, 0.14, 0.6, 0.62))
    for line in axes.get_lines()[:-1]:
        corner.plot(
            line.get_xdata(),
            line.get_ydata(),
            color=line.get_color(),
            linestyle=line.get_linestyle(),
            linewidth=line.get_linewidth(),
            alpha=line.get_alpha(),
            zorder=line.get_zorder(),
        )
    corner.set_xlim(-0.002, 0.1)
    corner.set_ylim(0.8, 1.004)
    corner.tick_params(labelsize=8)
    corner.set_facecolor(PAPER)
    corner.xaxis.set_major_locator(ticker.MaxNLocator(nbins=4))
    corner.yaxis.set_major_locator(ticker.MaxNLocator(nbins=4))
    corner.set_title("the upper left corner, enlarged", fontsize=8, fontweight="normal")


def _area(area: float) -> str:
    """Return three digits; what is not quite 1 is not called 1."""
    return "> 0.999" if 0.9995 <= area < 1 else f"{area:.3f}"


def _of_classes(
    curves: Sequence[Curve], mean: Curve, area: str, *, drawstyle: str
) -> tuple[Figure, Axes]:
    figure = figure_of(6.2, 3.9)
    axes = figure.subplots()
    worst = sorted(curves, key=lambda curve: curve.area)[:MOST_CURVES]
    named, others = worst[:MOST_NAMED_CURVES], worst[MOST_NAMED_CURVES:]
    for curve in others:
        axes.plot(curve.x, curve.y, color=MUTED, alpha=0.35, linewidth=0.9, drawstyle=drawstyle)
    lines = [
        axes.plot(
            curve.x,
            curve.y,
            color=colour,
            linestyle=dashes,
            linewidth=1.5,
            drawstyle=drawstyle,
            label=f"{shortened(curve.label, 18)} ({_area(curve.area)})",
        )[0]
        for curve, (colour, dashes) in zip(named, LINES, strict=False)
    ]
    if len(curves) > 1:
        lines += axes.plot(
            mean.x,
            mean.y,
            color=INK,
            linewidth=3,
            drawstyle=drawstyle,
            zorder=1.9,
            label=f"mean of {len(curves)} ({_area(mean.area)})",
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    title = area if not others else f"{area},\nthe {len(named)} lowest classes"
    figure.legend(
        handles=lines[::-1],
        title=title,
        loc="outside right upper",
        alignment="left",
        title_fontproperties={"weight": "bold", "size": 10},
    )
    return figure, axes

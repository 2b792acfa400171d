"""How far probabilities can be trusted, and what they tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pegboard.report.charts.style import FIRST, MUTED, figure_of, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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

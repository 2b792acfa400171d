"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pegboard.report.charts.style import (
    MOST_COUNTED_CLASSES,
    MOST_NAMED_CLASSES,
    figure_of,
    shortened,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def confusion(matrix: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix: shades are shares of a row, cells are counts.

    Parameters
    ----------
    matrix
        ``(C, C)`` counts, rows = true class.
    classes
        The C names in the order of the rows.
    """
    size = len(classes)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    named = size <= MOST_NAMED_CLASSES
    side = float(np.clip(2.2 + 0.34 * size, 3.6, 9.0)) if named else 6.5
    with style():
        figure = figure_of(side + 0.9, side)
        axes = figure.subplots()
        picture = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
        figure.colorbar(picture, ax=axes, shrink=0.7, label="share of the true class")
        axes.grid(visible=False)
        axes.set_xlabel("predicted class" if named else "predicted class, by position")
        axes.set_ylabel("true class" if named else "true class, by position")
        if named:
            names = [shortened(name, 18) for name in classes]
            axes.set_xticks(range(size), names, rotation=60, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(size), names)
        if size <= MOST_COUNTED_CLASSES:
            _count_cells(axes, matrix, shares)
    return figure


def _count_cells(axes: Axes, matrix: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for row, column in zip(*np.nonzero(matrix), strict=True):
        axes.text(
            column,
            row,
            str(matrix[row, column]),
            ha="center",
            va="center",
            fontsize=8,
            # cividis runs from dark blue to yellow: dark letters from the middle on.
            color="#000000" if shares[row, column] > 0.5 else "#fffffe",
        )

"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pegboard.report.charts.style import (
    FIRST,
    GRID,
    MOST_COUNTED_CLASSES,
    MOST_NAMED_CLASSES,
    MOST_SHARED_CLASSES,
    MUTED,
    SECOND,
    figure_of,
    shortened,
    style,
)
from pegboard.report.numbers import whole_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_LETTERED, _PLAIN = 0.5, 0.95
"""Deepest shade of a cell: under letters that are dark on light paper, and light on dark."""

_KEY = "blue: right; orange: wrong; deeper: more of the row"

_PALEST = 0.07
"""Shade of a cell with a single photo of many."""


def confusion(matrix: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix: shades are shares of a row, cells are counts.

    With few classes a cell also has its share of the row in percent; with many, neither.

    Parameters
    ----------
    matrix
        ``(C, C)`` counts, rows = true class.
    classes
        The C names in the order of the rows.
    """
    size = len(classes)
    named, counted = size <= MOST_NAMED_CLASSES, size <= MOST_COUNTED_CLASSES
    cell = 0.46 if size <= MOST_SHARED_CLASSES else 0.36 if counted else 0.2
    side = max(cell * size, 1.8) if named else 5.6
    names = [shortened(name, 18) for name in classes]
    margin = 0.7 + 0.075 * max(map(len, names)) if named else 0.9
    with style():
        figure = figure_of(side + margin, side + (0.8 * margin if named else 0.6) + 0.35)
        axes = figure.subplots()
        shades = cell_shades(matrix, deepest=_LETTERED if counted else _PLAIN)
        # One dot per cell, enlarged as it is: the matrix of 300 classes weighs 20 kB.
        axes.imshow(shades, interpolation="none" if not named else "nearest")
        axes.set_xlabel("predicted class" if named else "predicted class, by position")
        axes.set_ylabel("true class" if named else "true class, by position")
        axes.set_title(
            _KEY if side > 3 else _KEY.replace("; deeper", ";\ndeeper"),
            fontsize=8,
            fontweight="normal",
            color=MUTED,
        )
        axes.grid(visible=False)
        if named:
            small = None if counted else 7
            short = max(map(len, names)) <= 3
            slanted: dict[str, Any] = (
                {} if short else {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
            )
            axes.set_xticks(
                range(size),
                names,
                **slanted,
                fontsize=small,
            )
            axes.set_yticks(range(size), names, fontsize=small)
            _rule(axes, size)
        if counted:
            _count_cells(axes, matrix)
    return figure


def cell_shades(matrix: NDArray[np.int64], *, deepest: float) -> NDArray[np.float64]:
    """Return ``(C, C, 4)`` colours with alpha, between 0 and 1.

    The share of the row shades a right answer; a wrong one is shaded by its root, because
    there small differences are what one looks for.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    right = np.eye(len(matrix), dtype=bool)
    depth = np.where(right, shares, np.sqrt(shares))
    colours = np.empty((*matrix.shape, 4))
    colours[..., :3] = np.where(right[..., None], _rgb(FIRST), _rgb(SECOND))
    colours[..., 3] = np.where(matrix > 0, _PALEST + (deepest - _PALEST) * depth, 0)
    return colours


def _rgb(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255


def _rule(axes: Axes, size: int) -> None:
    """Draw thin lines between the cells."""
    edges, ends = np.arange(size + 1) - 0.5, (-0.5, size - 0.5)
    axes.hlines(edges, *ends, color=GRID, linewidth=0.6)
    axes.vlines(edges, *ends, color=GRID, linewidth=0.6)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _count_cells(axes: Axes, matrix: NDArray[np.int64]) -> None:
    with_shares = len(matrix) <= MOST_SHARED_CLASSES
    of_row = matrix.sum(axis=1)
    # The middle of a cell is at a whole number; its lines stand above and below.
    above, below = (0.1, 0.25) if with_shares else (0.0, 0.0)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        count = int(matrix[row, column])
        middle: dict[str, Any] = {"ha": "center", "va": "center"}
        axes.text(column, row - above, f"{count:,}", fontsize=8 if count < 1000 else 7, **middle)
        if with_shares:
            share = whole_percent(count / int(of_row[row]))
            axes.text(column, row + below, share, fontsize=6, **middle)

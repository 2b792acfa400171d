"""Figures with a line for every class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pegboard.report.charts.style import (
    FIRST,
    MOST_NAMED_CLASSES,
    PAPER,
    SECOND,
    THIRD,
    figure_of,
    shortened,
    style,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def class_balance(classes: Sequence[str], counts: Mapping[str, Sequence[int]]) -> Figure:
    """Photos per class and split.

    Parameters
    ----------
    classes
        C names.
    counts
        For each split the C counts.
    """
    with style():
        if len(classes) > MOST_NAMED_CLASSES:
            return _balance_curve(counts)
        figure = figure_of(6.2, 0.9 + 0.27 * max(len(classes), 2))
        axes = figure.subplots()
        left = np.zeros(len(classes))
        for (split, values), colour in zip(counts.items(), (FIRST, THIRD, SECOND), strict=False):
            axes.barh(
                range(len(classes)),
                values,
                left=left,
                color=colour,
                edgecolor=PAPER,
                linewidth=0.8,
                label=split,
                height=0.72,
            )
            left += np.asarray(values)
        axes.set_yticks(range(len(classes)), [shortened(name) for name in classes])
        axes.set_ylim(len(classes) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("photos")
        whole_numbers(axes)
        figure.legend(loc="outside upper left", ncols=3)
    return figure


def _balance_curve(counts: Mapping[str, Sequence[int]]) -> Figure:
    total = np.sort(np.sum([np.asarray(values) for values in counts.values()], axis=0))[::-1]
    figure = figure_of(6.2, 3.0)
    axes = figure.subplots()
    axes.fill_between(np.arange(1, len(total) + 1), total, color=FIRST, alpha=0.35, step="mid")
    axes.step(np.arange(1, len(total) + 1), total, where="mid", color=FIRST)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("classes, the largest first")
    axes.set_ylabel("photos")
    whole_numbers(axes)
    return figure

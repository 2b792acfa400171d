"""Learning curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pegboard.report.charts.style import (
    FIRST,
    LINES,
    MUTED,
    PAPER,
    SECOND,
    figure_of,
    plain_numbers,
    shortened,
    style,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_QUANTITIES = (("loss", "Loss"), ("accuracy", "Accuracy"), ("macro_f1", "Macro-F1"))

_WIDE = 8
"""From this many times the median on, the largest loss hides the others."""


@dataclass(frozen=True)
class History:
    """What ``history.csv`` holds, by column.

    Attributes
    ----------
    epochs
        ``(E,)``, from 1.
    columns
        Each ``(E,)`` float, NaN where nothing was recorded: ``loss``, ``accuracy``,
        ``macro_f1`` and the same with ``val_`` before them.
    best_epoch
        The epoch to mark; None for none.
    """

    epochs: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.float64]]
    best_epoch: int | None = None

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one column; NaN everywhere where it is missing."""
        return self.columns.get(name, np.full(len(self.epochs), np.nan))


def learning_curves(history: History) -> Figure:
    """Loss, accuracy and macro-F1 per epoch, on training and validation photos."""
    with style():
        figure = figure_of(9.6, 2.9)
        panels = figure.subplots(1, 3)
        for axes, (name, title) in zip(
            panels,
            _QUANTITIES,
            strict=True,
        ):
            _curves(axes, history, name)
            axes.set_title(title)
        panels[0].legend(loc="upper right")
    return figure


def all_learning_curves(histories: Mapping[str, History]) -> Figure:
    """Draw the curves of all models on one scale, validation above training.

    A model's dot marks its best epoch.

    Parameters
    ----------
    histories
        By name, at least one; the best model first, whose lines are thicker.
    """
    with style():
        rows_of_names = -(-(len(histories) + 1) // 4)
        figure = figure_of(9.6, 4.9 + 0.24 * rows_of_names)
        panels = figure.subplots(2, 3, sharex=True, sharey="col")
        for row, (prefix, part) in enumerate((("val_", "validation"), ("", "training"))):
            for axes, (name, title) in zip(panels[row], _QUANTITIES, strict=True):
                _all_curves(axes, histories, prefix + name)
                axes.set_title(f"{title}, {part}")
        for axes in panels[1]:
            axes.set_xlabel("epoch")
            whole_numbers(axes)
        _scale_of_losses(panels[0, 0], histories)
        lines = panels[0, 0].get_lines()[: len(histories)]
        names = [shortened(name, 20) for name in histories]
        if any(history.best_epoch is not None for history in histories.values()):
            lines += panels[0, 0].plot([], [], linestyle="", marker="o", color=MUTED)
            names.append("best epoch")
        figure.legend(lines, names, loc="outside lower left", ncols=4)
    return figure


def _all_curves(axes: Axes, histories: Mapping[str, History], column: str) -> None:
    for place, (history, (colour, dashes)) in enumerate(zip(histories.values(), cycle(LINES))):
        values = history.column(column)
        alone = "o" if len(history.epochs) == 1 else ""
        axes.plot(
            history.epochs,
            values,
            color=colour,
            linestyle=dashes,
            linewidth=1.4 if place else 2.4,
            marker=alone,
            markersize=5,
        )
    # Above all lines, so that no later line hides a mark.
    for history, (colour, _) in zip(histories.values(), cycle(LINES)):
        best = history.epochs == history.best_epoch
        axes.plot(
            history.epochs[best],
            history.column(column)[best],
            linestyle="",
            marker="o",
            markersize=6,
            color=colour,
            markeredgecolor=PAPER,
            markeredgewidth=1.2,
            zorder=3,
        )


def _scale_of_losses(axes: Axes, histories: Mapping[str, History]) -> None:
    """Draw losses on a logarithmic scale where on a plain one most of them would be a line."""
    losses = np.concatenate(
        [history.column(name) for history in histories.values() for name in ("loss", "val_loss")]
    )
    losses = losses[np.isfinite(losses) & (losses > 0)]
    if losses.size and losses.max() > _WIDE * np.median(losses):
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)


def _curves(axes: Axes, history: History, name: str) -> None:
    # One epoch is a dot: a line through one point is invisible.
    marker = "o" if len(history.epochs) <= 12 else ""
    axes.plot(
        history.epochs,
        history.column(name),
        color=FIRST,
        linestyle="--",
        marker=marker,
        markersize=3.5,
        label="train",
    )
    axes.plot(
        history.epochs,
        history.column(f"val_{name}"),
        color=SECOND,
        marker=marker,
        markersize=3.5,
        label="validation",
    )
    axes.set_xlabel("epoch")
    whole_numbers(axes)
    best = history.best_epoch
    if best is not None:
        axes.axvline(best, color=MUTED, linewidth=1, linestyle=":")
        axes.annotate(
            f"best: {best}",
            (best, 0.02),
            xycoords=axes.get_xaxis_transform(),
            xytext=(4 if best < history.epochs.mean() else -4, 0),
            textcoords="offset points",
            ha="left" if best < history.epochs.mean() else "right",
            fontsize=8,
            color=MUTED,
        )

"""Learning curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pegboard.report.charts.style import FIRST, MUTED, SECOND, figure_of, style, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
            (("loss", "Loss"), ("accuracy", "Accuracy"), ("macro_f1", "Macro-F1")),
            strict=True,
        ):
            _curves(axes, history, name)
            axes.set_title(title)
        panels[0].legend(loc="upper right")
    return figure


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

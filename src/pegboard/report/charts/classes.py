"""Figures with a line for every class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pegboard.report.charts.style import (
    FIRST,
    MOST_NAMED_CLASSES,
    MUTED,
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


@dataclass(frozen=True)
class ClassScore:
    """One class's F1, between 0 and 1, with its 95 % interval if that is known."""

    label: str
    f1: float
    interval: tuple[float, float] | None
    support: int


def per_class_f1(scores: Sequence[ClassScore], macro_f1: float) -> Figure:
    """One line per class, the worst on top: F1 as a dot, the 95 % interval as a bar.

    With more classes than can be named, the worst are shown.

    Parameters
    ----------
    scores
        Of all classes, in any order.
    macro_f1
        Their mean, shown as a line.
    """
    worst = sorted(scores, key=lambda score: score.f1)[:MOST_NAMED_CLASSES]
    with style():
        figure = figure_of(6.2, 1.1 + 0.27 * max(len(worst), 2))
        axes = figure.subplots()
        axes.axvline(macro_f1, color=MUTED, linewidth=1.2, linestyle="--", zorder=1)
        for place, score in enumerate(worst):
            if score.interval is not None:
                axes.plot(
                    score.interval,
                    [place, place],
                    color=FIRST,
                    linewidth=4,
                    alpha=0.45,
                    solid_capstyle="butt",
                )
            axes.plot(score.f1, place, marker="o", markersize=6, color=FIRST, clip_on=False)
        axes.set_yticks(range(len(worst)), [f"{shortened(s.label)} ({s.support:,})" for s in worst])
        axes.set_ylim(len(worst) - 0.4, -0.6)
        axes.set_xlim(right=1)
        axes.grid(visible=False, axis="y")
        axes.annotate(
            f"mean {macro_f1:.3f}",
            (macro_f1, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center" if macro_f1 < 0.9 else "right",
            fontsize=9,
            color=MUTED,
        )
        axes.set_xlabel(
            "F1 on the test photos"
            if len(worst) == len(scores)
            else f"F1 on the test photos; the {len(worst)} lowest of {len(scores)} classes"
        )
        axes.set_ylabel("class (test photos)")
    return figure


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

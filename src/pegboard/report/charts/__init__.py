"""Data to figures, drawn by matplotlib without its global state.

Every function takes plain data and returns a :class:`matplotlib.figure.Figure` that a notebook
displays. Nothing here reads a run folder: :mod:`pegboard.report.figures` does.
"""

from pegboard.report.charts.classes import class_balance
from pegboard.report.charts.confusion import confusion
from pegboard.report.charts.curves import History, learning_curves
from pegboard.report.charts.probability import ReliabilityBins, reliability
from pegboard.report.charts.saving import embeddable, embeddable_png, to_png, to_svg
from pegboard.report.charts.scores import Point, accuracy_bars, pareto
from pegboard.report.charts.style import (
    FIRST,
    GRID,
    INK,
    LONGEST_NAME,
    MOST_COUNTED_CLASSES,
    MOST_NAMED_CLASSES,
    MUTED,
    PAPER,
    SECOND,
    THIRD,
    shortened,
)

__all__ = [
    "FIRST",
    "GRID",
    "INK",
    "LONGEST_NAME",
    "MOST_COUNTED_CLASSES",
    "MOST_NAMED_CLASSES",
    "MUTED",
    "PAPER",
    "SECOND",
    "THIRD",
    "History",
    "Point",
    "ReliabilityBins",
    "accuracy_bars",
    "class_balance",
    "confusion",
    "embeddable",
    "embeddable_png",
    "learning_curves",
    "pareto",
    "reliability",
    "shortened",
    "to_png",
    "to_svg",
]

"""Data to figures, drawn by matplotlib without its global state.

Every function takes plain data and returns a :class:`matplotlib.figure.Figure` that a notebook
displays. Nothing here reads a run folder: :mod:`pegboard.report.figures` does.
"""

from pegboard.report.charts.classes import ClassScore, class_balance, per_class_f1
from pegboard.report.charts.confusion import confusion
from pegboard.report.charts.curves import History, all_learning_curves, learning_curves
from pegboard.report.charts.pareto import pareto
from pegboard.report.charts.photos import (
    Row,
    Tile,
    augmentation_preview,
    mistakes,
    sample_grid,
)
from pegboard.report.charts.probability import (
    Curve,
    ReliabilityBins,
    Selective,
    coverage_risk,
    precision_recall,
    reliability,
    roc,
)
from pegboard.report.charts.saving import (
    embeddable,
    embeddable_png,
    to_files,
    to_png,
    to_svg,
)
from pegboard.report.charts.scores import Point, accuracy_bars
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
    "ClassScore",
    "Curve",
    "History",
    "Point",
    "ReliabilityBins",
    "Row",
    "Selective",
    "Tile",
    "accuracy_bars",
    "all_learning_curves",
    "augmentation_preview",
    "class_balance",
    "confusion",
    "coverage_risk",
    "embeddable",
    "embeddable_png",
    "learning_curves",
    "mistakes",
    "pareto",
    "per_class_f1",
    "precision_recall",
    "reliability",
    "roc",
    "sample_grid",
    "shortened",
    "to_files",
    "to_png",
    "to_svg",
]

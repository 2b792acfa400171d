"""Data to figures, drawn by matplotlib without its global state.

Every function returns a :class:`matplotlib.figure.Figure`. Colours are Okabe and Ito's, which
people with any colour vision can tell apart, and no figure tells things by colour alone.
Saved files show the colours as they are; :func:`embeddable` makes them follow the page.

Colours: Okabe, Ito, "Color Universal Design" (2008), https://jfly.uni-koeln.de/color/.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from pegboard.errors import require_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER = "#ffffff"
INK = "#1b2127"
MUTED = "#57606a"
GRID = "#dde2e6"
FIRST = "#0072b2"
SECOND = "#d55e00"
THIRD = "#009e73"

_PAGE_COLOURS = {
    PAPER: "var(--paper)",
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
}

_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.facecolor": PAPER,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "savefig.facecolor": PAPER,
    # Fixed, so that the same figure gives the same bytes.
    "svg.hashsalt": "pegboard",
    # Letters stay letters: the page's own font, found by a search, read by a screen reader.
    "svg.fonttype": "none",
    # A class may be called "$5 spanner".
    "text.parse_math": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9,
}

LONGEST_NAME = 26
"""Characters of a class or model name shown in a figure."""

MOST_NAMED_CLASSES = 40
"""With more classes than this, figures show their shape without naming each."""

MOST_COUNTED_CLASSES = 20
"""With more classes than this, the cells of a confusion matrix carry no figures."""


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


@dataclass(frozen=True)
class Point:
    """One model in a figure that compares models; values in percent."""

    name: str
    value: float
    low: float
    high: float
    latency_ms: float | None = None
    best: bool = False
    baseline: bool = False
    pareto: bool = False


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


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """Return the name, fit for a figure: its middle left out when it is too long."""
    # Control characters may stand in a file's name, but not in an XML file.
    name = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name
    )
    if len(name) <= longest:
        return name
    tail = longest // 3
    return f"{name[: longest - tail - 1]}…{name[-tail:]}"


@contextmanager
def _style() -> Iterator[None]:
    matplotlib = require_extra("matplotlib", "report")
    with matplotlib.rc_context(_STYLE):
        yield


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure of that many inches, laid out when it is drawn."""
    figure = require_extra("matplotlib.figure", "report")
    made: Figure = figure.Figure(figsize=(width, height), layout="constrained")
    return made


def learning_curves(history: History) -> Figure:
    """Loss, accuracy and macro-F1 per epoch, on training and validation photos."""
    with _style():
        figure = _figure(9.6, 2.9)
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
    _whole_numbers(axes)
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


def _whole_numbers(axes: Axes) -> None:
    ticker = require_extra("matplotlib.ticker", "report")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


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
    with _style():
        figure = _figure(side + 0.9, side)
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


def accuracy_bars(points: Sequence[Point]) -> Figure:
    """One line per model: its accuracy in percent as a dot, the 95 % interval as a bar."""
    with _style():
        figure = _figure(6.2, 0.9 + 0.36 * len(points))
        axes = figure.subplots()
        for place, point in enumerate(points):
            colour = MUTED if point.baseline else FIRST
            axes.plot(
                [point.low, point.high], [place, place], color=colour, linewidth=4, alpha=0.45
            )
            axes.plot(
                point.value,
                place,
                marker="D" if point.best else "o",
                markersize=8 if point.best else 6,
                color=colour,
            )
        axes.set_yticks(
            range(len(points)),
            [shortened(p.name) + (" (best)" if p.best else "") for p in points],
        )
        axes.set_ylim(len(points) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("accuracy on the test photos, %")
    return figure


def pareto(points: Sequence[Point]) -> Figure:
    """Speed against accuracy; the models on the Pareto front are joined by a line."""
    shown = sorted(
        (point for point in points if point.latency_ms), key=lambda point: point.latency_ms or 0.0
    )
    with _style():
        figure = _figure(6.2, 3.8)
        axes = figure.subplots()
        front = [point for point in shown if point.pareto]
        axes.plot(
            [point.latency_ms or 0.0 for point in front],
            [point.value for point in front],
            color=FIRST,
            drawstyle="steps-post",
            linewidth=1.2,
            label="Pareto front",
        )
        for point, above in zip(shown, _label_sides(shown), strict=True):
            _place(axes, point, above=above)
        axes.set_xscale("log")
        _plain_numbers(axes)
        axes.margins(x=0.16, y=0.14)
        axes.set_xlabel("milliseconds for one photo (median; logarithmic)")
        axes.set_ylabel("accuracy on the test photos, %")
        if front:
            figure.legend(loc="outside upper right")
    return figure


def _label_sides(points: Sequence[Point]) -> list[bool]:
    """Whether each name stands above its dot: below where the last one is in the way."""
    low, high = min(p.value for p in points), max(p.value for p in points)
    near = 0.12 * (high - low) + 0.5
    sides: list[bool] = []
    for index, point in enumerate(points):
        before = points[index - 1] if index else None
        crowded = (
            before is not None
            and abs(before.value - point.value) < near
            and (point.latency_ms or 0.0) < 2 * (before.latency_ms or 0.0)
        )
        sides.append(not (crowded and sides[-1]))
    return sides


def _place(axes: Axes, point: Point, *, above: bool) -> None:
    axes.plot(
        point.latency_ms or 0.0,
        point.value,
        marker="D" if point.pareto else "o",
        markersize=7,
        color=FIRST if point.pareto else MUTED,
        markerfacecolor=FIRST if point.pareto else PAPER,
        linestyle="",
    )
    axes.annotate(
        shortened(point.name),
        (point.latency_ms or 0.0, point.value),
        xytext=(0, 8) if above else (2, -8),
        textcoords="offset points",
        ha="center" if above else "left",
        va="bottom" if above else "top",
        fontsize=9,
    )


def _plain_numbers(axes: Axes) -> None:
    ticker = require_extra("matplotlib.ticker", "report")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())


def reliability(bins: ReliabilityBins) -> Figure:
    """Confidence against accuracy, and below it how many predictions lie where."""
    middle = (bins.edges[:-1] + bins.edges[1:]) / 2
    width = np.diff(bins.edges)
    filled = bins.counts > 0
    with _style():
        figure = _figure(4.6, 4.4)
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


def class_balance(classes: Sequence[str], counts: Mapping[str, Sequence[int]]) -> Figure:
    """Photos per class and split.

    Parameters
    ----------
    classes
        C names.
    counts
        For each split the C counts.
    """
    with _style():
        if len(classes) > MOST_NAMED_CLASSES:
            return _balance_curve(counts)
        figure = _figure(6.2, 0.9 + 0.27 * max(len(classes), 2))
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
        _whole_numbers(axes)
        figure.legend(loc="outside upper left", ncols=3)
    return figure


def _balance_curve(counts: Mapping[str, Sequence[int]]) -> Figure:
    total = np.sort(np.sum([np.asarray(values) for values in counts.values()], axis=0))[::-1]
    figure = _figure(6.2, 3.0)
    axes = figure.subplots()
    axes.fill_between(np.arange(1, len(total) + 1), total, color=FIRST, alpha=0.35, step="mid")
    axes.step(np.arange(1, len(total) + 1), total, where="mid", color=FIRST)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("classes, the largest first")
    axes.set_ylabel("photos")
    _whole_numbers(axes)
    return figure


def to_svg(figure: Figure) -> str:
    """Return the figure as an SVG document: the same figure always gives the same text."""
    target = io.StringIO()
    with _style():
        metadata: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(target, format="svg", metadata=metadata)
    return target.getvalue()


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG at 120 dots per inch."""
    target = io.BytesIO()
    with _style():
        figure.savefig(target, format="png", dpi=120, metadata={"Software": None})
    return target.getvalue()


def embeddable(svg: str, *, name: str, alt: str) -> str:
    """Return an SVG document as an element for an HTML page.

    The colours become the page's custom properties, so the figure follows its light or dark
    dress; the font becomes the page's; ids get ``name`` before them, so that several figures
    share a page; ``alt`` is what a screen reader says.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r"font: ([^'\";]*?px) 'DejaVu Sans'[^;\"]*", r"font: \1 var(--sans)", svg)
    for colour, variable in _PAGE_COLOURS.items():
        svg = svg.replace(colour, variable)
    width = _width(svg)
    svg = re.sub(r'\b(width|height)="[\d.]+pt" ?', "", svg, count=2)
    label = quoteattr(alt)
    # On a phone a wide figure scrolls in its box before its letters become too small.
    pixels = width * 4 / 3
    style = f"max-width: {pixels:.0f}px; min-width: {0.8 * pixels:.0f}px"
    return svg.replace("<svg ", f'<svg role="img" aria-label={label} style="{style}" ', 1)


def embeddable_png(png: bytes, *, alt: str) -> str:
    """Return a PNG as an element for an HTML page."""
    data = base64.b64encode(png).decode()
    return f'<img src="data:image/png;base64,{data}" alt={quoteattr(alt)}>'


def _width(svg: str) -> float:
    """Width in points."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ', svg)
    if found is None:
        raise ValueError("an SVG without a viewBox")
    return float(found[1])

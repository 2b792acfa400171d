"""What every figure shares: colours, letters, sizes.

Colours are Okabe and Ito's, which people with any colour vision can tell apart, and no figure
tells things by colour alone.

Colours: Okabe, Ito, "Color Universal Design" (2008), https://jfly.uni-koeln.de/color/.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from pegboard.errors import require_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from pegboard.report.charts.inline import InlineFigure

PAPER = "#ffffff"
INK = "#1b2127"
MUTED = "#57606a"
GRID = "#dde2e6"
FIRST = "#0072b2"
SECOND = "#d55e00"
THIRD = "#009e73"

FOURTH = "#a1508a"
FIFTH = "#8a6a00"

LINES = tuple(
    (colour, dashes)
    for dashes in ("-", "--", ":")
    for colour in (FIRST, SECOND, THIRD, FOURTH, FIFTH, INK)
)
"""Colour and dashes of lines that must be told apart, each at 3:1 or better on white."""

PAGE_COLOURS = {
    PAPER: "var(--paper)",
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
    # Seen on light and on dark paper alike.
    FOURTH: f"var(--fourth, {FOURTH})",
    FIFTH: f"var(--fifth, {FIFTH})",
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

_OTHER_SCRIPTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei",
    "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Arial Unicode MS",
    "Noto Sans Devanagari", "Noto Sans Thai", "Noto Sans Bengali", "Noto Sans Tamil",
)  # fmt: skip
"""Fonts of letters that DejaVu Sans lacks, where they are installed."""

DOTS_PER_INCH = 120
"""Of PNG files."""

LONGEST_NAME = 26
"""Characters of a class or model name shown in a figure."""

MOST_NAMED_CLASSES = 40
"""With more classes than this, figures show their shape without naming each."""

MOST_SHARED_CLASSES = 12
"""With more classes than this, the cells of a confusion matrix carry counts and no shares."""

MOST_COUNTED_CLASSES = 20
"""With more classes than this, the cells of a confusion matrix carry no figures."""


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


def width_of(words: str, size: float) -> float:
    """Return the width in points of a line of words, in letters of ``size`` points."""
    require_extra("matplotlib", "report")
    from matplotlib.font_manager import FontProperties  # noqa: PLC0415
    from matplotlib.textpath import TextPath  # noqa: PLC0415

    with style():
        path = TextPath((0, 0), words or " ", prop=FontProperties(size=size))
    return float(path.get_extents().x1)


@contextmanager
def style() -> Iterator[None]:
    """Draw, or save, in the dress of all figures."""
    matplotlib = require_extra("matplotlib", "report")
    with matplotlib.rc_context(_STYLE | {"font.family": _fonts()}):
        yield


@cache
def _fonts() -> list[str]:
    """Return our font, and those of this machine for the letters that it lacks."""
    require_extra("matplotlib", "report")
    from matplotlib.font_manager import get_font_names  # noqa: PLC0415

    installed = set(get_font_names())
    return ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed)]


def figure_of(width: float, height: float) -> InlineFigure:
    """Return an empty figure of that many inches, laid out when it is drawn."""
    require_extra("matplotlib", "report")
    from pegboard.report.charts.inline import InlineFigure  # noqa: PLC0415

    return InlineFigure(figsize=(width, height), layout="constrained")


def whole_numbers(axes: Axes) -> None:
    """Put whole numbers below the axes, a handful of them."""
    ticker = require_extra("matplotlib.ticker", "report")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


def plain_numbers(axis: Axis) -> None:
    """Write the numbers of a logarithmic axis as they are spoken: 2, 50, 1000."""
    ticker = require_extra("matplotlib.ticker", "report")
    axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(ticker.NullFormatter())

"""Figures made of photos: one picture, laid out dot by dot, with words between the photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pegboard.photos import Pixels
from pegboard.report.charts.style import INK, MUTED, figure_of, shortened, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 96
"""Dots of a photo's place."""

GAP = 6

_DOTS = 120
"""Dots per inch, as PNG files have: there, a photo's dots are shown as they are."""

_POINT = _DOTS / 72
_LINE = 13 * _POINT
_SMALLEST = 8


@dataclass(frozen=True)
class Row:
    """A line of photos with a name before it."""

    name: str
    photos: Sequence[Pixels]


@dataclass(frozen=True)
class Tile:
    """A few pictures of one photo side by side, with two lines of words below them."""

    photos: Sequence[Pixels]
    title: str
    words: str


class Sheet:
    """A canvas to put photos and words on; positions in dots from the upper left corner.

    It is transparent where no photo lies, so that it fits any paper.
    """

    def __init__(self, width: float, height: float) -> None:
        self._canvas = np.zeros((round(height), round(width), 4), np.uint8)
        self._words: list[tuple[float, float, str, dict[str, object]]] = []

    def place(self, photo: Pixels, x: float, y: float, side: int = SIDE) -> None:
        """Put a photo into the middle of a square place, as large as it fits."""
        photo = fitted(photo, side)
        height, width = photo.shape[:2]
        top, left = round(y) + (side - height) // 2, round(x) + (side - width) // 2
        self._canvas[top : top + height, left : left + width, :3] = photo
        self._canvas[top : top + height, left : left + width, 3] = 255

    def write(self, x: float, y: float, words: str, **how: object) -> None:
        """Put a line of words; ``how`` as for :meth:`matplotlib.axes.Axes.text`."""
        self._words.append((x, y, words, how))

    def figure(self) -> Figure:
        """Return what was put down."""
        height, width = self._canvas.shape[:2]
        with style():
            figure = figure_of(width / _DOTS, height / _DOTS)
            figure.set_layout_engine("none")
            axes: Axes = figure.add_axes((0, 0, 1, 1))
            axes.set_axis_off()
            axes.imshow(
                self._canvas, extent=(0, width, height, 0), interpolation="none", aspect="auto"
            )
            for x, y, words, how in self._words:
                axes.text(x, y, words, **({"va": "center", "fontsize": 9, "color": INK} | how))
        return figure


def fitted(photo: Pixels, side: int) -> Pixels:
    """Shrink a photo to fit a square; enlarge a small one by a whole number, dot by dot.

    Parameters
    ----------
    photo
        ``(H, W, 3)``.
    side
        Of the square.
    """
    from PIL import Image  # noqa: PLC0415

    longest = max(photo.shape[:2])
    if longest <= side:
        times = side // longest
        return photo.repeat(times, axis=0).repeat(times, axis=1)
    height, width = (max(1, round(edge * side / longest)) for edge in photo.shape[:2])
    return np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.BOX))


MOST_ROWS = 40
"""Of classes with several photos each; with more classes, one photo of each is shown."""

MOST_SINGLE = 150
"""Classes that are shown with one photo each."""


def sample_grid(rows: Sequence[Row]) -> Figure:
    """Show a few photos of every class, or of many classes one each."""
    if len(rows) > MOST_ROWS:
        return _one_of_each(rows)
    columns = 1 if len(rows) <= 6 else 2
    photos = max((len(row.photos) for row in rows), default=0)
    photos = min(photos, 8 if columns == 1 else 5)
    names = _name_width([row.name for row in rows])
    block = names + photos * (SIDE + GAP) + 3 * GAP
    lines = -(-len(rows) // columns)
    sheet = Sheet(columns * block, lines * (SIDE + GAP) + GAP)
    for index, row in enumerate(rows):
        column, line = divmod(index, lines)
        left, top = column * block + GAP, line * (SIDE + GAP) + GAP
        sheet.write(left + names - 2 * GAP, top + SIDE / 2, shortened(row.name, 20), ha="right")
        for place, photo in enumerate(row.photos[:photos]):
            sheet.place(photo, left + names + place * (SIDE + GAP), top)
    return sheet.figure()


def _name_width(names: Sequence[str]) -> float:
    longest = max((len(shortened(name, 20)) for name in names), default=0)
    return 6.0 * _POINT * max(longest, 4) + 3 * GAP


def _one_of_each(rows: Sequence[Row]) -> Figure:
    shown = rows[:MOST_SINGLE]
    across = 10
    lines = -(-len(shown) // across)
    step = SIDE + GAP + _LINE
    foot = 0 if len(shown) == len(rows) else 2 * _LINE
    sheet = Sheet(across * (SIDE + GAP) + GAP, lines * step + foot + GAP)
    for index, row in enumerate(shown):
        line, column = divmod(index, across)
        left, top = column * (SIDE + GAP) + GAP, line * step + GAP
        if row.photos:
            sheet.place(row.photos[0], left, top)
        sheet.write(
            left + SIDE / 2,
            top + SIDE + _LINE / 2,
            shortened(row.name, 13),
            ha="center",
            fontsize=_SMALLEST,
        )
    if foot:
        words = f"the first {len(shown)} of {len(rows)} classes"
        sheet.write(GAP, lines * step + foot / 2 + GAP, words, color=MUTED)
    return sheet.figure()


def augmentation_preview(rows: Sequence[Row]) -> Figure:
    """Show photos (first of each row) and what training made of them (the others)."""
    side = 112
    across = max(len(row.photos) for row in rows)
    first = side + 3 * GAP
    step = side + GAP + _LINE
    sheet = Sheet(first + (across - 1) * (side + GAP) + 2 * GAP, _LINE + len(rows) * step + GAP)
    sheet.write(GAP, _LINE / 2 + GAP / 2, "photo", color=MUTED)
    sheet.write(GAP + first, _LINE / 2 + GAP / 2, "as met in training", color=MUTED)
    for line, row in enumerate(rows):
        top = _LINE + line * step + GAP
        for place, photo in enumerate(row.photos):
            left = GAP if place == 0 else GAP + first + (place - 1) * (side + GAP)
            sheet.place(photo, left, top, side)
        sheet.write(GAP, top + side + _LINE / 2, shortened(row.name, 40), fontsize=_SMALLEST)
    return sheet.figure()


def mistakes(tiles: Sequence[Tile], heads: Sequence[str]) -> Figure:
    """Show photos that were taken for something else.

    Parameters
    ----------
    tiles
        Each with the same number of pictures.
    heads
        What the pictures of a tile are.
    """
    across = min(len(tiles), 3)
    width = len(heads) * (SIDE + GAP) + 3 * GAP
    step = SIDE + 2 * _LINE + 3 * GAP
    sheet = Sheet(
        across * max(width, 26 * 6.0 * _POINT), _LINE + -(-len(tiles) // across) * step + GAP
    )
    width = max(width, 26 * 6.0 * _POINT)
    for column in range(across):
        for place, head in enumerate(heads):
            sheet.write(
                GAP + column * width + place * (SIDE + GAP),
                _LINE / 2 + GAP / 2,
                head,
                color=MUTED,
                fontsize=_SMALLEST,
            )
    for index, tile in enumerate(tiles):
        line, column = divmod(index, across)
        left, top = GAP + column * width, _LINE + line * step + GAP
        for place, photo in enumerate(tile.photos):
            sheet.place(photo, left + place * (SIDE + GAP), top)
        below = top + SIDE + 0.8 * _LINE
        sheet.write(left, below, tile.title, fontweight="bold")
        sheet.write(left, below + _LINE, tile.words, color=MUTED, fontsize=_SMALLEST)
    return sheet.figure()

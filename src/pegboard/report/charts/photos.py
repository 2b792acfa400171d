"""Figures made of photos: one picture, laid out dot by dot, with words between the photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pegboard.photos import Pixels
from pegboard.report.charts.style import (
    DOTS_PER_INCH,
    INK,
    MUTED,
    figure_of,
    shortened,
    style,
    width_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 96
"""Dots of a photo's place."""

GAP = 6

_POINT = DOTS_PER_INCH / 72
"""In dots of a PNG file, where a photo's dots are shown as they are."""

_LINE = 13 * _POINT
_SMALLEST = 8


@dataclass(frozen=True)
class Row:
    """A line of photos with a name before it."""

    name: str
    photos: Sequence[Pixels]


@dataclass(frozen=True)
class Tile:
    """A few pictures of one photo side by side, with two lines of words below them.

    A picture that there is not leaves its place empty.
    """

    photos: Sequence[Pixels | None]
    title: str
    words: str


class Sheet:
    """A canvas to put photos and words on; positions in dots from the upper left corner.

    It is transparent where no photo lies, so that it fits any paper.
    """

    def __init__(self, width: float, height: float) -> None:
        self._canvas = np.zeros((round(height), round(width), 4), np.uint8)
        self._words: list[tuple[float, float, str, dict[str, Any]]] = []

    def place(self, photo: Pixels, x: float, y: float, side: int = SIDE) -> None:
        """Put a photo into the middle of a square place, as large as it fits."""
        photo = fitted(photo, side)
        height, width = photo.shape[:2]
        top, left = round(y) + (side - height) // 2, round(x) + (side - width) // 2
        self._canvas[top : top + height, left : left + width, :3] = photo
        self._canvas[top : top + height, left : left + width, 3] = 255

    def write(self, x: float, y: float, words: str, **how: Any) -> None:
        """Put a line of words; ``how`` as for :meth:`matplotlib.axes.Axes.text`."""
        self._words.append((x, y, words, how))

    def figure(self) -> Figure:
        """Return what was put down."""
        height, width = self._canvas.shape[:2]
        with style():
            figure = figure_of(width / DOTS_PER_INCH, height / DOTS_PER_INCH)
            figure.set_layout_engine("none")
            axes: Axes = figure.add_axes((0, 0, 1, 1))
            axes.set_axis_off()
            axes.imshow(
                self._canvas, extent=(0, width, height, 0), interpolation="none", aspect="auto"
            )
            for x, y, words, how in self._words:
                usual: dict[str, Any] = {"va": "center", "fontsize": 9, "color": INK}
                axes.text(x, y, words, **usual | how)
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
    return max(width_of(shortened(name, 20), 9) for name in names) * _POINT + 4 * GAP


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
    across = max(len(row.photos) for row in rows)
    first = SIDE + 4 * GAP
    step = SIDE + GAP + _LINE
    head = _LINE + GAP
    sheet = Sheet(first + (across - 1) * (SIDE + GAP) + GAP, head + len(rows) * step)
    sheet.write(GAP, head / 2, "photo", color=MUTED)
    sheet.write(GAP + first, head / 2, "as met in training", color=MUTED)
    for line, row in enumerate(rows):
        top = head + line * step
        for place, photo in enumerate(row.photos):
            left = GAP if place == 0 else GAP + first + (place - 1) * (SIDE + GAP)
            sheet.place(photo, left, top)
        sheet.write(GAP, top + SIDE + _LINE / 2, shortened(row.name, 40), fontsize=_SMALLEST)
    return sheet.figure()


_ACROSS = 3
"""Tiles in a line."""


def mistakes(tiles: Sequence[Tile], heads: Sequence[str]) -> Figure:
    """Show photos that were taken for something else.

    Parameters
    ----------
    tiles
        Each with as many pictures as there are heads.
    heads
        What the pictures of a tile are.
    """
    longest = max(width_of(tile.title, 9.6) for tile in tiles) * _POINT
    width = max(len(heads) * (SIDE + GAP), longest) + 3 * GAP
    across = min(len(tiles), _ACROSS)
    head = _LINE + GAP
    step = SIDE + 2 * _LINE + 3 * GAP
    sheet = Sheet(across * width, head + -(-len(tiles) // across) * step)
    for column in range(across):
        for place, words in enumerate(heads):
            left = GAP + column * width + place * (SIDE + GAP)
            sheet.write(left, head / 2, words, color=MUTED, fontsize=_SMALLEST)
    for index, tile in enumerate(tiles):
        line, column = divmod(index, across)
        left, top = GAP + column * width, head + line * step
        for place, photo in enumerate(tile.photos):
            if photo is not None:
                sheet.place(photo, left + place * (SIDE + GAP), top)
        below = top + SIDE + 0.8 * _LINE
        sheet.write(left, below, tile.title, fontweight="bold")
        sheet.write(left, below + _LINE, tile.words, color=MUTED, fontsize=_SMALLEST)
    return sheet.figure()

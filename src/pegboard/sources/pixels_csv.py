"""Pixel tables: one photo per row, a label and N pixel values (as Kaggle ships MNIST)."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from io import StringIO
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pegboard.errors import SourceError
from pegboard.photos import LeftOut
from pegboard.sources.arrays import ArraySource, Block, as_uint8
from pegboard.sources.base import SourceOptions, class_label
from pegboard.sources.tables import delimiter_of

LEAST_PIXELS = 16
"""Fewer pixel columns (4 x 4) are taken for a manifest's."""


def looks_like_pixels(text: str, options: SourceOptions) -> bool:
    """Whether a table holds pixels: 17 columns or more, one of its first rows all numbers."""
    lines = [line for line in _first_lines(text, 6) if line.strip()]
    if not lines:
        return False
    rows = list(csv.reader(lines, delimiter=delimiter_of(lines[0])))
    if len(rows[0]) <= LEAST_PIXELS or options.path_column in rows[0]:
        return False
    return any(all(_is_number(cell) for cell in row[1:-1]) for row in rows if len(row) > 2)


def _first_lines(text: str, count: int) -> list[str]:
    """Return the first lines without splitting a hundred megabytes for them."""
    with StringIO(text) as lines:
        return [line.rstrip("\r\n") for line in islice(lines, count)]


def open_pixels_csv(file: Path, text: str, options: SourceOptions) -> ArraySource:
    """Open a pixel table.

    The label is the column ``options.label_column``, else the first. The others are pixels,
    row by row: a square number for grey; three times one for colour, which may be stored
    pixel by pixel or plane by plane (told apart by which gives the smoother pictures).

    Raises
    ------
    SourceError
        When columns do not make square photos, or no row can be read.
    """
    rows = _split_rows(text)
    label_at, has_header = _label_column(file, rows[0], options)
    columns = len(rows[0])
    count = columns - 1
    side = _side(file, count)
    data = rows[1:] if has_header else rows
    numbers: list[int] = []
    labels: list[str | None] = []
    pixels: list[list[str]] = []
    left_out: list[LeftOut] = []
    for number, row in enumerate(data):
        label = class_label(row.pop(label_at)) if len(row) == columns else None
        if label is None or not all(row):
            detail = f"row {number}: expected a label and {count} pixels"
            left_out.append(LeftOut(f"{file.name}#{number}", "unreadable", detail))
        elif not label:
            left_out.append(LeftOut(f"{file.name}#{number}", "no-label", f"row {number}"))
        else:
            numbers.append(number)
            labels.append(label)
            pixels.append(row)
    values, kept = _numbers_of(pixels, file, numbers, left_out)
    images = _to_images(as_uint8(values, where=str(file)), side)
    block = Block(
        f"{file.name}#",
        images,
        [labels[at] for at in kept],
        numbers=[numbers[at] for at in kept],
    )
    return ArraySource(file.stem, str(file.resolve()), [block], left_out)


def _split_rows(text: str) -> list[list[str]]:
    lines = text.splitlines()
    first = next(line for line in lines if line.strip())
    delimiter = delimiter_of(first)
    if '"' in text:
        return [row for row in csv.reader(lines, delimiter=delimiter) if any(row)]
    return [line.split(delimiter) for line in lines if line.strip()]


def _label_column(file: Path, first: Sequence[str], options: SourceOptions) -> tuple[int, bool]:
    """Return the label's column, and whether the first row is a header."""
    names = [name.strip().casefold() for name in first]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if options.label_column.casefold() in names:
        if twice:
            raise SourceError(f"{file} has more than one column named {', '.join(twice)}")
        return names.index(options.label_column.casefold()), True
    # A first column that is a word is a label; a header has words behind it too.
    has_header = sum(map(_is_number, names[1:])) < len(names) / 2
    if has_header and math.isqrt(len(first)) ** 2 == len(first):
        raise SourceError(
            f"{file} has {len(first)} pixel columns and no label column; "
            "name it with --label-column"
        )
    return 0, has_header


def _side(file: Path, count: int) -> int:
    """Return the side of a square photo of ``count`` values, grey or colour."""
    for channels in (1, 3):
        side = math.isqrt(count // channels)
        if side * side * channels == count:
            return side
    raise SourceError(
        f"{file}: {count} pixel columns make no square photo; expected a label and N columns "
        "with N a square (784 = 28 x 28) or three times one (3072 = 3 x 32 x 32)"
    )


def _numbers_of(
    rows: list[list[str]], file: Path, numbers: list[int], left_out: list[LeftOut]
) -> tuple[NDArray[np.generic], list[int]]:
    """Return the rows' values and which rows they are; others go to ``left_out``."""
    if not rows:
        raise SourceError(f"{file} holds no readable row of a label and pixels")
    try:
        # NumPy's own text reader is several times faster than Python's int.
        lines = (",".join(row) for row in rows)
        whole: NDArray[np.generic] = np.loadtxt(
            lines, delimiter=",", dtype=np.uint8, comments=None, ndmin=2
        )
    except (ValueError, OverflowError):
        return _numbers_one_by_one(rows, file, numbers, left_out)
    return whole, list(range(len(rows)))


def _numbers_one_by_one(
    rows: list[list[str]], file: Path, numbers: list[int], left_out: list[LeftOut]
) -> tuple[NDArray[np.generic], list[int]]:
    values, kept = [], []
    for at, row in enumerate(rows):
        try:
            value = np.array(row, dtype=np.float64)
            if not np.isfinite(value).all():
                raise ValueError
        except ValueError:
            detail = f"row {numbers[at]} holds a value that is not a number"
            left_out.append(LeftOut(f"{file.name}#{numbers[at]}", "unreadable", detail))
        else:
            values.append(value)
            kept.append(at)
    if not values:
        raise SourceError(f"{file} holds no readable row of a label and pixels")
    return np.stack(values), kept


def _to_images(values: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    if values.shape[1] == side * side:
        return values.reshape(-1, side, side, 1)
    by_pixel = values.reshape(-1, side, side, 3)
    by_plane = np.moveaxis(values.reshape(-1, 3, side, side), 1, 3)
    return by_plane if _roughness(by_plane) < _roughness(by_pixel) else by_pixel


def _roughness(images: NDArray[np.uint8]) -> float:
    some = images[:100].astype(np.int16)
    return float(np.abs(np.diff(some, axis=1)).mean() + np.abs(np.diff(some, axis=2)).mean())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

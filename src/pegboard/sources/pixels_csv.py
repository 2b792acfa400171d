"""Pixel tables: one photo per row, a label and N pixel values (as Kaggle ships MNIST)."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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
    try:
        rows = list(csv.reader(lines, delimiter=delimiter_of(lines[0])))
    except csv.Error:  # such as a cell of 200,000 characters
        return False
    if len(rows[0]) <= LEAST_PIXELS or options.path_column in rows[0]:
        return False
    return any(all(_is_number(cell) for cell in row[1:-1]) for row in rows if len(row) > 2)


def _first_lines(text: str, count: int) -> list[str]:
    """Return the first lines without splitting a hundred megabytes for them."""
    with StringIO(text, newline="") as lines:
        return [line.rstrip("\r\n") for line in islice(lines, count)]


def open_pixels_csv(file: Path, text: str, options: SourceOptions) -> ArraySource:
    """Open a pixel table.

    The label is the column ``options.label_column``, else the one whose name stands out, or the
    first of a table without a header. The others are pixels, row by row: a square number for
    grey; three times one for colour, which may be stored pixel by pixel or plane by plane (told
    apart by which gives the smoother pictures).

    Raises
    ------
    SourceError
        When the label's column cannot be told, columns do not make square photos, or no row
        can be read.
    """
    lines = _lines(file, text)
    first = lines[0].split(",")
    label_at, has_header = _label_column(file, first, options)
    side = _side(file, len(first) - 1)
    rows, left_out = _rows(lines[has_header:], label_at, len(first), file.name)
    values, readable = _values(rows)
    for row in sorted(set(range(len(rows))) - set(readable)):
        detail = "a value is not a number"
        left_out.append(LeftOut(f"{file.name}#{rows[row].number}", "unreadable", detail))
    if not readable:
        raise SourceError(f"{file} holds no readable row of a label and pixels")
    block = Block(
        f"{file.name}#",
        _to_images(as_uint8(values, where=str(file)), side),
        [rows[row].label for row in readable],
        numbers=[rows[row].number for row in readable],
    )
    return ArraySource(file.stem, str(file.resolve()), [block], left_out)


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    label: str
    pixels: str


def _lines(file: Path, text: str) -> list[str]:
    """Return the rows with commas between values and without quotes.

    Raises
    ------
    SourceError
        When the quotes do not fit together.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    delimiter = delimiter_of(lines[0])
    if '"' in text:
        cells = csv.reader(lines, delimiter=delimiter)
        try:
            return [",".join(cell.replace(",", ";") for cell in row) for row in cells]
        except csv.Error as error:
            raise SourceError(f"{file}, line {cells.line_num}: {error}") from error
    return lines if delimiter == "," else [line.replace(delimiter, ",") for line in lines]


def _rows(
    lines: Sequence[str], label_at: int, columns: int, name: str
) -> tuple[list[_Row], list[LeftOut]]:
    """Part labels from pixels; rows without a label or of another length are left out."""
    rows = []
    left_out = []
    for number, line in enumerate(lines):
        label, pixels = _part(line, label_at)
        if line.count(",") != columns - 1:
            detail = f"expected {columns} values, found {line.count(',') + 1}"
            left_out.append(LeftOut(f"{name}#{number}", "unreadable", detail))
        elif not label:
            left_out.append(LeftOut(f"{name}#{number}", "no-label", "the label is empty"))
        else:
            rows.append(_Row(number, label, pixels))
    return rows, left_out


def _part(line: str, label_at: int) -> tuple[str, str]:
    if label_at == 0:
        label, _, pixels = line.partition(",")
    else:
        cells = line.split(",")
        label = cells.pop(label_at) if label_at < len(cells) else ""
        pixels = ",".join(cells)
    # A column with gaps is often saved as fractions: 5.0 is the class 5.
    return re.sub(r"^(\d+)\.0+$", r"\1", class_label(label.strip())), pixels


def _label_column(file: Path, first: Sequence[str], options: SourceOptions) -> tuple[int, bool]:
    """Return the label's column, and whether the first row is a header."""
    names = [name.strip().casefold() for name in first]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if options.label_column.casefold() in names:
        if twice:
            raise SourceError(f"{file} has more than one column named {', '.join(twice)}")
        return names.index(options.label_column.casefold()), True
    if options.label_column != SourceOptions().label_column:
        raise SourceError(
            f"{file} has no column {options.label_column!r}; its first columns are "
            f"{', '.join(map(repr, first[:3]))}, its last one is {first[-1]!r}"
        )
    # A first column that is a word is a label; a header has words behind it too.
    has_header = sum(map(_is_number, names[1:])) < len(names) / 2
    if has_header and math.isqrt(len(first)) ** 2 == len(first):
        raise SourceError(
            f"{file} has {len(first)} pixel columns and no label column; "
            "name it with --label-column"
        )
    return (_standing_out(file, names) if has_header else 0), has_header


def _standing_out(file: Path, names: Sequence[str]) -> int:
    """Return the one column that is not named like others: of pixel1, pixel2 and class, the last.

    Raises
    ------
    SourceError
        When there is none, or more than one.
    """
    stems = [re.sub(r"\d+", "#", name) for name in names]
    counts = Counter(stems)
    alone = [at for at, stem in enumerate(stems) if counts[stem] == 1]
    if len(alone) != 1:
        raise SourceError(
            f"{file}: none of the {len(names)} columns is called 'label', and no other stands out "
            "from the pixels; name it with --label-column"
        )
    return alone[0]


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


def _values(rows: Sequence[_Row]) -> tuple[NDArray[np.generic], list[int]]:
    """Return the pixel values, and which of the rows could be read."""
    if not rows:
        return np.empty((0, 0)), []
    try:
        # NumPy's own text reader is several times faster than Python's int.
        whole: NDArray[np.generic] = np.loadtxt(
            (row.pixels for row in rows), delimiter=",", dtype=np.uint8, comments=None, ndmin=2
        )
    except (ValueError, OverflowError):
        return _values_one_by_one(rows)
    return whole, list(range(len(rows)))


def _values_one_by_one(rows: Sequence[_Row]) -> tuple[NDArray[np.generic], list[int]]:
    values, readable = [], []
    for at, row in enumerate(rows):
        try:
            value = np.array(row.pixels.split(","), dtype=np.float64)
        except ValueError:
            continue
        if np.isfinite(value).all():
            values.append(value)
            readable.append(at)
    return np.array(values), readable


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

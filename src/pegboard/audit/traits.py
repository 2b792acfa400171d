"""Simple statistics of every photo, measured in one pass: light, sharpness, colour, file."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pegboard.budget import Budget
from pegboard.errors import UnusableImage
from pegboard.images import Header, header, to_pixels
from pegboard.photos import Photo, Pixels, Source
from pegboard.pictures import within
from pegboard.progress import Progress
from pegboard.threads import default_threads

SIDE = 256
"""Photos are looked at with their longer side at most this many pixels: about what models see,
so that a photo of 12 megapixels counts as blurred only when its small copy is."""

BORDER = 16
"""The border is the outermost 1/16 of the shorter side."""

_CELL = 8
_CHUNK = 64

Column = NDArray[np.float32]


@dataclass(frozen=True)
class Traits:
    """One row per photo; NaN where a photo could not be read a second time.

    Attributes
    ----------
    darkest, dark, bright, brightest
        ``(N,)`` 1st, 5th, 95th and 99th percentile of brightness, 0 to 255.
    mean, contrast
        ``(N,)`` mean and standard deviation of brightness.
    sharpness
        ``(N,)`` how sharp its edges are, 0 to 1; see :func:`sharpness`.
    detail
        ``(N,)`` standard deviation of brightness within the liveliest cells of 8 x 8 pixels.
    chroma
        ``(N,)`` 99th percentile of the difference between the largest and smallest channel.
    border
        ``(N, 3)`` mean red, green and blue along the border.
    border_contrast
        ``(N,)`` standard deviation of brightness along the border.
    size
        ``(N,)`` bytes of the file; NaN for rows of an array.
    coarseness
        ``(N,)`` as in :class:`~pegboard.images.Header`.
    kinds, cameras
        Format and camera of each photo; empty where there is none.
    suffixes
        Ending of each name, lower case.
    goes_on
        As in :class:`~pegboard.images.Header`.
    """

    darkest: Column
    dark: Column
    bright: Column
    brightest: Column
    mean: Column
    contrast: Column
    sharpness: Column
    detail: Column
    chroma: Column
    border: Column
    border_contrast: Column
    size: Column
    coarseness: Column
    kinds: Sequence[str]
    cameras: Sequence[str]
    suffixes: Sequence[str]
    goes_on: Sequence[bool]

    def __len__(self) -> int:
        return len(self.kinds)


def measure(
    source: Source,
    photos: Sequence[Photo],
    *,
    threads: int | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Traits:
    """Look at every photo once more, small.

    Raises
    ------
    BudgetSpent
        When time runs out.
    """
    budget, progress = budget or Budget(), progress or Progress()
    rows: list[_Row] = []
    paths = iter(photo.path for photo in photos)
    with (
        ThreadPoolExecutor(threads or default_threads(), thread_name_prefix="traits") as pool,
        progress.step("looking at photos", len(photos)) as step,
    ):
        while chunk := list(islice(paths, _CHUNK)):
            budget.check()
            rows += pool.map(lambda path: _row(source, path), chunk)
            step.advance(len(chunk))
    return _table(photos, rows)


_Row = tuple[Header, float, NDArray[np.float32]]

_FIGURES = (
    "darkest", "dark", "bright", "brightest", "mean", "contrast", "sharpness", "detail", "chroma",
    "border_contrast",
)  # fmt: skip


def _row(source: Source, path: str) -> _Row:
    missing = Header(""), float("nan"), np.full(len(_FIGURES) + 3, np.nan, np.float32)
    try:
        payload = source.read(path)
        told = header(payload) if isinstance(payload, bytes) else Header("")
        pixels = to_pixels(payload, at_least=SIDE)
    except (OSError, UnusableImage):  # it was whole a minute ago; another program is at work
        return missing
    if not pixels.size:
        return missing
    size = float(len(payload)) if isinstance(payload, bytes) else float("nan")
    return told, size, figures(pixels)


def _table(photos: Sequence[Photo], rows: Sequence[_Row]) -> Traits:
    values = np.array([row[2] for row in rows], np.float32).reshape(len(rows), len(_FIGURES) + 3)
    columns: dict[str, Any] = {name: values[:, at] for at, name in enumerate(_FIGURES)}
    return Traits(
        **columns,
        border=values[:, len(_FIGURES) :],
        size=np.array([row[1] for row in rows], np.float32),
        coarseness=np.array([row[0].coarseness for row in rows], np.float32),
        kinds=tuple(row[0].kind for row in rows),
        cameras=tuple(row[0].camera for row in rows),
        goes_on=tuple(row[0].goes_on for row in rows),
        suffixes=tuple(PurePosixPath(photo.path).suffix.lower() for photo in photos),
    )


# --- One photo ---------------------------------------------------------------------------

Grey = NDArray[np.uint8]


def figures(pixels: Pixels) -> NDArray[np.float32]:
    """Return the figures of one photo: those of ``Traits`` in order, then its border's colour."""
    small = within(pixels, SIDE)
    grey = _grey(small)
    edge = border_mask(*grey.shape)
    colour = np.broadcast_to(small[edge].mean(axis=0), 3)
    return np.array(
        [
            *_percentiles(grey, (1, 5, 95, 99)), grey.mean(), grey.std(), sharpness(grey),
            detail(grey), chroma(small), grey[edge].std(), *colour,
        ],
        np.float32,
    )  # fmt: skip


def _grey(pixels: Pixels) -> Grey:
    if pixels.shape[2] == 1:
        return pixels[:, :, 0]
    return np.asarray(Image.fromarray(pixels).convert("L"))


def _percentiles(values: Grey, wanted: Sequence[float]) -> NDArray[np.int64]:
    """Return the least values that so many per cent do not exceed."""
    # Counting 256 kinds of values is ten times as fast as sorting them.
    below = np.cumsum(np.bincount(values.ravel(), minlength=256))
    return np.searchsorted(below, np.asarray(wanted) / 100 * values.size)


def chroma(pixels: Pixels) -> float:
    """Return the 99th percentile of the difference between largest and smallest channel."""
    if pixels.shape[2] == 1:
        return 0.0
    red, green, blue = np.moveaxis(pixels, 2, 0)
    largest = np.maximum(np.maximum(red, green), blue)
    smallest = np.minimum(np.minimum(red, green), blue)
    return float(_percentiles(largest - smallest, (99,))[0])


def border_mask(height: int, width: int) -> NDArray[np.bool_]:
    """Return ``(height, width)``, True along the border."""
    broad = max(1, min(height, width) // BORDER)
    mask = np.ones((height, width), np.bool_)
    mask[broad : height - broad, broad : width - broad] = False
    return mask


def detail(grey: Grey) -> float:
    """Return the standard deviation within the liveliest 1 % of the 8 x 8 cells of a photo."""
    height, width = (max(side // _CELL, 1) for side in grey.shape)
    if min(grey.shape) < _CELL:
        return float(grey.std())
    cells = grey[: height * _CELL, : width * _CELL].reshape(height, _CELL, width, _CELL)
    return float(np.percentile(cells.std(axis=(1, 3), dtype=np.float32), 99))


_REACH = 9
"""Pixels over which Crete et al. blur once more."""

LEAST_STEP = 3
"""Grey levels between neighbours below which a step is noise, or an artefact of compression, that
would make a blurred photo seem sharp."""

LEAST_FOR_SHARPNESS = 64
"""Shorter side in pixels below which sharpness is not told: a digit of 28 px is all edge."""


def sharpness(grey: Grey) -> float:
    """Return how much of a photo's edges is lost when it is blurred once more, 0 to 1.

    One less the blur effect of Crete, Dolmiere, Ladret and Nicolas (2007): a sharp edge is lost
    nearly all, a blurred one hardly. Taken along the worse direction, so that camera shake counts,
    and of steps of at least :data:`LEAST_STEP`. NaN below :data:`LEAST_FOR_SHARPNESS`.
    """
    if min(grey.shape) < LEAST_FOR_SHARPNESS:
        return float("nan")
    return min(_lost(grey), _lost(np.ascontiguousarray(grey.T)))


def _lost(grey: Grey) -> float:
    """Return the share of the variation down the columns that a blur takes."""
    # Whole numbers below 2**24 are exact in float32.
    sums = np.cumsum(grey, axis=0, dtype=np.float32)
    half = _REACH // 2 + 1
    blurred = (sums[_REACH:] - sums[:-_REACH]) / np.float32(_REACH)
    same = grey[half : 1 - half].astype(np.float32)
    variation = np.abs(same[1:] - same[:-1])
    variation[variation < LEAST_STEP] = 0
    left = np.abs(blurred[1:] - blurred[:-1])
    total = variation.sum()
    return float(np.maximum(variation - left, 0).sum() / total) if total else 0.0

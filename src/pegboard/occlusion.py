"""Where a model looked: hide a part of the photo and see what becomes of its answer.

Zeiler and Fergus (2014), "Visualizing and Understanding Convolutional Networks", section 3.2.
It asks nothing of a model but answers, so an exported one will do, whatever its layers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pegboard.photos import Pixels

GRID = 7
"""Patches per side: 49 more answers per photo."""

FAINT = 0.1
"""A drop of probability below this is never shown in the full colour."""

LEAST_SIDE = 96
"""Overlays of smaller photos are enlarged, so that the colours are not as coarse as the pixels."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in perceived brightness (ITU-R BT.601)."""

HEAT = np.array([[120, 28, 109], [203, 65, 73], [241, 131, 26], [252, 222, 75]], np.float32)
"""From no to most heat. Brightness rises all the way, so it reads without colour vision too."""

Answer = Callable[[Pixels], NDArray[np.floating]]
"""From ``(N, H, W, C)`` uint8 fitted photos to ``(N, classes)`` probabilities."""


def occlusion_map(
    answer: Answer, photo: Pixels, label: int, *, grid: int = GRID
) -> NDArray[np.float32]:
    """Return how much of a class's probability hangs on each part of a photo.

    Each cell of a grid over the photo is hidden together with half of each neighbouring cell,
    by the photo's median colour: the background, mostly, so that hiding it adds nothing new.

    Parameters
    ----------
    answer
        The model, such as :meth:`pegboard.predict.Predictor.probabilities`.
    photo
        ``(H, W, C)`` uint8, fitted as the model sees it.
    label
        Index of the class whose probability is watched.
    grid
        Cells per side.

    Returns
    -------
    float32 ``(grid, grid)``: probability with everything visible less that with this cell
    hidden. Below zero where the class becomes more probable without it.
    """
    hidden = np.repeat(photo[None], 1 + grid * grid, axis=0)
    fill = np.median(photo, axis=(0, 1)).astype(np.uint8)
    rows, columns = (_patches(side, grid) for side in photo.shape[:2])
    for cell in range(grid * grid):
        hidden[1 + cell, rows[cell // grid], columns[cell % grid]] = fill
    probabilities = np.asarray(answer(hidden), np.float32)[:, label]
    drop: NDArray[np.float32] = (probabilities[0] - probabilities[1:]).reshape(grid, grid)
    return drop


def _patches(side: int, grid: int) -> list[slice]:
    """Return what each cell hides along one side: the cell and half a cell on both sides."""
    cell = side / grid
    return [
        slice(max(0, int((index - 0.5) * cell)), int(np.ceil((index + 1.5) * cell)))
        for index in range(grid)
    ]


def heat_overlay(photo: Pixels, heat: NDArray[np.floating]) -> Pixels:
    """Colour a photo where an occlusion map is high.

    Parameters
    ----------
    photo
        ``(H, W, 1 or 3)`` uint8.
    heat
        ``(grid, grid)`` from :func:`occlusion_map`; what is below zero is not shown.

    Returns
    -------
    ``(H', W', 3)`` uint8: the photo in grey under the colours; a whole multiple of the photo's
    size where that is below :data:`LEAST_SIDE`.
    """
    times = max(1, -(-LEAST_SIDE // max(photo.shape[:2])))
    large = np.repeat(np.repeat(photo, times, axis=0), times, axis=1)
    shares = np.clip(heat / max(float(np.max(heat)), FAINT), 0, 1)
    strength = _enlarged(shares, large.shape[0], large.shape[1])[:, :, None]
    grey = large @ LUMA if large.shape[2] == 3 else large[:, :, 0]
    base = np.repeat(grey[:, :, None].astype(np.float32), 3, axis=2)
    # The colours never hide the photo altogether.
    cover = 0.7 * strength
    return np.rint(base * (1 - cover) + _colours(strength[:, :, 0]) * cover).astype(np.uint8)


def _colours(strength: NDArray[np.floating]) -> NDArray[np.float32]:
    places = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(strength, places, HEAT[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=2).astype(np.float32)


def _enlarged(values: NDArray[np.floating], height: int, width: int) -> NDArray[np.float64]:
    """Enlarge a map to ``(height, width)``, linear between the centres of its cells."""
    rows, columns = (
        (np.arange(side) + 0.5) * cells / side - 0.5
        for side, cells in zip((height, width), values.shape, strict=True)
    )
    wide = np.stack([np.interp(columns, np.arange(values.shape[1]), row) for row in values])
    return np.stack(
        [np.interp(rows, np.arange(values.shape[0]), column) for column in wide.T], axis=1
    )

"""Training photos as they might have been taken elsewhere, for a probe on frozen features.

A view is a photo before another background where the object can be told, shown larger or
smaller, turned, stretched, and in another light. Unlike the changes of ``augment``, which are
drawn anew for every epoch, a photo's first view is the same in every run: its features are
computed once and kept. Nothing of other photos is in it, so nothing leaks between splits.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pegboard.backgrounds import before, object_mask
from pegboard.photos import Pixels
from pegboard.recipes import Views

VERSION = 1
"""Raised when the same number gives another view: kept features of older ones are passed by."""

Plane = NDArray[np.float32]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in perceived brightness (ITU-R BT.601)."""


def view(photo: Pixels, how: Views, key: str, number: int) -> Pixels:
    """Return one view of a photo.

    Parameters
    ----------
    photo
        ``(H, W, C)`` uint8, fitted; never changed.
    how
        The largest changes.
    key
        The photo's pixel hash; with ``number`` it is the seed of all chance.

    Returns
    -------
    A new array of the same shape.
    """
    seed = hashlib.sha256(f"{key}-{number}".encode()).digest()[:8]
    chance = np.random.default_rng(int.from_bytes(seed))
    shown = photo
    if chance.random() < how.replace and (mask := object_mask(photo)) is not None:
        shown = before(photo, mask, backdrop(photo.shape, chance))
    return _recoloured(_moved(shown, how, chance), how, chance)


def view_key(key: str, how: Views, number: int) -> str:
    """Return what a view's features are kept under, beside those of the photo itself."""
    settings = {
        name: value for name, value in asdict(how).items() if name not in ("count", "weight")
    }
    text = json.dumps([VERSION, settings], sort_keys=True)
    return f"{key}-view-{hashlib.sha256(text.encode()).hexdigest()[:12]}-{number}"


# --- Backgrounds that no camera took ---------------------------------------------------------


def backdrop(shape: tuple[int, ...], chance: np.random.Generator) -> Pixels:
    """Return a background ``shape`` uint8: white, a colour, slanting light, or clouds."""
    kind = _BACKDROPS[chance.integers(len(_BACKDROPS))]
    values = kind(shape, chance)
    noise = chance.normal(0, chance.uniform(0, 6), shape)
    drawn: Pixels = np.clip(values + noise, 0, 255).astype(np.uint8)
    return drawn


def _colour(channels: int, chance: np.random.Generator) -> Plane:
    """Return a colour as things have them: more often pale than bright."""
    grey = chance.uniform(20, 250)
    tint = chance.normal(0, 25, 3 if channels == 3 else 1)
    return np.asarray(grey + tint, np.float32)


def _white(shape: tuple[int, ...], chance: np.random.Generator) -> Plane:
    return np.full(shape, chance.uniform(235, 255), np.float32)


def _plain(shape: tuple[int, ...], chance: np.random.Generator) -> Plane:
    return np.broadcast_to(_colour(shape[2], chance), shape)


def _slanting(shape: tuple[int, ...], chance: np.random.Generator) -> Plane:
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    angle = chance.uniform(0, 2 * math.pi)
    light = 1 + chance.uniform(0.1, 0.5) * (x * math.cos(angle) + y * math.sin(angle)) / 1.5
    return np.asarray(light[:, :, None] * _colour(shape[2], chance), np.float32)


def _clouds(shape: tuple[int, ...], chance: np.random.Generator) -> Plane:
    """Return two colours mixed by smooth noise of one coarseness, stretched to one side or not."""
    cells = np.exp(chance.uniform(math.log(3), math.log(80), 2)).astype(int)
    noise = Image.fromarray(chance.random(tuple(cells), np.float32))
    share = np.asarray(noise.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))[:, :, None]
    first = _colour(shape[2], chance)
    second = first + chance.normal(0, 35, len(first))
    return np.asarray(first * share + second * (1 - share), np.float32)


_BACKDROPS: tuple[Callable[[tuple[int, ...], np.random.Generator], Plane], ...] = (
    _white, _plain, _slanting, _clouds, _clouds,
)  # fmt: skip


# --- The camera ------------------------------------------------------------------------------


def _moved(photo: Pixels, how: Views, chance: np.random.Generator) -> Pixels:
    """Turn, scale, stretch, shift and mirror; what lies beyond the photo is one colour."""
    height, width, channels = photo.shape
    angle = math.radians(chance.uniform(-how.rotate, how.rotate))
    scale = math.exp(chance.uniform(math.log(how.scale[0]), math.log(how.scale[1])))
    stretch = math.exp(chance.uniform(-1, 1) * math.log(how.stretch) / 2)
    side = -1.0 if how.mirror and chance.random() < 0.5 else 1.0
    across, down = chance.uniform(-how.shift, how.shift, 2) * (width, height)
    # From where in the photo a pixel comes, counted from the middle.
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = np.diag((side, 1.0)) @ turn @ np.diag((1 / (scale * stretch), stretch / scale))
    middle = np.array([width / 2, height / 2])
    offset = middle - matrix @ (middle + np.array([across, down]))
    coefficients = (*matrix[0], offset[0], *matrix[1], offset[1])
    image = Image.fromarray(photo[:, :, 0] if channels == 1 else photo)
    fill = tuple(int(value) for value in _beyond(photo, chance))
    moved = image.transform(
        (width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR,
        fillcolor=fill if channels == 3 else fill[0],
    )  # fmt: skip
    return np.asarray(moved, np.uint8).reshape(photo.shape)


def _beyond(photo: Pixels, chance: np.random.Generator) -> NDArray[np.uint8]:
    """Return the colour beyond the photo: its border's, or white, or a letterbox's grey."""
    border = np.concatenate((photo[0], photo[-1], photo[:, 0], photo[:, -1]))
    choices = np.stack([np.median(border, axis=0), np.full(len(border[0]), 255.0),
                        np.full(len(border[0]), 128.0)])  # fmt: skip
    return np.asarray(choices[chance.choice(3, p=(0.6, 0.2, 0.2))], np.uint8)


def _recoloured(photo: Pixels, how: Views, chance: np.random.Generator) -> Pixels:
    """Change white balance, light, contrast and saturation."""
    values = photo.astype(np.float32)
    if values.shape[2] == 3:
        grey = (values @ LUMA)[:, :, None]
        saturation = chance.uniform(1 - how.colour, 1 + how.colour)
        gains = np.exp(chance.normal(0, how.cast, 3)).astype(np.float32)
        values = np.asarray((grey + (values - grey) * saturation) * gains, np.float32)
    mean = values.mean()
    contrast = chance.uniform(1 - how.contrast, 1 + how.contrast)
    light = chance.uniform(1 - how.light, 1 + how.light)
    lit = (values - mean) * contrast + mean * light
    changed: Pixels = np.clip(np.round(lit), 0, 255).astype(np.uint8)
    return changed

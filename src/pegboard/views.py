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
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pegboard.backdrops import backdrop
from pegboard.backgrounds import before, object_mask
from pegboard.photos import Pixels
from pegboard.recipes import BEYOND, Views

VERSION = 1
"""Raised when the same number gives another view: kept features of older ones are passed by."""

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
    return np.asarray(choices[chance.choice(3, p=BEYOND)], np.uint8)


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

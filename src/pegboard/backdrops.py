"""Backgrounds that no camera took, and training photos before them.

Classes that were each photographed in one place are told by the floor as much as by the thing.
Another background for every epoch takes that away from a network (Zhu, Xie and Yuille 2017,
"Object Recognition with and without Objects", show how much is learnt from backgrounds alone).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pegboard.backgrounds import Plane, before, object_mask
from pegboard.budget import Budget
from pegboard.memory import let_pages_go
from pegboard.photos import Pixels
from pegboard.progress import Step

_AT_ONCE = 256


@dataclass(frozen=True)
class Objects:
    """Where photos show their object, for those of an array in which that can be told.

    Attributes
    ----------
    masks
        By index: a bit for each pixel, ``(ceil(H * W / 8),)`` uint8.
    """

    masks: Mapping[int, NDArray[np.uint8]]

    @classmethod
    def of(
        cls,
        photos: Pixels,
        indices: Sequence[int] | NDArray[np.int64],
        *,
        threads: int = 1,
        budget: Budget | None = None,
        step: Step | None = None,
    ) -> Objects:
        """Look for the object in some photos of an array ``(N, H, W, C)`` uint8.

        Raises
        ------
        BudgetSpent
            When the time runs out.
        """
        budget = budget or Budget()

        def packed(index: int) -> NDArray[np.uint8] | None:
            mask = object_mask(photos[index])
            return None if mask is None else np.packbits(mask)

        masks = {}
        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, len(indices), _AT_ONCE):
                budget.check()
                part = indices[start : start + _AT_ONCE]
                for index, mask in zip(part, pool.map(packed, part), strict=True):
                    if mask is not None:
                        masks[int(index)] = mask
                    if step:
                        step.advance()
                let_pages_go(photos)
        return cls(masks)

    def before_others(
        self,
        photos: Pixels,
        indices: Sequence[int] | NDArray[np.int64],
        share: float,
        chance: np.random.Generator,
    ) -> Pixels:
        """Return photos, some of them before another background.

        Parameters
        ----------
        photos
            ``(n, H, W, 3)`` uint8, one for each of ``indices``; never changed.
        share
            Probability that the background is replaced, where the object is known.

        Returns
        -------
        A new array of the same shape.
        """
        shown = photos.copy()
        size = photos.shape[1:3]
        for place, index in enumerate(indices):
            mask = self.masks.get(int(index))
            if mask is not None and chance.random() < share:
                whole = np.unpackbits(mask, count=size[0] * size[1]).reshape(size).astype(np.bool_)
                shown[place] = before(photos[place], whole, backdrop(photos.shape[1:], chance))
        return shown


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

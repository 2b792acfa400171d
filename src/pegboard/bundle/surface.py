"""What the pixels of a photo are like, whatever it shows: light, colour, contrast, edges.

A network's features tell apart what it was trained to tell apart. On what looks altogether
different, a drawing among photos or a photo among digits, they may well land near a class. A dozen
figures of the pixels tell those: by the Mahalanobis distance from those of the training photos.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pegboard.photos import Pixels

Traits = NDArray[np.float32]
"""``(N, T)``: for each photo, T = 8 + 2 x channels figures."""

SHRINKAGE = 0.3
"""Share of the correlations between traits that is left out."""

_FINEST = 96
"""Photos of more pixels across are read with gaps, of about so many: a tenth of the time."""

_LEAST_SPREAD = 1e-3
_EDGE, _DARK, _LIGHT = 0.1, 0.05, 0.95


@dataclass(frozen=True)
class Surface:
    """What the pixels of training photos are like.

    Attributes
    ----------
    mean, spread
        ``(T,)`` float32: of each trait.
    root
        ``(T, T)`` float32: a root of the inverse of their correlations.
    ordinary
        Distance up to which a photo is like any other.
    """

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    root: NDArray[np.float32]
    ordinary: float = np.inf

    @classmethod
    def fit(cls, traits: Traits) -> Surface:
        """Learn from ``(N, T)`` traits of training photos, N at least 1."""
        points = traits.astype(np.float64)
        mean, spread = points.mean(axis=0), points.std(axis=0) + _LEAST_SPREAD
        scaled = (points - mean) / spread
        correlations = (1 - SHRINKAGE) * scaled.T @ scaled / len(scaled)
        correlations += SHRINKAGE * np.eye(len(mean))
        root = np.linalg.cholesky(np.linalg.inv(correlations))
        return cls(mean.astype(np.float32), spread.astype(np.float32), root.astype(np.float32))

    def limited(self, traits: Traits, share: float) -> Surface:
        """Return it with a distance as ordinary that but a share of these photos exceed."""
        ordinary = np.quantile(self.distances(traits), 1 - share)
        return replace(self, ordinary=float(np.float32(max(ordinary, 1.0))))

    def distances(self, traits: Traits) -> NDArray[np.float64]:
        """Return ``(N,)`` squared Mahalanobis distances by trait, about 1 for training photos."""
        scaled = (traits.astype(np.float64) - self.mean) / self.spread
        return np.asarray(((scaled @ self.root) ** 2).mean(axis=1))

    def excess(self, traits: Traits) -> NDArray[np.float64]:
        """Return ``(N,)`` how far beyond what is ordinary photos are; 0 for ordinary ones."""
        return np.maximum(self.distances(traits) / self.ordinary - 1, 0)


def traits_of(images: Pixels) -> Traits:
    """Return the traits of fitted photos.

    Parameters
    ----------
    images
        ``(N, height, width, channels)`` uint8, at least one.

    Returns
    -------
    Brightness and its spread; mean edges across and down, share of strong ones; colourfulness;
    shares of dark and of light pixels; mean and spread of each channel.
    """
    # One by one: the planes of several photos leave the nearest cache, and take twice as long.
    return np.stack([_traits_of_one(image) for image in images])


def _traits_of_one(image: Pixels) -> Traits:
    step = max(1, min(image.shape[:2]) // _FINEST)
    # A plane for each channel: along a last axis of three numpy takes five times as long.
    planes = np.ascontiguousarray(np.moveaxis(image[::step, ::step], 2, 0))
    pixels = planes.astype(np.float32) / 255
    grey = pixels.mean(axis=0)
    across, down = (np.abs(_differences(grey, axis)) for axis in (1, 0))
    figures = (
        grey.mean(),
        grey.std(),
        across.mean(),
        down.mean(),
        (across > _EDGE).mean(),
        (planes.max(axis=0) - planes.min(axis=0)).mean() / 255,
        (grey < _DARK).mean(),
        (grey > _LIGHT).mean(),
        *pixels.mean(axis=(1, 2)),
        *pixels.std(axis=(1, 2)),
    )
    return np.array(figures, np.float32)


def _differences(grey: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    # Of pictures one pixel wide there are none, and a mean needs one.
    return np.diff(grey, axis=axis) if grey.shape[axis] > 1 else np.zeros_like(grey)

"""How a photo is told that is unlike all training photos.

A classifier names one of its classes whatever it is shown. What it is shown is compared here with
the classes it knows, in three ways that are added up.

**Features**: by the angle between the photo's features and the mean of each class, seen
from the mean of all training photos, in the space in which photos of one class vary alike in all
directions. That is the Mahalanobis distance (Lee, Lee, Lee and Shin 2018, "A Simple Unified
Framework for Detecting Out-of-Distribution Samples") with the length of the features left out:
one covariance for all classes, shrunk, and a cosine in place of the distance.

**Doubt**: the entropy of the probabilities, weighed so that it varies as much as the angle does.
What lies between two classes it knows is stranger than what lies beside one.

**Pixels**: where light, colour and edges are beyond those of ordinary photos
(:mod:`pegboard.bundle.surface`), by how far; nothing for all others.

These were chosen among some forty scores and a thousand sums of them by measuring
(benchmarks/unknown.py; docs/benchmarks.md); the weights come from known photos alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pegboard.bundle.network import Network
from pegboard.bundle.surface import Surface, Traits, traits_of
from pegboard.calibrate import unknown_threshold
from pegboard.photos import Pixels

if TYPE_CHECKING:
    from pegboard.bundle.info import BundleInfo

Features = NDArray[np.float32]
"""``(N, D)``, of the network's output ``features``."""
Scores = NDArray[np.float64]

AXES = 128
"""Directions in which a class varies that are told apart; beyond them it counts as even."""

SHRINKAGE = 0.3
"""Share of the covariance within classes that is replaced by a multiple of the identity."""

_LEAST = 1e-9
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class Sight:
    """What a network makes of N photos, and what their pixels are like.

    Attributes
    ----------
    probabilities
        ``(N, classes)`` float32.
    features
        ``(N, D)``, where the network has them.
    traits
        ``(N, T)``.
    """

    probabilities: NDArray[np.float32]
    features: Features | None
    traits: Traits

    @classmethod
    def of(cls, network: Network, images: Pixels) -> Sight:
        """Show fitted photos, ``(N, height, width, channels)`` uint8, to a network."""
        return cls(*network.answers(images), traits_of(images))

    @classmethod
    def joined(cls, parts: Sequence[Sight]) -> Sight:
        """Put parts together.

        Raises
        ------
        ValueError
            When there is none.
        """
        if not parts:
            raise ValueError("expected at least one photo to show to a network, found none")
        features = [part.features for part in parts if part.features is not None]
        return cls(
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate(features) if features else None,
            np.concatenate([part.traits for part in parts]),
        )


@dataclass(frozen=True)
class Neighbours:
    """Training photos to compare a photo with.

    Attributes
    ----------
    axes
        ``(D, r)`` float16: principal components of the features.
    vectors
        ``(n, r)`` float16, each of length 1.
    labels
        ``(n,)`` int64 class indices.
    paths
        As in the manifest.
    pictures
        A thumbnail of each, encoded.
    """

    axes: NDArray[np.float16]
    vectors: NDArray[np.float16]
    labels: NDArray[np.int64]
    paths: tuple[str, ...]
    pictures: tuple[bytes, ...]


@dataclass(frozen=True)
class Likeness:
    """What training photos look like to a network.

    Attributes
    ----------
    mean
        ``(D,)`` float32: of the training photos' features.
    weights
        ``(C, D)`` float32: the product with centred features is the cosine with each class,
        times their length; for the classes that have training photos.
    axes, gains
        ``(D, r)`` and ``(r,)`` float32: directions in which classes vary, and what the square of
        the length along each adds to the squared length.
    neighbours
        Training photos to show, if they were asked for.
    doubt
        Weight of the entropy of the probabilities; 0 in a bundle of the third format.
    surface
        What the pixels of training photos are like; None in a bundle of the third format.
    """

    mean: NDArray[np.float32]
    weights: NDArray[np.float32]
    axes: NDArray[np.float32]
    gains: NDArray[np.float32]
    neighbours: Neighbours | None = None
    doubt: float = 0.0
    surface: Surface | None = None

    @classmethod
    def learned(
        cls,
        features: Features,
        labels: NDArray[np.int64],
        traits: Traits,
        validation: Sight,
        share: float,
    ) -> tuple[Likeness, float]:
        """Learn what is known from training photos, and what is strange from validation photos.

        Parameters
        ----------
        features, labels
            ``(N, D)`` and ``(N,)`` class indices of training photos, N at least 1.
        traits
            ``(M, T)`` of training photos, M at least 1; they need not be the same.
        validation
            Photos of the same classes that the network did not learn from, with features.
        share
            Of them that may be called unknown, at most.

        Returns
        -------
        The likeness, and the strangeness above which a photo is unknown.
        """
        assert validation.features is not None
        plain = cls.fit(features, labels)
        surface = Surface.fit(traits).limited(validation.traits, share / 2)
        # Both then vary alike over photos that are known.
        spread = plain.distances(validation.features).std()
        doubt = spread / max(float(entropies(validation.probabilities).std()), _LEAST_SPREAD)
        likeness = replace(plain, doubt=float(np.float32(doubt)), surface=surface)
        return likeness, unknown_threshold(likeness.strangeness(validation), share)

    @classmethod
    def fit(cls, features: Features, labels: NDArray[np.int64]) -> Likeness:
        """Learn from training photos.

        Parameters
        ----------
        features
            ``(N, D)``, N at least 1.
        labels
            ``(N,)`` class indices.
        """
        points = np.asarray(features, np.float32)
        mean = points.mean(axis=0)
        present, index = np.unique(labels, return_inverse=True)
        means = np.stack([points[index == number].mean(axis=0) for number in range(len(present))])
        axes, gains = _variation(points - means[index])
        centres = means - mean
        towards = centres + (centres @ axes * gains) @ axes.T
        length = np.sqrt(np.maximum((towards * centres).sum(axis=1, keepdims=True), _LEAST))
        return cls(mean, np.asarray(towards / length, np.float32), axes, gains)

    def strangeness(self, sight: Sight) -> Scores:
        """Return ``(N,)`` how unlike all training photos each photo is, from about 0 on.

        Parameters
        ----------
        sight
            N photos, with features.
        """
        assert sight.features is not None
        total = self.distances(sight.features) + self.doubt * entropies(sight.probabilities)
        return total if self.surface is None else total + self.surface.excess(sight.traits)

    def distances(self, features: Features) -> Scores:
        """Return ``(N,)`` how unlike the nearest class the features are.

        Parameters
        ----------
        features
            ``(N, D)`` float32.

        Returns
        -------
        1 less the cosine with the nearest class: 0 where a photo is as the mean of a class,
        1 where it has nothing of any, up to 2.
        """
        centred = features - self.mean
        squares = (centred**2).sum(axis=1) + ((centred @ self.axes) ** 2 @ self.gains)
        lengths = np.sqrt(np.maximum(squares, _LEAST))
        return np.asarray(1 - (centred @ self.weights.T).max(axis=1) / lengths, np.float64)

    def nearest(self, features: Features, count: int) -> tuple[NDArray[np.int64], Scores]:
        """Return the places in ``neighbours`` most like each photo, and how alike they are.

        Returns
        -------
        ``(N, count)`` places, most alike first, and ``(N, count)`` cosines.

        Raises
        ------
        ValueError
            When no training photos are kept.
        """
        if self.neighbours is None:
            raise ValueError("no training photos are kept")
        queries = shortened(features - self.mean, self.neighbours.axes)
        cosines = queries @ self.neighbours.vectors.astype(np.float32).T
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        return order, np.take_along_axis(cosines, order, axis=1).astype(np.float64)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is written."""
        plain: dict[str, NDArray[Any]] = {
            "mean": self.mean,
            "weights": self.weights,
            "axes": self.axes,
            "gains": self.gains,
        }
        if (surface := self.surface) is not None:
            plain |= {
                "doubt": np.array([self.doubt], np.float32),
                "surface_mean": surface.mean,
                "surface_spread": surface.spread,
                "surface_root": surface.root,
                "surface_ordinary": np.array([surface.ordinary], np.float32),
            }
        near = self.neighbours
        if near is None:
            return plain
        return plain | {
            "near_axes": near.axes,
            "near_vectors": near.vectors,
            "near_labels": near.labels,
            **_packed(
                "near_paths", [path.encode("utf-8", "surrogateescape") for path in near.paths]
            ),
            **_packed("near_pictures", near.pictures),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], info: BundleInfo) -> Likeness:
        """Rebuild from :meth:`arrays`.

        Raises
        ------
        KeyError, ValueError
            When an array is missing or does not fit the others.
        """
        mean, gains = _floats(arrays["mean"], 1), _floats(arrays["gains"], 1)
        weights, axes = _floats(arrays["weights"], 2), _floats(arrays["axes"], 2)
        if axes.shape != (len(mean), len(gains)) or weights.shape[1] != len(mean):
            raise ValueError("its arrays are of different sizes")
        near = _neighbours(arrays, info, len(mean)) if "near_vectors" in arrays else None
        plain = cls(mean, weights, axes, gains, near)
        if "doubt" not in arrays:
            return plain
        (doubt,) = _floats(arrays["doubt"], 1)
        return replace(plain, doubt=float(doubt), surface=_surface(arrays, info))


def entropies(probabilities: NDArray[np.floating[Any]]) -> Scores:
    """Return ``(N,)`` how undecided answers are: 0 for one class alone, log C for all alike."""
    shares = np.maximum(probabilities.astype(np.float64), _LEAST)
    return np.asarray(-(shares * np.log(shares)).sum(axis=1))


def _surface(arrays: Mapping[str, NDArray[Any]], info: BundleInfo) -> Surface:
    mean, spread = (_floats(arrays[f"surface_{name}"], 1) for name in ("mean", "spread"))
    root, (ordinary,) = _floats(arrays["surface_root"], 2), _floats(arrays["surface_ordinary"], 1)
    n = traits_of(np.zeros((1, 1, 1, info.input.channels), np.uint8)).shape[1]
    if not mean.shape == spread.shape == (n,) or root.shape != (n, n):
        raise ValueError("its arrays are of different sizes")
    if spread.min() <= 0 or ordinary <= 0:
        raise ValueError("what it takes for ordinary is no distance")
    return Surface(mean, spread, root, float(ordinary))


def _neighbours(arrays: Mapping[str, NDArray[Any]], info: BundleInfo, width: int) -> Neighbours:
    axes, vectors = arrays["near_axes"], arrays["near_vectors"]
    labels = arrays["near_labels"]
    paths = tuple(
        path.decode("utf-8", "surrogateescape") for path in _unpacked("near_paths", arrays)
    )
    pictures = tuple(_unpacked("near_pictures", arrays))
    n = len(vectors)
    if (
        axes.shape != (width, *vectors.shape[1:])
        or labels.shape != (n,)
        or labels.dtype != np.int64
        or not {len(paths), len(pictures)} == {n}
        or (n and not 0 <= labels.min() <= labels.max() < len(info.classes))
    ):
        raise ValueError("its training photos do not fit")
    return Neighbours(axes, vectors, labels, paths, pictures)


def principal_axes(
    features: Features, mean: NDArray[np.float32], count: int
) -> NDArray[np.float16]:
    """Return ``(D, r)`` principal components of features, to compare photos along."""
    axes, _ = principal(features - mean, count)
    return axes.astype(np.float16)


def shortened(centred: Features, axes: NDArray[np.float16]) -> Features:
    """Return ``(N, r)`` vectors of length 1: centred features along the axes."""
    along = centred @ axes.astype(np.float32)
    length = np.linalg.norm(along, axis=1, keepdims=True)
    return np.asarray(along / np.maximum(length, _LEAST), np.float32)


def _variation(
    within: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the directions in which photos differ from their class's mean, and their gains."""
    axes, variances = principal(within, AXES)
    width = within.shape[1]
    average = max(float((within.astype(np.float64) ** 2).mean()), _LEAST)
    left = max(average * width - float(variances.sum()), 0.0) / max(width - len(variances), 1)
    even = (1 - SHRINKAGE) * left + SHRINKAGE * average
    gains = even / ((1 - SHRINKAGE) * variances + SHRINKAGE * average) - 1
    return axes.astype(np.float32), gains.astype(np.float32)


def principal(centred: Features, count: int) -> tuple[Scores, Scores]:
    """Return ``(D, r)`` principal components, the largest first, and ``(r,)`` their variances."""
    n, width = centred.shape
    points = centred.astype(np.float64)
    if width <= n:
        sizes, vectors = np.linalg.eigh(points.T @ points)
        return vectors[:, ::-1][:, :count], np.maximum(sizes[::-1][:count], 0) / n
    # Fewer photos than features: the same from the products of photos with photos.
    sizes, vectors = np.linalg.eigh(points @ points.T)
    sizes, vectors = sizes[::-1][:count], vectors[:, ::-1][:, :count]
    seen = sizes > _LEAST * max(float(sizes[0]), 1.0)
    return points.T @ (vectors[:, seen] / np.sqrt(sizes[seen])), sizes[seen] / n


def _packed(name: str, parts: list[bytes] | tuple[bytes, ...]) -> dict[str, NDArray[Any]]:
    """Return byte strings as two arrays: all of them, and where each ends."""
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return {name: np.frombuffer(b"".join(parts), np.uint8), f"{name}_ends": ends}


def _unpacked(name: str, arrays: Mapping[str, NDArray[Any]]) -> list[bytes]:
    data, ends = arrays[name].astype(np.uint8, casting="safe").tobytes(), arrays[f"{name}_ends"]
    starts = [0, *ends.tolist()]
    if starts != sorted(starts) or starts[-1] != len(data):
        raise ValueError(f"{name} is not whole")
    return [data[start:end] for start, end in pairwise(starts)]


def _floats(values: NDArray[Any], dimensions: int) -> NDArray[np.float32]:
    if values.dtype != np.float32 or values.ndim != dimensions or not np.isfinite(values).all():
        raise ValueError("an array of it is not of finite numbers")
    return values

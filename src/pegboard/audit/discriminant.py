"""A linear classifier in closed form, and scores of photos from models that never saw them.

Linear discriminant analysis with a shrunk covariance. Wrong labels move a mean a little, where a
logistic regression bends to each of them: on features of a frozen backbone it ranks wrong labels
better (docs/benchmarks.md), and a second fit with other weights costs a few matrix products.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Scores = NDArray[np.float64]

FOLDS = 5

SHRINKAGES = (0.3, 0.6, 0.9)
"""Shares of the covariance that are replaced by a multiple of the identity, to choose from: few
photos and many wrong labels need more."""


def standardised(features: NDArray[np.float32]) -> Points:
    """Return features with square roots taken, every one with mean 0 and variance 1.

    Pooled activations are never negative and have a long tail; the square root draws it in (the
    Hellinger map). No label is looked at.
    """
    points = np.sign(features) * np.sqrt(np.abs(features))
    spread = points.std(axis=0)
    centred = points - points.mean(axis=0)
    return np.ascontiguousarray(centred / np.where(spread > 1e-6, spread, 1), dtype=np.float32)


def grouped_folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], *, folds: int = FOLDS, seed: int = 0
) -> NDArray[np.int64]:
    """Deal groups out to folds, class by class, large ones first; ``(N,)`` in 0 … folds - 1.

    No group is parted; a class lies in as many folds as it has groups, as far as that goes.
    scikit-learn's ``StratifiedGroupKFold`` balances a little better and takes seconds for
    thousands of groups.
    """
    _, first, codes, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    chance = np.random.default_rng(seed).random(len(sizes))
    order = np.lexsort((chance, -sizes, labels[first]))
    fold_of = np.empty(len(sizes), np.int64)
    fold_of[order] = np.arange(len(sizes)) % folds
    return fold_of[codes]


class HeldOut:
    """Linear classifiers, one per fold, each fitted to all other folds.

    Parameters
    ----------
    points
        ``(N, D)``, of comparable scale.
    labels
        ``(N,)`` in 0 … K - 1; every class occurs.
    folds
        ``(N,)``, at least two different ones.
    weights
        ``(N,)`` how much a photo counts as an example.
    """

    def __init__(
        self,
        points: Points,
        labels: NDArray[np.int64],
        folds: NDArray[np.int64],
        *,
        weights: NDArray[np.floating] | None = None,
    ) -> None:
        members = np.zeros((len(labels), int(labels.max()) + 1), np.float32)
        members[np.arange(len(labels)), labels] = 1 if weights is None else weights
        self._points, self._shape = points, members.shape
        self._parts = [
            (held_out, Moments.of(points[held_out], members[held_out]))
            for held_out in (folds == fold for fold in np.unique(folds))
        ]

    def scores(self, shrinkage: float) -> Scores:
        """Return ``(N, K)`` log-odds, of each photo by the classifier of the other folds.

        Up to a constant per photo as of scikit-learn's
        ``LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)``; minus infinity for a
        class without a photo in the other folds.
        """
        scores = np.full(self._shape, -np.inf)
        for held_out, others in self._splits():
            weight, bias = others.rule(shrinkage)
            scores[np.ix_(held_out, others.seen())] = self._points[held_out] @ weight + bias
        return scores

    def strangeness(self, shrinkage: float) -> NDArray[np.float64]:
        """Return ``(N,)`` how far each photo is from the nearest class of the other folds.

        Relative Mahalanobis distance (Ren et al. 2021): squared distance to the class, less that
        to all photos as one class. With a single class, the distance to it.
        """
        result = np.empty(self._shape[0])
        for held_out, others in self._splits():
            points = self._points[held_out]
            result[held_out] = others.distances(points, shrinkage)
            if self._shape[1] > 1:
                result[held_out] -= others.together().distances(points, shrinkage)
        return result

    def _splits(self) -> Iterator[tuple[NDArray[np.bool_], Moments]]:
        """Yield which photos are held out, and the moments of all others."""
        whole = [sum(values) for values in zip(*(part for _, part in self._parts), strict=True)]
        for held_out, part in self._parts:
            yield held_out, Moments(*(total - own for total, own in zip(whole, part, strict=True)))


_NOTHING = 1e-3
"""Total weight of a class below which it has no example: sums leave rounding behind."""

_LEAST_VARIANCE = 1e-6
"""For photos that are all alike."""


class Moments(NamedTuple):
    """Weighted sums over photos: ``(K,)`` counts, ``(K, D)`` points, ``(D, D)`` products."""

    counts: NDArray[np.float32]
    totals: NDArray[np.float32]
    products: NDArray[np.float32]

    @classmethod
    def of(cls, points: Points, members: NDArray[np.float32]) -> Moments:
        """Sum over photos of which ``members`` ``(N, K)`` holds the weight in their class."""
        rooted = points * np.sqrt(members.sum(axis=1, keepdims=True))
        return cls(members.sum(axis=0), members.T @ points, rooted.T @ rooted)

    def together(self) -> Moments:
        """Return the moments of all photos as one class."""
        return Moments(
            self.counts.sum(keepdims=True), self.totals.sum(0, keepdims=True), self.products
        )

    def means(self) -> NDArray[np.float32]:
        """Return ``(C, D)`` means of the C classes that have photos."""
        seen = self.seen()
        return np.asarray(self.totals[seen] / self.counts[seen, None])

    def seen(self) -> NDArray[np.bool_]:
        """Return ``(K,)`` which classes have photos."""
        return self.counts > _NOTHING

    def covariance(self, shrinkage: float) -> NDArray[np.float32]:
        """Return ``(D, D)`` covariance within classes, shrunk towards the identity's multiple."""
        within: NDArray[np.float32] = (
            self.products - self.totals[self.seen()].T @ self.means()
        ) / self.counts.sum()
        spread = float(np.trace(within)) / len(within)
        within *= 1 - shrinkage
        within[np.diag_indices_from(within)] += shrinkage * spread + _LEAST_VARIANCE
        return within

    def rule(self, shrinkage: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weight ``(D, C)`` and bias ``(C,)`` of the C classes that have photos."""
        from scipy.linalg import solve  # noqa: PLC0415  (start-up time)

        counts, means = self.counts[self.seen()], self.means()
        weight = solve(self.covariance(shrinkage), means.T, assume_a="pos", check_finite=False)
        bias = np.log(counts / counts.sum()) - (means.T * weight).sum(axis=0) / 2
        return weight, bias

    def distances(self, points: Points, shrinkage: float) -> NDArray[np.float64]:
        """Return ``(N,)`` squared Mahalanobis distances of points to the nearest class."""
        from scipy.linalg import cholesky, solve_triangular  # noqa: PLC0415  (start-up time)

        root = cholesky(self.covariance(shrinkage), lower=True, check_finite=False)
        whitened = solve_triangular(
            root, np.concatenate((points, self.means())).T, lower=True, check_finite=False
        ).T.astype(np.float64)
        photos, centres = whitened[: len(points)], whitened[len(points) :]
        apart = (centres**2).sum(axis=1) - 2 * photos @ centres.T
        return np.asarray((photos**2).sum(axis=1) + apart.min(axis=1))

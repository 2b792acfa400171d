"""How probably each label is wrong: two witnesses, and what is known of how labels went wrong.

The first witness is a linear classifier on backbone features, fitted to the folds that a photo is
not in (:mod:`~pegboard.audit.discriminant`); the second are the photo's neighbours, its copies
excepted. What they say together is turned into a probability by a model of the wrong labels of
this very folder (:mod:`~pegboard.audit.noise`). All is done twice: the second time, photos count
as examples as far as their labels are believed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pegboard.audit.discriminant import (
    SHRINKAGES,
    HeldOut,
    Points,
    Scores,
    grouped_folds,
    standardised,
)
from pegboard.audit.noise import Noise, fit_noise, interval_of_wrong
from pegboard.budget import Budget
from pegboard.nearest import neighbours

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

LEAST = 5
"""Different photos of a class below which its labels are not judged: held against two or three
others, every photo of a class is a stranger."""

NEIGHBOURS = 40
"""Photos that vote. Measured: 15 say less, and on their own votes are worse than the classifier."""

NEARNESS = 0.05
"""Difference of cosines that makes a neighbour's vote count e times as much."""

VOTE = 0.5
"""Weight of the votes' logarithm beside the classifier's. Measured, with .25 and 1: on every set
.007 to .02 more average precision than without; .25 gives nearly the same."""

_UNHEARD = 1e-3
"""Vote that every class has."""


@dataclass(frozen=True)
class Verdicts:
    """What is thought of N labels.

    Attributes
    ----------
    judged
        ``(N,)`` whether anything can be said: False in classes of too few different photos.
    wrong
        ``(N,)`` probability that the label is wrong; 0 where not judged.
    other
        ``(N,)`` the most probable other class.
    chance
        ``(N,)`` how probable that one is.
    noise
        How labels went wrong.
    count, low, high
        How many of the judged labels are wrong, with a 95 % interval.
    """

    judged: NDArray[np.bool_]
    wrong: FloatArray
    other: IntArray
    chance: FloatArray
    noise: Noise
    count: float
    low: float
    high: float

    def spread_over(self, count: int, places: IntArray, classes: IntArray) -> Verdicts:
        """Return the same of ``count`` labels, of which those at ``places`` were judged.

        ``classes`` are the judged ones; 0 is said of all others.
        """

        def spread(values: NDArray[Any]) -> NDArray[Any]:
            whole = np.zeros(count, values.dtype)
            whole[places] = values
            return whole

        return replace(
            self,
            judged=spread(self.judged),
            wrong=spread(self.wrong),
            other=spread(classes[self.other]),
            chance=spread(self.chance),
        )


def judge(
    features: NDArray[np.float32],
    labels: IntArray,
    groups: IntArray,
    *,
    seed: int = 0,
    budget: Budget | None = None,
) -> Verdicts:
    """Return how probably every label is wrong.

    Parameters
    ----------
    features
        ``(N, D)`` of a backbone.
    labels
        ``(N,)`` in 0 … K - 1; every class occurs, and two of them are judged.
    groups
        ``(N,)`` duplicate groups: no photo is judged by its copies.
    seed
        Of the folds.

    Raises
    ------
    BudgetSpent
        When time runs out.
    """
    # In a class of few photos each looks wrong to classifiers that never saw another, and the
    # model of how labels go wrong would learn from that.
    classes = np.flatnonzero(judgeable(labels, groups))
    kept = np.flatnonzero(np.isin(labels, classes))
    own = np.searchsorted(classes, labels[kept])
    found = _judged(features[kept], own, groups[kept], seed, budget or Budget())
    return found.spread_over(len(labels), kept, classes)


def _judged(
    features: NDArray[np.float32], labels: IntArray, groups: IntArray, seed: int, budget: Budget
) -> Verdicts:
    """Judge every label; all classes have enough photos."""
    points = standardised(features)
    folds = grouped_folds(labels, groups, seed=seed)
    own = np.arange(len(labels)), labels
    scores, noise = _heard(points, labels, folds, None, budget)
    believed = noise.posterior(scores, labels)[own]
    scores, noise = _heard(points, labels, folds, believed, budget)
    scores = noise.factor * scores + VOTE * _votes(points, labels, groups, believed, budget)
    noise = fit_noise(scores, labels)
    return _verdicts(scores, noise, labels, groups)


def judgeable(labels: IntArray, groups: IntArray) -> NDArray[np.bool_]:
    """Return ``(K,)`` which classes have enough different photos to judge a label by."""
    pairs = np.unique(np.stack((labels, groups)), axis=1)
    return np.asarray(np.bincount(pairs[0], minlength=int(labels.max()) + 1) >= LEAST)


def _heard(
    points: Points,
    labels: IntArray,
    folds: IntArray,
    weights: FloatArray | None,
    budget: Budget,
) -> tuple[Scores, Noise]:
    """Return the scores, of all shrinkages, that explain the labels best."""
    budget.check()
    classifiers = HeldOut(points, labels, folds, weights=weights)
    tried = []
    for shrinkage in SHRINKAGES:
        budget.check()
        scores = classifiers.scores(shrinkage)
        tried.append((scores, fit_noise(scores, labels)))
    return max(tried, key=lambda pair: pair[1].evidence)


def _votes(
    points: Points, labels: IntArray, groups: IntArray, weights: FloatArray, budget: Budget
) -> Scores:
    """Return ``(N, K)`` logarithms of the share of the nearest photos' votes for each class."""
    first, second, cosines = neighbours(points, NEIGHBOURS, budget=budget)
    strangers = groups[first] != groups[second]
    first, second, cosines = first[strangers], second[strangers], cosines[strangers]
    voters, hearers = np.concatenate((second, first)), np.concatenate((first, second))
    cosines = np.concatenate((cosines, cosines)).astype(np.float64)
    nearest = np.full(len(labels), -1.0)
    np.maximum.at(nearest, hearers, cosines)
    heard = weights[voters] * np.exp((cosines - nearest[hearers]) / NEARNESS)
    classes = int(labels.max()) + 1
    cells = hearers * classes + labels[voters]
    votes = np.bincount(cells, heard, len(labels) * classes).reshape(-1, classes) + _UNHEARD
    return np.asarray(np.log(votes / votes.sum(axis=1, keepdims=True)))


def _verdicts(scores: Scores, noise: Noise, labels: IntArray, groups: IntArray) -> Verdicts:
    own = np.arange(len(labels)), labels
    posterior = noise.posterior(scores, labels)
    judged = np.full(len(labels), True)
    wrong = (1 - posterior[own]).clip(0, 1)
    low, high = interval_of_wrong(noise, scores, labels, groups)
    others = posterior.copy()
    others[own] = -1
    other, chance = others.argmax(axis=1), others.max(axis=1)
    return Verdicts(judged, wrong, other, chance, noise, float(wrong.sum()), low, high)

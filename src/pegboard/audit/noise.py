"""How labels went wrong: which class was taken for which, and how often.

The model: a photo of true class k was given label j with probability ``matrix[k, j]``, and a
classifier that never saw the photo's label says how likely each true class is. From the labels
as they are, expectation and maximisation find the matrix, and with it the probability that any
one label is wrong. That a few classes are mixed up more than others is a second level: the rows
are drawn around one common rate of errors, and how far they may stray is chosen by the evidence,
so that noise spread evenly is not mistaken for confusion, nor the other way round.

Sources: Dawid and Skene (1979) for the matrix; Goldberger and Ben-Reuven (2017) for noise behind a
classifier; MacKay (1994) for rows around a common mean. Where all classes err alike, ranking by
the result is ranking by the probability of the label itself, as cleanlab's self-confidence does
(Northcutt, Jiang and Chuang 2021).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pegboard.metrics import bootstrap_weights, percentile_interval

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

STRENGTHS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Photos per class that the common rate counts for, tried one after the other."""

FACTORS = tuple(np.geomspace(0.01, 1.5, 14))
"""Factors of the scores tried first: raw scores are too sure, most of all those of few photos."""

FINER = (0.7, 0.85, 1.0, 1.2, 1.4)

STEPS = 25
"""Rounds of expectation and maximisation; more change no probability by .01."""

DRAWS = (40, 200)
"""Fewest and most draws for the interval; many photos of many classes get fewer."""

_WORK = 4e8
_REFITS = 3
_SAMPLE = 10_000
_START = 0.05
_TINY = 1e-300


@dataclass(frozen=True)
class Noise:
    """A fitted model of wrong labels for K classes.

    Attributes
    ----------
    matrix
        ``(K, K)``, rows are true classes, columns the labels given; rows sum to 1.
    rate
        The common rate of wrong labels.
    strength
        Photos per class that the common rate counts for.
    factor
        By which scores are multiplied to become log-probabilities.
    evidence
        How well all this explains the labels: a lower bound of the log-likelihood per photo.
    """

    matrix: FloatArray
    rate: float
    strength: float
    factor: float
    evidence: float

    def posterior(self, scores: FloatArray, labels: IntArray) -> FloatArray:
        """Return ``(N, K)`` probabilities of the true class, given scores and label."""
        return _posterior(probabilities(scores * self.factor), self.matrix, labels)


def probabilities(scores: FloatArray) -> FloatArray:
    """Return the softmax of ``(N, K)`` scores, of which minus infinity becomes 0."""
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def fit_noise(scores: FloatArray, labels: IntArray) -> Noise:
    """Find how labels went wrong.

    Parameters
    ----------
    scores
        ``(N, K)`` log-odds of a classifier that saw none of these labels.
    labels
        ``(N,)`` in 0 … K - 1.

    Notes
    -----
    Of more than 10,000 photos, 10,000 spread evenly over the classes are looked at.
    """
    order = np.argsort(labels, kind="stable")
    chosen = order[:: max(1, len(order) // _SAMPLE)]
    scores, labels = scores[chosen], labels[chosen]
    middle = STRENGTHS[len(STRENGTHS) // 2]
    found = _best(_fit(scores, labels, factor, middle) for factor in FACTORS)
    found = _best(_fit(scores, labels, found.factor, strength) for strength in STRENGTHS)
    return _best(_fit(scores, labels, found.factor * finer, found.strength) for finer in FINER)


def _best(fitted: Iterable[Noise]) -> Noise:
    return max(fitted, key=lambda noise: noise.evidence)


def _fit(scores: FloatArray, labels: IntArray, factor: float, strength: float) -> Noise:
    given = np.eye(scores.shape[1])[labels]
    odds = probabilities(scores * factor)
    rate, matrix = _START, _common(_START, len(given.T))
    for _ in range(STEPS):
        rate, matrix = _update(_posterior(odds, matrix, labels).T @ given, strength)
    posterior = _posterior(odds, matrix, labels)
    prior = strength * _common(rate, len(matrix))
    evidence = _evidence(odds, posterior, posterior.T @ given, prior) / len(labels)
    return Noise(matrix, rate, strength, factor, evidence)


def _posterior(odds: FloatArray, matrix: FloatArray, labels: IntArray) -> FloatArray:
    joint = odds * matrix[:, labels].T
    return np.asarray(joint / joint.sum(axis=1, keepdims=True))


def _update(counts: FloatArray, strength: float) -> tuple[float, FloatArray]:
    """Return rate and matrix from expected counts of (true class, label given)."""
    wrong = counts.sum() - np.trace(counts)
    rate = float((wrong + 0.5) / (counts.sum() + 1))
    rows = counts + strength * _common(rate, len(counts))
    return rate, rows / rows.sum(axis=1, keepdims=True)


def _common(rate: float, classes: int) -> FloatArray:
    """Return the matrix of errors that spread evenly."""
    matrix = np.full((classes, classes), rate / (classes - 1))
    np.fill_diagonal(matrix, 1 - rate)
    return matrix


def _evidence(
    odds: FloatArray, posterior: FloatArray, counts: FloatArray, prior: FloatArray
) -> float:
    """Return the variational bound: fit of the classifier, of the counts, and entropy."""
    from scipy.special import gammaln, xlogy  # noqa: PLC0415  (start-up time)

    rows = gammaln(prior.sum(1)) - gammaln((prior + counts).sum(1))
    cells = gammaln(prior + counts) - gammaln(prior)
    fit = xlogy(posterior, np.maximum(odds, _TINY)).sum() - xlogy(posterior, posterior).sum()
    return float(fit + rows.sum() + cells.sum())


def interval_of_wrong(
    noise: Noise, scores: FloatArray, labels: IntArray, groups: IntArray
) -> tuple[float, float]:
    """Return the 95 % interval of how many labels are wrong, by bootstrap over groups.

    Every draw of groups gets a matrix of its own; the classifier stays. The interval tells how
    far another draw of photos would move the count, not whether errors are of the kind assumed.
    """
    odds, given = probabilities(scores * noise.factor), np.eye(scores.shape[1])[labels]
    own = np.arange(len(labels)), labels
    codes = np.unique(groups, return_inverse=True)[1]
    number = int(codes.max()) + 1

    def wrong(weights: FloatArray) -> float:
        matrix = noise.matrix
        for _ in range(_REFITS):
            counts = _posterior(odds, matrix, labels).T @ (given * weights[:, None])
            matrix = _update(counts, noise.strength)[1]
        share = weights @ (1 - _posterior(odds, matrix, labels)[own]) / weights.sum()
        return float(share) * len(labels)

    draws = int(np.clip(_WORK / (given.size * given.shape[1]), *DRAWS))
    values = [
        wrong(weights[codes])
        for chunk in bootstrap_weights(number, draws=draws)
        for weights in chunk
    ]
    figure = float((1 - _posterior(odds, noise.matrix, labels)[own]).sum())
    return percentile_interval(np.array(values), figure, number, high=float(len(labels)))

"""Confidence that means something: temperature scaling and the threshold for "sure".

Both are fitted on validation photos and travel in the bundle. Temperature scaling is Guo,
Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (2017): one number
divides all logits, so no answer changes, only how sure it sounds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pegboard.metrics import FloatArray, IntArray

LOWEST_TEMPERATURE = 0.05
HIGHEST_TEMPERATURE = 20.0

SURE_PRECISION = 0.95
"""Share of right answers among the sure ones, on validation, that the threshold is set for."""

UNKNOWN_SHARE = 0.02
"""Share of validation photos that are called unknown, all of which show a known class."""

NEVER_SURE = 2.0
"""A threshold no confidence reaches."""

_HALVINGS = 60  # of an interval of log T 6 wide: far below float64's resolution


def apply_temperature(logits: NDArray[np.floating], temperature: float = 1.0) -> FloatArray:
    """Return the softmax of ``logits / temperature``.

    Parameters
    ----------
    logits
        ``(N, C)``, any float type.
    temperature
        Above 0; more than 1 lowers the confidence.

    Returns
    -------
    ``(N, C)`` float64 probabilities; rows sum to 1.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers: FloatArray = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def fit_temperature(logits: NDArray[np.floating], labels: IntArray) -> float:
    """Return the temperature with the least negative log-likelihood.

    The likelihood is concave in 1/T, so the sign of its slope tells on which side the best
    temperature lies, and halving the interval of log T finds it. The answer lies between
    0.05 and 20.

    When every photo is answered rightly, the likelihood grows without end as T falls to 0,
    and would make the model infinitely sure after, say, 30 photos. The temperature is then
    the one at which the mean confidence is ``(n + 1) / (n + 2)``, Laplace's rule for n
    successes in n trials.

    Parameters
    ----------
    logits
        ``(N, C)`` of the validation photos.
    labels
        ``(N,)`` class indices.

    Raises
    ------
    ValueError
        When there is no photo or a logit is not finite.
    """
    values = np.asarray(logits, dtype=np.float64)
    if values.ndim != 2 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"expected finite logits (N, C) of N >= 1 photos, found {values.shape}")
    rows = np.arange(len(values))
    true = values[rows, labels]

    if np.array_equal(values.argmax(axis=1), labels):
        wanted = (len(values) + 1) / (len(values) + 2)
        return _halve(lambda t: float(apply_temperature(values, t).max(axis=1).mean()) > wanted)

    def too_sure(temperature: float) -> bool:
        expected = (apply_temperature(values, temperature) * values).sum(axis=1)
        return float((expected - true).mean()) > 0

    return _halve(too_sure)


def sure_threshold(
    probabilities: FloatArray, labels: IntArray, precision: float = SURE_PRECISION
) -> float:
    """Return the lowest confidence from which on the answers are right often enough.

    An answer is *sure* when its highest probability is at least the threshold. Among the
    confidences met on validation, the lowest is taken at which the sure answers are right
    in at least ``precision`` of the cases.

    Parameters
    ----------
    probabilities
        ``(N, C)`` of the validation photos, after temperature scaling.
    labels
        ``(N,)`` class indices.
    precision
        Share of right answers wanted, 0 to 1.

    Returns
    -------
    The threshold, or :data:`NEVER_SURE` (2.0: no confidence reaches it) when no confidence
    level is right that often, or there is no photo.
    """
    if len(probabilities) == 0:
        return NEVER_SURE
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    order = np.argsort(-confidence, kind="stable")
    confidence, right = confidence[order], right[order]
    share = np.cumsum(right) / np.arange(1, len(right) + 1)
    last_of_ties = np.append(confidence[1:] != confidence[:-1], True)
    good = np.flatnonzero(last_of_ties & (share >= precision))
    return float(confidence[good[-1]]) if good.size else NEVER_SURE


def unknown_threshold(strangeness: FloatArray, share: float = UNKNOWN_SHARE) -> float:
    """Return the strangeness above which a photo is called unknown.

    Parameters
    ----------
    strangeness
        ``(N,)`` of the validation photos, N at least 1.
    share
        Of them that may be called unknown, at most.
    """
    ordered = np.sort(strangeness)
    return float(ordered[len(ordered) - 1 - int(share * len(ordered))])


def _halve(too_sure: Callable[[float], bool]) -> float:
    low, high = np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if too_sure(float(np.exp(middle))):
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))

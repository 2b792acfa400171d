"""Confidence that means something: temperature scaling and the threshold for "sure".

Both are fitted on validation photos and travel in the bundle. Temperature scaling is Guo,
Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (2017): one number
divides all logits, so no answer changes, only how sure it sounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pegboard.errors import PegboardError
from pegboard.metrics import FloatArray, IntArray

LOWEST_TEMPERATURE = 0.05
HIGHEST_TEMPERATURE = 20.0

SURE_PRECISION = 0.95
"""Share of right answers among the sure ones, on new photos, that the threshold is set for."""

SURE_CONFIDENCE = 0.9
"""How certain it is that the share holds, over the draw of validation photos."""

SET_COVERAGES = tuple(percent / 100 for percent in range(50, 100))
"""Shares of photos whose set of classes can be asked to hold the right one."""

STARTS = (0.25, 0.5, 1.0)
"""Shares of the validation photos, the surest first, at which tests begin."""

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


def sure_limits(
    probabilities: FloatArray,
    labels: IntArray,
    wrong_at_most: float | None = None,
    groups: Sequence[str] | None = None,
) -> dict[str, float]:
    """Return what a bundle holds of how sure is sure: its ``thresholds``.

    Parameters
    ----------
    probabilities, labels, groups
        As for :func:`sure_threshold`.
    wrong_at_most
        Share of wrong answers among the sure ones; None for 1 - :data:`SURE_PRECISION`.

    Returns
    -------
    ``sure``: the threshold; ``precision``: the share of right answers wanted;
    ``confidence``: with which it holds on new photos.
    """
    precision = SURE_PRECISION if wrong_at_most is None else 1 - wrong_at_most
    threshold = sure_threshold(probabilities, labels, precision, groups=groups)
    return {"sure": threshold, "precision": precision, "confidence": SURE_CONFIDENCE}


def sure_threshold(
    probabilities: FloatArray,
    labels: IntArray,
    precision: float = SURE_PRECISION,
    confidence: float = SURE_CONFIDENCE,
    groups: Sequence[str] | None = None,
) -> float:
    """Return the lowest probability from which on the answers are shown to be right often enough.

    An answer is *sure* when its highest probability is at least the threshold. That so many of
    the sure answers on validation were right says little of new photos: the threshold was picked
    because they were. It is tested instead, as in Angelopoulos, Bates, Candès, Jordan and Lei
    2021 ("Learn then Test"): a threshold passes when, were more than ``1 - precision`` of the
    answers above it wrong, so few wrong ones would be met with probability at most
    ``1 - confidence`` (the exact binomial test; Clopper and Pearson 1934). Tests go from sure to
    less sure photos, beginning at each of :data:`STARTS` and ending where one fails, and share
    the probability of an error evenly. Photos of one group are no independent witnesses: a group
    counts once, as wrong when any of its sure answers is.

    Parameters
    ----------
    probabilities
        ``(N, C)`` of the validation photos, after temperature scaling.
    labels
        ``(N,)`` class indices.
    precision
        Share of right answers wanted among the sure ones, 0 to 1.
    confidence
        Probability, over the draw of validation photos, with which new photos like them get at
        least that share.
    groups
        ``(N,)`` names of groups of photos that belong together; None where each stands alone.

    Returns
    -------
    The threshold, or :data:`NEVER_SURE` (2.0: no confidence reaches it) when none passes: the
    model is not right that often, or there are too few photos to show it.
    """
    if len(probabilities) == 0:
        return NEVER_SURE
    best = probabilities.max(axis=1)
    order = np.argsort(-best, kind="stable")
    best = best[order]
    names = np.arange(len(best)) if groups is None else np.unique(groups, return_inverse=True)[1]
    is_wrong = probabilities.argmax(axis=1)[order] != labels[order]
    witnesses = _groups_so_far(names[order], np.full(len(best), True))
    wrong = _groups_so_far(names[order], is_wrong)
    # Photos of equal probability are sure together.
    ends = np.flatnonzero(np.append(best[1:] != best[:-1], True))
    passes = _shown(wrong[ends], witnesses[ends], 1 - precision, (1 - confidence) / len(STARTS))
    starts = (share * witnesses[-1] for share in STARTS)
    reached = [_last_passed(passes, int(np.searchsorted(witnesses[ends], n))) for n in starts]
    last = max(reached)
    return float(best[ends[last]]) if last >= 0 else NEVER_SURE


def _groups_so_far(groups: IntArray, counts: NDArray[np.bool_]) -> IntArray:
    """Return ``(N,)`` how many groups there are of those that count, up to each photo."""
    places = np.flatnonzero(counts)
    first = np.zeros(len(groups), np.int64)
    first[places[np.unique(groups[places], return_index=True)[1]]] = 1
    return np.cumsum(first)


def _shown(wrong: IntArray, n: IntArray, risk: float, error: float) -> NDArray[np.bool_]:
    """Return whether so few wrong answers show that at most ``risk`` of all are wrong."""
    from scipy.special import bdtr  # noqa: PLC0415  (start-up time)

    return np.asarray(bdtr(wrong, n, risk) <= error)


def _last_passed(passes: NDArray[np.bool_], start: int) -> int:
    """Return the last place before one fails, from ``start`` on; -1 where it fails itself."""
    failed = np.flatnonzero(~passes[start:])
    last = start + int(failed[0]) - 1 if failed.size else len(passes) - 1
    return last if last >= start else -1


def set_limits(probabilities: FloatArray, labels: IntArray) -> list[float | None]:
    """Return how probable a class must be to be among those an answer leaves open.

    Of new photos like those of validation, the set of all classes at least so probable holds the
    right one with the wanted frequency, whatever the model: split conformal prediction with the
    least ambiguous sets (Sadinle, Lei and Wasserman 2019, "Least Ambiguous Set-Valued Classifiers
    with Bounded Error Levels").

    Parameters
    ----------
    probabilities
        ``(N, C)`` of the validation photos, after temperature scaling; at least one.
    labels
        ``(N,)`` class indices.

    Returns
    -------
    The least probability for each of :data:`SET_COVERAGES`; None where N photos are too few to
    leave out any class.
    """
    true = np.sort(probabilities[np.arange(len(labels)), labels])
    n = len(true)
    # So many of n + 1 photos may have a right class that is less probable; rounding aside.
    below = [math.floor((1 - coverage) * (n + 1) + 1e-9) for coverage in SET_COVERAGES]
    return [float(true[count - 1]) if count else None for count in below]


def set_limit(limits: Sequence[float | None], coverage: float) -> float:
    """Return the least probability for the first of the coverages that reaches the wanted one.

    Parameters
    ----------
    limits
        As :func:`set_limits` returned them.
    coverage
        Between 0 and the last of :data:`SET_COVERAGES`.

    Raises
    ------
    PegboardError
        When it is no such share.
    """
    if not 0 < coverage <= SET_COVERAGES[-1]:
        raise PegboardError(
            f"--sets: expected a share up to {SET_COVERAGES[-1]:g}, such as .9, got {coverage:g}"
        )
    place = next(i for i, kept in enumerate(SET_COVERAGES) if kept >= coverage - 1e-9)
    return limits[place] or 0.0


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

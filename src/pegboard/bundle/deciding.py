"""Sure, unsure or unknown: the one place where a model's answer is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pegboard.bundle.info import BundleInfo

SURE, UNSURE, UNKNOWN = 0, 1, 2

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the photos at which the risk is told."""


def judged(
    info: BundleInfo,
    probabilities: NDArray[np.floating[Any]],
    strangeness: NDArray[np.float64] | None,
) -> NDArray[np.int64]:
    """Return ``(N,)`` :data:`SURE`, :data:`UNSURE` or :data:`UNKNOWN`.

    Parameters
    ----------
    info
        Its thresholds.
    probabilities
        ``(N, classes)``.
    strangeness
        ``(N,)``, or None where the model does not tell it.
    """
    best = probabilities.max(axis=1)
    sure = np.zeros(len(best), bool) if info.sure is None else best >= info.sure
    result = np.where(sure, SURE, UNSURE)
    limit = info.unknown_above
    if limit is not None and strangeness is not None:
        result[strangeness > limit] = UNKNOWN
    return result


def coverage_and_risk(
    info: BundleInfo,
    probabilities: NDArray[np.floating[Any]],
    strangeness: NDArray[np.float64] | None,
    labels: NDArray[np.int64],
) -> dict[str, Any]:
    """Return how often a model answers, and how often it is wrong when it does.

    Coverage is the share of photos that get a sure answer, risk the share of wrong ones among
    these (El-Yaniv and Wiener 2010, "On the Foundations of Noise-free Selective
    Classification").

    Parameters
    ----------
    info
        Its thresholds.
    probabilities, strangeness
        As for :func:`judged`; at least one photo.
    labels
        ``(N,)`` class indices.

    Returns
    -------
    ``n``; shares ``sure``, ``unsure`` and ``unknown``; ``risk`` among the sure ones, None where
    there are none; ``wrong``, their number; ``curve``: coverage and risk when the most certain
    photos alone are answered.
    """
    right = probabilities.argmax(axis=1) == labels
    kinds = judged(info, probabilities, strangeness)
    sure = kinds == SURE
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    wrong = np.cumsum(~right[order])
    counts = [max(1, round(share * len(right))) for share in COVERAGES]
    return {
        "n": len(right),
        "sure": float(sure.mean()),
        "unsure": float((kinds == UNSURE).mean()),
        "unknown": float((kinds == UNKNOWN).mean()),
        "wrong": int((sure & ~right).sum()),
        "risk": float((~right[sure]).mean()) if sure.any() else None,
        "curve": [
            {"coverage": count / len(right), "risk": float(wrong[count - 1] / count)}
            for count in counts
        ],
    }

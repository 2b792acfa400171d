"""What the probability of a class tells apart, whatever threshold is put on it.

Pure NumPy, equal to scikit-learn's figures (tests compare them to 1e-12). Every class is set
against all others; averages are taken over the classes that have photos and are not the only
one, because for the others there is nothing to tell apart.

Fawcett, "An introduction to ROC analysis", 2006; Davis and Goadrich, "The Relationship Between
Precision-Recall and ROC Curves", 2006.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pegboard.metrics import FloatArray, IntArray


@dataclass(frozen=True)
class Sweep:
    """One class against the others, as the threshold falls from above the highest probability.

    Attributes
    ----------
    hits, alarms
        ``(T + 1,)`` photos of the class, and others, whose probability reaches the threshold:
        both start at 0; T is the number of distinct probabilities.
    """

    hits: IntArray
    alarms: IntArray

    @property
    def recall(self) -> FloatArray:
        """``(T + 1,)`` share of the class's photos that are found: the true positive rate."""
        return np.asarray(self.hits / self.hits[-1])

    @property
    def false_positive_rate(self) -> FloatArray:
        """``(T + 1,)`` share of the other photos that are taken for the class."""
        return np.asarray(self.alarms / self.alarms[-1])

    @property
    def precision(self) -> FloatArray:
        """``(T + 1,)`` share of the photos found that are of the class; 1 where none is."""
        found = self.hits + self.alarms
        return np.asarray(np.where(found > 0, self.hits / np.maximum(found, 1), 1.0))

    @property
    def roc_auc(self) -> float:
        """Area under the ROC curve, by the trapezoidal rule."""
        return float(np.trapezoid(self.recall, self.false_positive_rate))

    @property
    def average_precision(self) -> float:
        """Precision at each threshold, weighted by the recall gained there."""
        return float(np.diff(self.recall) @ self.precision[1:])


def sweep(positive: NDArray[np.bool_], scores: FloatArray) -> Sweep:
    """Count what each threshold finds.

    Parameters
    ----------
    positive
        ``(N,)`` whether the photo is of the class; at least one is, and one is not.
    scores
        ``(N,)`` probability of the class.

    Raises
    ------
    ValueError
        When all photos are of the class, or none.
    """
    if positive.all() or not positive.any():
        raise ValueError(
            f"expected photos of the class and others, found {positive.sum()} of {len(positive)}"
        )
    order = np.argsort(-scores, kind="stable")
    # Photos of equal probability pass a threshold together.
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(positive[order])[ends]
    return Sweep(np.append(0, hits), np.append(0, ends + 1 - hits))


def sweeps(labels: IntArray, probabilities: FloatArray) -> Iterator[tuple[int, Sweep]]:
    """Yield index and sweep of every class that has photos and is not the only one.

    Parameters
    ----------
    labels
        ``(N,)`` class indices.
    probabilities
        ``(N, C)``.
    """
    for index in np.unique(labels).tolist():
        positive = labels == index
        if not positive.all():
            yield index, sweep(positive, probabilities[:, index])


def precision_at(swept: Sweep, recall: FloatArray) -> FloatArray:
    """Return the precision at the first threshold that reaches each recall.

    Its integral over recall is the average precision.

    Parameters
    ----------
    swept
        One class against the others.
    recall
        ``(R,)`` between 0 and 1.
    """
    first = np.searchsorted(swept.recall, np.maximum(recall, np.finfo(float).tiny))
    return np.asarray(swept.precision[first])


def recall_at(swept: Sweep, false_positive_rate: FloatArray) -> FloatArray:
    """Return the recall reached at each false positive rate, by linear interpolation.

    Parameters
    ----------
    swept
        One class against the others.
    false_positive_rate
        ``(R,)`` between 0 and 1.
    """
    # Where the curve rises straight up, its upper end counts.
    return np.asarray(np.interp(false_positive_rate, swept.false_positive_rate, swept.recall))


def macro_areas(labels: IntArray, probabilities: FloatArray) -> tuple[float | None, float | None]:
    """Return the means over classes of ROC AUC and of average precision.

    Both None when all photos are of one class.
    """
    areas = [(swept.roc_auc, swept.average_precision) for _, swept in sweeps(labels, probabilities)]
    if not areas:
        return None, None
    roc_auc, average_precision = np.mean(areas, axis=0).tolist()
    return roc_auc, average_precision

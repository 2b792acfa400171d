"""An order of classes in which those that are confused with one another stand side by side."""

from __future__ import annotations

import numpy as np

from pegboard.metrics import IntArray

_AS_GIVEN = 1e-6
"""Weight of the order given, which decides between classes that are never confused."""


def similarity_order(confusion: IntArray) -> IntArray:
    """Return the places of the classes in an order of similarity.

    Two classes are as near as the mean share of either's photos that is taken for the other.
    They are clustered by average linkage, and the leaves of the tree are ordered so that
    neighbours are as near as the tree allows (Bar-Joseph, Gifford and Jaakkola, "Fast optimal
    leaf ordering for hierarchical clustering", 2001).

    Parameters
    ----------
    confusion
        ``(C, C)`` counts, rows = true class.

    Returns
    -------
    ``(C,)`` permutation of ``0 … C - 1``; ``confusion[order][:, order]`` is the matrix in it.
    """
    classes = len(confusion)
    if classes < 3:
        return np.arange(classes)
    from scipy.cluster.hierarchy import leaves_list, linkage  # noqa: PLC0415
    from scipy.spatial.distance import squareform  # noqa: PLC0415

    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    places = np.arange(classes)
    apart = 1 - (shares + shares.T) / 2 + _AS_GIVEN * np.abs(places[:, None] - places)
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform(apart, checks=False), "average", optimal_ordering=True)
    order = leaves_list(tree).astype(np.int64)
    # A tree has no direction: the one that is nearer to the order given.
    forwards = np.corrcoef(order, places)[0, 1] >= 0
    return np.asarray(order if forwards else order[::-1])

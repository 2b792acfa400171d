"""Some of many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly(items: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most ``most`` of ``(N,)`` items, spread evenly, in their order."""
    places = np.linspace(0, len(items) - 1, min(len(items), most))
    return items[np.round(places).astype(np.int64)]


def each_class_in_turn(labels: NDArray[np.int64], most: int, seed: int = 0) -> NDArray[np.int64]:
    """Return the places, in order, of at most ``most`` of ``(N,)`` labels, drawn at random.

    Of a rare class there are as many as of the others, while there are any. A class is drawn from
    all over: neighbours in a folder are often shots of one thing.
    """
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        turn[mine] = np.random.default_rng(seed).permutation(len(mine))
    return np.sort(np.lexsort((labels, turn))[:most])

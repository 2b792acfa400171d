"""Some of many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly(items: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most ``most`` of ``(N,)`` items, spread evenly, in their order."""
    places = np.linspace(0, len(items) - 1, min(len(items), most))
    return items[np.round(places).astype(np.int64)]

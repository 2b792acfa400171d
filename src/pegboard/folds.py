"""Grouped, stratified folds for small data sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pegboard.errors import SourceError


def fold_numbers(
    labels: NDArray[np.int64], groups: Sequence[str], *, folds: int, seed: int
) -> NDArray[np.int64]:
    """Give every photo a fold, ``(N,)`` in ``0 … folds - 1``; a group never crosses folds.

    scikit-learn's ``StratifiedGroupKFold`` does the work.

    Raises
    ------
    SourceError
        When a class has fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415

    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    least = min(len(np.unique(codes[labels == label])) for label in np.unique(labels))
    if least < folds:
        raise SourceError(
            f"--folds {folds} needs at least {folds} different photos of every class, and one "
            f"class has {least}; give --folds {least} or add photos"
            if least >= 3
            else f"--folds {folds} needs {folds} different photos of every class, and one has "
            f"only {least}; add photos or leave the class out with --exclude-class"
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    numbers = np.empty(len(labels), dtype=np.int64)
    for number, (_, test) in enumerate(splitter.split(labels, labels, codes)):
        numbers[test] = number
    return numbers

"""Whether one model is really better than another, or was lucky with these photos.

Two models answered the same photos. The difference in accuracy gets a paired bootstrap
interval over groups; McNemar's exact test ("Note on the sampling error of the difference
between correlated proportions or percentages", Psychometrika 1947) looks at the photos only
one of the two got right, and a sign test at the groups; Holm's step-down correction ("A simple
sequentially rejective multiple test procedure", 1979) keeps many comparisons from finding a
difference by chance.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np

from pegboard.errors import PegboardError
from pegboard.evaluate import Predictions
from pegboard.metrics import (
    DRAWS,
    FloatArray,
    IntArray,
    Interval,
    group_codes,
    percentile_interval,
    resampled_accuracy,
)

Verdict = Literal["a_better", "b_better", "not_shown"]

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Comparison:
    """Two models on the same photos; the names are those of leaderboard.json.

    ``difference`` is accuracy of ``a`` minus accuracy of ``b``; ``ci`` its 95 % interval.
    ``p_mcnemar`` is the p of :func:`paired_p`: McNemar's, or that of the groups if it is larger.
    """

    a: str
    b: str
    difference: float
    ci: Interval
    p_mcnemar: float
    p_adjusted: float
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"ci": list(self.ci)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Comparison:
        """Rebuild from :meth:`to_json`."""
        return cls(**(dict(data) | {"ci": tuple(data["ci"])}))


def compare_models(
    predictions: Mapping[str, Predictions],
    *,
    baselines: Collection[str] = ("majority",),
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Comparison]:
    """Compare every pair of models on the same photos.

    A model is called better only if two things hold: the p of :func:`paired_p`, adjusted by
    Holm over all pairs, is under .05, and the bootstrap interval excludes 0. Both take groups
    for what is independent, so that twenty shots of one hammer do not count as twenty proofs.

    Parameters
    ----------
    predictions
        Each model's answers to the same photos (in any order).
    baselines
        Models that are compared with the others only if there is a single other.
    draws, seed
        Of the bootstrap.

    Returns
    -------
    One comparison per pair, in the order of ``predictions``; empty for a single model.

    Raises
    ------
    PegboardError
        When two models answered different photos, or one photo has two labels.
    """
    names = [name for name in predictions if name not in baselines]
    if len(names) < 2:
        names += [name for name in predictions if name in baselines]
    pairs = list(combinations(names, 2))
    if not pairs:
        return []
    right = _right_answers([(name, predictions[name]) for name in names])
    groups = predictions[names[0]].groups
    codes, number_of_groups = group_codes(groups)
    accuracies = resampled_accuracy(right, groups, draws=draws, seed=seed)
    column = {name: index for index, name in enumerate(names)}
    p_values = [_paired_p(right[:, column[a]], right[:, column[b]], codes) for a, b in pairs]
    comparisons = []
    for (a, b), p, adjusted in zip(pairs, p_values, holm(p_values), strict=True):
        i, j = column[a], column[b]
        difference = float((right[:, i] - right[:, j]).mean())
        interval = percentile_interval(
            accuracies[:, i] - accuracies[:, j], difference, number_of_groups, low=-1, high=1
        )
        verdict = verdict_of(adjusted, interval)
        comparisons.append(Comparison(a, b, difference, interval, p, adjusted, verdict))
    return comparisons


def mcnemar(right_a: FloatArray, right_b: FloatArray) -> float:
    """Return McNemar's exact two-sided p.

    Only photos that one model got right and the other wrong count; the p is that of a
    binomial test of them against 1/2, and 1 if there is none.

    Parameters
    ----------
    right_a, right_b
        ``(N,)`` whether each answer is right (1 or 0).
    """
    only_a = int(((right_a > 0) & (right_b == 0)).sum())
    only_b = int(((right_b > 0) & (right_a == 0)).sum())
    return _sign_test(only_a, only_b)


def paired_p(right_a: FloatArray, right_b: FloatArray, groups: Sequence[str]) -> float:
    """Return the larger of McNemar's p over photos and that of a sign test over groups.

    McNemar's test takes photos as independent, which those of one group are not. The sign test
    (Conover, "Practical Nonparametric Statistics", 1999, section 3.4) asks of each group which
    model got more of its photos right, and tosses a coin for that. With one photo per group
    the two are the same.

    Parameters
    ----------
    right_a, right_b
        ``(N,)`` whether each answer is right (1 or 0).
    groups
        ``(N,)`` group of each photo.
    """
    return _paired_p(right_a, right_b, group_codes(groups)[0])


def _paired_p(right_a: FloatArray, right_b: FloatArray, codes: IntArray) -> float:
    net = np.bincount(codes, weights=right_a - right_b)
    of_groups = _sign_test(int((net > 0).sum()), int((net < 0).sum()))
    return max(mcnemar(right_a, right_b), of_groups)


def _sign_test(for_a: int, for_b: int) -> float:
    if for_a + for_b == 0:
        return 1.0
    from scipy.stats import binomtest  # noqa: PLC0415  (slow to import, needed here only)

    return float(binomtest(for_a, for_a + for_b, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for how many there are, by Holm's step-down method.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none may be smaller
    than one before it, nor more than 1.
    """
    number = len(p_values)
    order = sorted(range(number), key=lambda index: p_values[index])
    adjusted = [0.0] * number
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, (number - rank) * p_values[index])
        adjusted[index] = min(1.0, highest)
    return adjusted


def _right_answers(models: Sequence[tuple[str, Predictions]]) -> FloatArray:
    """Return ``(N, M)`` of 0 and 1, rows in the first model's order of photos."""
    first_name, first = models[0]
    wanted = _labels_by_path(first)
    columns = []
    for name, predictions in models:
        if len(predictions) != len(first) or _labels_by_path(predictions) != wanted:
            raise PegboardError(
                f"{first_name} and {name} did not answer the same photos with the same labels "
                f"({len(first)} and {len(predictions)} photos), so they cannot be compared; "
                "evaluate both on one split"
            )
        answers = dict(zip(predictions.paths, predictions.right.tolist(), strict=True))
        columns.append([answers[path] for path in first.paths])
    return np.array(columns, dtype=np.float64).T


def _labels_by_path(predictions: Predictions) -> dict[str, str]:
    names = (predictions.classes[index] for index in predictions.labels.tolist())
    return dict(zip(predictions.paths, names, strict=True))


def verdict_of(p_adjusted: float, interval: Interval) -> Verdict:
    """Say which model is better, if both p and the interval of a minus b show it."""
    if p_adjusted >= SIGNIFICANCE:
        return "not_shown"
    if interval[0] > 0:
        return "a_better"
    return "b_better" if interval[1] < 0 else "not_shown"

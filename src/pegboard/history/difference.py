"""Whether two models of two runs differ, and by how much.

On the test photos that both answered, with the same label in both, as two models of one run are
compared (:mod:`pegboard.significance`); where too few are common, as two independent samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np

from pegboard.duplicates import connect
from pegboard.evaluate import Predictions
from pegboard.metrics import (
    DRAWS,
    FEW_WRONG,
    FloatArray,
    Interval,
    confusion_matrix,
    few_groups_factor,
    group_codes,
    groups_with,
    macro_f1,
    percentile_interval,
    resampled_accuracy,
    resampled_class_scores,
)
from pegboard.significance import Verdict, paired_p, verdict_of

LEAST_COMMON = 20
"""Test photos two runs must share to be compared on them: with fewer, McNemar's test can hardly
show anything, while each run's own test photos still may."""


@dataclass(frozen=True)
class Difference:
    """How far two models differ on test photos, and whether that is shown.

    Attributes
    ----------
    kind
        ``paired`` on the test photos of both runs, ``unpaired`` on all photos of each.
    n
        Photos that both answered, with the same label.
    accuracy_a, accuracy_b
        On the photos compared.
    change, ci
        Accuracy of B minus accuracy of A, with its 95 % interval.
    macro_f1_change, macro_f1_ci
        The same for macro-F1; None where the two have other classes.
    p, p_adjusted
        That of :func:`pegboard.significance.paired_p` (paired), or that of a normal distribution
        with the bootstrap's standard deviation, or Fisher's where few groups are wrong or right
        (unpaired, :func:`unpaired_p`); adjusted by Holm over all models compared.
    verdict
        As in ``leaderboard.json``.
    """

    kind: Literal["paired", "unpaired"]
    n: int
    accuracy_a: float
    accuracy_b: float
    change: float
    ci: Interval
    macro_f1_change: float | None
    macro_f1_ci: Interval | None
    p: float
    p_adjusted: float
    verdict: Verdict


def difference(
    a: Predictions,
    b: Predictions,
    contents_a: Mapping[str, str],
    contents_b: Mapping[str, str],
    *,
    draws: int = DRAWS,
) -> Difference:
    """Compare two models' answers to test photos of two runs.

    Parameters
    ----------
    a, b
        Their answers.
    contents_a, contents_b
        SHA-256 of each path, from the manifests.
    draws
        Of the bootstrap.

    Returns
    -------
    The difference, its p not yet adjusted for other comparisons.
    """
    places_a, places_b = common_photos(a, b, contents_a, contents_b)
    if len(places_a) < LEAST_COMMON:
        return _unpaired(a, b, common=len(places_a), draws=draws)
    return paired(_take(a, places_a), _take(b, places_b), draws=draws)


def common_photos(
    a: Predictions, b: Predictions, contents_a: Mapping[str, str], contents_b: Mapping[str, str]
) -> tuple[list[int], list[int]]:
    """Return where the photos of equal contents and label stand in ``a`` and in ``b``.

    Copies of one photo are counted as often as both have them.
    """
    places_a, places_b = _places(a, contents_a), _places(b, contents_b)
    common = [key for key in places_a if key in places_b]
    return [places_a[key] for key in common], [places_b[key] for key in common]


def _places(answers: Predictions, contents: Mapping[str, str]) -> dict[tuple[str, str, int], int]:
    places = {}
    seen: Counter[tuple[str, str]] = Counter()
    for place, (path, label) in enumerate(zip(answers.paths, answers.labels, strict=True)):
        key = (contents.get(path, path), answers.classes[label])
        places[(*key, seen[key])] = place
        seen[key] += 1
    return places


def _take(answers: Predictions, places: Sequence[int]) -> Predictions:
    return Predictions(
        [answers.paths[place] for place in places],
        answers.labels[places],
        answers.probabilities[places],
        answers.classes,
        [answers.groups[place] for place in places],
    )


def paired(a: Predictions, b: Predictions, *, draws: int = DRAWS) -> Difference:
    """Compare two models' answers to the same photos, which stand in the same order.

    Returns
    -------
    The difference, its p not yet adjusted for other comparisons.
    """
    right = np.stack([b.right, a.right], axis=1).astype(np.float64)
    groups = _joined_groups(a.groups, b.groups)
    number = group_codes(groups)[1]
    accuracies = resampled_accuracy(right, groups, draws=draws)
    change = float((right[:, 0] - right[:, 1]).mean())
    interval = percentile_interval(
        accuracies[:, 0] - accuracies[:, 1], change, number, low=-1, high=1
    )
    f1_change, f1_interval = _macro_f1(a, b, groups, groups, number, seeds=(0, 0), draws=draws)
    return Difference(
        kind="paired",
        n=len(a),
        accuracy_a=float(right[:, 1].mean()),
        accuracy_b=float(right[:, 0].mean()),
        change=change,
        ci=interval,
        macro_f1_change=f1_change,
        macro_f1_ci=f1_interval,
        p=paired_p(right[:, 1], right[:, 0], groups),
        p_adjusted=1.0,
        verdict="not_shown",
    )


def _joined_groups(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """Return groups of photos that belong together in either run."""
    edges = []
    for groups in (a, b):
        first: dict[str, int] = {}
        edges += [(first.setdefault(group, place), place) for place, group in enumerate(groups)]
    return [str(code) for code in connect(len(a), edges).tolist()]


def _unpaired(a: Predictions, b: Predictions, *, common: int, draws: int) -> Difference:
    # Other seeds for B than for A: equal ones would pair resamples of different photos.
    resampled_a = resampled_accuracy(_right(a), a.groups, draws=draws, seed=0)[:, 0]
    resampled_b = resampled_accuracy(_right(b), b.groups, draws=draws, seed=1)[:, 0]
    change = float(b.right.mean() - a.right.mean())
    number = min(group_codes(a.groups)[1], group_codes(b.groups)[1])
    interval = percentile_interval(resampled_b - resampled_a, change, number, low=-1, high=1)
    f1_change, f1_interval = _macro_f1(a, b, a.groups, b.groups, number, seeds=(0, 1), draws=draws)
    return Difference(
        kind="unpaired",
        n=common,
        accuracy_a=float(a.right.mean()),
        accuracy_b=float(b.right.mean()),
        change=change,
        ci=interval,
        macro_f1_change=f1_change,
        macro_f1_ci=f1_interval,
        p=unpaired_p(a, b, float(np.std(resampled_b - resampled_a))),
        p_adjusted=1.0,
        verdict="not_shown",
    )


def _right(answers: Predictions) -> FloatArray:
    return answers.right[:, None].astype(np.float64)


def unpaired_p(a: Predictions, b: Predictions, sd: float) -> float:
    """Return the p of two models' accuracies on photos of their own.

    That of a normal distribution. Where fewer than ``FEW_WRONG`` groups of either hold a mistake,
    the bootstrap's standard deviation is too small (0 without a mistake), and the p is at least
    that of Fisher's exact test ("On the interpretation of chi-squared from contingency tables,
    and the calculation of P", Journal of the Royal Statistical Society 1922) of the groups with a
    mistake and those without; with few that hold a right answer, of those.

    Parameters
    ----------
    a, b
        The answers of each.
    sd
        Standard deviation of the difference in accuracy on resamples of groups.
    """
    numbers = [group_codes(answers.groups)[1] for answers in (a, b)]
    change = float(b.right.mean() - a.right.mean())
    p = _p_of_normal(change, sd * few_groups_factor(min(numbers)))
    for marks in ((~a.right, ~b.right), (a.right, b.right)):
        counts = [groups_with(*pair) for pair in zip(marks, (a.groups, b.groups), strict=True)]
        if min(counts) < FEW_WRONG:
            p = max(p, _fisher(counts, numbers))
    return p


def _fisher(counts: Sequence[int], numbers: Sequence[int]) -> float:
    from scipy.stats import fisher_exact  # noqa: PLC0415  (slow to import, needed here only)

    others = [number - count for count, number in zip(counts, numbers, strict=True)]
    return float(fisher_exact([counts, others])[1])


def _p_of_normal(change: float, sd: float) -> float:
    if sd == 0:
        return 1.0 if change == 0 else 0.0
    return 2 * (1 - NormalDist().cdf(abs(change) / sd))


def _macro_f1(
    a: Predictions,
    b: Predictions,
    groups_a: Sequence[str],
    groups_b: Sequence[str],
    number: int,
    *,
    seeds: tuple[int, int],
    draws: int,
) -> tuple[float | None, Interval | None]:
    """Return the change of macro-F1 with its interval; None with other classes."""
    if list(a.classes) != list(b.classes):
        return None, None
    figures, resampled = [], []
    for answers, groups, seed in ((a, groups_a, seeds[0]), (b, groups_b, seeds[1])):
        labels, predicted, classes = answers.labels, answers.predicted, len(answers.classes)
        matrix = confusion_matrix(labels, predicted, classes)
        scores = resampled_class_scores(labels, predicted, groups, classes, draws=draws, seed=seed)
        figures.append(macro_f1(matrix))
        resampled.append(scores.macro_f1(matrix.sum(axis=1) > 0))
    change = figures[1] - figures[0]
    return change, percentile_interval(
        resampled[1] - resampled[0], change, number, low=-1, high=1, bias_corrected=True
    )


def with_p(found: Difference, p_adjusted: float) -> Difference:
    """Return a difference with its adjusted p, and the verdict that follows."""
    low, high = found.ci
    # The change is B minus A, a verdict's interval A minus B.
    return replace(found, p_adjusted=p_adjusted, verdict=verdict_of(p_adjusted, (-high, -low)))

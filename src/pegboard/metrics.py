"""The numbers: how good a model's answers are, and how sure one can be of that.

Pure NumPy, equal to scikit-learn's figures (tests compare them to 1e-12). Every average is
taken over *all* classes of the data set, as scikit-learn does with ``labels=`` all classes
and ``zero_division=0``: a class that is never predicted counts with 0.

Intervals are percentile bootstrap intervals over groups (Efron and Tibshirani, "An
Introduction to the Bootstrap", 1993, chapters 8, 13 and 14): groups of near-duplicate photos
are drawn with replacement, all photos of a group together, because they are not independent. Few
groups widen them (:func:`few_groups_factor`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Interval = tuple[float, float]

DRAWS = 2000
"""Bootstrap draws: the ends of a 95 % interval then rest on 50 draws each."""

LEVEL = 0.95

FEW_WRONG = 5
"""With fewer groups than these in the wrong (or in the right), resamples hardly show how many
more there could be: Clopper and Pearson's interval is asked as well."""

MANY_GROUPS = 100
"""More groups than these leave an interval as the bootstrap has it: Student's t differs from the
normal distribution by less than 2 % of the width there."""

ECE_BINS = 15

_CHUNK_ELEMENTS = 2_000_000  # 16 MB of float64 per temporary array


@dataclass(frozen=True)
class ClassScores:
    """Figures per class, each of shape ``(C,)``."""

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    support: IntArray


@dataclass(frozen=True)
class Averages:
    """Precision, recall and F1, averaged over classes."""

    precision: float
    recall: float
    f1: float


def confusion_matrix(labels: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Count photos by true and predicted class.

    Parameters
    ----------
    labels, predicted
        ``(N,)`` class indices in ``0 … classes - 1``.
    classes
        Number of classes C.

    Returns
    -------
    ``(C, C)`` counts; rows are the true class, columns the predicted one.

    Raises
    ------
    ValueError
        When there is no photo, the lengths differ, or an index is out of range.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if labels.shape != predicted.shape or labels.ndim != 1 or labels.size == 0:
        raise ValueError(
            "expected as many labels as predictions, at least one; "
            f"found shapes {labels.shape} and {predicted.shape}"
        )
    lowest, highest = min(labels.min(), predicted.min()), max(labels.max(), predicted.max())
    if lowest < 0 or highest >= classes:
        raise ValueError(f"expected class indices 0 … {classes - 1}, found {lowest} … {highest}")
    cells = labels.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def accuracy(confusion: IntArray) -> float:
    """Return the share of right answers of a ``(C, C)`` confusion matrix."""
    return float(np.trace(confusion) / confusion.sum())


def class_scores(confusion: IntArray) -> ClassScores:
    """Return precision, recall, F1 and support per class; 0 where nothing was to divide by."""
    right = np.diag(confusion).astype(np.float64)
    support = confusion.sum(axis=1)
    predicted = confusion.sum(axis=0)
    return ClassScores(
        precision=_ratio(right, predicted),
        recall=_ratio(right, support),
        f1=_ratio(2 * right, support + predicted),
        support=support,
    )


def macro_average(scores: ClassScores) -> Averages:
    """Average over classes, each class counting alike."""
    return Averages(*(float(np.mean(x)) for x in (scores.precision, scores.recall, scores.f1)))


def weighted_average(scores: ClassScores) -> Averages:
    """Average over classes, each counting as often as it has photos."""
    weights = scores.support / scores.support.sum()
    return Averages(*(float(x @ weights) for x in (scores.precision, scores.recall, scores.f1)))


def macro_f1(confusion: IntArray) -> float:
    """Return the mean F1 over classes of a ``(C, C)`` confusion matrix."""
    return macro_average(class_scores(confusion)).f1


def log_loss(labels: IntArray, probabilities: FloatArray) -> float:
    """Return the mean negative log probability (natural) of the true class.

    Probabilities are clipped to ``[eps, 1 - eps]`` of float64, as scikit-learn does, so that
    a photo the model was wrongly certain of costs 36 and not infinity.

    Parameters
    ----------
    labels
        ``(N,)`` class indices.
    probabilities
        ``(N, C)``, rows summing to 1.
    """
    eps = float(np.finfo(np.float64).eps)
    true = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(true, eps, 1 - eps)).mean())


def expected_calibration_error(
    labels: IntArray, probabilities: FloatArray, bins: int = ECE_BINS
) -> float:
    """Return how far confidence is from accuracy, on average over photos (0 is perfect).

    Photos are sorted into ``bins`` equally wide bins ``((k - 1) / bins, k / bins]`` of their
    highest probability; the gap between mean confidence and accuracy of each bin counts by
    the share of photos in it (Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern
    Neural Networks", 2017).

    Parameters
    ----------
    labels
        ``(N,)`` class indices.
    probabilities
        ``(N, C)``, rows summing to 1.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    number = np.clip(np.searchsorted(edges, confidence, side="left"), 1, bins)
    surplus = np.bincount(number, weights=confidence - right)
    return float(np.abs(surplus).sum() / len(labels))


def group_codes(groups: Sequence[str]) -> tuple[IntArray, int]:
    """Return ``(N,)`` codes ``0 … G - 1``, in order of first appearance, and G."""
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(group, len(numbers)) for group in groups]
    return np.asarray(codes, dtype=np.int64), len(numbers)


def bootstrap_weights(
    groups: int, *, draws: int = DRAWS, seed: int = 0, photos: int | None = None
) -> Iterator[FloatArray]:
    """Draw G of G groups with replacement, again and again.

    Parameters
    ----------
    groups
        Number of groups G, at least 1.
    draws
        Number of resamples B.
    seed
        Equal seeds give equal resamples, whatever is measured on them: that is what makes
        the comparison of two models a paired one.
    photos
        Number of photos N, if the caller spreads the weights over photos: chunks get
        smaller, so that ``(b, N)`` arrays stay at about 16 MB too.

    Yields
    ------
    ``(b, G)`` counts, how often each group was drawn; the b's sum to B. Rows sum to G.
    """
    if groups < 1 or draws < 1:
        raise ValueError(f"expected at least one group and one draw, found {groups} and {draws}")
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK_ELEMENTS // max(groups, photos or 0))
    for start in range(0, draws, rows):
        count = min(rows, draws - start)
        drawn = rng.integers(0, groups, size=(count, groups))
        drawn += np.arange(count)[:, None] * groups
        counted = np.bincount(drawn.ravel(), minlength=count * groups)
        yield counted.reshape(count, groups).astype(np.float64)


def resampled_accuracy(
    right: NDArray[np.bool_] | FloatArray,
    groups: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> FloatArray:
    """Return the accuracy of M models on each resample of the same photos.

    Parameters
    ----------
    right
        ``(N, M)``: whether each model's answer to each photo is right.
    groups
        ``(N,)`` group of each photo.

    Returns
    -------
    ``(draws, M)``.
    """
    codes, number = group_codes(groups)
    sums = np.stack([np.bincount(codes, weights=column, minlength=number) for column in right.T], 1)
    sizes = np.bincount(codes, minlength=number).astype(np.float64)
    chunks = bootstrap_weights(number, draws=draws, seed=seed)
    return np.concatenate([weights @ sums / (weights @ sizes)[:, None] for weights in chunks])


@dataclass(frozen=True)
class ResampledScores:
    """Figures per class on each of B resamples, each of shape ``(B, C)``.

    NaN where a resample holds nothing to judge by: no photo of the class (recall, F1), or
    none that was taken for it (precision).
    """

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray

    def of_classes(self, chosen: NDArray[np.bool_]) -> ResampledScores:
        """Return the figures of some of the classes; ``chosen`` is ``(C,)``."""
        return ResampledScores(*(x[:, chosen] for x in (self.precision, self.recall, self.f1)))

    def macro_f1(self, occurring: NDArray[np.bool_]) -> FloatArray:
        """Return ``(B,)`` means of F1 over classes.

        A class without any photo counts 0 in every draw, as it does in the figure itself. A
        class that has photos, but none in a particular draw, has no recall there, so that
        draw's mean is taken over the others: with three photos a class is missed by 5 % of
        the draws, and counting it as 0 would push the interval down.

        Parameters
        ----------
        occurring
            ``(C,)`` whether the full set holds photos of the class.
        """
        missing = np.isnan(self.f1)
        counted = self.f1.shape[1] - (missing & occurring).sum(axis=1)
        return np.asarray(np.where(missing, 0, self.f1).sum(axis=1) / counted)


def resampled_class_scores(
    labels: IntArray,
    predicted: IntArray,
    groups: Sequence[str],
    classes: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> ResampledScores:
    """Return precision, recall and F1 per class on each resample of the photos.

    Parameters
    ----------
    labels, predicted
        ``(N,)`` class indices.
    groups
        ``(N,)`` group of each photo.
    classes
        Number of classes C.
    """
    codes, number = group_codes(groups)
    # Few cells of the confusion matrix hold photos: they are summed once, and then by class.
    cells, cell_of_photo = np.unique(labels * classes + predicted, return_inverse=True)
    true, answer = np.divmod(cells, classes)
    hits = np.flatnonzero(true == answer)
    every = np.arange(len(cells))
    cell_sums = _ClassSums(cell_of_photo, codes, len(cells))
    true_sums, answer_sums = _ClassSums(true, every, classes), _ClassSums(answer, every, classes)
    chunks = []
    for weights in bootstrap_weights(number, draws=draws, seed=seed, photos=len(labels)):
        counts = cell_sums(weights)
        support, given = true_sums(counts), answer_sums(counts)
        right = np.zeros_like(support)
        right[:, true[hits]] = counts[:, hits]
        nothing = np.full_like(right, np.nan)
        of_both = np.divide(2 * right, support + given, out=nothing.copy(), where=support > 0)
        of_true = np.divide(right, support, out=nothing.copy(), where=support > 0)
        chunks.append((np.divide(right, given, out=nothing, where=given > 0), of_true, of_both))
    return ResampledScores(*(np.concatenate(part) for part in zip(*chunks, strict=True)))


@dataclass(frozen=True)
class ScoreIntervals:
    """95 % intervals of the figures of C classes, in their order."""

    precision: tuple[Interval, ...]
    recall: tuple[Interval, ...]
    f1: tuple[Interval, ...]


def class_intervals(
    resampled: ResampledScores,
    scores: ClassScores,
    labels: IntArray,
    predicted: IntArray,
    groups: Sequence[str],
) -> ScoreIntervals:
    """Return the intervals of every class's figures from its values on the resamples.

    Where they all agree, an interval rests on the groups that the figure is about (see
    :func:`percentile_interval`): those with a photo of the class for recall, with a photo
    taken for it for precision, with either for F1. F1 of a single class needs no correction
    for bias: of 10 classes with 4, 10 and 48 photos each, the plain interval held the truth in
    93 to 100 % of simulated test sets, and the corrected one was wider.

    Parameters
    ----------
    resampled, scores
        On the resamples, and on all photos.
    labels, predicted
        ``(N,)`` class indices.
    groups
        ``(N,)`` group of each photo.
    """
    codes, number = group_codes(groups)
    classes = len(scores.f1)

    def groups_of(*pairs: IntArray) -> IntArray:
        met = np.unique(np.concatenate([classes_of * number + codes for classes_of in pairs]))
        return np.bincount(met // number, minlength=classes)

    def intervals(
        values: FloatArray, figures: FloatArray, counts: IntArray
    ) -> tuple[Interval, ...]:
        return tuple(
            percentile_interval(column[~np.isnan(column)], float(figure), int(count))
            for column, figure, count in zip(values.T, figures, counts, strict=True)
        )

    return ScoreIntervals(
        precision=intervals(resampled.precision, scores.precision, groups_of(predicted)),
        recall=intervals(resampled.recall, scores.recall, groups_of(labels)),
        f1=intervals(resampled.f1, scores.f1, groups_of(labels, predicted)),
    )


def percentile_interval(
    values: FloatArray,
    figure: float,
    groups: int,
    *,
    low: float = 0.0,
    high: float = 1.0,
    bias_corrected: bool = False,
) -> Interval:
    """Return the 95 % interval of a figure from its bootstrap values.

    An average such as accuracy takes the 2.5 and 97.5 % points of the values. Macro-F1 is
    curved: with few photos per class, resamples score lower than the full set does, and the
    plain interval lies too low (50 classes of 10 photos: it held the truth in 87 % of 300
    simulated test sets). ``bias_corrected`` moves both points by the share of resamples that
    lie under the figure (Efron, "Better Bootstrap Confidence Intervals", 1987; its constant
    ``z0`` without the acceleration); in the same simulation that held the truth in 96 %.

    Few groups know little of how groups differ: the bootstrap's spread is too small by
    ``sqrt((G - 1) / G)``, and its tails are those of a normal distribution. Up to
    ``MANY_GROUPS`` groups both ends are moved away from the figure as in Student's t
    interval of a mean (:func:`few_groups_factor`).

    The interval always holds the figure itself. Where all resamples agree (every photo
    right; a single group) the bootstrap knows nothing of what it has not seen; there, the
    share ``u`` of groups that could behave differently and yet not have shown up in G is
    bounded exactly, ``(1 - u) ** G = 0.025``, and the figure is moved by that share towards
    ``low`` and ``high``. For 30 of 30 photos right this is Clopper and Pearson's interval,
    .884 to 1; for one group it says that next to nothing is known.

    Parameters
    ----------
    values
        ``(B,)`` the figure on each resample; none where no resample has it.
    figure
        The figure on all photos.
    groups
        Number of groups G that were resampled; 0 where the figure rests on no photo.
    low, high
        The range the figure could lie in.
    bias_corrected
        Whether the figure is not an average.
    """
    tail = (1 - LEVEL) / 2
    if values.size == 0 or np.ptp(values) == 0:
        unseen = 1 - tail ** (1 / groups) if groups else 1.0
        return (figure - (figure - low) * unseen, figure + (high - figure) * unseen)
    tails = _corrected_tails(values, figure, tail) if bias_corrected else (tail, 1 - tail)
    lower, upper = np.quantile(values, tails)
    factor = few_groups_factor(groups)
    below, above = max(figure - float(lower), 0.0), max(float(upper) - figure, 0.0)
    return (max(low, figure - factor * below), min(high, figure + factor * above))


def accuracy_interval(
    values: FloatArray, right: NDArray[np.bool_], groups: Sequence[str]
) -> Interval:
    """Return the 95 % interval of accuracy from its bootstrap values.

    That of :func:`percentile_interval`; with fewer than ``FEW_WRONG`` groups that hold a mistake,
    its low end is at most that of Clopper and Pearson ("The use of confidence or fiducial limits
    illustrated in the case of the binomial", Biometrika 1934), and so is its high end at least
    with as few that hold a right answer: one mistake must not say more than none. Groups are the
    trials; those right in part count by accuracy, so that the end falls with every mistake.

    Parameters
    ----------
    values
        ``(B,)`` accuracy on each resample.
    right
        ``(N,)`` whether each answer is right.
    groups
        ``(N,)`` group of each photo.
    """
    figure = float(np.mean(right))
    number = group_codes(groups)[1]
    low, high = percentile_interval(values, figure, number)
    exact = clopper_pearson(figure * number, number)
    if groups_with(~right, groups) < FEW_WRONG:
        low = min(low, exact[0])
    if groups_with(right, groups) < FEW_WRONG:
        high = max(high, exact[1])
    return low, high


def macro_f1_interval(
    values: FloatArray,
    figure: float,
    labels: IntArray,
    predicted: IntArray,
    groups: Sequence[str],
    classes: int,
) -> Interval:
    """Return the 95 % interval of macro-F1 over C classes from its bootstrap values.

    That of :func:`percentile_interval` with its correction for bias; with fewer than
    ``FEW_WRONG`` groups that hold a mistake, the low end is at most :func:`least_macro_f1`, times
    what the mistakes take from Clopper and Pearson's low end of accuracy: with classes of equally
    many groups that is accuracy's own bound.

    Parameters
    ----------
    values
        ``(B,)`` macro-F1 on each resample.
    figure
        Macro-F1 on all photos.
    labels, predicted
        ``(N,)`` class indices.
    groups
        ``(N,)`` group of each photo.
    classes
        Number of classes C that are averaged.
    """
    right = labels == predicted
    codes, number = group_codes(groups)
    low, high = percentile_interval(values, figure, number, bias_corrected=True)
    if groups_with(~right, groups) < FEW_WRONG:
        per_class = np.unique(labels * number + codes) // number
        spoilt = clopper_pearson(float(np.mean(right)) * number, number)[0]
        least = least_macro_f1(np.bincount(per_class, minlength=classes))
        low = min(low, least * spoilt / clopper_pearson(number, number)[0])
    return low, high


def groups_with(marked: NDArray[np.bool_], groups: Sequence[str]) -> int:
    """Return how many groups have a marked photo; both are of shape ``(N,)``."""
    return len(np.unique(group_codes(groups)[0][marked]))


def clopper_pearson(right: float, trials: int) -> Interval:
    """Return the exact 95 % interval of a share, ``right`` of ``trials``.

    By quantiles of the beta distribution, which also go between whole numbers.
    """
    from scipy.special import betaincinv  # noqa: PLC0415  (start-up time)

    tail = (1 - LEVEL) / 2
    low = betaincinv(right, trials - right + 1, tail) if right > 0 else 0.0
    high = betaincinv(right + 1, trials - right, 1 - tail) if right < trials else 1.0
    return float(low), float(high)


def least_macro_f1(groups: IntArray) -> float:
    """Return how low macro-F1 could be if every photo seen is right, at 97.5 % confidence.

    If class c of ``G_c`` groups is right with probability ``v_c``, all are with probability
    ``prod v_c ** G_c``. Of all ``v`` that leave 2.5 % for that, the least mean has ``v_c``
    proportional to ``G_c`` and at most 1 (Lagrange): the classes of fewest photos, of which
    least is known, may be the worst. Classes of equally many groups get Clopper and Pearson's
    low end for all of them together.

    Parameters
    ----------
    groups
        ``(C,)`` number of groups with photos of each class; a class of none counts 0.
    """
    seen = groups[groups > 0]
    wanted = np.log((1 - LEVEL) / 2)
    too_low, too_high = wanted - np.log(seen.max()), -np.log(seen.min())
    for _ in range(60):
        middle = (too_low + too_high) / 2
        if seen @ np.minimum(0, middle + np.log(seen)) < wanted:
            too_low = middle
        else:
            too_high = middle
    return float(np.minimum(1, seen * np.exp(too_high)).sum() / len(groups))


def few_groups_factor(groups: int) -> float:
    """Return how much wider than the bootstrap's an interval of a mean of few groups has to be.

    That is ``t(G - 1) / z * sqrt(G / (G - 1))`` with the 97.5 % points of Student's t and of
    the normal distribution (Hesterberg, "What Teachers Should Know About the Bootstrap", The
    American Statistician 2015, section 4): 2.7 for 3 groups, 1.06 for 30, and 1 for more than
    ``MANY_GROUPS`` and for a single one, of which the bootstrap tells nothing at all.
    """
    if groups < 2 or groups > MANY_GROUPS:
        return 1.0
    from scipy.special import stdtrit  # noqa: PLC0415  (start-up time)

    point = (1 + LEVEL) / 2
    wider = stdtrit(groups - 1, point) / NormalDist().inv_cdf(point)
    return float(wider * np.sqrt(groups / (groups - 1)))


def _corrected_tails(values: FloatArray, figure: float, tail: float) -> tuple[float, float]:
    normal = NormalDist()
    below = (np.sum(values < figure) + 0.5 * np.sum(values == figure)) / len(values)
    # Where all resamples lie on one side, the correction would be infinite.
    shift = 2 * normal.inv_cdf(float(np.clip(below, 0.5 / len(values), 1 - 0.5 / len(values))))
    width = normal.inv_cdf(1 - tail)
    return normal.cdf(shift - width), normal.cdf(shift + width)


class _ClassSums:
    """Sum group weights over the photos of each class, for many resamples at once.

    Photos are sorted by class, so that a sum over a run of columns is a sum over a class:
    time and memory grow with the photos and not with photos x classes.
    """

    def __init__(self, numbers: IntArray, codes: IntArray, classes: int) -> None:
        order = np.argsort(numbers, kind="stable")
        self._columns = codes[order]
        self._present, self._starts = np.unique(numbers[order], return_index=True)
        self._classes = classes

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Return ``(b, C)`` sums of ``(b, G)`` weights."""
        sums = np.zeros((len(weights), self._classes))
        if self._columns.size:
            photos = weights[:, self._columns]
            sums[:, self._present] = np.add.reduceat(photos, self._starts, axis=1)
        return sums


def _ratio(numerator: FloatArray, denominator: FloatArray | IntArray) -> FloatArray:
    empty = np.zeros_like(numerator, dtype=np.float64)
    return np.divide(numerator, denominator, out=empty, where=denominator != 0)

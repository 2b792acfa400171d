from __future__ import annotations

import time
import tracemalloc
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import binom, binomtest, t
from sklearn import metrics as sk

from pegboard.metrics import (
    accuracy,
    accuracy_interval,
    bootstrap_weights,
    class_intervals,
    class_scores,
    clopper_pearson,
    confusion_matrix,
    expected_calibration_error,
    few_groups_factor,
    group_codes,
    least_macro_f1,
    log_loss,
    macro_average,
    macro_f1_interval,
    percentile_interval,
    resampled_accuracy,
    resampled_class_scores,
    weighted_average,
)

EXACT = 1e-12


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """True classes and probabilities; some classes may be absent, some answers certain."""
    classes = draw(st.integers(2, 6))
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.integers(0, draw(st.integers(1, classes)), n)
    sharpness = draw(st.sampled_from([0.1, 1.0, 30.0, 1000.0]))
    logits = rng.normal(size=(n, classes)) * sharpness
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return labels, powers / powers.sum(axis=1, keepdims=True), classes


@given(answers())
@settings(deadline=None, max_examples=60)
def test_figures_equal_scikit_learn(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    labels, probabilities, classes = case
    predicted, every = probabilities.argmax(axis=1), np.arange(classes)
    confusion = confusion_matrix(labels, predicted, classes)
    scores = class_scores(confusion)

    assert (confusion == sk.confusion_matrix(labels, predicted, labels=every)).all()
    assert accuracy(confusion) == pytest.approx(sk.accuracy_score(labels, predicted), abs=EXACT)
    expected = sk.precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    for ours, theirs in zip(
        (scores.precision, scores.recall, scores.f1, scores.support), expected, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=EXACT)
    for average, ours in (("macro", macro_average(scores)), ("weighted", weighted_average(scores))):
        theirs = sk.precision_recall_fscore_support(
            labels, predicted, labels=every, zero_division=0, average=average
        )[:3]
        np.testing.assert_allclose((ours.precision, ours.recall, ours.f1), theirs, atol=EXACT)
    np.testing.assert_allclose(
        log_loss(labels, probabilities),
        sk.log_loss(labels, probabilities, labels=every),
        rtol=EXACT,
    )


def test_confusion_matrix_has_the_true_class_in_rows() -> None:
    assert confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 3).tolist() == [
        [1, 1, 0],
        [0, 1, 0],
        [0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("labels", "predicted", "found"),
    [
        ([], [], "at least one"),
        ([0, 1], [0], r"\(2,\)"),
        ([0, 3], [0, 0], "0 … 3"),
        ([-1], [0], "-1"),
    ],
)
def test_confusion_matrix_refuses(labels: list[int], predicted: list[int], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        confusion_matrix(np.array(labels, int), np.array(predicted, int), 3)


@given(answers())
@settings(deadline=None, max_examples=40)
def test_calibration_error_is_what_its_definition_says(
    case: tuple[np.ndarray, np.ndarray, int],
) -> None:
    labels, probabilities, _ = case
    total = 0.0
    for number in range(15):
        inside = [
            (row.max(), row.argmax() == label)
            for row, label in zip(probabilities, labels, strict=True)
            if number / 15 < row.max() <= (number + 1) / 15
        ]
        if inside:
            confidence, right = np.mean(inside, axis=0)
            total += len(inside) / len(labels) * abs(confidence - right)
    assert expected_calibration_error(labels, probabilities) == pytest.approx(total, abs=EXACT)


def test_calibration_error_of_a_model_that_is_always_sure_is_its_error() -> None:
    sure = np.eye(2)[[0, 0, 0, 1]]
    assert expected_calibration_error(np.array([0, 0, 1, 1]), sure) == pytest.approx(0.25)


def test_bootstrap_weights_draw_as_many_groups_as_there_are() -> None:
    weights = np.concatenate(list(bootstrap_weights(50, draws=700, seed=3)))
    assert weights.shape == (700, 50)
    assert (weights.sum(axis=1) == 50).all()
    # Each count is binomial(50, 1/50): mean 1, variance .98.
    assert weights.mean() == 1
    assert weights.var() == pytest.approx(0.98, abs=0.03)


def test_equal_seeds_draw_alike_however_the_work_is_cut() -> None:
    whole = np.concatenate(list(bootstrap_weights(30, draws=90, seed=5)))
    chunks = list(bootstrap_weights(30, draws=90, seed=5, photos=100_000))
    assert len(chunks) > 1
    assert (whole == np.concatenate(chunks)).all()
    other = np.concatenate(list(bootstrap_weights(30, draws=90, seed=6)))
    assert (whole != other).any()


@given(answers(), st.integers(1, 12), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_resampled_figures_are_those_of_the_photos_written_out(
    case: tuple[np.ndarray, np.ndarray, int], number_of_groups: int, seed: int
) -> None:
    """Second source: build every resample photo by photo and ask scikit-learn."""
    labels, probabilities, classes = case
    predicted = probabilities.argmax(axis=1)
    groups = [f"g{index % number_of_groups}" for index in range(len(labels))]
    codes, number = group_codes(groups)
    weights = np.concatenate(list(bootstrap_weights(number, draws=5, seed=seed)))

    right = (labels == predicted)[:, None]
    ours = resampled_accuracy(right, groups, draws=5, seed=seed)[:, 0]
    by_class = resampled_class_scores(labels, predicted, groups, classes, draws=5, seed=seed)
    our_f1 = by_class.macro_f1(np.bincount(labels, minlength=classes) > 0)

    for draw, (row, value, f1) in enumerate(zip(weights, ours, our_f1, strict=True)):
        photos = np.repeat(np.arange(len(labels)), row[codes].astype(int))
        assert value == pytest.approx(
            sk.accuracy_score(labels[photos], predicted[photos]), abs=EXACT
        )
        missed = set(labels.tolist()) - set(labels[photos].tolist())
        counted = [index for index in range(classes) if index not in missed]
        expected = sk.f1_score(
            labels[photos], predicted[photos], labels=counted, average="macro", zero_division=0
        )
        assert f1 == pytest.approx(expected, abs=EXACT)
        precision, recall, f1s, _ = sk.precision_recall_fscore_support(
            labels[photos],
            predicted[photos],
            labels=range(classes),
            zero_division=np.nan,
        )
        f1s[np.isnan(recall)] = np.nan
        for ours_of_class, theirs in (
            (by_class.precision, precision),
            (by_class.recall, recall),
            (by_class.f1, f1s),
        ):
            np.testing.assert_allclose(ours_of_class[draw], theirs, rtol=0, atol=EXACT)


def test_photos_of_one_group_make_the_interval_wider() -> None:
    right = np.tile([True, True, True, False], 100)[:, None]
    alone = [str(index) for index in range(400)]
    twenty_shots = [str(index // 20) for index in range(400)]
    together = np.repeat([True, True, True, False], 100)[:, None]
    narrow = percentile_interval(resampled_accuracy(right, alone)[:, 0], 0.75, 400)
    wide = percentile_interval(resampled_accuracy(together, twenty_shots)[:, 0], 0.75, 20)
    # Resampling n units of which 3/4 are right is drawing from a binomial distribution.
    ends = (0.025, 0.975)
    assert narrow == pytest.approx(binom.ppf(ends, 400, 0.75) / 400, abs=0.005)
    factor = few_groups_factor(20)
    assert wide == pytest.approx(0.75 + factor * (binom.ppf(ends, 20, 0.75) / 20 - 0.75), abs=0.001)


@pytest.mark.parametrize("groups", [2, 3, 5, 8, 30, 100])
def test_few_groups_get_students_interval(groups: int) -> None:
    """Second source: scipy's t interval of the mean of normal groups, whatever their spread."""
    rng = np.random.default_rng(groups)
    means = rng.normal(0.5, 0.02, groups)
    drawn = means[rng.integers(0, groups, (20_000, groups))].mean(axis=1)
    # The bootstrap's own spread in a normal shape, so that only the factor is put to test.
    values = NormalDist(means.mean(), drawn.std()).samples(200_000, seed=1)
    low, high = percentile_interval(np.array(values), means.mean(), groups, low=-9, high=9)
    error = means.std(ddof=1) / np.sqrt(groups)
    exact = t.interval(0.95, groups - 1, loc=means.mean(), scale=error)
    assert (low, high) == pytest.approx(exact, abs=0.03 * (exact[1] - exact[0]))


def test_many_groups_leave_the_interval_as_it_is() -> None:
    values = np.linspace(0.4, 0.8, 1001)
    assert percentile_interval(values, 0.6, 101) == pytest.approx((0.41, 0.79), abs=EXACT)
    assert few_groups_factor(30) == pytest.approx(1.06, abs=0.005)
    assert few_groups_factor(100) < 1.02


@given(st.integers(2, 120), st.floats(-1, 1), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_a_widened_interval_stays_in_range(groups: int, figure: float, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(-1, 1, 60)
    low, high = percentile_interval(values, figure, groups, low=-1, high=1)
    assert -1 <= low <= figure <= high <= 1


@pytest.mark.parametrize("n", [1, 5, 30, 300])
def test_all_right_gets_the_exact_binomial_interval(n: int) -> None:
    low, high = percentile_interval(np.ones(50), 1.0, n)
    exact = binomtest(n, n).proportion_ci(0.95, "exact")
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=EXACT)


@pytest.mark.parametrize(("n", "wrong"), [(30, 0), (30, 1), (100, 0), (100, 1), (100, 4), (300, 2)])
def test_few_mistakes_say_no_more_than_the_exact_interval(n: int, wrong: int) -> None:
    right = np.arange(n) >= wrong
    groups = [str(index) for index in range(n)]
    found = accuracy_interval(resampled_accuracy(right[:, None], groups)[:, 0], right, groups)
    exact = binomtest(n - wrong, n).proportion_ci(0.95, "exact")
    assert found[0] == pytest.approx(exact.low, abs=1e-9)
    turned = accuracy_interval(resampled_accuracy(~right[:, None], groups)[:, 0], ~right, groups)
    assert turned[1] == pytest.approx(1 - exact.low, abs=1e-9)


@given(st.integers(1, 12), st.integers(1, 6), st.data())
@settings(deadline=None, max_examples=60)
def test_a_mistake_never_raises_the_low_end_above_that_of_none(
    number: int, shots: int, data: st.DataObject
) -> None:
    groups = [str(index // shots) for index in range(number * shots)]
    wrong = data.draw(st.sets(st.sampled_from(range(number * shots)), max_size=4))
    lows = []
    for mistakes in (set(), wrong):
        right = np.array([index not in mistakes for index in range(number * shots)])
        values = resampled_accuracy(right[:, None], groups, draws=100)[:, 0]
        lows.append(accuracy_interval(values, right, groups)[0])
    assert lows[1] <= lows[0] + 1e-9


@given(st.integers(0, 60), st.integers(1, 60))
@settings(deadline=None, max_examples=60)
def test_clopper_pearson_is_scipys(right: int, wrong: int) -> None:
    exact = binomtest(right, right + wrong).proportion_ci(0.95, "exact")
    assert clopper_pearson(right, right + wrong) == pytest.approx((exact.low, exact.high), abs=1e-9)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=6))
@settings(deadline=None, max_examples=40)
def test_least_macro_f1_is_the_least(groups: list[int]) -> None:
    """Second source: scipy minimises the mean under the same condition."""
    counts, wanted = np.array(groups), np.log(0.025)
    logs = minimize(
        lambda x: np.exp(x).mean(),
        np.full(len(counts), wanted / counts.sum()),
        jac=lambda x: np.exp(x) / len(x),
        bounds=[(wanted / count, 0) for count in groups],
        constraints={
            "type": "eq",
            "fun": lambda x: counts @ x / counts.sum() - wanted / counts.sum(),
        },
        options={"maxiter": 500, "ftol": 1e-12},
    ).x
    assert least_macro_f1(counts) <= np.exp(logs).mean() + 1e-5
    assert least_macro_f1(counts) == pytest.approx(np.exp(logs).mean(), abs=2e-3)


def test_a_small_class_without_a_mistake_may_be_a_bad_one() -> None:
    assert least_macro_f1(np.array([15, 15])) == pytest.approx(0.025 ** (1 / 30), abs=EXACT)
    labels = np.repeat([0, 1], [98, 2])
    groups = [str(index) for index in range(100)]
    assert macro_f1_interval(np.ones(50), 1.0, labels, labels, groups, 2) == pytest.approx(
        ((1 + 0.025**0.5) / 2, 1.0), abs=EXACT
    )
    # A class without a photo counts 0, in the figure as well.
    assert macro_f1_interval(np.full(50, 2 / 3), 2 / 3, labels, labels, groups, 3)[0] == (
        pytest.approx((1 + 0.025**0.5) / 3, abs=EXACT)
    )


def test_macro_f1_with_a_mistake_lies_no_higher_than_without() -> None:
    labels, groups = np.arange(100) % 2, [str(index) for index in range(100)]
    lows = []
    for wrong in range(4):
        predicted = np.where(np.arange(100) < wrong, 1 - labels, labels)
        values = resampled_class_scores(labels, predicted, groups, 2).macro_f1(np.ones(2, bool))
        figure = macro_average(class_scores(confusion_matrix(labels, predicted, 2))).f1
        lows.append(macro_f1_interval(values, figure, labels, predicted, groups, 2)[0])
        exact = binomtest(100 - wrong, 100).proportion_ci(0.95, "exact").low
        assert lows[-1] == pytest.approx(exact, abs=1e-9)
    assert lows == sorted(lows, reverse=True)


def test_one_group_says_next_to_nothing() -> None:
    groups = ["only"] * 10
    values = resampled_accuracy(np.array([True] * 8 + [False] * 2)[:, None], groups)
    low, high = percentile_interval(values[:, 0], 0.8, 1)
    assert low < 0.03
    assert high > 0.99


def test_an_interval_holds_its_figure() -> None:
    rng = np.random.default_rng(0)
    for figure in (0.0, 0.2, 0.9, 1.0):
        for corrected in (False, True):
            values = rng.uniform(0.3, 0.7, 500)
            low, high = percentile_interval(values, figure, 40, bias_corrected=corrected)
            assert 0 <= low <= figure <= high <= 1


def test_macro_f1_intervals_hold_the_truth_with_few_photos_per_class() -> None:
    """30 classes of 8 photos: the plain percentile interval lies too low, the corrected not."""
    classes, held = 30, np.zeros(2)
    rng = np.random.default_rng(4)

    def photos(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, classes, n)
        wrong = (labels + rng.integers(1, classes, n)) % classes
        return labels, np.where(rng.random(n) < 0.85, labels, wrong)

    def f1(labels: np.ndarray, predicted: np.ndarray) -> float:
        return macro_average(class_scores(confusion_matrix(labels, predicted, classes))).f1

    truth, groups = f1(*photos(1_000_000)), [str(index) for index in range(240)]
    for seed in range(80):
        test = photos(240)
        resampled = resampled_class_scores(*test, groups, classes, draws=300, seed=seed)
        values = resampled.macro_f1(np.ones(classes, dtype=bool))
        for index, corrected in enumerate((False, True)):
            low, high = percentile_interval(values, f1(*test), 240, bias_corrected=corrected)
            held[index] += low <= truth <= high
    assert held[0] / 80 < 0.9
    assert held[1] / 80 >= 0.9


def test_class_intervals_rest_on_the_groups_of_the_class() -> None:
    # Class 0: 40 photos of 10 groups, all right. Class 1: half right. Class 2: never seen, never
    # answered. Class 3: seen, never answered.
    labels = np.repeat([0, 1, 3], [40, 40, 5])
    predicted = np.concatenate([np.zeros(40, int), np.tile([1, 0], 20), np.full(5, 1)])
    groups = [f"shot {index // 4}" for index in range(40)] + [str(index) for index in range(45)]
    scores = class_scores(confusion_matrix(labels, predicted, 4))
    resampled = resampled_class_scores(labels, predicted, groups, 4)
    intervals = class_intervals(resampled, scores, labels, predicted, groups)

    exact = binomtest(10, 10).proportion_ci(method="exact").low
    assert intervals.recall[0] == pytest.approx((exact, 1.0), abs=1e-9)
    low, high = intervals.recall[1]
    assert (low, high) == pytest.approx(binom.ppf((0.025, 0.975), 40, 0.5) / 40, abs=0.03)
    assert intervals.precision[2] == intervals.recall[2] == intervals.f1[2] == (0.0, 1.0)
    assert intervals.precision[3] == (0.0, 1.0)
    assert intervals.recall[3] == pytest.approx(
        binomtest(0, 5).proportion_ci(method="exact"), abs=1e-9
    )
    for kind in ("precision", "recall", "f1"):
        for (low, high), figure in zip(
            getattr(intervals, kind), getattr(scores, kind), strict=True
        ):
            assert 0 <= low <= figure <= high <= 1


@given(answers(), st.integers(0, 99))
@settings(deadline=None, max_examples=15)
def test_class_intervals_hold_their_figures(
    case: tuple[np.ndarray, np.ndarray, int], seed: int
) -> None:
    labels, probabilities, classes = case
    predicted = probabilities.argmax(axis=1)
    groups = [str(index // 2) for index in range(len(labels))]
    scores = class_scores(confusion_matrix(labels, predicted, classes))
    resampled = resampled_class_scores(labels, predicted, groups, classes, draws=50, seed=seed)
    intervals = class_intervals(resampled, scores, labels, predicted, groups)
    for kind in ("precision", "recall", "f1"):
        ends = np.array(getattr(intervals, kind))
        assert ((ends >= 0) & (ends <= 1)).all()
        assert (ends[:, 0] <= getattr(scores, kind)).all()
        assert (getattr(scores, kind) <= ends[:, 1]).all()


@pytest.mark.parametrize(("photos", "classes"), [(10_000, 10), (3_000, 300)])
def test_memory_and_time_stay_bounded(photos: int, classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, photos)
    predicted = np.where(rng.random(photos) < 0.9, labels, rng.integers(0, classes, photos))
    groups = [str(index) for index in range(photos)]
    tracemalloc.start()
    start = time.process_time()
    resampled = resampled_class_scores(labels, predicted, groups, classes, draws=2000)
    scores = class_scores(confusion_matrix(labels, predicted, classes))
    class_intervals(resampled, scores, labels, predicted, groups)
    resampled_accuracy((labels == predicted)[:, None], groups, draws=2000)
    spent, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    assert spent < 10  # about 1 s on one core, several times that under coverage

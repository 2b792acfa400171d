from __future__ import annotations

from itertools import takewhile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from scipy.stats import binomtest

from pegboard.calibrate import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    NEVER_SURE,
    SET_COVERAGES,
    STARTS,
    SURE_CONFIDENCE,
    apply_temperature,
    fit_temperature,
    set_limit,
    set_limits,
    sure_threshold,
)
from pegboard.errors import PegboardError
from pegboard.metrics import expected_calibration_error


def drawn(n: int, true_temperature: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are ``true_temperature`` times too sharp for the labels drawn from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 5)) * 2
    probabilities = softmax(logits, axis=1)
    labels = np.array([rng.choice(5, p=row) for row in probabilities])
    return logits * true_temperature, labels


def nll(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    return float(-np.log(apply_temperature(logits, temperature)[range(len(labels)), labels]).mean())


@given(st.floats(0.3, 4), st.integers(0, 999))
@settings(deadline=None, max_examples=15)
def test_temperature_is_where_scipy_finds_the_least_nll(sharp: float, seed: int) -> None:
    logits, labels = drawn(150, sharp, seed)
    found = minimize_scalar(
        lambda log_t: nll(logits, labels, float(np.exp(log_t))),
        bounds=(np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)),
        options={"xatol": 1e-9},
    )
    assert fit_temperature(logits, labels) == pytest.approx(np.exp(found.x), rel=1e-4)


@pytest.mark.parametrize("sharp", [0.5, 1.0, 3.0])
def test_temperature_undoes_what_made_the_model_too_sure(sharp: float) -> None:
    logits, labels = drawn(4000, sharp, 1)
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(sharp, rel=0.08)
    assert expected_calibration_error(labels, apply_temperature(logits, temperature)) < 0.025


def test_a_perfect_validation_does_not_make_the_model_infinitely_sure() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 30)
    logits = rng.uniform(0, 1, (30, 4)) + 3 * np.eye(4)[labels]
    confidence = apply_temperature(logits, fit_temperature(logits, labels)).max(axis=1)
    assert confidence.mean() == pytest.approx(31 / 32, abs=1e-9)


def test_useless_logits_end_at_the_highest_temperature() -> None:
    logits, labels = drawn(500, 1.0, 2)
    assert fit_temperature(-logits, labels) == pytest.approx(HIGHEST_TEMPERATURE)


@pytest.mark.parametrize("logits", [np.zeros((0, 3)), np.array([[0.0, np.nan, 1.0]]), np.zeros(3)])
def test_temperature_refuses_nothing_and_nan(logits: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected finite logits"):
        fit_temperature(logits, np.zeros(len(logits), int))


@given(st.integers(0, 999), st.floats(0.05, 20), st.sampled_from([1.0, 700.0, 1e5]))
@settings(deadline=None, max_examples=25)
def test_probabilities_sum_to_one_and_keep_the_answer(
    seed: int, temperature: float, scale: float
) -> None:
    logits = (np.random.default_rng(seed).normal(size=(9, 4)) * scale).astype(np.float32)
    probabilities = apply_temperature(logits, temperature)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(
        probabilities, softmax(logits.astype(float) / temperature, axis=1), atol=1e-13
    )
    assert (probabilities.argmax(axis=1) == logits.argmax(axis=1)).all()


@given(
    st.lists(
        st.tuples(st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9, 1.0]), st.integers(0, 9)),
        min_size=1,
        max_size=120,
    ),
    st.sampled_from([0.3, 0.5, 0.7, 0.9]),
)
@settings(deadline=None, max_examples=80)
def test_threshold_is_what_its_definition_says(
    photos: list[tuple[float, int]], precision: float
) -> None:
    confidence = np.array([value for value, _ in photos])
    right = np.array([chance > 0 for _, chance in photos])
    probabilities = np.stack([confidence, 0 * confidence], axis=1)
    levels = sorted(set(confidence), reverse=True)

    def passes(level: float) -> bool:
        sure = confidence >= level
        wrong = int((sure & ~right).sum())
        test = binomtest(wrong, int(sure.sum()), 1 - precision, alternative="less")
        return test.pvalue <= (1 - SURE_CONFIDENCE) / len(STARTS)

    walked = [
        list(takewhile(passes, (x for x in levels if (confidence >= x).mean() >= start)))
        for start in STARTS
    ]
    expected = min((walk[-1] for walk in walked if walk), default=NEVER_SURE)
    assert sure_threshold(probabilities, np.where(right, 0, 1), precision) == expected


@pytest.mark.parametrize(("shape", "precision"), [((4, 0.5), 0.95), ((6, 0.3), 0.98)])
def test_what_is_shown_on_validation_holds_on_new_photos(
    shape: tuple[float, float], precision: float
) -> None:
    """A calibrated model: the share of wrong ones among all photos above a level is known."""
    chance = np.random.default_rng(0)
    new = np.sort(chance.beta(*shape, 100_000))[::-1]
    risk = 1 - np.cumsum(new) / np.arange(1, len(new) + 1)
    broken, covered, draws = 0, [], 100
    for _ in range(draws):
        confidence = chance.beta(*shape, 600)
        right = chance.random(600) < confidence
        probabilities = np.stack([confidence, 0 * confidence], axis=1)
        threshold = sure_threshold(probabilities, np.where(right, 0, 1), precision)
        sure = int((new >= threshold).sum())
        broken += bool(sure and risk[sure - 1] > 1 - precision)
        covered.append(sure / len(new))
    assert broken <= (1 - SURE_CONFIDENCE) * draws
    assert np.mean(covered) > 0.4  # and it is no use to be never sure


@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
@settings(deadline=None, max_examples=40)
def test_photos_that_stand_alone_are_groups_of_one(seed: int, photos: int) -> None:
    chance = np.random.default_rng(seed)
    confidence = chance.beta(6, 0.3, photos)
    probabilities = np.stack([confidence, 0 * confidence], axis=1)
    labels = (chance.random(photos) > confidence).astype(int)
    alone = [f"photo {number}" for number in chance.permutation(photos)]
    assert sure_threshold(probabilities, labels, 0.8, groups=alone) == sure_threshold(
        probabilities, labels, 0.8
    )


@pytest.mark.parametrize("size", [3, 10])
def test_copies_of_a_photo_show_no_more_than_the_photo(size: int) -> None:
    """Groups of photos that are right or wrong together, 8 % of them wrong at every confidence."""
    chance = np.random.default_rng(0)
    believed = {True: 0, False: 0}
    for _ in range(100):
        confidence = chance.uniform(0.5, 0.9, 300 // size).repeat(size)
        confidence += chance.uniform(0, 0.01, len(confidence))
        probabilities = np.stack([confidence, 0 * confidence], axis=1)
        labels = (chance.random(300 // size) < 0.08).astype(int).repeat(size)
        groups = [f"group {number}" for number in range(300 // size) for _ in range(size)]
        for told in believed:
            found = sure_threshold(probabilities, labels, groups=groups if told else None)
            believed[told] += found != NEVER_SURE
    assert believed[True] <= (1 - SURE_CONFIDENCE) * 100 < believed[False]


def test_too_few_photos_show_nothing() -> None:
    for photos, is_shown in ((66, False), (67, True)):  # 0.95^67 is the first below 0.1 / 3
        threshold = sure_threshold(np.eye(2)[np.zeros(photos, int)], np.zeros(photos, int))
        assert (threshold <= 1) is is_shown


def test_never_sure_is_out_of_reach() -> None:
    always_wrong = np.eye(2)[np.zeros(200, int)]
    threshold = sure_threshold(always_wrong, np.ones(200, int))
    assert not (always_wrong.max(axis=1) >= threshold).any()
    assert sure_threshold(np.zeros((0, 3)), np.zeros(0, int)) == NEVER_SURE


# --- sets of classes -------------------------------------------------------------------------


@given(
    n=st.integers(5, 60),
    coverage=st.sampled_from([0.5, 0.8, 0.9, 0.99]),
    sharp=st.floats(0.2, 5),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=25)
def test_sets_hold_the_right_class_as_often_as_asked(
    n: int, coverage: float, sharp: float, seed: int
) -> None:
    """However wrong the probabilities are: over draws of validation photos and of a new one."""
    draws, found = 400, 0
    logits, labels = drawn(draws * (n + 1), sharp, seed)
    probabilities = apply_temperature(logits).reshape(draws, n + 1, -1)
    for shown, true in zip(probabilities, labels.reshape(draws, n + 1), strict=True):
        least = set_limit(set_limits(shown[:-1], true[:-1]), coverage)
        found += bool(shown[-1, true[-1]] >= least)
    # Three standard errors below, at most; and no wider than the grid of n + 1 photos makes them.
    error = 3 * np.sqrt(coverage * (1 - coverage) / draws)
    assert found / draws >= coverage - error
    assert found / draws <= coverage + 1 / (n + 1) + error


def test_few_photos_leave_all_classes_open() -> None:
    limits = set_limits(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]))
    assert limits[0] == 0.8
    assert limits[-1] is None
    assert set_limit(limits, SET_COVERAGES[-1]) == 0
    assert limits == sorted(limits, key=lambda limit: -(limit or 0))
    for coverage in (0, 0.991, 1, -1):
        with pytest.raises(PegboardError, match=r"--sets: expected a share up to 0\.99"):
            set_limit(limits, coverage)

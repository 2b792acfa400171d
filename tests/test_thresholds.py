"""Areas under curves are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from boards import digit_answers
from pegboard.thresholds import macro_areas, sweep, sweeps

EXACT = 1e-12


@st.composite
def two_sorts(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Photos of a class and others, with probabilities of which many are equal."""
    n = draw(st.integers(2, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    positive = rng.random(n) < draw(st.sampled_from([0.05, 0.5, 0.95]))
    positive[:2] = [True, False]
    steps = draw(st.sampled_from([1, 3, 10_000]))
    return positive, rng.integers(0, steps + 1, n) / steps


@given(two_sorts())
@settings(deadline=None, max_examples=60)
def test_curves_and_areas_are_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    positive, scores = case
    swept = sweep(positive, scores)

    assert swept.roc_auc == pytest.approx(sk.roc_auc_score(positive, scores), abs=EXACT)
    assert swept.average_precision == pytest.approx(
        sk.average_precision_score(positive, scores), abs=EXACT
    )
    false, true, _ = sk.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(swept.false_positive_rate, false, rtol=0, atol=EXACT)
    np.testing.assert_allclose(swept.recall, true, rtol=0, atol=EXACT)
    precision, recall, _ = sk.precision_recall_curve(positive, scores)
    np.testing.assert_allclose(swept.precision, precision[::-1], rtol=0, atol=EXACT)
    np.testing.assert_allclose(swept.recall, recall[::-1], rtol=0, atol=EXACT)


@pytest.mark.parametrize("name", ["fastcnn", "lm", "mobilenetv2"])
def test_macro_areas_of_real_answers(name: str) -> None:
    _, test = digit_answers()[name]
    every = np.eye(10)[test.labels]
    assert macro_areas(test.labels, test.probabilities) == (
        pytest.approx(sk.roc_auc_score(every, test.probabilities, average="macro"), abs=EXACT),
        pytest.approx(
            sk.average_precision_score(every, test.probabilities, average="macro"), abs=EXACT
        ),
    )


def test_classes_without_photos_are_left_aside() -> None:
    labels = np.array([0, 2, 2, 0, 2])
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), 5)
    assert [index for index, _ in sweeps(labels, probabilities)] == [0, 2]
    roc_auc, average_precision = macro_areas(labels, probabilities)
    kept = [(labels == index, probabilities[:, index]) for index in (0, 2)]
    assert roc_auc == pytest.approx(np.mean([sk.roc_auc_score(*pair) for pair in kept]), abs=EXACT)
    assert average_precision == pytest.approx(
        np.mean([sk.average_precision_score(*pair) for pair in kept]), abs=EXACT
    )


def test_one_class_alone_has_no_area() -> None:
    assert macro_areas(np.zeros(3, int), np.full((3, 2), 0.5)) == (None, None)
    with pytest.raises(ValueError, match="found 3 of 3"):
        sweep(np.ones(3, bool), np.ones(3))

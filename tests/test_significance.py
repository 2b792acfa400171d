from __future__ import annotations

from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from boards import digit_answers
from pegboard.errors import PegboardError
from pegboard.evaluate import Predictions
from pegboard.significance import Comparison, compare_models, holm, mcnemar, paired_p


def answered(right: list[bool], groups: list[str] | None = None) -> Predictions:
    """Answers to photos of class x, right or wrong as told."""
    paths = [f"{index}.jpg" for index in range(len(right))]
    probabilities = [[0.9, 0.1] if each else [0.2, 0.8] for each in right]
    return Predictions(
        paths, np.zeros(len(right), int), np.array(probabilities), ["x", "y"], groups or paths
    )


@given(st.integers(0, 25), st.integers(0, 25))
@settings(deadline=None, max_examples=60)
def test_mcnemar_is_the_two_sided_coin_test(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    ways = [comb(n, k) for k in range(n + 1)]
    expected = sum(way for way in ways if way <= ways[only_a]) / 2**n
    a = np.array([1.0] * only_a + [0.0] * only_b + [1, 0])
    b = np.array([0.0] * only_a + [1.0] * only_b + [1, 0])
    assert mcnemar(a, b) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
@settings(deadline=None, max_examples=60)
def test_with_one_photo_per_group_the_p_is_mcnemars(right: list[tuple[bool, bool]]) -> None:
    a, b = np.array(right, dtype=float).T
    assert paired_p(a, b, [str(index) for index in range(len(a))]) == mcnemar(a, b)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 7)), min_size=1))
@settings(deadline=None, max_examples=60)
def test_groups_are_what_is_independent(right: list[tuple[bool, bool, int]]) -> None:
    """As a sign test of the groups' differences by scipy; shots of a group prove nothing more."""
    a, b, codes = np.array(right, dtype=float).T
    groups = [str(code) for code in codes]
    nets = [sum((a - b)[codes == code]) for code in set(codes)]
    better, other = sum(net > 0 for net in nets), sum(net != 0 for net in nets)
    of_groups = binomtest(better, other).pvalue if other else 1.0
    assert paired_p(a, b, groups) == pytest.approx(max(mcnemar(a, b), of_groups), abs=1e-12)
    shots = paired_p(np.tile(a, 9), np.tile(b, 9), groups * 9)
    assert shots >= of_groups - 1e-12


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
@settings(deadline=None, max_examples=60)
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float]) -> None:
    """By definition: go up the sorted p values; stop at the first above level / (m - rank)."""
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.2, 0.5):
        rejected = set()
        for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
            if p_values[index] * (len(p_values) - rank) > level:
                break
            rejected.add(index)
        assert {index for index, p in enumerate(adjusted) if p <= level} == rejected


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.permutations([0.001, 0.02, 0.02, 0.4]))
def test_holm_does_not_depend_on_the_order(p_values: list[float]) -> None:
    expected = dict(zip((0.001, 0.02, 0.4), (0.004, 0.06, 0.4), strict=True))
    assert holm(p_values) == pytest.approx([expected[p] for p in p_values])


def test_real_answers_get_the_verdicts_they_deserve() -> None:
    test = {name: answers[1] for name, answers in digit_answers().items()}
    verdicts = {(c.a, c.b): c.verdict for c in compare_models(test)}
    assert verdicts == {
        ("fastcnn", "cnn"): "not_shown",
        ("fastcnn", "lm"): "a_better",
        ("fastcnn", "mobilenetv2"): "a_better",
        ("cnn", "lm"): "a_better",
        ("cnn", "mobilenetv2"): "a_better",
        ("lm", "mobilenetv2"): "a_better",
    }
    turned = compare_models({"lm": test["lm"], "fastcnn": test["fastcnn"]})[0]
    assert turned.verdict == "b_better"
    assert turned.difference == pytest.approx(
        np.mean(test["lm"].right) - np.mean(test["fastcnn"].right)
    )
    assert turned.ci[0] < turned.difference < turned.ci[1] < 0
    assert turned.p_mcnemar == turned.p_adjusted


def test_the_interval_is_a_paired_one() -> None:
    """Two models that fail on the same photos differ by less than two that do not."""
    same = [True] * 80 + [False] * 20
    a = answered(same)
    alike = answered([*same[:-1], True])
    unlike = answered([False] * 19 + [True] * 81)
    narrow, wide = (compare_models({"a": a, "b": b})[0] for b in (alike, unlike))
    assert narrow.difference == wide.difference == pytest.approx(-0.01)
    assert wide.ci[1] - wide.ci[0] > 3 * (narrow.ci[1] - narrow.ci[0])


def test_twenty_shots_of_one_object_are_not_twenty_proofs() -> None:
    a, b = [True] * 60, [False] * 20 + [True] * 40
    apart = compare_models({"a": answered(a), "b": answered(b)})[0]
    shots = [f"object {index // 20}" for index in range(60)]
    together = compare_models({"a": answered(a, shots), "b": answered(b, shots)})[0]
    assert apart.verdict == "a_better"
    assert apart.p_mcnemar < 0.001
    assert together.p_mcnemar == 1
    assert together.verdict == "not_shown"


@pytest.mark.parametrize("groups", [1, 2])
def test_one_or_two_groups_show_nothing(groups: int) -> None:
    shots = [str(index % groups) for index in range(100)]
    found = compare_models(
        {"a": answered([True] * 100, shots), "b": answered([False] * 100, shots)}
    )[0]
    assert found.difference == 1
    assert found.verdict == "not_shown"


def test_equal_models_are_seldom_told_apart_by_few_cameras() -> None:
    """Each of 5 cameras suits one model better by chance; McNemar alone told 2 in 3 apart."""
    rng = np.random.default_rng(0)
    cameras = [f"camera {index // 40}" for index in range(200)]
    false_alarms = 0
    for _ in range(60):
        chances = rng.choice([0.7, 0.9], (2, 5)).repeat(40, axis=1)
        a, b = (answered(row.tolist(), cameras) for row in rng.random((2, 200)) < chances)
        found = compare_models({"a": a, "b": b}, draws=200)[0]
        false_alarms += found.verdict != "not_shown"
    assert false_alarms <= 3


def test_models_that_agree_are_not_shown_to_differ() -> None:
    found = compare_models({"a": answered([True, False] * 50), "b": answered([True, False] * 50)})
    assert (found[0].difference, found[0].p_mcnemar, found[0].verdict) == (0, 1, "not_shown")
    assert found[0].ci[0] < 0 < found[0].ci[1]


def test_the_majority_row_is_compared_only_with_a_single_model() -> None:
    cnn, majority = answered([True] * 30), answered([False] * 30)
    assert [(c.a, c.b) for c in compare_models({"majority": majority, "cnn": cnn})] == [
        ("cnn", "majority")
    ]
    three = compare_models({"cnn": cnn, "majority": majority, "lm": cnn})
    assert [(c.a, c.b) for c in three] == [("cnn", "lm")]
    assert compare_models({"cnn": cnn}) == []
    assert compare_models({}) == []


def test_the_order_of_photos_does_not_matter() -> None:
    a, b = answered([True] * 9 + [False]), answered([True, False] * 5)
    expected = compare_models({"a": a, "b": b})
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(10)
        turned = Predictions(
            [b.paths[i] for i in order],
            b.labels[order],
            b.probabilities[order],
            b.classes,
            [b.groups[i] for i in order],
        )
        assert compare_models({"a": a, "b": turned}) == expected


def test_different_photos_are_refused() -> None:
    a, b = answered([True] * 5), answered([True] * 6)
    with pytest.raises(PegboardError, match=r"a and b did not answer the same .* \(5 and 6 photos"):
        compare_models({"a": a, "b": b})
    relabelled = Predictions(a.paths, a.labels + 1, a.probabilities, a.classes, a.groups)
    with pytest.raises(PegboardError, match="same labels"):
        compare_models({"a": a, "b": relabelled})


def test_a_comparison_survives_json() -> None:
    found = compare_models({"a": answered([True] * 9), "b": answered([False] * 9)})[0]
    data = found.to_json()
    assert list(data) == ["a", "b", "difference", "ci", "p_mcnemar", "p_adjusted", "verdict"]
    assert Comparison.from_json(data) == found


def test_many_models_that_are_equally_good_are_seldom_told_apart() -> None:
    """Holm keeps the chance of any false verdict among all pairs under 5 %."""
    rng = np.random.default_rng(0)
    false_alarms = 0
    for _ in range(60):
        models = {str(k): answered((rng.random(120) < 0.8).tolist()) for k in range(5)}
        verdicts = [c.verdict for c in compare_models(models, draws=200)]
        assert len(verdicts) == 10
        false_alarms += any(verdict != "not_shown" for verdict in verdicts)
    assert false_alarms <= 6


def test_adjusted_values_rise_with_the_plain_ones() -> None:
    test = {name: answers[1] for name, answers in digit_answers().items()}
    by_p = sorted(compare_models(test), key=lambda c: c.p_mcnemar)
    assert all(x.p_adjusted <= y.p_adjusted for x, y in pairwise(by_p))
    assert all(c.p_mcnemar <= c.p_adjusted <= 1 for c in by_p)

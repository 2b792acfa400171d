from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from pegboard import nearest
from pegboard.budget import Budget
from pegboard.errors import BudgetSpent
from pegboard.nearest import neighbours


def drawn(count: int, length: int, seed: int = 0) -> np.ndarray:
    """Vectors in clusters of few dimensions, as features of photos lie."""
    rng = np.random.default_rng(seed)
    axes = rng.normal(size=(24, length)) / np.arange(1, 25)[:, None] ** 0.5
    middles = rng.normal(size=(12, 24)) * 2
    inner = rng.normal(size=(count, 24)) + middles[rng.integers(0, 12, count)]
    return (inner @ axes + 3 + rng.normal(size=(count, length)) * 0.05).astype(np.float32)


def expected(vectors: np.ndarray, count: int) -> set[tuple[int, int]]:
    search = NearestNeighbors(n_neighbors=count + 1, metric="cosine", algorithm="brute")
    found = search.fit(vectors).kneighbors(vectors, return_distance=False)
    return {
        (min(row, int(other)), max(row, int(other)))
        for row, others in enumerate(found)
        for other in [one for one in others if one != row][:count]
    }


def pairs(found: tuple[np.ndarray, np.ndarray, np.ndarray]) -> set[tuple[int, int]]:
    return set(zip(found[0].tolist(), found[1].tolist(), strict=True))


@pytest.mark.parametrize("count", [1, 4])
def test_all_pairs_as_scikit_learn_finds_them(count: int) -> None:
    vectors = drawn(400, 60)
    assert pairs(neighbours(vectors, count, centred=False)) == expected(vectors, count)
    centred = vectors - vectors.mean(axis=0)
    assert pairs(neighbours(vectors, count)) == expected(centred, count)


def test_cosines_are_those_of_the_vectors_in_full() -> None:
    vectors = drawn(nearest.AS_THEY_ARE + 100, 200)
    first, second, cosines = neighbours(vectors, 3, least=0.5, centred=False)
    rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.allclose((rows[first] * rows[second]).sum(axis=1), cosines, atol=1e-5)
    assert cosines.min() >= 0.5
    assert (first < second).all()


def test_an_inverted_file_finds_nearly_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """With limits so low that a small set takes the way of a large one."""
    monkeypatch.setattr(nearest, "ALL_PAIRS", 1000)
    monkeypatch.setattr(nearest, "AS_THEY_ARE", 1000)
    vectors = drawn(6000, 300)
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(500, 300)).astype(np.float32) * vectors.std() * 0.2
    vectors[-500:] = vectors[:500] + noise
    planted = {(index, 5500 + index) for index in range(500)}
    found = neighbours(vectors, 6)
    assert len(planted & pairs(found)) >= 0.98 * len(planted)
    again = neighbours(vectors, 6)
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 9), st.integers(1, 12), st.integers(0, 5))
def test_few_vectors(vectors: int, count: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(vectors, 5)).astype(np.float32)
    found = neighbours(rows, count, centred=False)
    if count >= vectors - 1:
        assert len(found[0]) == vectors * (vectors - 1) // 2
    assert not (found[0] == found[1]).any()


def test_equal_vectors_and_zeros_are_no_trouble() -> None:
    rows = np.zeros((50, 8), np.float32)
    assert np.isfinite(neighbours(rows, 3)[2]).all()


def test_it_stops_when_time_is_up() -> None:
    with pytest.raises(BudgetSpent):
        neighbours(drawn(50, 10), 3, budget=Budget(0.0))

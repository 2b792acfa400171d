from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard.errors import SourceError
from pegboard.folds import fold_numbers

# Groups as (class, size): a group is of one class here.
GROUPS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), min_size=15, max_size=40)


def laid_out(drawn: list[tuple[int, int]]) -> tuple[np.ndarray, list[str]]:
    labels = [label for label, size in drawn for _ in range(size)]
    groups = [f"group {number}" for number, (_, size) in enumerate(drawn) for _ in range(size)]
    return np.array(labels), groups


class TestFolds:
    @settings(max_examples=40, deadline=None)
    @given(GROUPS, st.integers(3, 5), st.integers(0, 3))
    def test_every_photo_has_a_fold_and_no_group_crosses(
        self, drawn: list[tuple[int, int]], folds: int, seed: int
    ) -> None:
        labels, groups = laid_out(drawn)
        try:
            numbers = fold_numbers(labels, groups, folds=folds, seed=seed)
        except SourceError:
            least = min(sum(label == one for label, _ in drawn) for one in set(labels.tolist()))
            assert least < folds
            return
        assert set(numbers.tolist()) == set(range(folds))
        where = defaultdict(set)
        for group, number in zip(groups, numbers.tolist(), strict=True):
            where[group].add(number)
        assert all(len(found) == 1 for found in where.values())

    @settings(max_examples=30, deadline=None)
    @given(GROUPS, st.randoms(use_true_random=False))
    def test_the_order_of_photos_plays_no_part(
        self, drawn: list[tuple[int, int]], random: object
    ) -> None:
        labels, groups = laid_out(drawn)
        order = list(range(len(labels)))
        random.shuffle(order)  # type: ignore[attr-defined]
        try:
            numbers = fold_numbers(labels, groups, folds=3, seed=0)
        except SourceError:
            return
        mixed = fold_numbers(labels[order], [groups[i] for i in order], folds=3, seed=0)
        assert mixed.tolist() == numbers[order].tolist()

    def test_classes_are_spread_evenly(self) -> None:
        labels = np.repeat([0, 1, 2], [60, 30, 12])
        numbers = fold_numbers(labels, [str(n) for n in range(102)], folds=3, seed=0)
        for label, share in ((0, 20), (1, 10), (2, 4)):
            assert np.bincount(numbers[labels == label]).tolist() == [share] * 3

    def test_the_seed_draws_other_folds(self) -> None:
        labels, groups = np.repeat([0, 1], 20), [str(n) for n in range(40)]
        drawn = [fold_numbers(labels, groups, folds=4, seed=seed).tolist() for seed in (0, 1, 0)]
        assert drawn[0] == drawn[2] != drawn[1]

    @pytest.mark.parametrize(("photos", "says"), [(4, "give --folds 4"), (2, "--exclude-class")])
    def test_too_few_groups_are_refused(self, photos: int, says: str) -> None:
        labels = np.array([0] * photos + [1] * 20)
        with pytest.raises(SourceError, match=says):
            fold_numbers(labels, [str(n) for n in range(len(labels))], folds=5, seed=0)

"""Training photos before backgrounds that no camera took."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard.backdrops import Objects
from pegboard.backgrounds import object_mask
from pegboard.budget import Budget
from pegboard.errors import BudgetSpent

SIDE = 95
"""Odd, so that bits do not fill bytes."""


def photos() -> np.ndarray:
    """Return three photos: two things on a floor, and noise in which nothing can be told."""
    floor = np.full((3, SIDE, SIDE, 3), 150, np.uint8)
    floor[0, 30:60, 20:70] = (200, 30, 30)
    floor[1, 20:70, 35:60] = (30, 40, 190)
    floor[2] = np.random.default_rng(0).integers(0, 256, floor[2].shape, np.uint8)
    return floor


def test_objects_are_found_where_a_mask_is() -> None:
    found = Objects.of(photos(), [0, 1, 2], threads=2)
    assert sorted(found.masks) == [0, 1]
    for index, bits in found.masks.items():
        mask = np.unpackbits(bits, count=SIDE * SIDE).reshape(SIDE, SIDE).astype(bool)
        assert np.array_equal(mask, object_mask(photos()[index]))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.integers(0, 1000))
def test_the_thing_stays_and_the_rest_is_new(order: list[int], seed: int) -> None:
    whole = photos()
    kept = whole.copy()
    found = Objects.of(whole, range(3))
    shown = found.before_others(whole[order], order, 1.0, np.random.default_rng(seed))
    assert np.array_equal(whole, kept)
    assert (shown.shape, shown.dtype) == ((len(order), SIDE, SIDE, 3), np.uint8)
    inside = {0: np.s_[33:57, 23:67], 1: np.s_[23:67, 38:57]}
    for one, index in zip(shown, order, strict=True):
        if index == 2:
            assert np.array_equal(one, whole[2])
            continue
        thing = whole[index][inside[index]]
        assert np.abs(one[inside[index]].astype(int) - thing).max() <= 1
        assert np.abs(one[0].astype(int) - whole[index][0]).mean() > 1


def test_nothing_is_replaced_at_no_share() -> None:
    whole = photos()
    found = Objects.of(whole, range(3))
    shown = found.before_others(whole, range(3), 0.0, np.random.default_rng(0))
    assert np.array_equal(shown, whole)


def test_looking_for_objects_ends_with_the_budget() -> None:
    with pytest.raises(BudgetSpent):
        Objects.of(photos(), range(len(photos())), budget=Budget(1, started=time.monotonic() - 2))

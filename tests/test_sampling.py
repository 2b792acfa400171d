from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pegboard.sampling import each_class_in_turn, evenly


@given(st.integers(0, 5000), st.integers(2, 2000))
def test_places_are_spread_evenly_from_the_first_to_the_last(count: int, most: int) -> None:
    places = evenly(np.arange(count), most)
    assert len(places) == min(count, most)
    if count <= most:
        assert places.tolist() == list(range(count))
    else:
        gaps = np.diff(places)
        assert (places[0], places[-1]) == (0, count - 1)
        assert gaps.min() >= 1
        assert gaps.max() - gaps.min() <= 1


@given(st.lists(st.integers(0, 4), max_size=300), st.integers(0, 400), st.integers(0, 9))
def test_every_class_is_drawn_as_often_as_any_while_it_lasts(
    labels: list[int], most: int, seed: int
) -> None:
    of = np.array(labels, np.int64)
    drawn = each_class_in_turn(of, most, seed)
    assert len(drawn) == min(len(labels), most)
    assert (np.diff(drawn) > 0).all()
    counts, there = np.bincount(of[drawn], minlength=5), np.bincount(of, minlength=5)
    for label in range(5):
        # Who gives fewer than another has no more, or missed the last turn, which may be cut.
        assert counts[label] >= min(there[label], counts.max() - 1)

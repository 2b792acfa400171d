from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pegboard.sampling import evenly


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

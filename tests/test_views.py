"""Views of a training photo: the same for the same number, of the same shape, and useful."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard.backdrops import backdrop
from pegboard.backgrounds import object_mask
from pegboard.examples.studio import photograph
from pegboard.recipes import ELSEWHERE, Views
from pegboard.views import view, view_key

NOTHING = Views(count=1)


def on_a_floor(channels: int = 3, side: int = 96) -> np.ndarray:
    photo = np.full((side, side, 3), 150, np.uint8)
    photo[side // 3 : 2 * side // 3, side // 4 : 3 * side // 4] = (200, 30, 30)
    return photo[:, :, :channels]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 50), st.sampled_from([1, 3]), st.integers(40, 120), st.integers(40, 120))
def test_a_view_has_the_photo_s_shape_and_leaves_the_photo_alone(
    number: int, channels: int, height: int, width: int
) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    kept = photo.copy()
    seen = view(photo, ELSEWHERE, "key", number)
    assert seen.shape == photo.shape
    assert seen.dtype == np.uint8
    assert np.array_equal(photo, kept)


def test_key_and_number_decide_the_view() -> None:
    photo = on_a_floor()
    first = view(photo, ELSEWHERE, "a", 0)
    assert np.array_equal(first, view(photo, ELSEWHERE, "a", 0))
    assert not np.array_equal(first, view(photo, ELSEWHERE, "a", 1))
    assert not np.array_equal(first, view(photo, ELSEWHERE, "b", 0))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_view_without_changes_is_the_photo(channels: int) -> None:
    photo = on_a_floor(channels)
    assert np.abs(view(photo, NOTHING, "a", 0).astype(int) - photo).max() <= 1


def test_only_the_background_is_replaced() -> None:
    photo = on_a_floor()
    mask = object_mask(photo)
    assert mask is not None
    inside = np.zeros(mask.shape, bool)
    inside[36:60, 28:68] = True
    seen = [view(photo, replace(NOTHING, replace=1.0), "a", number) for number in range(6)]
    for one in seen:
        assert np.abs(one[inside].astype(int) - photo[inside]).max() <= 1
        assert np.abs(one[0].astype(int) - photo[0]).mean() > 2
    assert len({one.tobytes() for one in seen}) == len(seen)


def test_a_mirrored_view_is_the_mirror_image() -> None:
    photo = np.random.default_rng(1).integers(0, 256, (64, 48, 3), np.uint8)
    how = replace(NOTHING, mirror=True)
    views = [view(photo, how, "a", number) for number in range(12)]
    straight = [np.array_equal(one, photo) for one in views]
    mirrored = [np.array_equal(one, photo[:, ::-1]) for one in views]
    assert any(straight)
    assert any(mirrored)
    assert all(a or b for a, b in zip(straight, mirrored, strict=True))


def test_a_smaller_view_shows_the_photo_s_middle_smaller() -> None:
    photo = on_a_floor()
    seen = view(photo, replace(NOTHING, scale=(0.5, 0.5)), "a", 0)
    red = (seen[:, :, 0] > 180) & (seen[:, :, 1] < 60)
    whole = (photo[:, :, 0] > 180) & (photo[:, :, 1] < 60)
    assert red.sum() == pytest.approx(whole.sum() / 4, rel=0.15)
    assert red[48, 48]


def test_features_are_kept_under_everything_that_decides_a_view_but_how_many_there_are() -> None:
    key = view_key("a", ELSEWHERE, 0)
    assert key == view_key("a", replace(ELSEWHERE, count=9), 0)
    others = {
        view_key("b", ELSEWHERE, 0),
        view_key("a", ELSEWHERE, 1),
        view_key("a", replace(ELSEWHERE, rotate=1.0), 0),
    }
    assert len(others) == 3
    assert key not in others


@pytest.mark.parametrize("channels", [1, 3])
def test_backdrops_differ_and_fit(channels: int) -> None:
    drawn = [backdrop((40, 60, channels), np.random.default_rng(seed)) for seed in range(20)]
    assert all(one.shape == (40, 60, channels) and one.dtype == np.uint8 for one in drawn)
    assert len({one.tobytes() for one in drawn}) == 20
    means = [float(one.mean()) for one in drawn]
    assert max(means) - min(means) > 80


def test_a_drawn_photo_still_shows_something() -> None:
    photo = np.asarray(photograph("hammer", np.random.default_rng(3), 120))
    for number in range(4):
        assert view(photo, ELSEWHERE, "hammer", number).std() > 5

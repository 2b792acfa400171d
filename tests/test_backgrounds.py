"""The object of a photo is told from an even background, or nothing is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard.backgrounds import before, object_mask


def disc(
    side: int = 200, middle: tuple[float, float] = (0.5, 0.5), radius: float = 0.25
) -> np.ndarray:
    """Which pixels of a square lie in a disc."""
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    return (y - middle[0]) ** 2 + (x - middle[1]) ** 2 < radius**2


def floor(side: int = 200, grain: float = 4.0) -> np.ndarray:
    """A grey floor in light that falls off, with the grain of a camera."""
    light = np.linspace(120, 170, side)[:, None, None] * np.ones((side, side, 3))
    noise = np.random.default_rng(0).normal(0, grain, light.shape)
    return np.clip(light + noise, 0, 255).astype(np.uint8)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return (first & second).sum() / (first | second).sum()


@settings(deadline=None, max_examples=25)
@given(
    st.tuples(st.floats(0.4, 0.6), st.floats(0.4, 0.6)),
    st.floats(0.15, 0.3),
    st.sampled_from([(200, 30, 30), (20, 60, 190), (10, 10, 10), (250, 210, 20)]),
)
def test_a_disc_on_a_floor_is_found(middle, radius, colour) -> None:
    photo, thing = floor(), disc(middle=middle, radius=radius)
    photo[thing] = colour
    mask = object_mask(photo)
    assert mask is not None
    assert mask.shape == thing.shape
    assert overlap(mask, thing) > 0.93


def test_a_window_in_the_object_shows_the_background() -> None:
    photo, thing = floor(), disc(radius=0.3) & ~disc(radius=0.15)
    photo[thing] = (200, 30, 30)
    mask = object_mask(photo)
    assert mask is not None
    assert not mask[100, 100]
    assert overlap(mask, thing) > 0.9


def with_disc(**how) -> np.ndarray:
    photo = floor()
    photo[disc(**how)] = (200, 30, 30)
    return photo


@pytest.mark.parametrize(
    "photo",
    [
        pytest.param(floor(), id="nothing there"),
        pytest.param(with_disc(radius=0.05), id="hardly anything there"),
        pytest.param(with_disc(middle=(0.5, 0.0), radius=0.45), id="beyond the photo"),
        pytest.param(with_disc(radius=0.49), id="nearly all of it"),
        pytest.param(
            np.kron(
                np.random.default_rng(0).integers(0, 256, (25, 25, 3), np.uint8),
                np.ones((8, 8, 1), np.uint8),
            ),
            id="a background of all colours",
        ),
        pytest.param(with_disc()[:, :, :1], id="grey"),
        pytest.param(with_disc()[::8, ::8], id="too small to tell"),
        pytest.param(np.full((200, 200, 3), 255, np.uint8), id="white"),
    ],
)  # fmt: skip
def test_where_no_object_can_be_told_nothing_is_said(photo: np.ndarray) -> None:
    assert object_mask(photo) is None


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(64, 240), st.integers(64, 240))
def test_any_pixels_give_a_mask_of_their_shape_or_none(seed: int, height: int, width: int) -> None:
    chance = np.random.default_rng(seed)
    photo = np.full((height, width, 3), chance.integers(0, 256, 3), np.uint8)
    top, left = chance.integers(0, (height // 2, width // 2))
    photo[top : top + height // 3, left : left + width // 3] = chance.integers(0, 256, 3)
    kept = photo.copy()
    mask = object_mask(photo)
    assert np.array_equal(photo, kept)
    assert mask is None or (mask.shape == (height, width) and 0 < mask.mean() < 1)


def test_another_background_leaves_the_object_as_it_is() -> None:
    photo, thing = with_disc(), disc()
    green = np.broadcast_to(np.array([0, 200, 0], np.uint8), photo.shape)
    changed = before(photo, thing, green)
    assert changed.dtype == np.uint8
    inside, outside = disc(radius=0.22), ~disc(radius=0.28)
    assert np.array_equal(changed[inside], photo[inside])
    assert np.array_equal(changed[outside], green[outside])
    rim = ~inside & ~outside
    assert (changed[rim] >= np.minimum(photo, green)[rim]).all()
    assert (changed[rim] <= np.maximum(photo, green)[rim]).all()
    assert np.array_equal(photo, with_disc())

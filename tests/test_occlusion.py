from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard.occlusion import LEAST_SIDE, heat_overlay, occlusion_map

FEW = settings(max_examples=20, deadline=None)


def brightness_of(rows: slice, columns: slice):
    """A model of two classes that looks at one part of the photo only."""

    def answer(photos: np.ndarray) -> np.ndarray:
        share = photos[:, rows, columns].mean(axis=(1, 2, 3)) / 255
        return np.stack((1 - share, share), axis=1)

    return answer


@FEW
@given(
    height=st.integers(8, 60),
    width=st.integers(8, 60),
    channels=st.sampled_from([1, 3]),
    low=st.booleans(),
    right=st.booleans(),
    grid=st.integers(4, 8),
)
def test_a_model_that_looks_at_one_quarter_has_its_maximum_there(
    height: int, width: int, channels: int, *, low: bool, right: bool, grid: int
) -> None:
    rows = slice(height // 2, None) if low else slice(height // 2)
    columns = slice(width // 2, None) if right else slice(width // 2)
    photo = np.zeros((height, width, channels), np.uint8)
    photo[rows, columns] = 255  # a quarter: the median, which hides, is 0
    heat = occlusion_map(brightness_of(rows, columns), photo, 1, grid=grid)
    assert heat.shape == (grid, grid)
    assert heat.dtype == np.float32
    row, column = (place + 0.5 for place in np.unravel_index(heat.argmax(), heat.shape))
    # A cell across the border hides as much of the quarter as one a cell further in.
    assert row > grid / 2 - 1 if low else row < grid / 2 + 1
    assert column > grid / 2 - 1 if right else column < grid / 2 + 1
    assert heat.max() > 0
    assert heat[0 if low else -1, 0 if right else -1] == pytest.approx(0, abs=1e-6)


@FEW
@given(seed=st.integers(0, 99), side=st.integers(1, 20), label=st.integers(0, 2))
def test_nothing_matters_to_a_constant_model(seed: int, side: int, label: int) -> None:
    photo = np.random.default_rng(seed).integers(0, 256, (side, side + 3, 3), dtype=np.uint8)
    heat = occlusion_map(lambda photos: np.tile([0.5, 0.3, 0.2], (len(photos), 1)), photo, label)
    assert (heat == 0).all()


def test_nothing_is_hidden_in_an_even_photo() -> None:
    photo = np.full((20, 30, 1), 77, np.uint8)
    asked = []
    occlusion_map(lambda photos: asked.append(photos) or np.ones((len(photos), 1)), photo, 0)
    assert asked[0].shape == (50, 20, 30, 1)
    assert (asked[0] == 77).all()


def test_every_pixel_is_hidden_by_its_own_cell() -> None:
    photo = np.zeros((28, 28, 1), np.uint8)
    photo[::3] = 200
    asked = []
    occlusion_map(lambda photos: asked.append(photos) or np.ones((len(photos), 1)), photo, 0)
    hidden = asked[0][1:].reshape(7, 7, 28, 28)
    for row in range(7):
        for column in range(7):
            cell = hidden[row, column, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            assert (cell == 0).all()
    assert (asked[0][0] == photo[None]).all()


def test_what_speaks_against_a_class_is_below_zero() -> None:
    photo = np.zeros((14, 14, 1), np.uint8)
    photo[:7, :7] = 255
    against = occlusion_map(brightness_of(slice(7), slice(7)), photo, 0)
    assert against.min() < 0
    assert against.max() == pytest.approx(0, abs=1e-6)


@FEW
@given(
    height=st.integers(1, 130),
    width=st.integers(1, 130),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 9),
)
def test_an_overlay_is_a_picture_of_the_photo(
    height: int, width: int, channels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    photo = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    overlay = heat_overlay(photo, rng.normal(size=(7, 7)))
    assert overlay.dtype == np.uint8
    assert overlay.shape[2] == 3
    assert max(overlay.shape) >= LEAST_SIDE
    assert overlay.shape[0] % height == overlay.shape[1] % width == 0


def test_without_heat_an_overlay_is_grey_and_with_it_coloured_there() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    heat = np.zeros((7, 7))
    cold = heat_overlay(photo, heat - 0.5)
    assert (cold == cold[:, :, :1]).all()
    heat[0, 6] = 0.4
    warm = heat_overlay(photo, heat)
    assert (warm[:60] == cold[:60])[:, :60].all()
    red, green, blue = warm[:16, -16:].reshape(-1, 3).mean(axis=0)
    assert red > green > blue
    # A hundredth of a drop is no reason to shout.
    faint = heat_overlay(photo, heat / 40).astype(int)
    assert np.abs(faint - cold).max() < 0.5 * np.abs(warm.astype(int) - cold).max()

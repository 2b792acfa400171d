from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard.augment import augment, cutmix, shrink, within
from pegboard.recipes import PHOTO_LIGHT, Augmentation


def photos(count: int = 4, channels: int = 3, side: int = 24) -> torch.Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(5))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


augmentations = st.builds(
    Augmentation,
    shift=st.floats(0, 0.5),
    rotate=st.floats(0, 180),
    shear=st.floats(0, 0.5),
    scale=st.tuples(st.floats(0.3, 1), st.floats(1, 3)),
    mirror=st.booleans(),
    light=st.floats(0, 1),
    contrast=st.floats(0, 1),
    colour=st.floats(0, 1),
    erase=st.floats(0, 1),
    stretch=st.floats(1, 3),
    cast=st.floats(0, 0.5),
    even=st.floats(0, 1),
)


@settings(deadline=None, max_examples=40)
@given(augmentations, st.sampled_from([1, 3]))
def test_shape_and_range_stay(how: Augmentation, channels: int) -> None:
    images = photos(channels=channels)
    changed = augment(images, how, seeded())
    assert changed.shape == images.shape
    assert torch.isfinite(changed).all()
    assert changed.min() >= -1e-6
    assert changed.max() <= 1 + 1e-6


def test_nothing_asked_nothing_changed() -> None:
    images = photos()
    assert torch.equal(augment(images, Augmentation(), seeded()), images)


def test_the_same_seed_gives_the_same_photos() -> None:
    images = photos()
    first = augment(images, PHOTO_LIGHT, seeded(3))
    assert torch.equal(first, augment(images, PHOTO_LIGHT, seeded(3)))
    assert not torch.equal(first, augment(images, PHOTO_LIGHT, seeded(4)))


def test_a_mirror_is_exactly_a_mirror() -> None:
    images = photos(count=64, side=16)
    changed = augment(images, Augmentation(mirror=True), seeded())
    flipped = images.flip(3)
    mirrored = [torch.allclose(a, b, atol=1e-5) for a, b in zip(changed, flipped, strict=True)]
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(changed, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48


def test_a_quarter_turn_is_exactly_a_quarter_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pegboard.augment._uniform", lambda n, low, high, g: torch.full((n,), high))
    images = photos(count=1, side=16)
    turned = augment(images, Augmentation(rotate=90), seeded())
    assert any(torch.allclose(turned, torch.rot90(images, k, (2, 3)), atol=1e-4) for k in (1, 3))


def test_a_shift_moves_by_the_stated_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pegboard.augment._uniform", lambda n, low, high, g: torch.full((n,), high))
    images = photos(count=1, channels=1, side=20)
    moved = augment(images, Augmentation(shift=0.1), seeded())
    assert torch.allclose(moved[..., :18, :18], images[..., 2:, 2:], atol=1e-5)


def test_magnification_shows_less_of_the_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pegboard.augment._uniform", lambda n, low, high, g: torch.full((n,), high))
    images = torch.zeros(1, 1, 20, 20)
    images[..., 5:15, 5:15] = 1
    enlarged = augment(images, Augmentation(scale=(1.0, 2.0)), seeded())
    assert enlarged.mean() > 0.95, "a square of half the side fills the photo at factor 2"


def test_a_stretch_changes_the_ratio_of_the_sides_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pegboard.augment._uniform", lambda n, low, high, g: torch.full((n,), high))
    images = torch.zeros(1, 1, 60, 60)
    images[..., 20:40, 20:40] = 1
    stretched = augment(images, Augmentation(stretch=4.0), seeded())
    inside = stretched[0, 0] > 0.5
    assert inside.any(0).sum() == pytest.approx(40, abs=2)
    assert inside.any(1).sum() == pytest.approx(10, abs=2)


def test_beyond_a_photo_is_one_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    images = photos(count=48)
    small = Augmentation(scale=(0.5, 0.5), even=1.0)
    changed = augment(images, small, seeded())
    corners = changed[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert torch.equal(corners, corners[:, :, :1].expand_as(corners))
    border = torch.cat((images[:, :, 0], images[:, :, -1], images[..., 0], images[..., -1]), 2)
    kinds = torch.stack(
        (border.median(2).values, torch.ones(48, 3), torch.full((48, 3), 128 / 255))
    )
    assert torch.isclose(kinds, corners[None, :, :, 0]).all(2).any(0).all()
    within = augment(images, Augmentation(scale=(0.5, 0.5)), seeded())[:, :, 7:17, 7:17]
    assert torch.equal(changed[:, :, 7:17, 7:17], within)


def test_a_cast_multiplies_each_channel() -> None:
    images = photos() * 0.4
    changed = augment(images, Augmentation(cast=0.2), seeded())
    gains = changed.sum((2, 3), keepdim=True) / images.sum((2, 3), keepdim=True)
    assert torch.allclose(changed, images * gains, atol=1e-5)
    assert gains.std() > 0.05


@given(seed=st.integers(0, 10_000), height=st.integers(1, 20), width=st.integers(1, 20))
@settings(deadline=None, max_examples=60)
def test_cutmix_says_how_much_of_a_photo_is_still_its_own(seed: int, height: int, width: int):
    count = 5
    images = torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(
        count, 3, height, width
    )
    mixed, partners, share = cutmix(images, torch.Generator().manual_seed(seed))
    own = (mixed == images)[:, 0].double().mean(dim=(1, 2))
    other = (mixed == partners[:, None, None, None])[:, 0].double().mean(dim=(1, 2))
    alone = partners == torch.arange(count)
    assert own[alone].eq(1).all()
    assert torch.allclose(own[~alone], torch.tensor(share, dtype=torch.float64))
    assert torch.allclose(other[~alone], torch.tensor(1 - share, dtype=torch.float64))
    assert images[0].max() == 0
    assert images[-1].min() == count - 1


@given(side=st.integers(1, 120), scale=st.floats(0.05, 1.0), light=st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_shrunk_photos_keep_their_light_and_fit_a_backbone(side: int, scale: float, light: float):
    images = torch.full((2, 3, side, side), light)
    small = shrink(images, scale)
    assert small.shape[2] == small.shape[3] <= side
    assert small.shape[2] % 32 == 0 or small.shape == images.shape
    assert small.shape[2] >= min(side, 32)
    assert torch.allclose(small, torch.tensor(light), atol=1e-5)


@pytest.mark.parametrize("size", [(28, 28), (9, 30)])
def test_the_border_is_continued_alike_on_every_device(size: tuple[int, int]) -> None:
    """Where there is no kernel for it, the grid ends at the border instead."""
    images = torch.rand(3, 1, *size)
    grid = 3 * torch.rand(3, *size, 2) - 1.5
    expected = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    found = F.grid_sample(images, within(grid, images), align_corners=False)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import SHAPES, draw_photo
from pegboard.alignment import COARSE, FINE, POSES, align, in_pose, likely_poses, place, turned
from pegboard.audit.greys import small_grey


def drawn(count: int, size: tuple[int, int] = (240, 200)) -> list[Image.Image]:
    rng = np.random.default_rng(7)
    return [busy(draw_photo(SHAPES[n % 3], rng, size), rng) for n in range(count)]


def busy(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Lay blotches over a photo: a shape alone looks the same from four sides."""
    blotches = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    cover = Image.fromarray(blotches).resize(image.size, Image.Resampling.BICUBIC)
    return Image.blend(image, cover, 0.5)


def squares(images: list[Image.Image], side: int) -> np.ndarray:
    return np.stack([small_grey(np.array(image), side) for image in images])


class TestPoses:
    @pytest.mark.parametrize("pose", range(len(POSES)))
    def test_each_is_what_pillow_makes(self, pose: int) -> None:
        turns, mirrored = POSES[pose]
        picture = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
        image = Image.fromarray(picture)
        if mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image = image.rotate(90 * turns)
        assert np.array_equal(in_pose(picture, pose), np.asarray(image))

    @settings(deadline=None, max_examples=20)
    @given(st.integers(0, 1000))
    def test_mirroring_twice_changes_nothing(self, seed: int) -> None:
        pictures = np.random.default_rng(seed).integers(0, 256, (8, 16, 16), dtype=np.uint8)
        mirrored = np.array([number for number, pose in enumerate(POSES) if pose[1]] * 2)
        assert np.array_equal(turned(turned(pictures, mirrored), mirrored), pictures)

    def test_the_pose_is_found(self) -> None:
        pictures = squares(drawn(8), COARSE)
        poses = np.arange(8)
        found, scores = likely_poses(turned(pictures, poses), pictures, count=1)
        assert found[:, 0].tolist() == poses.tolist()
        assert np.allclose(scores, 1, atol=1e-5)


class TestAlignment:
    def test_a_window_is_found_to_a_fraction_of_a_pixel(self) -> None:
        images = drawn(12)
        rng = np.random.default_rng(0)
        boxes = [(*rng.integers(0, 24, 1), *rng.integers(0, 20, 1)) for _ in images]
        cut = [
            image.crop((int(x), int(y), int(x) + 216, int(y) + 180))
            for image, (x, y) in zip(images, boxes, strict=True)
        ]
        placed = place(squares(images, COARSE), squares(cut, COARSE))
        refined, fit = align(squares(images, FINE), squares(cut, FINE), placed)
        assert (refined.poses == 0).all()
        # What the whole photo covers of the cut one, as fractions of it.
        x, y = np.array(boxes).T
        expected = np.stack((-y / 180, np.full(12, 200 / 180), -x / 216, np.full(12, 240 / 216)), 1)
        assert np.abs(refined.windows - expected).max() < 0.5 / FINE
        assert fit.edges.min() > 0.9
        assert fit.overlap == pytest.approx(np.full(12, 0.81), abs=0.03)

    def test_light_is_told_and_does_not_matter(self) -> None:
        images = drawn(6)
        light = [image.point(lambda value: value * 0.5 + 40) for image in images]
        same = place(squares(images, COARSE), squares(light, COARSE))
        _, fit = align(squares(images, FINE), squares(light, FINE), same)
        assert fit.gain == pytest.approx(np.full(6, 0.5), abs=0.03)
        means = [np.mean(small_grey(np.array(image), FINE)) for image in images]
        assert fit.offset == pytest.approx(40 - 0.5 * np.array(means), abs=2)
        assert fit.edges.min() > 0.97

    def test_one_thing_exchanged_shows_in_the_parts(self) -> None:
        images = drawn(6)
        changed = []
        for image, other in zip(images, images[1:] + images[:1], strict=True):
            copy = image.copy()
            copy.paste(other.crop((60, 40, 180, 140)), (60, 40))
            changed.append(copy)
        same = place(squares(images, COARSE), squares(images, COARSE))
        _, whole = align(squares(images, FINE), squares(images, FINE), same)
        _, fit = align(squares(images, FINE), squares(changed, FINE), same)
        assert whole.parts.min() > 0.99
        assert fit.parts.max() < 0.5

    def test_even_pictures_are_no_trouble(self) -> None:
        even = np.full((3, COARSE, COARSE), 128, np.uint8)
        ramp = np.broadcast_to(np.arange(COARSE, dtype=np.uint8), even.shape)
        for one, other in ((even, even), (even, ramp), (ramp, ramp)):
            placed, fit = align(one, other, place(one, other))
            assert np.isfinite(placed.windows).all()
            assert np.isfinite(fit.edges).all()
            assert (fit.textured < 3).all()

    def test_no_pairs(self) -> None:
        none = np.empty((0, COARSE, COARSE), np.uint8)
        placed, fit = align(none, none, place(none, none))
        assert len(placed.poses) == len(fit.edges) == 0

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy.cluster.hierarchy import DisjointSet

from conftest import SHAPES, draw_photo
from pegboard.duplicates import (
    SAME_PICTURE,
    connect,
    duplicate_groups,
    members,
    shared,
)
from pegboard.images import decode, pixel_hash, signature
from pegboard.photos import Photo


def photo(name: str, image: Image.Image, *, group: str | None = None) -> Photo:
    """Take a picture in as intake does; ``name`` stands for the file's bytes."""
    pixels = np.array(image.convert("RGB"))
    height, width, channels = pixels.shape
    return Photo(
        name, "label", None, group, f"sha of {name}", pixel_hash(pixels), height, width, channels,
        signature(pixels),
    )  # fmt: skip


def sets(codes: Sequence[int]) -> set[frozenset[int]]:
    return {frozenset(group) for group in members(np.asarray(codes))}


SIZES = ((96, 80), (160, 120), (240, 200))


def saved_again(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue()))


def copies_of(image: Image.Image) -> dict[str, Image.Image]:
    """What happens to photos on their way from one folder to another."""
    scale = max(0.5, 64 / min(image.size))
    half = (round(image.width * scale), round(image.height * scale))
    return {
        "JPEG of quality 50": saved_again(image, 50),
        "JPEG of quality 80": saved_again(image, 80),
        "smaller": image.resize(half, Image.Resampling.BICUBIC),
        "larger": image.resize((image.width * 2, image.height * 2), Image.Resampling.LANCZOS),
        "brighter by a quarter": ImageEnhance.Brightness(image).enhance(1.25),
        "darker by a quarter": ImageEnhance.Brightness(image).enhance(0.75),
        "more contrast": ImageEnhance.Contrast(image).enhance(1.3),
        "grey": image.convert("L").convert("RGB"),
    }


class TestNearCopies:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_copies_of_drawn_photos_are_grouped(self, shape: str) -> None:
        rng = np.random.default_rng(5)
        # Darker to begin with: a light shape on a light ground is gone when both turn white.
        originals = [
            ImageEnhance.Brightness(draw_photo(shape, rng, size)).enhance(0.8)
            for size in SIZES
            for _ in range(8)
        ]
        photos, expected = [], []
        for number, image in enumerate(originals):
            every = {"original": image, **copies_of(image)}
            photos += [photo(f"{number} {name}", copy) for name, copy in every.items()]
            expected += [number] * len(every)
        assert sets(duplicate_groups(photos).codes.tolist()) == sets(expected)

    def test_copies_of_real_photos_are_grouped(self, data_folder: Callable[[str], Path]) -> None:
        files = sorted(data_folder("tools15").glob("*/*"))[::120]
        photos, expected = [], []
        for number, file in enumerate(files):
            image = Image.fromarray(decode(file.read_bytes())).convert("RGB")
            every = {"original": image, **copies_of(image)}
            photos += [photo(f"{number} {name}", copy) for name, copy in every.items()]
            expected += [number] * len(every)
        assert sets(duplicate_groups(photos).codes.tolist()) == sets(expected)

    def test_the_known_pair_is_the_only_one_across_classes(
        self, data_folder: Callable[[str], Path]
    ) -> None:
        folder = data_folder("tools15")
        photos = []
        for file in sorted(folder.glob("*/*")):
            if file.parent.name in ("pliers", "wirecutter", "wrench"):
                image = Image.fromarray(decode(file.read_bytes()).squeeze())
                photos.append(photo(file.relative_to(folder).as_posix(), image))
        groups = duplicate_groups(photos)
        across = [
            {Path(photos[i].path).name[:24] for i in (pair.a, pair.b)}
            for pair in groups.pairs
            if Path(photos[pair.a].path).parent != Path(photos[pair.b].path).parent
        ]
        assert across == [{"2025-04-02T20-19-07.772Z", "2025-05-21T16-39-37.965Z"}]
        assert len(photos) == 960
        assert 860 < len(members(groups.codes)) < 955

    def test_enlarged_digits_are_not_taken_for_copies(
        self, data_folder: Callable[[str], Path]
    ) -> None:
        with np.load(data_folder("mnist.npz")) as arrays:
            digits = arrays["x_train"][:800]
        photos = [
            photo(str(number), Image.fromarray(digit).resize((112, 112), Image.Resampling.BICUBIC))
            for number, digit in enumerate(digits)
        ]
        groups = duplicate_groups(photos)
        assert len(members(groups.codes)) >= 797
        # They look alike all the same, which is what a looser rule would have grouped.
        assert len(groups.alike) > 50

    def test_scores_hold_what_they_say(self) -> None:
        rng = np.random.default_rng(0)
        image = draw_photo("disc", rng, (240, 200))
        pictures = [image, saved_again(image, 85), draw_photo("disc", rng, (240, 200))]
        photos = [photo(str(n), picture) for n, picture in enumerate(pictures)]
        (pair,) = duplicate_groups(photos).pairs
        assert (pair.a, pair.b, pair.kind) == (0, 1, "near")
        # NumPy's own correlation is the second opinion.
        first, second = (np.frombuffer(photos[i].signature or b"", np.uint8) for i in (0, 1))
        assert pair.score == pytest.approx(np.corrcoef(first, second)[0, 1], abs=1e-5)

    def test_another_shape_is_no_copy(self) -> None:
        image = draw_photo("disc", np.random.default_rng(0), (200, 200))
        squashed = image.resize((200, 140))
        photos = [photo("a", image), photo("b", squashed)]
        assert len(members(duplicate_groups(photos).codes)) == 2

    def test_many_pictures_that_agree_coarsely_cost_no_exactness(self) -> None:
        """Crowded blocks take another way: it must find the same pairs."""
        rng = np.random.default_rng(0)
        ramp = np.linspace(40, 215, 128)[None, :, None] * np.ones((128, 1, 3))
        photos = []
        for number in range(60):
            noisy = ramp + np.kron(rng.normal(0, 9, (32, 32)), np.ones((4, 4)))[:, :, None]
            image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
            photos += [photo(f"{number} a", image), photo(f"{number} b", saved_again(image, 90))]
        found = {(pair.a, pair.b) for pair in duplicate_groups(photos).pairs}
        assert found == by_hand(photos)


def by_hand(photos: Sequence[Photo]) -> set[tuple[int, int]]:
    """All pairs of equal shape, with NumPy's correlation of pictures and of edges."""
    grey = [
        np.frombuffer(p.signature or b"", np.uint8).reshape(32, 32).astype(float) for p in photos
    ]
    edges = [np.concatenate([np.diff(g, axis=0).ravel(), np.diff(g, axis=1).ravel()]) for g in grey]
    return {
        (a, b)
        for a, b in combinations(range(len(photos)), 2)
        if np.corrcoef(grey[a].ravel(), grey[b].ravel())[0, 1] >= SAME_PICTURE
        and np.corrcoef(edges[a], edges[b])[0, 1] >= 0.9
    }


class TestWhatCannotBeCompared:
    def test_small_photos_are_grouped_only_when_equal(self) -> None:
        image = draw_photo("disc", np.random.default_rng(0), (60, 60))
        photos = [photo("a", image), photo("b", saved_again(image, 95)), photo("c", image)]
        assert [one.signature for one in photos] == [None] * 3
        groups = duplicate_groups(photos)
        assert sets(groups.codes.tolist()) == {frozenset({0, 2}), frozenset({1})}
        assert [pair.kind for pair in groups.pairs] == ["pixels"]

    def test_even_photos_are_grouped_only_when_equal(self) -> None:
        shades = [photo(f"{v}", Image.new("RGB", (100, 100), (v, v, v))) for v in (10, 11, 200)]
        again = photo("again", Image.new("RGB", (100, 100), (11, 11, 11)))
        groups = duplicate_groups([*shades, again])
        assert sets(groups.codes.tolist()) == {frozenset({0}), frozenset({1, 3}), frozenset({2})}

    @pytest.mark.parametrize("count", [0, 1])
    def test_nothing_to_compare(self, count: int) -> None:
        photos = [photo("a", draw_photo("disc", np.random.default_rng(0)))][:count]
        groups = duplicate_groups(photos)
        assert groups.codes.tolist() == list(range(count))
        assert not groups.pairs
        assert not groups.alike


def bare(number: int, sha256: str, pixels: str, group: str | None) -> Photo:
    return Photo(str(number), "label", None, group, sha256, pixels, 8, 8, 1)


KEYS = st.lists(
    st.tuples(
        st.sampled_from("abcdefgh"), st.sampled_from("pqrstuvw"), st.sampled_from([None, *"xyz"])
    ),
    max_size=14,
)


class TestGroups:
    @settings(max_examples=60, deadline=None)
    @given(KEYS)
    def test_groups_are_the_transitive_closure(
        self, keys: list[tuple[str, str, str | None]]
    ) -> None:
        photos = [bare(number, *key) for number, key in enumerate(keys)]
        groups = duplicate_groups(photos)
        expected = DisjointSet(range(len(photos)))
        for a, b in combinations(range(len(photos)), 2):
            pairs = zip(keys[a], keys[b], strict=True)
            if any(one is not None and one == other for one, other in pairs):
                expected.merge(a, b)
        assert sets(groups.codes.tolist()) == {frozenset(group) for group in expected.subsets()}
        assert all(pair.a < pair.b and pair.score == 1 for pair in groups.pairs)
        # The pairs told are enough to see why.
        edges = [(pair.a, pair.b) for pair in groups.pairs]
        assert sets(connect(len(photos), edges).tolist()) == sets(groups.codes.tolist())

    def test_equal_files_are_told_once(self) -> None:
        photos = [bare(0, "a", "p", None), bare(1, "a", "p", None), bare(2, "b", "p", None)]
        pairs = duplicate_groups(photos).pairs
        assert [(pair.a, pair.b, pair.kind) for pair in pairs] == [
            (0, 1, "file"),
            (0, 2, "pixels"),
        ]

    @given(st.lists(st.integers(0, 6), max_size=20))
    def test_members_and_shared(self, codes: list[int]) -> None:
        array = np.array(codes, dtype=np.int64)
        assert sorted(index for group in members(array) for index in group) == list(
            range(len(codes))
        )
        assert shared(array) == [group for group in members(array) if len(group) > 1]
        assert all(len({codes[i] for i in group}) == 1 for group in members(array))
        assert len(members(array)) == len(Counter(codes))

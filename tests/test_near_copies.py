"""Copies of drawn photos, changed on purpose: found, told in words, and nothing else found."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from pegboard.audit import copies, similar
from pegboard.audit.findings import Finding
from pegboard.audit.likeness import Likeness, NearPair, in_one_pose, near_copies
from pegboard.audit.pairing import LARGE, pairs_told
from pegboard.audit.subject import Subject
from pegboard.budget import Budget
from pegboard.errors import BudgetSpent, FeaturesUnavailable
from pegboard.examples import write_tool_photos
from pegboard.images import decode, pixel_hash, signature
from pegboard.intake import take_in
from pegboard.photos import Photo, Pixels
from pegboard.sources import open_source

TURN = Image.Transpose


def saved(image: Image.Image, quality: int = 90) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def shrunk(image: Image.Image, scale: float) -> Image.Image:
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)


def cropped(image: Image.Image, share: float = 0.9) -> Image.Image:
    width, height = round(image.width * share), round(image.height * share)
    left, top = (image.width - width) // 3, (image.height - height) // 4
    return image.crop((left, top, left + width, top + height))


LADDER: dict[str, tuple[Callable[[Image.Image], Image.Image], str]] = {
    "halved": (lambda image: shrunk(image, 0.5), "resized to 50%"),
    "doubled": (lambda image: shrunk(image, 2), "resized to"),
    "JPEG of quality 30": (lambda image: saved(image, 30), "saved again"),
    "brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.25), "brighter"),
    "darker": (lambda image: ImageEnhance.Brightness(image).enhance(0.75), "darker"),
    "cropped": (cropped, "cropped to 8"),
    "mirrored": (lambda image: image.transpose(TURN.FLIP_LEFT_RIGHT), "mirrored"),
    "turned by 90": (lambda image: image.transpose(TURN.ROTATE_90), "turned by 90 degrees"),
    "turned by 180": (lambda image: image.transpose(TURN.ROTATE_180), "turned by 180 degrees"),
    "turned by 270": (lambda image: image.transpose(TURN.ROTATE_270), "turned by 90 degrees"),
    "stretched": (lambda image: image.resize((image.width, image.height * 5 // 4)), "stretched"),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Image.Image]:
    folder = tmp_path_factory.mktemp("drawn") / "tools"
    write_tool_photos(folder, per_class=4, untidy=False, size=200, seed=3)
    files = sorted(folder.glob("*/*"))
    return [Image.fromarray(decode(file.read_bytes())).convert("RGB") for file in files]


def taken_in(images: Sequence[Image.Image]) -> tuple[list[Photo], Callable[[int], Pixels]]:
    pixels = [np.array(image) for image in images]
    photos = [
        Photo(
            f"{number}.png", "label", None, None, str(number), pixel_hash(one), *one.shape,
            signature(one),
        )
        for number, one in enumerate(pixels)
    ]  # fmt: skip
    return photos, lambda index: pixels[index]


def found_in(images: Sequence[Image.Image], **more: object) -> Likeness:
    photos, read = taken_in(images)
    return near_copies(photos, read, threads=1, **more)


def indices(likeness: Likeness) -> set[tuple[int, int]]:
    return {(pair.first, pair.second) for pair in likeness.pairs}


class TestLadder:
    @pytest.mark.parametrize("rung", LADDER)
    def test_copies_are_found_and_nothing_else(
        self, originals: list[Image.Image], rung: str
    ) -> None:
        change, words = LADDER[rung]
        images = [*originals, *(saved(change(image)) for image in originals)]
        count = len(originals)
        photos, read = taken_in(images)
        likeness = near_copies(photos, read, threads=1)
        made = {(index, index + count) for index in range(count)}
        assert indices(likeness) <= made
        assert len(indices(likeness)) >= 0.95 * count
        told = [similar.in_words(photos, pair, pair.second) for pair in likeness.pairs]
        assert np.mean([words in one for one in told]) > 0.9, told

    def test_pictures_of_32_pixels(self, originals: list[Image.Image]) -> None:
        small = [image.resize((32, 32), Image.Resampling.BOX) for image in originals]
        mirrored = [image.transpose(TURN.FLIP_LEFT_RIGHT) for image in small]
        light = [ImageEnhance.Brightness(image).enhance(0.8) for image in small]
        count = len(small)
        found = indices(found_in([*small, *mirrored, *light]))
        assert all((one - other) % count == 0 for one, other in found)
        for step in (count, 2 * count):
            assert sum((index, index + step) in found for index in range(count)) > 0.9 * count

    def test_features_find_what_is_cropped_by_far(self, originals: list[Image.Image]) -> None:
        count = len(originals)
        images = [*originals, *(cropped(image, 0.76) for image in originals)]
        rng = np.random.default_rng(0)
        features = np.tile(rng.normal(size=(count, 40)), (2, 1)).astype(np.float32)
        features += rng.normal(size=features.shape).astype(np.float32) * 0.1
        made = {(index, index + count) for index in range(count)}
        without, found = (indices(found_in(images, features=one)) for one in (None, features))
        assert without <= found <= made
        assert len(without) < len(found)
        assert len(found) > 0.9 * count

    def test_different_photos_of_shapes_are_no_copies(
        self, data_folder: Callable[[str], Path]
    ) -> None:
        with np.load(data_folder("mnist.npz")) as arrays:
            digits = arrays["x_train"][:500]
        images = [Image.fromarray(digit).convert("RGB") for digit in digits]
        copy = ImageEnhance.Brightness(images[7]).enhance(0.7)
        likeness = found_in([*images, copy])
        assert indices(likeness) == {(7, 500)}
        assert likeness.least_edges[32] > 0.95


@pytest.fixture(scope="module")
def photos(originals: list[Image.Image]) -> list[Image.Image]:
    changes = [change for change, _ in LADDER.values()]
    return [
        *originals,
        *(changes[n % len(changes)](image) for n, image in enumerate(originals[:22])),
    ]


@pytest.fixture(scope="module")
def likeness(photos: list[Image.Image]) -> Likeness:
    return found_in(photos)


class TestProperties:
    @settings(deadline=None, max_examples=4)
    @given(st.randoms(use_true_random=False))
    def test_the_order_of_the_files_plays_no_part(
        self, photos: list[Image.Image], likeness: Likeness, random
    ) -> None:
        order = list(range(len(photos)))
        random.shuffle(order)
        again = found_in([photos[index] for index in order])
        found = {tuple(sorted((order[one], order[other]))) for one, other in indices(again)}
        assert found == indices(likeness)
        assert sorted(pair.score for pair in again.pairs) == pytest.approx(
            sorted(pair.score for pair in likeness.pairs), abs=1e-3
        )

    def test_an_unrelated_photo_changes_nothing(
        self, photos: list[Image.Image], likeness: Likeness
    ) -> None:
        noise = np.random.default_rng(1).integers(0, 256, (25, 20, 3), dtype=np.uint8)
        other = Image.fromarray(noise).resize((200, 250), Image.Resampling.BICUBIC)
        assert indices(found_in([*photos, other])) == indices(likeness)

    def test_told_twice_the_other_way_it_is_the_same(self, likeness: Likeness) -> None:
        for pair in likeness.pairs:
            again = pair.reversed().reversed()
            assert (again.first, again.second, again.pose) == (pair.first, pair.second, pair.pose)
            assert again.scale == pytest.approx(pair.scale)
            assert again.gain == pytest.approx(pair.gain)

    def test_one_pose_for_all(self) -> None:
        coarse = np.random.default_rng(0).normal(size=(20, 8, 8)).astype(np.float32)
        coarse -= coarse.mean(axis=(1, 2), keepdims=True)
        coarse /= np.linalg.norm(coarse, axis=(1, 2), keepdims=True)
        turned = np.rot90(coarse, axes=(1, 2))[:, :, ::-1]
        one, owners = in_one_pose(coarse.reshape(20, 64))
        other, other_owners = in_one_pose(np.ascontiguousarray(turned).reshape(20, 64))
        for index in range(20):
            found = {row.tobytes() for row in one[owners == index].round(4)}
            assert found
            assert found == {row.tobytes() for row in other[other_owners == index].round(4)}

    def test_it_stops_when_time_is_up(self, photos: list[Image.Image]) -> None:
        with pytest.raises(BudgetSpent):
            found_in(photos, budget=Budget(0.0))

    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_hardly_any_photos(self, photos: list[Image.Image], count: int) -> None:
        assert not found_in(photos[:count]).pairs

    def test_photos_that_are_gone_are_passed_over(self, photos: list[Image.Image]) -> None:
        taken, read = taken_in(photos)

        def half_gone(index: int) -> Pixels:
            if index % 2:
                raise FileNotFoundError
            return read(index)

        found = near_copies(taken, half_gone, threads=1)
        assert all(pair.first % 2 == pair.second % 2 == 0 for pair in found.pairs)


class WithoutFeatures(Subject):
    """As on a machine without the backbone."""

    def features(self) -> np.ndarray:
        raise FeaturesUnavailable("install the backbone")


def subject_of(folder: Path) -> Subject:
    source = open_source(str(folder))
    return WithoutFeatures(source, take_in(source), threads=1)


@pytest.fixture
def folder(tmp_path: Path, originals: list[Image.Image]) -> Path:
    root = tmp_path / "photos"
    for number, image in enumerate(originals[:12]):
        path = root / f"class {number % 2}" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return root


def rows(findings: Sequence[Finding]) -> set[tuple[str, str]]:
    return {(finding.path, finding.other_path) for finding in findings if finding.counts}


class TestCopies:
    def test_files_and_pixels(self, folder: Path) -> None:
        first = folder / "class 0" / "00.png"
        (folder / "class 0" / "z.png").write_bytes(first.read_bytes())
        Image.open(first).save(folder / "class 1" / "z.bmp")
        found = copies.check(subject_of(folder))
        assert rows(found) == {
            ("class 0/z.png", "class 0/00.png"),
            ("class 1/z.bmp", "class 0/00.png"),
            ("class 1/z.bmp", "class 0/z.png"),
        }
        assert {one.explanation for one in found if one.path.endswith("png")} == {
            "the same file, byte for byte"
        }
        assert all(one.score == 1 and one.severity == "warning" for one in found)

    def test_no_copies(self, folder: Path) -> None:
        assert copies.check(subject_of(folder)) == []

    def test_a_large_group_is_told_against_its_first(self, folder: Path) -> None:
        first = folder / "class 0" / "00.png"
        for number in range(LARGE):
            (folder / "class 0" / f"copy {number:02d}.png").write_bytes(first.read_bytes())
        found = copies.check(subject_of(folder))
        assert len(found) == LARGE
        assert {one.other_path for one in found} == {"class 0/00.png"}

    @given(st.integers(2, 60))
    def test_pairs_of_a_group(self, count: int) -> None:
        told = list(pairs_told(range(count)))
        assert len(set(told)) == len(told)
        assert {index for pair in told for index in pair} == set(range(count))
        assert len(told) == (count * (count - 1) // 2 if count <= LARGE else count - 1)


class TestSimilar:
    def test_the_lesser_photo_is_named_first(self, folder: Path) -> None:
        with Image.open(folder / "class 0" / "00.png") as image:
            shrunk(image, 0.5).save(folder / "class 0" / "0 small.png")
            cropped(image).save(folder / "class 1" / "cut.jpg", quality=95)
        subject = subject_of(folder)
        found = similar.check(subject)
        assert rows(found) == {
            ("class 0/0 small.png", "class 0/00.png"),
            ("class 1/cut.jpg", "class 0/00.png"),
            ("class 0/0 small.png", "class 1/cut.jpg"),
        }
        words = {(one.path, one.other_path): one.explanation for one in found}
        small, cut, _ = (words[pair] for pair in sorted(words, key=lambda pair: pair[1] + pair[0]))
        assert small == "the same picture, resized to 50%"
        assert cut == "the same picture, cropped to 81%"
        assert all(0.9 < one.score <= 1 for one in found)
        fact = subject.facts["near-duplicate"]
        assert (fact["groups"], fact["photos"]) == (1, 3)
        assert fact["words"].endswith("install the backbone")

    def test_nothing_alike(self, folder: Path) -> None:
        assert similar.check(subject_of(folder)) == []

    def test_every_version_of_a_much_copied_picture_is_told_once(self, folder: Path) -> None:
        with Image.open(folder / "class 0" / "00.png") as image:
            for number in range(LARGE + 3):
                light = ImageEnhance.Brightness(image).enhance(0.71 + 0.02 * number)
                light.save(folder / "class 0" / f"version {number:02d}.png")
        found = similar.check(subject_of(folder))
        versions = {one.path for one in found}
        assert len(found) == len(versions) == LARGE + 3
        assert {one.other_path for one in found} == {"class 0/00.png"}

    def test_all_ways_to_say_it(self) -> None:
        photo = Photo("a", "", None, None, "", "", 100, 100, 3)
        grey = replace(photo, channels=1)
        said = {
            similar.in_words([photo, other], replace(NearPair(0, 1, 1.0), **changes), which)
            for other, changes, which in (
                (photo, {}, 1),
                (photo, {"pose": 1}, 1),
                (photo, {"pose": 5}, 1),
                (photo, {"pose": 7}, 0),
                (photo, {"first_shown": 0.8, "second_shown": 0.8}, 1),
                (photo, {"first_shown": 0.8}, 0),
                (grey, {"scale": (0.5, 0.5)}, 1),
                (grey, {"scale": (0.5, 0.5)}, 0),
                (photo, {"gain": 1.5}, 0),
                (photo, {"offset": 20.0}, 0),
            )
        }
        assert said == {
            "the same picture, saved again",
            "the same picture, mirrored",
            "the same picture, upside down as in a mirror",
            "the same picture, mirrored, turned by 90 degrees",
            "the same picture, cut elsewhere",
            "the same picture, of which the other photo is a part of 80%",
            "the same picture, resized to 50%, in grey",
            "the same picture, resized to 200%, in colour",
            "the same picture, with less contrast",
            "the same picture, darker",
        }

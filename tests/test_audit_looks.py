"""Light, blur, detail, size, shape and colour of photos, changed on purpose."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from pegboard.audit import looks, names
from pegboard.audit.findings import Finding, NotApplicable
from pegboard.audit.subject import Subject
from pegboard.audit.traits import LEAST_STEP, SIDE, chroma, detail, figures, measure, sharpness
from pegboard.budget import Budget
from pegboard.errors import BudgetSpent
from pegboard.examples import write_tool_photos
from pegboard.images import decode
from pegboard.intake import take_in
from pegboard.sources import open_source

Change = Callable[[Image.Image], Image.Image]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of tools with nothing wrong with them."""
    return write_tool_photos(tmp_path_factory.mktemp("looks") / "tools", per_class=6, untidy=False)


def subject_of(folder: Path, budget: Budget | None = None) -> Subject:
    source = open_source(str(folder))
    return Subject(source, take_in(source, threads=1), threads=1, budget=budget)


def found(folder: Path) -> list[Finding]:
    result = looks.check(subject_of(folder))
    assert not isinstance(result, NotApplicable)
    return result


def copy_changed(folder: Path, target: Path, changes: dict[str, Change]) -> list[str]:
    """Copy photos; change the first few, one for each change. Return their new paths."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    changed = []
    for number, file in enumerate(files):
        path = target / file.relative_to(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < len(changes):
            name = list(changes)[number]
            path = path.with_name(f"{name}.jpg")
            changes[name](Image.open(file).convert("RGB")).save(path, quality=90)
            changed.append(path.relative_to(target).as_posix())
        else:
            path.write_bytes(file.read_bytes())
    return changed


def darker(photo: Image.Image) -> Image.Image:
    return photo.point(lambda value: value * 0.15)


def lighter(photo: Image.Image) -> Image.Image:
    return photo.point(lambda value: 225 + value * 0.1)


def shaken(photo: Image.Image) -> Image.Image:
    pixels = np.asarray(photo, np.float32)
    moved = np.mean([np.roll(pixels, shift, axis=1) for shift in range(13)], axis=0)
    return Image.fromarray(moved.astype(np.uint8))


def plain(photo: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).normal(140, 3, (*photo.size[::-1], 3))
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8))


EXPECTED: dict[str, tuple[Change, str]] = {
    "night": (darker, "dark"),
    "fog": (lighter, "bright"),
    "unfocused": (lambda photo: photo.filter(ImageFilter.GaussianBlur(3)), "blurry"),
    "shaken": (shaken, "blurry"),
    "wall": (plain, "low-information"),
    "scan": (lambda photo: photo.convert("L"), "grey"),
    "scan-in-colour": (lambda photo: photo.convert("L").convert("RGB"), "grey"),
    "thumbnail": (lambda photo: photo.resize((60, 45)), "odd-size"),
    "poster": (lambda photo: photo.resize((1500, 1100)), "odd-size"),
    "strip": (lambda photo: photo.resize((480, 90)), "odd-aspect"),
}


class TestFindings:
    def test_each_change_is_found_by_its_code(self, drawn: Path, tmp_path: Path) -> None:
        changes = {name: change for name, (change, _) in EXPECTED.items()}
        copy_changed(drawn, tmp_path / "changed", changes)
        codes = {}
        for finding in found(tmp_path / "changed"):
            codes.setdefault(Path(finding.path).stem, set()).add(finding.code)
        for name, (_, code) in EXPECTED.items():
            assert code in codes.get(name, ()), f"{name}: {codes.get(name)}"

    def test_good_photos_are_left_alone(self, drawn: Path) -> None:
        # The drawn photos are of day and night; some are truly dark.
        assert {finding.code for finding in found(drawn)} <= {"dark"}

    def test_scores_grow_with_the_fault(self, drawn: Path, tmp_path: Path) -> None:
        first = Image.open(sorted(drawn.rglob("*.jpg"))[0]).convert("RGB")
        changes: dict[str, Change] = {
            f"dark{share}": lambda _, share=share: first.point(lambda v: v * share / 100)
            for share in (4, 8, 16)
        }
        copy_changed(drawn, tmp_path / "changed", changes)
        scores = {
            Path(one.path).stem: one.score
            for one in found(tmp_path / "changed")
            if one.code == "dark"
        }
        assert scores["dark4"] > scores["dark8"] > scores["dark16"] >= 0.5

    def test_a_set_of_scans_is_no_set_of_grey_photos(self, drawn: Path, tmp_path: Path) -> None:
        count = sum(1 for _ in drawn.rglob("*.jpg"))
        changes: dict[str, Change] = {
            f"scan{number}": lambda photo: photo.convert("L") for number in range(count)
        }
        copy_changed(drawn, tmp_path / "scans", changes)
        assert not [one for one in found(tmp_path / "scans") if one.code == "grey"]

    def test_upright_and_across_are_one_shape(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        (tmp_path / "a").mkdir()
        for number in range(30):
            size = (160, 120) if number < 29 else (120, 160)
            pixels = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "a" / f"{number}.png")
        assert not [one for one in found(tmp_path) if one.code == "odd-aspect"]

    def test_rows_of_an_array_are_looked_at(self) -> None:
        source = open_source("digits")
        subject = Subject(source, take_in(source, threads=1), threads=1)
        result = looks.check(subject)
        assert not isinstance(result, NotApplicable)
        # Too small for sharpness, and one size.
        assert not {one.code for one in result} & {"blurry", "odd-size", "odd-aspect", "grey"}
        assert isinstance(names.check(subject), NotApplicable)

    def test_time_is_looked_at(self, drawn: Path) -> None:
        with pytest.raises(BudgetSpent):
            looks.check(subject_of(drawn, Budget(1e-9)))


class TestNames:
    def test_the_content_decides(self, tmp_path: Path) -> None:
        folder = tmp_path / "photos"
        (folder / "a").mkdir(parents=True)
        photo = Image.effect_noise((80, 60), 60)
        for name, kind in (
            ("right.jpg", "JPEG"), ("RIGHT.JPEG", "JPEG"), ("lie.png", "JPEG"),
            ("lie.jpg", "WEBP"), ("right.tif", "TIFF"), ("none", "PNG"), ("odd.photo", "BMP"),
        ):  # fmt: skip
            stream = io.BytesIO()
            photo.save(stream, kind)
            (folder / "a" / name).write_bytes(stream.getvalue())
        result = names.check(subject_of(folder))
        assert not isinstance(result, NotApplicable)
        told = {Path(one.path).name: (one.suggestion, one.severity) for one in result}
        assert told == {
            "lie.png": (".jpg", "warning"), "lie.jpg": (".webp", "warning"),
            "odd.photo": (".bmp", "warning"), "none": (".png", "info"),
        }  # fmt: skip


class TestFigures:
    @given(st.integers(0, 255), st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3]))
    @settings(deadline=None, max_examples=30)
    def test_an_even_area_is_what_it_is(self, level: int, h: int, w: int, channels: int) -> None:
        pixels = np.full((h, w, channels), level, np.uint8)
        values = figures(pixels)
        assert np.isfinite(np.delete(values, 6)).all()
        assert values[:5] == pytest.approx(level)
        assert values[5] == pytest.approx(0, abs=1e-3)
        assert detail(pixels[:, :, 0]) == pytest.approx(0, abs=1e-3)

    def test_percentiles_are_numpys(self) -> None:
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (120, 90, 3), dtype=np.uint8)
        grey = np.asarray(Image.fromarray(pixels).convert("L"))
        expected = np.percentile(grey, (1, 5, 95, 99), method="inverted_cdf")
        assert figures(pixels)[:4] == pytest.approx(expected, abs=1)
        spread = pixels.max(axis=2).astype(int) - pixels.min(axis=2)
        assert chroma(pixels) == np.percentile(spread, 99, method="inverted_cdf")

    def test_sharpness_is_one_less_the_published_blur_effect(self) -> None:
        """Against the definition of Crete et al., written down sum by sum."""
        rng = np.random.default_rng(1)
        grey = np.asarray(
            Image.fromarray(rng.integers(0, 256, (70, 80), dtype=np.uint8)).filter(
                ImageFilter.GaussianBlur(1)
            )
        )

        def lost(picture: np.ndarray) -> float:
            height = len(picture)
            blurred = {row: picture[row - 4 : row + 5].mean(axis=0) for row in range(5, height - 4)}
            variation = left = 0.0
            for row in range(6, height - 4):
                was = np.abs(picture[row] - picture[row - 1])
                was[was < LEAST_STEP] = 0
                now = np.abs(blurred[row] - blurred[row - 1])
                variation += was.sum()
                left += np.maximum(was - now, 0).sum()
            return left / variation

        values = grey.astype(np.float64)
        assert sharpness(grey) == pytest.approx(min(lost(values), lost(values.T)), abs=1e-4)

    @pytest.mark.parametrize("deviation", [1, 2, 4])
    def test_blurring_takes_sharpness(self, drawn: Path, deviation: int) -> None:
        for file in sorted(drawn.rglob("*.jpg"))[::7]:
            photo = Image.open(file).convert("L")
            blurred = photo.filter(ImageFilter.GaussianBlur(deviation))
            assert sharpness(np.asarray(blurred)) < sharpness(np.asarray(photo))

    def test_large_photos_are_judged_as_models_see_them(self, drawn: Path) -> None:
        """Enlarged fourfold nothing is sharp pixel by pixel; what is seen small is the same."""
        photo = Image.open(next(drawn.rglob("*.jpg"))).convert("RGB")
        large = photo.resize((photo.width * 4, photo.height * 4), Image.Resampling.BICUBIC)
        small, enlarged = figures(np.asarray(photo)), figures(np.asarray(large))
        assert enlarged[6] == pytest.approx(small[6], abs=0.08)
        assert max(photo.size) <= SIDE

    def test_files_that_went_meanwhile_have_no_figures(self, drawn: Path, tmp_path: Path) -> None:
        copy_changed(drawn, tmp_path / "copy", {})
        subject = subject_of(tmp_path / "copy")
        (tmp_path / "copy" / subject.photos[0].path).unlink()
        traits = measure(subject.source, subject.photos, threads=1)
        assert np.isnan(traits.mean[0])
        assert np.isfinite(traits.mean[1:]).all()


class TestRealPhotos:
    """Phone photos of tools: few false alarms, and what is made bad on purpose is found."""

    def test_nearly_none_of_good_photos_are_flagged(self, data_folder, tmp_path: Path) -> None:
        files = sorted(file for file in data_folder("tools15").glob("*/*"))[::16]
        for file in files:
            folder = tmp_path / file.parent.name
            folder.mkdir(exist_ok=True)
            (folder / file.name).symlink_to(file)
        codes = Counter(one.code for one in found(tmp_path))
        assert codes.total() <= len(files) * 0.01, codes

    def test_blurred_ones_are_found(self, data_folder) -> None:
        values = []
        for file in sorted(data_folder("tools15").glob("*/*"))[::48]:
            photo = Image.fromarray(decode(file.read_bytes())).convert("L")
            values.append(sharpness(np.asarray(photo.filter(ImageFilter.GaussianBlur(3)))))
        assert np.mean(np.array(values) <= looks.BLURRED) >= 0.95

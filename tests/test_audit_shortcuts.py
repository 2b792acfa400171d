"""Traits that give a class away are found by name; where there are none, none are."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import draw_photo
from pegboard.audit import shortcuts
from pegboard.audit.findings import Finding, NotApplicable
from pegboard.audit.subject import Subject
from pegboard.intake import take_in
from pegboard.sources import open_source

CLASSES = ("disc", "square", "cross")
PER_CLASS = 36

Writer = Callable[[str, Image.Image, np.random.Generator], tuple[str, bytes]]


def jpeg(photo: Image.Image, quality: int = 85, camera: str = "") -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    if camera:
        exif[0x0110] = camera
    photo.save(stream, "JPEG", quality=quality, exif=exif)
    return stream.getvalue()


def ordinary(label: str, photo: Image.Image, rng: np.random.Generator) -> tuple[str, bytes]:
    """Sizes, cameras and qualities by chance, whatever the class."""
    size = [(96, 80), (80, 96), (120, 90)][int(rng.integers(3))]
    camera = ["Aphone 3", "Bphone X", ""][int(rng.integers(3))]
    return "jpg", jpeg(photo.resize(size), int(rng.integers(70, 95)), camera)


def by_size(label: str, photo: Image.Image, rng: np.random.Generator) -> tuple[str, bytes]:
    return (
        ("jpg", jpeg(photo.resize((128, 72)))) if label == "disc" else ordinary(label, photo, rng)
    )


def by_camera(label: str, photo: Image.Image, rng: np.random.Generator) -> tuple[str, bytes]:
    camera = "Oldcam 1" if label == "disc" else ["Aphone 3", "Bphone X", ""][int(rng.integers(3))]
    return "jpg", jpeg(photo, int(rng.integers(70, 95)), camera)


def by_file_type(label: str, photo: Image.Image, rng: np.random.Generator) -> tuple[str, bytes]:
    kind, ending = ("BMP", "bmp") if label == "disc" else ("PNG", "png")
    stream = io.BytesIO()
    photo.save(stream, kind)
    return ending, stream.getvalue()


def by_compression(label: str, photo: Image.Image, rng: np.random.Generator) -> tuple[str, bytes]:
    quality = 30 if label == "disc" else int(rng.integers(70, 95))
    return "jpg", jpeg(photo, quality)


def by_border(label: str, photo: Image.Image, rng: np.random.Generator) -> tuple[str, bytes]:
    if label == "disc":
        framed = Image.new("RGB", photo.size, (200, 60, 60))
        framed.paste(photo.crop((10, 10, photo.width - 10, photo.height - 10)), (10, 10))
        photo = framed
    return "jpg", jpeg(photo)


def by_light(label: str, photo: Image.Image, rng: np.random.Generator) -> tuple[str, bytes]:
    strength = 0.4 if label == "disc" else float(rng.uniform(0.8, 1.2))
    return "jpg", jpeg(photo.point(lambda value: value * strength))


def write(folder: Path, writer: Writer, per_class: int = PER_CLASS) -> Subject:
    rng = np.random.default_rng(0)
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for number in range(per_class):
            ending, data = writer(label, draw_photo(label, rng, (160, 130)), rng)
            (folder / label / f"{number}.{ending}").write_bytes(data)
    source = open_source(str(folder))
    return Subject(source, take_in(source, threads=1), threads=1)


def found(subject: Subject) -> list[Finding]:
    result = shortcuts.check(subject)
    assert not isinstance(result, NotApplicable), result
    return result


@pytest.mark.parametrize(
    ("writer", "trait"),
    [
        (by_size, "size"),
        (by_camera, "camera"),
        (by_file_type, "file type"),
        (by_compression, "JPEG compression"),
        (by_border, "border"),
        (by_light, "border"),
    ],
)
def test_the_trait_is_named(tmp_path: Path, writer: Writer, trait: str) -> None:
    findings = {one.path: one for one in found(write(tmp_path / "photos", writer))}
    assert set(findings) == {"disc/"}
    told = findings["disc/"]
    assert told.explanation.startswith(f"{trait} alone tells disc"), told.explanation
    assert told.score > 0.9


def test_where_traits_go_by_chance_none_is_found(tmp_path: Path) -> None:
    subject = write(tmp_path / "photos", ordinary)
    assert found(subject) == []
    for trait in subject.facts["shortcuts"]["traits"].values():
        assert trait["balanced_accuracy"] < trait["chance"] + 0.2


def test_copies_prove_nothing(tmp_path: Path) -> None:
    """Photos of one group are never on both sides: 30 copies are one photo."""

    def copied(label: str, photo: Image.Image, rng: np.random.Generator) -> tuple[str, bytes]:
        same = draw_photo(label, np.random.default_rng(len(label)), (160, 130))
        return "jpg", jpeg(same, camera=f"cam {label}")

    result = shortcuts.check(write(tmp_path / "photos", copied))
    assert isinstance(result, NotApplicable)


def test_a_few_photos_are_too_few(tmp_path: Path) -> None:
    result = shortcuts.check(write(tmp_path / "photos", by_size, per_class=5))
    assert isinstance(result, NotApplicable)
    assert "10 different photos" in result.why


def test_the_object_itself_is_no_shortcut() -> None:
    """A one has fewer white pixels than an eight; that is what digits are told by."""
    source = open_source("digits")
    assert found(Subject(source, take_in(source, threads=1), threads=1)) == []

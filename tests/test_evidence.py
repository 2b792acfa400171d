from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pegboard.errors import RunFolderError
from pegboard.evidence import Evidence, Mistake, ModelEvidence, Neighbour, Views
from pegboard.models.layer_row import LayerRow
from pegboard.pictures import Album, encode
from pegboard.runs import RunFolder


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def some_evidence() -> Evidence:
    album = Album()
    names = [album.add(encode(pixels(seed))) for seed in range(6)]
    model = ModelEvidence(
        layers=(LayerRow("conv", "Conv2d 3x3 /2", (14, 14, 32), 320), LayerRow("x", "P", (), 7)),
        seen=(Views("hammer/a.jpg", (names[1],)),),
        augmented=(Views("hammer/a.jpg", (names[2], names[3])),),
        mistakes=(
            Mistake("saw/b.jpg", (Neighbour("saw/ü,\u2028.jpg", "saw", 0.75),), names[4]),
            Mistake("saw/c.jpg"),
        ),
    )
    return Evidence(
        thumbnails={"hammer/a.jpg": names[0], "saw/\udcff.jpg": names[5]},
        samples={"hammer": ("hammer/a.jpg",), "saw": ()},
        models={"mobilenetv2:frozen": model, "lm": ModelEvidence()},
        duplicates=(("hammer/a.jpg", "hammer/z.jpg"),),
        neighbours_by="pixels",
        notes=("one thing", "another"),
        pictures=album.pictures,
    )


def altered(folder: RunFolder, **changes: Any) -> None:
    data = json.loads(folder.evidence.read_text("utf-8"))
    folder.evidence.write_text(json.dumps(data | changes), "utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    some_evidence().write(folder)
    return folder


def test_what_was_written_is_read(folder: RunFolder) -> None:
    assert Evidence.read(folder) == some_evidence()
    assert sorted(file.name for file in folder.path.iterdir()) == ["evidence.json", "pictures.zip"]


def test_the_same_evidence_gives_the_same_bytes(folder: RunFolder) -> None:
    before = folder.evidence.read_bytes(), folder.pictures.read_bytes()
    some_evidence().write(folder)
    assert (folder.evidence.read_bytes(), folder.pictures.read_bytes()) == before


def test_pictures_come_as_bytes_and_as_pixels(folder: RunFolder) -> None:
    evidence = Evidence.read(folder)
    name = evidence.thumbnails["hammer/a.jpg"]
    assert evidence.picture(name)[8:12] == b"WEBP"
    assert (evidence.pixels(name) == pixels(0)).all()
    with pytest.raises(KeyError):
        evidence.picture("none.webp")


def test_a_run_without_evidence_has_none(tmp_path: Path) -> None:
    assert Evidence.read(RunFolder(tmp_path)) is None


def test_without_its_pictures_there_is_none(folder: RunFolder) -> None:
    folder.pictures.unlink()
    assert Evidence.read(folder) is None


def test_damaged_pictures_are_refused(folder: RunFolder) -> None:
    data = bytearray(folder.pictures.read_bytes())
    data[100] ^= 1
    folder.pictures.write_bytes(data)
    with pytest.raises(RunFolderError, match=r"pictures\.zip was damaged or altered"):
        Evidence.read(folder)


def test_pictures_of_another_run_are_refused(folder: RunFolder, tmp_path: Path) -> None:
    other = RunFolder(tmp_path / "other")
    other.path.mkdir()
    Evidence().write(other)
    other.pictures.replace(folder.pictures)
    with pytest.raises(RunFolderError, match="lacks 6 of the pictures"):
        Evidence.read(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": None},
        {"thumbnails": 3},
        {"models": {"lm": {}}},
        {"samples": {"a": None}},
        {"models": {"lm": {"layers": [{"name": 1}], "seen": [], "augmented": [], "mistakes": []}}},
    ],
)
def test_altered_evidence_is_refused(folder: RunFolder, changes: dict[str, Any]) -> None:
    altered(folder, **changes)
    with pytest.raises(RunFolderError, match="is not what pegboard wrote"):
        Evidence.read(folder)


@pytest.mark.parametrize("text", ["", "[1]", "3", "{", '"x"'])
def test_something_else_is_refused(folder: RunFolder, text: str) -> None:
    folder.evidence.write_text(text)
    with pytest.raises(RunFolderError):
        Evidence.read(folder)


def test_evidence_of_a_newer_pegboard_says_so(folder: RunFolder) -> None:
    altered(folder, format=2)
    with pytest.raises(RunFolderError, match="update pegboard"):
        Evidence.read(folder)


def test_it_belongs_to_what_a_run_writes(folder: RunFolder) -> None:
    (folder.path / "mine.txt").write_text("x")
    folder.remove_contents()
    assert [file.name for file in folder.path.iterdir()] == ["mine.txt"]

"""Drawn photos of tools: reproducible, as untidy as they say, and tools to whoever looks."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pegboard.cli import cli
from pegboard.duplicates import duplicate_groups
from pegboard.errors import PegboardError
from pegboard.examples import CLASSES, write_tool_photos
from pegboard.examples.folders import UNEVEN
from pegboard.examples.studio import photograph
from pegboard.images import decode
from pegboard.intake import take_in
from pegboard.sources import open_source


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows_of(truth: Path) -> list[dict[str, str]]:
    with truth.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def untidy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str]]]:
    base = tmp_path_factory.mktemp("examples")
    folder = write_tool_photos(base / "tools", per_class=12, size=96, truth=base / "truth.csv")
    return folder, rows_of(base / "truth.csv")


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    first = write_tool_photos(tmp_path / "a", per_class=3, size=64)
    again = write_tool_photos(tmp_path / "b", per_class=3, size=64)
    other = write_tool_photos(tmp_path / "c", per_class=3, size=64, seed=1)
    assert files_of(first) == files_of(again)
    assert files_of(first) != files_of(other)


def test_a_tidy_folder_holds_even_classes_of_good_photos(tmp_path: Path) -> None:
    folder = write_tool_photos(tmp_path / "tidy", per_class=4, size=80, untidy=False)
    intake = take_in(open_source(str(folder)))
    assert Counter(photo.label for photo in intake.photos) == dict.fromkeys(CLASSES, 4)
    assert not intake.left_out
    assert not duplicate_groups(intake.photos).pairs
    assert all(max(photo.width, photo.height) == 80 for photo in intake.photos)


def test_the_truth_names_every_file(untidy: tuple[Path, list[dict[str, str]]]) -> None:
    folder, rows = untidy
    assert [row["path"] for row in rows] == sorted(files_of(folder))
    assert all(row["label"] == row["path"].rpartition("/")[0] for row in rows)
    assert {row["label_true"] for row in rows} == {*CLASSES, ""}


def test_an_untidy_folder_holds_what_it_says(untidy: tuple[Path, list[dict[str, str]]]) -> None:
    folder, rows = untidy
    intake = take_in(open_source(str(folder)))
    by_what: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_what.setdefault(row["what"], []).append(row)
    reasons = {left.path: left.reason for left in intake.left_out}
    for reason in ("truncated", "empty", "not-an-image", "hidden"):
        assert {reasons[row["path"]] for row in by_what[reason]} == {reason}
    wrong = [row["path"] for row in rows if row["label"].lower() not in ("", row["label_true"])]
    told = ("wrong-label", "two-labels", "rare-class")
    assert {row["what"] for row in rows if row["path"] in wrong if row["label_true"]} <= {
        *told, "copy", "second-shot",
    }  # fmt: skip
    assert all(by_what[what] for what in ("copy", "second-shot", *told))
    assert {"pliers", "Pliers"} <= {photo.label for photo in intake.photos}


def test_copies_and_second_shots_are_found_as_duplicates(
    tmp_path: Path,
) -> None:
    folder = write_tool_photos(tmp_path / "tools", per_class=16, truth=tmp_path / "truth.csv")
    photos = take_in(open_source(str(folder))).photos
    codes = duplicate_groups(photos).codes
    group = {photo.path: code for photo, code in zip(photos, codes, strict=True)}
    made = [
        row for row in rows_of(tmp_path / "truth.csv") if row["what"] in ("copy", "second-shot")
    ]
    found = [group[row["path"]] == group[row["other_path"]] for row in made]
    assert np.mean(found) > 0.8
    assert len(made) >= 10


def test_a_turned_photo_comes_upright(untidy: tuple[Path, list[dict[str, str]]]) -> None:
    folder, _ = untidy
    turned = []
    for path in sorted(folder.rglob("*.*")):
        try:
            with Image.open(path) as photo:
                if photo.getexif().get(0x0112, 1) != 1:
                    assert dict(photo.getexif()).keys() == {0x0112}, "nothing but the orientation"
                    turned.append((path, photo.size))
        except OSError:
            continue
    assert len(turned) >= 5
    for path, (width, height) in turned:
        upright = decode(path.read_bytes())
        assert upright.shape[:2] in {(width, height), (height, width)}


def test_uneven_classes_keep_the_mean() -> None:
    assert np.mean(list(UNEVEN.values())) == pytest.approx(1)
    assert sorted(UNEVEN) == list(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_no_two_photos_are_alike(name: str) -> None:
    photos = [
        np.asarray(photograph(name, np.random.default_rng(seed), 64).resize((32, 32)), dtype=float)
        for seed in range(4)
    ]
    for index, photo in enumerate(photos):
        assert photo.std() > 4, "there is something to see"
        assert all(np.abs(photo - other).mean() > 3 for other in photos[:index])


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(PegboardError, match="not an empty folder"):
        write_tool_photos(tmp_path, per_class=2)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_cannot_be_drawn_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    target = tmp_path / "tools"
    for wrong, said in (
        ({"per_class": 0}, "between 1 and"),
        ({"size": 10}, "at least 64 px"),
        ({"seed": -1}, "0 or more"),
        ({"truth": target / "truth.csv"}, "outside"),
    ):
        with pytest.raises(PegboardError, match=said):
            write_tool_photos(target, **wrong)  # type: ignore[arg-type]
    with pytest.raises(PegboardError, match="does not exist"):
        write_tool_photos(tmp_path / "no" / "tools")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_and_tells(tmp_path: Path) -> None:
    target = tmp_path / "tools"
    arguments = ["example-photos", str(target), "--per-class", "2", "--size", "64", "--tidy"]
    done = CliRunner().invoke(cli, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "folder": str(target), "files": 16, "classes": list(CLASSES),
    }  # fmt: skip
    assert len(files_of(target)) == 16

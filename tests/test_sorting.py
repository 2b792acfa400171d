"""Photos into class folders: planned first, nothing replaced, originals as they were."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pegboard import sorting
from pegboard.cli import run
from pegboard.errors import Interrupted, PegboardError
from pegboard.rows import Decision, Prediction
from pegboard.sorting import LOG, Line, Plan, Unsure, carry_out, plan_sorting
from pegboard.trees import class_folders, portable_folders, portable_name
from small_bundle import colour_bundle, plain

COLOURS = {"red": (200, 20, 20), "green": (20, 200, 20), "unsure": (120, 110, 100)}


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two shoots whose photos have the same names, and a file that is no photo."""
    for shoot, names in (("monday", ("red", "green")), ("tuesday", ("red", "unsure"))):
        (tmp_path / "photos" / shoot).mkdir(parents=True)
        for number, name in enumerate(names):
            file = tmp_path / "photos" / shoot / f"IMG_{number}.png"
            Image.fromarray(plain(COLOURS[name], 40 + len(shoot))).save(file)
    (tmp_path / "photos" / "notes.txt").write_text("not a photo")
    return tmp_path / "photos"


@pytest.fixture
def command(tmp_path: Path, photos: Path) -> list[str]:
    bundle = colour_bundle(tmp_path / "colours.pegboard")
    return ["predict", str(bundle), str(photos), "--sort-into", str(tmp_path / "sorted")]


def log_of(folder: Path, name: str = LOG) -> list[dict[str, str]]:
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_without_yes_it_is_only_said(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command) == 0
    lines = capsys.readouterr().out.splitlines()
    folder = tmp_path / "sorted"
    assert lines[:3] == [
        f"{folder / '_unsure' / 'red'}: 1 (IMG_1.png)",
        f"{folder / 'green'}: 1 (IMG_1.png)",
        f"{folder / 'red'}: 2 (IMG_0.png, IMG_0-2.png)",
    ]
    assert "1 get another name, as theirs is taken; 1 stay where they are" in lines[3]
    assert lines[4] == "Nothing was written; add --yes to do it."
    assert not folder.exists()


@pytest.mark.parametrize("how", ["--copy", "--link"])
def test_photos_are_put_into_class_folders(
    command: list[str], photos: Path, tmp_path: Path, how: str
) -> None:
    before = tree(photos)
    assert run([*command, "--yes", how]) == 0
    assert tree(photos) == before
    folder = tmp_path / "sorted"
    found = tree(folder)
    assert found.pop(LOG)
    assert found == {
        "red/IMG_0.png": before["monday/IMG_0.png"],
        "red/IMG_0-2.png": before["tuesday/IMG_0.png"],
        "green/IMG_1.png": before["monday/IMG_1.png"],
        "_unsure/red/IMG_1.png": before["tuesday/IMG_1.png"],
    }
    first = photos / "monday" / "IMG_0.png"
    assert (folder / "red" / "IMG_0.png").samefile(first) == (how == "--link")
    assert (folder / "red" / "IMG_0.png").stat().st_mtime_ns == first.stat().st_mtime_ns


def test_the_log_says_what_went_where(command: list[str], photos: Path, tmp_path: Path) -> None:
    assert run([*command, "--yes"]) == 0
    rows = {row["source_path"]: row for row in log_of(tmp_path / "sorted")}
    assert len(rows) == 5
    unsure = rows[str(photos / "tuesday" / "IMG_1.png")]
    assert (unsure["path"], unsure["done"]) == ("_unsure/red/IMG_1.png", "copied")
    assert (unsure["label"], unsure["decision"]) == ("red", "unsure")
    assert unsure["reason"].startswith("probability 0.67 is below")
    left = rows[str(photos / "notes.txt")]
    assert (left["path"], left["done"], left["label"]) == ("", "left", "")
    assert left["reason"].startswith("not-an-image")


def test_a_name_that_is_there_ends_it_before_anything_is_written(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sorted"
    (folder / "red").mkdir(parents=True)
    (folder / "red" / "IMG_0-2.png").write_text("mine")
    for yes in ([], ["--yes"]):
        assert run([*command, *yes]) == 1
        assert "red/IMG_0-2.png exist already and are not replaced" in capsys.readouterr().err
        assert list(tree(folder)) == ["red/IMG_0-2.png"]
    (folder / "red" / "IMG_0-2.png").rename(folder / "red" / "other.png")
    assert run([*command, "--yes"]) == 0
    assert (folder / "red" / "other.png").read_text() == "mine"


def test_a_second_batch_gets_a_second_log(command: list[str], photos: Path, tmp_path: Path) -> None:
    assert run([*command, "--yes"]) == 0
    first = log_of(tmp_path / "sorted")
    for file in photos.rglob("*.png"):
        file.rename(file.with_name(f"new-{file.name}"))
    assert run([*command, "--yes"]) == 0
    assert log_of(tmp_path / "sorted") == first
    assert len(log_of(tmp_path / "sorted", "pegboard-sorted-2.csv")) == 5


def test_a_folder_among_the_photos_is_refused(
    command: list[str], photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command[:-1], str(photos / "monday" / "sorted")]) == 1
    assert "whose photos are sorted, so they would be met again" in capsys.readouterr().err
    assert run([*command[:-1], str(photos / "notes.txt")]) == 1
    assert "is a file; name a folder" in capsys.readouterr().err
    assert run([*command[:2], "-", *command[3:]]) == 1
    assert "a photo on standard input has no name" in capsys.readouterr().err
    assert run([*command, "--out", "a.csv"]) == 2
    assert run([*command[:3], "--yes"]) == 2


def test_photos_that_were_sorted_already_are_not_met_again(
    command: list[str], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder among the photos, named by a line of a list and not by an argument."""
    (tmp_path / "list.txt").write_text(f"{photos / 'monday'}\n")
    into = photos / "monday" / "sorted"
    again = [*command[:2], "--files-from", str(tmp_path / "list.txt"), *command[3:-1], str(into)]
    assert run([*again, "--yes", "--resume"]) == 0
    sorted_once = sorted(into.rglob("*.png"))
    assert run([*again, "--yes", "--resume"]) == 1
    assert "lies in the folder that photos are sorted into" in capsys.readouterr().err
    assert sorted(into.rglob("*.png")) == sorted_once


def test_options_for_rows_are_refused(command: list[str]) -> None:
    assert run([*command, "--format", "csv"]) == 2
    assert run([*command, "--sets", ".9"]) == 2


def test_json_says_the_same(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["folders"] == {"_unsure/red": 1, "green": 1, "red": 2}
    assert (planned["renamed"], planned["left"], planned["dry_run"]) == (1, 1, True)
    assert run([*command, "--json", "--yes"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["done"] == {"copied": 4}
    assert done["log"] == str(tmp_path / "sorted" / LOG)


# --- going on ----------------------------------------------------------------------------


def photos_in(hashes: dict[str, str]) -> list[str]:
    return sorted(digest for path, digest in hashes.items() if path.endswith(".png"))


@pytest.mark.parametrize(("how", "done"), [("--copy", "copied"), ("--link", "linked")])
def test_a_command_stopped_anywhere_goes_on(
    command: list[str],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    how: str,
    done: str,
) -> None:
    """Each photo is answered once and written once, wherever Ctrl-C came."""
    folder, kept = tmp_path / "sorted", tmp_path / "sorted.partial"
    resuming = [*command, "--resume"]
    assert run(resuming) == 0
    assert f"Only the answers were kept, in {kept}" in capsys.readouterr().out
    assert not folder.exists()
    lines, before = kept.read_bytes(), tree(photos)
    placed = sorting._placed

    def stopping_at(count: int) -> None:
        tried: list[Line] = []

        def place(line: Line, folder: Path, how: Any) -> Line:
            if line.done == "to do":
                tried.append(line)
                if len(tried) > count:
                    raise KeyboardInterrupt
            return placed(line, folder, how)

        monkeypatch.setattr(sorting, "_placed", place)

    for _ in range(3):
        stopping_at(1)
        assert run([*resuming, "--yes", how]) == 130
    stamps = {path: path.stat().st_ino for path in folder.rglob("*.png")}
    assert len(stamps) == 3
    # Photos are not answered again; the file that is none is looked at each time.
    again = kept.read_bytes()
    assert again.startswith(lines)
    assert all(b"notes.txt" in line for line in again[len(lines) :].splitlines())
    monkeypatch.setattr(sorting, "_placed", placed)
    capsys.readouterr()
    assert run([*resuming, "--yes", how, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["done"] == {done: 1, "there": 3}
    assert not kept.exists()
    assert {path: path.stat().st_ino for path in stamps} == stamps
    assert photos_in(tree(folder)) == photos_in(before)
    assert tree(photos) == before


def test_without_resume_nothing_is_kept_and_what_is_there_stops_it(
    command: list[str], tmp_path: Path
) -> None:
    assert run([*command, "--yes"]) == 0
    before = tree(tmp_path / "sorted")
    assert not (tmp_path / "sorted.partial").exists()
    assert run([*command, "--yes"]) == 1
    assert run([*command, "--yes", "--resume"]) == 0
    after = tree(tmp_path / "sorted")
    assert after.pop("pegboard-sorted-2.csv")
    assert after == before
    assert {row["done"] for row in log_of(tmp_path / "sorted", "pegboard-sorted-2.csv")} == {
        "there", "left",
    }  # fmt: skip


def test_another_photo_in_its_place_is_not_taken_for_it(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--yes"]) == 0
    file = tmp_path / "sorted" / "red" / "IMG_0.png"
    status, data = file.stat(), bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run([*command, "--yes", "--resume"]) == 1
    assert "red/IMG_0.png exist already and are not replaced" in capsys.readouterr().err
    assert file.read_bytes() == data


def test_answers_of_another_model_are_not_gone_on_with(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--resume"]) == 0
    colour_bundle(tmp_path / "colours.pegboard", name="colours:other")
    assert run([*command, "--resume"]) == 1
    assert "or remove sorted.partial to begin again" in capsys.readouterr().err
    assert run([*command[:3], "--resume"]) == 2
    assert run([*command, "--overwrite"]) == 2


# --- the plan ----------------------------------------------------------------------------


def row(path: str, decision: Decision | None = "sure", label: str = "red") -> Prediction:
    if decision is None:
        return Prediction(path, error="empty: no bytes")
    return Prediction(path, label, 0.9, (), decision)


def paths_of(rows: Sequence[Prediction], classes: Sequence[str], unsure: Unsure) -> list[str]:
    return [line.path for line in plan_sorting(rows, Path("d"), classes, unsure).lines]


@pytest.mark.parametrize(
    ("unsure", "expected"),
    [
        ("apart", ["red/a", "_unsure/red/b", "_unknown/c", ""]),
        ("leave", ["red/a", "", "", ""]),
        ("sort", ["red/a", "red/b", "_unknown/c", ""]),
    ],
)
def test_where_photos_go_of_which_the_model_is_not_sure(
    unsure: Unsure, expected: list[str]
) -> None:
    rows = [row("a"), row("b", "unsure"), row("c", "unknown"), row("d", None)]
    assert paths_of(rows, ["red"], unsure) == expected


def test_one_file_has_one_place() -> None:
    rows = [row("x/a"), row("x/../x/a"), row("y/A")]
    # On Windows and macOS "a" and "A" are one name.
    assert paths_of(rows, ["red"], "apart") == ["red/a", "", "red/A-2"]


def test_class_names_become_folders_that_any_system_can_have() -> None:
    names = ["a/b", "con", "Hammer", "hammer", "_unsure", "saw: small?", "dots...", ".hidden", "é"]
    assert portable_folders(names, ["_unsure", "_unknown"]) == {
        "a/b": "a_b",
        "con": "_con",
        "Hammer": "Hammer",
        "hammer": "hammer-2",
        "_unsure": "_unsure-2",
        "saw: small?": "saw_ small_",
        "dots...": "dots",
        ".hidden": "hidden",
        "é": "é",
    }


@given(st.lists(st.text(max_size=5), unique=True, max_size=8))
def test_no_two_classes_share_a_folder(names: list[str]) -> None:
    folders = portable_folders(names, ["_unsure"])
    assert set(folders) == set(names)
    assert len({name.casefold() for name in [*folders.values(), "_unsure"]}) == len(names) + 1
    for name in folders.values():
        assert portable_name(name) == name
        assert name not in ("", ".", "..")
        assert not set(name) & set('/\\<>:"|?*\0\n')
        assert name[-1] not in " ."


# --- doing it ----------------------------------------------------------------------------


def three(tmp_path: Path) -> Plan:
    for name in "abc":
        (tmp_path / name).write_text(name)
    return plan_sorting([row(str(tmp_path / name)) for name in "abc"], tmp_path / "d", ["red"])


def test_a_photo_that_went_away_is_told_with_what_is_done(tmp_path: Path) -> None:
    plan = three(tmp_path)
    (tmp_path / "b").unlink()
    with pytest.raises(PegboardError, match=r"b: No such file.*; 1 of 3 photos are done, see"):
        carry_out(plan)
    assert [line["path"] for line in log_of(tmp_path / "d")] == ["red/a"]
    assert sorted(tree(tmp_path / "d")) == [LOG, "red/a"]


def test_where_links_cannot_be_made_photos_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: object, target: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    plan = three(tmp_path)
    monkeypatch.setattr(os, "link", link)
    done, _ = carry_out(plan, "link")
    assert [line.done for line in done.lines] == ["copied"] * 3
    assert not (tmp_path / "d" / "red" / "a").samefile(tmp_path / "a")
    assert sorted(tree(tmp_path / "d")) == [LOG, "red/a", "red/b", "red/c"]


def test_a_link_is_to_the_photo_and_not_to_a_link(tmp_path: Path) -> None:
    (tmp_path / "photo").write_text("x")
    (tmp_path / "a").symlink_to(tmp_path / "photo")
    carry_out(plan_sorting([row(str(tmp_path / "a"))], tmp_path / "d", ["red"]), "link")
    assert not (tmp_path / "d" / "red" / "a").is_symlink()
    assert (tmp_path / "d" / "red" / "a").samefile(tmp_path / "photo")


def test_ctrl_c_says_where_the_photos_are(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stopping(source: str, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sorting, "_copy", stopping)
    assert run([*command, "--yes"]) == 130
    told = f"pegboard: stopped; what was done is kept in {tmp_path / 'sorted'}\n"
    assert capsys.readouterr().err.lstrip() == told  # after a line that click ends


def test_ctrl_c_leaves_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, copy = three(tmp_path), sorting._copy

    def stopping(source: str, target: Path) -> None:
        if source.endswith("c"):
            raise KeyboardInterrupt
        copy(source, target)

    monkeypatch.setattr(sorting, "_copy", stopping)
    with pytest.raises(Interrupted):
        carry_out(plan)
    assert [line["path"] for line in log_of(tmp_path / "d")] == ["red/a", "red/b"]


def test_a_file_that_appears_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = three(tmp_path)
    (tmp_path / "d" / "red").mkdir(parents=True)
    (tmp_path / "d" / "red" / "b").write_text("mine")
    monkeypatch.setattr(sorting, "check_free", lambda plan: None)
    with pytest.raises(PegboardError, match="File exists; 1 of 3 photos are done"):
        carry_out(plan)
    assert (tmp_path / "d" / "red" / "b").read_text() == "mine"
    assert sorted(tree(tmp_path / "d")) == [LOG, "red/a", "red/b"]


def test_letter_case_does_not_part_two_class_folders() -> None:
    assert class_folders({"Hammer", "hammer", "saw"}) == {
        "Hammer": "Hammer",
        "hammer": "hammer-2",
        "saw": "saw",
    }

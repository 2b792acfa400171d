"""A cleaned copy: what the corrections say, and the source untouched."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pegboard.cleaning import RECORD, Applied, apply_to_folder
from pegboard.cli import run
from pegboard.corrections import Correction, CorrectionsLog
from pegboard.errors import PegboardError
from pegboard.sources import open_source
from review_folders import write_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", per_class=3)


def corrections(folder: Path, *made: tuple[str, str, str]) -> Path:
    """A file of decisions (action, path, label_after), found by path."""
    log = CorrectionsLog(folder / "corrections.csv", "ann")
    for action, path, after in made:
        log.append([Correction(action, path, "", path.split("/")[0], after)])
    log.append([Correction("keep", "square/002.jpg", "", "square", "")])
    return log.path


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stamps(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        path.as_posix(): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
        for path in folder.rglob("*")
        if path.is_file()
    }


def record(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / RECORD).open(newline="")))


DECIDED = (
    ("accept", "disc/000.jpg", "square"),
    ("drop", "disc/001.jpg", ""),
    ("relabel", "cross/000.jpg", "ring"),
)


def test_the_copy_is_what_the_corrections_say(photos: Path, tmp_path: Path) -> None:
    before = stamps(photos)
    original = files(photos)
    done = apply_to_folder(
        str(photos), corrections=corrections(tmp_path, *DECIDED), folder=tmp_path / "clean"
    )
    copied = files(tmp_path / "clean")
    del copied[RECORD]
    assert (
        copied
        == {
            "cross/001.jpg": original["cross/001.jpg"],
            "cross/002.jpg": original["cross/002.jpg"],
            "disc/002.jpg": original["disc/002.jpg"],
            "ring/000.jpg": original["cross/000.jpg"],
            "square/000.jpg": original["square/000.jpg"],
            "square/000-2.jpg": original["disc/000.jpg"],
            "square/001.jpg": original["square/001.jpg"],
            "square/002.jpg": original["square/002.jpg"],
        }
        or copied["square/000.jpg"] == original["disc/000.jpg"]
    )
    assert stamps(photos) == before
    assert (done.photos, done.relabelled, done.dropped) == (8, 2, 1)
    assert done.done == {"copied": 8}


def test_every_file_of_the_source_is_listed_once(photos: Path, tmp_path: Path) -> None:
    (photos / "disc" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    file = corrections(tmp_path, *DECIDED)
    apply_to_folder(str(photos), corrections=file, folder=tmp_path / "clean")
    rows = record(tmp_path / "clean")
    assert sorted(row["source_path"] for row in rows) == sorted(files(photos))
    by_path = {row["source_path"]: row for row in rows}
    assert by_path["disc/001.jpg"]["done"] == "left-out"
    assert by_path["disc/001.jpg"]["reason"] == "excluded: dropped by a correction"
    assert by_path["disc/broken.jpg"]["reason"].startswith("truncated: ")
    one = by_path["disc/000.jpg"]
    assert (one["label_before"], one["label_after"], one["done"]) == ("disc", "square", "copied")
    for row in rows:
        if row["path"]:
            kept = (tmp_path / "clean" / row["path"]).read_bytes()
            assert kept == (photos / row["source_path"]).read_bytes()


def test_the_copy_is_a_source_in_which_nothing_is_left_to_correct(
    photos: Path, tmp_path: Path
) -> None:
    file = corrections(tmp_path, *DECIDED)
    apply_to_folder(str(photos), corrections=file, folder=tmp_path / "clean")
    listing = open_source(str(tmp_path / "clean")).listing()
    assert {entry.label for entry in listing.entries} == {"cross", "disc", "ring", "square"}
    assert [item.reason for item in listing.left_out] == ["pegboard-output"]
    again = apply_to_folder(
        str(tmp_path / "clean"), corrections=file, folder=tmp_path / "again", dry_run=True
    )
    assert (again.photos, again.relabelled, again.dropped) == (8, 0, 0)


def test_links_share_the_file_and_are_no_symlinks(photos: Path, tmp_path: Path) -> None:
    (photos / "disc" / "link.jpg").symlink_to(photos / "disc" / "002.jpg")
    done = apply_to_folder(
        str(photos), corrections=corrections(tmp_path), folder=tmp_path / "clean", how="link"
    )
    assert done.done == {"linked": 10}
    for path in (tmp_path / "clean").rglob("*.jpg"):
        assert not path.is_symlink()
        assert path.stat().st_nlink >= 2
    made = (tmp_path / "clean/cross/001.jpg").stat()
    assert made.st_ino == (photos / "cross/001.jpg").stat().st_ino


def test_what_cannot_be_linked_is_copied(photos: Path, tmp_path: Path) -> None:
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in files(photos).items():
            file.writestr(name, data)
    done = apply_to_folder(
        str(archive), corrections=corrections(tmp_path), folder=tmp_path / "clean", how="link"
    )
    assert done.done == {"copied": 9}
    assert len(list((tmp_path / "clean/disc").iterdir())) == 3


def test_splits_and_deeper_folders_are_kept(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_photos(tmp_path / "photos" / split, per_class=3)
    (tmp_path / "photos/train/disc/kitchen").mkdir()
    image = Image.fromarray(np.full((80, 80, 3), 77, np.uint8))
    image.save(tmp_path / "photos/train/disc/kitchen/a.png")
    file = corrections(tmp_path, ("relabel", "train/disc/kitchen/a.png", "square"))
    apply_to_folder(str(tmp_path / "photos"), corrections=file, folder=tmp_path / "clean")
    made = files(tmp_path / "clean")
    assert "train/square/kitchen/a.png" in made
    assert "test/disc/000.jpg" in made
    assert len(made) == 20


def test_rows_of_an_array_become_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (12, 8, 8), dtype=np.uint8)
    labels = np.arange(12) % 2
    np.savez(tmp_path / "a.npz", x_train=pixels, y_train=labels, x_test=pixels[:4] // 2,
             y_test=labels[:4])  # fmt: skip
    done = apply_to_folder(
        str(tmp_path / "a.npz"), corrections=corrections(tmp_path), folder=tmp_path / "clean"
    )
    assert done.photos == 16
    rows = [row for row in record(tmp_path / "clean") if row["path"]]
    assert len({row["path"] for row in rows}) == 16
    for row in rows:
        member, _, index = row["source_path"].partition("#")[2].partition("/")
        arrays = {"x_train": pixels, "x_test": pixels[:4] // 2}
        with Image.open(tmp_path / "clean" / row["path"]) as image:
            assert np.array_equal(np.asarray(image), arrays[member][int(index)])


@pytest.mark.parametrize("where", ["photos/new", "photos", "taken"])
def test_a_folder_that_must_not_be_written_is_refused(
    photos: Path, tmp_path: Path, where: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/mine.txt").write_text("mine")
    before = files(tmp_path)
    with pytest.raises(PegboardError, match=r"--to .* (is not an empty folder|lies inside)"):
        apply_to_folder(str(photos), corrections=tmp_path / "none.csv", folder=tmp_path / where)
    assert files(tmp_path) == before


def test_a_link_into_the_source_is_seen_through(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(photos)
    with pytest.raises(PegboardError, match="lies inside the source"):
        apply_to_folder(
            str(photos), corrections=corrections(tmp_path), folder=tmp_path / "way" / "new"
        )


def test_a_dry_run_writes_nothing(photos: Path, tmp_path: Path) -> None:
    file = corrections(tmp_path, *DECIDED)
    before = files(tmp_path)
    done = apply_to_folder(str(photos), corrections=file, folder=tmp_path / "clean", dry_run=True)
    assert files(tmp_path) == before
    assert done.lines()[-1] == (
        f"{tmp_path / 'clean'} would get 8 photos: 2 under another class, 1 dropped"
    )


def test_a_failure_half_way_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    too_long = corrections(tmp_path, ("relabel", "square/001.jpg", "x" * 300))
    with pytest.raises(PegboardError, match=r"cannot write .*clean: File name too long"):
        apply_to_folder(str(photos), corrections=too_long, folder=tmp_path / "clean")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corrections.csv", "photos"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["drop", "keep", "relabel", "undo"]),
            st.sampled_from([f"{c}/00{n}.jpg" for c in ("disc", "cross") for n in range(3)]),
            st.sampled_from(["disc", "square", "new/../..", "..", "a:b", ".hidden", "x" * 40]),
        ),
        max_size=6,
    )
)
@settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nothing_ever_leaves_the_folder(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, str, str]]
) -> None:
    base = tmp_path_factory.mktemp("apply")
    source = write_photos(base / "photos", per_class=3)
    done = apply_to_folder(str(source), corrections=corrections(base, *made), folder=base / "clean")
    assert isinstance(done, Applied)
    assert sorted(path.name for path in base.iterdir()) == ["clean", "corrections.csv", "photos"]
    kept = [row for row in record(base / "clean") if row["path"]]
    assert len(kept) == done.photos == len(files(base / "clean")) - 1
    assert len(kept) + done.dropped == 9


class TestCommand:
    def test_it_says_what_it_did_and_what_is_next(
        self, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = corrections(tmp_path, *DECIDED)
        clean = tmp_path / "clean"
        assert run(["apply", str(photos), "--corrections", str(file), "--to", str(clean)]) == 0
        out = capsys.readouterr().out
        assert f"{clean} has 8 photos: 2 under another class, 1 dropped" in out
        assert out.endswith(f"Next:   pegboard compare {clean}\n")

    def test_json(self, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = corrections(tmp_path, *DECIDED)
        options = ["--corrections", str(file), "--to", str(tmp_path / "c"), "--link", "--json"]
        assert run(["apply", str(photos), *options]) == 0
        data = json.loads(capsys.readouterr().out)
        assert (data["photos"], data["relabelled"], data["dropped"]) == (8, 2, 1)
        assert data["done"] == {"linked": 8}

    def test_a_cut_off_line_is_said(
        self, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = corrections(tmp_path, *DECIDED)
        with file.open("ab") as log:
            log.write(b"2026-01-01T00:00:00,ann,dro")
        assert (
            run(["apply", str(photos), "--corrections", str(file), "--to", "x", "--dry-run"]) == 0
        )
        assert "the last line is cut off" in capsys.readouterr().err

    def test_merging_two_reviewers(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name, after in (("ann", "square"), ("ben", "cross")):
            log = CorrectionsLog(tmp_path / f"{name}.csv", name)
            log.append([Correction("relabel", "disc/000.jpg", "", "disc", after)])
        both = [str(tmp_path / "ann.csv"), str(tmp_path / "ben.csv")]
        out = str(tmp_path / "out.csv")
        assert run(["review", "--merge", *both, "--out", out]) == 0
        said = capsys.readouterr().out
        assert "conflict: disc/000.jpg: ann: square; ben: cross" in said
        assert f"pegboard review SOURCE --findings {tmp_path}/out-conflicts" in said
        assert run(["review", "--merge", *both, "--out", out, "--json"]) == 1
        assert "is there already" in capsys.readouterr().err
        assert run(["review", "--merge", both[0], "--out", out]) == 2
        assert run(["review", *both]) == 2


def test_the_record_is_a_table_whatever_names_hold(tmp_path: Path) -> None:
    source = write_photos(tmp_path / "photos", per_class=3)
    os.rename(source / "disc/000.jpg", source / 'disc/a,"\r\n.jpg')  # noqa: PTH104
    apply_to_folder(str(source), corrections=corrections(tmp_path), folder=tmp_path / "clean")
    text = (tmp_path / "clean" / RECORD).read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert 'disc/a,"\r\n.jpg' in {row["source_path"] for row in rows}

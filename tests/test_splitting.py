from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from conftest import draw_photo
from pegboard.cli import run
from pegboard.manifest import ManifestRow, read_manifest, write_manifest
from pegboard.photos import SPLITS, SplitName
from pegboard.runs import RunFolder, write_json
from pegboard.sources import open_source
from pegboard.splitting import copy_to_folders

PhotoFolder = Callable[..., Path]
DataFolder = Callable[[str], Path]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


class Said:
    """What one command printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def data(self) -> dict:  # type: ignore[type-arg]
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line of a user's error."""
        assert self.code == 1
        assert self.out == ""
        lines = [line for line in self.err.splitlines() if line.startswith("pegboard: ")]
        assert len(lines) == 1
        assert "something went wrong" not in lines[0]
        return lines[0]


Call = Callable[..., Said]


@pytest.fixture
def split(capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: object) -> Said:
        capsys.readouterr()
        code = run(["split", *(str(argument) for argument in arguments)])
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return call


def fingerprints(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def table(path: Path, *rows: Sequence[str], columns: str = "path,label,split,group,sha256") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns.split(","), *rows])
    return path


class TestManifest:
    def test_is_printed_or_written(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=7)
        before = fingerprints(photos)
        printed = split(photos)
        assert printed.code == 0
        written = split(photos, "--out", "m.csv")
        assert Path("m.csv").read_text() == printed.out
        assert "disc: train 5, validation 1, test 1" in written.out
        assert "wrote m.csv" in written.out
        rows = read_manifest("m.csv")
        assert sorted(row.path for row in rows) == sorted(before)
        assert fingerprints(photos) == before

    def test_json_accounts_for_everything(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=6)
        (photos / "disc" / "notes.txt").write_text("hello")
        (photos / "lone").mkdir()
        shutil.copy(photos / "disc" / "000.jpg", photos / "cross" / "same.jpg")
        Image.new("L", (80, 80), 7).save(photos / "lone" / "a.png")
        said = split(photos, "--json", "--out", "m.csv")
        data = said.data
        assert data["found"] == data["used"] + len(data["left_out"]) == 21
        assert data["left_out_reasons"] == {
            "not-an-image": 1,
            "label-conflict": 2,
            "rare-class": 1,
        }
        assert data["used"] == len(read_manifest("m.csv")) == sum(
            sum(counts.values()) for counts in data["counts"].values()
        )  # fmt: skip
        assert data["manifest"] == "m.csv"
        for path in ("lone/a.png", "disc/notes.txt", "disc/000.jpg", "cross/same.jpg"):
            assert f"left out: {path}: " in said.err

    @pytest.mark.parametrize("name", ["m.tsv", "m.parquet"])
    def test_a_manifest_is_not_called_what_it_is_not(
        self, split: Call, photo_folder: PhotoFolder, name: str
    ) -> None:
        said = split(photo_folder(), "--out", name)
        assert said.code == 1
        assert "a manifest is a CSV file; name it m.csv" in said.err
        assert not Path(name).exists()

    def test_copies_stay_together(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=8)
        for number in range(4):
            image = Image.open(photos / "disc" / f"{number:03d}.{'png' if number % 2 else 'jpg'}")
            image.save(photos / "disc" / f"{number} again.jpg", quality=85)
            image.resize((192, 160)).save(photos / "disc" / f"{number} large.png")
            dark = ImageEnhance.Brightness(image).enhance(0.75)
            dark.save(photos / "disc" / f"{number} dark.png")
        split(photos, "--out", "m.csv")
        rows = {row.path: row for row in read_manifest("m.csv")}
        for number in range(4):
            names = [
                path for path in rows if path.startswith((f"disc/{number} ", f"disc/00{number}"))
            ]
            assert len(names) == 4
            assert len({rows[name].group for name in names}) == 1
            assert len({rows[name].split for name in names}) == 1
        assert len({row.group for row in rows.values()}) == 24

    def test_spellings_of_one_class_are_told(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(classes=("Pebbels", "pebbles", "disc"))
        (photos / "Pebbels" / "000.jpg").unlink()
        assert "--merge Pebbels=pebbles" in split(photos).err
        merged = split(photos, "--merge", "Pebbels=pebbles", "--json").data
        assert set(merged["counts"]) == {"disc", "pebbles"}

    def test_fractions_and_seed(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=10)
        counts = split(photos, "--fractions", ".5,.3,.2", "--json").data["counts"]
        assert counts["disc"] == {"train": 5, "validation": 3, "test": 2}
        assert split(photos).out == split(photos, "--split-seed", "0").out
        assert split(photos).out != split(photos, "--split-seed", "1").out
        assert "--fractions" in split(photos, "--fractions", ".5,.5").error

    def test_the_builtin_digits_need_no_flag(self, split: Call) -> None:
        said = split("digits", "--json")
        assert said.code == 0
        data = said.data
        assert (data["used"], data["left_out"], len(data["counts"])) == (1797, [], 10)
        assert sum(count["test"] for count in data["counts"].values()) in (269, 270)


class TestOut:
    def test_what_is_the_users_is_not_replaced(
        self, split: Call, photo_folder: PhotoFolder
    ) -> None:
        photos = photo_folder(per_class=4)
        before = fingerprints(photos)
        error = split(photos, "--out", photos / "disc" / "000.jpg").error
        assert "exists and is no manifest of pegboard" in error
        assert fingerprints(photos) == before

    def test_a_manifest_is_replaced(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=4)
        assert split(photos, "--out", "m.csv").code == 0
        assert split(photos, "--out", "m.csv", "--split-seed", "3").code == 0

    def test_the_source_is_not_replaced(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=4)
        split(photos, "--out", photos / "m.csv")
        before = (photos / "m.csv").read_bytes()
        assert "is the source itself" in split(photos / "m.csv", "--out", photos / "m.csv").error
        assert (photos / "m.csv").read_bytes() == before

    def test_a_missing_folder_is_told_first(self, split: Call) -> None:
        assert "there is no folder" in split("digits", "--out", "none/m.csv").error


class TestPrevious:
    def test_a_named_manifest_is_kept(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=9)
        split(photos, "--out", "first.csv", "--split-seed", "5")
        rng = np.random.default_rng(99)
        for number in range(9):
            draw_photo("disc", rng).save(photos / "disc" / f"new {number}.png")
        split(photos, "--out", "second.csv", "--previous", "first.csv")
        first = {row.path: row.split for row in read_manifest("first.csv")}
        second = {row.path: row.split for row in read_manifest("second.csv")}
        assert first.items() <= second.items()
        assert len(second) == len(first) + 9
        split(photos, "--out", "other.csv")
        other = {row.path: row.split for row in read_manifest("other.csv")}
        assert not first.items() <= other.items()

    def test_a_renamed_photo_keeps_its_split(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=9)
        split(photos, "--out", "first.csv", "--split-seed", "5")
        first = {row.path: row.split for row in read_manifest("first.csv")}
        for path in sorted((photos / "disc").iterdir()):
            path.rename(path.with_name(f"renamed {path.name}"))
        split(photos, "--out", "second.csv", "--previous", "first.csv")
        second = {
            row.path.replace("renamed ", ""): row.split for row in read_manifest("second.csv")
        }
        assert first == second

    def test_the_last_run_is_kept_by_default(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=9)
        split(photos, "--out", "m.csv", "--split-seed", "5")
        earlier = read_manifest("m.csv")
        folder = RunFolder(Path("pegboard-runs") / "photos-20250101-000000")
        settings = {
            "split_seed": 0, "fractions": None, "folds": None, "group_column": "group",
            "split_column": "split", "recipe": "default",
        }  # fmt: skip
        record = {
            "pegboard": "0", "started": "2025", "settings": settings,
            "source": {"location": str(photos.resolve())},
        }  # fmt: skip
        write_json(folder.run, record)
        write_manifest(folder.manifest, earlier)
        split(photos, "--out", "kept.csv")
        assert read_manifest("kept.csv") == earlier
        split(photos, "--out", "drawn.csv", "--previous", "none")
        assert read_manifest("drawn.csv") != earlier
        split(photos, "--out", "seeded.csv", "--split-seed", "5")
        assert read_manifest("seeded.csv") == earlier
        # Another source knows nothing of it.
        other = shutil.copytree(photos, photos.with_name("other"))
        split(other, "--out", "other.csv")
        assert read_manifest("other.csv") == read_manifest("drawn.csv")

    def test_a_photo_between_two_splits_is_left_out(
        self, split: Call, photo_folder: PhotoFolder
    ) -> None:
        photos = photo_folder(per_class=9)
        split(photos, "--out", photos / "first.csv")
        rows = read_manifest(photos / "first.csv")
        train = next(row for row in rows if row.split == "train" and row.label == "disc")
        test = next(row for row in rows if row.split == "test" and row.label == "disc")
        # The user says that a copy of a train photo shows what a test photo shows.
        copy = photos / "disc" / "copy.png"
        Image.open(photos / train.path).save(copy)
        lines = [[row.path, row.label, "" if row.path != test.path else "g"] for row in rows]
        lines.append(["disc/copy.png", "disc", "g"])
        source = table(photos / "m.csv", *lines, columns="path,label,group")
        said = split(source, "--previous", photos / "first.csv", "--json")
        (left_out,) = said.data["left_out"]
        assert (left_out["path"], left_out["reason"]) == ("disc/copy.png", "bridges-splits")
        assert f"{train.path} (train)" in left_out["detail"]
        assert f"{test.path} (test)" in left_out["detail"]
        assert "left out: disc/copy.png: bridges-splits" in said.err

    def test_a_missing_or_wrong_manifest_is_told(
        self, split: Call, photo_folder: PhotoFolder
    ) -> None:
        photos = photo_folder(per_class=4)
        assert "cannot be read" in split(photos, "--previous", "gone.csv").error
        other = table(Path("o.csv"), ["a", "b"], columns="path,label")
        assert "lacks the columns" in split(photos, "--previous", other).error


def with_splits(photos: Path, *names: str) -> Path:
    """Put class folders below train/, test/ …, in turn."""
    target = photos.with_name("given")
    for label in sorted(photos.iterdir()):
        for number, file in enumerate(sorted(label.iterdir())):
            folder = target / names[number % len(names)] / label.name
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / file.name)
    return target


class TestGivenSplits:
    def test_train_and_test_get_a_validation(self, split: Call, photo_folder: PhotoFolder) -> None:
        given = with_splits(photo_folder(per_class=20), "train", "train", "train", "test")
        assert split(given, "--json").data["counts"]["disc"] == {
            "train": 12,
            "validation": 3,
            "test": 5,
        }

    @pytest.mark.parametrize("name", ["val", "valid", "validation"])
    def test_all_three_are_kept(self, split: Call, photo_folder: PhotoFolder, name: str) -> None:
        given = with_splits(photo_folder(per_class=9), "train", name, "test")
        counts = split(given, "--json").data["counts"]
        assert all(count == dict.fromkeys(SPLITS, 3) for count in counts.values())

    def test_a_leak_is_refused_unless_allowed(self, split: Call, photo_folder: PhotoFolder) -> None:
        given = with_splits(photo_folder(per_class=9), "train", "val", "test")
        shutil.copy(given / "train" / "disc" / "000.jpg", given / "test" / "disc" / "copy.jpg")
        error = split(given).error
        assert "train/disc/000.jpg (train)" in error
        assert "test/disc/copy.jpg (test)" in error
        assert ": equal files" in error
        allowed = split(given, "--allow-leaks", "--json")
        assert allowed.code == 0
        assert allowed.data["used"] == 28

    def test_mnist_needs_no_flag(self, split: Call, data_folder: DataFolder) -> None:
        source = data_folder("mnist.npz")
        start = time.perf_counter()
        said = split(source, "--out", "m.csv", "--json")
        assert time.perf_counter() - start < 60
        assert said.code == 0
        totals: Counter[str] = Counter()
        for count in said.data["counts"].values():
            totals.update(count)
        assert totals == {"train": 50_000, "validation": 10_000, "test": 10_000}
        assert all(min(count.values()) > 800 for count in said.data["counts"].values())


class TestTables:
    """A table that tells sha256 and group of every row is taken at its word."""

    def rows(self, per_class: int = 20) -> list[list[str]]:
        return [
            [f"{label}/{n}.jpg", label, "", f"{label}{n // 2}", f"{n:063d}{code}"]
            for code, label in enumerate(("cat", "dog"))
            for n in range(per_class)
        ]

    def test_no_file_need_be_there(self, split: Call) -> None:
        source = table(Path("m.csv"), *self.rows())
        said = split(source, "--out", "out.csv")
        assert "the files are not here" in said.err
        rows = read_manifest("out.csv")
        assert [row.path for row in rows] == [row[0] for row in self.rows()]
        assert len({(row.group, row.split) for row in rows}) == 20
        assert Counter(row.split for row in rows) == {"train": 28, "validation": 6, "test": 6}

    def test_some_missing_files_are_left_out(self, split: Call) -> None:
        source = table(Path("m.csv"), *self.rows())
        for path, *_ in self.rows()[:-1]:
            Path(path).parent.mkdir(exist_ok=True)
            Path(path).write_bytes(b"never opened")
        said = split(source, "--json")
        assert said.data["used"] == 39
        assert said.data["left_out_reasons"] == {"missing-file": 1}

    def test_merge_and_exclude_hold(self, split: Call) -> None:
        source = table(Path("m.csv"), *self.rows(), ["owl/1.jpg", "owl", "", "o", "f" * 64])
        said = split(source, "--exclude-class", "owl", "--json")
        assert said.data["left_out_reasons"] == {"excluded": 1}

    def test_copies_to_folders_need_the_files(self, split: Call) -> None:
        source = table(Path("m.csv"), *self.rows())
        error = split(source, "--to-folders", "tree").error
        assert ".jpg cannot be copied: No such file" in error
        assert sorted(os.listdir()) == ["m.csv"]  # noqa: PTH208

    def test_a_label_conflict_and_a_repeated_row_are_left_out(self, split: Call) -> None:
        twice = [self.rows()[0], ["cat/1.jpg", "dog", *self.rows()[1][2:]]]
        said = split(table(Path("m.csv"), *self.rows(), *twice), "--json")
        assert said.data["left_out_reasons"] == {"label-conflict": 2, "excluded": 1}

    @pytest.mark.parametrize("count", [60_000])
    def test_many_rows_are_quick(self, split: Call, count: int) -> None:
        source = table(Path("m.csv"), *self.rows(count // 2))
        start = time.perf_counter()
        assert split(source, "--out", "out.csv").code == 0
        assert time.perf_counter() - start < 20
        assert len(read_manifest("out.csv")) == count


class TestToFolders:
    def test_photos_are_copied_as_they_are(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=8)
        said = split(photos, "--to-folders", "new/tree", "--out", "m.csv")
        assert said.code == 0
        tree = fingerprints(Path("new/tree"))
        rows = read_manifest("m.csv")
        assert tree == {f"{row.split}/{row.path}": (photos / row.path).read_bytes() for row in rows}
        # The copy is a source with the same splits.
        split("new/tree", "--out", "again.csv")
        assert {(row.sha256, row.split) for row in read_manifest("again.csv")} == {
            (row.sha256, row.split) for row in rows
        }

    def test_rows_of_arrays_become_png(self, split: Call) -> None:
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (24, 8, 8), dtype=np.uint8)
        np.savez("small.npz", x_train=images[:18], y_train=np.arange(18) % 2,
                 x_test=images[18:], y_test=np.arange(6) % 2)  # fmt: skip
        assert split("small.npz", "--to-folders", "tree").code == 0
        files = sorted(Path("tree").rglob("*.png"))
        assert len(files) == 24
        found = {Image.open(file).tobytes() for file in files}
        assert found == {image.tobytes() for image in images}

    def test_nothing_is_overwritten(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=4)
        Path("tree").mkdir()
        Path("tree/mine.txt").write_text("mine")
        assert "is not an empty folder" in split(photos, "--to-folders", "tree").error
        assert fingerprints(Path("tree")) == {"mine.txt": b"mine"}
        Path("file").write_text("mine")
        assert "is not an empty folder" in split(photos, "--to-folders", "file").error

    def test_an_empty_folder_is_filled_where_it_is(
        self, split: Call, photo_folder: PhotoFolder
    ) -> None:
        photos = photo_folder(per_class=4)
        Path("tree").mkdir()
        inode = Path("tree").stat().st_ino
        assert split(photos, "--to-folders", "tree").code == 0
        assert sorted(os.listdir("tree")) == ["test", "train", "validation"]  # noqa: PTH208
        assert Path("tree").stat().st_ino == inode

    def test_not_inside_the_source(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=4)
        before = fingerprints(photos)
        assert "lies inside the source" in split(photos, "--to-folders", photos / "tree").error
        assert fingerprints(photos) == before

    def test_names_never_collide_or_escape(self, tmp_path: Path) -> None:
        rows, data = [], {}
        labels = ["../up", ".._up", "a/b", "a_b", "..", "."]
        for number, label in enumerate(labels):
            for folder in ("one", "two"):
                path = f"{folder}/{number}/same.PNG" if folder == "one" else f"{number}/same.png"
                file = tmp_path / "source" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                image = Image.new("L", (9, 9), number * 20 + len(folder) * (folder == "one"))
                image.save(file)
                data[path] = file.read_bytes()
                rows.append(ManifestRow(path, label, "train", "g", "0"))
        # FolderSource reads by path; the labels come from the rows.
        source = open_source(str(tmp_path / "source"))
        copy_to_folders(source, rows, tmp_path / "tree")
        files = fingerprints(tmp_path / "tree")
        assert sorted(files.values()) == sorted(data.values())
        folders: dict[str, set[bytes]] = {}
        for path, content in files.items():
            assert path.startswith("train/")
            assert path.count("/") == 2
            folders.setdefault(path.split("/")[1], set()).add(content)
        expected = [{data[row.path] for row in rows if row.label == label} for label in labels]
        assert sorted(map(sorted, folders.values())) == sorted(map(sorted, expected))
        assert len({path.casefold() for path in files}) == len(files)

    def test_a_photo_that_cannot_be_read_leaves_nothing(
        self, tmp_path: Path, photo_folder: PhotoFolder
    ) -> None:
        from pegboard.errors import PegboardError

        photos = photo_folder(per_class=4)
        row = ManifestRow("disc/gone.jpg", "disc", "train", "g", "0")
        with pytest.raises(PegboardError, match=r"disc/gone\.jpg cannot be copied: No such file"):
            copy_to_folders(open_source(str(photos)), [row], tmp_path / "tree")
        assert not (tmp_path / "tree").exists()
        assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


class TestVerify:
    def test_a_split_of_ours_is_clean(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=6)
        split(photos, "--out", photos / "m.csv")
        said = split("--verify", photos / "m.csv")
        assert said.code == 0
        assert said.out == f"{photos / 'm.csv'}: 18 photos, no leaks between splits\n"

    def test_it_is_checked_without_the_photos(self, split: Call, photo_folder: PhotoFolder) -> None:
        split(photo_folder(per_class=6), "--out", "m.csv")
        said = split("--verify", "m.csv")
        assert said.code == 0
        assert "18 are not here and were compared by sha256 and group only" in said.out
        rows = read_manifest("m.csv")
        train = next(row for row in rows if row.split == "train")
        write_manifest("leak.csv", [*rows, ManifestRow("x.jpg", "cat", "test", "g", train.sha256)])
        said = split("--verify", "leak.csv", "--json")
        assert said.code == 3
        assert said.data["not_opened"] == 19
        assert [leak["kind"] for leak in said.data["leaks"]] == ["file"]

    def test_opening_the_photos_finds_more(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=6)
        rows = []
        for number, path in enumerate(sorted(photos.rglob("*.*"))):
            rows.append([path.relative_to(photos).as_posix(), path.parent.name, SPLITS[number % 3]])
        first = photos / rows[0][0]
        Image.open(first).save(photos / "disc" / "again.jpg", quality=80)
        Image.open(first).save(photos / "disc" / "same.bmp")
        rows.append(["disc/again.jpg", "disc", "test"])
        rows.append(["disc/same.bmp", "disc", "validation"])
        rows.append(["disc/gone.jpg", "disc", "validation"])
        source = table(photos / "m.csv", *rows, columns="path,label,split")
        assert rows[0][2] == "train"
        said = split("--verify", source)
        assert said.code == 3
        lines = said.out.splitlines()
        assert "20 photos, 3 leaks between splits (1 more could not be checked)" in lines[0]
        assert f"{rows[0][0]} (train) and disc/same.bmp (validation): equal pixels" in lines
        assert f"{rows[0][0]} (train) and disc/again.jpg (test): nearly equal" in lines

    def test_the_users_groups_count(self, split: Call) -> None:
        rows: list[tuple[str, SplitName, str]] = [
            ("a.jpg", "train", "g"), ("b.jpg", "test", "g"), ("c.jpg", "test", "g"),
            ("d.jpg", "test", "h"),
        ]  # fmt: skip
        source = table(
            Path("m.csv"), *([path, "cat", part, group] for path, part, group in rows),
            columns="path,label,split,group",
        )  # fmt: skip
        said = split("--verify", source)
        assert said.code == 3
        assert said.out.splitlines()[1:] == ["a.jpg (train) and b.jpg (test): same group"]

    def test_the_same_file_twice_is_a_leak(self, split: Call, photo_folder: PhotoFolder) -> None:
        photos = photo_folder(per_class=3)
        rows = [["disc/000.jpg", "disc", "train"], ["disc/000.jpg", "disc", "test"]]
        source = table(photos / "m.csv", *rows, columns="path,label,split")
        said = split("--verify", source)
        assert said.code == 3
        assert "disc/000.jpg (train) and disc/000.jpg (test): equal files" in said.out

    @pytest.mark.parametrize("label", ["cross", ""])
    def test_a_leak_does_not_depend_on_the_label(
        self, split: Call, photo_folder: PhotoFolder, label: str
    ) -> None:
        photos = photo_folder(per_class=3)
        rows = [["disc/000.jpg", "disc", "train"], ["disc/001.jpg", "disc", "test"],
                ["disc/000.jpg", label, "test"]]  # fmt: skip
        said = split("--verify", table(photos / "m.csv", *rows, columns="path,label,split"))
        assert said.code == 3
        assert "disc/000.jpg (train) and disc/000.jpg (test): equal files" in said.out
        told = [[f"gone{n}.jpg", name, part, "", "0" * 64] for n, (name, part) in
                enumerate([("disc", "train"), (label, "test")])]  # fmt: skip
        assert split("--verify", table(Path("told.csv"), *told)).code == 3

    def test_what_cannot_be_verified_is_told(self, split: Call, photo_folder: PhotoFolder) -> None:
        one = table(Path("one.csv"), ["a", "cat", "train", "g", "0" * 64])
        assert "gives one split" in split("--verify", one).error
        none = table(Path("none.csv"), ["a", "cat", "", "g", "0" * 64])
        assert "gives no splits" in split("--verify", none).error
        gone = table(Path("gone.csv"), ["a", "cat", "train"], ["b", "cat", "test"],
                     columns="path,label,split")  # fmt: skip
        assert "run this where the photos are" in split("--verify", gone).error
        assert "there is no" in split("--verify", "nothing.csv").error
        bad = table(Path("bad.csv"), ["a", "cat", "trian", "g", "0" * 64])
        assert "'trian'" in split("--verify", bad).error
        assert "gives no splits" in split("--verify", photo_folder(per_class=3)).error

    def test_a_tree_can_be_verified_too(self, split: Call, photo_folder: PhotoFolder) -> None:
        given = with_splits(photo_folder(per_class=6), "train", "test")
        assert split("--verify", given).code == 0
        shutil.copy(given / "train" / "disc" / "000.jpg", given / "test" / "cross" / "copy.jpg")
        assert split("--verify", given).code == 3


class TestRealPhotos:
    def test_tools15(self, split: Call, data_folder: DataFolder) -> None:
        """Three of the fifteen classes, with the pair known to lie under two labels."""
        folder = data_folder("tools15")
        Path("some").mkdir()
        for name in ("pliers", "wirecutter", "wrench"):
            Path("some", name).symlink_to(folder / name)
        said = split("some", "--out", "m.csv", "--json")
        data = said.data
        assert data["used"] + len(data["left_out"]) == 960
        assert 860 < data["groups"] < 955
        (pair,) = [text for text in data["warnings"] if "under two labels" in text]
        assert "2025-04-02T20-19-07.772Z" in pair
        assert "2025-05-21T16-39-37.965Z" in pair
        assert "more" not in pair
        for counts in data["counts"].values():
            assert abs(counts["train"] - 224) <= 2
            assert abs(counts["test"] - 48) <= 2
        buffer = io.StringIO(Path("m.csv").read_text())
        assert len(list(csv.DictReader(buffer))) == data["used"]

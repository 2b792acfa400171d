from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pegboard.cache import cache_folder
from pegboard.errors import PegboardError, SourceError, UnusableImage
from pegboard.intake import take_in
from pegboard.sources import SourceOptions, open_source
from pegboard.sources.base import short_name, shown, unshown
from pegboard.sources.builtin import Download, fetch, open_cifar10
from pegboard.sources.layout import tree_layout
from pegboard.sources.tables import ManifestSource


def png(seed: int = 0, size: int = 8) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def by_path(source) -> dict[str, tuple]:
    return {entry.path: (entry.label, entry.split) for entry in source.listing().entries}


def reasons(listing_or_intake) -> dict[str, str]:
    return {item.path: item.reason for item in listing_or_intake.left_out}


# --- Opening -----------------------------------------------------------------------------


def test_a_path_that_is_not_there_is_told_with_what_is_expected(tmp_path):
    with pytest.raises(SourceError, match=r"there is no .*nowhere.*class folders.*digits"):
        open_source(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("text", ["", "a\0b"])
def test_names_that_are_no_path_are_refused(text):
    with pytest.raises(SourceError):
        open_source(text)


def test_a_binary_file_is_refused_with_what_is_expected(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"\0\1\2" * 100)
    with pytest.raises(SourceError, match="none of the kinds"):
        open_source(str(tmp_path / "model.bin"))


def test_a_photo_is_not_a_source(tmp_path):
    (tmp_path / "one.png").write_bytes(png())
    with pytest.raises(SourceError, match="class folders"):
        open_source(str(tmp_path / "one.png"))


def test_names_are_fit_for_folders(tmp_path):
    assert short_name("My Tools (2024)") == "My-Tools-2024"
    assert short_name("Werkzeuge ä") == "Werkzeuge-ä"
    assert short_name("///") == "source"
    assert len(short_name("x" * 300)) == 60
    folder = write(tmp_path / "my tools", {"a/1.png": png()})
    source = open_source(str(folder) + "/")
    assert source.name == "my-tools"
    assert source.location == str(folder)


# --- Folders -----------------------------------------------------------------------------


def test_the_class_is_the_first_folder_and_deeper_ones_belong_to_it(tmp_path):
    write(tmp_path, {"hammer/1.png": png(), "hammer/old/rusty/2.png": png(), "saw/3": png()})
    assert by_path(open_source(str(tmp_path))) == {
        "hammer/1.png": ("hammer", None),
        "hammer/old/rusty/2.png": ("hammer", None),
        "saw/3": ("saw", None),
    }


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_train_val_test_trees_give_splits(tmp_path, val):
    files = [f"{part}/{cls}/x.png" for part in ("train", val, "test") for cls in ("a", "b")]
    write(tmp_path, {name: png() for name in files} | {"notes/x.png": png(), "train/y.png": png()})
    found = by_path(open_source(str(tmp_path)))
    assert found[f"{val}/a/x.png"] == ("a", "validation")
    assert found["train/b/x.png"] == ("b", "train")
    assert found["test/b/x.png"] == ("b", "test")
    assert found["notes/x.png"] == (None, None)
    assert found["train/y.png"] == (None, None)


def test_train_and_test_without_class_folders_are_two_classes(tmp_path):
    write(tmp_path, {"train/1.png": png(), "test/1.png": png()})
    assert by_path(open_source(str(tmp_path)))["train/1.png"] == ("train", None)


def test_train_and_val_without_test_are_not_taken_for_two_classes(tmp_path):
    write(tmp_path, {"train/a/1.png": png(), "val/a/1.png": png()})
    with pytest.raises(SourceError, match="train and val folders but no test"):
        open_source(str(tmp_path)).listing()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["train/a/1", "train/b/1", "test/1"],
            r"test/ holds no class folders, as train/ does; put .* name train/ as the source",
        ),
        (["train/a/1", "val/a/1", "test/1"], "test/ holds no class folders, as train/ and val/ do"),
        (["test/a/1", "train/1"], "train/ holds no class folders"),
        (["train/a/1", "valid/a/1", "docs/1"], "train and valid folders but no test"),
        (["test/a/1", "val/a/1"], "test and val folders but no train folder; add train/"),
    ],
)
def test_split_folders_are_not_taken_for_classes(tmp_path, names, message):
    write(tmp_path, {name: png() for name in names})
    with pytest.raises(SourceError, match=message):
        open_source(str(tmp_path)).listing()


def test_a_flat_test_folder_in_an_archive_is_refused(tmp_path):
    write_zip(tmp_path / "a.zip", {"data/train/a/1": png(1), "data/test/1": png(2)})
    with pytest.raises(SourceError, match=r"test/ holds no class folders.*pack train/ alone"):
        open_source(str(tmp_path / "a.zip")).listing()


def test_a_class_may_be_called_train(tmp_path):
    write(tmp_path, {"train/steam/1": png(), "car/1": png(), "bus/old/1": png()})
    labels = {label for label, _ in by_path(open_source(str(tmp_path))).values()}
    assert labels == {"train", "car", "bus"}


def nasty_tree(root: Path) -> Path:
    """Write a folder with everything that real ones hold, and more."""
    write(
        root,
        {
            "hammer/1.png": png(1),
            "hammer/no ending": png(2),
            "hammer/photo.txt": png(3),
            "hammer/notes.jpg": b"these are notes",
            "hammer/empty.jpg": b"",
            "hammer/half.png": png(4)[:100],
            "hammer/icon.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "hammer/.DS_Store": b"\0\0\0\1Bud1",
            "hammer/.thumbs/1.png": png(1),
            ".git/objects/ab": b"x",
            "__MACOSX/hammer/._1.png": b"x",
            "säge/größe ümläut.png": png(5),
            "säge/" + "x" * 240 + ".png": png(6),
            "säge/with,comma\nand newline.png": png(7),
            "readme.txt": b"text",
            "loose.png": png(8),
            "hammer/model.pegboard": b"PK",
            "my-run/run.json": json.dumps({"pegboard": "0.1.0"}).encode(),
            "my-run/plots/curve.png": png(9),
            "other/run.json": b'{"name": "not ours"}',
            "pegboard-check/findings.csv": b"path,code,severity,score\n",
            "found/findings.csv": b"path,code,severity,score\n",
            "found/report.html": b"<html>",
            "kept/corrections.csv": b"time,reviewer,action,path\n",
            "kept/3.png": png(10),
        },
    )
    (root / "hammer" / "broken link.png").symlink_to("nowhere.png")
    (root / "hammer" / "loop").symlink_to("..")
    (root / "again").symlink_to("hammer")
    (root / "hammer" / "itself").symlink_to("itself")
    os.mkfifo(root / "hammer" / "pipe")
    (root / "säge" / os.fsdecode(b"latin\xe9.png")).write_bytes(png(11))
    return root


def test_every_file_of_a_nasty_folder_is_counted_once(tmp_path):
    root = nasty_tree(tmp_path / "tools")
    on_disk = sum(len(files) for _, _, files in os.walk(root))
    listing = open_source(str(root)).listing()
    paths = [item.path for item in (*listing.entries, *listing.left_out)]
    assert listing.found == on_disk == len(set(paths))
    intake = take_in(open_source(str(root)))
    assert intake.found == on_disk
    assert Counter(item.reason for item in intake.left_out) == {
        "hidden": 4,
        "pegboard-output": 7,
        "not-an-image": 3,
        "empty": 1,
        "truncated": 1,
        "unsupported": 1,
        "unreadable": 3,
        "no-label": 1,
    }
    assert {photo.label for photo in intake.photos} == {"hammer", "säge", "kept"}
    assert [photo.path for photo in intake.photos] == sorted(photo.path for photo in intake.photos)


def test_names_that_are_not_utf8_can_be_written_out_and_read_back(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write(tmp_path, {"a/1.png": png(1)})
    (tmp_path / "a" / name).write_bytes(png(2))
    source = open_source(str(tmp_path))
    odd = next(entry.path for entry in source.listing().entries if "caf" in entry.path)
    odd.encode("utf-8")
    assert source.read(odd) == png(2)
    assert unshown(shown(name)) == name


def test_a_class_named_in_decomposed_unicode_is_composed(tmp_path):
    write(tmp_path, {"sa\u0308ge/1.png": png(), "hammer/1.png": png()})
    source = open_source(str(tmp_path))
    entry = source.listing().entries[1]
    assert entry.label == "s\u00e4ge"
    assert source.read(entry.path) == png()


def test_folders_that_differ_by_a_space_stay_apart(tmp_path):
    write(tmp_path, {"hammer/1.png": png(1), "hammer /2.png": png(2), " /3.png": png(3)})
    intake = take_in(open_source(str(tmp_path)))
    assert {photo.label for photo in intake.photos} == {"hammer", "hammer ", " "}
    assert [line.rpartition("--merge ")[2] for line in intake.warnings] == ["'hammer =hammer'"]


def test_links_to_folders_elsewhere_are_followed_and_real_folders_keep_their_files(tmp_path):
    elsewhere = write(tmp_path / "elsewhere", {"9.png": png()})
    root = write(tmp_path / "root", {"zebra/1.png": png()})
    (root / "hammer").symlink_to(elsewhere)
    (root / "a-link").symlink_to("zebra")
    assert set(by_path(open_source(str(root)))) == {"hammer/9.png", "zebra/1.png"}


def test_reading_a_pipe_or_a_missing_file_does_not_hang(tmp_path):
    write(tmp_path, {"a/1.png": png()})
    os.mkfifo(tmp_path / "a" / "pipe")
    source = open_source(str(tmp_path))
    with pytest.raises(UnusableImage, match="not a regular file"):
        source.read("a/pipe")
    with pytest.raises(FileNotFoundError):
        source.read("a/gone.png")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that other users may enter; pytest's own are for its user alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


AS_ANOTHER_USER = """
import json, os, sys
from pegboard.intake import take_in
from pegboard.sources import open_source
os.setgid(65534)
os.setuid(65534)
intake = take_in(open_source(sys.argv[1]))
print(json.dumps([intake.found, [[item.path, item.reason] for item in intake.left_out]]))
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
def test_files_and_folders_without_permission_are_left_out_as_unreadable(open_folder):
    names = ("a/1.png", "a/secret.png", "b/1.png", "locked/1.png")
    root = write(open_folder / "root", {name: png(seed) for seed, name in enumerate(names)})
    (root / "a" / "secret.png").chmod(0)
    (root / "locked").chmod(0)
    told = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER_USER, str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    found, left_out = json.loads(told.stdout)
    assert found == 4
    assert sorted(left_out) == [["a/secret.png", "unreadable"], ["locked/", "unreadable"]]


names = st.text(alphabet="ab.", min_size=1, max_size=3).filter(lambda name: name.strip("."))


@settings(max_examples=40, deadline=None)
@given(paths=st.sets(st.lists(names, min_size=1, max_size=4).map(tuple), min_size=1, max_size=12))
def test_found_is_the_number_of_files_in_any_tree(tmp_path_factory, paths):
    root = tmp_path_factory.mktemp("tree")
    for parts in paths:
        target = root.joinpath(*parts)
        if target.exists() or any(parent.is_file() for parent in target.parents):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"x")
    listing = open_source(str(root)).listing()
    assert listing.found == sum(len(files) for _, _, files in os.walk(root))


def test_tools15_is_listed_completely(data_folder):
    root = data_folder("tools15")
    listing = open_source(str(root)).listing()
    assert listing.found == len(listing.entries) == 4800
    assert set(Counter(entry.label for entry in listing.entries).values()) == {320}


# --- Manifests ---------------------------------------------------------------------------


def manifest(tmp_path: Path, text: str, name: str = "labels.csv", photos: int = 4) -> Path:
    write(tmp_path, {f"p/{number}.png": png(number) for number in range(photos)})
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def test_a_manifest_gives_label_split_group_and_sha256(tmp_path):
    digest = hashlib.sha256(png(0)).hexdigest()
    file = manifest(
        tmp_path,
        "path,label,split,group,sha256\n"
        f"p/0.png,a,train,g1,{digest}\n"
        "p/1.png, b ,val,,\n"
        "p/2.png,a,Test,g2,nonsense\n"
        "\n"
        "p/3.png,b,,,\n",
    )
    source = open_source(str(file))
    entries = source.listing().entries
    assert [(e.label, e.split, e.group) for e in entries] == [
        ("a", "train", "g1"),
        ("b", "validation", None),
        ("a", "test", "g2"),
        ("b", None, None),
    ]
    assert [e.sha256 for e in entries] == [digest, None, None, None]
    assert source.read("p/3.png") == png(3)
    assert source.name == "labels"


@pytest.mark.parametrize(
    ("name", "delimiter"), [("x.tsv", "\t"), ("x.csv", ";"), ("x.csv", ","), ("x.txt", "\t")]
)
def test_delimiters_and_a_byte_order_mark_are_understood(tmp_path, name, delimiter):
    rows = [["path", "label"], ["p/0.png", "a"], ["p/1.png", "b"]]
    file = manifest(tmp_path, "\ufeff" + "\n".join(map(delimiter.join, rows)), name)
    assert by_path(open_source(str(file))) == {"p/0.png": ("a", None), "p/1.png": ("b", None)}


def test_columns_of_other_names_are_given_by_option(tmp_path):
    file = manifest(tmp_path, "file,class,part,object\np/0.png,a,test,7\n")
    options = SourceOptions("file", "class", "part", "object")
    entry = open_source(str(file), options).listing().entries[0]
    assert (entry.path, entry.label, entry.split, entry.group) == ("p/0.png", "a", "test", "7")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("file,label\n", {}, r"no column 'path' \(found: file, label\).*--path-column"),
        ("path,class\n", {}, r"no column 'label' .*--label-column"),
        ("path,label\n", {"split_column": "part"}, r"no column 'part' .*--split-column"),
        ("path,label,label\n", {}, "more than one column named 'label'"),
        ("path,label,split\np/0.png,a,holdout\n", {}, r"line 2: expected the split .*'holdout'"),
        ("", {}, "is empty"),
        ("\n \n", {}, "is empty"),
        ('path,label,note\np/0.png,a,\np/1.png,b,"dim\np/2.png,b,\n', {}, "line 3: unexpected end"),
        ('path,label,note\np/1.png,b,"dim\np/2.png,b,"dim\n', {}, "line 2: .*quotes"),
        ("path,label\np/0.png,a\np/1.png,bolt, M8\n", {}, "line 3: found 3 cells .* header of 2"),
    ],
)
def test_unusable_tables_are_refused_in_one_line(tmp_path, text, options, message):
    file = manifest(tmp_path, text)
    with pytest.raises(SourceError, match=message) as caught:
        open_source(str(file), SourceOptions(**options))
    assert "\n" not in str(caught.value)


def test_quotes_inside_cells_and_empty_cells_behind_the_last_are_read(tmp_path):
    text = 'path,label\np/0.png,5" bolt,,\n"p/1.png","a ""b"", c"\n"p/2.png",a\n'
    labels = [label for label, _ in by_path(open_source(str(manifest(tmp_path, text)))).values()]
    assert labels == ['5" bolt', 'a "b", c', "a"]


def test_a_manifest_names_files_whose_names_are_not_utf8_as_outputs_do(tmp_path):
    write(tmp_path / "a", {os.fsdecode(b"caf\xe9.png"): png(2)})
    file = manifest(tmp_path, f"path,label\n{shown(os.fsdecode(b'a/caf' + bytes([0xE9])))}.png,a\n")
    source = open_source(str(file))
    assert [source.read(entry.path) for entry in source.listing().entries] == [png(2)]


def test_a_table_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "x.csv").write_bytes("path,label\nsäge.png,säge\n".encode("latin-1"))
    with pytest.raises(SourceError, match="not UTF-8"):
        open_source(str(tmp_path / "x.csv"))


def test_rows_without_file_or_label_and_repeated_rows_are_left_out_with_a_reason(tmp_path):
    file = manifest(
        tmp_path,
        "path,label\n"
        "p/0.png,a\n"
        "p/none.png,a\n"
        ",a\n"
        "p/1.png,\n"
        "p/0.png,a\n"
        "./p/0.png,a\n"
        "p/2.png,a\n"
        "p/2.png,b\n"
        "p/3.png\n",
    )
    listing = open_source(str(file)).listing()
    assert listing.found == 9
    assert [entry.path for entry in listing.entries] == ["p/0.png"]
    assert [(item.path, item.reason) for item in listing.left_out] == [
        ("p/none.png", "missing-file"),
        ("labels.csv#4", "missing-file"),
        ("p/1.png", "no-label"),
        ("p/0.png", "excluded"),
        ("./p/0.png", "excluded"),
        ("p/2.png", "label-conflict"),
        ("p/2.png", "label-conflict"),
        ("p/3.png", "no-label"),
    ]
    assert listing.left_out[3].detail == "line 6 repeats line 2"


def test_a_table_that_names_every_file_once_is_listed_as_any_other(tmp_path):
    text = "path,label,group\np/0.png,a,g\np/none.png,a,\n,a,\np/1.png,,\np/2.png,b,\np/3.png\n"
    once = open_source(str(manifest(tmp_path, text))).listing()
    # A row that repeats another takes the long way.
    twice = open_source(str(manifest(tmp_path, f"{text}p/0.png,a,g\n"))).listing()
    assert once.entries == twice.entries
    assert once.left_out == twice.left_out[:-1]
    assert twice.left_out[-1].detail == "line 8 repeats line 2"


@pytest.mark.parametrize("path", ["./p/0.png", "p//0.png", "p\\0.png", "p/x/../0.png", "p/./0.png"])
def test_detours_are_seen_through_where_no_file_is_opened(tmp_path, path):
    file = manifest(tmp_path, f"path,label\np/0.png,a\np/1.png,a\n{path},a\n")
    source = open_source(str(file))
    assert isinstance(source, ManifestSource)
    told = source.told()
    assert [entry.path for entry in told.entries] == ["p/0.png", "p/1.png"]
    assert told.left_out[0].detail == "line 4 repeats line 2"


def test_one_photo_in_two_splits_stays_visible_as_a_leak(tmp_path):
    file = manifest(tmp_path, "path,label,split\np/0.png,a,train\np/0.png,a,test\n")
    assert [entry.split for entry in open_source(str(file)).listing().entries] == ["train", "test"]


def test_paths_may_be_absolute_or_lead_upwards(tmp_path):
    outside = write(tmp_path / "outside", {"1.png": png(1), "2.png": png(2)})
    inside = tmp_path / "inside"
    inside.mkdir()
    text = f"path,label\n../outside/1.png,a\n{outside / '2.png'},b\n"
    (inside / "m.csv").write_text(text)
    source = open_source(str(inside / "m.csv"))
    assert [source.read(e.path) for e in source.listing().entries] == [png(1), png(2)]


def test_paths_with_backslashes_are_found(tmp_path):
    file = manifest(tmp_path, "path,label\np\\0.png,a\np/0.png,a\np\\1.png,b\n")
    source = open_source(str(file))
    assert list(by_path(source)) == ["p\\0.png", "p\\1.png"]
    assert source.read("p\\1.png") == png(1)


def test_a_parquet_manifest_reads_like_a_csv_one(tmp_path):
    polars = pytest.importorskip("polars")
    write(tmp_path, {f"p/{number}.png": png(number) for number in range(3)})
    frame = polars.DataFrame(
        {"path": ["p/0.png", "p/1.png", "p/2.png"], "label": [7, 8, None], "group": ["x", None, ""]}
    )
    frame.write_parquet(tmp_path / "m.parquet")
    listing = open_source(str(tmp_path / "m.parquet")).listing()
    assert [(e.label, e.group) for e in listing.entries] == [("7", "x"), ("8", None)]
    assert reasons(listing) == {"p/2.png": "no-label"}


def test_a_damaged_parquet_file_is_told_in_one_line(tmp_path):
    pytest.importorskip("polars")
    (tmp_path / "m.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(SourceError, match="not a readable Parquet file") as caught:
        open_source(str(tmp_path / "m.parquet"))
    assert "\n" not in str(caught.value)


def test_manifest_rows_may_name_parts_of_archives_and_arrays(tmp_path):
    write_zip(tmp_path / "a.zip", {"hammer/1.png": png(1), "saw/1.png": png(2)})
    write_npz(tmp_path / "sub" / "d.npz")
    text = "path,label\na.zip!/saw/1.png,saw\nsub/d.npz#x_train/1,one\nb.zip!/x.png,saw\n"
    (tmp_path / "m.csv").write_text(text)
    source = open_source(str(tmp_path / "m.csv"))
    listing = source.listing()
    assert reasons(listing) == {"b.zip!/x.png": "missing-file"}
    assert source.read("a.zip!/saw/1.png") == png(2)
    assert source.read("sub/d.npz#x_train/1").shape == (5, 6, 1)


# --- Pixel tables ------------------------------------------------------------------------


def pixel_rows(count: int = 6, side: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side * side), dtype=np.uint8)


@pytest.mark.parametrize("header", [True, False])
def test_a_pixel_table_gives_its_pixels(tmp_path, header):
    pixels = pixel_rows()
    table = np.column_stack([np.arange(6) % 3, pixels])
    first = ",".join(["label", *(f"pixel{n}" for n in range(25))]) if header else ""
    np.savetxt(tmp_path / "train.csv", table, "%d", ",", header=first, comments="")
    source = open_source(str(tmp_path / "train.csv"))
    entries = source.listing().entries
    assert [entry.label for entry in entries] == ["0", "1", "2", "0", "1", "2"]
    assert entries[4].path == "train.csv#4"
    assert np.array_equal(source.read("train.csv#4")[:, :, 0], pixels[4].reshape(5, 5))


def test_the_label_column_may_stand_anywhere_and_hold_words(tmp_path):
    pixels = pixel_rows(2)
    names = [*(f"p{n}" for n in range(25)), "label"]
    lines = [",".join(names), *(",".join(map(str, [*row, "cat"])) for row in pixels)]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    source = open_source(str(tmp_path / "x.csv"))
    assert source.listing().entries[1].label == "cat"
    assert np.array_equal(source.read("x.csv#1")[:, :, 0], pixels[1].reshape(5, 5))


def test_the_column_whose_name_stands_out_is_the_label(tmp_path):
    pixels = pixel_rows(2)
    lines = [",".join([*(f"pixel{n}" for n in range(1, 26)), "class"])]
    lines += [",".join(map(str, [*row, n])) for n, row in enumerate(pixels)]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    source = open_source(str(tmp_path / "x.csv"))
    assert [entry.label for entry in source.listing().entries] == ["0", "1"]
    assert np.array_equal(source.read("x.csv#1")[:, :, 0], pixels[1].reshape(5, 5))


def test_a_pixel_table_in_which_no_column_stands_out_is_refused(tmp_path):
    lines = [",".join(f"c{n}" for n in range(26)), ",".join(["1"] * 26)]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    with pytest.raises(SourceError, match=r"none of the 26 columns .* --label-column"):
        open_source(str(tmp_path / "x.csv"))


def test_a_label_column_that_a_pixel_table_lacks_is_refused(tmp_path):
    names = [*(f"p{n}" for n in range(25)), "digit"]
    lines = [",".join(names), ",".join(["7"] * 26)]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    with pytest.raises(SourceError, match=r"no column 'numeral'; .* its last one is 'digit'"):
        open_source(str(tmp_path / "x.csv"), SourceOptions(label_column="numeral"))


def test_a_pixel_table_may_end_its_lines_as_old_macs_did(tmp_path):
    lines = [",".join(map(str, [n, *row])) for n, row in enumerate(pixel_rows(2))]
    (tmp_path / "x.csv").write_text("\r".join(lines))
    assert [e.label for e in open_source(str(tmp_path / "x.csv")).listing().entries] == ["0", "1"]


@pytest.mark.parametrize(
    "text", ["x" * 200_000, ",".join(["1"] * 26) + '\n"' + ",".join(["1"] * 100_000)]
)
def test_a_cell_that_does_not_end_is_told_with_its_line(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(SourceError, match=r"x\.csv, line \d: field larger"):
        open_source(str(tmp_path / "x.csv"))


@pytest.mark.parametrize("by_plane", [True, False])
def test_colour_rows_may_be_stored_by_pixel_or_by_plane(tmp_path, by_plane):
    y, x = np.mgrid[0:16, 0:16]
    photo = np.stack([y * 16, x * 16, 255 - y * 8], axis=2).astype(np.uint8)
    row = (np.moveaxis(photo, 2, 0) if by_plane else photo).ravel()
    (tmp_path / "c.csv").write_text("\n".join(",".join(map(str, [n, *row])) for n in (0, 1)))
    assert np.array_equal(open_source(str(tmp_path / "c.csv")).read("c.csv#1"), photo)


def test_bad_rows_of_a_pixel_table_are_left_out_and_the_others_keep_their_numbers(tmp_path):
    pixels = pixel_rows(5)
    rows = [",".join(map(str, [number, *row])) for number, row in enumerate(pixels)]
    rows[1] = rows[1].replace(",", ",x", 1)
    rows[2] = "2,1,2,3"
    rows[3] = rows[3][1:]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    source = open_source(str(tmp_path / "t.csv"))
    listing = source.listing()
    assert listing.found == 5
    assert [entry.path for entry in listing.entries] == ["t.csv#0", "t.csv#4"]
    assert reasons(listing) == {
        "t.csv#1": "unreadable",
        "t.csv#2": "unreadable",
        "t.csv#3": "no-label",
    }
    assert np.array_equal(source.read("t.csv#4")[:, :, 0], pixels[4].reshape(5, 5))
    with pytest.raises(FileNotFoundError):
        source.read("t.csv#1")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1, *range(18)], "18 pixel columns make no square photo"),
        ([1, *([300] * 25)], "expected pixel values 0 to 255, found 300"),
        ([1, *([-1] * 25)], "expected pixel values 0 to 255, found -1"),
        ([1, *([99.5] * 25)], "expected whole pixel values"),
    ],
)
def test_pixel_tables_with_other_values_are_refused(tmp_path, row, message):
    (tmp_path / "t.csv").write_text("\n".join([",".join(map(str, row))] * 3))
    with pytest.raises(SourceError, match=message):
        open_source(str(tmp_path / "t.csv"))


def test_fractions_are_scaled_to_bytes(tmp_path):
    values = [0.0, 0.5, 1.0, 0.25] * 4
    (tmp_path / "t.csv").write_text("\n".join([",".join(map(str, ["a", *values]))] * 2))
    pixels = open_source(str(tmp_path / "t.csv")).read("t.csv#0")
    assert pixels.ravel()[:4].tolist() == [0, 128, 255, 64]


def test_a_table_of_pixels_without_labels_says_so(tmp_path):
    header = ",".join(f"pixel{n}" for n in range(25))
    (tmp_path / "test.csv").write_text(header + "\n" + ",".join(["1"] * 25) + "\n")
    with pytest.raises(SourceError, match="25 pixel columns and no label column"):
        open_source(str(tmp_path / "test.csv"))


def test_a_pixel_table_with_two_columns_of_a_name_is_refused(tmp_path):
    header = ",".join(["label", "p0", *(f"p{n}" for n in range(24))])
    (tmp_path / "t.csv").write_text(header + "\n" + ",".join(["1"] * 26) + "\n")
    with pytest.raises(SourceError, match="more than one column named p0"):
        open_source(str(tmp_path / "t.csv"))


def test_mnist_as_a_pixel_table_equals_the_npz(tmp_path, data_folder):
    with np.load(data_folder("mnist.npz")) as arrays:
        images, labels = arrays["x_test"][:500], arrays["y_test"][:500]
    table = np.column_stack([labels, images.reshape(500, -1)])
    np.savetxt(tmp_path / "m.csv", table, "%d", ",")
    source = open_source(str(tmp_path / "m.csv"))
    entries = source.listing().entries
    assert [int(entry.label) for entry in entries] == labels.tolist()
    read = np.stack([source.read(entry.path) for entry in entries])
    assert np.array_equal(read[..., 0], images)


# --- IDX ---------------------------------------------------------------------------------


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(
    folder: Path, *, gz: bool = False, dot: bool = False, parts=("train", "t10k")
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for part in parts:
        images = rng.integers(0, 255, (4, 5, 6), dtype=np.uint8)
        labels = np.array([0, 1, 0, 1], np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            name = f"{part}-{kind}{'.' if dot else '-'}ubyte"
            data = idx_bytes(array)
            (folder / (name + ".gz" * gz)).write_bytes(gzip.compress(data) if gz else data)
    return folder


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("dot", [True, False])
def test_an_idx_folder_gives_train_and_test(tmp_path, gz, dot):
    source = open_source(str(write_idx(tmp_path / "mnist", gz=gz, dot=dot)))
    found = by_path(source)
    mark = "." if dot else "-"
    assert found[f"train-images-idx3{mark}ubyte#3"] == ("1", "train")
    assert found[f"t10k-images-idx3{mark}ubyte#0"] == ("0", "test")
    assert len(found) == 8
    assert source.read(f"t10k-images-idx3{mark}ubyte#0").shape == (5, 6, 1)
    assert source.name == "mnist"


def test_only_a_train_part_gives_no_split(tmp_path):
    source = open_source(str(write_idx(tmp_path, parts=("train",))))
    assert {split for _, split in by_path(source).values()} == {None}


def test_an_idx_file_with_its_compressed_copy_is_counted_once(tmp_path):
    write_idx(tmp_path)
    assert len(by_path(open_source(str(write_idx(tmp_path, gz=True))))) == 8


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t10k-labels-idx1-ubyte", None, "holds t10k-images-idx3-ubyte but no t10k-labels"),
        ("t10k-labels-idx1-ubyte", idx_bytes(np.zeros(3, np.uint8)), "one label for each of 4"),
        ("t10k-images-idx3-ubyte", b"", "unsigned bytes"),
        ("t10k-images-idx3-ubyte", b"\0\0\x0d\3" + b"\0" * 12, "unsigned bytes"),
        ("t10k-images-idx3-ubyte", b"\0\0\x08\3" + b"\xff" * 12, "header is damaged"),
        ("t10k-images-idx3-ubyte", b"\0\0\x08\3\0\0", "header is damaged"),
        ("t10k-images-idx3-ubyte", idx_bytes(np.zeros((4, 5, 6), np.uint8))[:-9], "found 111"),
        (
            "t10k-images-idx3-ubyte",
            gzip.compress(b"x" * 999, mtime=0)[:-9],
            "cannot be read|unsigned",
        ),
    ],
)
def test_damaged_idx_folders_are_told_in_one_line(tmp_path, name, data, message):
    write_idx(tmp_path)
    (tmp_path / name).unlink()
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=message) as caught:
        open_source(str(tmp_path))
    assert "\n" not in str(caught.value)


# --- npz ---------------------------------------------------------------------------------


def write_npz(file: Path, **changes: object) -> Path:
    rng = np.random.default_rng(0)
    arrays: dict[str, object] = {
        "x_train": rng.integers(0, 255, (6, 5, 6), dtype=np.uint8),
        "y_train": np.arange(6) % 2,
        "x_test": rng.integers(0, 255, (4, 5, 6), dtype=np.uint8),
        "y_test": np.arange(4) % 2,
    }
    arrays.update(changes)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **{key: value for key, value in arrays.items() if value is not None})
    return file


def test_an_npz_gives_train_and_test_rows(tmp_path):
    file = write_npz(tmp_path / "d.npz")
    source = open_source(str(file))
    found = by_path(source)
    assert list(found)[:2] == ["d.npz#x_train/0", "d.npz#x_train/1"]
    assert found["d.npz#x_test/3"] == ("1", "test")
    with np.load(file) as arrays:
        assert np.array_equal(source.read("d.npz#x_test/3")[:, :, 0], arrays["x_test"][3])
    for path in ("d.npz#x_test/4", "d.npz#x_test/-1", "d.npz#x_val/0", "d.npz#x_test/x", "d.npz"):
        with pytest.raises(FileNotFoundError):
            source.read(path)


def test_mnist_npz_is_listed_in_its_own_order(data_folder):
    file = data_folder("mnist.npz")
    source = open_source(str(file))
    listing = source.listing()
    assert listing.found == len(listing.entries) == 70_000
    with np.load(file) as arrays:
        labels = [*arrays["y_train"].tolist(), *arrays["y_test"].tolist()]
        row = arrays["x_train"][17]
    assert [int(entry.label) for entry in listing.entries] == labels
    assert np.array_equal(source.read("mnist.npz#x_train/17")[:, :, 0], row)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 128, 255], np.int64), [0, 128, 255]),
        (np.array([0, 128, 255], np.float64), [0, 128, 255]),
        (np.array([0, 0.5, 1], np.float32), [0, 128, 255]),
        (np.array([False, True, True]), [0, 255, 255]),
        (np.array([0, 7, 255], ">u2"), [0, 7, 255]),
    ],
)
def test_other_number_types_are_converted_where_their_range_is_clear(tmp_path, values, expected):
    images = np.broadcast_to(values[:, None, None], (3, 4, 4))
    file = write_npz(tmp_path / "d.npz", x_train=images, y_train=np.arange(3))
    source = open_source(str(file))
    assert [int(source.read(f"d.npz#x_train/{n}")[0, 0, 0]) for n in range(3)] == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.full((6, 4, 4), 300.0)}, "0 to 255, found 300"),
        ({"x_train": np.full((6, 4, 4), np.nan)}, "0 to 255, found nan"),
        ({"x_train": np.full((6, 4, 4), -0.5)}, "0 to 255, found -0.5"),
        ({"x_train": np.full((6, 4, 4), 20.5)}, "whole pixel values"),
        ({"x_train": np.zeros((6, 16), np.uint8)}, r"shape .* found \(6, 16\)"),
        ({"x_train": np.zeros((6, 4, 4, 2), np.uint8)}, r"shape .* found \(6, 4, 4, 2\)"),
        ({"x_train": np.array(["a"] * 6)}, "expected uint8 pixels"),
        ({"x_train": np.array([{}] * 6, dtype=object)}, "Python objects, which are never loaded"),
        ({"y_train": np.arange(5)}, "one label for each of 6 images"),
        ({"y_train": np.arange(6) + 0.5}, "whole numbers as labels"),
        ({"y_test": None}, "holds x_test but no y_test; add it, or save"),
        ({"x_val": np.zeros((2, 4, 4), np.uint8)}, "holds x_val but no y_val"),
        ({"x_train": None}, "found x_test, y_test"),
        ({"x_train": None, "x_test": None, "images": np.zeros(3)}, "found images, y_test, y_train"),
    ],
)
def test_unusable_arrays_are_refused_in_one_line(tmp_path, changes, message):
    file = write_npz(tmp_path / "d.npz", **changes)
    with pytest.raises(SourceError, match=message) as caught:
        open_source(str(file))
    assert "\n" not in str(caught.value)


def test_planes_first_and_column_labels_are_understood(tmp_path):
    images = np.arange(2 * 3 * 8 * 9, dtype=np.uint8).reshape(2, 3, 8, 9)
    labels = np.array([[4], [5]])
    file = write_npz(tmp_path / "d.npz", x_train=np.asfortranarray(images), y_train=labels)
    source = open_source(str(file))
    assert np.array_equal(source.read("d.npz#x_train/1"), np.moveaxis(images[1], 0, 2))
    assert source.listing().entries[1].label == "5"


@pytest.mark.parametrize("damage", ["short", "text", "empty", "flipped"])
def test_a_corrupt_npz_is_told_in_one_line(tmp_path, damage):
    data = bytearray(write_npz(tmp_path / "d.npz").read_bytes())
    data[600] ^= 0xFF  # in the pixels: only the checksum can tell
    broken = {"short": data[:-80], "text": b"not an archive", "empty": b"", "flipped": data}[damage]
    (tmp_path / "d.npz").write_bytes(bytes(broken))
    with pytest.raises(SourceError, match="npz") as caught:
        open_source(str(tmp_path / "d.npz"))
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_npz_files_open_or_raise_a_source_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("npz")
    raw = bytearray(write_npz(folder / "d.npz").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (folder / "d.npz").write_bytes(bytes(raw))
    message = ""
    try:
        assert open_source(str(folder / "d.npz")).listing().found
    except SourceError as error:
        message = str(error)
    assert "\n" not in message


# --- Archives ----------------------------------------------------------------------------


def write_zip(file: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file


def write_tar(file: Path, files: dict[str, bytes]) -> Path:
    mode = {".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(file.suffix, "w")
    with tarfile.open(file, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file


KINDS = ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"]


def write_archive(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    return (write_zip if name.endswith("zip") else write_tar)(folder / name, files)


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_of_class_folders(tmp_path, kind):
    files = {
        "hammer/1.png": png(1),
        "hammer/deep/2.png": png(2),
        "säge/" + "y" * 180 + ".png": png(3),
        "readme.txt": b"hello",
        "loose.png": png(4),
        "__MACOSX/hammer/._1.png": b"x",
        "hammer/.hidden.png": png(5),
        "hammer/model.pegboard": b"PK",
    }
    source = open_source(str(write_archive(tmp_path, kind, files)))
    assert source.name == "a"
    intake = take_in(source)
    assert intake.found == len(files)
    assert {photo.path: photo.label for photo in intake.photos} == {
        f"{kind}!/hammer/1.png": "hammer",
        f"{kind}!/hammer/deep/2.png": "hammer",
        f"{kind}!/säge/{'y' * 180}.png": "säge",
    }
    assert reasons(intake) == {
        f"{kind}!/readme.txt": "not-an-image",
        f"{kind}!/loose.png": "no-label",
        f"{kind}!/__MACOSX/hammer/._1.png": "hidden",
        f"{kind}!/hammer/.hidden.png": "hidden",
        f"{kind}!/hammer/model.pegboard": "pegboard-output",
    }
    assert source.read(f"{kind}!/hammer/deep/2.png") == png(2)
    with pytest.raises(FileNotFoundError):
        source.read(f"{kind}!/hammer/9.png")


@pytest.mark.parametrize("kind", KINDS)
def test_no_member_is_ever_written_outside(tmp_path, kind):
    inner = tmp_path / "work" / "here"
    inner.mkdir(parents=True)
    absolute = str(tmp_path / "evil3.png")
    names = ["../evil.png", absolute, "hammer/../../evil2.png", "C:\\evil.png"]
    files = {name: png(9) for name in names} | {"hammer/1.png": png(1), "saw/1.png": png(2)}
    before = set(tmp_path.rglob("*"))
    file = write_archive(inner, kind, files)
    intake = take_in(open_source(str(file)))
    assert intake.found == len(files)
    assert len(intake.photos) == 2
    assert set(reasons(intake).values()) == {"unreadable"}
    assert all("outside" in item.detail for item in intake.left_out)
    assert set(tmp_path.rglob("*")) - before == {file}


@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["t/a/1", "t/b/1", "t/readme"], {"t/a/1": ("a", None), "t/b/1": ("b", None)}),
        (["x/t/a/1", "x/t/b/1"], {"x/t/a/1": ("a", None)}),
        (["t/train/a/1", "t/test/a/1", "t/val/a/1"], {"t/val/a/1": ("a", "validation")}),
        (["train/a/1", "test/b/1"], {"train/a/1": ("a", "train"), "test/b/1": ("b", "test")}),
        (["a/1", "a/2"], {"a/1": ("a", None)}),
        (["a/deep/1", "b/2"], {"a/deep/1": ("a", None), "b/2": ("b", None)}),
    ],
)
def test_a_wrapper_folder_is_seen_through(tmp_path, kind, files, expected):
    data = {name: b"text" if "readme" in name else png() for name in files}
    found = by_path(open_source(str(write_archive(tmp_path, kind, data))))
    for path, place in expected.items():
        assert found[f"{kind}!/{path}"] == place


def test_encrypted_and_damaged_members_are_left_out_alone(tmp_path):
    file = write_zip(tmp_path / "a.zip", {f"{c}/{n}.png": png(n) for c in "ab" for n in range(3)})
    data = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        offset = archive.getinfo("b/1.png").header_offset
    data[offset + 60] ^= 0xFF
    central = data.index(b"PK\1\2")
    data[central + 8] |= 1  # the first member says it is encrypted
    file.write_bytes(bytes(data))
    intake = take_in(open_source(str(file)))
    assert reasons(intake) == {"a.zip!/a/0.png": "unreadable", "a.zip!/b/1.png": "unreadable"}
    assert len(intake.photos) == 4


def test_a_zip_bomb_is_refused_by_its_stated_size(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a/1.png", "b/1.png"):
            archive.writestr(name, png())
        archive.writestr("a/bomb.png", png())
        archive.getinfo("a/bomb.png").file_size = 2**30  # what the directory will say
    intake = take_in(open_source(str(tmp_path / "a.zip")))
    assert reasons(intake) == {"a.zip!/a/bomb.png": "too-large"}


def test_a_member_that_comes_twice_is_counted_twice_and_the_last_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/1.png", png(1))
        archive.writestr("b/1.png", png(3))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a/1.png", png(2))
    source = open_source(str(tmp_path / "a.zip"))
    listing = source.listing()
    assert listing.found == 3
    assert reasons(listing) == {"a.zip!/a/1.png": "excluded"}
    assert source.read("a.zip!/a/1.png") == png(2)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_links_inside_a_tar(tmp_path, ending):
    file = tmp_path / f"a.tar{ending}"
    with tarfile.open(file, "w:gz" if ending else "w") as archive:
        folder = tarfile.TarInfo("a")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        info = tarfile.TarInfo("a/1.png")
        info.size = len(png(1))
        archive.addfile(info, io.BytesIO(png(1)))
        for name, kind, target in (
            ("b/hard.png", tarfile.LNKTYPE, "a/1.png"),
            ("b/lost.png", tarfile.LNKTYPE, "a/gone.png"),
            ("b/soft.png", tarfile.SYMTYPE, "/etc/passwd"),
            ("b/pipe", tarfile.FIFOTYPE, ""),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            archive.addfile(link)
    source = open_source(str(file))
    intake = take_in(source)
    assert intake.found == 5
    assert {photo.path for photo in intake.photos} == {
        f"{file.name}!/a/1.png",
        f"{file.name}!/b/hard.png",
    }
    assert set(reasons(intake)) == {f"{file.name}!/b/{n}" for n in ("lost.png", "soft.png", "pipe")}


def test_names_that_macos_wrote_without_saying_they_are_utf8(tmp_path):
    file = write_zip(tmp_path / "a.zip", {"saXXge/1.png": png(1), "b/1.png": png(2)})
    # The same number of bytes: "ä" in UTF-8, whose flag Finder's archives do not set.
    file.write_bytes(file.read_bytes().replace(b"saXXge", "sa\u0308ge".encode()))
    source = open_source(str(file))
    assert {label for label, _ in by_path(source).values()} == {"s\u00e4ge", "b"}
    assert source.read("a.zip!/sa\u0308ge/1.png") == png(1)


def test_threads_read_a_zip_alike(tmp_path):
    files = {f"{'ab'[n % 2]}/{n}.png": png(n, 40) for n in range(60)}
    source = open_source(str(write_zip(tmp_path / "a.zip", files)))
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda name: source.read(f"a.zip!/{name}"), list(files) * 5))
    assert read == list(files.values()) * 5


def test_copies_of_a_compressed_tar_are_removed_at_the_end(tmp_path):
    write_tar(tmp_path / "a.tar.gz", {"a/1.png": png(1), "b/1.png": png(2)})
    spool = tmp_path / "spool"
    spool.mkdir()
    program = (
        "import os, sys; from pegboard.sources import open_source\n"
        "source = open_source(sys.argv[1]); print(len(os.listdir(os.environ['TMPDIR'])))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.tar.gz")],
        env=os.environ | {"TMPDIR": str(spool)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "1"
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_archives_are_told_in_one_line(tmp_path, kind):
    file = write_archive(tmp_path, kind, {f"a/{n}.png": png(n, 60) for n in range(20)})
    data = file.read_bytes()
    for broken in (data[: len(data) // 2], b"", b"no archive at all"):
        file.write_bytes(broken)
        with pytest.raises(PegboardError) as caught:
            take_in(open_source(str(file)))
        assert "\n" not in str(caught.value)


# --- Built-in names ----------------------------------------------------------------------


def test_digits_equal_scikit_learns(monkeypatch, tmp_path):
    from sklearn.datasets import load_digits

    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()  # the name means the built-in all the same
    source = open_source("digits")
    bunch = load_digits()
    entries = source.listing().entries
    assert (source.name, source.location, len(entries)) == ("digits", "digits", 1797)
    assert [int(entry.label) for entry in entries] == bunch.target.tolist()
    read = np.stack([source.read(entry.path)[:, :, 0] for entry in entries])
    assert np.abs(read - bunch.images * 255 / 16).max() <= 0.5
    assert (read.min(), read.max()) == (0, 255)


def test_a_folder_named_like_a_download_is_used_instead_of_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    write_idx(tmp_path / "mnist")
    assert len(open_source("mnist").listing().entries) == 8


@pytest.fixture
def server(tmp_path):
    """Serve a folder on this machine: downloads are tested without a network."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{http.server_address[1]}/"
        http.shutdown()


def test_a_download_is_kept_and_not_fetched_again(tmp_path, server):
    folder, address = server
    (folder / "data.bin").write_bytes(b"published")
    md5 = hashlib.md5(b"published", usedforsecurity=False).hexdigest()
    download = Download(address + "data.bin", 9, md5)
    file = fetch(download, tmp_path / "cache", name="data")
    assert file.read_bytes() == b"published"
    (folder / "data.bin").unlink()
    assert fetch(download, tmp_path / "cache", name="data") == file


@pytest.mark.parametrize("content", [b"tampered!", b"short", b"much longer than published", None])
def test_another_file_than_the_published_one_is_refused_and_nothing_is_left(
    tmp_path, server, content
):
    folder, address = server
    if content is not None:
        (folder / "data.bin").write_bytes(content)
    md5 = hashlib.md5(b"published", usedforsecurity=False).hexdigest()
    with pytest.raises(SourceError, match="data could not be downloaded from http") as caught:
        fetch(Download(address + "data.bin", 9, md5), tmp_path / "cache", name="data")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_server_the_error_says_what_to_do(tmp_path):
    with pytest.raises(SourceError, match="connect to the network, or put the file into"):
        fetch(Download("http://127.0.0.1:1/x", 9, ""), tmp_path / "cache", name="mnist")


def test_the_binary_version_of_cifar10_is_read(tmp_path):
    rng = np.random.default_rng(0)
    files, first = {}, None
    for name in [*(f"data_batch_{part}.bin" for part in range(1, 6)), "test_batch.bin"]:
        records = rng.integers(0, 255, (3, 3073), dtype=np.uint8)
        records[:, 0] = [0, 9, 5]
        first = records if first is None else first
        files[f"cifar-10-batches-bin/{name}"] = records.tobytes()
    source = open_cifar10(write_tar(tmp_path / "c.tar.gz", files))
    found = by_path(source)
    assert found["cifar10#train/1"] == ("truck", "train")
    assert found["cifar10#test/2"] == ("dog", "test")
    assert len(found) == 18
    planes = first[1, 1:].reshape(3, 32, 32)
    assert np.array_equal(source.read("cifar10#train/1"), np.moveaxis(planes, 0, 2))


# --- The cache folder --------------------------------------------------------------------


def test_the_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PEGBOARD_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    assert (tmp_path / "own").is_dir()
    monkeypatch.delenv("PEGBOARD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "pegboard"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "pegboard"


def test_a_cache_folder_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PEGBOARD_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(PegboardError, match="set PEGBOARD_CACHE"):
        cache_folder()


# --- Layout ------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    files=st.lists(
        st.lists(st.sampled_from(["train", "test", "a", "b", "c"]), min_size=1, max_size=5),
        max_size=12,
    )
)
def test_a_label_is_always_one_of_the_files_own_folders(files):
    try:
        layout = tree_layout(files, see_through=True, where="x")
    except SourceError:
        return  # split folders that do not fit together: see above
    for parts in files:
        label, split = layout.place(parts)
        assert label is None or label in parts[:-1]
        assert split is None or layout.has_splits


def test_a_written_manifest_can_be_opened_again(tmp_path):
    rows = [["path", "label", "split", "group", "sha256"]]
    rows += [[f'odd "{n}", name\n.png', f"c,{n}", "train", "", ""] for n in range(3)]
    for row in rows[1:]:
        (tmp_path / row[0]).write_bytes(png())
    with (tmp_path / "m.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    entries = open_source(str(tmp_path / "m.csv")).listing().entries
    assert [(entry.path, entry.label) for entry in entries] == [(r[0], r[1]) for r in rows[1:]]

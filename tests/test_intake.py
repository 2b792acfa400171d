from __future__ import annotations

import hashlib
import io
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pegboard.errors import SourceError
from pegboard.images import decode, pixel_hash
from pegboard.intake import looks_alike, take_in
from pegboard.photos import Entry, LeftOut, Listing
from pegboard.progress import Progress
from pegboard.sources import open_source
from pegboard.sources.arrays import ArraySource, Block


def png(seed: int = 0, size: int = 8) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def classes(root: Path, **counts: int) -> Path:
    seed = 0
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number}.png").write_bytes(png(seed))
            seed += 1
    return root


def labels(intake) -> dict[str, int]:
    found: dict[str, int] = {}
    for photo in intake.photos:
        found[photo.label] = found.get(photo.label, 0) + 1
    return found


# --- What a photo carries ----------------------------------------------------------------


def test_a_photo_carries_its_hashes_and_size(photo_folder):
    root = photo_folder(per_class=2)
    intake = take_in(open_source(str(root)))
    assert (intake.found, len(intake.photos), list(intake.left_out)) == (6, 6, [])
    for photo in intake.photos:
        data = (root / photo.path).read_bytes()
        pixels = decode(data)
        assert photo.sha256 == hashlib.sha256(data).hexdigest()
        assert photo.pixels == pixel_hash(pixels)
        assert (photo.height, photo.width, photo.channels) == pixels.shape == (80, 96, 3)
        assert photo.label == Path(photo.path).parent.name
        assert len(photo.signature) == 1024


def test_array_rows_carry_the_hash_of_dtype_shape_and_pixels():
    intake = take_in(open_source("digits"))
    source = open_source("digits")
    photo = intake.photos[17]
    row = source.read(photo.path)
    assert photo.sha256 == hashlib.sha256(b"|u1(8, 8, 1)" + row.tobytes()).hexdigest()
    assert (photo.height, photo.width, photo.channels, photo.signature) == (8, 8, 1, None)
    assert len({p.path for p in intake.photos}) == intake.found == 1797


@pytest.mark.parametrize("threads", [1, 3])
def test_the_order_is_the_sources_whatever_the_threads(photo_folder, threads):
    source = open_source(str(photo_folder(per_class=30)))
    intake = take_in(source, threads=threads)
    assert [p.path for p in intake.photos] == [e.path for e in source.listing().entries]
    assert intake == take_in(source, threads=2)


class Counting(Progress):
    def __init__(self) -> None:
        self.total, self.done = 0.0, 0.0

    @contextmanager
    def step(self, title: str, total: float | None) -> Iterator[Counting]:
        self.total = total or 0
        yield self

    def advance(self, amount: float = 1, **_fields: object) -> None:
        self.done += amount


def test_progress_tells_of_every_photo(photo_folder):
    progress = Counting()
    take_in(open_source(str(photo_folder(per_class=15))), progress=progress)
    assert progress.total == progress.done == 45


# --- Nothing usable ----------------------------------------------------------------------


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(SourceError, match="is empty; expected photos in class folders"):
        take_in(open_source(str(tmp_path)))


def test_a_folder_without_usable_photos_says_what_was_found(tmp_path):
    (tmp_path / "1.png").write_bytes(png())
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("text")
    with pytest.raises(SourceError, match=r"found 2 \(1 .*1 .*\); expected photos in class fold"):
        take_in(open_source(str(tmp_path)))


def test_only_unsupported_photos_say_what_to_do(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.svg").write_text("<svg/>")
    with pytest.raises(SourceError, match="SVG is not supported; save it as JPEG or PNG"):
        take_in(open_source(str(tmp_path)))


def test_a_table_of_missing_files_says_what_paths_are_relative_to(tmp_path):
    (tmp_path / "m.csv").write_text("path,label\n1.png,a\n2.png,b\n")
    with pytest.raises(SourceError, match=r"\(2 missing-file\); a table's paths are relative"):
        take_in(open_source(str(tmp_path / "m.csv")))


# --- Merging and excluding ---------------------------------------------------------------


def test_merge_moves_a_class_into_another(tmp_path):
    root = classes(tmp_path, Pebbels=2, pebbles=3, sand=2)
    intake = take_in(open_source(str(root)), merge={"Pebbels": "pebbles"})
    assert labels(intake) == {"pebbles": 5, "sand": 2}
    assert list(intake.warnings) == []


def test_chains_of_merges_are_followed(tmp_path):
    root = classes(tmp_path, a=1, b=1, c=1, d=1)
    intake = take_in(open_source(str(root)), merge={"a": "b", "b": "c"})
    assert labels(intake) == {"c": 3, "d": 1}


def test_several_classes_may_be_merged_into_a_new_one(tmp_path):
    root = classes(tmp_path, cat=1, dog=1, car=1)
    intake = take_in(open_source(str(root)), merge={"cat": "animal", "dog": "animal"})
    assert labels(intake) == {"animal": 2, "car": 1}


@pytest.mark.parametrize(
    ("merge", "message"),
    [
        ({"nope": "sand"}, r"--merge names 'nope', which .* classes are: pebbles, sand"),
        ({"sand": "nope"}, r"--merge names 'nope', which .* classes are: pebbles, sand"),
        ({"sand": "pebbles", "pebbles": "sand"}, "--merge goes in a circle: sand = pebbles = sand"),
        ({"sand": "sand"}, "--merge goes in a circle"),
    ],
)
def test_merges_that_cannot_be_meant_are_refused(tmp_path, merge, message):
    root = classes(tmp_path, pebbles=2, sand=2)
    with pytest.raises(SourceError, match=message):
        take_in(open_source(str(root)), merge=merge)


def test_excluded_classes_are_left_out_unopened(tmp_path):
    root = classes(tmp_path, sand=2, pebbles=2)
    (root / "sand" / "broken.png").write_bytes(b"")
    intake = take_in(open_source(str(root)), exclude=["sand"])
    assert labels(intake) == {"pebbles": 2}
    assert {item.path: item.reason for item in intake.left_out} == {
        "sand/0.png": "excluded",
        "sand/1.png": "excluded",
        "sand/broken.png": "excluded",
    }
    assert intake.found == 5


def test_excluding_a_class_that_is_not_there_lists_the_classes(tmp_path):
    root = classes(tmp_path, sand=1, pebbles=1)
    with pytest.raises(SourceError, match=r"--exclude-class names 'clay'.*pebbles, sand"):
        take_in(open_source(str(root)), exclude=["clay"])


# --- Class names that look alike ---------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Pebbels", "pebbles"),
        ("pliers", "Pliers"),
        ("plier", "pliers"),
        ("box", "boxes"),
        ("screwdriver", "screw driver"),
        ("screw_driver", "Screw-Drivers"),
        ("tape measure", "tape_measure "),
        ("hammer", "hamer"),
        ("screwdriver", "screwdirver"),
        ("screwdriver", "screwdrivr"),
        ("caterpillar", "caterpiller"),
        ("säge", "sa\u0308ge"),
        ("Straße", "strasse"),
    ],
)
def test_spellings_of_one_class_look_alike(one, other):
    assert looks_alike(one, other)
    assert looks_alike(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("wrench", "wirecutter"),
        ("wrench", "socket_wrench"),
        ("1", "7"),
        ("1", "11"),
        ("type 1", "type 2"),
        ("type a", "type b"),
        ("1.5", "15"),
        ("screw10", "screw100"),
        ("cat", "car"),
        ("horse", "house"),
        ("mouse", "house"),
        ("male", "female"),
        ("glas", "gloss"),
        ("angle_grinder", "belt_grinder"),
        ("left_hand_a", "left_hand_b"),
        ("squamous_1a", "squamous_1b"),
        ("c++", "c#"),
        ("categoryA", "categoryB"),
        ("hyperthyroidism", "hypothyroidism"),
        ("as", "a"),
        ("is", "ia"),
    ],
)
def test_classes_of_their_own_do_not_look_alike(one, other):
    assert not looks_alike(one, other)
    assert not looks_alike(other, one)


CIFAR100_AND_TOOLS = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse
mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy
porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper
snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television
tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
angle_grinder crowbar digital_caliper electric_drill flashlight hammer heat_gun pliers
screwdriver socket_wrench soldering_iron tape_measure utility_knife wirecutter wrench
"""


def test_real_lists_of_classes_raise_no_false_alarm():
    names = CIFAR100_AND_TOOLS.split()
    alarms = [pair for pair in combinations(names, 2) if looks_alike(*pair)]
    assert len(names) == 115
    assert alarms == []


@settings(max_examples=60, deadline=None)
@given(one=st.text(max_size=12), other=st.text(max_size=12))
def test_looking_alike_is_symmetric_and_reflexive(one, other):
    assert looks_alike(one, one)
    assert looks_alike(one, other) == looks_alike(other, one)


def test_alike_names_are_reported_with_the_merge_to_use(tmp_path):
    root = classes(tmp_path, Pebbels=1, pebbles=3, saw=2)
    (root / "screw driver").mkdir()
    (root / "screw driver" / "1.png").write_bytes(png(99))
    (root / "screwdriver").mkdir()
    (root / "screwdriver" / "1.png").write_bytes(png(98))
    warnings = list(take_in(open_source(str(root))).warnings)
    assert warnings == [
        "classes 'Pebbels' (1) and 'pebbles' (3) look like one: --merge Pebbels=pebbles",
        "classes 'screwdriver' (1) and 'screw driver' (1) look like one: "
        "--merge 'screwdriver=screw driver'",
    ]


def test_a_folder_around_the_class_folders_is_pointed_out(tmp_path):
    classes(tmp_path / "tools", hammer=2, saw=2)
    warnings = list(take_in(open_source(str(tmp_path))).warnings)
    assert len(warnings) == 1
    assert warnings[0].endswith("if the 2 folders in it are the classes, name tools/ as the source")
    assert list(take_in(open_source(str(tmp_path / "tools"))).warnings) == []


def test_real_tool_classes_raise_no_warning(data_folder):
    root = data_folder("tools15")
    source = open_source(str(root))
    some = Listing(list(source.listing().entries)[::40])

    class Fewer:
        name, location, read = source.name, source.location, source.read

        def listing(self) -> Listing:
            return some

    intake = take_in(Fewer())
    assert (len(intake.photos), list(intake.left_out), list(intake.warnings)) == (120, [], [])
    assert len(labels(intake)) == 15


# --- Files that are not what they were ---------------------------------------------------


def test_files_that_changed_since_the_manifest_are_reported(tmp_path):
    (tmp_path / "1.png").write_bytes(png(1))
    (tmp_path / "2.png").write_bytes(png(2))
    digest = hashlib.sha256(png(1)).hexdigest()
    (tmp_path / "m.csv").write_text(f"path,label,sha256\n1.png,a,{digest}\n2.png,b,{digest}\n")
    intake = take_in(open_source(str(tmp_path / "m.csv")))
    assert list(intake.warnings) == [
        "1 files are not those the manifest was made from (another sha256), the first is 2.png"
    ]
    assert intake.photos[1].sha256 == hashlib.sha256(png(2)).hexdigest()


class Failing:
    """A source whose files cannot be read in the ways that files cannot be read."""

    name, location = "failing", "failing"

    def __init__(self) -> None:
        self.errors = {
            "a/gone.png": FileNotFoundError(2, "No such file or directory"),
            "a/locked.png": PermissionError(13, "Permission denied"),
            "a/disk.png": OSError(5, "Input/output error"),
        }

    def listing(self) -> Listing:
        entries = [Entry(path, "a") for path in (*self.errors, "a/1.png")]
        return Listing(entries, [LeftOut("a/.x", "hidden", "hidden")])

    def read(self, path: str) -> bytes:
        if path in self.errors:
            raise self.errors[path]
        return png()


def test_files_that_cannot_be_read_are_left_out_and_the_run_goes_on():
    intake = take_in(Failing())
    assert {item.path: (item.reason, item.detail) for item in intake.left_out} == {
        "a/.x": ("hidden", "hidden"),
        "a/gone.png": ("missing-file", "the file is not there any more"),
        "a/locked.png": ("unreadable", "Permission denied"),
        "a/disk.png": ("unreadable", "Input/output error"),
    }
    assert intake.found == 5


class Interrupted(Failing):
    """A source at which the user presses Ctrl-C."""

    def __init__(self) -> None:
        self.reads = 0
        self.lock = threading.Lock()

    def listing(self) -> Listing:
        return Listing([Entry(f"a/{number}.png", "a") for number in range(5000)])

    def read(self, path: str) -> bytes:
        with self.lock:
            self.reads += 1
        if path == "a/3.png":
            raise KeyboardInterrupt
        return png(0, 60)


def test_an_interrupt_stops_soon():
    source = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        take_in(source, threads=2)
    assert source.reads < 200


# --- Size and speed ----------------------------------------------------------------------


def test_many_small_rows_are_fast_and_bytes_are_not_kept():
    images = np.random.default_rng(0).integers(0, 255, (20_000, 28, 28, 1), dtype=np.uint8)
    source = ArraySource("x", "x", [Block("x#", images, ["0", "1"] * 10_000)])
    start = time.perf_counter()
    intake = take_in(source)
    assert len(intake.photos) == 20_000
    assert time.perf_counter() - start < 5  # 0.3 s on an idle machine


def test_memory_does_not_grow_with_the_files_read(tmp_path):
    root = classes(tmp_path, a=1, b=1)
    large = png(5, 500)  # 750 kB
    for number in range(60):
        (root / "a" / f"large{number}.png").write_bytes(large)
    source = open_source(str(root))
    take_in(source)
    tracemalloc.start()
    try:
        take_in(source, threads=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6  # 45 MB of files

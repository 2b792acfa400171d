from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pegboard.answers import Named, predict_files
from pegboard.bundle import Network, read_bundle
from pegboard.errors import BundleError, PegboardError
from pegboard.images import decode
from pegboard.inputs import fit_image, fitted
from pegboard.photo_files import files_below, found_files
from pegboard.predict import BATCH, Predictor
from pegboard.reading import MAX_FILE_BYTES
from pegboard.rows import FORMATS, Candidate, Prediction, Tally, write_rows
from small_bundle import COLOURS, SPEC, colour_bundle, colour_info, colour_onnx, plain

RED, GREEN, BLUE = (200, 20, 20), (20, 200, 20), (20, 20, 200)
KEYS = ["path", "label", "probability", "top", "decision", "reason", "error"]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return colour_bundle(tmp_path / "colours.pegboard")


@pytest.fixture
def predictor(bundle: Path) -> Predictor:
    return Predictor.load(bundle, threads=2)


def save(path: Path, colour: tuple[int, int, int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(plain(colour)).save(path)
    return path


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder as people have them."""
    folder = tmp_path / "photos"
    save(folder / "b.png", RED)
    save(folder / "a" / "ü ñ 鎚.png", GREEN)
    save(folder / "a-b" / "c.jpg", BLUE)
    save(folder / ".hidden.png", RED)
    save(folder / ".thumbnails" / "d.png", RED)
    (folder / "notes.txt").write_text("not a photo")
    (folder / "empty.jpg").write_bytes(b"")
    return folder


def answers(
    predictor: Predictor, *arguments: str | Path, kind: str = "jsonl", **options: object
) -> tuple[bytes, Tally]:
    stream = io.BytesIO()
    names = [str(argument) for argument in arguments]
    given = {key: options.pop(key) for key in ("files_from", "stdin") if key in options}
    tally = predict_files(predictor, Named(names, **given), stream, kind=kind, **options)
    return stream.getvalue(), tally


def rows_of(predictor: Predictor, *arguments: str | Path, **options: object) -> list[dict]:
    text, _ = answers(predictor, *arguments, **options)
    return [json.loads(line) for line in text.decode().splitlines()]


# --- answers -----------------------------------------------------------------------------


def test_colours_are_named(predictor: Predictor) -> None:
    predictions = predictor.predict([plain(RED), plain(GREEN), plain(BLUE)])
    assert [prediction.label for prediction in predictions] == list(COLOURS)
    assert [prediction.decision for prediction in predictions] == ["sure"] * 3
    assert predictions[0].path is None
    assert predictions[0].reason is None


def test_an_answer_is_the_softmax_of_what_the_network_saw(predictor: Predictor) -> None:
    (answer,) = predictor.predict([plain((120, 110, 100))])
    powers = np.exp([12.0, 11.0, 10.0])
    expected = powers / powers.sum()
    np.testing.assert_allclose([c.probability for c in answer.top], expected, atol=1e-6)
    assert [candidate.label for candidate in answer.top] == ["red", "green", "blue"]
    assert answer.probability == answer.top[0].probability


def test_below_the_threshold_an_answer_is_unsure_and_says_why(predictor: Predictor) -> None:
    (answer,) = predictor.predict([plain((120, 110, 100))])
    assert answer.decision == "unsure"
    assert answer.reason == ("probability 0.67 is below 0.90, from where on 95 % are right")


def test_a_near_miss_is_written_with_enough_digits(bundle: Path) -> None:
    whole = read_bundle(bundle)
    probability = Predictor(whole).predict([plain((120, 110, 100))])[0].probability
    assert probability is not None
    for sure, decision in ((probability, "sure"), (probability + 1e-4, "unsure")):
        info = replace(whole.info, thresholds={"sure": sure, "precision": 0.975})
        (answer,) = Predictor(replace(whole, info=info)).predict([plain((120, 110, 100))])
        assert answer.decision == decision
    assert answer.reason == ("probability 0.6652 is below 0.6653, from where on 97.5 % are right")


@pytest.mark.parametrize("sure", [None, 2.0])
def test_without_a_threshold_nothing_is_sure(tmp_path: Path, sure: float | None) -> None:
    bundle = colour_bundle(tmp_path / "a.pegboard", thresholds={"sure": sure})
    (answer,) = Predictor.load(bundle).predict([plain(RED)])
    assert answer.decision == "unsure"
    assert answer.reason == "validation photos showed no probability from which on 95 % are right"


@pytest.mark.parametrize(("top", "expected"), [(1, 1), (2, 2), (3, 3), (99, 3)])
def test_top_is_at_most_the_classes(predictor: Predictor, top: int, expected: int) -> None:
    assert len(predictor.predict([plain(RED)], top=top)[0].top) == expected


def test_senseless_options_are_refused(predictor: Predictor, bundle: Path, photos: Path) -> None:
    with pytest.raises(PegboardError, match="--top: expected at least 1, got 0"):
        predictor.predict([plain(RED), plain(RED)], top=0)
    with pytest.raises(PegboardError, match="--top: expected at least 1, got 0"):
        predictor.predict([plain(RED)], top=0)
    with pytest.raises(PegboardError, match="--top: expected at least 1, got -1"):
        answers(predictor, photos, kind="csv", top=-1)
    with pytest.raises(PegboardError, match="--threads: expected at least 1, got 0"):
        Predictor.load(bundle, threads=0)
    with pytest.raises(PegboardError, match="--format: expected one of table, json"):
        answers(predictor, photos, kind="xml")


def test_one_bad_photo_costs_no_other(predictor: Predictor) -> None:
    payloads = [plain(RED), b"", b"hello", plain(BLUE), np.zeros((0, 5, 3), np.uint8)]
    predictions = predictor.predict(payloads)
    assert [prediction.label for prediction in predictions] == ["red", None, None, "blue", None]
    for prediction in (predictions[1], predictions[2], predictions[4]):
        assert prediction.error
        assert (prediction.probability, prediction.decision, prediction.top) == (None, None, ())


@given(st.lists(st.sampled_from([*COLOURS, "bad"]), max_size=3 * BATCH))
@settings(max_examples=25, deadline=None)
def test_answers_keep_the_order(wanted: list[str]) -> None:
    colours = dict(zip(COLOURS, (RED, GREEN, BLUE), strict=True))
    payloads = [plain(colours[name], 20, 16) if name != "bad" else b"x" for name in wanted]
    labels = [prediction.label or "bad" for prediction in SHARED.predict(payloads)]
    assert labels == wanted


@pytest.fixture(autouse=True, scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> None:
    global SHARED  # noqa: PLW0603  (hypothesis takes no function-scoped fixture)
    SHARED = Predictor.load(colour_bundle(tmp_path_factory.mktemp("shared") / "a.pegboard"))


def test_the_pixels_are_those_of_training(bundle: Path, photo_folder: Callable[..., Path]) -> None:
    """Predict = decode, fit, network: the one definition of preprocessing."""
    files = sorted(photo_folder(4).rglob("*.*"))
    whole = read_bundle(bundle)
    network = Network(whole.model, whole.info.input, len(COLOURS))
    images = np.stack([fitted(file.read_bytes(), SPEC) for file in files])
    expected = network.probabilities(images).max(axis=1)
    found = [row.probability for row in Predictor(whole).predict_paths(map(str, files))]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_fitted_photo_is_the_decoded_one_brought_to_size() -> None:
    rng = np.random.default_rng(0)
    photo = encoded(Image.fromarray(rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)))
    np.testing.assert_array_equal(fitted(photo, SPEC), fit_image(decode(photo), SPEC))


# --- Pillow images -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "L", "LA", "1", "I;16"])
def test_a_pillow_image_is_seen_like_its_file(predictor: Predictor, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30))
    else:
        image = Image.fromarray(plain((180, 120, 60))).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(128)
    as_file = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    by_image, by_file = predictor.predict([image, as_file])
    assert by_image == by_file
    assert by_image.error is None


def test_a_pillow_image_is_turned_upright(tmp_path: Path) -> None:
    # Left half red, right half blue; only the top half of the upright photo is looked at.
    pixels = np.concatenate([plain(RED, 60, 30), plain(BLUE, 60, 30)], axis=1)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    photo = encoded(Image.fromarray(pixels), "JPEG", exif=exif, quality=95)
    predictor = Predictor.load(colour_bundle(tmp_path / "a.pegboard"))
    by_file, by_image = predictor.predict([photo, Image.open(io.BytesIO(photo))])
    assert by_file.label == by_image.label
    upright = decode(photo)
    assert upright[5, 30, 0] > 150  # red is on top
    np.testing.assert_allclose(by_file.probability, by_image.probability, atol=0.02)


# --- files -------------------------------------------------------------------------------


def test_a_folder_gives_one_row_per_file(predictor: Predictor, photos: Path) -> None:
    rows = rows_of(predictor, photos)
    assert [row["path"] for row in rows] == [
        f"{photos}/{name}"
        for name in ("a-b/c.jpg", "a/ü ñ 鎚.png", "b.png", "empty.jpg", "notes.txt")
    ]
    assert [row["label"] for row in rows] == ["blue", "green", "red", None, None]
    assert rows[3]["error"] == "empty: the file has no bytes"
    assert rows[4]["error"].startswith("not-an-image: ")
    for row in rows:
        assert list(row) == KEYS
        if row["error"] is not None:
            assert (row["label"], row["probability"], row["decision"]) == (None, None, None)
        else:
            assert row["top"][0] == {"label": row["label"], "probability": row["probability"]}


@pytest.mark.parametrize("prefix", ["photos", "./photos", "photos/", "."])
def test_a_path_is_the_argument_joined_with_the_relative_path(
    predictor: Predictor, photos: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.chdir(photos if prefix == "." else photos.parent)
    rows = rows_of(predictor, prefix)
    assert rows[2]["path"] == os.path.join(prefix, "b.png")  # noqa: PTH118


def test_arguments_keep_their_order_and_hidden_ones_are_meant(
    predictor: Predictor, photos: Path
) -> None:
    rows = rows_of(predictor, photos / ".hidden.png", photos / "a", photos / "b.png")
    assert [row["label"] for row in rows] == ["red", "green", "red"]


def test_one_image_on_standard_input(predictor: Predictor, photos: Path) -> None:
    stdin = io.BytesIO((photos / "a" / "ü ñ 鎚.png").read_bytes())
    rows = rows_of(predictor, "-", stdin=stdin)
    assert [(row["path"], row["label"]) for row in rows] == [("-", "green")]


def test_a_file_no_photo_can_be_as_large_as_is_not_read(
    predictor: Predictor, tmp_path: Path
) -> None:
    video = tmp_path / "film.mp4"
    with video.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # takes no room on the disk
    tracemalloc.start()
    (row,) = predictor.predict_paths([str(video)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert row.error is not None
    assert peak < 2**24


def test_too_much_on_standard_input_is_told(
    predictor: Predictor, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = next(photos.rglob("*.png")).read_bytes()
    monkeypatch.setattr("pegboard.reading.MAX_FILE_BYTES", len(data) - 1)
    (row,) = predictor.predict_paths(["-"], stdin=io.BytesIO(data))
    assert row.error is not None
    assert "too-large" in row.error
    monkeypatch.setattr("pegboard.reading.MAX_FILE_BYTES", len(data))
    (row,) = predictor.predict_paths(["-"], stdin=io.BytesIO(data))
    assert row.error is None


def test_files_from_a_list(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    lines = [photos / "b.png", "", photos / "none.png", photos / "a"]
    text = "\r\n".join(str(line) for line in lines).encode()
    listing = tmp_path / "list.txt"
    listing.write_bytes(text)
    for name, stdin in ((str(listing), io.BytesIO()), ("-", io.BytesIO(text))):
        rows = rows_of(predictor, files_from=name, stdin=stdin)
        assert [row["label"] for row in rows] == ["red", None, "green"]
        assert rows[1]["error"] == "missing-file: there is no such file"


def test_an_argument_that_is_not_there_is_an_error(predictor: Predictor, photos: Path) -> None:
    with pytest.raises(PegboardError, match=r"found nothing at .*none\.png \(and 1 more\)"):
        answers(predictor, photos, photos / "none.png", photos / "neither.png")
    with pytest.raises(PegboardError, match=r"--files-from: .*none\.txt: No such file"):
        answers(predictor, files_from=str(photos / "none.txt"))
    with pytest.raises(PegboardError, match="got none"):
        answers(predictor)
    with pytest.raises(PegboardError, match="standard input can be read only once"):
        answers(predictor, "-", files_from="-")


def test_names_that_are_not_unicode_survive(predictor: Predictor, photos: Path) -> None:
    name = os.fsencode(photos) + b"/a/caf\xe9.png"
    try:
        Path(os.fsdecode(name)).write_bytes((photos / "b.png").read_bytes())
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    for kind in FORMATS:
        text, tally = answers(predictor, photos / "a", kind=kind)
        assert tally == Tally(classified=2)
        if kind == "jsonl":
            rows = [json.loads(line) for line in text.splitlines()]
            assert os.fsencode(rows[0]["path"]) == name
        if kind == "csv":
            assert name in text
        if kind == "table":
            assert "caf\ufffd.png" in text.decode()


def test_what_is_not_a_file_neither_hangs_nor_is_passed_over(
    predictor: Predictor, photos: Path
) -> None:
    os.mkfifo(photos / "pipe")
    (photos / "dangling.png").symlink_to(photos / "nowhere.png")
    (photos / "loop").symlink_to(photos)
    rows = {Path(row["path"]).name: row["error"] for row in rows_of(predictor, photos)}
    assert rows["pipe"] == "unsupported: it is not a regular file"
    assert rows["dangling.png"] == "missing-file: there is no such file"
    assert len(rows) == 7


def test_a_link_to_a_folder_is_followed_once(photos: Path, tmp_path: Path) -> None:
    elsewhere = save(tmp_path / "elsewhere" / "x.png", RED)
    (photos / "a" / "away").symlink_to(elsewhere.parent)
    (elsewhere.parent / "back").symlink_to(photos)
    (photos / "0 first").symlink_to(photos / "a")
    files = [path.removeprefix(f"{photos}/") for path in files_below(str(photos))]
    assert files == [
        *("a-b/c.jpg", "a/away/x.png", "a/ü ñ 鎚.png", "b.png", "empty.jpg", "notes.txt")
    ]
    (tmp_path / "link").symlink_to(photos / "a-b")
    assert files_below(f"{tmp_path}/link") == [f"{tmp_path}/link/c.jpg"]


def test_names_no_system_takes_are_rows(predictor: Predictor) -> None:
    names = ["a\0b.png", "x" * 5000, "/" + "y/" * 3000]
    rows = list(predictor.predict_paths(names))
    assert [row.path for row in rows] == names
    assert all(row.error for row in rows)
    assert list(found_files([], "-", io.BytesIO(("x" * 5000).encode()))) == ["x" * 5000]


def test_a_folder_that_cannot_be_listed_is_said(predictor: Predictor, tmp_path: Path) -> None:
    photo = save(tmp_path / "photos" / "locked" / "a.png", RED)
    # In a child that gives up root's rights: root may list anything.
    script = (
        "import os, sys\n"
        "from pegboard.photo_files import files_below, read_photo\n"
        "os.chdir(sys.argv[1])\n"
        "if os.geteuid() == 0:\n    os.setuid(65534)\n"
        "print(files_below('photos'))\n"
        "try:\n    read_photo('photos/locked')\n"
        "except OSError as error:\n    print(error.strerror)\n"
    )
    tmp_path.chmod(0o755)
    photo.parent.chmod(0)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        photo.parent.chmod(0o755)
    assert done.stdout.splitlines() == ["['photos/locked']", "Permission denied"], done.stderr


@given(st.lists(st.text("ab.é/", min_size=1, max_size=6), max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_folder_is_listed_whole_and_sorted(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    for name in names:
        path = folder / name.strip("/")
        if not path.exists() and ".." not in path.parts:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"")
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                continue
    visible = [
        str(path)
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    assert files_below(str(folder)) == sorted(visible)


def test_memory_is_bounded_by_reading_little_ahead(predictor: Predictor, photos: Path) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield str(photos / "b.png")

    rows = predictor.predict_paths(endless())
    for _ in range(3 * BATCH):
        next(rows)
    rows.close()
    assert taken <= 5 * BATCH


# --- formats -----------------------------------------------------------------------------


def test_json_is_one_array(predictor: Predictor, photos: Path) -> None:
    rows = json.loads(answers(predictor, photos, kind="json")[0])
    assert rows == rows_of(predictor, photos)
    assert write_to("json", []) == b"[]\n"


def write_to(kind: str, rows: list[Prediction], top: int = 3) -> bytes:
    stream = io.BytesIO()
    write_rows(rows, kind, stream, top=top)
    return stream.getvalue()


def test_csv_has_fixed_columns(predictor: Predictor, photos: Path) -> None:
    text = answers(predictor, photos, kind="csv", top=2)[0].decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == [
        *("path", "label", "probability", "decision", "reason", "error"),
        *("label_2", "probability_2"),
    ]
    expected = rows_of(predictor, photos, top=2)
    assert [row["path"] for row in rows] == [row["path"] for row in expected]
    assert rows[3]["label"] == ""
    assert float(rows[0]["probability_2"]) == expected[0]["top"][1]["probability"]


def test_parquet_holds_the_same_rows(predictor: Predictor, photos: Path) -> None:
    data = answers(predictor, photos, kind="parquet")[0]
    assert polars.read_parquet(io.BytesIO(data)).to_dicts() == rows_of(predictor, photos)
    assert polars.read_parquet(io.BytesIO(write_to("parquet", []))).columns == KEYS


def test_a_table_shows_answers_and_errors(predictor: Predictor, photos: Path) -> None:
    lines = answers(predictor, photos, kind="table")[0].decode().splitlines()
    assert len(lines) == 6
    assert lines[1].split()[:4] == [f"{photos}/a-b/c.jpg", "blue", "1.00", "sure"]
    assert "empty: the file has no bytes" in lines[4]
    assert not any("\x1b" in line for line in lines)


def test_a_file_name_cannot_drive_the_terminal() -> None:
    row = Prediction("a\x1b[2Jb[red].png", "x", 0.5, (Candidate("x", 0.5),), "sure")
    text = write_to("table", [row]).decode()
    assert "\x1b" not in text
    assert "a\ufffd[2Jb[red].png" in text


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.tuples(names, names, st.floats(0, 1)), max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_name_comes_back_from_json_and_csv(values: list[tuple[str, str, float]]) -> None:
    rows = [
        Prediction(path, label, share, (Candidate(label, share),), "sure")
        for path, label, share in values
    ]
    expected = [row.to_json() for row in rows]
    assert json.loads(write_to("json", rows)) == expected
    lines = write_to("jsonl", rows).split(b"\n")
    assert [json.loads(line) for line in lines if line] == expected
    text = write_to("csv", rows).decode()
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["path"], row["label"]) for row in found] == [value[:2] for value in values]


def test_exit_codes_follow_the_contract() -> None:
    assert Tally(classified=1, failed=5).exit_code() == 0
    assert Tally(classified=0, failed=5).exit_code() == 1
    assert Tally().exit_code() == 1
    assert Tally(classified=1, failed=1).exit_code(strict=True) == 1
    assert Tally(classified=1).exit_code(strict=True) == 0


@given(st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_an_exit_code_of_1_has_a_reason(classified: int, failed: int, strict: bool) -> None:
    tally = Tally(classified, failed)
    assert (tally.complaint(strict=strict) is None) == (tally.exit_code(strict=strict) == 0)


def test_an_empty_folder_has_no_rows(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for kind, expected in (("json", b"[]\n"), ("jsonl", b"")):
        text, tally = answers(predictor, tmp_path / "none", kind=kind)
        assert text == expected
        assert tally.complaint() == "expected at least one photo, found no files"


# --- the process -------------------------------------------------------------------------


def test_a_prediction_loads_neither_torch_nor_scikit_learn(bundle: Path, photos: Path) -> None:
    script = (
        "import sys\n"
        "from pegboard.predict import Predictor\n"
        f"(row,) = Predictor.load({str(bundle)!r}).predict_paths([{str(photos / 'b.png')!r}])\n"
        "heavy = {'torch', 'torchvision', 'timm', 'onnx', 'sklearn', 'scipy', 'polars', 'rich',\n"
        "         'matplotlib', 'jinja2'}\n"
        "print(row.label, sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "red []", done.stderr


def test_a_damaged_graph_is_one_line(bundle: Path) -> None:
    whole = read_bundle(bundle)
    predictor = Predictor(replace(whole, model=colour_onnx()[:-40]))
    with pytest.raises(BundleError, match=r"^model\.onnx cannot be loaded: [^\n]*$"):
        predictor.predict([plain(RED)])


def test_threads_share_one_predictor(predictor: Predictor) -> None:
    from concurrent.futures import ThreadPoolExecutor

    colours = [RED, GREEN, BLUE] * 20
    with ThreadPoolExecutor(8) as pool:
        labels = list(pool.map(lambda c: predictor.predict([plain(c)])[0].label, colours))
    assert labels == [*COLOURS] * 20


def test_info_tells_about_the_model(predictor: Predictor) -> None:
    assert predictor.info == colour_info(graph={"ir_version": 9, "opset": 18})


# --- sets of classes -------------------------------------------------------------------------


def test_classes_left_open_are_told_in_every_format(tmp_path: Path) -> None:
    least = [0.5 - 0.01 * place for place in range(50)]
    sets = {"n": 100, "least": least}
    bundle = colour_bundle(tmp_path / "a.pegboard", sets=sets)
    photos = [plain((200, 20, 20)), plain((110, 100, 90)), b"no photo"]
    sharp, blunt, failed = Predictor.load(bundle, 1, sets=0.5).predict(photos)
    assert sharp.classes == ("red",)
    assert blunt.classes is not None
    assert blunt.classes[0] == blunt.label  # always there, however improbable
    assert failed.classes is None
    predictor = Predictor.load(bundle, 1, sets=0.9)
    answers = predictor.predict(photos)
    wider = answers[1].classes
    assert wider is not None
    probabilities = predictor.probabilities(np.stack([predictor.fitted(photos[1])]))[0]
    assert set(wider) == {
        name
        for name, share in zip(predictor.info.classes, probabilities, strict=True)
        if share >= 0.1
    }
    for kind in FORMATS:
        stream = io.BytesIO()
        write_rows(answers, kind, stream, sets=True)
        text = stream.getvalue()
        if kind == "csv":
            rows = list(csv.DictReader(io.StringIO(text.decode())))
            assert [row["classes"] for row in rows] == ["red", "|".join(wider), ""]
        elif kind == "jsonl":
            first, second, third = (json.loads(line) for line in text.splitlines())
            assert (first["classes"], second["classes"]) == (["red"], list(wider))
            assert "classes" not in third
        elif kind == "parquet":
            table = pytest.importorskip("polars").read_parquet(io.BytesIO(text))
            assert table["classes"].to_list() == [["red"], list(wider), None]
        elif kind == "table":
            assert f"one of: {', '.join(wider)}" in text.decode()
    assert [Prediction.from_json(json.loads(json.dumps(row.to_json()))).classes
            for row in answers] == [row.classes for row in answers]  # fmt: skip


def test_a_bundle_without_sets_says_so(tmp_path: Path) -> None:
    bundle = colour_bundle(tmp_path / "a.pegboard")
    with pytest.raises(PegboardError, match=r"--sets: .* was made by an earlier pegboard"):
        Predictor.load(bundle, 1, sets=0.9)
